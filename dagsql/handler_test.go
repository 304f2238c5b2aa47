package dagsql_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// mood is what a node returns.
type mood struct {
	Smile int `json:"smile"`
}

func TestAHandlerReadsResultsByName(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	extract := b.Add("extract", step{})
	etl := b.Sub("etl").After(extract).Output("load")
	load := etl.Add("load", step{}).After(etl.Add("extract", step{}))
	etl.Sub("inner").After(load).Add("last", step{})
	b.Add("report", step{}).After(etl)
	id := h.submit(b)

	h.takes("extract")
	h.done("extract", mood{1})
	h.takes("etl/extract")
	h.done("etl/extract", mood{2})
	h.takes("etl/load")
	h.done("etl/load", mood{3})
	h.takes("etl/inner/last")
	for node, want := range map[string]any{ // as etl/inner/last sees them
		"extract": mood{2}, "load": mood{3}, "etl/extract": mood{2}, "etl/load": mood{3}, "inner/last": "not upstream", "last": "not upstream",
		"report": "not upstream", "nothing": "not found",
	} {
		same(t, "result of "+node, result[mood](h, "etl/inner/last", node), want)
	}
	h.done("etl/inner/last", nil)
	h.takes("report")
	for node, want := range map[string]any{"extract": mood{1}, "load": "not found", "etl": mood{3}, "etl/inner/last": mood{}} {
		same(t, "result of "+node, result[mood](h, "report", node), want)
	}
	_, err := dagsql.Result[string](h.ctx, h.attempt("report"), "extract")
	if err == nil || !strings.Contains(err.Error(), `result of node "extract"`) {
		t.Errorf("a result of another type: %v", err)
	}
	h.done("report", nil)
	h.is(id, pgq.Completed, "extract completed", "etl completed", "etl/extract completed", "etl/load completed", "etl/inner completed",
		"etl/inner/last completed", "report completed")
}

// result returns what a node gets for the result of another one: the value, or the sort of error.
func result[T any](h *hand, node, of string) any {
	h.t.Helper()
	value, err := dagsql.Result[T](h.ctx, h.attempt(node), of)
	maybe, ok, maybeErr := dagsql.Maybe[T](h.ctx, h.attempt(node), of)
	switch {
	case err == nil:
		if !ok || maybeErr != nil || fmt.Sprint(maybe) != fmt.Sprint(value) {
			h.t.Errorf("Result of %s is %v, Maybe is %v, %t, %v", of, value, maybe, ok, maybeErr)
		}
		return value
	case errors.Is(err, pgq.ErrNotCompleted):
		if ok || maybeErr != nil {
			h.t.Errorf("Result of %s is %v, Maybe is %v, %t, %v", of, err, maybe, ok, maybeErr)
		}
		return "not completed: " + err.Error()
	}
	if ok || maybeErr == nil || maybeErr.Error() != err.Error() {
		h.t.Errorf("Result of %s is %v, Maybe is %t, %v", of, err, ok, maybeErr)
	}
	switch {
	case errors.Is(err, pgq.ErrNotFound):
		return "not found"
	case errors.Is(err, dagsql.ErrNotUpstream):
		return "not upstream"
	}
	return err
}

func TestAHandlerIsToldWhyThereIsNoResult(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	bad, slow := b.Add("bad", step{}), b.Add("slow", step{})
	route := b.Add("route", step{})
	b.Add("behind", step{}).After(bad)
	b.Add("other", step{}).After(route.Branch("other"))
	b.Add("cleanup", step{}).AfterDone(bad, route)
	b.Add("first", step{}).AfterAny(route, slow)
	h.submit(b)
	h.take()
	h.fails("bad")
	h.done("route", dagsql.Choose("this"))
	h.takes("cleanup", "first")
	for node, want := range map[string]string{
		"bad":    "not completed: pgq: job was not completed: node \"bad\" is failed\ntold to",
		"behind": "not completed: pgq: job was not completed: node \"behind\" is skipped\nbad failed",
		"other":  "not completed: pgq: job was not completed: node \"other\" is skipped\nrule all: of its parents 0 succeeded, 0 failed, 1 were skipped",
		"slow":   "not upstream",
	} {
		same(t, node, result[any](h, "cleanup", node), want)
	}
	same(t, "an eager node's parent", result[any](h, "first", "slow"), "not completed: pgq: job was not completed: node \"slow\" is running")
	for node := range h.held {
		h.done(node, nil)
	}
}

