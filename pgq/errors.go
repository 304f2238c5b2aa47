package pgq

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Errors to be matched with errors.Is. In SQL they carry the SQLSTATE in parentheses.
var (
	// ErrQueueFull means that a queue is at its maximum depth (PQ002). Nothing was enqueued.
	ErrQueueFull = errors.New("pgq: queue is full")
	// ErrLeaseLost means that the attempt is no longer the worker's: the job was given to somebody else
	// or is finished. Nothing was changed. It is also the cause of the contexts of handlers that lost theirs.
	ErrLeaseLost = errors.New("pgq: lease is lost")
	// ErrNotFound means that there is no such job or queue (PQ004).
	ErrNotFound = errors.New("pgq: not found")
	// ErrWorkerGone means that the worker is not registered or was declared dead (PQ005).
	ErrWorkerGone = errors.New("pgq: worker is not registered or was declared dead")
	// ErrBusy means that jobs moved each time they were looked at (PQ006). Nothing was changed; try again.
	ErrBusy = errors.New("pgq: jobs move faster than they can be changed")
	// ErrPermission means that the database role may not do that (42501); see pgq-admin grant. Nothing was changed.
	ErrPermission = errors.New("pgq: permission denied")
	// ErrDuplicate means that there is a job with the unique key already (PQ007). Nothing was enqueued.
	ErrDuplicate = errors.New("pgq: there is such a job already")
	// ErrOtherServer means that events and positions of consumers come from another server's dump (PQ008): the owner calls adopt_events.
	ErrOtherServer = errors.New("pgq: events are of another server")
	// ErrNotInstalled means that the schema lacks PGQ or parts of it; run the migrations.
	ErrNotInstalled = errors.New("pgq: PGQ is not installed in the schema; run the migrations (pgq-admin migrate up)")
	// ErrSchemaVersion means that the schema is newer or older than this library knows.
	ErrSchemaVersion = errors.New("pgq: schema has another version than this library")
	// ErrUnknownCodec means that what is to be read was written by a codec that the client does not have (Config.Codecs).
	ErrUnknownCodec = errors.New("pgq: codec is not configured")
	// ErrNotCompleted means that a job ended in another state than completed, so that it has no result.
	ErrNotCompleted = errors.New("pgq: job was not completed")
	// ErrNotWhole means that an export was cut off. Nothing was imported.
	ErrNotWhole = errors.New("pgq: the export is not whole")
)

// ArgumentError says that a field breaks a rule (PQ001). Nothing was written. Match it with errors.As.
type ArgumentError struct {
	// Field is the name of the field as in SQL: "priority", "jobs[3].kind".
	Field string
	// Rule is what it must be: "must be 0 to 9".
	Rule string
}

// Error returns the field and the rule.
func (e *ArgumentError) Error() string { return "pgq: " + e.Field + " " + e.Rule }

// VersionError is an [ErrSchemaVersion] that says which version the schema has.
type VersionError struct {
	Schema  string
	Version int64 // the latest one that was applied
	Applied int64 // how many were; fewer than Version where one was left out
}

// Error returns both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s: schema %s has version %d (%d migrations applied), this library works with %d",
		ErrSchemaVersion, e.Schema, e.Version, e.Applied, SchemaVersion)
}

// Unwrap returns ErrSchemaVersion.
func (e *VersionError) Unwrap() error { return ErrSchemaVersion }

// wrap turns what the database says into the errors of this package. verb says what was being done.
func wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fmt.Errorf("pgq: %s: %w", verb, err)
	}
	switch pg.Code {
	case "PQ001":
		return &ArgumentError{Field: pg.ColumnName, Rule: pg.Detail}
	case "PQ002":
		return fmt.Errorf("%w: %s", ErrQueueFull, pg.Message)
	case "PQ004":
		return fmt.Errorf("%w: %s", ErrNotFound, pg.Message)
	case "PQ005":
		return fmt.Errorf("%w: %s", ErrWorkerGone, pg.Message)
	case "PQ006":
		return fmt.Errorf("%w: %s", ErrBusy, pg.Message)
	case "42501":
		return fmt.Errorf("%w: %s", ErrPermission, strings.TrimPrefix(pg.Message, "permission denied "))
	case "PQ007":
		return fmt.Errorf("%w: %s", ErrDuplicate, pg.Message)
	case "PQ008":
		return fmt.Errorf("%w: %s", ErrOtherServer, pg.Message)
	case "3F000", "42883", "42P01": // no such schema, function, table
		return fmt.Errorf("%w: %s", ErrNotInstalled, pg.Message)
	case "22P05", "22021": // what jsonb and text refuse: \u0000, a NUL byte, invalid UTF-8
		return &ArgumentError{Field: stored(verb), Rule: "must be storable as text: " + pg.Message}
	case "22P02", "22003", "54001": // and half a surrogate pair, a number without end, a deep nest
		return &ArgumentError{Field: stored(verb), Rule: "must be storable as JSON: " + pg.Message}
	case "23514": // a constraint, named by the rule it states
		return &ArgumentError{Field: pg.TableName, Rule: "breaks the rule " + strings.ReplaceAll(pg.ConstraintName, "_", " ")}
	}
	return fmt.Errorf("pgq: %s: %w", verb, err)
}

// stored returns what a verb stores that comes from outside.
func stored(verb string) string {
	switch verb {
	case "complete", "complete and claim", "complete the node", "record the step":
		return "result"
	case "save the cursor":
		return "cursor"
	case "send the signal":
		return "payload"
	}
	return "args"
}
