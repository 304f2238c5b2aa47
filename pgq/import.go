package pgq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pgq-go/queue/internal/rawjson"
)

// importer takes lines of an import and inserts them page by page.
type importer struct {
	client  *Client
	options ImportOptions
	next    func() (json.RawMessage, error, bool)
	line    int64 // that was read last
	header  ExportHeader
	count   int64 // of lines since the header
	ended   bool  // the line of the end was read
	hasJobs bool  // their header was read
	maxID   int64 // of the jobs
	page    []json.RawMessage
	kind    string // of the lines of the page
	bytes   int
	named   map[ImportedSettings]bool // settings so far, without outcomes
	done    Imported
}

// lineHead is what has to be known of a line.
type lineHead struct {
	ExportHeader
	Count *int64 `json:"count"` // of the end
	Job   struct {
		ID int64 `json:"id"`
	} `json:"job"`
}

// read reads it from a line, however deep what the job carries is nested.
func (h *lineHead) read(line json.RawMessage) error {
	err := json.Unmarshal(line, h)
	if !rawjson.TooDeep(err) {
		return err
	}
	whole, err := rawjson.Members(line)
	if err != nil {
		return err
	}
	var job map[string]json.RawMessage
	if whole["job"] != nil {
		if job, err = rawjson.Members(whole["job"]); err != nil {
			return err
		}
	}
	id, err := rawjson.Object(map[string]json.RawMessage{"id": job["id"]})
	if err != nil {
		return err
	}
	return json.Unmarshal(fmt.Appendf(nil, `{"type": %s, "job": %s}`, whole["type"], id), h)
}

// read returns the next line; false at the end.
func (in *importer) read() (line json.RawMessage, head lineHead, ok bool, err error) {
	line, err, ok = in.next()
	if !ok {
		return nil, head, false, nil
	}
	if in.options.Partial && errors.Is(err, ErrNotWhole) {
		return nil, head, false, nil
	}
	in.line++
	if err != nil {
		return line, head, true, err
	}
	if bad := head.read(line); bad != nil {
		if in.options.Partial {
			if _, _, more := in.next(); !more { // where it was cut off
				return nil, head, false, nil
			}
		}
		err = &ArgumentError{Field: "lines", Rule: "must be JSON objects of an export: " + bad.Error()}
	}
	return line, head, true, err
}

// begin reads the first line and reserves the ids that it tells of.
func (in *importer) begin(ctx context.Context, db DB) error {
	_, head, ok, err := in.read()
	switch {
	case err != nil:
		return err
	case !ok && in.options.Partial:
		return nil
	case !ok:
		return fmt.Errorf("%w: there is nothing in it", ErrNotWhole)
	case head.Type != "export":
		return &ArgumentError{Field: "lines", Rule: "must begin with that of the export: {\"type\": \"export\", …}"}
	}
	if err := in.check(head.ExportHeader); err != nil || head.Of != "jobs" || in.options.NewIDs {
		return err
	}
	_, err = db.Exec(ctx, in.client.from("*", "import_reserve($1)"), head.MaxID)
	return wrap("reserve ids", err)
}

// whole refuses an export that announced an end which did not come.
func (in *importer) whole() error {
	if !in.header.End || in.ended || in.options.Partial {
		return nil
	}
	return fmt.Errorf("%w: it must end with {\"type\": \"end\", …}", ErrNotWhole)
}

// end takes the line of the end, which says how many lines there were.
func (in *importer) end(head lineHead) error {
	switch {
	case in.ended || head.Of != in.header.Of:
		return &ArgumentError{Field: "lines", Rule: "must have one of type end per export"}
	case head.Count != nil && *head.Count != in.count && !in.options.Partial:
		return fmt.Errorf("%w: there are %d %s of %d", ErrNotWhole, in.count, in.header.Of, *head.Count)
	}
	in.ended = true
	return nil
}

