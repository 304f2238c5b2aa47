package worker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// effects is a table of the application that handlers write to.
func (b *bench) effects() { b.exec("create table effects (job_id bigint)") }

func TestAHandlerCompletesItsJobInItsOwnTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.effects()
	saw := &observations{}
	w := b.worker(worker.Config{Observe: saw.add})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[letter]) error {
		return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "insert into effects values ($1)", job.ID); err != nil {
				return err
			}
			return job.Complete(ctx, tx, receipt{8})
		})
	})
	b.run(w)
	id := b.enqueue(pgq.Options{})
	b.ends(id, pgq.Completed, 1)
	if result, err := pgq.Result[receipt](context.Background(), b.q, b.pool, id); err != nil || result.Number != 8 {
		t.Errorf("result is %v, %v", result, err)
	}
	if n := b.number("select count(*) from effects"); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
	b.eventually("completion is observed", func() bool { return len(saw.of("completed")) == 1 })
	if len(saw.of("lease_lost")) > 0 {
		t.Error("a lease is said to be lost")
	}
}

func TestATransactionThatIsRolledBackFailsTheAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.effects()
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		tx, err := b.pool.Begin(ctx)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, "insert into effects values ($1)", job.ID)
		err = errors.Join(err, job.Complete(ctx, tx, nil))
		if job.Number == 1 {
			return nil, errors.Join(err, tx.Rollback(ctx)) // nil, although nothing was committed
		}
		return nil, errors.Join(err, tx.Commit(ctx))
	})
	b.ends(id, pgq.Completed, 2)
	if retries := b.history(id, "retried"); len(retries) != 1 {
		t.Errorf("history has %d retries, want 1", len(retries))
	}
	if n := b.number("select count(*) from effects"); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
}

func TestCompletingInATransactionIsRefusedWhenTheLeaseIsLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.effects()
	refused := make(chan error, 1)
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		if job.Number == 1 {
			b.giveAway(job.ID)
		}
		err := pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "insert into effects values ($1)", job.ID); err != nil {
				return err
			}
			return job.Complete(ctx, tx, nil)
		})
		if job.Number == 1 {
			refused <- errors.Join(err, nil)
			if !errors.Is(job.Progress(ctx, 1, 2), pgq.ErrLeaseLost) {
				refused <- errors.New("Progress went on")
			}
		}
		return nil, err
	})
	if err := receive(t, refused, "the refusal"); !errors.Is(err, pgq.ErrLeaseLost) {
		t.Errorf("Complete returned %v, want ErrLeaseLost", err)
	}
	b.ends(id, pgq.Completed, 2)
	if n := b.number("select count(*) from effects"); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
	b.eventually("the loss is logged", func() bool { return b.log.has("lease was lost", "attempt=1") })
}

// giveAway ends the attempt that holds a job's lease, as a rescue does.
func (b *bench) giveAway(id int64) {
	b.t.Helper()
	b.exec(`select pgq.fail(worker_id, array[job_id], array[attempt], array['given away'], array[interval '0'])
		from pgq.running where job_id = $1`, id)
}
