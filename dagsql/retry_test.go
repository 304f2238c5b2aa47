package dagsql_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// failed is a DAG in which b has failed: a -> b -> c -> d, a -> e, and f, which was cancelled. f -> g.
func (h *hand) failed() int64 {
	h.t.Helper()
	b := steps()
	a := b.Add("a", step{})
	c := b.Add("c", step{}).After(b.Add("b", step{}).After(a))
	b.Add("d", step{}).AfterDone(c)
	b.Add("e", step{}).After(a)
	b.Add("g", step{}).After(b.Add("f", step{}))
	id := h.submit(b)
	_, err := h.d.Cancel(h.ctx, h.pool, id, dagsql.CancelOptions{Nodes: []string{"f"}})
	must(h.t, err)
	h.takes("a")
	h.done("a", 1)
	h.takes("b", "e")
	h.done("e", nil)
	h.fails("b")
	h.takes("d")
	h.done("d", nil)
	h.is(id, pgq.Failed, "a completed", "b failed", "c skipped!", "d completed", "e completed", "f cancelled", "g skipped!")
	return id
}

func TestRetryRunsWhatItsModeSays(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	cases := []struct {
		mode  dagsql.RetryMode
		nodes []string
		reset string // the jobs
		run   string // what runs again
		ended pgq.State
	}{
		{dagsql.RetryFailed, nil, "DAG b c f g", "b f c g", pgq.Completed},
		{dagsql.RetryFailed, []string{"b"}, "DAG b c", "b c", pgq.Failed}, // f is still cancelled
		{dagsql.RetryFailed, []string{"a", "b", "e"}, "DAG b c", "b c", pgq.Failed},
		{dagsql.RetryDownstream, nil, "DAG b c d f g", "b f c g d", pgq.Completed},
		{dagsql.RetryDownstream, []string{"f"}, "DAG f g", "f g", pgq.Failed},
		{dagsql.RetryAll, nil, "DAG a b c d e f g", "a f b e g c d", pgq.Completed},
		{dagsql.RetryFrom, []string{"a"}, "DAG a b c d e", "a b e c d", pgq.Failed},
		{dagsql.RetryFrom, []string{"e", "f*"}, "DAG e f g", "e f g", pgq.Failed},
		{dagsql.RetryFrom, []string{"d"}, "DAG d", "d", pgq.Failed},
		{dagsql.RetryFailed, []string{"e"}, "", "", pgq.Failed},
	}
	for _, c := range cases {
		id := h.failed()
		ids, err := h.d.Retry(h.ctx, h.pool, id, c.mode, c.nodes...)
		must(t, err)
		what := string(c.mode) + " " + strings.Join(c.nodes, " ")
		same(t, what+" resets", strings.Join(h.names(ids), " "), c.reset)
		same(t, what+" runs", strings.Join(h.run(), " "), c.run)
		run, err := h.d.Get(h.ctx, h.pool, id)
		must(t, err)
		same(t, what+" ends as", run.State, c.ended)
	}
	id := h.failed()
	for mode, nodes := range map[dagsql.RetryMode][]string{"some": nil, dagsql.RetryFrom: nil} {
		var bad *pgq.ArgumentError
		if _, err := h.d.Retry(h.ctx, h.pool, id, mode, nodes...); !errors.As(err, &bad) {
			t.Errorf("mode %s: %v", mode, err)
		}
	}
	for _, nodes := range [][]string{{"nothing"}, {"a", "x*"}} {
		if _, err := h.d.Retry(h.ctx, h.pool, id, dagsql.RetryFailed, nodes...); !errors.Is(err, pgq.ErrNotFound) {
			t.Errorf("nodes %s: %v", nodes, err)
		}
	}
	if _, err := h.d.Retry(h.ctx, h.pool, id+1000, dagsql.RetryFailed); !errors.Is(err, pgq.ErrNotFound) {
		t.Error("an unknown DAG: ", err)
	}
}

