// Isolated runs a handler in a child process of this same program, where it may crash, hoard memory or hang.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
	"github.com/pgq-go/queue/worker/command"
)

// Render asks to render a page.
type Render struct {
	Page string `json:"page"`
}

// Kind names this kind of job for ever.
func (Render) Kind() string { return "example_render" }

var render = command.Function("render", func(_ context.Context, job command.Job[Render]) (string, error) {
	switch job.Args.Page {
	case "cursed":
		os.Exit(3) // as a library in C might
	case "huge":
		var all []byte
		for {
			all = append(all, make([]byte, 1<<20)...)
			for i := range all {
				all[i] = 1
			}
		}
	}
	fmt.Println("rendering", job.Args.Page) // goes to the log of the job
	return "<h1>" + job.Args.Page + "</h1>", nil
})

func main() {
	command.Main() // before anything else: in a child process it runs the function and exits
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
	w := worker.New(pool, worker.Config{
		Client: q, Queues: worker.Queues{"example_isolated": {Concurrency: 3}}, Logger: slog.New(slog.DiscardHandler),
	})
	render.Timeout, render.MaxMemory = time.Minute, 200<<20
	worker.HandleCommand(w, Render{}.Kind(), render)
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	for _, page := range []string{"home", "cursed", "huge"} {
		job, err := q.Enqueue(ctx, pool, Render{page}, pgq.Options{Queue: "example_isolated", MaxAttempts: 1})
		if err != nil {
			return err
		}
		html, err := pgq.Await[string](ctx, q, pool, job.ID)
		fmt.Printf("%s: %q, %v\n", page, html, err)
	}
	stop()
	return <-ended
}
