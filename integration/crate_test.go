package integration

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// crate is a job that is handled several at once. Those that are to be held are on their first attempt until the worker is killed.
type crate struct {
	Hold bool `json:"hold"`
}

func (crate) Kind() string { return "crate" }

func handleCrates(w *worker.Worker, pool *pgxpool.Pool) {
	worker.HandleBatch(w, worker.Batch[crate]{Max: 10, Wait: 50 * time.Millisecond}, func(ctx context.Context, jobs []*pgq.Job[crate]) []error {
		answers := make([]error, len(jobs))
		hold := false
		for i, job := range jobs {
			what := "delivered"
			if job.Args.Hold && job.Number == 1 {
				what, hold = "held", true
			}
			_, answers[i] = pool.Exec(ctx, "insert into effects values ($1, $2, $3, $4)", job.ID, job.Number, os.Getpid(), what)
		}
		if hold {
			<-ctx.Done()
			return worker.ForAll(jobs, ctx.Err())
		}
		return answers
	})
}

func TestJobsOfABatchHandlerWhoseWorkerIsKilledRunAgain(t *testing.T) {
	t.Parallel()
	const held, more = 10, 60
	s := newSystem(t)
	enqueue := func(n int, args crate) {
		items := make([]pgq.Item, n)
		for i := range items {
			items[i] = pgq.Item{Args: args}
		}
		if _, err := s.q.EnqueueMany(context.Background(), s.pool, items); err != nil {
			t.Fatal(err)
		}
	}
	victim := s.worker(s.url, held, lease)
	enqueue(held, crate{Hold: true})
	s.becomes(held, "select count(*) from effects where what = 'held'")
	others := []*process{s.worker(s.url, 20, lease), s.worker(s.url, 20, lease)}
	s.becomes(3, registered)
	victim.kill()
	enqueue(more, crate{})
	s.becomes(held+more, completed)
	s.is(held+more, "crates that were delivered once", "select count(distinct job_id) from effects where what = 'delivered'")
	s.is(held+more, "deliveries", "select count(*) from effects where what = 'delivered'")
	s.is(held, "second attempts", "select count(*) from effects where what = 'delivered' and attempt = 2")
	for _, p := range others {
		p.ends()
	}
}
