package pgq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
)

// Export says what to export: jobs with all that is known of them, or events. Zero is everything.
type Export struct {
	Queues []string
	// Kinds and States choose among jobs.
	Kinds  []string
	States []State
	// Types choose among events.
	Types []string
	// Since and Until bound when a job was enqueued, or when an event happened: from Since on, before Until.
	Since, Until time.Time
}

// ExportHeader is the first line of an export.
type ExportHeader struct {
	Type          string    `json:"type"` // "export"
	Of            string    `json:"of"`   // "jobs", "events" or "settings"
	SchemaVersion int64     `json:"schema_version"`
	MaxID         int64     `json:"max_id"` // no line has a higher one; 0 for settings
	At            time.Time `json:"at"`
}

// exportPage is how many rows are asked for at a time.
const exportPage = 1000

// ExportJobs calls line for each job that fits, in the order of their ids, with all facts of it as a JSON object that [Client.Import]
// takes; the first line is an [ExportHeader]. What is in a line is kept until the next one only. All is as of one instant: db is a
// pool or connection, of which it takes a transaction, or a transaction that is REPEATABLE READ. Memory does not grow
// with the number of jobs. An error of line ends it.
func (c *Client) ExportJobs(ctx context.Context, db DB, e Export, line func(json.RawMessage) error) error {
	var states []string
	for _, state := range e.States {
		states = append(states, string(state))
	}
	return c.export(ctx, db, "jobs", line, func(db DB, after int64) (pgx.Rows, error) {
		return db.Query(ctx, c.from("id, line", "export_jobs($1, $2, $3, $4, $5, $6, $7)"),
			after, exportPage, e.Queues, e.Kinds, states, given(e.Since), given(e.Until))
	})
}

// ExportEvents does for events what [Client.ExportJobs] does for jobs.
func (c *Client) ExportEvents(ctx context.Context, db DB, e Export, line func(json.RawMessage) error) error {
	return c.export(ctx, db, "events", line, func(db DB, after int64) (pgx.Rows, error) {
		return db.Query(ctx, c.from("id, line", "export_events($1, $2, $3, $4, $5, $6)"),
			after, exportPage, e.Queues, e.Types, given(e.Since), given(e.Until))
	})
}

func (c *Client) export(ctx context.Context, db DB, of string, line func(json.RawMessage) error, page func(DB, int64) (pgx.Rows, error)) error {
	return inSnapshot(ctx, db, func(db DB) error {
		header := ExportHeader{Type: "export", Of: of, SchemaVersion: SchemaVersion}
		err := db.QueryRow(ctx, "select coalesce(max(id), 0), now() from "+c.schema+"."+of).Scan(&header.MaxID, &header.At)
		if err != nil {
			return wrap("export", err)
		}
		header.At = header.At.UTC()
		first, err := json.Marshal(header)
		if err == nil {
			err = line(first)
		}
		for after, n := int64(0), exportPage; err == nil && n == exportPage; {
			n, after, err = exportRows(page, db, after, line)
		}
		return err
	})
}

// exportRows exports a page, and returns how many rows there were and the last id.
func exportRows(page func(DB, int64) (pgx.Rows, error), db DB, after int64, line func(json.RawMessage) error) (n int, last int64, err error) {
	rows, err := page(db, after)
	if err != nil {
		return 0, after, wrap("export", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text []byte
		if err := rows.Scan(&after, &text); err != nil {
			return n, after, wrap("export", err)
		}
		if err := line(text); err != nil {
			return n, after, err
		}
		n++
	}
	return n, after, wrap("export", rows.Err())
}

// inSnapshot calls do in a transaction that sees the database as it was at one instant.
func inSnapshot(ctx context.Context, db DB, do func(DB) error) error {
	_, isTx := db.(pgx.Tx)
	return inTransaction(ctx, db, func(db DB) error {
		if isTx {
			return do(db)
		}
		if _, err := db.Exec(ctx, "set transaction isolation level repeatable read, read only"); err != nil {
			return wrap("export", err)
		}
		return do(db)
	})
}

// ImportOptions say how to import.
type ImportOptions struct {
	// NewIDs gives jobs new ids. Else they have those that they had, and it is an error if there is such a job already.
	// What belongs to a DAG keeps its ids always; so do events the ids of their jobs.
	NewIDs bool
	// Try takes everything back in the end.
	Try bool
}

// Imported says what was imported.
type Imported struct {
	Jobs, Events int64
	Settings     []ImportedSettings
}

// LineError says which line of an import is wrong.
type LineError struct {
	// Line is its number, from 1 on; it may be one of the 500 before it, where the database refused them together.
	Line int64
	Err  error
}

// Error names the line.
func (e *LineError) Error() string { return fmt.Sprintf("pgq: line %d: %s", e.Line, e.Err) }

// Unwrap returns what is wrong.
func (e *LineError) Unwrap() error { return e.Err }

const (
	importPage  = 500
	importBytes = 4 << 20 // of a page, so that large jobs take no more memory than small ones
)

// errTried takes back what was only tried.
var errTried = errors.New("pgq: tried")

// Import takes what [Client.ExportJobs], ExportEvents and ExportSettings wrote, line by line, in one transaction: all or nothing.
//
// No job and no event is overwritten.
// Jobs are in the state that they were in; those that were running are ready again, and that attempt does not count. They can be claimed
// as soon as it commits, so what is moved should be held in the source (pause its queues) or be finished. Workers
// are not part of it. Ids are reserved before and in a transaction of their own: db must be a pool or a connection, unless NewIDs.
//
// Settings are made to be as they are said, again and again with the same result: what a queue, kind, limit, schedule or consumer has besides
// is put back to the default, and what no line names is left alone. Schedules go on where they were unless their times change; one that was
// paused is paused if it is created here. Consumers keep their positions, new ones begin now. Settings of other versions are taken if
// all their names are known.
//
// Errors: *[LineError], around *[ArgumentError] for lines that break a rule, and around a *pgconn.PgError with SQLSTATE 23505
// if there is such a job already.
func (c *Client) Import(ctx context.Context, db DB, lines iter.Seq2[json.RawMessage, error], o ImportOptions) (Imported, error) {
	next, stop := iter.Pull2(lines)
	defer stop()
	in := &importer{client: c, options: o, next: next}
	// Before the transaction, so that nobody who enqueues has to wait for it.
	if err := in.begin(ctx, db); err != nil {
		return Imported{}, &LineError{1, err}
	}
	err := inTransaction(ctx, db, func(db DB) error {
		if err := in.run(ctx, db); err != nil {
			return &LineError{in.line, err}
		}
		if in.hasJobs {
			if _, err := db.Exec(ctx, c.from("*", "import_finish()")); err != nil {
				return wrap("import", err)
			}
		}
		if o.Try {
			return errTried
		}
		return nil
	})
	if errors.Is(err, errTried) {
		err = nil
	}
	if err != nil {
		return Imported{}, err
	}
	return in.done, nil
}
