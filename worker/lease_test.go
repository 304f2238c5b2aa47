package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

func TestAWorkerThatWasDeclaredDeadLosesItsLeasesAndGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	saw := &observations{}
	started, causes, late := make(chan struct{}, 3), make(chan error, 3), make(chan struct{})
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 3}}, Lease: 2 * time.Second, Observe: saw.add, NoChores: true})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[letter]) error {
		if job.Number > 1 || job.Args.To > 2 {
			return nil
		}
		started <- struct{}{}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		switch job.Args.To {
		case 0:
			return nil // says that it is done: refused
		case 1:
			<-late // its job has been run by somebody else meanwhile
			return errors.New("broken")
		}
		return ctx.Err()
	})
	b.run(w)
	var ids []int64
	for n := range 3 {
		ids = append(ids, b.add(letter{To: n}, pgq.Options{MaxAttempts: 2}))
	}
	for range 3 {
		receive(t, started, "the handlers")
	}
	old := b.number("select id from pgq.workers")
	b.exec("update pgq.workers set dead_at = now()") // as a rescue does
	b.exec("select pgq.rescue()")

	other := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 3}}})
	worker.Handle(other, nothing)
	b.run(other)
	for range 3 {
		if cause := receive(t, causes, "the cancellation"); !errors.Is(cause, pgq.ErrLeaseLost) {
			t.Errorf("cause is %v, want ErrLeaseLost", cause)
		}
	}
	for _, id := range ids {
		b.ends(id, pgq.Completed, 2)
	}
	close(late)
	b.eventually("it has registered anew", func() bool {
		return b.number("select count(*) from pgq.workers where dead_at is null and id <> $1", old) == 2
	})
	b.eventually("the refusal of the first is logged", func() bool { return b.log.has("lease was lost: what the handler did was refused") })
	b.eventually("death is observed", func() bool { return len(saw.of("declared_dead")) == 1 })
	b.ends(b.add(letter{To: 3}, pgq.Options{}), pgq.Completed, 1)
	for _, id := range ids {
		if n := b.number("select count(*) from pgq.results where job_id = $1 and state = 'completed' and attempt = 2", id); n != 1 {
			t.Errorf("job %d is not completed by its second attempt", id)
		}
	}
}

func TestJobsOfASilentWorkerAreRunByOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := context.Background()
	dead, err := b.q.Register(ctx, b.pool, pgq.Registration{Name: "dead", Queues: []string{"default"}, Kinds: []string{"letter"}, Lease: 1e9})
	if err != nil {
		t.Fatal(err)
	}
	last, more := b.enqueue(pgq.Options{MaxAttempts: 1}), b.enqueue(pgq.Options{MaxAttempts: 2})
	got, err := b.q.Claim(ctx, b.pool, pgq.ClaimRequest{WorkerID: dead, Queues: []string{"default"}, Limits: []int32{2}})
	if err != nil || len(got) != 2 {
		t.Fatalf("claim: %v, %v", got, err)
	}
	b.exec("update pgq.workers set heartbeat_at = now() - interval '1 minute'")
	w := b.worker(worker.Config{})
	worker.Handle(w, nothing)
	b.run(w)
	b.ends(more, pgq.Completed, 2)
	b.errorHas(b.ends(last, pgq.Failed, 1), "lease lost")
	if _, err := b.q.Heartbeat(ctx, b.pool, dead); !errors.Is(err, pgq.ErrWorkerGone) {
		t.Errorf("heartbeat returned %v, want ErrWorkerGone", err)
	}
	if ids, err := b.q.Complete(ctx, b.pool, dead, []pgq.Completion{{JobID: more, Attempt: 1}}); err != nil || len(ids) > 0 {
		t.Errorf("a late completion was taken: %v, %v", ids, err)
	}
}
