package pgq_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

func TestListPagesThroughAllJobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids, err := w.q.EnqueueMany(t.Context(), w.pool, bulkOf(250))
	must(t, err)
	var seen []int64
	f := pgq.Filter{Kinds: []string{"note"}, Limit: 60}
	for page := 0; ; page++ {
		jobs, next, err := w.q.List(t.Context(), w.pool, f)
		must(t, err)
		for _, j := range jobs {
			seen = append(seen, j.ID)
		}
		if page == 1 { // what comes meanwhile does not shift the pages
			w.enqueue(note{}, pgq.Options{})
		}
		if f.Before = next; next == 0 {
			break
		}
	}
	slices.Reverse(seen)
	if !slices.Equal(seen, ids) {
		t.Errorf("saw %d jobs, want %d", len(seen), len(ids))
	}
}

func TestListStopsToLookForWhatIsRare(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rare := w.enqueue(note{}, pgq.Options{})
	_, err := w.pool.Exec(t.Context(), `with new as (insert into pgq.jobs (queue, kind) select 'default', 'usual' from generate_series(1, 25000) returning id)
		insert into pgq.results (job_id, queue, state, attempt) select id, 'default', 'completed', 1 from new`)
	must(t, err)
	f := pgq.Filter{Kinds: []string{"note"}, LookAt: 10_000}
	looks := 0
	for found := 0; found == 0; looks++ {
		jobs, next, err := w.q.List(t.Context(), w.pool, f)
		must(t, err)
		if found = len(jobs); found > 0 && jobs[0].ID != rare || found == 0 && next == 0 {
			t.Fatalf("found %d jobs, the next page is after %d", found, next)
		}
		f.Before = next
	}
	if looks != 3 {
		t.Errorf("it was found by %d looks, want 3", looks)
	}
	jobs, next, err := w.q.List(t.Context(), w.pool, pgq.Filter{Kinds: []string{"note"}})
	if must(t, err); len(jobs) != 1 || next != 0 {
		t.Errorf("without a bound %d jobs are found, the next page is after %d", len(jobs), next)
	}
}

func TestListRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for field, f := range map[string]pgq.Filter{
		"states": {States: []pgq.State{"gone"}}, "at_most": {Limit: 10_001}, "args": {Args: []byte("{")},
	} {
		_, _, err := w.q.List(t.Context(), w.pool, f)
		if got, _, _ := refused(err); got != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	jobs, next, err := w.q.List(t.Context(), w.pool, pgq.Filter{Limit: -1})
	if err == nil {
		t.Error("a negative limit:", jobs, next)
	}
}

func TestCountsOfManyJobsAreEstimatedAndThoseOfFewAreExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 60_000
	w.exec(`insert into pgq.jobs (queue, kind) select 'big', 'a' from generate_series(1, $1::int);
		`, n)
	w.exec(`insert into pgq.ready (queue, priority, seq, job_id, kind) select 'big', 5, id, id, 'a' from pgq.jobs where id % 3 = 0`)
	w.exec(`insert into pgq.scheduled (job_id, queue, run_at) select id, 'big', now() + interval '1 h' from pgq.jobs where id % 3 = 1`)
	w.exec(`insert into pgq.results (job_id, queue, state, attempt) select id, 'big', 'completed', 1 from pgq.jobs where id % 3 = 2`)
	w.enqueue(note{}, pgq.Options{Queue: "small"})
	w.enqueue(note{}, pgq.Options{Queue: "small", Delay: time.Hour})
	failed := w.enqueue(note{}, pgq.Options{Queue: "small"})
	_, err := w.q.Cancel(t.Context(), w.pool, "", failed)
	must(t, err)
	counts, err := w.q.Counts(t.Context(), w.pool)
	must(t, err)
	got := map[string]pgq.Count{}
	for _, c := range counts {
		got[c.Queue+" "+string(c.State)] = c
	}
	for _, state := range []string{"ready", "scheduled", "completed"} {
		c := got["big "+state]
		if c.Jobs < n/3*7/10 || c.Jobs > n/3*13/10 {
			t.Errorf("%s: %d jobs, want about %d", state, c.Jobs, n/3)
		}
		if c.Exact && c.Jobs != n/3 {
			t.Errorf("%s: %d jobs are not exact", state, c.Jobs)
		}
	}
	for _, state := range []string{"ready", "scheduled", "cancelled"} {
		if c := got["small "+state]; c.Jobs != 1 || !c.Exact {
			t.Errorf("small %s: %+v", state, c)
		}
	}
}

