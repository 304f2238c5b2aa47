package worker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// handles runs a worker whose handler is fn and returns the id of a job for it.
func (b *bench) handles(o pgq.Options, fn func(ctx context.Context, job *pgq.Job[letter]) (any, error)) int64 {
	b.t.Helper()
	w := b.worker(worker.Config{})
	worker.HandleResult(w, fn)
	b.run(w)
	return b.enqueue(o)
}

var atOnce = pgq.Backoff{Type: pgq.BackoffConstant}

func TestAFailedAttemptIsRetriedUntilAttemptsAreUsedUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.handles(pgq.Options{MaxAttempts: 3, Backoff: atOnce}, func(_ context.Context, job *pgq.Job[letter]) (any, error) {
		return nil, fmt.Errorf("broken %d", job.Number)
	})
	b.errorHas(b.ends(id, pgq.Failed, 3), "broken 3")
	if n := len(b.history(id, "retried")); n != 2 {
		t.Errorf("history has %d retries, want 2", n)
	}
}

func TestARetryWaitsForItsBackoff(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.handles(pgq.Options{MaxAttempts: 2, Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: time.Hour}},
		func(_ context.Context, job *pgq.Job[letter]) (any, error) {
			if job.Number == 1 {
				return nil, errors.New("not yet")
			}
			return nil, nil
		})
	b.eventually("the job is scheduled", func() bool { return b.get(id).State == pgq.Scheduled })
	if wait := b.number("select extract(epoch from run_at - now())::int from pgq.scheduled where job_id = $1", id); wait < 3500 || wait > 3600 {
		t.Errorf("it waits for %d s, want about 3600", wait)
	}
	b.exec("update pgq.scheduled set run_at = now()") // tests move rows, not clocks
	b.ends(id, pgq.Completed, 2)
}

func TestWhatAHandlerReturnsDecidesWhatBecomesOfTheJob(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	cases := []struct {
		name     string
		err      error
		state    pgq.State
		attempts int
		waits    time.Duration
		text     string
	}{
		{"Snooze does not count", pgq.Snooze(time.Hour), pgq.Scheduled, 0, time.Hour, ""},
		{"a wrapped Snooze is one", fmt.Errorf("later: %w", pgq.Snooze(time.Hour)), pgq.Scheduled, 0, time.Hour, ""},
		{"a negative Snooze fails", pgq.Snooze(-1), pgq.Scheduled, 1, time.Minute, ""},
		{"Cancel cancels", pgq.Cancel(boom), pgq.Cancelled, 1, 0, "boom"},
		{"Cancel may be without a reason", pgq.Cancel(nil), pgq.Cancelled, 1, 0, "no reason given"},
		{"Permanent fails for good", pgq.Permanent(boom), pgq.Failed, 1, 0, "boom"},
		{"RetryAfter says when", pgq.RetryAfter(2*time.Hour, boom), pgq.Scheduled, 1, 2 * time.Hour, ""},
		{"an error with NUL and invalid UTF-8 is kept", pgq.Permanent(errors.New("a\x00b\xff")), pgq.Failed, 1, 0, "a\uFFFDb\uFFFD"},
	}
	b := newBench(t)
	w := b.worker(worker.Config{})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[letter]) error { return cases[job.Args.To].err })
	b.run(w)
	for i, c := range cases {
		id := b.add(letter{To: i}, pgq.Options{Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: time.Minute}})
		var job *pgq.JobInfo
		b.eventually(c.name, func() bool { job = b.get(id); return job.State == c.state })
		if job.Attempt != c.attempts {
			t.Errorf("%s: %d attempts count, want %d", c.name, job.Attempt, c.attempts)
		}
		if c.text != "" {
			b.errorHas(job, c.text)
		}
		if c.waits > 0 {
			seconds := b.number("select extract(epoch from run_at - now())::int from pgq.scheduled where job_id = $1", id)
			if wait := time.Duration(seconds) * time.Second; wait > c.waits || wait < c.waits-30*time.Second {
				t.Errorf("%s: it waits for %s, want %s", c.name, wait, c.waits)
			}
		}
	}
}

