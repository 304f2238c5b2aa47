// Package pgq is a job queue that lives in PostgreSQL.
//
// A job is enqueued in the caller's transaction: it exists exactly if the caller's data does. Workers
// (package worker) claim jobs and run their handlers; how each job ended is kept as a result.
//
//	type SendReceipt struct {
//		OrderID int64 `json:"order_id"`
//	}
//
//	func (SendReceipt) Kind() string { return "send_receipt" }
//
//	q := pgq.New(pgq.Config{})
//	tx, _ := pool.Begin(ctx)
//	// … the application's own inserts …
//	job, err := q.Enqueue(ctx, tx, SendReceipt{OrderID: 42}, pgq.Options{Queue: "mail"})
//	err = tx.Commit(ctx)
//
// # What is promised
//
// A job whose transaction was committed runs at least once, or ends in a state that says why not. It is
// completed exactly once: whatever finishes or extends an attempt must still hold its lease, and a worker
// that was declared dead is refused with [ErrLeaseLost]. Effects that a handler writes in the transaction
// in which it completes the job ([Job.Complete]) happen exactly once.
//
// # Transactions
//
// Every method takes the [DB] to work on: a *pgxpool.Pool, a *pgx.Conn, a pgx.Tx, or a *sql.Tx wrapped by
// [FromSQL]. Given a transaction, the method is part of it and nothing is visible before it commits.
// A [Client] holds settings and no connection; it is safe for concurrent use.
//
// # Handlers
//
// What a handler does can be kept with its job: the results of steps ([Step], [StepIn]), cursors of loops ([SaveCursor]), sleeps
// ([SleepFor]) and signals ([WaitFor], [Client.Signal]). The next attempt goes on from there. See docs/handlers.md.
//
// # Time
//
// Only the database's clock counts. Durations are sent to it and added there.
//
// # Errors
//
// Few and matchable: [ErrQueueFull], [ErrLeaseLost], [ErrNotFound], [ErrWorkerGone], [ErrBusy],
// [ErrNotInstalled], [ErrSchemaVersion], [ErrNotCompleted], and [*ArgumentError], which names the field and the rule that it
// breaks. The package never logs.
package pgq