func TestHistoryTellsALife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	id := w.enqueue(note{}, pgq.Options{MaxAttempts: 2})
	for _, message := range []string{"first", "second"} {
		a := w.runOne()
		_, err := w.q.Fail(ctx, w.pool, a.WorkerID, []pgq.Failure{{JobID: id, Attempt: a.Number, Error: message, Stack: "at " + message, Delay: ptr(time.Duration(0))}})
		must(t, err)
	}
	_, err := w.q.Retry(ctx, w.pool, id)
	must(t, err)
	must(t, w.runOne().Complete(ctx, w.pool, nil))
	history, err := w.q.History(ctx, w.pool, id)
	must(t, err)
	var types []string
	for _, e := range history {
		types = append(types, string(e.Type))
		if *e.JobID != id || e.At.IsZero() || e.String() == "" {
			t.Errorf("%+v", e)
		}
	}
	if want := []string{"enqueued", "retried", "failed", "retry_requested", "completed"}; !slices.Equal(types, want) {
		t.Errorf("got %v, want %v", types, want)
	}
	if nothing, err := w.q.History(ctx, w.pool, 99); err != nil || len(nothing) != 0 {
		t.Error(nothing, err)
	}
}

func TestLogsAndProgressAreReadWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	id := w.enqueue(note{}, pgq.Options{})
	a := w.runOne()
	must(t, a.Progress(ctx, 3, 10))
	for i := range 3 {
		must(t, w.q.AddLogs(ctx, w.pool, []pgq.AddLog{{AttemptID: pgq.AttemptID{JobID: id, Attempt: 1}, At: time.Now(), Level: "INFO", Message: fmt.Sprintf("line\x00 %d", i)}}))
	}
	job := w.get(id)
	if *job.Done != 3 || *job.Total != 10 || job.State != pgq.Running || *job.WorkerID != a.WorkerID || job.ClaimedAt == nil {
		t.Errorf("%+v", job)
	}
	lines, err := w.q.Logs(ctx, w.pool, id, 0)
	if err != nil || len(lines) != 3 || lines[2].Message != "line\uFFFD 2" {
		t.Fatalf("%+v %v", lines, err)
	}
	rest, err := w.q.Logs(ctx, w.pool, id, lines[1].ID)
	if err != nil || len(rest) != 1 || rest[0].Message != lines[2].Message {
		t.Errorf("%+v %v", rest, err)
	}
	if err := a.Progress(ctx, -1, 10); err == nil {
		t.Error("negative progress was accepted")
	}
}

func TestQueueSettingsGoThereAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	want := pgq.QueueSettings{
		MaxDepth: ptr(int64(9)), WarnDepth: ptr(int64(8)), MaxArgsBytes: ptr(int64(7)), MaxAttempts: ptr(6), Timeout: ptr(1500 * time.Millisecond),
		Backoff:       &pgq.Backoff{Type: pgq.BackoffExponential, Base: 250 * time.Millisecond, Factor: 1.5, Cap: time.Hour, Jitter: 0.25},
		KeepCompleted: ptr(time.Duration(0)), KeepFailed: ptr(400 * 24 * time.Hour), KeepCancelled: ptr(time.Second), KeepExpired: ptr(time.Microsecond), Events: ptr(pgq.EventsNone), AgeEvery: ptr(90 * time.Second),
	}
	must(t, w.q.SetQueue(ctx, w.pool, "q", want))
	got, err := w.q.QueueSettings(ctx, w.pool, "q")
	must(t, err)
	if *got.MaxDepth != 9 || *got.WarnDepth != 8 || *got.MaxArgsBytes != 7 || *got.MaxAttempts != 6 || *got.Timeout != *want.Timeout || !reflect.DeepEqual(got.Backoff, want.Backoff) ||
		*got.KeepCompleted != 0 || *got.KeepFailed != *want.KeepFailed || *got.KeepCancelled != time.Second || *got.KeepExpired != time.Microsecond || *got.Events != pgq.EventsNone || *got.AgeEvery != *want.AgeEvery {
		t.Errorf("got %+v", got)
	}
	must(t, w.q.ResetQueue(ctx, w.pool, "q", "max_depth", "timeout", "backoff"))
	got, err = w.q.QueueSettings(ctx, w.pool, "q")
	if err != nil || got.MaxDepth != nil || got.Timeout != nil || got.Backoff.Cap != time.Hour || *got.WarnDepth != 8 {
		t.Errorf("got %+v %v", got, err)
	}
	for field, bad := range map[string]pgq.QueueSettings{
		"max_depth": {MaxDepth: ptr(int64(0))}, "timeout": {Timeout: ptr(-time.Second)}, "max_attempts": {MaxAttempts: ptr(0)},
		"events": {Events: ptr(pgq.EventLevel("some"))}, "backoff": {Backoff: &pgq.Backoff{}}, "keep_failed": {KeepFailed: ptr(-time.Second)}, "age_every": {AgeEvery: ptr(time.Duration(0))},
	} {
		if got, _, _ := refused(w.q.SetQueue(ctx, w.pool, "other", bad)); got != field {
			t.Errorf("%s: the field is %q", field, got)
		}
	}
	if _, err := w.q.Queue(ctx, w.pool, "other"); !errors.Is(err, pgq.ErrNotFound) {
		t.Error("a queue was created by what was refused:", err)
	}
	if field, _, _ := refused(w.q.ResetQueue(ctx, w.pool, "q", "depth")); field != "depth" {
		t.Error("a setting that does not exist was reset")
	}
}