// check refuses an export that cannot be imported.
func (in *importer) check(h ExportHeader) error {
	if err := in.whole(); err != nil {
		return err
	}
	switch {
	case h.Of == "settings": // whose names are checked one by one
	case h.SchemaVersion != SchemaVersion:
		return fmt.Errorf("%w: the export is of version %d, this library works with %d", ErrSchemaVersion, h.SchemaVersion, SchemaVersion)
	case h.Of != "jobs" && h.Of != "events":
		return &ArgumentError{Field: "of", Rule: fmt.Sprintf("must be jobs, events or settings, not %q", h.Of)}
	case h.Of == "events" && in.options.NewIDs:
		return &ArgumentError{Field: "new_ids", Rule: "must not be given for events, which name jobs by their ids"}
	case h.Of == "jobs" && in.line > 1:
		return &ArgumentError{Field: "lines", Rule: "must be of one export of jobs, with events and settings after it"}
	}
	if h.Of == "jobs" {
		in.hasJobs, in.maxID = true, h.MaxID
	}
	in.header, in.count, in.ended = h, 0, false
	return nil
}

// run takes the lines after the first.
func (in *importer) run(ctx context.Context, db DB) error {
	for {
		line, head, ok, err := in.read()
		if err != nil {
			return err
		}
		if !ok {
			if err := in.whole(); err != nil {
				return err
			}
			return in.flush(ctx, db)
		}
		if err := in.add(ctx, db, line, head); err != nil {
			return err
		}
	}
}

// add takes a line.
func (in *importer) add(ctx context.Context, db DB, line json.RawMessage, head lineHead) error {
	switch {
	case head.Type == "export":
		return in.check(head.ExportHeader)
	case head.Type == "end":
		return in.end(head)
	case in.ended:
		return &ArgumentError{Field: "lines", Rule: "must not go on behind that of type end, unless another export begins"}
	}
	in.count++
	switch {
	case head.Type == "setting":
		if err := in.flush(ctx, db); err != nil {
			return err
		}
		return in.set(ctx, db, line)
	case head.Type != "job" && head.Type != "event":
		return &ArgumentError{Field: "lines", Rule: fmt.Sprintf("must be of type export, job, event, setting or end, not %q", head.Type)}
	case head.Type == "job" && (head.Job.ID < 1 || head.Job.ID > in.maxID):
		return &ArgumentError{Field: "lines", Rule: fmt.Sprintf("must have ids from 1 to max_id, %d, and not %d", in.maxID, head.Job.ID)}
	}
	if head.Type != in.kind || len(in.page) >= importPage || in.bytes >= importBytes {
		if err := in.flush(ctx, db); err != nil {
			return err
		}
	}
	in.kind, in.bytes = head.Type, in.bytes+len(line)
	in.page = append(in.page, append(json.RawMessage(nil), line...))
	return nil
}

// set takes a line of settings.
func (in *importer) set(ctx context.Context, db DB, line json.RawMessage) error {
	done, err := in.client.importSettings(ctx, db, line)
	if err != nil {
		return err
	}
	named := done
	named.Outcome = ""
	if in.named[named] {
		return &ArgumentError{Field: "name", Rule: "must not be listed twice"}
	}
	if in.named == nil {
		in.named = map[ImportedSettings]bool{}
	}
	in.named[named] = true
	in.done.Settings = append(in.done.Settings, done)
	return nil
}

// flush inserts the page.
func (in *importer) flush(ctx context.Context, db DB) error {
	if len(in.page) == 0 {
		return nil
	}
	var n int64
	var err error
	if in.kind == "job" {
		err = db.QueryRow(ctx, in.client.from("*", "import_jobs($1, $2)"), in.page, !in.options.NewIDs).Scan(&n)
		in.done.Jobs += n
	} else {
		err = db.QueryRow(ctx, in.client.from("*", "import_events($1)"), in.page).Scan(&n)
		in.done.Events += n
	}
	in.page, in.bytes = in.page[:0], 0
	return wrap("import", err)
}
