package pgq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoSignal means that the signal that a handler waited for did not come in time.
var ErrNoSignal = errors.New("pgq: no signal came in time")

// SuspendError is what SleepFor and WaitFor return while they are not over: the handler returns it, as it is or wrapped, the
// job is put off without a slot, and its handler is called again when the step that it names is over. The attempt does not count.
type SuspendError struct{ Step string }

func (e *SuspendError) Error() string { return fmt.Sprintf("suspended until %q is over", e.Step) }

// SleepFor lets a job sleep for as long as d, without holding a slot, through crashes and restarts: the first call notes until
// when and returns a *SuspendError, which the handler has to return. When that time has come the handler is called
// again, gets the results of its steps, and SleepFor returns nil.
//
// d counts from the first call of this name on, on the database's clock. Name, ctx and errors are as of [Step]. What is put off
// can be cancelled; to retry it does not shorten the sleep.
func SleepFor(ctx context.Context, name string, d time.Duration) error {
	if d < 0 {
		return &ArgumentError{Field: "delay", Rule: "must not be negative"}
	}
	a, found, err := beginStep(ctx, nil, name, typeSleep)
	if err != nil || found.over {
		return err
	}
	outcome, _, err := a.await(ctx, name, typeSleep, &d)
	if err == nil && outcome == "open" {
		return &SuspendError{Step: name}
	}
	return err
}

// WaitFor waits for a signal of this name to the handler's job ([Client.Signal], send_signal in SQL), without holding a slot: while it is not there
// WaitFor returns a *SuspendError, which the handler has to return. When it comes, before or after that, the handler is
// called again, and WaitFor returns its value.
//
// The timeout counts from the first call of this name on; 0 is none. ErrNoSignal: it has passed, and a signal that comes now is too
// late: later attempts get the same answer. Name, ctx and other errors are as of [Step].
func WaitFor[T any](ctx context.Context, name string, timeout time.Duration) (value T, err error) {
	if timeout < 0 {
		return value, &ArgumentError{Field: "timeout", Rule: "must not be negative"}
	}
	a, found, err := beginStep(ctx, nil, name, typeSignal)
	if err != nil {
		return value, err
	}
	if !found.over {
		outcome, output, err := a.await(ctx, name, typeSignal, given(timeout))
		if err != nil {
			return value, err
		}
		found = kept{is: true, over: outcome != "open", timedOut: outcome == "timed_out", value: encoded{json: output}}
	}
	switch {
	case found.timedOut:
		return value, fmt.Errorf("%w: %q", ErrNoSignal, name)
	case !found.over:
		return value, &SuspendError{Step: name}
	}
	return value, a.decodeStep(ctx, nil, name, found, &value)
}

// await notes that the handler sleeps or waits, and returns whether that is over.
func (a *Attempt) await(ctx context.Context, name, kind string, delay *time.Duration) (outcome string, output json.RawMessage, err error) {
	err = a.db.QueryRow(ctx, a.client.from("outcome, output", "await_step($1, $2, $3, $4, $5, $6)"),
		a.WorkerID, a.ID, a.Number, name, kind, delay).Scan(&outcome, (*[]byte)(&output))
	if err == nil && outcome == "lost" {
		err = ErrLeaseLost
	} else {
		err = wrap("wait for "+kind, err)
	}
	return outcome, output, err
}

// LoadCursor returns how far a loop of the handler is: what [SaveCursor] kept last for this name, in whatever attempt; false
// if nothing was. ctx, name and errors are as of [Step], but that a cursor may be used as often as one likes.
func LoadCursor[T any](ctx context.Context, name string) (cursor T, ok bool, err error) {
	a, found, err := keptStep(ctx, nil, name, typeCursor)
	if err != nil || !found.is {
		return cursor, false, err
	}
	found.large = found.large || found.stale
	err = a.decodeStep(ctx, nil, name, found, &cursor)
	if found.stale && errors.Is(err, pgx.ErrNoRows) { // it was rolled back
		return cursor, false, nil
	}
	return cursor, err == nil, err
}

// SaveCursor keeps how far a loop of the handler is, for the attempts after this one. It writes a row each time it is
// called: call it a few times per second at the most. ErrLeaseLost: the attempt is no longer this worker's.
func SaveCursor(ctx context.Context, name string, cursor any) error {
	return saveCursor(ctx, nil, name, cursor)
}

// SaveCursorIn is [SaveCursor] in a transaction of the caller's: the cursor moves on exactly if the transaction
// commits, and so what else is written in it is written once. Commit soon after: until then the end of the job's lease waits.
func SaveCursorIn(ctx context.Context, tx DB, name string, cursor any) error {
	return saveCursor(ctx, tx, name, cursor)
}

func saveCursor(ctx context.Context, db DB, name string, cursor any) error {
	a, _, err := keptStep(ctx, db, name, typeCursor)
	if err != nil {
		return err
	}
	value, err := a.encodeOutput(cursor)
	if err != nil {
		return err
	}
	var held bool
	err = a.orOwn(db).QueryRow(ctx, a.client.from("*", "save_cursor($1, $2, $3, $4, $5::jsonb, $6, $7)"),
		a.WorkerID, a.ID, a.Number, name, value.json, value.codec, value.payload).Scan(&held)
	if err != nil {
		return wrap("save the cursor", err)
	}
	if !held {
		return ErrLeaseLost
	}
	a.note(name, kept{is: true, kind: typeCursor, over: true, value: value, stale: db != nil})
	return nil
}

// Suspension says that an attempt is to be put off until a step of its job is over.
type Suspension struct {
	AttemptID
	Step string
}

// Suspend puts jobs off whose handlers returned a *SuspendError; the attempts do not count. Outcomes as of Fail.
func (c *Client) Suspend(ctx context.Context, db DB, workerID int64, suspensions []Suspension) ([]Outcome, error) {
	n := len(suspensions)
	ids, attempts, names := make([]int64, n), make([]int32, n), make([]string, n)
	for i, s := range suspensions {
		ids[i], attempts[i], names[i] = s.JobID, int32(s.Attempt), s.Step
	}
	return c.outcomes(ctx, db, "suspend", "suspend($1, $2, $3, $4)", workerID, ids, attempts, names)
}
