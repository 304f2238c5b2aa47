package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// census counts who is there, and the most that were there at a time.
type census struct {
	mu        sync.Mutex
	now, most map[string]int
}

func (c *census) enter(name string) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil {
		c.now, c.most = map[string]int{}, map[string]int{}
	}
	c.now[name]++
	c.most[name] = max(c.most[name], c.now[name])
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now[name]--
	}
}

func (b *bench) limit(of pgq.Scope, l pgq.Limit) {
	b.t.Helper()
	if err := b.q.SetLimit(context.Background(), b.pool, of, l); err != nil {
		b.t.Fatal(err)
	}
}

func TestLimitsHoldOverAllWorkers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.limit(pgq.OfGroup("tenant/*"), pgq.Limit{MaxRunning: 2})
	b.limit(pgq.OfKind("letter"), pgq.Limit{MaxRunning: 7})
	var at census
	for range 3 {
		w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 20}}})
		worker.Handle(w, func(ctx context.Context, job *pgq.Job[letter]) error {
			defer at.enter(fmt.Sprint("tenant/", job.Args.To))()
			defer at.enter("all")()
			_, err := b.pool.Exec(ctx, "select pg_sleep(0.002)")
			return err
		})
		b.run(w)
	}
	items := make([]pgq.Item, 400)
	for i := range items {
		to := i % 5
		items[i] = pgq.Item{Args: letter{To: to}, Options: pgq.Options{Group: fmt.Sprint("tenant/", to)}}
	}
	if _, err := b.q.EnqueueMany(t.Context(), b.pool, items); err != nil {
		t.Fatal(err)
	}
	b.becomes(400, completed)
	for name, most := range at.most {
		if limit := map[bool]int{true: 7, false: 2}[name == "all"]; most > limit {
			t.Errorf("%d jobs of %s ran at a time, want %d at the most", most, name, limit)
		}
	}
	if at.most["all"] < 4 {
		t.Errorf("only %d jobs ran at a time: the limits are not used", at.most["all"])
	}
}

func TestARateHoldsOverAllWorkers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.limit(pgq.OfKind("letter"), pgq.Limit{Rate: 50, Burst: 5})
	for range 2 {
		w := b.worker(worker.Config{})
		worker.Handle(w, func(context.Context, *pgq.Job[letter]) error { return nil })
		b.run(w)
	}
	begin := time.Now()
	b.enqueueMany(45, pgq.Options{})
	b.becomes(45, completed)
	if took := time.Since(begin); took < 750*time.Millisecond { // 40 tokens are 800 ms
		t.Errorf("45 jobs, 50 per second and 5 at once, took %s", took)
	}
}

func TestAHandlerPutsOffAllOfAGroup(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 1}}})
	var once sync.Once
	var asked time.Time
	worker.Handle(w, func(_ context.Context, job *pgq.Job[letter]) (err error) {
		once.Do(func() { asked, err = time.Now(), pgq.RetryAfterAll(pgq.OfGroup("api"), 400*time.Millisecond) })
		return err
	})
	b.limit(pgq.OfGroup("api"), pgq.Limit{MaxRunning: 1}) // else the second one may be claimed when the first one asks
	ids := []int64{b.add(letter{}, pgq.Options{Group: "api"}), b.add(letter{}, pgq.Options{Group: "api"})}
	other := b.add(letter{}, pgq.Options{Group: "other"})
	b.run(w)
	b.ends(other, pgq.Completed, 1)
	for _, id := range ids {
		b.ends(id, pgq.Completed, 1) // the attempt that put all off does not count
		if started := b.number("select (extract(epoch from claimed_at - $2) * 1000)::bigint from pgq.results where job_id = $1", id, asked); started < 380 {
			t.Errorf("job %d started %d ms after its group was put off for 400", id, started)
		}
	}
}

func TestALimitedQueueRunsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.limit(pgq.OfQueue("default"), pgq.Limit{MaxRunning: 3})
	var at census
	for range 2 {
		w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 20}}})
		worker.Handle(w, func(ctx context.Context, job *pgq.Job[letter]) error {
			defer at.enter("all")()
			_, err := b.pool.Exec(ctx, "select pg_sleep(0.002)")
			return err
		})
		b.run(w)
	}
	b.enqueueMany(200, pgq.Options{})
	b.becomes(200, completed)
	if at.most["all"] > 3 {
		t.Errorf("%d jobs ran at a time, want 3 at the most", at.most["all"])
	}
}

func TestACircuitBreakerOpensAndClosesAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.limit(pgq.OfKind("letter"), pgq.Limit{BreakAfter: 3, BreakFor: 100 * time.Millisecond})
	var refused atomic.Int64
	var up atomic.Bool
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 1}}})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error {
		if up.Load() {
			return nil
		}
		refused.Add(1)
		return errors.New("down")
	})
	b.enqueueMany(50, pgq.Options{MaxAttempts: 100})
	b.run(w)
	state := func() pgq.LimitState {
		states, err := b.q.LimitStates(t.Context(), b.pool, pgq.LimitPage{})
		if err != nil || len(states) != 1 {
			t.Fatal(states, err)
		}
		return states[0]
	}
	b.eventually("it is open", func() bool { return state().Breaker == "open" && state().Failures == 3 && !state().ProbeAt.IsZero() })
	b.eventually("two probes failed", func() bool { return refused.Load() >= 5 })
	up.Store(true)
	b.becomes(50, completed)
	if s := state(); s.Breaker != "closed" || s.BreakAfter != 3 || s.BreakWithin != time.Minute || s.BreakFor != 100*time.Millisecond {
		t.Errorf("the limit is %+v", s)
	}
}
