package worker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// calls collects the jobs of each call of a batch handler.
type calls struct {
	mu  sync.Mutex
	all [][]*pgq.Job[letter]
}

func (c *calls) add(jobs []*pgq.Job[letter]) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, jobs)
	return len(c.all)
}

// sizes returns how many jobs each call had.
func (c *calls) sizes() (sizes []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, jobs := range c.all {
		sizes = append(sizes, len(jobs))
	}
	return sizes
}

// batches runs a worker with a batch handler.
func (b *bench) batches(concurrency int, c worker.Batch[letter], fn func(ctx context.Context, jobs []*pgq.Job[letter]) []error) {
	b.t.Helper()
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: concurrency}}})
	worker.HandleBatch(w, c, fn)
	b.run(w)
}

// many enqueues letters to 0, 1, 2 … in one transaction.
func (b *bench) many(n int, o pgq.Options) []int64 {
	b.t.Helper()
	ids := make([]int64, n)
	tx, err := b.pool.Begin(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range ids {
		job, err := b.q.Enqueue(context.Background(), tx, letter{To: i}, o)
		if err != nil {
			b.t.Fatal(err)
		}
		ids[i] = job.ID
	}
	if err := tx.Commit(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	return ids
}

func TestJobsAreHandledSeveralAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	saw := &calls{}
	b.batches(20, worker.Batch[letter]{Max: 10, Wait: time.Minute}, func(_ context.Context, jobs []*pgq.Job[letter]) []error {
		saw.add(jobs)
		return nil
	})
	b.many(20, pgq.Options{})
	b.becomes(20, "select count(*) from pgq.results where state = 'completed' and attempt = 1")
	for _, size := range saw.sizes() {
		if size != 10 {
			t.Errorf("calls have %d jobs, want 10 each", saw.sizes())
		}
	}
}

func TestABatchThatIsNotFullIsHandledWhenItHasWaited(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	saw := &calls{}
	b.batches(20, worker.Batch[letter]{Max: 10, Wait: 50 * time.Millisecond}, func(_ context.Context, jobs []*pgq.Job[letter]) []error {
		saw.add(jobs)
		return nil
	})
	b.many(3, pgq.Options{})
	b.becomes(3, "select count(*) from pgq.results where state = 'completed'")
	total := 0
	for _, size := range saw.sizes() {
		total += size
	}
	if total != 3 {
		t.Errorf("calls have %d jobs, want 3 in all", saw.sizes())
	}
}

func TestABatchNeverWaitsForMoreJobsThanThereAreSlots(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	saw := &calls{}
	b.batches(4, worker.Batch[letter]{Max: 1000, Wait: time.Hour}, func(_ context.Context, jobs []*pgq.Job[letter]) []error {
		saw.add(jobs)
		return nil
	})
	b.many(8, pgq.Options{})
	b.becomes(8, "select count(*) from pgq.results where state = 'completed'")
	for _, size := range saw.sizes() {
		if size != 4 {
			t.Errorf("calls have %d jobs, want 4 each", saw.sizes())
		}
	}
}

func TestABatchHasJobsOfOneKeyOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	saw := &calls{}
	parity := func(job *pgq.Job[letter]) string { return fmt.Sprint(job.Args.To % 2) }
	b.batches(12, worker.Batch[letter]{Max: 6, Wait: time.Minute, By: parity}, func(_ context.Context, jobs []*pgq.Job[letter]) []error {
		saw.add(jobs)
		return nil
	})
	b.many(12, pgq.Options{})
	b.becomes(12, "select count(*) from pgq.results where state = 'completed'")
	if len(saw.all) != 2 {
		t.Fatalf("%d calls, want 2", len(saw.all))
	}
	for _, jobs := range saw.all {
		for _, job := range jobs {
			if job.Args.To%2 != jobs[0].Args.To%2 {
				t.Errorf("a batch has %d and %d", job.Args.To, jobs[0].Args.To)
			}
		}
	}
}

func TestEachJobOfABatchGetsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 6}}})
	first := true
	worker.HandleBatchResult(w, worker.Batch[letter]{Max: 6, Wait: time.Minute}, func(_ context.Context, jobs []*pgq.Job[letter]) ([]string, []error) {
		results, errs := make([]string, len(jobs)), make([]error, len(jobs))
		for i, job := range jobs {
			results[i] = fmt.Sprint("letter ", job.Args.To)
			if !first {
				continue
			}
			errs[i] = []error{nil, errors.New("again"), pgq.Permanent(errors.New("never")), pgq.Cancel(errors.New("not needed")), pgq.Snooze(time.Hour), nil}[job.Args.To]
		}
		first = false
		return results, errs
	})
	b.run(w)
	ids := b.many(6, pgq.Options{Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: time.Hour}})
	b.ends(ids[0], pgq.Completed, 1)
	b.eventually("the second is retried", func() bool { return b.get(ids[1]).State == pgq.Scheduled && b.get(ids[1]).Attempt == 1 })
	b.errorHas(b.ends(ids[2], pgq.Failed, 1), "never")
	b.errorHas(b.ends(ids[3], pgq.Cancelled, 1), "not needed")
	b.eventually("the fifth is put off", func() bool { return b.get(ids[4]).State == pgq.Scheduled && b.get(ids[4]).Attempt == 0 })
	b.ends(ids[5], pgq.Completed, 1)
	for _, i := range []int{0, 5} {
		if got, err := pgq.Result[string](context.Background(), b.q, b.pool, ids[i]); err != nil || got != fmt.Sprint("letter ", i) {
			t.Errorf("the result of %d is %q, %v", i, got, err)
		}
	}
}

func TestWhatGoesWrongInABatchFailsAllItsJobs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want, stack string
		fn                func(jobs []*pgq.Job[letter]) []error
	}{
		{"a panic", "panic: boom", "batch_test.go", func([]*pgq.Job[letter]) []error { panic("boom") }},
		{"the end of the goroutine", "runtime.Goexit", "", func([]*pgq.Job[letter]) []error { runtime.Goexit(); return nil }},
		{"too few answers", "answered 1 errors for 3 jobs", "", func([]*pgq.Job[letter]) []error { return make([]error, 1) }},
		{"too many answers", "answered 4 errors for 3 jobs", "", func([]*pgq.Job[letter]) []error { return make([]error, 4) }},
		{"the same answer for all", "the server is down", "", func(jobs []*pgq.Job[letter]) []error {
			return worker.ForAll(jobs, errors.New("the server is down"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.batches(3, worker.Batch[letter]{Max: 3, Wait: time.Minute}, func(_ context.Context, jobs []*pgq.Job[letter]) []error { return c.fn(jobs) })
			for _, id := range b.many(3, pgq.Options{MaxAttempts: 1}) {
				b.errorHas(b.ends(id, pgq.Failed, 1), c.want)
				failed, err := b.q.Errors(context.Background(), b.pool, id)
				if err != nil || len(failed) != 1 || !strings.Contains(failed[0].Stack, c.stack) {
					t.Errorf("errors are %+v, %v", failed, err)
				}
			}
		})
	}
}

func TestATimeoutOfOneJobCancelsTheBatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.batches(3, worker.Batch[letter]{Max: 3, Wait: time.Minute}, func(ctx context.Context, jobs []*pgq.Job[letter]) []error {
		<-ctx.Done()
		return worker.ForAll(jobs, context.Cause(ctx))
	})
	hurried := b.enqueue(pgq.Options{MaxAttempts: 1, Timeout: 200 * time.Millisecond})
	others := b.many(2, pgq.Options{MaxAttempts: 1})
	for _, id := range append(others, hurried) {
		b.errorHas(b.ends(id, pgq.Failed, 1), pgq.ErrTimeout.Error())
	}
}

