package dagsql_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
)

// step is the job of most tests.
type step struct {
	N int `json:"n"`
}

func (step) Kind() string { return "step" }

// secret is a job whose kind has options of its own.
type secret struct{}

func (secret) Kind() string { return "secret" }
func (secret) Options() pgq.Options {
	return pgq.Options{Queue: "vault", MaxAttempts: 3, Codec: upside{}}
}

// upside is a codec.
type upside struct{}

func (upside) Name() string               { return "upside" }
func (upside) Encode(any) ([]byte, error) { return []byte("down"), nil }
func (upside) Decode([]byte, any) error   { return nil }

// means fails the test unless the builder's document is this one.
func means(t *testing.T, b *dagsql.Builder, want string) {
	t.Helper()
	data, err := b.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got, wanted any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("the document is\n%s\nwant\n%s", data, want)
	}
}

// mistakes fails the test unless the error is an InvalidError with these problems.
func mistakes(t *testing.T, err error, want ...string) {
	t.Helper()
	var bad *dagsql.InvalidError
	if !errors.As(err, &bad) {
		t.Fatalf("error is %v, want an InvalidError", err)
	}
	var got []string
	for _, problem := range bad.Problems {
		got = append(got, problem.String())
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("problems are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheDocumentOfADAGSaysWhatWasGiven(t *testing.T) {
	t.Parallel()
	b := dagsql.New("analyze", dagsql.Options{
		Key: `site:"x"`, Queue: "web", Priority: pgq.Prio(0), Deadline: 10 * time.Minute, FailFast: true, Output: "save",
		Tags: []string{"a", "ü"}, Metadata: map[string]any{"by": "eve"}, ResultTTL: time.Hour,
	})
	site := b.Add("website", step{1}, pgq.Options{MaxAttempts: 3, Timeout: time.Minute, Tags: []string{"t"}}, pgq.Options{Queue: "fetch"})
	b.Add("sentiment", step{2}).After(site).Delay(time.Second)
	b.Add("summary", secret{}, pgq.Options{Priority: pgq.Prio(9)}).After(site.When(`$.risk > 0.8`), site.Soft(), dagsql.Job(42).Soft())
	means(t, b, `{
		"name": "analyze", "key": "site:\"x\"", "queue": "web", "priority": 0, "deadline": "600000000 microseconds",
		"on_failure": "cancel", "output": "save", "tags": ["a", "ü"], "metadata": {"by": "eve"}, "result_ttl": "3600000000 microseconds",
		"nodes": [
			{"name": "website", "kind": "step", "args": {"n": 1}, "queue": "fetch", "max_attempts": 3, "timeout": "60000000 microseconds", "tags": ["t"]},
			{"name": "sentiment", "kind": "step", "args": {"n": 2}, "delay": "1000000 microseconds", "after": ["website"]},
			{"name": "summary", "kind": "secret", "queue": "vault", "priority": 9, "max_attempts": 3, "codec": "upside", "payload": "ZG93bg==",
			 "after": [{"node": "website", "when": "$.risk > 0.8"}, {"node": "website", "soft": true}, {"job": 42, "soft": true}]}
		]}`)
}

func TestTheDocumentOfAnEmptyDAGIsOne(t *testing.T) {
	t.Parallel()
	means(t, dagsql.New("nothing", dagsql.Options{}), `{"name": "nothing", "nodes": []}`)
}

func TestRulesAreWrittenAsInSQL(t *testing.T) {
	t.Parallel()
	b := dagsql.New("rules", dagsql.Options{})
	a := b.Add("a", step{})
	b.Add("any", step{}).AfterAny(a)
	b.Add("done", step{}).AfterDone(a)
	b.Add("failure", step{}).AfterFailure(a)
	b.Add("two", step{}).After(a, a.Soft()).AtLeast(2)
	b.Add("join", step{}).After(a.Branch(`hi"gh`)).Rule(dagsql.Join)
	means(t, b, `{"name": "rules", "nodes": [
		{"name": "a", "kind": "step", "args": {"n": 0}},
		{"name": "any", "kind": "step", "args": {"n": 0}, "after": ["a"], "rule": "any"},
		{"name": "done", "kind": "step", "args": {"n": 0}, "after": ["a"], "rule": "done"},
		{"name": "failure", "kind": "step", "args": {"n": 0}, "after": ["a"], "rule": "one_failed"},
		{"name": "two", "kind": "step", "args": {"n": 0}, "after": ["a", {"node": "a", "soft": true}], "rule": "at_least", "at_least": 2},
		{"name": "join", "kind": "step", "args": {"n": 0}, "after": [{"node": "a", "when": "$.branch == \"hi\\\"gh\""}], "rule": "join"}
	]}`)
}

func TestSeveralConditionsMustAllHold(t *testing.T) {
	t.Parallel()
	b := dagsql.New("conditions", dagsql.Options{})
	a := b.Add("a", step{})
	first := a.When("$.x > 1")
	b.Add("b", step{}).After(first.When("$.y > 1"))
	b.Add("c", step{}).After(first.Branch("z"))
	means(t, b, `{"name": "conditions", "nodes": [
		{"name": "a", "kind": "step", "args": {"n": 0}},
		{"name": "b", "kind": "step", "args": {"n": 0}, "after": [{"node": "a", "when": "($.x > 1) && ($.y > 1)"}]},
		{"name": "c", "kind": "step", "args": {"n": 0}, "after": [{"node": "a", "when": "($.x > 1) && ($.branch == \"z\")"}]}
	]}`)
}

func TestNodesOfSubDAGsHavePathsAsNames(t *testing.T) {
	t.Parallel()
	b := dagsql.New("subs", dagsql.Options{})
	a := b.Add("a", step{})
	etl := b.Sub("etl").After(a).Rule(dagsql.NoneFailed)
	extract := etl.Add("extract", step{})
	inner := etl.Sub("inner").After(extract)
	inner.Sleep("x", time.Hour)
	b.Add("z", step{}).After(etl, inner.Soft())
	means(t, b, `{"name": "subs", "nodes": [
		{"name": "a", "kind": "step", "args": {"n": 0}},
		{"name": "etl", "type": "dag", "after": ["a"], "rule": "none_failed"},
		{"name": "etl/extract", "kind": "step", "args": {"n": 0}},
		{"name": "etl/inner", "type": "dag", "after": ["etl/extract"]},
		{"name": "etl/inner/x", "type": "sleep", "delay": "3600000000 microseconds"},
		{"name": "z", "kind": "step", "args": {"n": 0}, "after": ["etl", {"node": "etl/inner", "soft": true}]}
	]}`)
}

func TestMapsSleepsAndExternalNodesAreWrittenWithTheirOptions(t *testing.T) {
	t.Parallel()
	b := dagsql.New("special", dagsql.Options{})
	list := b.Add("list", step{})
	b.Map("thumbs", list, step{7}, dagsql.MapOptions{
		Path: "$.keys[*]", As: "key", Window: 100, Tolerate: 2.5, Job: pgq.Options{Queue: "images", Delay: time.Second},
	}).After(list.Soft())
	b.Map("plain", list, step{}, dagsql.MapOptions{})
	b.External("approve", dagsql.ExternalOptions{Timeout: time.Hour, Default: map[string]bool{"ok": false}}).After(list)
	b.External("callback", dagsql.ExternalOptions{Tags: []string{"t"}, Metadata: map[string]any{"to": "eve"}})
	sub := b.Sub("sub").Output("x")
	sub.Add("x", step{})
	means(t, b, `{"name": "special", "nodes": [
		{"name": "list", "kind": "step", "args": {"n": 0}},
		{"name": "thumbs", "type": "map", "kind": "step", "args": {"n": 7}, "queue": "images", "delay": "1000000 microseconds",
		 "over": "list", "path": "$.keys[*]", "as": "key", "window": 100, "tolerate": 2.5, "after": [{"node": "list", "soft": true}]},
		{"name": "plain", "type": "map", "kind": "step", "args": null, "over": "list"},
		{"name": "approve", "type": "external", "timeout": "3600000000 microseconds", "default": {"ok": false}, "after": ["list"]},
		{"name": "callback", "type": "external", "tags": ["t"], "metadata": {"to": "eve"}},
		{"name": "sub", "type": "dag", "output": "x"},
		{"name": "sub/x", "kind": "step", "args": {"n": 0}}
	]}`)
}

func TestAnExtensionNamesExistingNodes(t *testing.T) {
	t.Parallel()
	b := dagsql.NewExtension()
	n := b.Add("more", step{}).After(b.Existing("list")).Before(b.Existing("save"))
	b.Add("last", step{})
	n.Before(b.Add("next", step{}))
	means(t, b, `{"nodes": [
		{"name": "more", "kind": "step", "args": {"n": 0}, "after": ["list"], "before": ["save"]},
		{"name": "last", "kind": "step", "args": {"n": 0}},
		{"name": "next", "kind": "step", "args": {"n": 0}, "after": ["more"]}
	]}`)
}

func TestMistakesAreReportedTogether(t *testing.T) {
	t.Parallel()
	b := dagsql.New("wrong\x00", dagsql.Options{Key: "\xff", Tags: []string{"\x00"}, Metadata: map[string]any{"f": func() {}}})
	var none *dagsql.Node
	var noSub *dagsql.Sub
	stranger := dagsql.New("other", dagsql.Options{}).Add("stranger", step{})
	a := b.Add("a", nil).After(nil, none, noSub, stranger)
	b.Add("b", (*step)(nil)).AfterAny(a).Rule(dagsql.Done)
	b.Add("c", step{}, pgq.Options{Priority: pgq.Prio(12)}).Before(none, stranger)
	b.Add("d", step{}, pgq.Options{RunAt: time.Now()}).After(a.When("\x00"))
	b.Add("e\xff", step{})
	b.Map("f", nil, step{}, dagsql.MapOptions{})
	b.Map("g", stranger, secret{}, dagsql.MapOptions{})
	b.External("h", dagsql.ExternalOptions{Default: func() {}}).Delay(time.Second)
	b.Add("i", step{}).After(b.Existing("a"))
	_, err := b.JSON()
	mistakes(t, err,
		`node "a": after must not be nil`,
		`node "a": after must not be nil`,
		`node "a": after must not be nil`,
		`node "a": after must be nodes of the same DAG; "stranger" is not`,
		`node "b": rule must be one; any and done were given`,
		`node "c": before must not be nil`,
		`node "c": before must be nodes of the same DAG; "stranger" is not`,
		"node \"e\ufffd\": name must be valid UTF-8 without NUL",
		`node "f": over must not be nil`,
		`node "g": over must be a node of the same DAG; "stranger" is not`,
		`node "h": delay must not be given: the node is no job; put a Sleep before it`,
		`node "a": after must not be existing nodes: this is no extension of a DAG`,
		`name must be valid UTF-8 without NUL`,
		`key must be valid UTF-8 without NUL`,
		`tags must be valid UTF-8 without NUL`,
		`metadata must be encodable: json: unsupported type: func()`,
		`node "a": args must not be nil`,
		`node "b": args must not be nil`,
		`node "c": priority must be 0 to 9`,
		`node "d": run_at must not be given for a node: it runs after its parents, or a delay after that`,
		`node "d": when must be valid UTF-8 without NUL`,
		`node "g": codec must not be given: the items of a map are JSON`,
		`node "h": default must be encodable: json: unsupported type: func()`,
	)
}

func TestAnErrorOfManyProblemsTellsTheFirstTen(t *testing.T) {
	t.Parallel()
	b := dagsql.New("wrong", dagsql.Options{})
	for range 12 {
		b.Add("x", nil)
	}
	_, err := b.JSON()
	if text := err.Error(); !strings.HasPrefix(text, `pgq: DAG is invalid: node "x": args must not be nil; node "x"`) ||
		!strings.HasSuffix(text, "; and 2 more") || strings.Count(text, "must") != 10 {
		t.Error(text)
	}
}

func TestALargeDAGTakesLittleMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := dagsql.New("large", dagsql.Options{})
	const layers, width = 1000, 100
	var above, layer []dagsql.Parent
	for l := range layers {
		for w := range width {
			n := b.Add("layer-"+strconv.Itoa(l)+"/"+strconv.Itoa(w), step{w})
			if l > 0 {
				n.After(above[w], above[(w+1)%width])
			}
			layer = append(layer, n)
		}
		above, layer = layer, nil
	}
	document, err := b.JSON()
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
	t.Logf("%d nodes: %d MB of JSON, %d MB allocated in all", layers*width, len(document)>>20, allocated)
	if allocated > 150 {
		t.Errorf("building and encoding %d nodes allocated %d MB", layers*width, allocated)
	}
}

// What the engine would leave out is refused, not left out.
func TestOptionsThatNodesCannotHaveAreRefused(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	for field, o := range map[string]pgq.Options{"sequence": {Sequence: "s"}, "unique": {Unique: pgq.Unique{Key: "k"}}} {
		b := dagsql.New("d", dagsql.Options{})
		b.Add("a", step{1}, o)
		_, err := dagsql.NewClient(pgq.New(pgq.Config{})).Submit(t.Context(), pool, b)
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
