package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// started is an attempt whose handler runs, and the context of the handler.
type started struct {
	*pgq.Attempt
	context.Context //nolint:containedctx // made with the attempt, cancelled by others

	engine  *engine
	cancel  context.CancelCauseFunc
	claimed time.Time
	began   time.Time
	// guarded by engine.mu
	cancelledAt time.Time // when the context was found cancelled
	reported    bool      // as stuck
}

func (s *started) key() pgq.AttemptID { return pgq.AttemptID{JobID: s.ID, Attempt: s.Number} }

// attrs are what log records say of an attempt.
func (s *started) attrs() []any {
	return []any{"job_id", s.ID, "queue", s.Queue, "kind", s.Kind, "attempt", s.Number, "worker", s.WorkerID}
}

func (s *started) observation(what string) Observation {
	return Observation{Type: what, JobID: s.ID, Queue: s.Queue, Kind: s.Kind, Attempt: s.Number}
}

// Value returns the attempt for contextKey and pgq.AttemptKey, and what the worker's context holds for other keys.
func (s *started) Value(key any) any {
	switch key {
	case contextKey{}:
		return s
	case pgq.AttemptKey{}:
		return s.Attempt
	}
	return s.Context.Value(key)
}

// contextKey is under which a handler's context holds its *started.
type contextKey struct{}

// JobFrom returns the attempt whose handler was given the context, nil outside of handlers.
func JobFrom(ctx context.Context) *pgq.Attempt {
	if s, ok := ctx.Value(contextKey{}).(*started); ok {
		return s.Attempt
	}
	return nil
}

// start notes an attempt as active. Needs mu.
func (e *engine) start(a waiting) *started {
	s := &started{Attempt: a.Attempt, engine: e, claimed: a.since, began: time.Now()}
	s.Context, s.cancel = context.WithCancelCause(e.base)
	e.active[s.key()] = s
	return s
}

// slot runs attempts whenever it is called, until the engine is closed.
func (e *engine) slot(l *lane) {
	for {
		e.serve(l, e.begin(l))
		if _, open := <-l.call; !open {
			return
		}
	}
}

// serve runs attempts, one after the other, until there is none left.
func (e *engine) serve(l *lane, s *started) {
	defer func() {
		if s == nil {
			return
		}
		// The handler called runtime.Goexit, which ends this goroutine: another one goes on.
		end := e.failed(s, errors.New("handler called runtime.Goexit"), "")
		end.ran = time.Since(s.began)
		e.report(s, end)
		next := e.finish(l, s, end)
		go func() {
			e.serve(l, next)
			if _, open := <-l.call; open {
				e.slot(l)
			}
		}()
	}()
	for s != nil {
		s = e.finish(l, s, e.run(s))
	}
}

// run calls the handler and says how the attempt is to end.
func (e *engine) run(s *started) ending {
	var ctx context.Context = s
	defer s.cancel(nil)
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.Timeout, pgq.ErrTimeout)
		defer cancel()
	}
	end := e.handle(ctx, s)
	end.ran = time.Since(s.began)
	if e.w.config.Observe != nil || end.err != nil {
		e.report(s, end)
	}
	return end
}

// handle calls the handler and judges what it returned; a panic of either is an error with a stack.
func (e *engine) handle(ctx context.Context, s *started) (end ending) {
	defer func() {
		if r := recover(); r != nil {
			end = e.judge(s, nil, fmt.Errorf("panic: %v", r), string(debug.Stack()), context.Cause(ctx))
		}
	}()
	result, err := e.w.handlers[s.Kind](ctx, s.Attempt)
	if err != nil {
		_ = err.Error() // here a panic, of a nil pointer in an error for example, does no harm
	}
	return e.judge(s, result, err, "", context.Cause(ctx))
}