func TestAnOrdinaryJobHasNoUpstream(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	job, err := h.q.Enqueue(h.ctx, h.pool, step{}, pgq.Options{})
	must(t, err)
	h.takes(fmt.Sprint("job ", job.ID))
	attempt := h.attempt(fmt.Sprint("job ", job.ID))
	if parents, err := dagsql.Upstream(h.ctx, attempt); err != nil || len(parents) > 0 {
		t.Errorf("its parents are %v, %v", parents, err)
	}
	if _, err := dagsql.Result[int](h.ctx, attempt, "a"); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	if _, err := dagsql.Extend(h.ctx, h.pool, attempt, dagsql.NewExtension()); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
}

// What a sub-DAG waits for is upstream of its first nodes.
func TestUpstreamTellsTheParentsByName(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	outside, err := h.q.Enqueue(h.ctx, h.pool, step{}, pgq.Options{})
	must(t, err)
	b := steps()
	bad := b.Add("bad", step{})
	behind := b.Add("behind", step{}).After(bad)
	sub := b.Sub("sub").After(behind.Soft(), b.Add("alpha", step{}), dagsql.Job(outside.ID))
	sub.Add("first", step{}).After(bad.Soft())
	id := h.submit(b)
	h.take()
	h.fails("bad")
	h.done("alpha", mood{4})
	h.done(fmt.Sprint("job ", outside.ID), "from outside")
	h.takes("sub/first")
	parents, err := dagsql.Upstream(h.ctx, h.attempt("sub/first"))
	must(t, err)
	var told []string
	for _, p := range parents {
		told = append(told, fmt.Sprintf("%s %s %s %q %v", p.Name, p.State, p.Output, p.Error, deref(p.CauseID)))
	}
	cause := h.node(id, "bad")
	same(t, "parents", strings.Join(told, "\n"), fmt.Sprintf("alpha completed {\"smile\": 4} \"\" <nil>\nbad failed  \"told to\" <nil>\n"+
		"behind skipped  \"bad failed\" %d\nstep completed \"from outside\" \"\" <nil>", cause))
	var m mood
	if err := parents[0].Decode(&m); err != nil || m.Smile != 4 {
		t.Error(m, err)
	}
	if err := parents[1].Decode(&m); !errors.Is(err, pgq.ErrNotCompleted) {
		t.Error(err)
	}
	h.done("sub/first", nil)
	h.is(id, pgq.Completed, "bad failed", "behind skipped!", "alpha completed", "sub completed", "sub/first completed")
}

// sealed is a result that a codec writes.
type sealed struct{ Text string }

func (sealed) Codec() pgq.Codec { return seal{} }

// seal is a codec that writes JSON backwards.
type seal struct{}

func (seal) Name() string { return "seal" }
func (seal) Encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return backwards(data), err
}
func (seal) Decode(data []byte, into any) error { return json.Unmarshal(backwards(data), into) }

func backwards(data []byte) []byte {
	turned := make([]byte, len(data))
	for i, b := range data {
		turned[len(data)-1-i] = b
	}
	return turned
}

func TestResultsOfCodecsAreRead(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.q = pgq.New(pgq.Config{Codecs: []pgq.Codec{seal{}}})
	h.d = dagsql.NewClient(h.q)
	b := dagsql.New("sealed", dagsql.Options{Output: "all"})
	list := b.Add("list", step{})
	b.Add("all", step{}).After(b.Map("map", list, step{}, dagsql.MapOptions{}), list)
	id := h.submit(b)
	h.takes("list")
	h.done("list", []int{1, 2})
	h.takes("map[0]", "map[1]")
	h.done("map[0]", sealed{"zero"})
	h.done("map[1]", "plain")
	h.takes("all")
	var told []string
	for item, err := range dagsql.Items[sealed](h.ctx, h.attempt("all"), "map") {
		told = append(told, fmt.Sprintf("%s %d %t %v %t", item.Name, item.Index, item.Output == nil, item.Value, err != nil))
	}
	same(t, "items", told, "[map[0] 0 true {zero} false map[1] 1 false {} true]")
	h.done("all", sealed{"done"})
	if out, err := dagsql.Output[sealed](h.ctx, h.d, h.pool, id, "all"); err != nil || out.Text != "done" {
		t.Error(out, err)
	}
	if _, err := dagsql.Output[sealed](h.ctx, dagsql.NewClient(pgq.New(pgq.Config{})), h.pool, id, "all"); err == nil {
		t.Error("a client without the codec reads it")
	}
	if out, err := pgq.Result[sealed](h.ctx, h.q, h.pool, id); err != nil || out.Text != "done" {
		t.Error("the DAG's result:", out, err)
	}
	h.is(id, pgq.Completed, "list completed", "map completed", "map[0] completed", "map[1] completed", "all completed")
}

