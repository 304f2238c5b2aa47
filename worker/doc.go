// Package worker runs jobs: it claims them, calls their handlers and says how they ended.
//
//	w := worker.New(pool, worker.Config{Queues: worker.Queues{"mail": {Concurrency: 50}}})
//	worker.Handle(w, func(ctx context.Context, job *pgq.Job[SendReceipt]) error {
//		return send(ctx, job.Args.OrderID)
//	})
//	err := w.Run(ctx)
//
// # What a handler can rely on
//
// Its context is cancelled, with a cause (context.Cause), when the attempt times out (pgq.ErrTimeout), when
// somebody cancels the job (pgq.ErrCancelRequested), when the lease is lost (pgq.ErrLeaseLost) and when the
// worker stops and its grace period is over (pgq.ErrShutdown). A handler that returns then is dealt with as
// the cause says; one that ignores its context is reported. A panic is a failed attempt. No connection is
// held while a handler runs.
//
// A handler may be called again after whatever it has done. [pgq.Step] keeps what is done with the job, so that the next attempt
// goes on from there; pgq.SleepFor and pgq.WaitFor let a job sleep, and wait for a signal, without a slot; [HandleBatch] takes several
// jobs at once. See docs/handlers.md.
//
// # How it works
//
// Two pumps exchange finished attempts for new ones: completing a batch and claiming the next is one
// round trip. A queue with nothing to claim is asleep: its advisory lock on the LISTEN connection makes
// enqueuers send NOTIFY, and re-checks in doubling pauses find what was committed by a transaction that had
// looked before. Without LISTEN (Config.PollOnly) polling alone finds all.
//
// Every loop survives the loss of its connection, and goes on for ever with backoff. Every worker does the
// chores of the schema (promoting, rescuing, pruning), one worker at a time.
package worker
