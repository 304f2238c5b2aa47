package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// cancels cancels a job from a client of its own and fails the test unless this is the outcome.
func (b *bench) cancels(id int64, want string) {
	b.t.Helper()
	outcomes, err := pgq.New(pgq.Config{}).Cancel(context.Background(), b.pool, "not wanted", id)
	if err != nil || len(outcomes) != 1 || outcomes[0].Outcome != want {
		b.t.Fatalf("cancel: %v, %v; want %s", outcomes, err, want)
	}
}

func TestARunningJobIsCancelledFromElsewhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]worker.Config{
		"by NOTIFY":        {Heartbeat: 15 * time.Second},
		"by the heartbeat": {PollOnly: true, Heartbeat: 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			causes, started := make(chan error, 1), make(chan struct{})
			w := b.worker(c)
			worker.Handle(w, func(ctx context.Context, _ *pgq.Job[letter]) error {
				close(started)
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return ctx.Err()
			})
			if !c.PollOnly {
				b.sleeps(w)
			} else {
				b.run(w)
			}
			id := b.enqueue(pgq.Options{})
			receive(t, started, "the handler")
			b.cancels(id, "requested")
			if cause := receive(t, causes, "the cancellation"); !errors.Is(cause, pgq.ErrCancelRequested) {
				t.Errorf("cause is %v, want ErrCancelRequested", cause)
			}
			b.ends(id, pgq.Cancelled, 1)
		})
	}
}

func TestAHandlerMayCompleteAJobThatWasCancelled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	started := make(chan struct{})
	w := b.worker(worker.Config{Heartbeat: 20 * time.Millisecond})
	worker.Handle(w, func(ctx context.Context, _ *pgq.Job[letter]) error {
		close(started)
		<-ctx.Done()
		return nil
	})
	b.run(w)
	id := b.enqueue(pgq.Options{})
	receive(t, started, "the handler")
	b.cancels(id, "requested")
	b.ends(id, pgq.Completed, 1)
}

func TestAJobThatIsCancelledAndFailsIsNotRetried(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	started, fail := make(chan struct{}), make(chan struct{})
	w := b.worker(worker.Config{PollOnly: true, Heartbeat: 15 * time.Second})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error {
		close(started)
		<-fail
		return errors.New("broken")
	})
	b.run(w)
	id := b.enqueue(pgq.Options{})
	receive(t, started, "the handler")
	b.cancels(id, "requested") // the worker does not hear of it
	close(fail)
	b.ends(id, pgq.Cancelled, 1)
}

func TestAPrefetchedJobIsCancelledWithoutRunning(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	started, release := make(chan struct{}), make(chan struct{})
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 1}}, Heartbeat: 20 * time.Millisecond})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[letter]) error {
		if job.Args.To == 1000 {
			close(started)
			<-release
		}
		return nil
	})
	// Quick ones teach the worker to prefetch. Then comes a slow one, with id 1001.
	b.enqueueMany(2000, pgq.Options{})
	b.run(w)
	receive(t, started, "the slow job")
	b.eventually("jobs are prefetched", func() bool { return b.number("select count(*) from pgq.running where job_id > 1001") > 0 })
	id := b.number("select max(job_id) from pgq.running")
	b.cancels(id, "requested")
	b.ends(id, pgq.Cancelled, 1)
	close(release)
	b.becomes(1999, completed)
}
