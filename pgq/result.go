package pgq

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	awaitFirst = 2 * time.Millisecond
	awaitMost  = 250 * time.Millisecond
)

// Result returns the result of a completed job. ErrNotCompleted: it is in another state (the error says which
// and, for a failed one, why). ErrNotFound: there is no such job (any more).
func Result[R any](ctx context.Context, c *Client, db DB, id int64) (R, error) {
	var result R
	job, err := c.Get(ctx, db, id)
	if err != nil {
		return result, err
	}
	if job.State != Completed {
		return result, notCompleted(job)
	}
	return result, job.DecodeOutput(&result)
}

// Await waits until a job is finished and returns its result; errors as of [Result]. It looks again and again,
// first after 2 ms, then in doubling pauses of up to 250 ms; the context bounds the waiting. Do not give it
// a transaction that is to commit the job.
func Await[R any](ctx context.Context, c *Client, db DB, id int64) (R, error) {
	job, err := c.AwaitFinished(ctx, db, id)
	if err != nil {
		var none R
		return none, err
	}
	var result R
	if job.State != Completed {
		return result, notCompleted(job)
	}
	return result, job.DecodeOutput(&result)
}

// AwaitFinished waits until a job is in a terminal state, whichever, and returns it.
func (c *Client) AwaitFinished(ctx context.Context, db DB, id int64) (*JobInfo, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for pause := awaitFirst; ; pause = min(2*pause, awaitMost) {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("pgq: await job %d: %w", id, context.Cause(ctx))
		case <-timer.C:
		}
		finished, err := c.isFinished(ctx, db, id)
		if err != nil {
			return nil, err
		}
		if finished {
			job, err := c.Get(ctx, db, id)
			if err != nil || job.State.Finished() {
				return job, err
			}
		}
		timer.Reset(pause)
	}
}

// isFinished costs one look-up while the job is not finished.
func (c *Client) isFinished(ctx context.Context, db DB, id int64) (bool, error) {
	var finished *bool
	err := db.QueryRow(ctx, c.from("*", "is_finished($1)"), id).Scan(&finished)
	if err == nil && finished == nil {
		return false, fmt.Errorf("%w: job %d", ErrNotFound, id)
	}
	return finished != nil && *finished, wrap("await the job", err)
}

func notCompleted(j *JobInfo) error {
	err := fmt.Errorf("%w: job %d is %s", ErrNotCompleted, j.ID, j.State)
	if j.Error != nil {
		err = errors.Join(err, errors.New(*j.Error))
	}
	return err
}
