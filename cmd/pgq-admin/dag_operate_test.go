package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgq-go/queue/dagsql"
)

func TestWrongUseOfDagSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := fmt.Sprint(s.submit(etl("monday")))
	bad := filepath.Join(t.TempDir(), "bad.json")
	write(t, bad, "{\n  \"name\": ]\n}")
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	write(t, wrong, "name: [")
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"lst", 2, "did you mean list?"},
		{"list 12", 2, "takes no arguments"},
		{"list -o xml", 2, "table, wide, json, jsonl, yaml, name, csv"},
		{"list --state runing", 2, "did you mean running?"},
		{"list --columns id,stat", 2, `choose from id, name, key, state`},
		{"list --sort -size", 2, `no column "size"`},
		{"list --limit 0", 2, "--limit must be 1 to 10000"},
		{"list --limit many", 2, `--limit must be a whole number, not "many"`},
		{"list --after -4", 2, "--after must be an id"},
		{"show", 2, "needs DAG"},
		{"show 1 2", 2, `not also "2"`},
		{"show monday", 2, "fix: pgq-admin dag list --name monday"},
		{"show 0", 2, "by its id or by NAME/KEY"},
		{"show -- -7", 2, "by its id or by NAME/KEY"},
		{"show 99999999999999999999", 2, "by its id or by NAME/KEY"},
		{"show 4711", 3, "there is no DAG 4711\n  fix: pgq-admin dag list"},
		{"show etl/tuesday", 3, `there is no DAG "etl/tuesday"`},
		{"show " + id + " --state held", 2, "no state \"held\""},
		{"show " + id + " --limit -1", 2, "--limit"},
		{"watch 4711", 3, "there is no DAG 4711"},
		{"watch " + id + " -o yaml", 2, "table, jsonl"},
		{"watch " + id + " --timeout soon", 2, "--timeout must be a duration like"},
		{"watch " + id + " --interval 1ms", 2, "at least 10ms"},
		{"explain 4711", 3, "there is no DAG 4711"},
		{"explain " + id + " lod", 3, "has no node lod\n  fix: pgq-admin dag show " + id + " --items -o name"},
		{"export " + id + " --format svg", 2, "mermaid, dot or json"},
		{"export " + id + " --theme loud", 2, "theme must be default"},
		{"export " + id + " --direction up", 2, "direction must be"},
		{"export " + id + " --max-nodes 0 --format json", 2, "--max-nodes must be"},
		{"export 4711", 3, "there is no DAG 4711"},
		{"cancel " + id, 2, "this would cancel all of DAG " + id + " etl/monday; nothing was changed\n  fix: say --yes"},
		{"cancel " + id + " --downstream --yes", 2, "--downstream needs --nodes"},
		{"cancel " + id + " --yes --nodes=", 2, "--nodes must be one or several"},
		{"cancel " + id + " --yes --nodes trial-*", 3, `has no node "trial-*"`},
		{"cancel 4711 --yes", 3, "there is no DAG 4711"},
		{"retry " + id + " --mode some", 2, "failed, downstream, from or all"},
		{"retry " + id + " --mode from", 2, "--mode from needs --nodes"},
		{"retry " + id + " --nodes nobody", 3, `has no node "nobody"`},
		{"retry 4711", 3, "there is no DAG 4711"},
		{"fork " + id, 2, "--nodes must name the nodes"},
		{"fork " + id + " --nodes load", 6, "only one that has ended can be forked"},
		{"fork 4711 --nodes load", 3, "there is no DAG 4711"},
		{"hold 4711", 3, "there is no DAG 4711"},
		{"resume 4711", 3, "there is no DAG 4711"},
		{"answer " + id, 2, "needs NODE"},
		{"answer " + id + " approve yes", 2, `fix: a text needs quotes: '"yes"'`},
		{"answer " + id + " approve 1 --fail no", 2, "not both"},
		{"answer " + id + ` approve "\ud800"`, 2, "result must be storable as"},
		{"answer " + id + " nobody 1", 3, "has no node"},
		{"answer " + id + " load 1", 2, "node must be an external or sleeping one"},
		{"answer 4711 approve", 3, "there is no DAG 4711"},
		{"submit", 2, "needs FILE"},
		{"submit nowhere.json", 2, "nowhere.json: no such file"},
		{"submit " + bad, 2, "line 2, column 11: invalid character ']'"},
		{"submit " + wrong, 2, "is no YAML"},
	} {
		o := s.dag(c.args)
		o.want(t, c.code, "pgq-admin: ", c.text)
		if o.stdout != "" {
			t.Errorf("%s: stdout is %q", c.args, o.stdout)
		}
	}
	s.dag("show "+id+" -o name").want(t, 0, "extract") // it is as it was
	if got := query(t, connect(t, s.url), "select distinct state from pgq.job_states order by 1"); got != "ready\nwaiting" {
		t.Errorf("states are %q", got)
	}
}

