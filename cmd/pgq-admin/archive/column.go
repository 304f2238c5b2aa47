package archive

// form is what a column's values are.
type form int

const (
	asText   form = iota // a JSON string
	asNumber             // a whole number
	asTime
	asBytes // which PostgreSQL writes as \x and hexadecimal digits
	asJSON  // any value; so its numbers are exact
)

// column is a column of CSV and Parquet, and of JSON lines of results.
type column struct {
	name string
	// part of a line that it is from, see line.part; field of it, the name if empty.
	part, field string
	form        form
	required    bool // never null
	few         bool // values repeat
}

// from is the field of a part.
func (c column) from() string {
	if c.field == "" {
		return c.name
	}
	return c.field
}

// Parts of a line besides the tables whose rows it holds.
const (
	inLine  = ""      // members of the line itself
	inJob   = "job"   // the row of jobs
	inEvent = "event" // the row of events
	inLease = "lease" // the row of results, or that of running
)

// moreColumn is the column of all that a line has and no other column gives back exactly: so nothing is lost, whatever a later version adds.
// That of the first row holds the header of the export, too.
const moreColumn = "more"

// Columns of jobs: all that their table and those of their places have (TestEveryColumnIsExportedInEveryFormat). What there may be many
// rows of per job, steps and log lines and edges, is in "more".
var jobColumns = []column{
	{name: "id", part: inJob, form: asNumber, required: true},
	{name: "queue", part: inJob, required: true, few: true},
	{name: "kind", part: inJob, required: true, few: true},
	{name: "priority", part: inJob, form: asNumber, required: true},
	{name: "state", part: inLine, required: true, few: true},
	{name: "attempt", part: inLine, form: asNumber, required: true},
	{name: "max_attempts", part: inJob, form: asNumber},
	{name: "created_at", part: inJob, form: asTime},
	{name: "run_at", part: "scheduled", form: asTime},
	{name: "claimed_at", part: inLease, form: asTime},
	{name: "finished_at", part: "results", form: asTime},
	{name: "worker_id", part: inLease, form: asNumber},
	{name: "cancel_requested_at", part: "running", form: asTime},
	{name: "cancel_reason", part: "running"},
	{name: "expires_at", part: inJob, form: asTime},
	{name: "timeout", part: inJob},
	{name: "backoff", part: inJob, form: asJSON},
	{name: "tags", part: inJob, form: asJSON},
	{name: "metadata", part: inJob, form: asJSON},
	{name: "args", part: inJob, form: asJSON},
	{name: "codec", part: inJob},
	{name: "payload", part: inJob, form: asBytes},
	{name: "output", part: "results", form: asJSON},
	{name: "output_codec", part: "results", field: "codec"},
	{name: "output_payload", part: "results", field: "payload", form: asBytes},
	{name: "error", part: "results"},
	{name: "result_ttl", part: inJob},
	{name: "result_expires_at", part: "results", field: "expires_at", form: asTime},
	{name: "group_name", part: inJob},
	{name: "sequence", part: inJob},
	{name: "on_failure", part: inJob, few: true},
	{name: "unique_key", part: inJob},
	{name: "dag_id", part: inJob, form: asNumber},
	{name: "name", part: inJob},
	{name: "role", part: inJob, few: true},
	{name: "rule", part: inJob, few: true},
	{name: "spec", part: inJob, form: asJSON},
	{name: "cause_id", part: "results", form: asNumber},
	{name: "enqueued_by", part: inJob, form: asNumber},
	{name: moreColumn, form: asJSON},
}

var resultColumns = []column{
	{name: "job_id", part: inJob, field: "id", form: asNumber, required: true},
	{name: "queue", part: inJob, required: true, few: true},
	{name: "kind", part: inJob, required: true, few: true},
	{name: "state", part: inLine, required: true, few: true},
	{name: "attempt", part: inLine, form: asNumber, required: true},
	{name: "worker_id", part: "results", form: asNumber},
	{name: "created_at", part: inJob, form: asTime},
	{name: "claimed_at", part: "results", form: asTime},
	{name: "finished_at", part: "results", form: asTime},
	{name: "expires_at", part: "results", form: asTime},
	{name: "output", part: "results", form: asJSON},
	{name: "output_codec", part: "results", field: "codec"},
	{name: "output_payload", part: "results", field: "payload", form: asBytes},
	{name: "error", part: "results"},
	{name: "group_name", part: inJob},
	{name: "sequence", part: inJob},
	{name: "dag_id", part: inJob, form: asNumber},
	{name: "name", part: inJob},
	{name: "cause_id", part: "results", form: asNumber},
}

var eventColumns = []column{
	{name: "id", part: inEvent, form: asNumber, required: true},
	{name: "job_id", part: inEvent, form: asNumber},
	{name: "queue", part: inEvent, few: true},
	{name: "type", part: inEvent, required: true, few: true},
	{name: "attempt", part: inEvent, form: asNumber},
	{name: "worker_id", part: inEvent, form: asNumber},
	{name: "at", part: inEvent, form: asTime},
	{name: "data", part: inEvent, form: asJSON},
	{name: moreColumn, form: asJSON},
}

func columnsOf(of string) []column {
	switch of {
	case Events:
		return eventColumns
	case Results:
		return resultColumns
	}
	return jobColumns
}
