// Unique enqueues jobs that are to be there once: one per shop that waits to be synchronized, the last wish of a debounced one, and
// a report that is asked for by many at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
)

// Sync asks for a shop to be synchronized.
type Sync struct {
	Shop int    `json:"shop"`
	Why  string `json:"why"`
}

// Kind names this kind of job for ever.
func (Sync) Kind() string { return "sync" }

// Options are those of every job of the kind: while one waits for a shop, another one would see the same.
func (Sync) Options() pgq.Options {
	return pgq.Options{Queue: "example_unique", Unique: pgq.Unique{By: []string{"args.shop"}, While: pgq.Queued}}
}

// Report asks for the report of a day.
type Report struct {
	Day string `json:"day"`
}

// Kind names this kind of job for ever.
func (Report) Kind() string { return "report" }

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
	for _, show := range []func(context.Context, *pgq.Client, *pgxpool.Pool) error{shops, search, reports} {
		if err := show(ctx, q, pool); err != nil {
			return err
		}
	}
	return nil
}

// shops enqueues three jobs for two shops.
func shops(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) error {
	jobs, err := q.EnqueueEach(ctx, pool, []pgq.Item{
		{Args: Sync{Shop: 7, Why: "an order"}}, {Args: Sync{Shop: 8, Why: "an order"}}, {Args: Sync{Shop: 7, Why: "a return"}},
	})
	if err != nil {
		return err
	}
	fmt.Println("the third is the first:", jobs[2].ID == jobs[0].ID && jobs[2].Existing)
	return nil
}

// search debounces: a job runs when nobody has asked for three seconds, with what was asked last.
func search(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) error {
	for _, why := range []string{"one key was pressed", "another one", "the last one"} {
		_, err := q.Enqueue(ctx, pool, Sync{Shop: 9, Why: why}, pgq.Options{
			Unique: pgq.Unique{By: []string{"args.shop"}, Debounce: 3 * time.Second, MaxWait: time.Minute},
		})
		if err != nil {
			return err
		}
	}
	fmt.Println("one search waits")
	return nil
}

// reports lets ten ask for one report at the same time.
func reports(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	added, refused := 0, 0
	for range 10 {
		all.Go(func() {
			_, err := q.Enqueue(ctx, pool, Report{Day: "2031-05-01"}, pgq.Options{
				Queue:  "example_unique",
				Unique: pgq.Unique{By: []string{"args"}, For: 24 * time.Hour, OnConflict: pgq.ConflictError},
			})
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, pgq.ErrDuplicate) {
				refused++
			} else if err == nil {
				added++
			}
		})
	}
	all.Wait()
	fmt.Println("at most one report a day:", added <= 1 && added+refused == 10)
	return nil
}
