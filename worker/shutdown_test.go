package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

func TestAHandlerFinishesWithinTheGracePeriod(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	started, release := make(chan struct{}), make(chan struct{})
	w := b.worker(worker.Config{Grace: time.Hour})
	worker.Handle(w, func(ctx context.Context, _ *pgq.Job[letter]) error {
		close(started)
		<-release
		return ctx.Err()
	})
	stop := b.run(w)
	id := b.enqueue(pgq.Options{})
	receive(t, started, "the handler")
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	b.eventually("the worker stops", func() bool { return w.Ready() != nil })
	late := b.enqueue(pgq.Options{})
	close(release)
	<-stopped
	b.ends(id, pgq.Completed, 1)
	if state := b.get(late).State; state != pgq.Ready {
		t.Errorf("a job that came later is %s, want ready", state)
	}
	if n := b.number("select count(*) from pgq.workers"); n != 0 {
		t.Errorf("%d workers are registered, want none", n)
	}
}

func TestPastTheGracePeriodHandlersAreCancelledAndJobsReleased(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	started, causes := make(chan struct{}), make(chan error, 1)
	w := b.worker(worker.Config{Grace: -1})
	worker.Handle(w, func(ctx context.Context, _ *pgq.Job[letter]) error {
		close(started)
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return ctx.Err()
	})
	stop := b.run(w)
	id := b.enqueue(pgq.Options{MaxAttempts: 1})
	receive(t, started, "the handler")
	stop()
	if cause := receive(t, causes, "the cancellation"); !errors.Is(cause, pgq.ErrShutdown) {
		t.Errorf("cause is %v, want ErrShutdown", cause)
	}
	if job := b.get(id); job.State != pgq.Ready || job.Attempt != 0 {
		t.Errorf("job is %s after %d attempts, want ready after none", job.State, job.Attempt)
	}
}

func TestAHandlerThatIgnoresTheShutdownIsReportedAndItsJobReleased(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	started, release := make(chan struct{}), make(chan struct{})
	saw := &observations{}
	w := b.worker(worker.Config{Grace: -1, Observe: saw.add})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error {
		close(started)
		<-release
		return nil
	})
	stop := b.run(w)
	id := b.enqueue(pgq.Options{})
	receive(t, started, "the handler")
	stop()
	close(release)
	if job := b.get(id); job.State != pgq.Ready || job.Attempt != 0 {
		t.Errorf("job is %s after %d attempts, want ready after none", job.State, job.Attempt)
	}
	if stuck := saw.of("stuck"); len(stuck) != 1 || stuck[0].JobID != id {
		t.Errorf("observed as stuck: %+v", stuck)
	}
	b.log.has("ignores its cancelled context")
}

func TestPrefetchedJobsAreGivenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	started, release := make(chan struct{}), make(chan struct{})
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 1}}})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[letter]) error {
		if job.Args.To == 1000 {
			close(started)
			<-release
		}
		return nil
	})
	b.enqueueMany(2000, pgq.Options{MaxAttempts: 1})
	stop := b.run(w)
	receive(t, started, "the slow job")
	b.eventually("jobs are prefetched", func() bool { return b.number("select count(*) from pgq.running where job_id > 1001") > 0 })
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	b.becomes(1, "select count(*) from pgq.running") // while the slow one runs on
	close(release)
	<-stopped
	if n := b.number(completed); n != 1001 {
		t.Errorf("%d jobs are completed, want the 1001 first ones", n)
	}
	if n := b.number("select count(*) from pgq.job_states where state = 'ready' and attempt = 0"); n != 999 {
		t.Errorf("%d jobs are ready again without an attempt, want 999", n)
	}
}
