package archive

import (
	"encoding/json"
	"fmt"
)

// fields are the members of a JSON object.
type fields map[string]json.RawMessage

// line is a line of an export, taken apart as far as rows need it. Numbers stay as they are.
type line struct {
	Type    string              `json:"type"`
	State   json.RawMessage     `json:"state"`
	Attempt json.RawMessage     `json:"attempt"`
	Job     fields              `json:"job"`
	Event   fields              `json:"event"`
	Rows    map[string][]fields `json:"rows"`
}

// Columns of tables, by where they are in a line: "results.output" of the row of results.
var (
	jobColumns = []string{"id", "queue", "kind", "priority", "state", "attempt", "max_attempts", "created_at", "run_at", "claimed_at",
		"finished_at", "worker_id", "expires_at", "timeout", "tags", "metadata", "args", "codec", "payload", "output", "output_codec",
		"output_payload", "error", "dag_id", "name", "role", "cause_id"}
	resultColumns = []string{"job_id", "queue", "kind", "state", "attempt", "worker_id", "created_at", "claimed_at", "finished_at", "output",
		"output_codec", "output_payload", "error", "dag_id", "name", "cause_id"}
	eventColumns = []string{"id", "job_id", "queue", "type", "attempt", "worker_id", "at", "data"}
)

func columnsOf(of string) []string {
	switch of {
	case Events:
		return eventColumns
	case Results:
		return resultColumns
	}
	return jobColumns
}

func parse(text json.RawMessage) (*line, error) {
	l := &line{}
	if err := json.Unmarshal(text, l); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return l, nil
}

// row returns the job's row of a table, or nothing.
func (l *line) row(table string) fields {
	if rows := l.Rows[table]; len(rows) > 0 {
		return rows[0]
	}
	return nil
}

// value returns a column as JSON, null if there is none.
func (l *line) value(column string) json.RawMessage {
	v := l.find(column)
	if v == nil {
		return json.RawMessage("null")
	}
	return v
}

func (l *line) find(column string) json.RawMessage {
	if l.Event != nil {
		return l.Event[column]
	}
	results := l.row("results")
	switch column {
	case "state":
		return l.State
	case "attempt":
		return l.Attempt
	case "job_id":
		return l.Job["id"]
	case "run_at":
		return l.row("scheduled")["run_at"]
	case "claimed_at", "worker_id":
		if results == nil {
			return l.row("running")[column]
		}
		return results[column]
	case "finished_at", "output", "error", "cause_id":
		return results[column]
	case "output_codec":
		return results["codec"]
	case "output_payload":
		return results["payload"]
	}
	return l.Job[column]
}
