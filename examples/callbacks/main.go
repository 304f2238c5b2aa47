// Callbacks charges a card: a job that is enqueued with others that are to run when it is retried, when it has succeeded, and when it has failed for good.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// Charge asks for a card to be charged.
type Charge struct {
	Card   string `json:"card"`
	Amount int    `json:"amount"`
}

// Kind names this kind of job for ever.
func (Charge) Kind() string { return "charge" }

// Tell asks for somebody to be told.
type Tell struct {
	Whom string `json:"whom"`
}

// Kind names this kind of job for ever.
func (Tell) Kind() string { return "tell" }

const queue = "example_callbacks"

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
	q := pgq.New(pgq.Config{})
	told := make(chan string)
	w := worker.New(pool, worker.Config{Queues: worker.Queues{queue: {Concurrency: 4}}, Logger: slog.New(slog.DiscardHandler)})
	handle(w, q, pool, told)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	for _, card := range []string{"good", "slow", "stolen"} {
		tell := func(whom string) *pgq.Item {
			return &pgq.Item{Args: Tell{whom}, Options: pgq.Options{Queue: queue}}
		}
		_, err := q.Enqueue(ctx, pool, Charge{Card: card, Amount: 7}, pgq.Options{
			Queue: queue, MaxAttempts: 3, Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: 10 * time.Millisecond},
			Callbacks: pgq.Callbacks{OnSuccess: tell("the customer"), OnFailure: tell("support"), OnRetry: tell("whoever watches")},
		})
		if err != nil {
			return err
		}
		for text := ""; text != "."; text = <-told {
			if text != "" {
				fmt.Println(text)
			}
		}
	}
	stop()
	return <-ended
}

// handle lets the worker charge cards, and tell of it: a dot when no more is to come of the card.
func handle(w *worker.Worker, q *pgq.Client, pool *pgxpool.Pool, told chan<- string) {
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[Charge]) (string, error) {
		switch {
		case job.Args.Card == "stolen":
			return "", pgq.Permanent(errors.New("the card is stolen"))
		case job.Args.Card == "slow" && job.Number == 1:
			return "", errors.New("the bank does not answer")
		}
		return "R-" + job.Args.Card, nil
	})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[Tell]) error {
		c, ok := job.Callback()
		if !ok {
			return pgq.Permanent(errors.New("is no callback"))
		}
		text := fmt.Sprintf("%s: %s %d is %s after attempt %d", job.Args.Whom, c.Kind, c.JobID, c.State, c.Attempt)
		switch c.Event {
		case "on_success":
			receipt, err := pgq.Result[string](ctx, q, pool, c.JobID)
			if err != nil {
				return err
			}
			text += ", receipt " + receipt
		default:
			text += ": " + c.Error
		}
		told <- text
		if c.Event != "on_retry" {
			told <- "."
		}
		return nil
	})
}
