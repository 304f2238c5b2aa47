package dagsql_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// A running job adds nodes to its own DAG: a crawler that follows links. They are there exactly if the job is completed.
func ExampleExtend() {
	links := map[string][]string{"home": {"news", "shop"}, "shop": {"cart"}}
	whileWorking(func(w *worker.Worker) {
		worker.Handle(w, func(ctx context.Context, job *pgq.Job[Fetch]) error {
			more := dagsql.NewExtension()
			for _, link := range links[job.Args.From] {
				more.Add(link, Fetch{From: link}).Before(more.Existing("report"))
			}
			pool := job.DB().(*pgxpool.Pool)
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				if links[job.Args.From] != nil {
					if _, err := dagsql.Extend(ctx, tx, job.Attempt, more); err != nil {
						return err
					}
				}
				return job.Complete(ctx, tx, nil)
			})
		})
		worker.Handle(w, func(context.Context, *pgq.Job[Report]) error { return nil })
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("crawl", dagsql.Options{})
		home := b.Add("home", Fetch{From: "home"})
		b.Add("report", Report{}).After(home)

		dag, _ := d.Submit(ctx, pool, b)
		show(ctx, d, pool, dag.ID)
	})
	// Output:
	// home: completed
	// report: completed
	// news: completed
	// shop: completed
	// cart: completed
	// the DAG: completed
}

// A node sleeps without holding a worker, and can be woken.
func ExampleScope_Sleep() {
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, fetch)
		worker.Handle(w, func(context.Context, *pgq.Job[Report]) error { return nil })
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("sleep", dagsql.Options{})
		text := b.Add("text", Fetch{From: "afar"})
		nap := b.Sleep("nap", 10*time.Millisecond).After(text)
		night := b.Sleep("night", 8*time.Hour).After(nap)
		b.Add("report", Report{}).After(night)

		dag, _ := d.Submit(ctx, pool, b)
		_, _ = d.Complete(ctx, pool, dag.ID, "night", nil)
		show(ctx, d, pool, dag.ID)
	})
	// Output:
	// text: completed
	// nap: completed
	// night: completed
	// report: completed
	// the DAG: completed
}

// What failed is run again, in place, once the reason is mended. What succeeded is not.
func ExampleClient_Retry() {
	var mended atomic.Bool
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Fetch]) (string, error) {
			fmt.Println("fetching")
			return fetch(ctx, job)
		})
		worker.HandleResult(w, func(context.Context, *pgq.Job[Count]) (int, error) {
			if !mended.Load() {
				return 0, pgq.Permanent(errors.New("the disk is full"))
			}
			return 3, nil
		})
		worker.Handle(w, func(context.Context, *pgq.Job[Report]) error { return nil })
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("retry", dagsql.Options{})
		text := b.Add("text", Fetch{From: "afar"})
		count := b.Add("count", Count{}).After(text)
		b.Add("report", Report{}).After(count)

		dag, _ := d.Submit(ctx, pool, b)
		show(ctx, d, pool, dag.ID)
		mended.Store(true)
		again, _ := d.Retry(ctx, pool, dag.ID, dagsql.RetryFailed)
		fmt.Println(len(again), "jobs were reset") // count, report and the DAG itself
		show(ctx, d, pool, dag.ID)
	})
	// Output:
	// fetching
	// text: completed
	// count: failed
	// report: skipped
	// the DAG: failed
	// 3 jobs were reset
	// text: completed
	// count: completed
	// report: completed
	// the DAG: completed
}

