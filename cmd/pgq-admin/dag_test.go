package main_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// patience is how long a test waits for what must come. Nothing takes that long on an idle machine.
const patience = 60 * time.Second

// act is a job that does as it is told.
type act struct {
	Fail  bool  `json:"fail,omitempty"`
	Items []int `json:"items,omitempty"`
}

func (act) Kind() string         { return "act" }
func (act) Options() pgq.Options { return pgq.Options{MaxAttempts: 1} }

// site is a database with DAGs, on which the program is run.
type site struct {
	t    *testing.T
	url  string
	pool *pgxpool.Pool
	dags *dagsql.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, url: pgtest.Database(t), dags: dagsql.NewClient(pgq.New(pgq.Config{}))}
	var err error
	if s.pool, err = pgxpool.New(t.Context(), s.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.pool.Close)
	return s
}

// dag runs "pgq-admin dag" with arguments that are separated by spaces, and more.
func (s *site) dag(words string, more ...string) outcome {
	s.t.Helper()
	return s.call(words, more...).run(s.t)
}

func (s *site) call(words string, more ...string) call {
	return call{args: append(append([]string{"dag"}, strings.Fields(words)...), more...), env: []string{"PGQ_DATABASE_URL=" + s.url}}
}

// submit submits a DAG.
func (s *site) submit(b *dagsql.Builder) int64 {
	s.t.Helper()
	dag, err := s.dags.Submit(s.t.Context(), s.pool, b)
	if err != nil {
		s.t.Fatal(err)
	}
	return dag.ID
}

// work runs a worker until the test ends.
func (s *site) work() {
	s.t.Helper()
	w := worker.New(s.pool, worker.Config{Logger: slog.New(slog.DiscardHandler), Grace: patience})
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[act]) (act, error) {
		if job.Args.Fail {
			return act{}, errors.New("told\nto\x1b[2J")
		}
		return job.Args, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
}

// await waits until a DAG has ended.
func (s *site) await(id int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if _, err := s.dags.Await(ctx, s.pool, id); err != nil {
		s.t.Fatal(err)
	}
}

// etl is a DAG with a node of each sort. Nothing of it runs without a worker.
func etl(key string) *dagsql.Builder {
	b := dagsql.New("etl", dagsql.Options{Key: key, Tags: []string{"nightly"}})
	extract := b.Add("extract", act{Items: []int{1, 2, 3}})
	clean := b.Sub("clean").After(extract)
	clean.Add("b", act{}).After(clean.Add("a", act{}))
	thumbs := b.Map("thumbs", extract, act{}, dagsql.MapOptions{Path: "$.items[*]", As: "number"})
	approve := b.External("approve", dagsql.ExternalOptions{}).After(extract)
	b.Add("load", act{}).After(clean, thumbs.Soft(), approve)
	return b
}

// tidy returns a text with single spaces between words.
func tidy(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestDagListFiltersPagesAndSorts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.dag("list").want(t, 0, "no DAGs")
	for i, name := range []string{"etl", "mail", "etl", "etl"} {
		b := dagsql.New(name, dagsql.Options{Key: fmt.Sprint("k", i)})
		b.Add("x", act{})
		s.submit(b)
	}
	ids := strings.Fields(s.dag("list -o name").stdout)
	if len(ids) != 4 {
		t.Fatalf("ids are %v", ids)
	}
	s.dag("hold "+ids[3]).want(t, 0)
	for words, want := range map[string]string{
		"list -o name --name etl":                       ids[0] + " " + ids[1] + " " + ids[3],
		"list -o name --name etl --name mail --limit 2": ids[0] + " " + ids[1],
		"list -o name --limit 2 --after " + ids[1]:      ids[2] + " " + ids[3],
		"list -o name --state held":                     ids[3],
		"list -o name --state completed,failed":         "",
		"list -o name --sort id":                        ids[3] + " " + ids[2] + " " + ids[1] + " " + ids[0],
		"list -o csv --columns key --sort -key":         "key k3 k2 k1 k0",
		"list -o jsonl --columns key,state --limit 1":   `{"key":"k3","state":"running"}`,
		"ls --columns id,NAME --limit 1 --sort name":    "ID NAME " + ids[0] + " etl next page: --after " + ids[0],
	} {
		o := s.dag(words)
		o.want(t, 0)
		if got := tidy(o.stdout + o.stderr); got != want {
			t.Errorf("%s: %q, want %q", words, got, want)
		}
	}
}

func TestTheFormatsOfDagListAreWhatTheySay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.submit(etl("a,\"b\""))
	type row struct {
		ID    int64    `json:"id"`
		Name  string   `json:"name"`
		Key   string   `json:"key"`
		State string   `json:"state"`
		Took  *float64 `json:"took"`
		Tags  []string `json:"tags"`
	}
	check := func(format string, rows []row) {
		t.Helper()
		if len(rows) != 1 || rows[0].ID != id || rows[0].Key != `a,"b"` || rows[0].State != "running" || rows[0].Took != nil ||
			len(rows[0].Tags) != 1 || rows[0].Tags[0] != "nightly" {
			t.Errorf("%s: %+v", format, rows)
		}
	}
	var page struct {
		Items []row  `json:"items"`
		Next  *int64 `json:"next"`
	}
	if err := json.Unmarshal([]byte(s.dag("list -o json --limit 1").stdout), &page); err != nil || page.Next == nil || *page.Next != id {
		t.Errorf("json: %v, next %v", err, page.Next)
	}
	check("json", page.Items)
	page.Items, page.Next = nil, nil
	if err := yaml.Unmarshal([]byte(s.dag("list -o yaml").stdout), &page); err != nil || page.Next != nil {
		t.Errorf("yaml: %v, next %v", err, page.Next)
	}
	check("yaml", page.Items)
	var line row
	if err := json.Unmarshal([]byte(s.dag("list -ojsonl").stdout), &line); err != nil {
		t.Error(err)
	}
	check("jsonl", []row{line})
	records, err := csv.NewReader(strings.NewReader(s.dag("list -o csv --columns id,key,took,tags").stdout)).ReadAll()
	if want := [][]string{{"id", "key", "took", "tags"}, {fmt.Sprint(id), `a,"b"`, "", `["nightly"]`}}; fmt.Sprint(records) != fmt.Sprint(want) {
		t.Errorf("csv: %q, want %q (%v)", records, want, err)
	}
	s.dag("list").want(t, 0, "ID  NAME  KEY")
	s.dag("list -o wide").want(t, 0, "QUEUE", "nightly")
}

func TestDagShowFollowsADAGToItsEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.submit(etl("monday"))
	o := s.dag("show etl/monday")
	o.want(t, 0, "etl/monday: running", "0 of 4 jobs ended, 1 ready, 3 waiting", "so far", "(dag)", "0/2", "(map)", "(external)")
	o.hides(t, "clean/a")
	s.dag("explain etl/monday load").want(t, 0, "REASON", "3 of 3 parents", "no live worker")
	s.dag("explain etl/monday -o json").want(t, 0, `"reason"`)

	s.work()
	s.dag("answer etl/monday approve", `{"by": "eve"}`).want(t, 0, "approve")
	s.await(id)
	o = s.dag(fmt.Sprint("show ", id))
	o.want(t, 0, "completed", "100 %", "7 of 7 jobs ended; took", "2/2", "3/3", "Slowest nodes", "Critical path", "SHARE")
	o.hides(t, "\x1b")
	all := strings.Fields(s.dag("show etl/monday --items -o name").stdout)
	if got := strings.Join(all, " "); got != "extract clean clean/a clean/b thumbs thumbs[0] thumbs[1] thumbs[2] approve load" {
		t.Errorf("nodes are %s", got)
	}
	var view struct {
		DAG      map[string]any   `json:"dag"`
		Progress map[string]any   `json:"progress"`
		Nodes    []map[string]any `json:"nodes"`
		Slowest  []map[string]any `json:"slowest"`
		Path     []map[string]any `json:"critical_path"`
	}
	if err := json.Unmarshal([]byte(s.dag("show etl/monday -o json --sort -node").stdout), &view); err != nil {
		t.Fatal(err)
	}
	if view.DAG["state"] != "completed" || view.Progress["fraction"] != 1.0 || len(view.Nodes) != 5 || len(view.Slowest) == 0 || len(view.Path) == 0 {
		t.Errorf("view is %+v", view)
	} else if n := view.Nodes[1]; view.Nodes[0]["node"] != "thumbs" || n["node"] != "load" || fmt.Sprint(n["after"]) != "[clean thumbs approve]" {
		t.Errorf("nodes are %+v", view.Nodes)
	}
	s.dag("show etl/monday -o yaml").want(t, 0, "critical_path:\n")
	s.dag("show etl/monday --nodes load,thumbs[1] -o csv --columns node,attempt,state").want(t, 0, "node,attempt,state\nthumbs[1],1/1,completed\nload,1/1,completed\n")
	s.dag("show etl/monday --items --limit 3").want(t, 0, "… and 7 more (--limit 0 shows all)")
	s.dag("show etl/monday --state failed -o jsonl").want(t, 0)
}

func TestDagShowOfAFailureSaysWhyInOneLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.work()
	b := dagsql.New("sad", dagsql.Options{})
	b.Add("after", act{}).After(b.Add("first", act{Fail: true}))
	id := s.submit(b)
	s.await(id)
	o := s.dag(fmt.Sprint("show ", id))
	o.want(t, 0, "sad: failed", "error: ", "told to [2J", "1 failed, 1 skipped")
	o.hides(t, "\x1b")
	s.dag(fmt.Sprint("show --state failed -o name ", id)).want(t, 0, "first\n")
	s.dag(fmt.Sprint("explain ", id, " after")).want(t, 0, "skipped")
}

func TestDagExportDrawsToTheOutputOrAFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := fmt.Sprint(s.submit(etl("monday")))
	s.dag("export etl/monday").want(t, 0, "flowchart TD", "classDef waiting", "subgraph")
	s.dag("graph "+id+" --static --direction LR").want(t, 0, "flowchart LR")
	s.dag("export "+id+" --static").hides(t, "classDef")
	s.dag("export "+id+" --format dot --theme dark").want(t, 0, "digraph dag {", "#30363d")
	var graph dagsql.Graph
	if err := json.Unmarshal([]byte(s.dag("export "+id+" --format json").stdout), &graph); err != nil || len(graph.Nodes) != 7 || len(graph.Edges) != 7 {
		t.Errorf("graph is %+v (%v)", graph, err)
	}
	s.dag("export "+id+" --format json --static").hides(t, "waiting")
	file := filepath.Join(t.TempDir(), "dag.mmd")
	o := s.dag("export "+id+" --file", file)
	o.want(t, 0)
	if o.stdout != "" || read(t, file) != s.dag("export "+id).stdout {
		t.Errorf("stdout is %q, the file\n%s", o.stdout, read(t, file))
	}
	s.dag("export "+id+" --file", filepath.Join(t.TempDir(), "no", "dag.mmd")).want(t, 1, "no such file or directory")
}
