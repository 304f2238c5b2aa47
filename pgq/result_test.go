package pgq_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// withCodec is a result, and args, that a codec of their own encodes.
type withCodec struct{ Text string }

func (withCodec) Kind() string         { return "with_codec" }
func (withCodec) Codec() pgq.Codec     { return shout{} }
func (withCodec) Options() pgq.Options { return pgq.Options{Codec: shout{}} }

// shout is a codec that writes text in capitals.
type shout struct{}

func (shout) Name() string { return "shout" }
func (shout) Encode(v any) ([]byte, error) {
	return []byte(strings.ToUpper(v.(withCodec).Text)), nil
}
func (shout) Decode(data []byte, into any) error {
	into.(*withCodec).Text = string(data) + "!"
	return nil
}

// runOne claims the only ready job of the default queue.
func (w *world) runOne() *pgq.Attempt {
	w.Helper()
	claimed := w.claim(w.worker("default"), "default", 1)
	if len(claimed) != 1 {
		w.Fatalf("%d jobs were claimed", len(claimed))
	}
	return claimed[0]
}

func TestCodecsWriteArgsAndResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.q = pgq.New(pgq.Config{Codecs: []pgq.Codec{shout{}}})
	ctx := t.Context()
	id := w.enqueue(withCodec{"hello"}, pgq.Options{})
	attempt := w.runOne()
	var args withCodec
	must(t, attempt.DecodeArgs(&args))
	if args.Text != "HELLO!" {
		t.Errorf("got args %q", args.Text)
	}
	must(t, attempt.Complete(ctx, w.pool, withCodec{"bye"}))
	if !attempt.CompletedByHandler() {
		t.Error("the attempt does not know that it is completed")
	}
	result, err := pgq.Result[withCodec](ctx, w.q, w.pool, id)
	if err != nil || result.Text != "BYE!" {
		t.Errorf("got result %q, %v", result.Text, err)
	}
	job := w.get(id)
	if job.Args != nil || job.Output != nil || *job.Codec != "shout" {
		t.Errorf("what the codec wrote is shown as JSON: %+v", job)
	}
	if _, err := pgq.Result[withCodec](ctx, pgq.New(pgq.Config{}), w.pool, id); err == nil || !strings.Contains(err.Error(), `codec is not configured: "shout"`) {
		t.Error("a client without the codec:", err)
	}
}

func TestResultsOfEveryKindOfEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	if _, err := pgq.Result[int](ctx, w.q, w.pool, 99); !errors.Is(err, pgq.ErrNotFound) {
		t.Error("of no job:", err)
	}
	if _, err := pgq.Await[int](ctx, w.q, w.pool, 99); !errors.Is(err, pgq.ErrNotFound) {
		t.Error("awaiting no job:", err)
	}
	id := w.enqueue(note{}, pgq.Options{})
	if _, err := pgq.Result[int](ctx, w.q, w.pool, id); !errors.Is(err, pgq.ErrNotCompleted) || !strings.Contains(err.Error(), "is ready") {
		t.Error("of a ready job:", err)
	}
	attempt := w.runOne()
	must(t, attempt.Complete(ctx, w.pool, 42))
	if n, err := pgq.Await[int](ctx, w.q, w.pool, id); n != 42 || err != nil {
		t.Error("of a completed job:", n, err)
	}
	if _, err := pgq.Result[[]string](ctx, w.q, w.pool, id); err == nil {
		t.Error("of another type: no error")
	}
	if err := attempt.Complete(ctx, w.pool, 43); !errors.Is(err, pgq.ErrLeaseLost) {
		t.Error("completed twice:", err)
	}
	if err := attempt.Progress(ctx, 1, 2); !errors.Is(err, pgq.ErrLeaseLost) {
		t.Error("progress of a completed job:", err)
	}

	empty := w.enqueue(note{}, pgq.Options{})
	must(t, w.runOne().Complete(ctx, w.pool, nil))
	if n, err := pgq.Result[*int](ctx, w.q, w.pool, empty); n != nil || err != nil {
		t.Error("of a job without a result:", n, err)
	}

	failed := w.enqueue(note{}, pgq.Options{})
	attempt = w.runOne()
	_, err := w.q.Fail(ctx, w.pool, attempt.WorkerID, []pgq.Failure{{JobID: failed, Attempt: 1, Error: "oo\x00ps \xff", Permanent: true}})
	must(t, err)
	if _, err := pgq.Await[int](ctx, w.q, w.pool, failed); !errors.Is(err, pgq.ErrNotCompleted) || !strings.Contains(err.Error(), "is failed") || !strings.Contains(err.Error(), "oo\uFFFDps \uFFFD") {
		t.Error("of a failed job:", err)
	}
	if err := w.get(failed).DecodeOutput(new(int)); !errors.Is(err, pgq.ErrNotCompleted) {
		t.Error("the output of a failed job:", err)
	}
}

func TestAResultThatCannotBeEncodedIsRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enqueue(note{}, pgq.Options{})
	attempt := w.runOne()
	for _, result := range []any{func() {}, "a\x00b", make(chan int)} {
		err := attempt.Complete(t.Context(), w.pool, result)
		if field, _, _ := refused(err); field != "result" {
			t.Errorf("%T: %v", result, err)
		}
	}
	if got := w.get(attempt.ID).State; got != pgq.Running || attempt.CompletedByHandler() {
		t.Errorf("the job is %s", got)
	}
}

func TestAwaitWaitsUntilTheJobIsFinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.enqueue(note{}, pgq.Options{})
	answer := make(chan int)
	go func() {
		n, err := pgq.Await[int](t.Context(), w.q, w.pool, id)
		if err != nil {
			t.Error(err)
		}
		answer <- n
	}()
	must(t, w.runOne().Complete(t.Context(), w.pool, 7))
	if n := <-answer; n != 7 {
		t.Errorf("got %d", n)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.enqueue(note{}, pgq.Options{})
	cause := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, cause)
	defer cancel()
	if _, err := pgq.Await[int](ctx, w.q, w.pool, id); !errors.Is(err, cause) && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestCompletingInTheHandlersTransactionIsUndoneWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.enqueue(note{}, pgq.Options{})
	attempt := w.runOne()
	tx, err := w.pool.Begin(t.Context())
	must(t, err)
	must(t, attempt.Complete(t.Context(), tx, 1))
	must(t, tx.Rollback(t.Context()))
	if got := w.get(id).State; got != pgq.Running {
		t.Errorf("after a rollback the job is %s", got)
	}
	done, claimed, err := w.q.CompleteAndClaim(t.Context(), w.pool, []pgq.Completion{{JobID: id, Attempt: 1}},
		pgq.ClaimRequest{WorkerID: attempt.WorkerID, Queues: []string{"default"}, Limits: []int32{1}})
	if err != nil || len(done) != 1 || len(claimed) != 0 {
		t.Error(done, claimed, err)
	}
}
