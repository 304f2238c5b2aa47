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

// signal sends a signal and fails the test unless this becomes of it.
func (b *bench) signal(id int64, name string, value any, want string) {
	b.t.Helper()
	if got, err := b.q.Signal(context.Background(), b.pool, id, name, value); err != nil || got != want {
		b.t.Fatalf("signal %q is %s, %v; want %s", name, got, err, want)
	}
}

// isPutOff waits until a job is scheduled.
func (b *bench) isPutOff(id int64) {
	b.t.Helper()
	b.eventually("the job is scheduled", func() bool { return b.get(id).State == pgq.Scheduled })
}

func TestAJobSleepsWithoutASlotAndItsAttemptDoesNotCount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	saw := &observations{}
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 1}}, Observe: saw.add})
	var calls, effects atomic.Int64
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[letter]) error {
		if job.Args.To == 1 {
			return nil
		}
		calls.Add(1)
		if _, err := pgq.Step(ctx, "before", counts(&effects)); err != nil {
			return err
		}
		if err := pgq.SleepFor(ctx, "nap", time.Duration(job.Args.To)*time.Millisecond); err != nil {
			return fmt.Errorf("wrapped: %w", err)
		}
		_, err := pgq.Step(ctx, "after", counts(&effects))
		return err
	})
	b.run(w)
	long := b.add(letter{To: 3_600_000}, pgq.Options{MaxAttempts: 1})
	b.isPutOff(long)
	b.ends(b.add(letter{To: 1}, pgq.Options{}), pgq.Completed, 1) // although there is one slot
	b.ends(b.add(letter{To: 300}, pgq.Options{MaxAttempts: 1, TTL: time.Hour}), pgq.Completed, 1)
	if calls.Load() != 3 || effects.Load() != 3 {
		t.Errorf("%d calls with %d effects, want 3 and 3", calls.Load(), effects.Load())
	}
	if n := len(saw.of("suspended")); n != 2 {
		t.Errorf("%d suspensions are observed, want 2", n)
	}
	if outcomes, err := b.q.Cancel(context.Background(), b.pool, "enough", long); err != nil || outcomes[0].Outcome != "cancelled" {
		t.Errorf("cancelling the sleeping job: %v, %v", outcomes, err)
	}
	b.ends(long, pgq.Cancelled, 0)
}

func TestRetryingASleepingJobDoesNotShortenItsSleep(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var calls atomic.Int64
	id := b.handles(pgq.Options{}, func(ctx context.Context, _ *pgq.Job[letter]) (any, error) {
		calls.Add(1)
		return nil, pgq.SleepFor(ctx, "nap", time.Hour)
	})
	b.isPutOff(id)
	at := b.get(id).RunAt
	if _, err := b.q.Retry(context.Background(), b.pool, id); err != nil {
		t.Fatal(err)
	}
	b.eventually("it ran again", func() bool { return calls.Load() == 2 })
	b.isPutOff(id)
	if again := b.get(id).RunAt; again.Sub(*at).Abs() > 5*time.Second {
		t.Errorf("it sleeps until %s, and before until %s", again, at)
	}
}

// approval is the value of a signal.
type approval struct {
	By string `json:"by"`
}

// waiter returns a worker whose handler waits for the signal "approval" and returns who sent it.
func (b *bench) waiter(timeout time.Duration, o pgq.Options) int64 {
	b.t.Helper()
	return b.handles(o, func(ctx context.Context, _ *pgq.Job[letter]) (any, error) {
		a, err := pgq.WaitFor[approval](ctx, "approval", timeout)
		if errors.Is(err, pgq.ErrNoSignal) {
			return "nobody", nil
		}
		return a.By, err
	})
}

func (b *bench) answers(id int64, want string) {
	b.t.Helper()
	b.ends(id, pgq.Completed, 1)
	if got, err := pgq.Result[string](context.Background(), b.q, b.pool, id); err != nil || got != want {
		b.t.Errorf("the result is %q, %v; want %q", got, err, want)
	}
}

func TestASignalWakesTheJobThatWaitsForIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.waiter(0, pgq.Options{MaxAttempts: 1})
	b.isPutOff(id)
	b.signal(id, "other", approval{"bob"}, pgq.SignalKept)
	b.signal(id, "approval", approval{"ada \u202e'\"\n"}, pgq.SignalDelivered)
	b.answers(id, "ada \u202e'\"\n")
	b.signal(id, "approval", approval{"eve"}, pgq.SignalFinished)
}

func TestASignalThatComesFirstIsFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.waiter(time.Hour, pgq.Options{MaxAttempts: 1, Delay: 100 * time.Millisecond})
	b.signal(id, "approval", approval{"ada"}, pgq.SignalKept)
	b.signal(id, "approval", approval{"eve"}, pgq.SignalDuplicate)
	b.answers(id, "ada")
	if n := len(b.history(id, "snoozed")); n != 0 {
		t.Errorf("it was put off %d times", n)
	}
}

func TestWithoutASignalTheJobIsToldWhenTimeIsOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.answers(b.waiter(100*time.Millisecond, pgq.Options{MaxAttempts: 1}), "nobody")
}

func TestASignalBetweenTheLookAndTheSuspensionIsNotLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	looked, sent := make(chan int64), make(chan struct{})
	var once sync.Once
	id := b.handles(pgq.Options{MaxAttempts: 1}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		a, err := pgq.WaitFor[approval](ctx, "approval", time.Hour)
		once.Do(func() { looked <- job.ID; <-sent })
		return a.By, err
	})
	receive(t, looked, "the look")
	b.signal(id, "approval", approval{"ada"}, pgq.SignalKept)
	close(sent)
	b.answers(id, "ada")
}

func TestASignalThatIsCommittedAfterTheSuspensionIsNotLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := context.Background()
	looked, sent := make(chan int64), make(chan struct{})
	var once sync.Once
	id := b.handles(pgq.Options{MaxAttempts: 1}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		a, err := pgq.WaitFor[approval](ctx, "approval", time.Hour)
		once.Do(func() { looked <- job.ID; <-sent })
		return a.By, err
	})
	receive(t, looked, "the look")
	tx, err := b.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.q.Signal(ctx, tx, id, "approval", approval{"ada"}); err != nil || got != pgq.SignalKept {
		t.Fatalf("the signal is %s, %v", got, err)
	}
	close(sent)
	b.eventually("it is suspended while the sender's transaction is open", func() bool { return len(b.history(id, "snoozed")) > 0 })
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	b.answers(id, "ada")
}

func TestASignalThatIsRolledBackIsNone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := context.Background()
	id := b.waiter(time.Hour, pgq.Options{MaxAttempts: 1})
	b.isPutOff(id)
	tx, err := b.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.q.Signal(ctx, tx, id, "approval", approval{"eve"}); err != nil || got != pgq.SignalDelivered {
		t.Fatalf("the signal is %s, %v", got, err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	b.signal(id, "approval", approval{"ada"}, pgq.SignalDelivered)
	b.answers(id, "ada")
}

func TestHundredsOfJobsAndSignalsMeetInAnyOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const jobs, senders = 300, 8
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 20}}})
	worker.HandleResult(w, func(ctx context.Context, _ *pgq.Job[letter]) (string, error) {
		first, err := pgq.WaitFor[approval](ctx, "first", 0)
		if err != nil {
			return "", err
		}
		second, err := pgq.WaitFor[approval](ctx, "second", time.Hour)
		return first.By + second.By, err
	})
	b.run(w)
	ids := make([]int64, jobs)
	for i := range ids {
		ids[i] = b.enqueue(pgq.Options{MaxAttempts: 1})
	}
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := s; i < 2*jobs; i += senders {
				name := []string{"first", "second"}[i%2]
				if _, err := b.q.Signal(context.Background(), b.pool, ids[i/2], name, approval{name}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	b.becomes(jobs, "select count(*) from pgq.results where state = 'completed' and attempt = 1")
	if n := b.number(`select count(*) from pgq.results where output = '"firstsecond"'`); n != jobs {
		t.Errorf("%d right results, want %d", n, jobs)
	}
}

func TestSignalsThatCannotBeSentAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := context.Background()
	id := b.enqueue(pgq.Options{Delay: time.Hour})
	for _, c := range []struct {
		name  string
		value any
	}{{"", 1}, {"a\x00b", 1}, {"ok", make(chan int)}, {"ok", "a\x00b"}} {
		var argument *pgq.ArgumentError
		if outcome, err := b.q.Signal(ctx, b.pool, id, c.name, c.value); !errors.As(err, &argument) {
			t.Errorf("signal %q %v is %s, %v", c.name, c.value, outcome, err)
		}
	}
	if _, err := b.q.Signal(ctx, b.pool, 99, "ok", 1); !errors.Is(err, pgq.ErrNotFound) {
		t.Errorf("a signal to nobody: %v", err)
	}
	if n := b.number("select count(*) from pgq.steps"); n != 0 {
		t.Errorf("%d signals are kept", n)
	}
}
