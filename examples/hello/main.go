// Hello enqueues a job in the transaction that writes an order, runs it, and awaits its result.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// SendReceipt asks to send the receipt of an order.
type SendReceipt struct {
	OrderID int64 `json:"order_id"`
}

// Kind names this kind of job for ever.
func (SendReceipt) Kind() string { return "send_receipt" }

// Receipt is the result of SendReceipt.
type Receipt struct {
	Number string `json:"number"`
}

const queue = "example_hello"

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
	// A step of deployment in real life: pgq-admin migrate up.
	if err := migrations.Up(ctx, url, migrations.Options{}); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()

	q := pgq.New(pgq.Config{})
	job, err := placeOrder(ctx, pool, q)
	if err != nil {
		return err
	}
	fmt.Println("the order and its job are committed")

	// The worker, mostly another process.
	w := worker.New(pool, worker.Config{Client: q, Queues: worker.Queues{queue: {Concurrency: 5}}})
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[SendReceipt]) (Receipt, error) {
		fmt.Printf("sending the receipt of order %d, attempt %d\n", job.Args.OrderID, job.Number)
		return Receipt{Number: fmt.Sprintf("R-%05d", job.Args.OrderID)}, nil
	})
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()

	receipt, err := pgq.Await[Receipt](ctx, q, pool, job)
	if err != nil {
		stop()
		return err
	}
	fmt.Println("the receipt is", receipt.Number)

	stop()
	return <-ended
}

// placeOrder writes an order and enqueues a job for it: both are there, or none is.
func placeOrder(ctx context.Context, pool *pgxpool.Pool, q *pgq.Client) (job int64, err error) {
	_, err = pool.Exec(ctx, "create table if not exists example_orders (id bigint generated always as identity primary key, item text)")
	if err != nil {
		return 0, err
	}
	tx, err := pool.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // does nothing after the commit

	var order int64
	if err := tx.QueryRow(ctx, "insert into example_orders (item) values ('a book') returning id").Scan(&order); err != nil {
		return 0, err
	}
	enqueued, err := q.Enqueue(ctx, tx, SendReceipt{OrderID: order}, pgq.Options{Queue: queue})
	if err != nil {
		return 0, err
	}
	return enqueued.ID, tx.Commit(ctx)
}
