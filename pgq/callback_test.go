package pgq_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// alarm is a callback.
type alarm struct {
	Text string `json:"text"`
}

func (alarm) Kind() string { return "alarm" }

// rerun is a job whose kind calls itself back.
type rerun struct{}

func (rerun) Kind() string { return "rerun" }

func (rerun) Options() pgq.Options {
	return pgq.Options{Callbacks: pgq.Callbacks{OnFailure: &pgq.Item{Args: rerun{}}}}
}

func watched(o pgq.Options) pgq.Options {
	o.Callbacks = pgq.Callbacks{OnSuccess: calling("success"), OnFailure: calling("failure"), OnRetry: calling("retry")}
	return o
}

func calling(text string) *pgq.Item {
	return &pgq.Item{Args: alarm{text}, Options: pgq.Options{Queue: "alarms", Metadata: map[string]any{"own": true}}}
}

// called claims the callbacks that are ready, and returns what each is told, in the order of the callers and attempts.
func (w *world) called() (told []string) {
	w.Helper()
	for _, a := range w.claim(w.worker("alarms"), "alarms", 100) {
		var args alarm
		must(w.T, a.DecodeArgs(&args))
		c, ok := a.Callback()
		if !ok || !strings.Contains(string(a.Metadata), `"own": true`) {
			w.Errorf("the metadata are %s", a.Metadata)
		}
		told = append(told, fmt.Sprintf("%s: %s %s %s %d %q", args.Text, c.Kind, c.Event, c.State, c.Attempt, c.Error))
	}
	return told
}

func sameLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func TestCallbacksAreEnqueuedWithWhatBecameOfTheJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := w.Context()
	worker := w.worker("jobs")
	plain := pgq.Options{Queue: "jobs", MaxAttempts: 2, Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: time.Hour}}

	id := w.enqueue(note{}, watched(plain))
	w.claim(worker, "jobs", 1)
	_, err := w.q.Fail(ctx, w.pool, worker, []pgq.Failure{{JobID: id, Attempt: 1, Error: "first"}})
	must(t, err)
	sameLines(t, "retry", w.called(), `retry: note on_retry scheduled 1 "first"`)
	_, err = w.q.Retry(ctx, w.pool, id)
	must(t, err)
	a := w.claim(worker, "jobs", 1)[0]
	_, err = w.q.Fail(ctx, w.pool, worker, []pgq.Failure{{JobID: id, Attempt: a.Number, Error: "second"}})
	must(t, err)
	sameLines(t, "failure", w.called(), `failure: note on_failure failed 2 "second"`)
	_, err = w.q.Retry(ctx, w.pool, id)
	must(t, err)
	a = w.claim(worker, "jobs", 1)[0]
	completion, err := a.NewCompletion("done")
	must(t, err)
	tx, err := w.pool.Begin(ctx)
	must(t, err)
	_, err = w.q.Complete(ctx, tx, worker, []pgq.Completion{completion})
	must(t, err)
	sameLines(t, "before the commit", w.called())
	must(t, tx.Commit(ctx))
	sameLines(t, "success", w.called(), `success: note on_success completed 3 ""`)

	w.enqueue(note{}, watched(plain))
	released := w.claim(worker, "jobs", 1)[0]
	_, err = w.q.Snooze(ctx, w.pool, worker, pgq.AttemptID{JobID: released.ID, Attempt: 1}, time.Hour)
	must(t, err)
	sameLines(t, "snoozed", w.called())
	_, err = w.q.Cancel(ctx, w.pool, "not needed", released.ID)
	must(t, err)
	sameLines(t, "cancelled", w.called(), `failure: note on_failure cancelled 0 "not needed"`)
	w.check(ctx)
}

func TestCallbacksOfJobsThatAreNeverRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, way := range []struct{ what, end string }{
		{"expired by the chores", "select pgq.expire()"},
		{"expired by a claim", "select from pgq.claim((select max(id) from pgq.workers), '{jobs}', '{10}')"},
	} {
		w.worker("jobs")
		id := w.enqueue(note{}, watched(pgq.Options{Queue: "jobs", TTL: time.Hour}))
		w.exec(`with late as (update pgq.jobs set expires_at = now() where id = $1)
			update pgq.expiries set expires_at = now() where job_id = $1`, id)
		w.exec(way.end)
		sameLines(t, way.what, w.called(), `failure: note on_failure expired 0 "not started within its time to live"`)
	}
	id := w.enqueue(note{}, watched(pgq.Options{Queue: "jobs"}))
	w.exec("select pgq.delete(array[$1::bigint])", id)
	sameLines(t, "deleted", w.called())
	w.check(w.Context())
}

// A bulk, jobs with groups and unique ones take other ways into the database, and their attempts out of it.
func TestCallbacksOfBulksAndGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	items := make([]pgq.Item, 300)
	for i := range items {
		items[i] = pgq.Item{Args: note{}, Options: pgq.Options{Queue: "jobs"}}
	}
	items[7].Options.Callbacks.OnSuccess = calling("seventh")
	items[8].Options = pgq.Options{Queue: "jobs", Group: "g", Callbacks: pgq.Callbacks{OnSuccess: calling("in a group")}}
	items[9].Options = pgq.Options{Queue: "jobs", Unique: pgq.Unique{Key: "k"}, Callbacks: pgq.Callbacks{OnSuccess: calling("unique")}}
	_, err := w.q.EnqueueMany(w.Context(), w.pool, items)
	must(t, err)
	worker := w.worker("jobs")
	for range 10 {
		var done []pgq.Completion
		for _, a := range w.claim(worker, "jobs", 100) {
			done = append(done, pgq.Completion{JobID: a.ID, Attempt: a.Number})
		}
		_, err := w.q.Complete(w.Context(), w.pool, worker, done)
		must(t, err)
	}
	got := strings.Join(w.called(), "\n")
	for _, text := range []string{"seventh", "in a group", "unique"} {
		if strings.Count(got, text+": note on_success completed 1") != 1 {
			t.Errorf("%s is missing in\n%s", text, got)
		}
	}
}

func TestACallbackIsEnqueuedIntoAFullQueueAndByADeadWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker := w.worker("jobs")
	w.enqueue(note{}, watched(pgq.Options{Queue: "jobs"}))
	w.claim(worker, "jobs", 1)
	w.exec(`select pgq.set_queue('alarms', '{"max_depth": 1}')`)
	w.enqueue(note{}, pgq.Options{Queue: "alarms", Delay: time.Hour})
	w.exec("update pgq.workers set heartbeat_at = now() - interval '1 day' where id = $1", worker)
	w.exec("select pgq.rescue()")
	got := w.called()
	if len(got) != 1 || !strings.HasPrefix(got[0], "retry: note on_retry ready 1 \"lease lost") {
		t.Errorf("got %q", got)
	}
}

func TestWhatIsNoCallbackIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.q.Register(w.Context(), w.pool, pgq.Registration{Name: "w", Queues: []string{"jobs"}, Kinds: []string{"alarm", "note"}, Lease: time.Hour})
	must(t, err)
	refuses := func(err error, field, rule string) {
		t.Helper()
		var bad *pgq.ArgumentError
		if !errors.As(err, &bad) || bad.Field != field || !strings.Contains(bad.Rule, rule) {
			t.Errorf("got %v; want %s %s", err, field, rule)
		}
	}
	for _, c := range []struct {
		item        pgq.Item
		field, rule string
	}{
		{pgq.Item{}, "on_failure.args", "must not be nil"},
		{pgq.Item{Args: alarm{}, Options: pgq.Options{Priority: pgq.Prio(12)}}, "on_failure.priority", "must be 0 to 9"},
		{pgq.Item{Args: alarm{}, Options: pgq.Options{RunAt: time.Now()}}, "on_failure.run_at", "must not be given for a callback"},
		{pgq.Item{Args: alarm{}, Options: pgq.Options{Group: "g"}}, "on_failure.group", "must not be given for a callback"},
		{pgq.Item{Args: alarm{}, Options: pgq.Options{Unique: pgq.Unique{Key: "k"}}}, "on_failure.unique", "must not be given for a callback"},
		{pgq.Item{Args: alarm{}, Options: pgq.Options{Callbacks: pgq.Callbacks{OnRetry: calling("again")}}}, "on_failure.callbacks", "must not be given for a callback"},
		{pgq.Item{Args: shopSync{}}, "on_failure.kind", "must be a kind that workers know"},
	} {
		_, err := w.q.Enqueue(w.Context(), w.pool, note{}, pgq.Options{Callbacks: pgq.Callbacks{OnFailure: &c.item}})
		refuses(err, "callbacks."+c.field, c.rule)
		_, err = w.q.EnqueueMany(w.Context(), w.pool, []pgq.Item{{Args: note{}}, {Args: note{}, Options: pgq.Options{Callbacks: pgq.Callbacks{OnFailure: &c.item}}}})
		refuses(err, "jobs[1].callbacks."+c.field, c.rule)
	}
	_, err = w.q.Enqueue(w.Context(), w.pool, rerun{}, pgq.Options{})
	refuses(err, "callbacks.on_failure.callbacks", "must not be given for a callback")
	for sql, want := range map[string]string{
		`select pgq.enqueue('note', callbacks => '[]')`:                                                                                               "callbacks must be a JSON object",
		`select pgq.enqueue('note', callbacks => '{"on_end": {}}')`:                                                                                   `callbacks must be on_success, on_failure or on_retry; "on_end" is none`,
		`select pgq.enqueue('note', callbacks => '{"on_retry": 1}')`:                                                                                  "callbacks.on_retry must be a JSON object",
		`select pgq.enqueue('note', callbacks => '{"on_retry": {"kind": "nobody"}}')`:                                                                 "callbacks.on_retry.kind must be a kind that workers know",
		`select pgq.enqueue_many('[{"kind": "note", "callbacks": {"on_retry": {"kind": "a", "at": 1}}}]')`:                                            `jobs[0].callbacks.on_retry has an unknown field "at"`,
		`select pgq.dag_submit('{"name": "d", "nodes": [{"name": "a", "kind": "note", "callbacks": {"on_success": {"kind": "nobody"}}}]}')`:           `"a": callbacks.on_success.kind must be a kind that workers know`,
		`select pgq.dag_submit('{"name": "d", "nodes": [{"name": "a", "kind": "note", "callbacks": {"on_end": {"kind": "note"}}, "priority": 10}]}')`: `"a": priority must be 0 to 9`,
		`select pgq.dag_submit('{"name": "d", "nodes": [{"name": "a", "kind": "note", "callbacks": 7}]}')`:                                            `"a": callbacks must be a JSON object`,
		`select pgq.dag_submit('{"name": "d", "nodes": [{"name": "a", "type": "sleep", "delay": "1 s", "callbacks": {}}]}')`:                          `"a": callbacks is not a field of a node of type sleep`,
		`select pgq.batch_submit('{"name": "b", "jobs": [{"kind": "note", "callbacks": {"on_retry": {"kind": "nobody"}}}]}')`:                         "callbacks.on_retry.kind must be a kind that workers know",
		`select pgq.set_schedule('s', 'every 1 hour', kind => 'note', options => '{"callbacks": {"on_success": {"kind": "nobody"}}}')`:                "callbacks.on_success.kind must be a kind that workers know",
	} {
		if _, err := w.pool.Exec(w.Context(), sql); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v; want %s", sql, err, want)
		}
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.jobs"); n != 0 {
		t.Errorf("%d jobs were written", n)
	}
}
