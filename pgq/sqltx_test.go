package pgq_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pgq-go/queue/pgq"
)

// openSQL opens the world's database by database/sql.
func (w *world) openSQL() *sql.DB {
	db := stdlib.OpenDB(*w.pool.Config().ConnConfig)
	w.Cleanup(func() { must(w.T, db.Close()) })
	return db
}

func TestAJobJoinsATransactionOfDatabaseSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db := w.openSQL()
	for _, commit := range []bool{false, true} {
		tx, err := db.BeginTx(t.Context(), nil)
		must(t, err)
		job, err := w.q.Enqueue(t.Context(), pgq.FromSQL(tx), note{"x"}, allOptions())
		must(t, err)
		many, err := w.q.EnqueueMany(t.Context(), pgq.FromSQL(tx), append(bulkOf(300), pgq.Item{Args: note{"y"}, Options: allOptions()}))
		must(t, err)
		if !commit {
			must(t, tx.Rollback())
			w.isEmpty()
			continue
		}
		must(t, tx.Commit())
		for _, id := range []int64{job.ID, many[300]} {
			got, o := w.get(id), allOptions()
			if got.Queue != o.Queue || !got.RunAt.Equal(o.RunAt) || *got.Timeout != o.Timeout || len(got.Tags) != 2 || got.Priority != 9 || *got.MaxAttempts != 7 {
				t.Errorf("job %d: %+v", id, got)
			}
		}
	}
}

func TestErrorsThroughDatabaseSQLAreThoseOfThePackage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db := pgq.FromSQL(w.openSQL())
	if _, err := w.q.Get(t.Context(), db, 1); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	if err := w.q.ResumeQueue(t.Context(), db, "nowhere"); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	if _, err := w.q.Heartbeat(t.Context(), db, 99); !errors.Is(err, pgq.ErrWorkerGone) {
		t.Error(err)
	}
	if _, err := w.q.Queue(t.Context(), db, "nowhere"); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	must(t, w.q.SetQueue(t.Context(), db, "q", pgq.QueueSettings{MaxDepth: ptr(int64(1))}))
	_, err := w.q.EnqueueMany(t.Context(), db, []pgq.Item{{note{}, pgq.Options{Queue: "q"}}, {note{}, pgq.Options{Queue: "q"}}})
	if !errors.Is(err, pgq.ErrQueueFull) {
		t.Error(err)
	}
}

func TestABulkThroughDatabaseSQLIsAllOrNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(t, w.q.SetQueue(t.Context(), w.pool, "q", pgq.QueueSettings{MaxDepth: ptr(int64(5))}))
	items := bulkOf(5010) // more than one call takes
	for i := 5001; i < len(items); i++ {
		items[i].Options.Queue = "q"
	}
	if _, err := w.q.EnqueueMany(t.Context(), pgq.FromSQL(w.openSQL()), items); !errors.Is(err, pgq.ErrQueueFull) {
		t.Error(err)
	}
	w.exec("delete from pgq.events where type = 'queue_set'")
	w.isEmpty()
}

func TestEveryMethodWorksThroughDatabaseSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, q := t.Context(), w.q
	tx, err := w.openSQL().BeginTx(ctx, nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	db := pgq.FromSQL(tx)

	must(t, q.CheckVersion(ctx, db))
	must(t, q.SetQueue(ctx, db, "default", pgq.QueueSettings{Timeout: ptr(time.Second), Backoff: &pgq.Backoff{Type: pgq.BackoffLinear, Base: time.Second}, Events: ptr(pgq.EventsAll)}))
	settings, err := q.QueueSettings(ctx, db, "default")
	if err != nil || *settings.Timeout != time.Second || settings.Backoff.Type != pgq.BackoffLinear || *settings.Events != pgq.EventsAll || settings.MaxDepth != nil {
		t.Errorf("%+v %v", settings, err)
	}
	must(t, q.PauseQueue(ctx, db, "default", "why"))
	queue, err := q.Queue(ctx, db, "default")
	if err != nil || queue.PausedAt == nil || *queue.PauseReason != "why" {
		t.Errorf("%+v %v", queue, err)
	}
	must(t, q.ResumeQueue(ctx, db, "default"))
	for range 8 {
		_, err := q.Enqueue(ctx, db, note{"x"}, pgq.Options{Tags: []string{"t"}, Metadata: map[string]any{"a": 1}})
		must(t, err)
	}
	worker, err := q.Register(ctx, db, pgq.Registration{Name: "w", Queues: []string{"default"}, Kinds: []string{"note"}, Lease: time.Minute})
	must(t, err)
	claimed, err := q.Claim(ctx, db, pgq.ClaimRequest{WorkerID: worker, Queues: []string{"default"}, Limits: []int32{6}, Kinds: []string{"note"}, After: make([]int64, 10)})
	if err != nil || len(claimed) != 6 || claimed[0].Timeout != time.Second || claimed[0].Tags[0] != "t" || string(claimed[0].Metadata) != `{"a": 1}` {
		t.Fatalf("%+v %v", claimed, err)
	}
	must(t, claimed[0].Progress(ctx, 1, 2))
	must(t, claimed[0].Complete(ctx, db, note{"done"}))
	result, err := pgq.Await[note](ctx, q, db, claimed[0].ID)
	if err != nil || result.Text != "done" {
		t.Error(result, err)
	}
	id := func(i int) pgq.AttemptID { return pgq.AttemptID{JobID: claimed[i].ID, Attempt: claimed[i].Number} }
	outcome := func(want string) func([]pgq.Outcome, error) {
		return func(got []pgq.Outcome, err error) {
			t.Helper()
			if err != nil || len(got) == 0 || got[0].Outcome != want {
				t.Errorf("got %v %v, want %s", got, err, want)
			}
		}
	}
	outcome("scheduled")(q.Fail(ctx, db, worker, []pgq.Failure{{JobID: claimed[1].ID, Attempt: 1, Error: "oops", Stack: "s", Delay: ptr(time.Hour)}}))
	outcome("cancelled")(q.GiveUp(ctx, db, worker, id(2), "why"))
	outcome("scheduled")(q.Snooze(ctx, db, worker, id(3), time.Hour))
	outcome("ready")(q.Release(ctx, db, worker, []pgq.AttemptID{id(4)}))
	outcome("requested")(q.Cancel(ctx, db, "why", claimed[5].ID))
	asked, err := q.Heartbeat(ctx, db, worker)
	if err != nil || len(asked) != 1 || asked[0] != id(5) {
		t.Error(asked, err)
	}
	outcome("cancelled")(q.Disown(ctx, db, worker, nil))
	outcome("ready")(q.Retry(ctx, db, claimed[1].ID))
	outcome("scheduled")(q.Reschedule(ctx, db, time.Now().Add(time.Hour), claimed[1].ID))
	outcome("deleted")(q.Delete(ctx, db, claimed[2].ID))
	must(t, q.AddLogs(ctx, db, []pgq.AddLog{{AttemptID: id(0), At: time.Now(), Level: "INFO", Message: "m", Attrs: []byte(`{"k": 1}`)}}))
	lines, err := q.Logs(ctx, db, claimed[0].ID, 0)
	if err != nil || len(lines) != 1 || lines[0].Message != "m" || string(lines[0].Attrs) != `{"k": 1}` {
		t.Errorf("%+v %v", lines, err)
	}
	w.readsThrough(ctx, db, claimed[0].ID)
	must(t, q.Retire(ctx, db, worker))
	_, err = q.DoChores(ctx, db)
	must(t, err)
	must(t, q.ResetQueue(ctx, db, "default", "timeout"))
	must(t, tx.Commit())
}

// readsThrough calls what only reads; the job is completed.
func (w *world) readsThrough(ctx context.Context, db pgq.DB, completed int64) {
	jobs, _, err := w.q.List(ctx, db, pgq.Filter{States: []pgq.State{pgq.Completed}, Tags: []string{"t"}, Args: []byte(`{"text": "x"}`), Since: time.Now().Add(-time.Hour)})
	if err != nil || len(jobs) != 1 || jobs[0].ID != completed || *jobs[0].Done != 1 {
		w.Errorf("List: %v %v", jobs, err)
	}
	counts, err := w.q.Counts(ctx, db)
	if err != nil || len(counts) != 4 {
		w.Errorf("Counts: %v %v", counts, err)
	}
	history, err := w.q.History(ctx, db, completed)
	if err != nil || len(history) != 3 || history[2].Type != "completed" {
		w.Errorf("History: %v %v", history, err)
	}
	workers, err := w.q.Workers(ctx, db)
	if err != nil || len(workers) != 1 || workers[0].Queues[0] != "default" {
		w.Errorf("Workers: %v %v", workers, err)
	}
	if _, err := w.q.UnknownKinds(ctx, db, []string{"default"}); err != nil {
		w.Error("UnknownKinds:", err)
	}
	if keys, err := w.q.SleepGate(ctx, db, "default"); err != nil || len(keys) != 16 {
		w.Error("SleepGate:", keys, err)
	}
	if broken, err := w.q.Check(ctx, db); err != nil || len(broken) != 0 {
		w.Error("Check:", broken, err)
	}
}
