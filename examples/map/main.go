// Map runs a job for each item of another job's result: thumbnails of files, three at a time. One in ten may fail.
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

// List asks which files there are.
type List struct{}

// Kind names this kind of job for ever.
func (List) Kind() string { return "list" }

// Listing is the result of List.
type Listing struct {
	Files []string `json:"files"`
}

// Thumb asks for the thumbnail of a file. The map adds the file; the width is the same for all.
type Thumb struct {
	File  string `json:"file,omitempty"`
	Width int    `json:"width"`
}

// Kind names this kind of job for ever.
func (Thumb) Kind() string { return "thumb" }

// Album asks for a page with all thumbnails.
type Album struct{}

// Kind names this kind of job for ever.
func (Album) Kind() string { return "album" }

const queue = "example_map"

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
	dag, err := d.Submit(ctx, pool, build())
	if err != nil {
		return err
	}
	end, err := d.Await(ctx, pool, dag.ID)
	if err != nil {
		return err
	}
	// Those who are no handlers read results by the id of the DAG.
	tally, err := dagsql.Output[map[string]int](ctx, d, pool, dag.ID, "thumbs")
	fmt.Printf("the DAG is %s; of %d items %d failed\n", end.State, tally["items"], tally["failed"])
	return err
}

func build() *dagsql.Builder {
	b := dagsql.New("album", dagsql.Options{Queue: queue})
	list := b.Add("list", List{})
	thumbs := b.Map("thumbs", list, Thumb{Width: 64}, dagsql.MapOptions{
		Path:     "$.files[*]", // where the items are in the result of list
		As:       "file",       // what they are called in the args
		Window:   3,            // at most so many run at a time
		Tolerate: 10,           // percent that may fail
		Job:      pgq.Options{MaxAttempts: 1},
	})
	b.Add("album", Album{}).After(thumbs)
	return b
}

func handle(w *worker.Worker) {
	worker.HandleResult(w, func(context.Context, *pgq.Job[List]) (Listing, error) {
		return Listing{Files: strings.Fields("a.jpg b.jpg c.jpg d.jpg e.txt f.jpg g.jpg h.jpg i.jpg j.jpg")}, nil
	})
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[Thumb]) (string, error) {
		name, found := strings.CutSuffix(job.Args.File, ".jpg")
		if !found {
			return "", errors.New("this is no picture")
		}
		return fmt.Sprintf("%s-%d.jpg", name, job.Args.Width), nil
	})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[Album]) error {
		for item, err := range dagsql.Items[string](ctx, job.Attempt, "thumbs") { // in their order, however many
			switch {
			case err != nil:
				return err
			case item.State == pgq.Completed:
				fmt.Printf("%s: %s\n", item.Name, item.Value)
			default:
				fmt.Printf("%s: %s, %s\n", item.Name, item.State, item.Error)
			}
		}
		return nil
	})
}