func TestAJobOfABatchThatIsCancelledOrLostIsToldAloneAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	began, told := make(chan []*pgq.Job[letter], 1), make(chan error, 4)
	var rest atomic.Int64
	b.batches(4, worker.Batch[letter]{Max: 4, Wait: time.Minute}, func(ctx context.Context, jobs []*pgq.Job[letter]) []error {
		answers := make([]error, len(jobs))
		if len(jobs) < 4 {
			rest.Add(int64(len(jobs)))
			return answers
		}
		if worker.JobFrom(ctx) != nil || worker.OfJob(ctx, nil) != nil {
			t.Error("the context of a batch is that of a job")
		}
		began <- jobs
		for i, job := range jobs {
			own := worker.OfJob(ctx, job.Attempt)
			if worker.JobFrom(own) != job.Attempt {
				t.Error("the context of a job is not its own")
			}
			if job.Args.To == 1 {
				<-own.Done()
				told <- context.Cause(own)
				answers[i] = own.Err()
			}
		}
		told <- ctx.Err()
		return answers
	})
	ids := b.many(4, pgq.Options{})
	receive(t, began, "the batch")
	if _, err := b.q.Cancel(context.Background(), b.pool, "", ids[1]); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, told, "the cancellation"); !errors.Is(err, pgq.ErrCancelRequested) {
		t.Errorf("the job was told %v", err)
	}
	if err := receive(t, told, "the end"); err != nil {
		t.Errorf("the batch was told %v", err)
	}
	b.ends(ids[1], pgq.Cancelled, 1)
	for _, i := range []int{0, 2, 3} {
		b.ends(ids[i], pgq.Completed, 1)
	}
}

func TestAJobOfABatchThatWasGivenToSomebodyElseIsRefusedAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var first atomic.Bool
	b.batches(3, worker.Batch[letter]{Max: 3, Wait: 100 * time.Millisecond}, func(_ context.Context, jobs []*pgq.Job[letter]) []error {
		if first.CompareAndSwap(false, true) {
			b.giveAway(jobs[0].ID)
		}
		return nil
	})
	b.many(3, pgq.Options{})
	b.becomes(3, "select count(*) from pgq.results where state = 'completed'")
	if n := b.number("select count(*) from pgq.results where attempt = 2"); n != 1 {
		t.Errorf("%d jobs took two attempts, want 1", n)
	}
}

func TestAWorkerThatStopsHandlesOrGivesBackWhatItHasCollected(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 10}}, Grace: -1})
	worker.HandleBatch(w, worker.Batch[letter]{Max: 10, Wait: time.Hour}, func(context.Context, []*pgq.Job[letter]) []error {
		t.Error("the batch was handled")
		return nil
	})
	stop := b.run(w)
	b.many(3, pgq.Options{})
	b.becomes(3, "select count(*) from pgq.running")
	stop()
	b.becomes(3, "select count(*) from pgq.job_states where state = 'ready' and attempt = 0")
}

func TestStepsWorkInABatchWithTheContextOfTheJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var effects atomic.Int64
	b.batches(3, worker.Batch[letter]{Max: 3, Wait: 20 * time.Millisecond}, func(ctx context.Context, jobs []*pgq.Job[letter]) []error {
		answers := make([]error, len(jobs))
		for i, job := range jobs {
			own := worker.OfJob(ctx, job.Attempt)
			if _, answers[i] = pgq.Step(own, "effect", counts(&effects)); answers[i] == nil {
				answers[i] = pgq.SleepFor(own, "nap", 50*time.Millisecond)
			}
		}
		if _, err := pgq.Step(ctx, "effect", counts(&effects)); err == nil {
			t.Error("a step of no job")
		}
		return answers
	})
	b.many(3, pgq.Options{MaxAttempts: 1})
	b.becomes(3, "select count(*) from pgq.results where state = 'completed' and attempt = 1")
	if effects.Load() != 3 {
		t.Errorf("%d effects, want 3", effects.Load())
	}
}

func TestBatchesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	fn := func(context.Context, []*pgq.Job[letter]) []error { return nil }
	for _, c := range []struct {
		batch worker.Batch[letter]
		fn    func(context.Context, []*pgq.Job[letter]) []error
		rule  string
	}{
		{worker.Batch[letter]{}, fn, "Max of at least 1"},
		{worker.Batch[letter]{Max: -1}, fn, "Max of at least 1"},
		{worker.Batch[letter]{Max: 1, Wait: -1}, fn, "Wait of 0 to 1h"},
		{worker.Batch[letter]{Max: 1}, nil, "must not be nil"},
	} {
		w := b.worker(worker.Config{})
		worker.HandleBatch(w, c.batch, c.fn)
		var argument *pgq.ArgumentError
		if err := w.Run(context.Background()); !errors.As(err, &argument) || !strings.Contains(err.Error(), c.rule) {
			t.Errorf("%+v: %v", c.batch, err)
		}
	}
}
