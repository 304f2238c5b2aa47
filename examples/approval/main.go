// Approval asks a human before it pays a refund. The node that waits for the answer holds no worker, not even a
// process; the answer comes from Go, from SQL, or by default when nobody answers in time.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// The kinds of jobs.
type (
	Check struct {
		Order int `json:"order"`
	}
	Pay    struct{}
	Refuse struct{}
	Report struct{}
)

func (Check) Kind() string  { return "check" }
func (Pay) Kind() string    { return "pay" }
func (Refuse) Kind() string { return "refuse" }
func (Report) Kind() string { return "report" }

// Decision is the answer, and the result of the node that waits for it.
type Decision struct {
	Approved bool   `json:"approved"`
	By       string `json:"by"`
}

const queue = "example_approval"

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

	w := worker.New(pool, worker.Config{Queues: worker.Queues{queue: {}}, Logger: slog.New(slog.DiscardHandler)})
	handle(w)
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	defer func() { stop(); <-ended }()

	q := pgq.New(pgq.Config{})
	d := dagsql.NewClient(q)
	answers := []func(dag int64) error{
		func(dag int64) error { // from Go
			_, err := d.Complete(ctx, pool, dag, "approve", Decision{Approved: true, By: "ada"})
			return err
		},
		func(dag int64) error { // from SQL
			_, err := pool.Exec(ctx, `select pgq.dag_complete($1, 'approve', '{"approved": false, "by": "bob"}')`, dag)
			return err
		},
		func(int64) error { return nil }, // by nobody
	}
	for i, answer := range answers {
		timeout := 24 * time.Hour
		if i == 2 {
			timeout = 100 * time.Millisecond
		}
		dag, err := d.Submit(ctx, pool, build(i+1, timeout))
		if err != nil {
			return err
		}
		// An answer that comes before the node is reached is kept until then.
		if err := answer(dag.ID); err != nil {
			return err
		}
		report, err := pgq.Await[string](ctx, q, pool, dag.ID)
		if err != nil {
			return err
		}
		fmt.Println(report)
	}
	return nil
}

// build returns the DAG of one refund.
func build(order int, timeout time.Duration) *dagsql.Builder {
	b := dagsql.New("refund", dagsql.Options{Queue: queue, Output: "report"})
	check := b.Add("check", Check{Order: order})
	approve := b.External("approve", dagsql.ExternalOptions{Timeout: timeout, Default: Decision{By: "default"}}).After(check)
	pay := b.Add("pay", Pay{}).After(approve.When(`$.approved == true`))
	refuse := b.Add("refuse", Refuse{}).After(approve.When(`$.approved == false`))
	b.Add("report", Report{}).After(pay, refuse).Rule(dagsql.Join) // runs after the one that was not skipped
	return b
}

func handle(w *worker.Worker) {
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[Check]) (string, error) {
		return fmt.Sprintf("order %d", job.Args.Order), nil
	})
	worker.HandleResult(w, func(context.Context, *pgq.Job[Pay]) (string, error) { return "paid", nil })
	worker.HandleResult(w, func(context.Context, *pgq.Job[Refuse]) (string, error) { return "refused", nil })
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Report]) (string, error) {
		order, err := dagsql.Result[string](ctx, job.Attempt, "check")
		if err != nil {
			return "", err
		}
		decision, err := dagsql.Result[Decision](ctx, job.Attempt, "approve")
		if err != nil {
			return "", err
		}
		for what, err := range dagsql.Results[string](ctx, job.Attempt) { // of pay and refuse
			if err != nil {
				return "", err
			}
			if what.State == pgq.Completed {
				return fmt.Sprintf("%s: %s by %s", order, what.Value, decision.By), nil
			}
		}
		return "", fmt.Errorf("%s was neither paid nor refused", order)
	})
}
