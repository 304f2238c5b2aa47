// Limits lets two customers share a queue: the small one waits for one turn of the big one, no more than two jobs of either run at a time, mails start
// at a rate, and a handler that is told to leave a service alone puts off all that use it.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

const queue = "example_limits"

// Mail is one of many that a customer sends.
type Mail struct {
	Customer string `json:"customer"`
}

// Kind names this kind of job for ever.
func (Mail) Kind() string { return "mail" }

// Call asks a service that may want to be left alone.
type Call struct{}

// Kind names this kind of job for ever.
func (Call) Kind() string { return "call" }

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
	if err := limit(ctx, q, pool); err != nil {
		return err
	}
	ids, err := enqueue(ctx, q, pool)
	if err != nil {
		return err
	}
	var o office
	w := worker.New(pool, worker.Config{Client: q, Queues: worker.Queues{queue: {Concurrency: 5}}})
	worker.Handle(w, o.mail)
	worker.Handle(w, o.call)
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	for _, id := range ids {
		if _, err := q.AwaitFinished(ctx, pool, id); err != nil {
			stop()
			return err
		}
	}
	stop()
	o.report()
	return <-ended
}

// limit sets that two jobs of each customer run at a time, that the big one has three turns where others have one, and how fast mails start, and that there is
// one call at a time.
func limit(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) error {
	err := q.SetLimit(ctx, pool, pgq.OfGroup("customer/*"), pgq.Limit{MaxRunning: 2})
	if err != nil {
		return err
	}
	err = q.SetLimit(ctx, pool, pgq.OfGroup("customer/big"), pgq.Limit{MaxRunning: 2, Weight: 3})
	if err != nil {
		return err
	}
	err = q.SetLimit(ctx, pool, pgq.OfGroup("service"), pgq.Limit{MaxRunning: 1}) // so that no call is under way when another one is told to wait
	if err != nil {
		return err
	}
	return q.SetLimit(ctx, pool, pgq.OfKind("mail"), pgq.Limit{Rate: 100, Period: time.Second, Burst: 20})
}

// enqueue adds 60 mails of the big customer, then 3 of the small one, and two calls.
func enqueue(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) (ids []int64, err error) {
	var items []pgq.Item
	add := func(n int, group string, args pgq.Args) {
		for range n {
			items = append(items, pgq.Item{Args: args, Options: pgq.Options{Queue: queue, Group: group}})
		}
	}
	add(60, "customer/big", Mail{"big"})
	add(3, "customer/small", Mail{"small"})
	add(2, "service", Call{})
	return q.EnqueueMany(ctx, pool, items)
}

// office notes what its handlers see.
type office struct {
	mu            sync.Mutex
	sent          []string
	running, most map[string]int
	asked         time.Time // when the service wanted to be left alone
	early         bool      // a call came before the service wanted to be called again
}

const rest = 300 * time.Millisecond

// enter counts a job of a customer as running until leave is called.
func (o *office) enter(customer string) (leave func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running == nil {
		o.running, o.most = map[string]int{}, map[string]int{}
	}
	o.running[customer]++
	o.most[customer] = max(o.most[customer], o.running[customer])
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.running[customer]--
		o.sent = append(o.sent, customer)
	}
}

func (o *office) mail(_ context.Context, job *pgq.Job[Mail]) error {
	defer o.enter(job.Args.Customer)()
	return nil
}

func (o *office) call(context.Context, *pgq.Job[Call]) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.asked.IsZero() {
		o.asked = time.Now()
		return pgq.RetryAfterAll(pgq.OfGroup("service"), rest)
	}
	o.early = o.early || time.Since(o.asked) < rest*9/10
	return nil
}

func (o *office) report() {
	o.mu.Lock()
	defer o.mu.Unlock()
	last := 0
	for i, customer := range o.sent {
		if customer == "small" {
			last = i
		}
	}
	fmt.Println("sent", len(o.sent), "mails")
	fmt.Println("the small customer, who came last, did not wait for the big one:", last < 30)
	fmt.Println("no more than two of a customer ran at a time:", o.most["big"] <= 2 && o.most["small"] <= 2)
	fmt.Println("the service was left alone:", !o.early)
}
