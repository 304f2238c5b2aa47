// Subdag rolls a release out to two regions, side by side. A region is a sub-DAG: a node that is made of nodes. Both are
// in another one, so that there is a single node to wait for.
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

// The kinds of jobs.
type (
	Build   struct{}
	Install struct {
		Region string `json:"region"`
	}
	Verify   struct{}
	Announce struct{}
)

func (Build) Kind() string    { return "build" }
func (Install) Kind() string  { return "install" }
func (Verify) Kind() string   { return "verify" }
func (Announce) Kind() string { return "announce" }

const queue = "example_subdag"

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

	d := dagsql.NewClient(pgq.New(pgq.Config{}))
	dag, err := d.Submit(ctx, pool, release())
	if err != nil {
		return err
	}
	end, err := d.Await(ctx, pool, dag.ID)
	if err != nil {
		return err
	}
	fmt.Println("the DAG is", end.State)
	nodes, _, err := d.Nodes(ctx, pool, dag.ID, dagsql.Filter{})
	for _, n := range nodes {
		fmt.Printf("%s: %s\n", n.Name, n.State)
	}
	return err
}

// release returns the DAG.
func release() *dagsql.Builder {
	b := dagsql.New("release", dagsql.Options{Queue: queue})
	build := b.Add("build", Build{})
	regions := b.Sub("regions").After(build)
	for _, name := range []string{"eu", "us"} {
		addRegion(regions.Sub(name), name)
	}
	b.Add("announce", Announce{}).After(regions) // once all is done in all regions
	return b
}

// addRegion fills a sub-DAG. Its first node waits for what the sub-DAGs around it wait for.
func addRegion(s *dagsql.Sub, name string) {
	install := s.Add("install", Install{Region: name})
	s.Add("verify", Verify{}).After(install)
}

func handle(w *worker.Worker) {
	worker.HandleResult(w, func(context.Context, *pgq.Job[Build]) (string, error) { return "v42", nil })
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Install]) (string, error) {
		// A name is looked for in the sub-DAG of the job first, then in those around it.
		version, err := dagsql.Result[string](ctx, job.Attempt, "build")
		return version + " in " + job.Args.Region, err
	})
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Verify]) (string, error) {
		return dagsql.Result[string](ctx, job.Attempt, "install") // that of its own region
	})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[Announce]) error {
		for _, region := range []string{"eu", "us"} {
			verified, err := dagsql.Result[string](ctx, job.Attempt, "regions/"+region+"/verify")
			if err != nil {
				return err
			}
			fmt.Println("verified", verified)
		}
		return nil
	})
}
