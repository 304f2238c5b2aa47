// Search tries many parameters at once. The first result that is good enough wins, and the other trials are cancelled.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// Trial asks to train a model with a learning rate.
type Trial struct {
	Rate float64 `json:"rate"`
}

// Kind names this kind of job for ever.
func (Trial) Kind() string { return "trial" }

// Model is the result of a trial.
type Model struct {
	Rate  float64 `json:"rate"`
	Score float64 `json:"score"`
}

// Pick asks to take the model of the trial that was good enough.
type Pick struct{}

// Kind names this kind of job for ever.
func (Pick) Kind() string { return "pick" }

// Trials have a queue of their own, so that they do not keep the others waiting.
const queue, trials = "example_search", "example_search_trials"

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

	w := worker.New(pool, worker.Config{
		Queues: worker.Queues{queue: {}, trials: {Concurrency: 4}},
		Logger: slog.New(slog.DiscardHandler),
	})
	worker.HandleResult(w, try)
	worker.HandleResult(w, pick)
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	defer func() { stop(); <-ended }()

	q := pgq.New(pgq.Config{})
	d := dagsql.NewClient(q)
	dag, err := d.Submit(ctx, pool, build())
	if err != nil {
		return err
	}
	best, err := pgq.Await[Model](ctx, q, pool, dag.ID)
	if err != nil {
		return err
	}
	fmt.Printf("the DAG is completed: rate %v has score %v\n", best.Rate, best.Score)
	progress, err := d.Progress(ctx, pool, dag.ID)
	fmt.Printf("of %d jobs %d were completed and %d cancelled\n", progress.Total, progress.Completed, progress.Cancelled)
	return err
}

// build returns the DAG: trials, and a node that starts as soon as one of them is good enough.
func build() *dagsql.Builder {
	b := dagsql.New("search", dagsql.Options{Queue: queue, Output: "best"})
	best := b.Add("best", Pick{})
	for n := range 20 {
		trial := b.Add(fmt.Sprintf("trial-%d", n+1), Trial{Rate: float64(n+1) / 100}, pgq.Options{Queue: trials, MaxAttempts: 1})
		best.AfterAny(trial.When(`$.score > 0.9`))
	}
	return b
}

// try trains a model. Here only one rate is any good, and the others would take for ever.
func try(ctx context.Context, job *pgq.Job[Trial]) (Model, error) {
	if job.Args.Rate == 0.03 {
		return Model{Rate: job.Args.Rate, Score: 0.95}, nil
	}
	<-ctx.Done() // the context ends when the job is cancelled
	return Model{}, context.Cause(ctx)
}

// pick takes the model that is good enough and cancels the trials that are left.
func pick(ctx context.Context, job *pgq.Job[Pick]) (Model, error) {
	var best Model
	for model, err := range dagsql.Results[Model](ctx, job.Attempt) {
		if err != nil {
			return Model{}, err
		}
		if model.State == pgq.Completed && model.Value.Score > best.Score {
			fmt.Println(model.Name, "is good enough")
			best = model.Value
		}
	}
	var dag int64
	err := job.DB().QueryRow(ctx, "select dag_id from pgq.jobs where id = $1", job.ID).Scan(&dag)
	if err != nil {
		return Model{}, err
	}
	_, err = dagsql.NewClient(job.Client()).Cancel(ctx, job.DB(), dag,
		dagsql.CancelOptions{Nodes: []string{"trial-*"}, Reason: "another trial is good enough"})
	return best, err
}