// broken is an error that panics when it is asked for its text.
type broken struct{ text string }

func (b *broken) Error() string { return b.text }

// explosive is a result that panics when it is encoded.
type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

func TestNothingThatAHandlerDoesEndsTheWorker(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		do   func(ctx context.Context) (any, error)
		text string
		seen bool // the stack is in the history
	}{
		{"a panic", func(context.Context) (any, error) { panic("ouch") }, "panic: ouch", true},
		{"runtime.Goexit", func(context.Context) (any, error) { runtime.Goexit(); return nil, nil }, "runtime.Goexit", false},
		{"a nil pointer as error", func(context.Context) (any, error) { var err *broken; return nil, err }, "panic: ", true},
		{"a result that panics", func(context.Context) (any, error) { return explosive{}, nil }, "panic: in MarshalJSON", true},
		{"a result that cannot be encoded", func(context.Context) (any, error) { return make(chan int), nil }, "result must be encodable", false},
		{"a result with NUL", func(context.Context) (any, error) { return "a\x00b", nil }, "result must not contain NUL", false},
		{"a result that jsonb refuses", func(context.Context) (any, error) { return jsonNumber("1e999999"), nil }, "", false},
	}
	b := newBench(t)
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 1}}})
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		if job.Args.To < len(cases) {
			return cases[job.Args.To].do(ctx)
		}
		return nil, nil
	})
	b.run(w)
	for i, c := range cases {
		id := b.add(letter{To: i}, pgq.Options{MaxAttempts: 1})
		t.Logf("%s is job %d", c.name, id)
		b.errorHas(b.ends(id, pgq.Failed, 1), c.text)
		if c.seen {
			if events := b.history(id, "failed"); len(events) != 1 || !strings.Contains(string(events[0].Data), "verdict_test.go") {
				t.Errorf("%s: history has no stack: %+v", c.name, events)
			}
		}
		if !b.log.has("attempt failed", fmt.Sprint("job_id=", id)) && !b.log.has("result was refused", fmt.Sprint("job_id=", id)) {
			t.Errorf("%s was not logged", c.name)
		}
		b.ends(b.add(letter{To: len(cases)}, pgq.Options{}), pgq.Completed, 1)
	}
}

// jsonNumber is JSON, but too large a number for PostgreSQL.
type jsonNumber string

func (n jsonNumber) MarshalJSON() ([]byte, error) { return []byte(n), nil }

func TestAResultThatIsRefusedDoesNotHarmOthersOfItsBatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	all := make(chan struct{})
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 20}}})
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[letter]) (any, error) {
		<-all // they end together
		if job.Args.To == 13 {
			return jsonNumber("1e999999"), nil
		}
		return job.Args.To, nil
	})
	b.run(w)
	var ids []int64
	for n := range 20 {
		ids = append(ids, b.add(letter{To: n}, pgq.Options{MaxAttempts: 1}))
	}
	b.becomes(20, "select count(*) from pgq.running")
	close(all)
	for n, id := range ids {
		want := pgq.Completed
		if n == 13 {
			want = pgq.Failed
		}
		b.ends(id, want, 1)
	}
}

func TestAnAttemptThatTimesOutHasFailed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.handles(pgq.Options{MaxAttempts: 1, Timeout: 20 * time.Millisecond}, func(ctx context.Context, _ *pgq.Job[letter]) (any, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	b.errorHas(b.ends(id, pgq.Failed, 1), "timed out after 20ms")
}

func TestArgsThatCannotBeDecodedFailTheAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error { return nil })
	b.run(w)
	id := b.number(`select pgq.enqueue('letter', '{"to": "nobody"}', max_attempts => 1)`)
	b.errorHas(b.ends(id, pgq.Failed, 1), fmt.Sprintf("args of job %d", id))
}
