package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pgq-go/queue/internal/rawjson"
	"github.com/pgq-go/queue/pgq"
)

// fields are the members of a JSON object. Values stay as they are, so that numbers are exact.
type fields map[string]json.RawMessage

// line is a line of an export, taken apart.
type line struct {
	whole fields // without what follows
	job   fields
	event fields
	rows  map[string][]fields // of tables
}

// derived are, by table, the fields of a row that say what the line says besides.
var derived = map[string][]string{
	"results":   {"job_id", "queue", "state", "attempt", "dag_id"},
	"running":   {"job_id", "queue", "attempt", "dag_id", "result_ttl"},
	"scheduled": {"job_id", "queue", "attempt"},
}

// placeOf returns the table that has the row of a job in a state where the columns are from; "" where there are no columns of it.
func placeOf(state json.RawMessage) string {
	switch string(state) {
	case `"scheduled"`:
		return "scheduled"
	case `"running"`:
		return "running"
	case `"completed"`, `"failed"`, `"cancelled"`, `"skipped"`, `"expired"`:
		return "results"
	}
	return ""
}

func parse(text json.RawMessage) (*line, error) {
	whole, err := rawjson.Members(text)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	l := &line{whole: whole}
	for name, into := range map[string]*fields{"job": &l.job, "event": &l.event} {
		if member, ok := l.whole[name]; ok {
			if *into, err = rawjson.Members(member); err != nil {
				return nil, fmt.Errorf("archive: %s: %w", name, err)
			}
			delete(l.whole, name)
		}
	}
	if member, ok := l.whole["rows"]; ok {
		if l.rows, err = rowsOf(member); err != nil {
			return nil, fmt.Errorf("archive: rows: %w", err)
		}
		delete(l.whole, "rows")
	}
	return l, nil
}

// rowsOf reads the rows of tables.
func rowsOf(text json.RawMessage) (rows map[string][]fields, err error) {
	if err = json.Unmarshal(text, &rows); !rawjson.TooDeep(err) {
		return rows, err
	}
	tables, err := rawjson.Members(text)
	rows = map[string][]fields{}
	for table, list := range tables {
		var each []json.RawMessage
		if err == nil {
			each, err = rawjson.Elements(list)
		}
		rows[table] = make([]fields, len(each))
		for i := range each {
			if err == nil {
				rows[table][i], err = rawjson.Members(each[i])
			}
		}
	}
	return rows, err
}

// rowsText is what rowsOf reads.
func rowsText(rows map[string][]fields) (json.RawMessage, error) {
	text, err := json.Marshal(rows)
	if !rawjson.TooDeep(err) {
		return text, err
	}
	tables := fields{}
	for table, list := range rows {
		each := make([]json.RawMessage, len(list))
		for i := range list {
			if each[i], err = rawjson.Object(list[i]); err != nil {
				return nil, err
			}
		}
		if tables[table], err = rawjson.Array(each); err != nil {
			return nil, err
		}
	}
	return rawjson.Object(tables)
}

// row returns the job's row of a table, or nil.
func (l *line) row(table string) fields {
	if rows := l.rows[table]; len(rows) == 1 {
		return rows[0]
	}
	return nil
}

// part returns what a column is from, or nil.
func (l *line) part(name string) fields {
	switch name {
	case inLine:
		return l.whole
	case inJob:
		return l.job
	case inEvent:
		return l.event
	case inLease:
		if row := l.row("results"); row != nil {
			return row
		}
		return l.row("running")
	}
	return l.row(name)
}

// get returns a value, nil for none and for null.
func (l *line) get(c column) json.RawMessage {
	v := l.part(c.part)[c.from()]
	if string(v) == "null" {
		return nil
	}
	return v
}

// said returns what rows of tables repeat, see derived.
func (l *line) said() fields {
	return fields{"job_id": l.job["id"], "queue": l.job["queue"], "dag_id": l.job["dag_id"], "result_ttl": l.job["result_ttl"],
		"state": l.whole["state"], "attempt": l.whole["attempt"]}
}