// A fork is a new DAG that has the results of another one and runs again from a node on. The old one stays as it is.
func ExampleClient_Fork() {
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Fetch]) (string, error) {
			fmt.Println("fetching")
			return fetch(ctx, job)
		})
		worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Count]) (int, error) {
			text, err := dagsql.Result[string](ctx, job.Attempt, "text")
			fmt.Println("counting", text)
			return len(text), err
		})
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("fork", dagsql.Options{})
		text := b.Add("text", Fetch{From: "afar"})
		b.Add("count", Count{}).After(text)

		dag, _ := d.Submit(ctx, pool, b)
		show(ctx, d, pool, dag.ID)
		fork, _ := d.Fork(ctx, pool, dag.ID, "count")
		show(ctx, d, pool, fork)
		run, _ := d.Get(ctx, pool, fork)
		fmt.Println("it knows where it comes from:", *run.ForkedFrom == dag.ID)
	})
	// Output:
	// fetching
	// counting hello from afar
	// text: completed
	// count: completed
	// the DAG: completed
	// counting hello from afar
	// text: completed
	// count: completed
	// the DAG: completed
	// it knows where it comes from: true
}

// No node of a DAG that is held starts; the others go on.
func ExampleClient_Hold() {
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, fetch)
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("hold", dagsql.Options{})
		text := b.Add("text", Fetch{From: "afar"})
		b.Add("again", Fetch{From: "afar"}).After(text)

		tx, _ := pool.Begin(ctx) // so that it is held before a worker sees it
		dag, _ := d.Submit(ctx, tx, b)
		held, _ := d.Hold(ctx, tx, dag.ID, "the site asked us to wait")
		_ = tx.Commit(ctx)

		run, _ := d.Get(ctx, pool, dag.ID)
		fmt.Println(held, "nodes are held, the DAG is", run.State)
		why, _ := d.Explain(ctx, pool, dag.ID, "text")
		fmt.Println(why[0].Reason, "-", why[0].Detail)

		resumed, _ := d.Resume(ctx, pool, dag.ID)
		fmt.Println(resumed, "nodes go on")
		show(ctx, d, pool, dag.ID)
	})
	// Output:
	// 2 nodes are held, the DAG is held
	// DAG held - the DAG is held (the site asked us to wait): dag_resume lets it go on
	// 2 nodes go on
	// text: completed
	// again: completed
	// the DAG: completed
}

// The first failure that nothing can make up for cancels the rest, but not what cleans up.
func ExampleOptions_failFast() {
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, fetch)
		worker.HandleResult(w, func(ctx context.Context, _ *pgq.Job[Count]) (int, error) {
			<-ctx.Done() // it would take for ever, but its context ends when the job is cancelled
			return 0, context.Cause(ctx)
		})
		worker.Handle(w, func(context.Context, *pgq.Job[Report]) error { return nil })
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("fail fast", dagsql.Options{FailFast: true})
		b.Add("text", Fetch{From: "nowhere"})
		slow := b.Add("slow", Count{})
		b.Add("after slow", Count{}).After(slow)
		b.Add("cleanup", Report{}).AfterDone(slow)

		dag, _ := d.Submit(ctx, pool, b)
		show(ctx, d, pool, dag.ID)
	})
	// Output:
	// text: failed
	// slow: cancelled
	// after slow: cancelled
	// cleanup: completed
	// the DAG: failed
}

// How far is it, and why does this node not run?
func ExampleClient_Explain() {
	whileWorking(func(w *worker.Worker) {
		worker.Handle(w, func(context.Context, *pgq.Job[Report]) error { return nil })
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("explain", dagsql.Options{})
		approve := b.External("approve", dagsql.ExternalOptions{})
		report := b.Add("report", Report{}).After(approve)
		b.Add("archive", Report{}).After(report)

		dag, _ := d.Submit(ctx, pool, b)
		progress, _ := d.Progress(ctx, pool, dag.ID)
		fmt.Printf("%d of %d jobs wait\n", progress.Waiting, progress.Total)
		why, _ := d.Explain(ctx, pool, dag.ID, "archive")
		for _, r := range why {
			if r.Reason == "blocked" {
				fmt.Println(r.Detail)
			}
		}
	})
	// Output:
	// 2 of 2 jobs wait
	// approve: answer: waits for an answer from outside (dag_complete or dag_fail), without a limit
}
