package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
)

// stopAfter is how long a step may go on when the command was interrupted.
const stopAfter = 30 * time.Second

// interruption is what signals do to commands that go in steps: the first one lets the step under way end, the second one cancels it.
type interruption struct {
	inSteps atomic.Bool
	again   chan struct{} // closed by the second signal
}

var errInterrupted = errors.New("interrupted")

// errStepCancelled means that a step was rolled back in the middle, errStepUnknown that it was cancelled while it was being committed.
var (
	errStepCancelled = fmt.Errorf("%w; the batch under way was rolled back", errInterrupted)
	errStepUnknown   = fmt.Errorf("%w; it is unknown whether the batch under way was done", errInterrupted)
)

// step does something in a transaction that ends when the command is interrupted once, and is cancelled when it is interrupted
// again, or would take too long; it is taken back if it is only to be tried.
func (a *app) step(ctx context.Context, s *session, o output.Options, dry bool, do func(ctx context.Context, tx pgx.Tx) error) error {
	a.stop.inSteps.Store(true)
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var cancelled atomic.Bool
	defer context.AfterFunc(ctx, func() {
		a.note(o, "interrupted: the batch under way ends; another Ctrl-C cancels it")
		select {
		case <-whole.Done():
			return
		case <-a.stop.again:
		case <-time.After(stopAfter):
		}
		cancelled.Store(true)
		soon, end := context.WithTimeout(whole, cancelTimeout)
		defer end()
		_ = s.conn.PgConn().CancelRequest(soon) // else the server would go on for nobody; what it does not hear ends with the connection
		cancel()
	})()
	ended := false
	err := try(whole, s.conn, dry, func(tx pgx.Tx) error {
		err := do(whole, tx)
		ended = err == nil
		return err
	})
	switch {
	case err == nil || !cancelled.Load():
		return err
	case ended:
		return errStepUnknown
	}
	return errStepCancelled
}
