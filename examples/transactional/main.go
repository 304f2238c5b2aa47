// Transactional completes a job in the same transaction that writes the job's effect, so that the effect happens
// exactly once although the job may be run more than once.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// Deposit asks to add money to an account.
type Deposit struct {
	Account string `json:"account"`
	Amount  int    `json:"amount"`
}

// Kind names this kind of job for ever.
func (Deposit) Kind() string { return "deposit" }

const queue = "example_transactional"

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
	_, err = pool.Exec(ctx, `
		create table if not exists example_accounts (name text primary key, balance integer not null);
		insert into example_accounts values ('ada', 0) on conflict (name) do update set balance = 0`)
	if err != nil {
		return err
	}

	q := pgq.New(pgq.Config{})
	job, err := q.Enqueue(ctx, pool, Deposit{Account: "ada", Amount: 10}, pgq.Options{Queue: queue})
	if err != nil {
		return err
	}
	w := worker.New(pool, worker.Config{
		Client: q, Queues: worker.Queues{queue: {}},
		Logger: slog.New(slog.DiscardHandler), // here the failed attempt is part of the show
	})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[Deposit]) error { return deposit(ctx, pool, job) })
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()

	balance, err := pgq.Await[int](ctx, q, pool, job.ID)
	if err != nil {
		stop()
		return err
	}
	fmt.Println("completed; the balance is", balance)

	stop()
	return <-ended
}

// deposit adds the money and completes the job, both or none.
func deposit(ctx context.Context, pool *pgxpool.Pool, job *pgq.Job[Deposit]) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var balance int
		err := tx.QueryRow(ctx, "update example_accounts set balance = balance + $1 where name = $2 returning balance",
			job.Args.Amount, job.Args.Account).Scan(&balance)
		if err != nil {
			return err
		}
		if job.Number == 1 {
			fmt.Println("attempt 1: deposited, but it breaks before the commit")
			return pgq.RetryAfter(0, errors.New("something broke"))
		}
		fmt.Printf("attempt %d: deposited, completing the job in the same transaction\n", job.Number)
		// Had another worker been given the job meanwhile, this would be pgq.ErrLeaseLost, and all be rolled back.
		return job.Complete(ctx, tx, balance)
	})
}