// mapped is a DAG list -> map -> sum, in which item 1 of 3 has failed.
func (h *hand) mapped() int64 {
	h.t.Helper()
	b := steps()
	b.Add("sum", step{}).After(b.Map("map", b.Add("list", step{}), step{}, dagsql.MapOptions{As: "n"}))
	id := h.submit(b)
	h.takes("list")
	h.done("list", []int{10, 11, 12})
	h.takes("map[0]", "map[1]", "map[2]")
	h.done("map[0]", nil)
	h.fails("map[1]")
	h.done("map[2]", nil)
	h.is(id, pgq.Failed, "list completed", "map failed!", "map[0] completed", "map[1] failed", "map[2] completed", "sum skipped!")
	return id
}

func TestRetryKeepsTheItemsOfMaps(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	all := []string{"list completed", "map completed", "map[0] completed", "map[1] completed", "map[2] completed", "sum completed"}
	for _, c := range []struct {
		mode dagsql.RetryMode
		node string
		run  string
	}{
		{dagsql.RetryFailed, "", "map[1] sum"},
		{dagsql.RetryFailed, "map", "map[1] sum"},
		{dagsql.RetryFailed, "map[1]", "map[1] sum"},
		{dagsql.RetryFrom, "map", "map[0] map[1] map[2] sum"},
		{dagsql.RetryFrom, "map[2]", "map[2]"}, // the failed one is not named
	} {
		id := h.mapped()
		items := h.node(id, "map[0]")
		nodes := slices.DeleteFunc([]string{c.node}, func(node string) bool { return node == "" })
		_, err := h.d.Retry(h.ctx, h.pool, id, c.mode, nodes...)
		must(t, err)
		same(t, string(c.mode)+" "+c.node, strings.Join(h.run(), " "), c.run)
		same(t, "first item", h.node(id, "map[0]"), items)
		if c.node == "map[2]" {
			h.is(id, pgq.Failed, "list completed", "map failed!", "map[0] completed", "map[1] failed", "map[2] completed", "sum skipped!")
		} else {
			h.is(id, pgq.Completed, all...)
		}
	}
}

// A map whose source runs again is made anew from its new result.
func TestRetryFromTheSourceMakesAMapAnew(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.mapped()
	item := h.node(id, "map[0]")
	_, err := h.d.Retry(h.ctx, h.pool, id, dagsql.RetryFrom, "list")
	must(t, err)
	h.is(id, pgq.Running, "list ready", "map waiting", "sum waiting")
	h.takes("list")
	h.done("list", []int{7})
	h.takes("map[0]")
	var args map[string]int
	must(t, h.attempt("map[0]").DecodeArgs(&args))
	if args["n"] != 7 || h.node(id, "map[0]") == item {
		t.Errorf("item 0 has args %v", args)
	}
	h.done("map[0]", nil)
	same(t, "the rest", h.run(), "[sum]")
	h.is(id, pgq.Completed, "list completed", "map completed", "map[0] completed", "sum completed")
}

// pgq's Retry of a DAG is that of its failed nodes.
func TestRetryOfTheJobThatADAGIs(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.failed()
	outcomes, err := h.q.Retry(h.ctx, h.pool, id)
	must(t, err)
	same(t, "outcome", outcomes, []pgq.Outcome{{JobID: id, Outcome: "waiting"}})
	same(t, "it runs", strings.Join(h.run(), " "), "b f c g")
	h.is(id, pgq.Completed, "a completed", "b completed", "c completed", "d completed", "e completed", "f completed", "g completed")
}

