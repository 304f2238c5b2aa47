package pgq

import (
	"context"
)

// Enqueued is what [Client.Enqueue] returns.
type Enqueued struct {
	// ID of the job.
	ID int64
	// NearLimit says that the queue is past its warning depth (see [QueueSettings]). It is not told of jobs that have a group, are to be unique or are in
	// a sequence.
	NearLimit bool
	// Existing says that an earlier job bars the new one (see [Unique]), Replaced that it took over its args. ID is that job's.
	Existing, Replaced bool
}

// Enqueue adds a job. Given a transaction, the job exists exactly if the transaction commits; given a pool or a
// connection, it is committed when Enqueue returns.
//
// Errors: *ArgumentError for a field that breaks a rule, ErrQueueFull, ErrDuplicate, ErrNotInstalled, or what the database
// says. When the connection breaks during a commit it is unknown whether the job exists.
func (c *Client) Enqueue(ctx context.Context, db DB, args Args, o Options) (Enqueued, error) {
	j, err := prepare(args, o, c.config.Codec)
	if err != nil {
		return Enqueued{}, err
	}
	if j.unique != nil || j.group != nil || j.sequence != nil || j.callbacks != nil {
		return c.enqueueSpecial(ctx, db, j)
	}
	var job Enqueued
	err = db.QueryRow(ctx, c.adding("job_id, near_limit",
		"enqueue_one($1, $2::jsonb, $3, $4::int, $5, $6, $7, $8, $9::jsonb, $10, $11::jsonb, $12, $13, $14, $15, $16)"),
		j.kind, j.args.json, j.queue, j.priority, j.delay, j.runAt, j.maxAttempts, j.timeout, j.backoff, j.tags,
		j.metadata, j.ttl, j.resultTTL, j.args.codec, j.args.payload, !c.config.NoNotify).
		Scan(&job.ID, &job.NearLimit)
	return job, wrapAdding(err)
}
