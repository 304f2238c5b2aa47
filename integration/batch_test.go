package integration

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// sprout is a job of a batch that adds two of lesser depth to it, in the transaction that completes it, or fails for good.
type sprout struct {
	Depth int
	Fail  bool
}

func (sprout) Kind() string { return "sprout" }

// told is a callback of a batch.
type told struct{ What string }

func (told) Kind() string { return "told" }

// handleBatches lets a worker run sprouts and callbacks, each of which writes that it was completed in the same transaction.
func handleBatches(w *worker.Worker, pool *pgxpool.Pool) {
	effect := func(ctx context.Context, tx pgx.Tx, job *pgq.Attempt, what string) error {
		if _, err := tx.Exec(ctx, "insert into effects values ($1, $2, $3, $4)", job.ID, job.Number, os.Getpid(), what); err != nil {
			return err
		}
		return job.Complete(ctx, tx, nil)
	}
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[sprout]) error {
		if job.Args.Fail {
			return pgq.Permanent(errors.New("told to"))
		}
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if job.Args.Depth > 0 {
				next := pgq.Item{Args: sprout{Depth: job.Args.Depth - 1}}
				if _, err := dagsql.AddToBatch(ctx, tx, job.Attempt, next, next); err != nil {
					return err
				}
			}
			return effect(ctx, tx, job.Attempt, "sprout")
		})
	})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[told]) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return effect(ctx, tx, job.Attempt, job.Args.What) })
	})
}

// Batches grow from inside and from outside while one of three worker processes after the other is killed: no job is lost or counted twice, and
// each callback that came true has run once, after what it waits for.
func TestBatchesSurviveTheDeathOfTheirWorkers(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const batches, adds, depth = 4, 10, 3
	const each = adds * (1<<(depth+1) - 1) // jobs per batch
	d := dagsql.NewClient(s.q)
	ctx := context.Background()
	var ids []int64
	for range batches {
		b := dagsql.NewBatch("sprouts", dagsql.BatchOptions{Open: true}).
			OnDone(told{"done"}).OnSuccess(told{"success"}).OnFailure(told{"failure"})
		batch, err := d.SubmitBatch(ctx, s.pool, b)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, batch.ID)
	}
	add := func(id int64, args sprout) {
		if _, err := d.AddToBatch(ctx, s.pool, id, pgq.Item{Args: args}); err != nil {
			t.Fatal(err)
		}
	}
	first, second := s.worker(s.url, 10, lease), s.worker(s.url, 10, lease)
	for i := range adds {
		for _, id := range ids {
			add(id, sprout{Depth: depth})
		}
		switch i {
		case 2:
			first.kill()
		case 5:
			add(ids[0], sprout{Fail: true})
		case 7:
			second.kill()
		}
	}
	heir := s.worker(s.url, 10, lease)
	s.becomes(1, "select count(*) from effects where what = 'failure'") // while the batch is open
	s.is(0, "callbacks of open batches", "select count(*) from effects where what in ('done', 'success')")
	for _, id := range ids {
		if _, err := d.CloseBatch(ctx, s.pool, id); err != nil {
			t.Fatal(err)
		}
	}
	s.becomes(batches, "select count(*) from pgq.batches where state in ('completed', 'failed')")
	s.is(batches-1, "batches that succeeded", "select count(*) from pgq.batches where state = 'completed' and total = $1 and done = $1", each)
	s.is(1, "batches that failed", "select count(*) from pgq.batches where state = 'failed' and total = $1 and done = $1 and failed = 1", each+1)
	s.is(batches*each, "sprouts", "select count(*) from effects where what = 'sprout'")
	s.is(0, "effects that happened twice", "select count(*) from (select from effects group by job_id having count(*) > 1) twice")
	s.is(batches, "callbacks when done", "select count(*) from effects where what = 'done'")
	s.is(batches-1, "callbacks on success", "select count(*) from effects where what = 'success'")
	s.is(1, "callbacks on failure", "select count(*) from effects where what = 'failure'")
	heir.ends()
}
