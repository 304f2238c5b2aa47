package dagsql_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// stopped gives up what runs and is to stop, as a worker does after a heartbeat.
func (h *hand) stopped() (names []string) {
	h.t.Helper()
	stop, err := h.q.Heartbeat(h.ctx, h.pool, h.worker)
	must(h.t, err)
	for name, a := range h.held {
		if id := (pgq.AttemptID{JobID: a.ID, Attempt: a.Number}); slices.Contains(stop, id) {
			_, err := h.q.GiveUp(h.ctx, h.pool, h.worker, id, "stopped")
			must(h.t, err)
			delete(h.held, name)
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestADAGPastItsDeadlineEnds(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := dagsql.New("deadline", dagsql.Options{Deadline: time.Hour})
	a := b.Add("a", step{})
	b.Add("b", step{}).After(b.Add("slow", step{}).After(a))
	b.Add("cleanup", step{}).AfterDone(a, b.External("approve", dagsql.ExternalOptions{}))
	id := h.submit(b)
	h.takes("a")
	h.done("a", nil)
	h.takes("slow")
	h.pass(id, "59 minutes")
	same(t, "to stop", h.stopped(), "[]")
	h.pass(id, "2 minutes")
	same(t, "to stop", h.stopped(), "[slow]")
	h.takes()
	h.is(id, pgq.Expired, "a completed", "approve cancelled", "b cancelled", "cleanup cancelled", "slow cancelled")
	run, err := h.d.Get(h.ctx, h.pool, id)
	must(t, err)
	same(t, "why", *run.Error, "deadline passed")

	id = h.submit(b)
	same(t, "one in time", len(h.take()), 1)
	h.done("a", nil)
	_, err = h.d.Complete(h.ctx, h.pool, id, "approve", nil)
	must(t, err)
	h.run()
	h.pass(id, "2 hours") // nothing is left of it
	h.is(id, pgq.Completed, "a completed", "approve completed", "b completed", "cleanup completed", "slow completed")
}

func TestFailFastCancelsTheRestButWhatCleansUp(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := dagsql.New("fast", dagsql.Options{FailFast: true})
	bad, slow := b.Add("bad", step{}), b.Add("slow", step{})
	b.Add("after bad", step{}).After(bad)
	b.Add("after slow", step{}).After(slow)
	b.Add("approve", step{}).After(b.External("answer", dagsql.ExternalOptions{}))
	sub := b.Sub("sub").After(slow)
	sub.Add("x", step{})
	b.Add("undo", step{}).AfterFailure(bad)
	undone := b.Add("cleanup", step{}).AfterDone(slow)
	b.Add("report", step{}).After(undone)
	id := h.submit(b)
	h.takes("bad", "slow")
	h.fails("bad")
	h.expire()
	same(t, "to stop", h.stopped(), "[slow]")
	same(t, "what is spared", strings.Join(h.run(), " "), "cleanup undo report")
	h.is(id, pgq.Failed, "bad failed", "slow cancelled", "after bad skipped!", "after slow cancelled", "answer cancelled", "approve cancelled",
		"sub skipped!", "sub/x cancelled", "undo completed", "cleanup completed", "report completed")
}

// A failure that is made up for, or may still be, is none.
func TestFailFastWaitsForWhatMakesUpForAFailure(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := dagsql.New("fast", dagsql.Options{FailFast: true})
	first, second, soft := b.Add("first", step{}), b.Add("second", step{}), b.Add("soft", step{})
	b.Add("either", step{}).AfterAny(first, second)
	b.Add("last", step{}).After(soft.Soft())
	id := h.submit(b)
	h.takes("first", "second", "soft")
	h.fails("first", "soft")
	h.expire()
	same(t, "to stop", h.stopped(), "[]")
	h.done("second", nil)
	h.run()
	h.is(id, pgq.Completed, "first failed", "second completed", "soft failed", "either completed", "last completed")

	id = h.submit(b)
	h.take()
	h.fails("first", "second")
	h.expire()
	same(t, "to stop", h.stopped(), "[soft]")
	h.run()
	h.is(id, pgq.Failed, "first failed", "second failed", "soft cancelled", "either skipped!", "last cancelled")

	// What shows a failure may be made up for itself.
	b = dagsql.New("fast", dagsql.Options{FailFast: true})
	bad, slow := b.Add("bad", step{}), b.Add("slow", step{})
	b.Add("either", step{}).AfterAny(b.Add("shows", step{}).After(bad, slow), b.Add("other", step{}))
	sub := b.Sub("sub")
	sub.Add("y", step{}).After(sub.Add("x", step{}))
	b.Add("last", step{}).After(sub.Soft())
	id = h.submit(b)
	h.takes("bad", "other", "slow", "sub/x")
	h.fails("bad", "sub/x")
	h.expire()
	same(t, "to stop", h.stopped(), "[]")
	h.fails("other") // now either is skipped for sure, which is known when slow has ended
	h.expire()
	same(t, "to stop", h.stopped(), "[]")
	h.done("slow", nil)
	h.run()
	h.is(id, pgq.Failed, "bad failed", "either skipped!", "last completed", "other failed", "shows skipped!", "slow completed",
		"sub failed!", "sub/x failed", "sub/y skipped!")
}

// A failure that is bound to show in the DAG is not waited for.
func TestFailFastLooksAhead(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := dagsql.New("fast", dagsql.Options{FailFast: true})
	slow := b.Add("slow", step{})
	inner := b.Sub("outer").Sub("inner")
	inner.Add("z", step{}).After(inner.Add("x", step{}), inner.Add("y", step{}))
	b.Add("last", step{}).After(inner, slow)
	id := h.submit(b)
	h.takes("outer/inner/x", "outer/inner/y", "slow")
	h.fails("outer/inner/x")
	h.expire()
	same(t, "to stop", h.stopped(), "[outer/inner/y slow]")
	h.run()
	h.is(id, pgq.Failed, "last cancelled", "outer failed!", "outer/inner failed!", "outer/inner/x failed", "outer/inner/y cancelled",
		"outer/inner/z cancelled", "slow cancelled")
}

func TestCancelTakesNamesAndPatterns(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	build := func() *dagsql.Builder {
		b := steps()
		best := b.Add("best", step{})
		for i := range 3 {
			trial := b.Add(fmt.Sprintf("trial-%d", i), step{})
			best.After(b.Add(fmt.Sprintf("score-%d", i), step{}).After(trial))
		}
		best.AtLeast(1)
		return b
	}
	rest := map[string]string{"best": "waiting", "trial-0": "ready", "trial-1": "ready", "trial-2": "ready", "score-0": "waiting", "score-1": "waiting", "score-2": "waiting"}
	cases := []struct {
		o       dagsql.CancelOptions
		changed map[string]string
		run     string
		state   pgq.State
	}{
		{dagsql.CancelOptions{Nodes: []string{"trial-1"}, Reason: "worse"}, map[string]string{"trial-1": "cancelled", "score-1": "skipped!"},
			"trial-0 trial-2 score-0 score-2 best", pgq.Completed},
		{dagsql.CancelOptions{Nodes: []string{"trial-*"}}, map[string]string{"trial-0": "cancelled", "trial-1": "cancelled", "trial-2": "cancelled",
			"score-0": "skipped!", "score-1": "skipped!", "score-2": "skipped!", "best": "skipped!"}, "", pgq.Failed},
		{dagsql.CancelOptions{Nodes: []string{"score-0"}, Downstream: true}, map[string]string{"score-0": "cancelled", "best": "cancelled"},
			"trial-0 trial-1 trial-2 score-1 score-2", pgq.Failed},
		{dagsql.CancelOptions{}, map[string]string{"trial-0": "cancelled", "trial-1": "cancelled", "trial-2": "cancelled",
			"score-0": "cancelled", "score-1": "cancelled", "score-2": "cancelled", "best": "cancelled"}, "", pgq.Cancelled},
	}
	for _, c := range cases {
		id := h.submit(build())
		_, err := h.d.Cancel(h.ctx, h.pool, id, c.o)
		must(t, err)
		want := map[string]string{}
		for name, state := range rest {
			want[name] = state
			if changed := c.changed[name]; changed != "" {
				want[name] = changed
			}
		}
		same(t, fmt.Sprint(c.o), h.states(id), want)
		same(t, fmt.Sprint("run after ", c.o), strings.Join(h.run(), " "), c.run)
		run, err := h.d.Get(h.ctx, h.pool, id)
		must(t, err)
		same(t, fmt.Sprint("the DAG after ", c.o), run.State, c.state)
		if c.o.Reason != "" {
			job, err := h.q.Get(h.ctx, h.pool, h.node(id, "trial-1"))
			must(t, err)
			same(t, "reason", *job.Error, c.o.Reason)
		}
	}
	id := h.submit(build())
	for dag, nodes := range map[int64][]string{id: {"trial-9*"}, id + 1000: nil} {
		if _, err := h.d.Cancel(h.ctx, h.pool, dag, dagsql.CancelOptions{Nodes: nodes}); !errors.Is(err, pgq.ErrNotFound) {
			t.Error(err)
		}
	}
	outcomes, err := h.d.Cancel(h.ctx, h.pool, id, dagsql.CancelOptions{Nodes: []string{}})
	if err != nil || len(outcomes) > 0 {
		t.Errorf("no nodes: %v, %v", outcomes, err)
	}
	h.run()
}

// What runs when its DAG is cancelled is told to stop, and the DAG ends with it.
func TestACancelledDAGWaitsForWhatRuns(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	b.Add("b", step{}).After(b.Add("a", step{}))
	id := h.submit(b)
	h.takes("a")
	outcomes, err := h.d.Cancel(h.ctx, h.pool, id, dagsql.CancelOptions{Reason: "enough"})
	must(t, err)
	same(t, "outcomes", outcomes, []pgq.Outcome{{JobID: id, Outcome: "requested"}})
	run, err := h.d.Get(h.ctx, h.pool, id)
	must(t, err)
	same(t, "the DAG", run.State, pgq.Running)
	same(t, "to stop", h.stopped(), "[a]")
	h.is(id, pgq.Cancelled, "a cancelled", "b cancelled")
}

func TestTheDeletionOfAParentOutsideIsAFailure(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	var outside []int64
	for range 4 {
		job, err := h.q.Enqueue(h.ctx, h.pool, step{}, pgq.Options{Delay: time.Hour})
		must(t, err)
		outside = append(outside, job.ID)
	}
	_, err := h.q.Retry(h.ctx, h.pool, outside[3])
	must(t, err)
	done := h.take()[0]
	h.done(done, mood{8})
	b := steps()
	b.Add("hard", step{}).After(dagsql.Job(outside[0]))
	b.Add("soft", step{}).After(dagsql.Job(outside[1]).Soft())
	b.Add("either", step{}).AfterAny(dagsql.Job(outside[0]), dagsql.Job(outside[2]))
	b.Add("ended", step{}).After(dagsql.Job(outside[3]).When("$.smile == 8"))
	id := h.submit(b)
	h.takes("ended")
	h.done("ended", nil)
	_, err = h.q.Delete(h.ctx, h.pool, outside...)
	must(t, err)
	h.takes("soft")
	h.done("soft", nil)
	h.is(id, pgq.Failed, "hard skipped!", "soft completed", "either skipped!", "ended completed")
	nodes, _, err := h.d.Nodes(h.ctx, h.pool, id, dagsql.Filter{Names: []string{"hard"}})
	must(t, err)
	same(t, "why", *nodes[0].Error, fmt.Sprintf("job %d cancelled", outside[0]))
	if _, err := h.q.Get(h.ctx, h.pool, outside[0]); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	_, err = h.d.Submit(h.ctx, h.pool, b)
	mistakes(t, err, fmt.Sprintf(`node "hard": after job %d does not exist`, outside[0]), fmt.Sprintf(`node "soft": after job %d does not exist`, outside[1]),
		fmt.Sprintf(`node "either": after job %d does not exist`, outside[0]), fmt.Sprintf(`node "either": after job %d does not exist`, outside[2]),
		fmt.Sprintf(`node "ended": after job %d does not exist`, outside[3]))
}

// A DAG is deleted, and kept, as a whole.
func TestADAGIsDeletedWithItsNodes(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := dagsql.New("deleted", dagsql.Options{Key: "k"})
	b.Add("b", step{}).After(b.Add("a", step{}))
	id := h.submit(b)
	delete := func(id int64) string {
		outcomes, err := h.q.Delete(h.ctx, h.pool, id)
		must(t, err)
		return outcomes[0].Outcome
	}
	same(t, "under way", delete(id), "running")
	h.run()
	same(t, "a node", delete(h.node(id, "a")), "node")
	same(t, "the DAG", delete(id), "deleted")
	same(t, "jobs", one[int](h.bench, "select count(*) from pgq.jobs"), 0)
	if again := h.submit(b); again == id {
		t.Error("the key of a deleted DAG is still taken")
	}
	h.run()
}
