// Steps runs an order whose handler charges, ships in pages, sleeps, and waits for a signal. It fails on the way and goes on where it was: what
// is recorded is not done again.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// Fulfil asks to fulfil an order.
type Fulfil struct {
	Order int `json:"order"`
}

// Kind names this kind of job for ever.
func (Fulfil) Kind() string { return "fulfil" }

// Approval is the value of a signal.
type Approval struct {
	By string `json:"by"`
}

const queue = "example_steps"

func main() {
	url := os.Getenv("PGQ_DATABASE_URL")
	if url == "" {
		log.Fatal("set PGQ_DATABASE_URL, for example postgres://user:password@localhost:5432/database")
	}
	if err := run(context.Background(), url); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string) error {
	if err := migrations.Up(ctx, url, migrations.Options{}); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, "create table if not exists example_parcels (order_id bigint, item integer)"); err != nil {
		return err
	}

	q := pgq.New(pgq.Config{})
	w := worker.New(pool, worker.Config{
		Client: q, Queues: worker.Queues{queue: {}},
		Logger: slog.New(slog.DiscardHandler), // here the failed attempts are part of the show
	})
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Fulfil]) (string, error) { return fulfil(ctx, pool, job) })
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()

	err = place(ctx, pool, q)
	stop()
	return errors.Join(err, <-ended)
}

// place enqueues an order, approves it, and awaits what becomes of it.
func place(ctx context.Context, pool *pgxpool.Pool, q *pgq.Client) error {
	job, err := q.Enqueue(ctx, pool, Fulfil{Order: 7}, pgq.Options{Queue: queue, MaxAttempts: pgq.Unlimited, Backoff: quick})
	if err != nil {
		return err
	}
	outcome, err := q.Signal(ctx, pool, job.ID, "approval", Approval{By: "ada"})
	if err != nil {
		return err
	}
	if outcome != pgq.SignalKept && outcome != pgq.SignalDelivered { // kept until the handler looks, or it was put off and is ready
		return fmt.Errorf("the approval is %s", outcome)
	}
	result, err := pgq.Await[string](ctx, q, pool, job.ID)
	if err != nil {
		return err
	}
	fmt.Println("completed:", result)

	steps, err := q.Steps(ctx, pool, job.ID)
	if err != nil {
		return err
	}
	kept := map[string]string{}
	for _, step := range steps {
		kept[step.Name] = step.Type
	}
	fmt.Println("kept:", kept)
	failed, err := q.Errors(ctx, pool, job.ID)
	if err != nil {
		return err
	}
	for _, e := range failed {
		fmt.Printf("attempt %d failed: %s\n", e.Attempt, e.Error)
	}
	return nil
}

// quick waits shortly after the first two failures and then for an hour.
var quick = pgq.Backoff{
	Type:   pgq.BackoffTable,
	Delays: []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, time.Hour},
}

// fulfil is run again after each failure and pause, from its beginning; what is recorded is not done again.
func fulfil(ctx context.Context, pool *pgxpool.Pool, job *pgq.Job[Fulfil]) (string, error) {
	charge, err := pgq.Step(ctx, "charge", func(context.Context) (string, error) {
		fmt.Printf("attempt %d charges order %d\n", job.Number, job.Args.Order)
		return fmt.Sprintf("charge-%d", job.Args.Order), nil
	})
	if err != nil {
		return "", err
	}
	if job.Number == 1 {
		return "", errors.New("the warehouse does not answer")
	}

	if err := pgq.SleepFor(ctx, "cooling off", 50*time.Millisecond); err != nil {
		return "", err // until the sleep is over
	}
	approval, err := pgq.WaitFor[Approval](ctx, "approval", 24*time.Hour)
	if errors.Is(err, pgq.ErrNoSignal) {
		return "refused", nil
	}
	if err != nil {
		return "", err // until the signal is there
	}

	if err := pack(ctx, pool, job); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, approved by %s", charge, approval.By), nil
}

// pack writes each parcel in the transaction that moves the cursor: each is there once.
func pack(ctx context.Context, pool *pgxpool.Pool, job *pgq.Job[Fulfil]) error {
	next, _, err := pgq.LoadCursor[int](ctx, "packed") // 0 if there is none yet
	for ; err == nil && next < 4; next++ {
		if job.Number == 2 && next == 2 {
			return errors.New("out of tape")
		}
		fmt.Printf("attempt %d packs item %d\n", job.Number, next)
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "insert into example_parcels values ($1, $2)", job.Args.Order, next); err != nil {
				return err
			}
			return pgq.SaveCursorIn(ctx, tx, "packed", next+1)
		})
	}
	return err
}
