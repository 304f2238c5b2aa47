// Etl runs a DAG of four jobs: extract, then clean and describe side by side, then load, which needs the clean rows and
// takes the description if there is one. Describe fails, and the DAG is completed without it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// The kinds of jobs. Only the first needs to be told anything: the others read the results of those before them.
type (
	Extract struct {
		From string `json:"from"`
	}
	Clean    struct{}
	Describe struct{}
	Load     struct{}
)

func (Extract) Kind() string  { return "extract" }
func (Clean) Kind() string    { return "clean" }
func (Describe) Kind() string { return "describe" }
func (Load) Kind() string     { return "load" }

const queue = "example_etl"

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
	d := dagsql.NewClient(q)
	dag, err := d.Submit(ctx, pool, build("people.csv")) // or in a transaction of yours
	if err != nil {
		return err
	}

	w := worker.New(pool, worker.Config{Queues: worker.Queues{queue: {}}, Logger: slog.New(slog.DiscardHandler)})
	handle(w)
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	defer func() { stop(); <-ended }()

	loaded, err := pgq.Await[int](ctx, q, pool, dag.ID) // the DAG is a job, and its result that of load
	if err != nil {
		return err
	}
	fmt.Printf("the DAG is completed, %d rows were loaded\n", loaded)
	nodes, _, err := d.Nodes(ctx, pool, dag.ID, dagsql.Filter{})
	for _, n := range nodes {
		fmt.Printf("%s: %s\n", n.Name, n.State)
	}
	return err
}

// build returns the DAG. Nothing runs yet, and no database is needed.
func build(file string) *dagsql.Builder {
	b := dagsql.New("etl", dagsql.Options{Queue: queue, Output: "load"})
	extract := b.Add("extract", Extract{From: file})
	clean := b.Add("clean", Clean{}).After(extract)
	describe := b.Add("describe", Describe{}).After(extract)
	b.Add("load", Load{}).After(clean, describe.Soft()) // soft: load runs even if describe fails
	return b
}

// handle adds the handlers. What they return are the results of their nodes.
func handle(w *worker.Worker) {
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[Extract]) ([]string, error) {
		fmt.Println("extracting from", job.Args.From)
		return []string{"ada ", " grace", "", "edsger"}, nil
	})
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Clean]) ([]string, error) {
		rows, err := dagsql.Result[[]string](ctx, job.Attempt, "extract")
		var clean []string
		for _, row := range rows {
			if row = strings.TrimSpace(row); row != "" {
				clean = append(clean, row)
			}
		}
		return clean, err
	})
	worker.HandleResult(w, func(context.Context, *pgq.Job[Describe]) (string, error) {
		return "", pgq.Permanent(errors.New("the model is not there")) // no further attempts
	})
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Load]) (int, error) {
		rows, err := dagsql.Result[[]string](ctx, job.Attempt, "clean")
		if err != nil {
			return 0, err
		}
		text, described, err := dagsql.Maybe[string](ctx, job.Attempt, "describe")
		fmt.Printf("loading %q, described: %v %q\n", rows, described, text)
		return len(rows), err
	})
}
