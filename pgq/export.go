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

// ExportHeader is the first line of an export.
type ExportHeader struct {
	Type          string    `json:"type"` // "export"
	Of            string    `json:"of"`   // "jobs", "events" or "settings"
	SchemaVersion int64     `json:"schema_version"`
	MaxID         int64     `json:"max_id"` // no line has a higher one; 0 for settings
	At            time.Time `json:"at"`
	// End: an [ExportEnd] is to come, so that an export that was cut off is known by that.
	End bool `json:"end"`
}

// ExportEnd is the last line of an export.
type ExportEnd struct {
	Type string `json:"type"` // "end"
	Of   string `json:"of"`   // as in the header
	// Count is how many lines there are between it and the header; nil for settings, which people edit.
	Count *int64 `json:"count,omitempty"`
}

// exportPage is how many rows are asked for at a time.
const exportPage = 1000

// ExportJobs calls line for each job that fits, in the order of their ids, with all facts of it as a JSON object that [Client.Import]
// takes; the first line is an [ExportHeader], the last one an [ExportEnd]. What is in a line is kept until the next one only. All is as of one
// instant: db is a pool or connection, of which it takes a transaction, or a transaction that is REPEATABLE READ. Memory does not grow
// with the number of jobs. Limit, LookAt and Before of the filter are not looked at. An error of line ends it. ErrPermission: the role does
// not see args and results.
func (c *Client) ExportJobs(ctx context.Context, db DB, f Filter, line func(json.RawMessage) error) error {
	f.Before = 0
	document, err := f.document()
	if err != nil {
		return err
	}
	return c.export(ctx, db, "jobs", f.After, line, func(db DB, after int64) (pgx.Rows, error) {
		return db.Query(ctx, c.from("id, line", "export_jobs($1, $2, $3::jsonb)"), after, exportPage, document)
	})
}

// ExportEvents does for events what [Client.ExportJobs] does for jobs.
func (c *Client) ExportEvents(ctx context.Context, db DB, f EventFilter, line func(json.RawMessage) error) error {
	return c.export(ctx, db, "events", f.After, line, func(db DB, after int64) (pgx.Rows, error) {
		return db.Query(ctx, c.from("id, line", "export_events($1, $2, $3, $4, $5, $6, $7, $8)"),
			after, exportPage, f.Queues, textsOf(f.Types), given(f.Since), given(f.Until), f.Kinds, f.JobIDs)
	})
}

func (c *Client) export(ctx context.Context, db DB, of string, after int64, line func(json.RawMessage) error, page func(DB, int64) (pgx.Rows, error)) error {
	return inSnapshot(ctx, db, func(db DB) error {
		header := ExportHeader{Of: of}
		err := db.QueryRow(ctx, c.from("coalesce(max(id), 0), now()", map[string]string{
			"jobs":   "select_jobs(at_most => 1, newest_first => true), unnest(job_ids) id",
			"events": "latest_events(at_most => 1)",
		}[of])).Scan(&header.MaxID, &header.At)
		if err != nil {
			return wrap("export", err)
		}
		return framed(header, line, func() (*int64, error) {
			var count int64
			for n := exportPage; err == nil && n == exportPage; count += int64(n) {
				n, after, err = exportRows(page, db, after, line)
			}
			return &count, err
		})
	})
}

// framed calls line with a header, the rows, which returns how many they were, and the end.
func framed(header ExportHeader, line func(json.RawMessage) error, rows func() (count *int64, err error)) error {
	header.Type, header.SchemaVersion, header.End, header.At = "export", SchemaVersion, true, header.At.UTC()
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	if err := line(text); err != nil {
		return err
	}
	count, err := rows()
	if err != nil {
		return err
	}
	if text, err = json.Marshal(ExportEnd{Type: "end", Of: header.Of, Count: count}); err != nil {
		return err
	}
	return line(text)
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
	// Partial takes what there is of an export that was cut off, which is refused else.
	Partial bool
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
// Errors: *[LineError], around *[ArgumentError] for lines that break a rule, ErrNotWhole for an export that was cut off, and around a *pgconn.PgError with SQLSTATE 23505
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
		_, err := db.Exec(ctx, c.from("*", "import_analyze()"))
		return wrap("import", err)
	})
	if errors.Is(err, errTried) {
		err = nil
	}
	if err != nil {
		return Imported{}, err
	}
	return in.done, nil
}
