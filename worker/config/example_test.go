package config_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
	"github.com/pgq-go/queue/worker/config"
)

// mail is a job.
type mail struct{ To string }

func (mail) Kind() string { return "mail" }

// A worker whose settings are those of a file and of the environment, but for what code says.
func Example() {
	main := func(ctx context.Context) {
		loaded, err := config.Load(config.Sources{File: os.Getenv("PGQ_CONFIG"), Environ: os.Environ()})
		if err != nil {
			log.Fatal(err) // names the setting, the rule, and the file with its line or the variable
		}
		pool, err := pgxpool.New(ctx, loaded.DatabaseURL)
		if err != nil {
			log.Fatal(err)
		}
		w := worker.New(pool, loaded.WorkerConfig(worker.Config{
			Queues: worker.Queues{"mail": {Concurrency: 50}}, // code wins
			Logger: slog.New(slog.DiscardHandler),
		}))
		worker.Handle(w, func(context.Context, *pgq.Job[mail]) error { return nil })
		log.Fatal(w.Run(ctx))
	}
	_ = main

	_, err := config.Load(config.Sources{Environ: []string{"PGQ_WORKER_LEESE=10s"}})
	fmt.Println(err)
	loaded, _ := config.Load(config.Sources{Environ: []string{"PGQ_WORKER_LEASE=10s", "PGQ_WORKER_QUEUES=mail=50"}})
	for _, v := range loaded.Values() {
		if v.Source != "default" {
			fmt.Println(v.Field, v.Value, v.Source)
		}
	}
	// Output:
	// environment: unknown variable PGQ_WORKER_LEESE; did you mean PGQ_WORKER_LEASE?
	// worker.queues mail=50 PGQ_WORKER_QUEUES
	// worker.lease 10s PGQ_WORKER_LEASE
}
