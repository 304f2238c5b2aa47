// Events reads what happens to orders at a position that the database keeps: it counts what was shipped exactly once, tells of what
// failed, and gets what happened while it was away.
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

const queue = "example_events"

// Ship asks for an order to be shipped.
type Ship struct {
	Order int `json:"order"`
}

// Kind names this kind of job for ever.
func (Ship) Kind() string { return "ship" }

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
	_, err = pool.Exec(ctx, "create table if not exists example_shipped (orders integer not null); truncate example_shipped; insert into example_shipped values (0)")
	if err != nil {
		return err
	}
	q := pgq.New(pgq.Config{})
	level := pgq.EventsAll
	if err := q.SetQueue(ctx, pool, queue, pgq.QueueSettings{Events: &level}); err != nil {
		return err
	}
	stop := work(ctx, pool)
	defer stop()
	handled := make(chan pgq.Event, 10)
	if err := day(ctx, q, pool, handled, 1, 2, 13); err != nil {
		return err
	}
	// While nobody consumes, another order is shipped.
	if err := ship(ctx, q, pool, 4); err != nil {
		return err
	}
	fmt.Println("and now for what happened meanwhile")
	if err := day(ctx, q, pool, handled); err != nil {
		return err
	}
	state, err := q.ConsumerState(ctx, pool, "example_shipping")
	if err != nil {
		return err
	}
	fmt.Printf("handled %d events, %d to go\n", state.Handled, state.Behind)
	return q.DeleteConsumer(ctx, pool, "example_shipping")
}

// shipping returns the consumer.
func shipping(handled chan<- pgq.Event) *pgq.Consumer {
	c := &pgq.Consumer{Name: "example_shipping", Queues: []string{queue}}
	c.HandleTx(pgq.EventCompleted, func(ctx context.Context, tx pgx.Tx, e pgq.Event) error {
		var orders int
		err := tx.QueryRow(ctx, "update example_shipped set orders = orders + 1 returning orders").Scan(&orders)
		if err == nil {
			fmt.Println("orders shipped:", orders)
			handled <- e
		}
		return err
	})
	c.Handle(pgq.EventFailed, func(ctx context.Context, e pgq.Event) error {
		details, err := e.Details()
		if err == nil {
			fmt.Println("an order was not shipped:", details.Error)
			handled <- e
		}
		return err
	})
	return c
}

// day consumes while orders are shipped, and one event at least is handled for each.
func day(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool, handled chan pgq.Event, orders ...int) error {
	consuming, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	consumer := shipping(handled)
	if _, err := q.SetConsumer(ctx, pool, pgq.Consumer{
		Name: consumer.Name, Queues: consumer.Queues, Types: []pgq.EventType{pgq.EventCompleted, pgq.EventFailed},
	}); err != nil {
		stop()
		return err
	}
	go func() { ended <- q.Consume(consuming, pool, consumer) }()
	for range max(1, len(orders)) {
		if len(orders) > 0 {
			if err := ship(ctx, q, pool, orders[0]); err != nil {
				stop()
				return err
			}
			orders = orders[1:]
		}
		<-handled
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// ship enqueues an order and waits until its job has ended.
func ship(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool, order int) error {
	job, err := q.Enqueue(ctx, pool, Ship{Order: order}, pgq.Options{Queue: queue})
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err = q.WaitEvent(limited, pool, pgq.EventFilter{
		JobIDs: []int64{job.ID}, Types: []pgq.EventType{pgq.EventCompleted, pgq.EventFailed},
	})
	return err
}

// work ships orders until stop is called.
func work(ctx context.Context, pool *pgxpool.Pool) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	w := worker.New(pool, worker.Config{Queues: worker.Queues{queue: {Concurrency: 2}}, Logger: slog.New(slog.DiscardHandler)})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[Ship]) error {
		if job.Args.Order == 13 {
			return pgq.Permanent(errors.New("nobody packs number 13"))
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() {
		cancel()
		<-ended
	}
}
