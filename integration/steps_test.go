package integration

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// journey is a job with steps. On its first attempt it stays at the stage Hang, for as long as its lease lasts.
type journey struct {
	Hang string
}

func (journey) Kind() string { return "journey" }

// pages is how many rounds the loop of a journey has.
const pages = 4

// handleJourneys lets a worker run journeys. Each stage writes its effect: charge by itself, ship and pages in
// the transaction in which they are recorded.
func handleJourneys(w *worker.Worker, pool *pgxpool.Pool) {
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[journey]) error {
		effect := func(db pgq.DB, what string) error {
			_, err := db.Exec(context.WithoutCancel(ctx), "insert into effects values ($1, $2, $3, $4)", job.ID, job.Number, os.Getpid(), what)
			return err
		}
		hang := func(stage string) {
			if job.Args.Hang == stage && job.Number == 1 {
				_ = effect(pool, "hangs")
				<-ctx.Done()
			}
		}
		charged, err := pgq.Step(ctx, "charge", func(context.Context) (int, error) {
			err := effect(pool, "charge")
			hang("charge")
			return job.Number, err
		})
		if err != nil {
			return err
		}
		err = pgx.BeginFunc(context.WithoutCancel(ctx), pool, func(tx pgx.Tx) error {
			_, err := pgq.StepIn(ctx, tx, "ship", func(context.Context) (int, error) { return charged, effect(tx, "ship") })
			hang("ship")
			return err
		})
		if err == nil {
			err = pgq.SleepFor(ctx, "nap", 1)
		}
		if err == nil {
			_, err = pgq.WaitFor[string](ctx, "go", 0)
		}
		if err != nil {
			return err
		}
		next, _, err := pgq.LoadCursor[int](ctx, "page")
		for ; err == nil && next < pages; next++ {
			err = pgx.BeginFunc(context.WithoutCancel(ctx), pool, func(tx pgx.Tx) error {
				if err := effect(tx, fmt.Sprint("page ", next)); err != nil {
					return err
				}
				return pgq.SaveCursorIn(ctx, tx, "page", next+1)
			})
			hang(fmt.Sprint("page ", next))
		}
		return err
	})
}

// travel enqueues journeys that hang somewhere.
func (s *system) travel(n int, hang string) (ids []int64) {
	s.t.Helper()
	for range n {
		job, err := s.q.Enqueue(context.Background(), s.pool, journey{Hang: hang}, pgq.Options{MaxAttempts: 3})
		if err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, job.ID)
	}
	return ids
}

// send sends all jobs the signal that they wait for, whether they do so yet or not.
func (s *system) send(ids []int64) {
	s.t.Helper()
	for _, id := range ids {
		if _, err := s.q.Signal(context.Background(), s.pool, id, "go", "on"); err != nil {
			s.t.Error(err)
		}
	}
}

const exactlyOnce = `select count(*) from (
	select job_id from effects where what not in ('charge', 'hangs') group by job_id, what having count(*) > 1) twice`

func TestStepsSurviveTheDeathOfTheirProcess(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const each = 15
	const jobs = 3 * each
	const open = 2 // connections of the process have to be left for its worker
	stages := []string{"charge", "page 1", "never"}
	victim := s.worker(s.url, 3*each+open, lease)
	var ids []int64
	for _, stage := range stages {
		ids = append(ids, s.travel(each, stage)...)
	}
	var sending sync.WaitGroup
	sending.Go(func() { s.send(ids) })
	s.becomes(2*each, "select count(distinct job_id) from effects where what = 'hangs'")
	shipping := s.travel(open, "ship") // with a transaction open, of which nothing will be left
	s.becomes(2*each+open, "select count(distinct job_id) from effects where what = 'hangs'")
	s.becomes(2*each+open, "select count(*) from pgq.steps where name = 'charge'")
	heir := s.worker(s.url, 10, lease)
	s.becomes(2, registered)
	victim.kill()
	sending.Wait()
	s.send(shipping)
	s.becomes(jobs+open, completed)

	s.is(0, "effects of recorded stages that happened twice", exactlyOnce)
	s.is(jobs+open, "shipments", "select count(*) from effects where what = 'ship'")
	s.is(pages*(jobs+open), "pages", "select count(*) from effects where what like 'page %'")
	s.is(jobs+each+open, "charges: twice where the process died between the effect and its record", "select count(*) from effects where what = 'charge'")
	s.is(each, "charges recorded by the second attempt", "select count(*) from pgq.steps where name = 'charge' and attempt = 2 and output = '2'")
	heir.ends()
}

func TestAProcessThatWasStoppedInAStepRecordsNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const jobs = 20
	zombie := s.worker(s.url, 2*jobs, lease)
	ids := s.travel(jobs, "charge")
	s.becomes(jobs, "select count(distinct job_id) from effects where what = 'hangs'")
	heir := s.worker(s.url, 10, lease)
	s.becomes(2, registered)
	zombie.signal(syscall.SIGSTOP)
	s.becomes(jobs, "select count(*) from pgq.steps where name = 'charge'") // by the heir
	zombie.signal(syscall.SIGCONT)
	eventually(t, "the zombie is told", func() bool { return zombie.logged("lease lost while the handler ran") })
	s.send(ids)
	s.becomes(jobs, completed)

	s.is(jobs, "charges recorded, all by the second attempt", "select count(*) from pgq.steps where name = 'charge' and attempt = 2 and output = '2'")
	s.is(0, "shipments of the first attempt", "select count(*) from effects where what = 'ship' and attempt = 1")
	s.is(0, "effects of recorded stages that happened twice", exactlyOnce)
	s.is(jobs, "jobs completed by the second attempt", completed+" and attempt = 2")
	heir.ends()
}
