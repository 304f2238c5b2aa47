package pgq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// recordTimeout is how long the result of a step is tried to be written, also when the handler's context has ended.
const recordTimeout = 10 * time.Second

// Step does a part of a handler once: it calls fn and keeps the result with the job, and in later attempts returns what
// was kept without calling fn. So a handler that fails, or whose process dies, goes on after its last step.
//
//	charge, err := pgq.Step(ctx, "charge", func(ctx context.Context) (Charge, error) {
//		return bank.Charge(ctx, job.Args.OrderID)
//	})
//
// fn runs at least once: a process may die after fn and before its result is written. The result is written once, and
// only while the attempt holds its lease; what others see of it is the one that was written. For effects in
// the same database that happen exactly once see [StepIn].
//
// The result is kept as results of jobs are: by its method Codec, or else the codec of the client; also in the first attempt the caller gets what was decoded
// from that. An error of fn is returned with the name of the step, and nothing is kept: the next attempt calls fn again.
//
// The name identifies the step for as long as there are jobs that may have used it: 1 to 200 characters, and one step
// for each name, so that within loops it has to contain what differs. A name that was used before in the same attempt is an
// *ArgumentError, and so is one that belongs to a cursor, sleep or signal of the job.
//
// ctx is the handler's, or derived from it. ErrLeaseLost: the attempt is no longer this worker's, and nothing was kept. A result that cannot be encoded
// and decoded fails the job for good, because fn would run in vain again and again.
func Step[R any](ctx context.Context, name string, fn func(ctx context.Context) (R, error)) (R, error) {
	return step(ctx, nil, name, fn)
}

// StepIn is [Step] in a transaction of the caller's: the result is kept exactly if the transaction commits, and with it what fn
// wrote in it. When it is rolled back the handler has to return an error: the next attempt calls fn again.
// Commit soon after: until then the end of the job's lease waits.
func StepIn[R any](ctx context.Context, tx DB, name string, fn func(ctx context.Context) (R, error)) (R, error) {
	return step(ctx, tx, name, fn)
}

// step does a step; a nil db means on its own.
func step[R any](ctx context.Context, db DB, name string, fn func(ctx context.Context) (R, error)) (result R, err error) {
	a, found, err := beginStep(ctx, db, name, typeStep)
	if err != nil {
		return result, err
	}
	if found.is {
		return result, a.decodeStep(ctx, db, name, found, &result)
	}
	value, err := fn(ctx)
	if err != nil {
		return result, fmt.Errorf("step %q: %w", name, err)
	}
	encoded, err := a.encodeOutput(value)
	if err == nil {
		err = a.client.decode(encoded, a.Kind, &result)
	}
	if err != nil {
		return result, Permanent(fmt.Errorf("step %q: %w", name, err))
	}
	outcome, err := a.record(ctx, db, name, encoded)
	switch {
	case err != nil:
		return result, err
	case outcome == "lost":
		return result, ErrLeaseLost
	case outcome == "existing": // recorded meanwhile, or the answer to a first try was lost
		result = *new(R)
		return result, a.decodeStep(ctx, db, name, kept{is: true, large: true}, &result)
	}
	if db == nil {
		a.note(name, kept{is: true, kind: typeStep, over: true, large: true})
	}
	return result, nil
}

// orOwn returns the db, or without one that of the worker.
func (a *Attempt) orOwn(db DB) DB {
	if db == nil {
		return a.db
	}
	return db
}

// note says what there is of a name from now on.
func (a *Attempt) note(name string, k kept) {
	a.steps.mu.Lock()
	defer a.steps.mu.Unlock()
	a.steps.kept[name] = k
}

// record writes the result of a step, without a db of the caller's again and again until recordTimeout has passed: what
// fn did cannot be taken back.
func (a *Attempt) record(ctx context.Context, db DB, name string, value encoded) (outcome string, err error) {
	call := a.client.from("*", "record_step($1, $2, $3, $4, $5::jsonb, $6, $7)")
	args := []any{a.WorkerID, a.ID, a.Number, name, value.json, value.codec, value.payload}
	if db != nil {
		err = db.QueryRow(ctx, call, args...).Scan(&outcome)
		return outcome, wrap("record the step", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		err = a.db.QueryRow(ctx, call, args...).Scan(&outcome)
		if err == nil || !connectionFailed(err) {
			return outcome, wrap("record the step", err)
		}
		select {
		case <-ctx.Done():
			return "", wrap("record the step", err)
		case <-time.After(pause):
		}
	}
}

// connectionFailed reports whether an error is no answer to the statement.
func connectionFailed(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true
	}
	return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "53")
}

