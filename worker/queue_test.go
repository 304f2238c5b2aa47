package worker_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// enqueueMany adds n letters, numbered from 0.
func (b *bench) enqueueMany(n int, o pgq.Options) {
	b.t.Helper()
	jobs := make([]pgq.Item, n)
	for i := range jobs {
		jobs[i] = pgq.Item{Args: letter{To: i}, Options: o}
	}
	if _, err := b.q.EnqueueMany(context.Background(), b.pool, jobs); err != nil {
		b.t.Fatal(err)
	}
}

const completed = "select count(*) from pgq.results where state = 'completed'"

func TestAQueueNeverRunsMoreThanItsConcurrency(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	limits := map[string]int64{"a": 1, "b": 3, "c": 7}
	var running, most sync.Map
	for name := range limits {
		running.Store(name, new(atomic.Int64))
		most.Store(name, new(atomic.Int64))
	}
	counter := func(m *sync.Map, name string) *atomic.Int64 { v, _ := m.Load(name); return v.(*atomic.Int64) }
	w := b.worker(worker.Config{Queues: worker.Queues{"a": {Concurrency: 1}, "b": {Concurrency: 3}, "c": {Concurrency: 7}}})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[letter]) error {
		now, top := counter(&running, job.Queue), counter(&most, job.Queue)
		n := now.Add(1)
		defer now.Add(-1)
		for seen := top.Load(); n > seen && !top.CompareAndSwap(seen, n); seen = top.Load() {
		}
		// Some take long enough to overlap.
		if job.Args.To%10 == 0 {
			wait, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
			defer cancel()
			<-wait.Done()
		}
		return nil
	})
	for name := range limits {
		b.enqueueMany(300, pgq.Options{Queue: name})
	}
	b.run(w)
	b.becomes(900, completed)
	for name, limit := range limits {
		if n := counter(&most, name).Load(); n > limit {
			t.Errorf("queue %s ran %d at a time, more than %d", name, n, limit)
		}
	}
}

func TestAllSlotsAreUsed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	release := make(chan struct{})
	var running atomic.Int64
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 1500}}})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error {
		running.Add(1)
		<-release
		return nil
	})
	b.enqueueMany(1600, pgq.Options{})
	b.run(w)
	b.eventually("1500 handlers run", func() bool { return running.Load() == 1500 })
	close(release)
	b.becomes(1600, completed)
}

func TestPriorityComesFirstAndThenTheOrderOfEnqueueing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var order []int
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 1}}, Prefetch: -1})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[letter]) error {
		order = append(order, job.Args.To)
		return nil
	})
	for n := range 200 {
		priority := (n*7 + 3) % 10
		b.add(letter{To: priority*1000 + n}, pgq.Options{Priority: pgq.Prio(priority)})
	}
	stop := b.run(w)
	b.becomes(200, completed)
	stop()
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			t.Fatalf("%d ran after %d; all: %v", order[i], order[i-1], order)
		}
	}
}

func TestAPausedQueueRestsUntilItIsResumed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{Queues: worker.Queues{"a": {}, "b": {}}})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error { return nil })
	b.run(w)
	ctx := context.Background()
	b.ends(b.enqueue(pgq.Options{Queue: "a"}), pgq.Completed, 1)
	if err := b.q.PauseQueue(ctx, b.pool, "a", "to see"); err != nil {
		t.Fatal(err)
	}
	paused := b.enqueue(pgq.Options{Queue: "a"})
	b.ends(b.enqueue(pgq.Options{Queue: "b"}), pgq.Completed, 1) // was looked for later than the paused one
	if job := b.get(paused); job.State != pgq.Ready {
		t.Errorf("a job of the paused queue is %s, want ready", job.State)
	}
	if err := b.q.ResumeQueue(ctx, b.pool, "a"); err != nil {
		t.Fatal(err)
	}
	b.ends(paused, pgq.Completed, 1)
}

func TestAJobOfAnUnknownKindStaysReadyAndIsLogged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error { return nil })
	stranger := b.add(&parcel{}, pgq.Options{})
	b.run(w)
	b.ends(b.enqueue(pgq.Options{}), pgq.Completed, 1)
	if job := b.get(stranger); job.State != pgq.Ready || job.Attempt != 0 {
		t.Errorf("job of an unknown kind is %s after %d attempts, want ready after none", job.State, job.Attempt)
	}
	b.eventually("the kind is logged", func() bool { return b.log.has("kind=parcel", "no worker knows") })

	other := b.worker(worker.Config{})
	worker.Handle(other, func(context.Context, *pgq.Job[*parcel]) error { return nil })
	b.run(other)
	b.ends(stranger, pgq.Completed, 1)
}

func TestNoConnectionIsHeldWhileHandlersRun(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	b := onPool(t, pool)
	release := make(chan struct{})
	var running atomic.Int64
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 50}}})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error {
		running.Add(1)
		<-release
		return nil
	})
	b.run(w)
	b.enqueueMany(50, pgq.Options{})
	b.eventually("50 handlers run", func() bool { return running.Load() == 50 })
	if n := b.number("select 1"); n != 1 { // on the only connection
		t.Error("the connection does not answer")
	}
	close(release)
	b.becomes(50, completed)
}

func TestASnoozedOrDelayedJobRunsWhenItsTimeHasCome(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[letter]) error {
		if snoozed := b.history(job.ID, "snoozed"); job.Args.To == 1 && len(snoozed) < 2 {
			return pgq.Snooze(30 * time.Millisecond)
		}
		return nil
	})
	b.run(w)
	begin := time.Now()
	delayed := b.add(letter{To: 0}, pgq.Options{Delay: 300 * time.Millisecond})
	snoozed := b.add(letter{To: 1}, pgq.Options{})
	b.ends(delayed, pgq.Completed, 1)
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("a job with a delay of 300ms was finished after %s", took)
	}
	b.ends(snoozed, pgq.Completed, 1)
}
