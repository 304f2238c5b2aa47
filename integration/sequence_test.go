package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// turn is a job of a sequence. By says who enqueued it as which one.
type turn struct {
	By, Number int
	// Fails lets the first so many attempts fail.
	Fails int
}

func (turn) Kind() string { return "turn" }

const turnsTable = `create table turns (n bigint generated always as identity, key text not null, job_id bigint not null,
	attempt integer not null, by integer not null, number integer not null, what text not null)`

// handleTurns lets a worker run turns, which write when they begin and end, as long as they hold their lease: an attempt that has lost it
// may go on beside the next one of its sequence, but what it writes under its lease is refused.
func handleTurns(w *worker.Worker, pool *pgxpool.Pool) {
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[turn]) error {
		note := func(what string) error {
			tag, err := pool.Exec(context.WithoutCancel(ctx), `
				with lease as (select from pgq.running where job_id = $1 and attempt = $2 and worker_id = $6 for key share)
				insert into turns (key, job_id, attempt, by, number, what)
				select j.sequence, $1, $2, $3, $4, $5 from lease, pgq.jobs j where j.id = $1`,
				job.ID, job.Number, job.Args.By, job.Args.Number, what, job.WorkerID)
			if err == nil && tag.RowsAffected() == 0 {
				return pgq.ErrLeaseLost
			}
			return err
		}
		if err := note("begins"); err != nil {
			return err
		}
		if job.Number <= job.Args.Fails {
			return errors.Join(note("fails"), errors.New("as it was told"))
		}
		return note("ends")
	})
}

// Several processes, one of which is killed in the middle and one stopped for longer than its lease, and enqueuers that use the same keys at
// once and roll half of it back.
func TestSequencesKeepTheirOrderThroughDeaths(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec(turnsTable)
	const keys, enqueuers, rounds = 6, 4, 60
	victim := s.worker(s.url, 8, lease)
	others := []*process{s.worker(s.url, 8, lease), s.worker(s.url, 8, lease)}
	s.becomes(1+int64(len(others)), registered)
	rollback := errors.New("roll back")
	var adding sync.WaitGroup
	for by := range enqueuers {
		adding.Go(func() {
			for number := range rounds {
				err := pgx.BeginFunc(context.Background(), s.pool, func(tx pgx.Tx) error {
					items := make([]pgq.Item, 1+rand.IntN(3))
					for i := range items {
						items[i] = pgq.Item{Args: turn{By: by, Number: number*10 + i, Fails: rand.IntN(30) / 29}, Options: pgq.Options{
							Sequence: fmt.Sprint("k", rand.IntN(keys)), MaxAttempts: 10, Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: time.Millisecond}}}
					}
					_, err := s.q.EnqueueMany(context.Background(), tx, items)
					if err == nil && rand.IntN(2) == 0 {
						err = rollback
					}
					return err
				})
				if err != nil && !errors.Is(err, rollback) {
					t.Error(err)
				}
				if by == 0 && number == rounds/2 {
					victim.kill()
					others[0].signal(syscall.SIGSTOP)
				}
			}
		})
	}
	adding.Wait()
	s.becomes(1, "select count(*) from pgq.workers where dead_at is null")
	others[0].signal(syscall.SIGCONT)
	s.becomes(0, "select count(*) - (select count(*) from pgq.results) from pgq.jobs")
	s.becomes(0, "select count(*) from pgq.sequences")

	s.is(0, "jobs that did not complete", "select count(*) from pgq.results where state <> 'completed'")
	s.is(0, "jobs that ran while another one of their sequence did", `select count(*) from (
		select *, lead(job_id) over (partition by key order by n) as next from turns) t
		where what <> 'ends' and next is distinct from job_id`)
	s.is(0, "jobs that overtook one that was enqueued before them", `select count(*) from (
		select *, lag(number) over (partition by key, by order by n) as before from turns where what = 'ends') t
		where before > number`)
	for _, p := range others {
		p.ends()
	}
}

// A hop costs a round trip, no poll.
func TestASequenceGoesOnWithoutPolling(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec(turnsTable)
	p := s.worker(s.url, 8, time.Minute)
	s.becomes(1, registered)
	const jobs = 200
	items := make([]pgq.Item, jobs)
	for i := range items {
		items[i] = pgq.Item{Args: turn{Number: i}, Options: pgq.Options{Sequence: "k"}}
	}
	if _, err := s.q.EnqueueMany(context.Background(), s.pool, items); err != nil {
		t.Fatal(err)
	}
	s.becomes(jobs, completed)
	s.is(0, "jobs in another order", "select count(*) from (select number, lag(number) over (order by n) as before from turns where what = 'ends') t where before > number")
	p.ends()
}
