package worker

import (
	"context"
	"fmt"
	"reflect"

	"github.com/pgq-go/queue/pgq"
)

// Handler runs an attempt of a job whatever its kind; what it returns is the job's result, nil for none.
type Handler func(ctx context.Context, job *pgq.Attempt) (result any, err error)

// Middleware wraps a handler.
type Middleware func(next Handler) Handler

// Handle makes fn run the jobs of kind A. fn answers by what it returns: nil for success, an error for a
// failed attempt, or pgq.Snooze, pgq.Cancel, pgq.Permanent, pgq.RetryAfter, or what pgq.SleepFor and pgq.WaitFor returned. Call it before Run, which refuses
// a nil fn and a second handler for the same kind.
func Handle[A pgq.Args](w *Worker, fn func(ctx context.Context, job *pgq.Job[A]) error) {
	if fn == nil {
		w.register(kindOf[A](), nil)
		return
	}
	HandleResult(w, func(ctx context.Context, job *pgq.Job[A]) (any, error) { return nil, fn(ctx, job) })
}

// HandleResult is [Handle] for jobs with a result, which is kept with the job (see pgq.Await).
func HandleResult[A pgq.Args, R any](w *Worker, fn func(ctx context.Context, job *pgq.Job[A]) (R, error)) {
	if fn == nil {
		w.register(kindOf[A](), nil)
		return
	}
	w.register(kindOf[A](), func(ctx context.Context, attempt *pgq.Attempt) (any, error) {
		job := &pgq.Job[A]{Attempt: attempt}
		if err := attempt.DecodeArgs(&job.Args); err != nil {
			return nil, err
		}
		return fn(ctx, job)
	})
}

// HandleKind makes h run the jobs of a kind that has no Go type; it reads the args by DecodeArgs.
func HandleKind(w *Worker, kind string, h Handler) { w.register(kind, h) }

// kindOf returns the kind of a type of args, also of a pointer type.
func kindOf[A pgq.Args]() string {
	var zero A
	if t := reflect.TypeFor[A](); t.Kind() == reflect.Pointer {
		return reflect.New(t.Elem()).Interface().(pgq.Args).Kind()
	}
	return zero.Kind()
}

// register notes a handler, or what is wrong with it for Run to say.
func (w *Worker) register(kind string, h Handler) {
	switch {
	case kind == "":
		w.problems = append(w.problems, &pgq.ArgumentError{Field: "kind", Rule: "must not be empty"})
	case h == nil:
		w.problems = append(w.problems, &pgq.ArgumentError{Field: fmt.Sprintf("handler of %q", kind), Rule: "must not be nil"})
	case w.handlers[kind] != nil:
		w.problems = append(w.problems, &pgq.ArgumentError{Field: fmt.Sprintf("handler of %q", kind), Rule: "must be the only one for its kind"})
	default:
		w.handlers[kind] = h
	}
}
