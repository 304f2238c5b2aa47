package pgq_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// looking is a database in which job 1 runs, 2 was tried and failed, 3 is ready and 4 waits for its time.
func looking(t *testing.T) (*world, int64) {
	w := newWorld(t)
	worker := w.worker("q")
	for range 3 {
		w.enqueue(note{"x"}, pgq.Options{Queue: "q", MaxAttempts: 1})
	}
	w.enqueue(note{"x"}, pgq.Options{Queue: "late", Delay: time.Hour})
	claimed := w.claim(worker, "q", 2)
	_, err := w.q.Fail(t.Context(), w.pool, worker, []pgq.Failure{{JobID: claimed[1].ID, Attempt: 1, Error: "odd\nline", Stack: "main.go:7"}})
	must(t, err)
	must(t, w.q.PauseQueue(t.Context(), w.pool, "late", "later"))
	return w, worker
}

func TestWhatOperatorsLookAtIsTheSameThroughEveryConnection(t *testing.T) {
	t.Parallel()
	w, worker := looking(t)
	ctx := t.Context()
	for name, db := range map[string]pgq.DB{"pgx": w.pool, "database/sql": pgq.FromSQL(w.openSQL())} {
		queues, err := w.q.QueueStates(ctx, db)
		must(t, err)
		if len(queues) != 2 || queues[0].Queue != "late" || *queues[0].PauseReason != "later" || queues[0].Scheduled != 1 || queues[1].Depth != 1 || queues[1].Running != 1 ||
			queues[1].OldestReadyAge == nil || queues[1].Workers != 1 || !queues[1].Exact {
			t.Errorf("%s: queues are %+v", name, queues)
		}
		workers, err := w.q.WorkerStates(ctx, db)
		must(t, err)
		if len(workers) != 1 || workers[0].ID != worker || workers[0].State != "alive" || workers[0].Running != 1 || workers[0].Lease != time.Minute || len(workers[0].Queues) != 1 {
			t.Errorf("%s: workers are %+v", name, workers)
		}
		if some, err := w.q.WorkerStates(ctx, db, worker+1); err != nil || len(some) != 0 {
			t.Errorf("%s: worker %d is %+v (%v)", name, worker+1, some, err)
		}
		running, err := w.q.RunningJobs(ctx, db, 0, 10)
		must(t, err)
		if len(running) != 1 || running[0].JobID != 1 || running[0].WorkerID != worker || !running[0].WorkerAlive || running[0].Duration < 0 {
			t.Errorf("%s: running are %+v", name, running)
		}
		if none, err := w.q.RunningJobs(ctx, db, worker+1, 10); err != nil || len(none) != 0 {
			t.Errorf("%s: of another worker %+v (%v)", name, none, err)
		}
		ended, err := w.q.Throughput(ctx, db, 5*time.Minute)
		must(t, err)
		if len(ended) != 1 || ended[0].Queue != "q" || ended[0].Ended != 1 || ended[0].Failed != 1 || ended[0].PerMinute <= 0 || ended[0].PerMinute > 1 {
			t.Errorf("%s: throughput is %+v", name, ended)
		}
		stats, err := w.q.Stats(ctx, db, pgq.StatsOptions{ByQueue: true, Since: time.Minute, Buckets: 3})
		must(t, err)
		if len(stats) != 1 || stats[0].Name != "q" || stats[0].Failed != 1 || stats[0].RunP99 == nil || len(stats[0].Series) != 3 || !stats[0].Exact {
			t.Errorf("%s: stats are %+v", name, stats)
		}
		chores, err := w.q.ChoreStates(ctx, db)
		must(t, err)
		if len(chores) != 4 || chores[0].Name != "rescue" || chores[0].Every != 2*time.Second || !chores[0].Late {
			t.Errorf("%s: chores are %+v", name, chores)
		}
		health, err := w.q.Health(ctx, db)
		must(t, err)
		if health.MaxConnections == 0 || health.Connections == 0 || *health.DatabaseBytes == 0 || health.Standby {
			t.Errorf("%s: health is %+v", name, health)
		}
		if kinds, err := w.q.Kinds(ctx, db); err != nil || strings.Join(kinds, ",") != "note" {
			t.Errorf("%s: kinds are %v (%v)", name, kinds, err)
		}
	}
	if _, err := w.q.QueueState(ctx, w.pool, "nowhere"); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	var refused *pgq.ArgumentError
	if _, err := w.q.Stats(ctx, w.pool, pgq.StatsOptions{Limit: -1}); !errors.As(err, &refused) || refused.Field != "at_most" {
		t.Error(err)
	}
}

func TestExplainErrorsAndStatesOfJobs(t *testing.T) {
	t.Parallel()
	w, worker := looking(t)
	ctx := t.Context()
	reasons, err := w.q.Explain(ctx, w.pool, 4)
	must(t, err)
	if len(reasons) != 2 || reasons[0].Reason != "delayed" || reasons[1].Reason != "queue paused" {
		t.Errorf("reasons are %+v", reasons)
	}
	if _, err := w.q.Explain(ctx, w.pool, 99); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	found, err := w.q.Errors(ctx, w.pool, 2)
	must(t, err)
	if len(found) != 1 || found[0].Attempt != 1 || found[0].Type != "failed" || found[0].Error != "odd\nline" || found[0].Stack != "main.go:7" || *found[0].WorkerID != worker {
		t.Errorf("errors are %+v", found)
	}
	states, err := w.q.States(ctx, w.pool, 1, 2, 3, 4, 99)
	must(t, err)
	if len(states) != 4 || states[1].State != pgq.Running || states[2].State != pgq.Failed || *states[2].Error != "odd\nline" || states[3].State != pgq.Ready || states[4].State != pgq.Scheduled {
		t.Errorf("states are %+v", states)
	}
}

func TestSubscribeBehindAnEventMissesNothing(t *testing.T) {
	t.Parallel()
	w, _ := looking(t)
	ctx := t.Context()
	_, err := w.q.Cancel(ctx, w.pool, "", 3)
	must(t, err)
	all, err := w.q.LatestEvents(ctx, w.pool, pgq.EventFilter{}, 100)
	must(t, err)
	if len(all) != 3 { // failed, paused, cancelled
		t.Fatalf("events are %+v", all)
	}
	done := errors.New("done")
	var got []string
	err = w.q.Subscribe(ctx, w.pool, pgq.EventFilter{After: all[0].ID}, func(e pgq.Event) error {
		if got = append(got, string(e.Type)); len(got) == 1 {
			_, err := w.q.Cancel(ctx, w.pool, "", 4)
			return err
		}
		if len(got) == 3 {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) || strings.Join(got, " ") != "paused cancelled cancelled" {
		t.Errorf("events are %v (%v)", got, err)
	}
}
