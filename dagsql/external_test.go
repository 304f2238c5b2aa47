package dagsql_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// approval is a DAG a -> approve -> b, c after a failure of approve.
func approval(o dagsql.ExternalOptions) *dagsql.Builder {
	b := steps()
	approve := b.External("approve", o).After(b.Add("a", step{}))
	b.Add("b", step{}).After(approve)
	b.Add("c", step{}).AfterFailure(approve)
	return b
}

func TestAnAnswerEndsAnExternalNode(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	complete := func(id int64) (dagsql.Answer, error) { return h.d.Complete(h.ctx, h.pool, id, "approve", mood{5}) }
	fail := func(id int64) (dagsql.Answer, error) { return h.d.Fail(h.ctx, h.pool, id, "approve", "no\x00!") }
	for _, c := range []struct {
		answer        func(int64) (dagsql.Answer, error)
		answered, ran string
		state         pgq.State
		nodes         []string
	}{
		{complete, "completed", "b", pgq.Completed, []string{"a completed", "approve completed", "b completed", "c skipped"}},
		{fail, "failed", "c", pgq.Failed, []string{"a completed", "approve failed", "b skipped!", "c completed"}},
	} {
		for _, early := range []bool{false, true} {
			id := h.submit(approval(dagsql.ExternalOptions{}))
			if early {
				answer, err := c.answer(id)
				must(t, err)
				same(t, "an early answer", answer, dagsql.AnswerEarly)
				h.is(id, pgq.Running, "a ready", "approve waiting", "b waiting", "c waiting")
				for _, second := range []func(int64) (dagsql.Answer, error){complete, fail} {
					answer, err = second(id)
					must(t, err)
					same(t, "a second early answer", answer, dagsql.AnswerLate)
				}
			}
			h.takes("a")
			h.done("a", nil)
			if !early {
				h.takes()
				answer, err := c.answer(id)
				must(t, err)
				same(t, "an answer", answer, c.answered)
			}
			h.takes(c.ran)
			if c.ran == "b" {
				same(t, "the answer", result[mood](h, "b", "approve"), mood{5})
			} else {
				same(t, "the answer", result[mood](h, "c", "approve"),
					"not completed: pgq: job was not completed: node \"approve\" is failed\nno\ufffd!")
			}
			for _, late := range []func(int64) (dagsql.Answer, error){complete, fail} {
				answer, err := late(id)
				must(t, err)
				same(t, "a late answer", answer, dagsql.AnswerLate)
			}
			h.done(c.ran, nil)
			h.is(id, c.state, c.nodes...)
		}
	}
}

func TestNobodyAnswersInTime(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	for _, c := range []struct {
		o     dagsql.ExternalOptions
		state pgq.State
		nodes []string
	}{
		{dagsql.ExternalOptions{Timeout: time.Hour}, pgq.Failed, []string{"a completed", "approve failed", "b skipped!", "c completed"}},
		{dagsql.ExternalOptions{Timeout: time.Hour, Default: mood{6}}, pgq.Completed, []string{"a completed", "approve completed", "b completed", "c skipped"}},
	} {
		id := h.submit(approval(c.o))
		h.pass(h.node(id, "approve"), "2 hours") // its time has not begun
		h.takes("a")
		h.done("a", nil)
		h.pass(h.node(id, "approve"), "59 minutes")
		h.is(id, pgq.Running, "a completed", "approve waiting", "b waiting", "c waiting")
		h.pass(h.node(id, "approve"), "2 minutes")
		answer, err := h.d.Complete(h.ctx, h.pool, id, "approve", nil)
		must(t, err)
		same(t, "a late answer", answer, dagsql.AnswerLate)
		h.run()
		h.is(id, c.state, c.nodes...)
		if c.o.Default != nil {
			out, err := dagsql.Output[mood](h.ctx, h.d, h.pool, id, "approve")
			must(t, err)
			same(t, "the default", out, mood{6})
		}
	}
}

func TestASleepEndsWhenItsTimeComesOrSomebodyWakesIt(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	b.Add("b", step{}).After(b.Sleep("nap", time.Hour).After(b.Add("a", step{})))
	for _, wake := range []bool{false, true} {
		id := h.submit(b)
		h.takes("a")
		h.done("a", nil)
		h.pass(h.node(id, "nap"), "59 minutes")
		h.takes()
		if wake {
			answer, err := h.d.Complete(h.ctx, h.pool, id, "nap", nil)
			must(t, err)
			same(t, "the alarm", answer, dagsql.AnswerCompleted)
		} else {
			h.pass(h.node(id, "nap"), "2 minutes")
		}
		h.takes("b")
		h.done("b", nil)
		h.is(id, pgq.Completed, "a completed", "nap completed", "b completed")
	}
}

func TestOnlyExternalNodesAreAnswered(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submit(approval(dagsql.ExternalOptions{Tags: []string{"please"}, Metadata: map[string]any{"to": "eve"}}))
	for node, value := range map[string]any{"a": 1, "approve": func() {}} {
		var bad *pgq.ArgumentError
		if _, err := h.d.Complete(h.ctx, h.pool, id, node, value); !errors.As(err, &bad) {
			t.Errorf("node %s: %v", node, err)
		}
	}
	for dag, node := range map[int64]string{id: "nothing", id + 1000: "approve"} {
		if _, err := h.d.Complete(h.ctx, h.pool, dag, node, nil); !errors.Is(err, pgq.ErrNotFound) {
			t.Errorf("DAG %d, node %s: %v", dag, node, err)
		}
	}
	jobs, _, err := h.q.List(h.ctx, h.pool, pgq.Filter{Tags: []string{"please"}})
	if err != nil || len(jobs) != 1 || string(jobs[0].Metadata) != `{"to": "eve"}` {
		t.Errorf("by tag there are %+v, %v", jobs, err)
	}
	_, err = h.d.Cancel(h.ctx, h.pool, id, dagsql.CancelOptions{})
	must(t, err)
	answer, err := h.d.Complete(h.ctx, h.pool, id, "approve", nil)
	must(t, err)
	same(t, "an answer to what was cancelled", answer, dagsql.AnswerLate)
	h.is(id, pgq.Cancelled, "a cancelled", "approve cancelled", "b cancelled", "c cancelled")
}

// A retry of a node that was answered asks anew.
func TestARetryAsksAnew(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submit(approval(dagsql.ExternalOptions{}))
	h.takes("a")
	h.done("a", nil)
	for _, want := range []pgq.State{pgq.Failed, pgq.Completed} {
		if want == pgq.Failed {
			_, err := h.d.Fail(h.ctx, h.pool, id, "approve", "no")
			must(t, err)
			h.run()
			_, err = h.d.Retry(h.ctx, h.pool, id, dagsql.RetryDownstream)
			must(t, err)
			h.is(id, pgq.Running, "a completed", "approve waiting", "b waiting", "c waiting")
			continue
		}
		_, err := h.d.Complete(h.ctx, h.pool, id, "approve", nil)
		must(t, err)
		same(t, "the rest", h.run(), "[b]")
	}
	h.is(id, pgq.Completed, "a completed", "approve completed", "b completed", "c skipped")
}