func TestErrorsAreJSONWithJSONOutput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, words := range []string{"show 4711 -o json", "show -ojson 4711", "show 4711 --output=jsonl", "list -o json --frob", "show -o json"} {
		o := s.dag(words)
		var failure struct {
			Code    int    `json:"code"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
			Fix     string `json:"fix"`
		}
		if err := json.Unmarshal([]byte(o.stderr), &failure); err != nil || failure.Code != o.code || failure.Message == "" || o.stdout != "" {
			t.Errorf("%s: exit code %d, %v in %s", words, o.code, err, o.stderr)
		}
		if o.code == 3 && (failure.Reason != "not_found" || failure.Fix != "pgq-admin dag list shows the DAGs") {
			t.Errorf("%s: %+v", words, failure)
		}
	}
}

func TestDagSubmitTellsAllThatIsWrongAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "dag.json")
	nodes := []string{`{"name": "a", "kind": "", "after": ["zz"]}`, `{"name": "b", "kind": "k", "prioritty": 1}`}
	for i := range 12 {
		nodes = append(nodes, fmt.Sprintf(`{"name": "n%d", "kind": "k", "priority": 11}`, i))
	}
	write(t, file, `{"name": "bad", "nodes": [`+strings.Join(nodes, ",")+`]}`)
	o := s.dag("submit", file)
	o.want(t, 2, "the DAG is invalid; nothing was written\n", `  node "a": kind must`, `  node "a": after must name nodes of the DAG; "zz" is none`+"\n", "prioritty")
	if lines := strings.Count(o.stderr, "\n"); lines != 16 || strings.Count(o.stderr, "priority must be 0 to 9\n") != 12 {
		t.Errorf("%d lines in\n%s", lines, o.stderr)
	}
	var failure struct {
		Problems []struct{ Node, Field, Rule string }
	}
	if err := json.Unmarshal([]byte(s.dag("submit -o json", file).stderr), &failure); err != nil || len(failure.Problems) != 15 {
		t.Errorf("%v, problems are %+v", err, failure.Problems)
	}
	write(t, file, `[1, 2]`)
	s.dag("submit", file).want(t, 2, "the DAG is invalid")
	if left := query(t, connect(t, s.url), "select id::text from pgq.jobs"); left != "" {
		t.Errorf("jobs %s are there", left)
	}
}

func TestDagSubmitTakesJSONAndYAMLFromFileAndInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const text = `{"name": "etl", "key": "k", "nodes": [{"name": "a", "kind": "act", "args": {"fail": false}}]}`
	file := filepath.Join(t.TempDir(), "dag.json")
	write(t, file, text)
	s.dag("submit --dry-run", file).want(t, 0, "dry run: the DAG is valid; nothing was written")
	s.dag("list -o name").want(t, 0)
	if o := s.dag("list -o name"); o.stdout != "" {
		t.Errorf("a dry run has submitted %s", o.stdout)
	}
	id := strings.TrimSpace(s.dag("submit -o name", file).stdout)
	again := s.dag("submit", file)
	again.want(t, 0, "there is a DAG with this name and key already", id)
	s.dag("submit -o json", file).want(t, 0, `"created": false`)

	in := s.call("submit - -o jsonl --columns key,created")
	in.stdin = strings.Replace(text, `"k"`, `"piped"`, 1)
	in.run(t).want(t, 0, `{"key":"piped","created":true}`)
	file = filepath.Join(t.TempDir(), "dag.yaml")
	write(t, file, "name: etl\nkey: of yaml\nnodes:\n- name: a\n  kind: act\n- {name: b, kind: act, after: [a]}\n")
	s.dag("submit", file).want(t, 0, "of yaml")
	s.dag("show", "etl/of yaml").want(t, 0, "0 of 2 jobs ended")
}

// trials is a DAG of three trials, of which one fails, and what comes after them.
func trials() *dagsql.Builder {
	b := dagsql.New("trials", dagsql.Options{Key: "a/b"})
	bad := b.Add("trial-3", act{Fail: true})
	b.Add("best", act{}).After(b.Add("trial-1", act{}), b.Add("trial-2", act{}))
	b.Add("plot", act{}).After(bad)
	return b
}

func TestDagCancelOfNodesAndAll(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.submit(trials())
	dry := s.dag("cancel trials/a/b --nodes trial-* --downstream --dry-run")
	dry.want(t, 0, "dry run: nothing was changed", "trial-3  cancelled")
	if got := query(t, connect(t, s.url), "select count(*)::text from pgq.results"); got != "0" {
		t.Errorf("%s jobs have ended in a dry run", got)
	}
	o := s.dag("cancel trials/a/b --yes --reason", "wrong input", "--nodes", "trial-2", "-o", "csv", "--columns", "node,outcome")
	o.want(t, 0)
	if o.stdout != "node,outcome\ntrial-2,cancelled\n" {
		t.Errorf("output is %q", o.stdout)
	}
	s.dag("show trials/a/b --nodes trial-2,best").want(t, 0, "wrong input", "best     waiting")
	s.dag("cancel trials/a/b --yes --nodes trial-*").want(t, 5, "1 of the 3 nodes were finished already", "trial-1  cancelled")
	s.dag("cancel trials/a/b --yes --nodes trial-*").want(t, 6, "all of the nodes (3) were finished already; nothing was changed")

	id := fmt.Sprint(s.submit(etl("x")))
	s.dag("cancel --yes "+id).want(t, 0, "cancelled")
	s.dag("cancel --yes "+id).want(t, 6, "the DAG had ended already")
	s.dag("hold "+id).want(t, 6, "there is nothing to hold")
	s.dag("resume "+id+" -o json").want(t, 6, `"reason":"conflict"`)
	s.dag("watch "+id).want(t, 1, "etl: cancelled", "fix: ")
}

func TestDagRetryAndFork(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.work()
	id := s.submit(trials())
	s.await(id)
	s.dag("fork trials/a/b --nodes nobody").want(t, 3, `has no node "nobody"`)
	dry := s.dag("retry trials/a/b --dry-run")
	dry.want(t, 0, "dry run: nothing was changed", "trial-3  ready", "plot     waiting")
	dry.hides(t, "best")
	s.dag("retry trials/a/b --nodes trial-1").want(t, 6, "has nothing to retry", "--mode all")
	for words, want := range map[string]string{
		"retry trials/a/b -o name":                             "trial-3 plot",
		"retry trials/a/b --mode downstream --nodes trial-3":   "NODE OUTCOME ID trial-3 plot",
		"retry trials/a/b --mode from --nodes trial-1 -o name": "best trial-1",
		"retry trials/a/b --mode all -o name":                  "trial-3 best trial-1 trial-2 plot",
	} {
		o := s.dag(words)
		o.want(t, 0)
		for _, node := range strings.Fields(want) {
			if !strings.Contains(o.stdout, node) {
				t.Errorf("%s: no %s in %q", words, node, o.stdout)
			}
		}
		s.await(id)
	}
	fork := strings.TrimSpace(s.dag("fork trials/a/b --nodes best -o name").stdout)
	s.dag("watch "+fork).want(t, 1)
	s.dag("list -o csv --columns id,forked_from").want(t, 0, fmt.Sprintf("%s,%d\n", fork, id))
}

func TestDagHoldAndResume(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.submit(etl("monday"))
	s.dag("hold etl/monday --reason", "a look first").want(t, 0, "held")
	s.dag("hold etl/monday -o jsonl --columns state,nodes").want(t, 0, `{"state":"held","nodes":0}`)
	s.dag("show etl/monday").want(t, 0, "etl/monday: held", "extract  held")
	s.dag("resume etl/monday").want(t, 0, "running")
	s.dag("resume etl/monday -o jsonl --columns state,nodes").want(t, 0, `{"state":"running","nodes":0}`)
	s.dag("list --state held -o name").want(t, 0)
}

func TestDagAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := dagsql.New("ask", dagsql.Options{})
	b.External("now", dagsql.ExternalOptions{})
	b.External("later", dagsql.ExternalOptions{}).After(b.External("first", dagsql.ExternalOptions{}))
	b.External("no", dagsql.ExternalOptions{})
	id := fmt.Sprint(s.submit(b))
	s.dag("answer "+id+" now", `{"by": "eve"}`).want(t, 0, "now   completed")
	s.dag("answer "+id+" now", `{"by": "bob"}`).want(t, 6, "was finished already, and stays as it is")
	in := s.call("answer " + id + " later -")
	in.stdin = "[1, 2]\n"
	in.run(t).want(t, 0, "later  early")
	s.dag("complete "+id+" first").want(t, 0, "completed")
	s.dag("answer "+id+" no --fail", "too expensive").want(t, 0, "failed")
	got := query(t, connect(t, s.url), "select name || ' ' || state || ' ' || coalesce(output::text, error, '') from pgq.jobs join pgq.results on id = job_id where name is not null order by 1")
	if want := "first completed \nlater completed [1, 2]\nno failed too expensive\nnow completed {\"by\": \"eve\"}"; got != want {
		t.Errorf("nodes are\n%s\nwant\n%s", got, want)
	}
	s.dag("watch "+id).want(t, 1, "ask: failed", "too expensive")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