// split gives each value to put, and takes those away that put reports to be exact. It returns what is left, nil if that is nothing.
func (l *line) split(columns []column, put func(i int, v json.RawMessage) (exact bool)) (left json.RawMessage, err error) {
	said, place := l.said(), placeOf(l.whole["state"])
	for i, c := range columns {
		if c.name == moreColumn {
			continue
		}
		if v := l.get(c); put(i, v) && v != nil {
			delete(l.part(c.part), c.from())
		}
	}
	for table, rows := range l.rows {
		names := derived[table]
		if table != place || len(rows) != 1 {
			names = nil
		}
		for _, row := range rows {
			row.clean(said, names)
		}
		if names != nil && len(rows[0]) == 0 {
			delete(l.rows, table)
		}
	}
	delete(l.whole, "type")
	l.job.clean(nil, nil)
	l.event.clean(nil, nil)
	return l.join("")
}

// clean takes away what is null, and of some names what is said besides; null, where something else is said, stays.
func (f fields) clean(said fields, names []string) {
	for name, v := range f {
		if slices.Contains(names, name) && !bytes.Equal(v, said[name]) {
			continue
		}
		if slices.Contains(names, name) || string(v) == "null" {
			delete(f, name)
		}
	}
}

// join returns the line, of a type if that is not empty; nil if nothing is in it.
func (l *line) join(of string) (json.RawMessage, error) {
	put := func(name string, n int, text func() (json.RawMessage, error)) (err error) {
		if n > 0 {
			l.whole[name], err = text()
		}
		return err
	}
	for _, err := range []error{
		put("type", len(of), func() (json.RawMessage, error) { return json.Marshal(of) }),
		put("job", len(l.job), func() (json.RawMessage, error) { return rawjson.Object(l.job) }),
		put("event", len(l.event), func() (json.RawMessage, error) { return rawjson.Object(l.event) }),
		put("rows", len(l.rows), func() (json.RawMessage, error) { return rowsText(l.rows) }),
	} {
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
	}
	if len(l.whole) == 0 {
		return nil, nil
	}
	return rawjson.Object(l.whole)
}

// build makes a line of jobs or events from what split took apart, and returns the header and the end of the export if the row holds them.
// *pgq.ArgumentError: it cannot have come from an export.
func build(columns []column, values []json.RawMessage, left json.RawMessage) (text, header, end json.RawMessage, err error) {
	l := &line{whole: fields{}}
	if left != nil {
		if l, err = parse(left); err != nil || l.whole == nil {
			return nil, nil, nil, &pgq.ArgumentError{Field: moreColumn, Rule: "must be what an export wrote: a JSON object"}
		}
	}
	header, end = l.whole["export"], l.whole["end"]
	delete(l.whole, "export")
	delete(l.whole, "end")
	if columns[0].part == inEvent {
		text, err = l.buildEvent(columns, values)
	} else {
		text, err = l.buildJob(columns, values)
	}
	return text, header, end, err
}

func (l *line) buildJob(columns []column, values []json.RawMessage) (json.RawMessage, error) {
	if l.job == nil {
		l.job = fields{}
	}
	if l.rows == nil {
		l.rows = map[string][]fields{}
	}
	place := l.place(columns, values)
	for i, c := range columns {
		part := c.part
		if part == inLease {
			part = place
		}
		if c.name != moreColumn && values[i] != nil {
			if err := l.set(part, c, values[i]); err != nil {
				return nil, err
			}
		}
	}
	said := l.said()
	for _, name := range derived[place] {
		if row := l.row(place); row != nil && row[name] == nil && said[name] != nil {
			row[name] = said[name]
		}
	}
	return l.join("job")
}

func (l *line) buildEvent(columns []column, values []json.RawMessage) (json.RawMessage, error) {
	if l.event == nil {
		l.event = fields{}
	}
	for i, c := range columns {
		if c.name != moreColumn && values[i] != nil {
			if err := l.set(inEvent, c, values[i]); err != nil {
				return nil, err
			}
		}
	}
	return l.join("event")
}

// place returns the table that holds a row of the job, and sees to it that there is one.
func (l *line) place(columns []column, values []json.RawMessage) string {
	state := l.whole["state"]
	for i, c := range columns {
		if c.name == "state" && state == nil {
			state = values[i]
		}
	}
	place := placeOf(state)
	if place != "" && l.rows[place] == nil {
		l.rows[place] = []fields{{}}
	}
	return place
}

// set puts a value to its place; what "more" says wins.
func (l *line) set(part string, c column, v json.RawMessage) error {
	into := l.part(part)
	if into == nil {
		return &pgq.ArgumentError{Field: c.name, Rule: "must be empty for a job in this state"}
	}
	if _, ok := into[c.from()]; !ok {
		into[c.from()] = v
	}
	return nil
}
