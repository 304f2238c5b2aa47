package pgq_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
)

// SendReceipt are the arguments of a kind of job.
type SendReceipt struct {
	OrderID int64 `json:"order_id"`
}

func (SendReceipt) Kind() string { return "send_receipt" }

// A job that is enqueued in a transaction exists exactly if the transaction commits.
func ExampleClient_Enqueue() {
	pgtest.Example(func(pool *pgxpool.Pool) {
		ctx := context.Background()
		q := pgq.New(pgq.Config{})

		tx, _ := pool.Begin(ctx)
		lost, _ := q.Enqueue(ctx, tx, SendReceipt{OrderID: 1}, pgq.Options{})
		_ = tx.Rollback(ctx)

		tx, _ = pool.Begin(ctx)
		kept, _ := q.Enqueue(ctx, tx, SendReceipt{OrderID: 2}, pgq.Options{Queue: "mail", Delay: time.Minute})
		_ = tx.Commit(ctx)

		_, err := q.Get(ctx, pool, lost.ID)
		fmt.Println("rolled back, not found:", errors.Is(err, pgq.ErrNotFound))
		job, _ := q.Get(ctx, pool, kept.ID)
		fmt.Println("committed:", job.Queue, job.Kind, job.State)
	})
	// Output:
	// rolled back, not found: true
	// committed: mail send_receipt scheduled
}

// A bulk of any size is streamed, all or none.
func ExampleClient_EnqueueMany() {
	pgtest.Example(func(pool *pgxpool.Pool) {
		ctx := context.Background()
		q := pgq.New(pgq.Config{})
		items := make([]pgq.Item, 1000)
		for i := range items {
			items[i] = pgq.Item{Args: SendReceipt{OrderID: int64(i)}}
		}
		ids, err := q.EnqueueMany(ctx, pool, items)
		counts, _ := q.Counts(ctx, pool)
		fmt.Println(len(ids), err, counts)
	})
	// Output: 1000 <nil> [{default ready 1000 true}]
}

// A queue with a maximum depth refuses jobs when it is full.
func ExampleClient_SetQueue() {
	pgtest.Example(func(pool *pgxpool.Pool) {
		ctx := context.Background()
		q := pgq.New(pgq.Config{})
		most := int64(1)
		_ = q.SetQueue(ctx, pool, "default", pgq.QueueSettings{MaxDepth: &most})
		for range 2 {
			_, err := q.Enqueue(ctx, pool, SendReceipt{}, pgq.Options{})
			fmt.Println(errors.Is(err, pgq.ErrQueueFull))
		}
	})
	// Output:
	// false
	// true
}

// Cancel says of each job what it did.
func ExampleClient_Cancel() {
	pgtest.Example(func(pool *pgxpool.Pool) {
		ctx := context.Background()
		q := pgq.New(pgq.Config{})
		job, _ := q.Enqueue(ctx, pool, SendReceipt{}, pgq.Options{})
		outcomes, _ := q.Cancel(ctx, pool, "order was withdrawn", job.ID)
		history, _ := q.History(ctx, pool, job.ID)
		fmt.Println(outcomes[0].Outcome)
		for _, event := range history {
			fmt.Println(event.Type, len(event.Data) > 0)
		}
	})
	// Output:
	// cancelled
	// enqueued false
	// cancelled true
}

// An error that names the field and the rule.
func ExampleArgumentError() {
	pgtest.Example(func(pool *pgxpool.Pool) {
		q := pgq.New(pgq.Config{})
		_, err := q.Enqueue(context.Background(), pool, SendReceipt{}, pgq.Options{Priority: pgq.Prio(12)})
		var bad *pgq.ArgumentError
		fmt.Println(errors.As(err, &bad), bad.Field, bad.Rule)
	})
	// Output: true priority must be 0 to 9
}
