// Configured reads its settings from a file, the environment and code, tells where each is from, and refuses what it does not know.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
	"github.com/pgq-go/queue/worker/config"
)

// A program is mostly given the file by PGQ_CONFIG.
const file = `worker:
  queues:
    example_configured: {concurrency: 2}
  lease: 10s
  grace: 1m
`

// Greet is what the worker does.
type Greet struct {
	Name string `json:"name"`
}

// Kind names this kind of job for ever.
func (Greet) Kind() string { return "greet" }

func main() {
	if os.Getenv("PGQ_DATABASE_URL") == "" {
		log.Fatal("set PGQ_DATABASE_URL, for example postgres://user:password@localhost:5432/database")
	}
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "pgq-example-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "pgq.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		return err
	}

	// The environment wins over the file.
	environment := append(os.Environ(), "PGQ_WORKER_GRACE=5s")
	loaded, err := config.Load(config.Sources{File: path, Environ: environment})
	if err != nil {
		return err
	}
	for _, v := range loaded.Values() {
		switch v.Field {
		case "worker.lease", "worker.grace", "worker.prefetch":
			fmt.Println(v.Field, "is", v.Value, "by", filepath.Base(v.Source))
		}
	}
	_, err = config.Load(config.Sources{File: path, Environ: []string{"PGQ_WORKER_LEESE=10s"}})
	fmt.Println("refused:", err)

	if err := migrations.Up(ctx, loaded.DatabaseURL, migrations.Options{}); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, loaded.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	q := pgq.New(pgq.Config{})
	if _, err := q.Enqueue(ctx, pool, Greet{"Ada"}, pgq.Options{Queue: "example_configured"}); err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	w := worker.New(pool, loaded.WorkerConfig(worker.Config{Client: q})) // what code says here would win over all
	worker.Handle(w, func(_ context.Context, job *pgq.Job[Greet]) error {
		fmt.Println("hello", job.Args.Name)
		stop()
		return nil
	})
	return w.Run(working)
}