// In a sub-DAG, too, only what comes after a node is run again or cancelled with it, and the sub-DAG goes on with that.
func TestWhatIsBesideANodeDoesNotComeAfterIt(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	etl := b.Sub("etl").After(b.Add("first", step{}))
	etl.Add("z", step{}).After(etl.Add("x", step{}))
	etl.Add("y", step{})
	b.Add("report", step{}).AfterDone(etl)
	id := h.submit(b)
	h.run()
	ids, err := h.d.Retry(h.ctx, h.pool, id, dagsql.RetryFrom, "etl/x")
	must(t, err)
	same(t, "reset", h.names(ids), "[DAG etl etl/x etl/z report]")
	same(t, "it runs", h.run(), "[etl/x etl/z report]")
	ids, err = h.d.Retry(h.ctx, h.pool, id, dagsql.RetryFrom, "first")
	must(t, err)
	same(t, "reset", h.names(ids), "[DAG etl etl/x etl/y etl/z first report]")

	h.takes("first")
	h.done("first", nil)
	outcomes, err := h.d.Cancel(h.ctx, h.pool, id, dagsql.CancelOptions{Nodes: []string{"etl/x"}, Downstream: true})
	must(t, err)
	same(t, "cancelled", len(outcomes), 3) // with etl/z and report
	same(t, "the rest", h.run(), "[etl/y]")
	h.is(id, pgq.Failed, "first completed", "etl failed!", "etl/x cancelled", "etl/y completed", "etl/z cancelled", "report cancelled")
}

func TestAForkTakesResultsOver(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := dagsql.New("forked", dagsql.Options{Key: "k", Output: "sum"})
	list := b.Add("list", step{})
	m := b.Map("map", list, step{}, dagsql.MapOptions{})
	sub := b.Sub("sub").After(list)
	sub.Add("x", step{})
	b.Add("sum", step{}).After(m, sub)
	id := h.submit(b)
	h.takes("list")
	h.done("list", []int{1, 2})
	h.run()
	before := h.states(id)

	fork, err := h.d.Fork(h.ctx, h.pool, id, "sub/x")
	must(t, err)
	same(t, "the rest of the fork", strings.Join(h.run(), " "), "sub/x sum")
	same(t, "nodes of the fork", h.states(fork), before)
	run, err := h.d.Get(h.ctx, h.pool, fork)
	must(t, err)
	if run.State != pgq.Completed || *run.ForkedFrom != id || run.Key != nil || run.Name != "forked" {
		t.Errorf("the fork is %+v", run)
	}
	if out, err := pgq.Result[string](h.ctx, h.q, h.pool, fork); err != nil || out != "sum" {
		t.Error(out, err)
	}
	if items, err := dagsql.Output[[]int](h.ctx, h.d, h.pool, fork, "list"); err != nil || len(items) != 2 {
		t.Error(items, err)
	}
	// The old DAG stays as it was, and may go.
	same(t, "nodes of the old one", h.states(id), before)
	_, err = h.q.Delete(h.ctx, h.pool, id)
	must(t, err)
	second, err := h.d.Fork(h.ctx, h.pool, fork, "map")
	must(t, err)
	same(t, "the rest of the second fork", strings.Join(h.run(), " "), "map[0] map[1] sum")
	same(t, "nodes of the second fork", h.states(second), before)
	third, err := h.d.Fork(h.ctx, h.pool, fork, "list")
	must(t, err)
	h.takes("list")
	h.done("list", []int{4})
	same(t, "the rest of the third fork", strings.Join(h.run(), " "), "map[0] sub/x sum")
	h.is(third, pgq.Completed, "list completed", "map completed", "map[0] completed", "sub completed", "sub/x completed", "sum completed")
}

func TestAForkOfAFailedDAGRunsWhatFailed(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.failed()
	fork, err := h.d.Fork(h.ctx, h.pool, id, "e")
	must(t, err)
	same(t, "the fork runs", strings.Join(h.run(), " "), "b e f c g")
	h.is(fork, pgq.Completed, "a completed", "b completed", "c completed", "d completed", "e completed", "f completed", "g completed")

	if _, err := h.d.Fork(h.ctx, h.pool, id, "nothing"); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	if _, err := h.d.Fork(h.ctx, h.pool, id+1000, "a"); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	var bad *pgq.ArgumentError
	if _, err := h.d.Fork(h.ctx, h.pool, id); !errors.As(err, &bad) || bad.Field != "nodes" {
		t.Error(err)
	}
	under := steps()
	under.Add("a", step{})
	if _, err := h.d.Fork(h.ctx, h.pool, h.submit(under), "a"); !errors.As(err, &bad) || bad.Field != "dag_id" {
		t.Error(err)
	}
	h.run()
}