func TestADAGOfAClientThatEncryptsRunsAndShowsNothing(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	key, err := pgq.NewKey("k1", []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	ring, err := pgq.NewKeyRing(key)
	must(t, err)
	h.q = pgq.New(pgq.Config{Codec: pgq.Encrypt(pgq.JSON, ring)})
	h.d = dagsql.NewClient(h.q)
	b := dagsql.New("secret", dagsql.Options{Output: "last"})
	first := b.Add("first", letter{"hidden"})
	list := b.Add("list", step{}).After(first.Branch("go"))
	b.Add("other", step{}).After(first.Branch("stay"))
	b.Add("last", step{}).After(b.Map("map", list, step{}, dagsql.MapOptions{}), list)
	id := h.submit(b)
	h.takes("first")
	var args letter
	must(t, h.attempt("first").DecodeArgs(&args))
	same(t, "args", args, letter{"hidden"})
	h.done("first", dagsql.Choose("go"))
	h.takes("list")
	h.done("list", open{1, 2})
	h.takes("map[0]", "map[1]")
	h.done("map[0]", "hidden")
	h.done("map[1]", "hidden")
	h.takes("last")
	var told []string
	for item, err := range dagsql.Items[string](h.ctx, h.attempt("last"), "map") {
		told = append(told, fmt.Sprint(item.Value, err))
	}
	same(t, "items", told, "[hidden<nil> hidden<nil>]")
	h.done("last", "hidden result")
	if out, err := pgq.Result[string](h.ctx, h.q, h.pool, id); err != nil || out != "hidden result" {
		t.Error("the DAG's result:", out, err)
	}
	if out, err := dagsql.Output[string](h.ctx, h.d, h.pool, id, "last"); err != nil || out != "hidden result" {
		t.Error("the node's result:", out, err)
	}
	same(t, "what shows it", one[int](h.bench, `select count(*) from pgq.job_details j
		where j::text like '%hidden%' or position('hidden'::bytea in coalesce(payload, '') || coalesce(output_payload, '')) > 0`), 0)
}

func TestABatchOfAClientThatEncryptsShowsNothing(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	key, err := pgq.NewKey("k1", []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	ring, err := pgq.NewKeyRing(key)
	must(t, err)
	h.d = dagsql.NewClient(pgq.New(pgq.Config{Codec: pgq.Encrypt(pgq.JSON, ring)}))
	b := dagsql.NewBatch("secret", dagsql.BatchOptions{Open: true}).Add(letter{"hidden"}).Add(letter{"clear"}, pgq.Options{Codec: pgq.JSON})
	added, err := h.d.SubmitBatch(h.ctx, h.pool, b.OnDone(letter{"hidden"}))
	must(t, err)
	_, err = h.d.AddToBatch(h.ctx, h.pool, added.ID, pgq.Item{Args: letter{"hidden"}})
	must(t, err)
	same(t, "args that are encrypted", one[int](h.bench, "select count(*) from pgq.jobs where kind = 'letter' and codec = 'aes256gcm+json' and args is null"), 3)
	same(t, "args in the clear", one[string](h.bench, "select string_agg(args::text, '') from pgq.jobs where kind = 'letter' and codec is null"), `{"Text": "clear"}`)
}

// letter is a job with something to hide, open a result that a map is to read.
type (
	letter struct{ Text string }
	open   []int
)

func (letter) Kind() string   { return "letter" }
func (open) Codec() pgq.Codec { return pgq.JSON }

func TestResultsAreReadInPages(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	all := b.Add("all", step{}).Rule(dagsql.Done)
	const n = 410 // three pages
	for i := range n {
		all.After(b.Add(fmt.Sprintf("n%d", i), step{i}))
	}
	h.submit(b)
	h.take()
	completed := n
	for node, a := range h.held {
		var args step
		must(t, a.DecodeArgs(&args))
		switch args.N {
		case 7:
			h.fails(node)
			completed--
		case 8:
			h.done(node, "eight")
			completed--
		default:
			h.done(node, args.N)
		}
	}
	h.takes("all")
	next, failed, unreadable := 0, 0, 0
	for r, err := range dagsql.Results[int](h.ctx, h.attempt("all")) {
		switch {
		case err != nil:
			unreadable++
			same(t, "what cannot be read", r.Name, "n8")
		case r.State != pgq.Completed:
			failed++
			same(t, "what failed", r.Name, "n7")
		case r.Value != next:
			t.Errorf("node %s returned %d", r.Name, r.Value)
		}
		next++
	}
	same(t, "told, unreadable and failed", []int{next, unreadable, failed}, []int{n, 1, 1})
	for range dagsql.Results[int](h.ctx, h.attempt("all")) {
		break // tells no more
	}
	h.done("all", nil)
}

func TestItemsAreReadInTheirOrder(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	const n = 400 // two pages, and one with nothing in it
	m := b.Map("map", b.Add("list", step{}), step{}, dagsql.MapOptions{Path: "$.all[*]", Tolerate: 1})
	b.Add("all", step{}).After(m)
	b.Add("stranger", step{})
	id := h.submit(b)
	h.take()
	items := make([]step, n)
	for i := range items {
		items[i].N = i
	}
	for _, err := range dagsql.Outputs[int](h.ctx, h.d, h.pool, id, "map") {
		t.Error("there are items before there is a list: ", err)
	}
	h.done("list", map[string]any{"all": items})
	h.take()
	for i := range n {
		name := fmt.Sprintf("map[%d]", i)
		if i%200 == 199 {
			h.fails(name)
			continue
		}
		h.done(name, i*i)
	}
	h.takes("all")
	for name, seq := range map[string]func(func(dagsql.Value[int], error) bool){
		"Items": dagsql.Items[int](h.ctx, h.attempt("all"), "map"), "Outputs": dagsql.Outputs[int](h.ctx, h.d, h.pool, id, "map"),
	} {
		next, failed := 0, 0
		for r, err := range seq {
			if want := r.Index * r.Index; err != nil || r.Index != next || r.State == pgq.Completed && r.Value != want {
				t.Fatalf("%s: item %d is %+v, %v", name, next, r, err)
			}
			if r.State == pgq.Failed {
				failed++
			}
			next++
		}
		same(t, name, []int{next, failed}, []int{n, 2})
	}
	counted, err := dagsql.Result[struct{ Items, Failed int }](h.ctx, h.attempt("all"), "map")
	same(t, "the map's own result", fmt.Sprint(counted, err), "{400 2} <nil>")
	for _, err := range dagsql.Items[int](h.ctx, h.attempt("stranger"), "map") {
		must(t, err) // it has ended, so that anybody may read it
		break
	}
	for _, err := range dagsql.Items[int](h.ctx, h.attempt("stranger"), "all") {
		if !errors.Is(err, dagsql.ErrNotUpstream) {
			t.Error(err)
		}
	}
	for _, err := range dagsql.Outputs[int](h.ctx, h.d, h.pool, id, "nothing") {
		if !errors.Is(err, pgq.ErrNotFound) {
			t.Error(err)
		}
	}
	h.done("all", nil)
	h.done("stranger", nil)
}

func TestOutputSaysWhyThereIsNone(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	b.Add("a", step{})
	id := h.submit(b)
	_, err := dagsql.Output[int](h.ctx, h.d, h.pool, id, "a")
	if !errors.Is(err, pgq.ErrNotCompleted) {
		t.Error(err)
	}
	_, err = dagsql.Output[int](h.ctx, h.d, h.pool, id, "b")
	if !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	h.run()
}

// With an output, the DAG and a sub-DAG have the result of one of their nodes.
func TestTheOutputIsThatOfANode(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := dagsql.New("outputs", dagsql.Options{Output: "etl"})
	etl := b.Sub("etl").Output("inner/last")
	inner := etl.Sub("inner")
	inner.Add("last", step{}).After(inner.Sleep("nap", time.Hour))
	wrong := b.Sub("wrong").Output("etl/inner/last")
	wrong.Add("a", step{})
	_, err := h.d.Submit(h.ctx, h.pool, b)
	mistakes(t, err, `node "wrong": output must name a node inside; "etl/inner/last" is none`)
	wrong.Output("a")
	id := h.submit(b)
	_, err = h.d.Complete(h.ctx, h.pool, id, "etl/inner/nap", nil)
	must(t, err)
	h.run()
	if name, err := pgq.Await[string](h.ctx, h.q, h.pool, id); err != nil || name != "etl/inner/last" {
		t.Error(name, err)
	}
	if name, err := dagsql.Output[string](h.ctx, h.d, h.pool, id, "etl"); err != nil || name != "etl/inner/last" {
		t.Error(name, err)
	}
}
