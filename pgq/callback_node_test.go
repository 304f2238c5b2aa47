package pgq_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// calls is what nodes of these tests have: callbacks for everything that may become of them.
const calls = `"queue": "jobs", "callbacks": {
	"on_success": {"kind": "alarm", "queue": "alarms", "args": {"text": "success"}, "metadata": {"own": true}},
	"on_failure": {"kind": "alarm", "queue": "alarms", "args": {"text": "failure"}, "metadata": {"own": true, "nothing": null}},
	"on_retry": {"kind": "alarm", "queue": "alarms", "args": {"text": "retry"}, "metadata": {"own": true}}}`

func (w *world) finish(worker int64, a *pgq.Attempt, verb string) {
	w.Helper()
	switch verb {
	case "complete":
		_, err := w.q.Complete(w.Context(), w.pool, worker, []pgq.Completion{{JobID: a.ID, Attempt: a.Number}})
		must(w.T, err)
	case "fail":
		_, err := w.q.Fail(w.Context(), w.pool, worker, []pgq.Failure{{JobID: a.ID, Attempt: a.Number, Error: "oops", Delay: ptr(time.Duration(0))}})
		must(w.T, err)
	}
}

func TestCallbacksOfNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker := w.worker("jobs")
	dag := one[int64](t, w.pool, `select dag_id from pgq.dag_submit('{"name": "d", "nodes": [
		{"name": "a", "kind": "first", `+calls+`},
		{"name": "b", "kind": "second", "max_attempts": 1, "after": ["a"], `+calls+`},
		{"name": "c", "kind": "third", "after": ["b"], `+calls+`},
		{"name": "d", "kind": "fourth", "after": ["b"], "rule": "done", `+calls+`}]}')`)
	sameLines(t, "submitted", w.called())
	w.finish(worker, w.claim(worker, "jobs", 1)[0], "fail")
	sameLines(t, "retried", w.called(), `retry: first on_retry ready 1 "oops"`)
	w.finish(worker, w.claim(worker, "jobs", 1)[0], "complete")
	sameLines(t, "completed", w.called(), `success: first on_success completed 2 ""`)
	w.finish(worker, w.claim(worker, "jobs", 1)[0], "fail")
	sameLines(t, "failed, and the next one is skipped", w.called(), `failure: second on_failure failed 1 "oops"`)
	w.exec("select pgq.dag_cancel($1, reason => 'enough')", dag)
	sameLines(t, "cancelled", w.called(), `failure: fourth on_failure cancelled 0 "enough"`)
	w.exec("select pgq.dag_retry($1)", dag)
	w.finish(worker, w.claim(worker, "jobs", 1)[0], "complete")
	sameLines(t, "run again by hand", w.called(), `success: second on_success completed 2 ""`)
	for _, a := range w.claim(worker, "jobs", 5) {
		w.finish(worker, a, "complete")
	}
	if told := w.called(); len(told) != 2 {
		t.Errorf("the last two: %q", told)
	}
	w.exec("select pgq.dag_fork($1, '{b}')", dag)
	sameLines(t, "what a fork takes over", w.called())
	w.finish(worker, w.claim(worker, "jobs", 1)[0], "complete")
	sameLines(t, "what it runs again", w.called(), `success: second on_success completed 3 ""`)
}

func TestCallbacksOfItemsAddedNodesBatchesAndSchedules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker := w.worker("jobs")
	for _, c := range []struct {
		what, given string
		want        int
	}{
		{"items of a map", `select dag_id from pgq.dag_submit('{"name": "d", "nodes": [
			{"name": "list", "kind": "list", "queue": "jobs"}, {"name": "m", "type": "map", "kind": "item", "over": "list", ` + calls + `}]}')`, 3},
		{"a node that was added", `select pgq.dag_extend((select d.dag_id from pgq.dag_submit('{"name": "d", "nodes": [{"name": "x", "kind": "k", "queue": "jobs"}]}') d),
			'{"nodes": [{"name": "y", "kind": "k", ` + calls + `}]}')`, 1},
		{"a job of a batch", `select pgq.batch_submit('{"name": "b", "jobs": [{"kind": "k", ` + calls + `}, {"kind": "k", "queue": "jobs"}]}')`, 1},
		{"the job of a schedule", `select pgq.set_schedule('s', 'every 1 hour', kind => 'k', options => '{` + calls + `}'); select pgq.run_schedule('s')`, 1},
	} {
		w.exec(c.given)
		for range 3 {
			for _, a := range w.claim(worker, "jobs", 10) {
				completion := pgq.Completion{JobID: a.ID, Attempt: a.Number}
				if a.Kind == "list" {
					var err error
					completion, err = a.NewCompletion([]int{1, 2, 3})
					must(t, err)
				}
				_, err := w.q.Complete(t.Context(), w.pool, worker, []pgq.Completion{completion})
				must(t, err)
			}
		}
		if told := w.called(); len(told) != c.want || !strings.Contains(told[0], "on_success completed 1") {
			t.Errorf("%s: %q, want %d", c.what, told, c.want)
		}
	}
}