func TestADAGThatIsHeldStartsNothing(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	a, ready := b.Add("a", step{}), b.Add("ready", step{})
	b.Add("b", step{}).After(a)
	b.Add("later", step{}).After(b.Sleep("nap", time.Hour), b.External("answer", dagsql.ExternalOptions{}))
	b.Map("map", a, step{}, dagsql.MapOptions{})
	b.Add("last", step{}).After(ready)
	b.Add("delayed", step{}, pgq.Options{Delay: time.Hour})
	id := h.submit(b)
	h.take()
	held := h.held["ready"]
	_, err := h.q.Release(h.ctx, h.pool, h.worker, []pgq.AttemptID{{JobID: held.ID, Attempt: held.Number}})
	must(t, err)

	n, err := h.d.Hold(h.ctx, h.pool, id, "wait")
	must(t, err)
	same(t, "held", n, 8) // all but a, which runs
	run, err := h.d.Get(h.ctx, h.pool, id)
	must(t, err)
	same(t, "the DAG", run.State, dagsql.Held)
	h.takes()
	h.done("a", []int{1, 2})
	answer, err := h.d.Complete(h.ctx, h.pool, id, "answer", nil)
	must(t, err)
	same(t, "answer", answer, dagsql.AnswerCompleted)
	h.pass(h.node(id, "nap"), "1 hour")
	more := dagsql.NewExtension()
	more.Add("more", step{})
	_, err = h.d.Extend(h.ctx, h.pool, id, more)
	must(t, err)
	h.takes()
	n, err = h.d.Hold(h.ctx, h.pool, id, "again")
	must(t, err)
	same(t, "held again", n, 0)

	_, err = h.d.Resume(h.ctx, h.pool, id)
	must(t, err)
	h.run()
	_, err = h.q.Retry(h.ctx, h.pool, h.node(id, "delayed")) // its delay began anew
	must(t, err)
	same(t, "the rest", h.run(), "[delayed]")
	n, err = h.d.Resume(h.ctx, h.pool, id)
	must(t, err)
	same(t, "resumed again", n, 0)
	h.is(id, pgq.Completed, "a completed", "answer completed", "b completed", "delayed completed", "last completed", "later completed",
		"map completed", "map[0] completed", "map[1] completed", "more completed", "nap completed", "ready completed")
	for _, verb := range []func() (int64, error){
		func() (int64, error) { return h.d.Hold(h.ctx, h.pool, id+1000, "") },
		func() (int64, error) { return h.d.Resume(h.ctx, h.pool, id+1000) },
	} {
		if _, err := verb(); !errors.Is(err, pgq.ErrNotFound) {
			t.Error(err)
		}
	}
	n, err = h.d.Hold(h.ctx, h.pool, id, "")
	if n != 0 || err != nil {
		t.Error("one that has ended: ", n, err)
	}
}

// The failure of a node that runs while its DAG is held waits for the resumption, too.
func TestARetryWaitsUntilTheDAGGoesOn(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	b.Add("a", step{})
	id := h.submit(b)
	h.takes("a")
	_, err := h.d.Hold(h.ctx, h.pool, id, "")
	must(t, err)
	a := h.attempt("a")
	_, err = h.q.Cancel(h.ctx, h.pool, "", a.ID)
	must(t, err)
	_, err = h.q.GiveUp(h.ctx, h.pool, h.worker, pgq.AttemptID{JobID: a.ID, Attempt: a.Number}, "enough")
	must(t, err)
	h.is(id, pgq.Failed, "a cancelled")
	ids, err := h.d.Retry(h.ctx, h.pool, id, dagsql.RetryFailed)
	must(t, err)
	same(t, "reset", h.names(ids), "[DAG a]")
	same(t, "it runs", h.run(), "[a]")
	h.is(id, pgq.Completed, "a completed")
}