// judge turns what a handler returned, and why its context was cancelled if it was, into an ending.
func (e *engine) judge(s *started, result any, err error, stack string, cause error) ending {
	if err != nil {
		return e.judgeError(s, err, stack, cause)
	}
	if s.CompletedByHandler() {
		// Its transaction has finished the job, unless it was not committed: then this ends the attempt.
		return ending{attempt: s.Attempt, verdict: confirm,
			err: errors.New("the transaction in which the handler completed the job was not committed")}
	}
	completion, err := s.NewCompletion(result)
	if err != nil {
		return e.failed(s, err, "")
	}
	return ending{attempt: s.Attempt, verdict: complete, completion: completion}
}

// judgeError is judge for handlers that returned an error: by itself, since what errors are searched for is allocated.
func (e *engine) judgeError(s *started, err error, stack string, cause error) ending {
	var suspend *pgq.SuspendError
	var snooze *pgq.SnoozeError
	var all *pgq.RetryAllError
	var cancel *pgq.CancelError
	switch {
	case errors.Is(cause, pgq.ErrLeaseLost):
		return ending{attempt: s.Attempt, verdict: drop, err: pgq.ErrLeaseLost}
	case errors.As(err, &suspend):
		return ending{attempt: s.Attempt, verdict: suspended, step: suspend.Step}
	case errors.As(err, &snooze):
		if snooze.Delay < 0 {
			return e.failed(s, fmt.Errorf("handler snoozed for %s; must not be negative", snooze.Delay), "")
		}
		return ending{attempt: s.Attempt, verdict: snoozed, delay: &snooze.Delay}
	case errors.As(err, &all):
		return e.putOffAll(s, all)
	case errors.As(err, &cancel):
		return ending{attempt: s.Attempt, verdict: giveUp, err: err}
	case errors.Is(cause, pgq.ErrShutdown):
		return ending{attempt: s.Attempt, verdict: release}
	case errors.Is(cause, pgq.ErrCancelRequested):
		return ending{attempt: s.Attempt, verdict: giveUp, err: err}
	case errors.Is(cause, pgq.ErrTimeout):
		return e.failed(s, fmt.Errorf("%w after %s: %w", pgq.ErrTimeout, s.Timeout, err), stack)
	}
	return e.failed(s, err, stack)
}

// putOffAll pauses what the handler asked to be paused and returns the ending of its own attempt.
func (e *engine) putOffAll(s *started, all *pgq.RetryAllError) ending {
	ctx, cancel := context.WithTimeout(e.calls, e.callTimeout)
	defer cancel()
	if err := e.client.PauseLimit(ctx, e.pool, all.Scope, all.Delay, fmt.Sprintf("asked for by job %d", s.ID)); err != nil {
		return e.failed(s, fmt.Errorf("%w: %w", all, err), "")
	}
	return ending{attempt: s.Attempt, verdict: snoozed, delay: &all.Delay}
}

// failed returns the ending of a failed attempt, as its error asks for.
func (e *engine) failed(s *started, err error, stack string) ending {
	end := ending{attempt: s.Attempt, verdict: fail, err: err, stack: stack}
	var panicked *panicError
	if stack == "" && errors.As(err, &panicked) {
		end.stack = panicked.stack
	}
	var permanent *pgq.PermanentError
	var retry *pgq.RetryError
	switch {
	case errors.As(err, &permanent):
		end.permanent = true
	case errors.As(err, &retry):
		delay := max(retry.Delay, 0)
		end.delay = &delay
	}
	return end
}

// report logs and observes how an attempt ended.
func (e *engine) report(s *started, end ending) {
	o := s.observation(end.verdict.String())
	o.Wait, o.Run, o.Err = s.began.Sub(s.claimed), end.ran, end.err
	switch end.verdict {
	case confirm:
		o.Type, o.Err = "completed", nil
	case drop:
		e.log.Warn("lease lost while the handler ran", s.attrs()...)
	case fail:
		level := e.log.Warn
		if end.stack != "" {
			level = e.log.Error
		}
		level("attempt failed", append(s.attrs(), "error", end.err, "duration", end.ran)...)
	}
	e.w.observe(o)
}