// AttemptKey is the key under which the context of a handler holds its *Attempt. Package worker answers it; so may
// anybody who writes a worker.
type AttemptKey struct{}

// AttemptFrom returns the attempt whose handler was given the context, nil outside of handlers.
func AttemptFrom(ctx context.Context) *Attempt {
	a, _ := ctx.Value(AttemptKey{}).(*Attempt)
	return a
}

// Types of what is kept, as in the table steps.
const (
	typeStep   = "step"
	typeCursor = "cursor"
	typeSleep  = "sleep"
	typeSignal = "signal"
)

// inlineSize bounds what is read of each step when a handler begins; larger results are read when they are asked for.
const inlineSize = 16 << 10

// kept is what an earlier attempt left, or somebody sent.
type kept struct {
	is       bool // it is there
	kind     string
	over     bool // recorded, sent, slept
	timedOut bool
	large    bool // the value was left out
	stale    bool // somebody's transaction may change it
	value    encoded
}

// beginStep returns the attempt of a handler and what there is of a name, and refuses a name that cannot be used. A db that is not
// nil is a transaction of the caller's: all goes through it, so that a handler needs no two connections at a time.
func beginStep(ctx context.Context, db DB, name, kind string) (*Attempt, kept, error) {
	a, found, err := keptStep(ctx, db, name, kind)
	if err != nil {
		return nil, kept{}, err
	}
	a.steps.mu.Lock()
	defer a.steps.mu.Unlock()
	if a.steps.used[name] {
		return nil, kept{}, stepError(fmt.Sprintf("must be used once per attempt; %q was used before", name))
	}
	a.steps.used[name] = true
	return a, found, nil
}

// keptStep returns the attempt of a handler and what there is of a name.
func keptStep(ctx context.Context, db DB, name, kind string) (*Attempt, kept, error) {
	a := AttemptFrom(ctx)
	if a == nil || a.client == nil {
		return nil, kept{}, &ArgumentError{Field: "ctx", Rule: "must be that of a handler"}
	}
	if n := utf8.RuneCountInString(name); n < 1 || n > 200 {
		return nil, kept{}, stepError("must have 1 to 200 characters")
	}
	if !utf8.ValidString(name) || containsNUL(name) {
		return nil, kept{}, stepError("must be valid UTF-8 without NUL")
	}
	a.steps.mu.Lock()
	defer a.steps.mu.Unlock()
	if err := a.loadSteps(ctx, a.orOwn(db)); err != nil {
		return nil, kept{}, err
	}
	found := a.steps.kept[name]
	if found.is && found.kind != kind {
		return nil, kept{}, stepError(fmt.Sprintf("must be that of a %s; %q is the name of a %s of this job", kind, name, found.kind))
	}
	return a, found, nil
}

func stepError(rule string) error { return &ArgumentError{Field: "name", Rule: rule} }

// loadSteps reads what earlier attempts left, once per attempt. Needs steps.mu.
func (a *Attempt) loadSteps(ctx context.Context, db DB) error {
	if a.steps.kept != nil {
		return nil
	}
	rows, err := db.Query(ctx, a.client.from("name, type, over, timed_out, large, output, codec, payload", "read_steps($1, $2)"), a.ID, inlineSize)
	if err != nil {
		return wrap("read the steps", err)
	}
	all := map[string]kept{}
	var name string
	var k kept
	_, err = pgx.ForEachRow(rows, []any{&name, &k.kind, &k.over, &k.timedOut, &k.large, (*[]byte)(&k.value.json), &k.value.codec, &k.value.payload}, func() error {
		k.is = true
		all[name] = k
		k = kept{} // what was read is not to be written over
		return nil
	})
	if err != nil {
		return wrap("read the steps", err)
	}
	a.steps.kept, a.steps.used = all, map[string]bool{}
	return nil
}

// decodeStep reads what was kept into a value.
func (a *Attempt) decodeStep(ctx context.Context, db DB, name string, k kept, into any) error {
	if k.large {
		err := a.orOwn(db).QueryRow(ctx, a.client.from("output, codec, payload", "read_step($1, $2)"), a.ID, name).
			Scan((*[]byte)(&k.value.json), &k.value.codec, &k.value.payload)
		if err != nil {
			return wrap("read the step", err)
		}
	}
	if err := a.client.decode(k.value, a.Kind, into); err != nil {
		return fmt.Errorf("pgq: step %q of job %d: %w", name, a.ID, err)
	}
	return nil
}
