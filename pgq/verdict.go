package pgq

import (
	"errors"
	"fmt"
	"time"
)

// Handlers answer by what they return: nil for success, an error for a failed attempt that is retried as the
// backoff says, what [SleepFor] and [WaitFor] return while they are not over, or one of the following.

// Snooze returns an error that puts the job off until later; the attempt does not count.
func Snooze(d time.Duration) error { return &SnoozeError{Delay: d} }

// Cancel returns an error that ends the job as cancelled: it need not be done.
func Cancel(err error) error { return &CancelError{Err: err} }

// Permanent returns an error that ends the job as failed, whatever attempts are left.
func Permanent(err error) error { return &PermanentError{Err: err} }

// RetryAfter returns an error that fails the attempt, and retries after d instead of what the backoff says.
func RetryAfter(d time.Duration, err error) error { return &RetryError{Delay: d, Err: err} }

// RetryAfterAll returns an error that puts the job off for d, the attempt not counted, and keeps all jobs of a queue, kind or group from starting
// until then: for a handler that was told by a foreign service to leave it alone for a while.
func RetryAfterAll(of Scope, d time.Duration) error { return &RetryAllError{Scope: of, Delay: d} }

// Causes of the contexts of handlers, besides ErrLeaseLost; see context.Cause.
var (
	// ErrShutdown: the worker stops and the grace period is over. The job is released.
	ErrShutdown = errors.New("pgq: worker is shutting down")
	// ErrCancelRequested: somebody cancelled the job.
	ErrCancelRequested = errors.New("pgq: cancellation of the job was requested")
	// ErrTimeout: the attempt took longer than its timeout. It counts as failed.
	ErrTimeout = errors.New("pgq: attempt timed out")
)

// SnoozeError is what [Snooze] returns.
type SnoozeError struct{ Delay time.Duration }

func (e *SnoozeError) Error() string { return fmt.Sprintf("snoozed for %s", e.Delay) }

// RetryAllError is what [RetryAfterAll] returns.
type RetryAllError struct {
	Scope Scope
	Delay time.Duration
}

func (e *RetryAllError) Error() string { return fmt.Sprintf("%s put off for %s", e.Scope, e.Delay) }

// CancelError is what [Cancel] returns.
type CancelError struct{ Err error }

func (e *CancelError) Error() string { return "cancelled: " + text(e.Err) }
func (e *CancelError) Unwrap() error { return e.Err }

// PermanentError is what [Permanent] returns.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return text(e.Err) }
func (e *PermanentError) Unwrap() error { return e.Err }

// RetryError is what [RetryAfter] returns.
type RetryError struct {
	Delay time.Duration
	Err   error
}

func (e *RetryError) Error() string { return text(e.Err) }
func (e *RetryError) Unwrap() error { return e.Err }

func text(err error) string {
	if err == nil {
		return "no reason given"
	}
	return err.Error()
}
