package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// load is the job of all measurements.
type load struct {
	N int `json:"n"`
}

func (load) Kind() string { return "load" }

// percentile returns the value below which so many parts of the samples lie, which are sorted.
func percentile(samples []time.Duration, part float64) time.Duration {
	return samples[min(len(samples)-1, int(part*float64(len(samples))))]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// addTimes notes the median and the slow end of times.
func (b *bench) addTimes(name, what string, times []time.Duration) {
	slices.Sort(times)
	b.add(name+"-p50", milliseconds(percentile(times, 0.5)), "ms", "%s: half were quicker", what)
	b.add(name+"-p99", milliseconds(percentile(times, 0.99)), "ms", "%s: one of a hundred was slower", what)
}

// roundTrips measures the way to the server, the floor below everything.
func (b *bench) roundTrips(ctx context.Context) error {
	times := make([]time.Duration, 0, 100)
	for range cap(times) {
		begin := time.Now()
		if _, err := b.pool.Exec(ctx, "select 1"); err != nil {
			return err
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	b.add("round-trip", milliseconds(percentile(times, 0.5)), "ms", "median of a statement that does nothing: what the network and the server cost")
	return nil
}

// enqueueSingly measures transactions of one job each, one after the other, by one connection.
func (b *bench) enqueueSingly(ctx context.Context) error {
	b.Say("enqueueing %d jobs, one transaction each …", singles)
	times := make([]time.Duration, 0, singles)
	for i := range cap(times) {
		begin := time.Now()
		if _, err := b.client.Enqueue(ctx, b.pool, load{i}, pgq.Options{Queue: "single"}); err != nil {
			return err
		}
		times = append(times, time.Since(begin))
	}
	b.addTimes("enqueue", "enqueueing a job in a transaction of its own, commit included", times)
	return nil
}

// drain measures enqueueing in bulk, and how long a worker takes to run it all.
func (b *bench) drain(ctx context.Context) error {
	b.Say("enqueueing %d jobs at once …", b.Jobs)
	items := make([]pgq.Item, b.Jobs)
	for i := range items {
		items[i] = pgq.Item{Args: load{i}, Options: pgq.Options{Queue: "bulk"}}
	}
	begin := time.Now()
	if _, err := b.client.EnqueueMany(ctx, b.pool, items); err != nil {
		return err
	}
	b.add("enqueue-bulk", float64(b.Jobs)/time.Since(begin).Seconds(), "jobs/s", "%d jobs in one call", b.Jobs)

	b.Say("running them …")
	var done atomic.Int64
	all := make(chan struct{})
	begin = time.Now()
	return b.work(ctx, "bulk", func(*pgq.Job[load]) {
		if done.Add(1) == int64(b.Jobs) {
			close(all)
		}
	}, func(ctx context.Context) error {
		select {
		case <-all:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := b.completed(ctx, "bulk", b.Jobs); err != nil {
			return err
		}
		b.add("drain", float64(b.Jobs)/time.Since(begin).Seconds(), "jobs/s",
			"one worker, %d at a time, whose handler does nothing; until all are written as completed", b.Concurrency)
		return nil
	})
}

// completed waits until so many jobs of a queue are written as completed.
func (b *bench) completed(ctx context.Context, queue string, jobs int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var n int
		err := b.pool.QueryRow(ctx, "select count(*) from "+b.client.Table("results")+" where queue = $1", queue).Scan(&n)
		if err != nil || n >= jobs {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// latency measures how soon a job begins that is enqueued while the worker has nothing to do.
func (b *bench) latency(ctx context.Context) error {
	const pause = 10 * time.Millisecond
	b.Say("measuring how soon jobs begin …")
	var mu sync.Mutex
	begins := make([]time.Time, singles)
	times := make([]time.Duration, 0, singles)
	seen := make(chan struct{}, singles)
	return b.work(ctx, "latency", func(job *pgq.Job[load]) {
		now := time.Now()
		mu.Lock()
		times = append(times, now.Sub(begins[job.Args.N]))
		mu.Unlock()
		seen <- struct{}{}
	}, func(ctx context.Context) error {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for i := range begins {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-tick.C:
			}
			mu.Lock()
			begins[i] = time.Now()
			mu.Unlock()
			if _, err := b.client.Enqueue(ctx, b.pool, load{i}, pgq.Options{Queue: "latency"}); err != nil {
				return err
			}
		}
		for range begins {
			select {
			case <-seen:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		b.addTimes("latency", fmt.Sprintf("from the call that enqueues to the begin of the handler, a job every %s", pause), times)
		return nil
	})
}

// work runs a worker on a queue while do does something.
func (b *bench) work(ctx context.Context, queue string, handle func(*pgq.Job[load]), do func(context.Context) error) error {
	w := worker.New(b.pool, worker.Config{
		Client: b.client, Queues: worker.Queues{queue: {Concurrency: b.Concurrency}}, Logger: slog.New(slog.DiscardHandler),
	})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[load]) error {
		handle(job)
		return nil
	})
	running, stop := context.WithCancel(ctx)
	doing, giveUp := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		err := w.Run(running)
		if err != nil {
			giveUp(err)
		}
		ended <- err
	}()
	err := do(doing)
	stop()
	giveUp(nil)
	if runErr := <-ended; runErr != nil && !errors.Is(err, runErr) {
		err = errors.Join(err, runErr)
	}
	return err
}
