package pgq

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// MissedPolicy says what becomes of times of a schedule that nobody fired for more than a minute, because no worker ran.
type MissedPolicy string

// The policies for missed times.
const (
	MissedOnce MissedPolicy = "once" // the last of them fires, unless one fires anyway; the default
	MissedSkip MissedPolicy = "skip" // none of them fires
	MissedAll  MissedPolicy = "all"  // they fire, the last MissedLimit of them
)

// OverlapPolicy says what becomes of a time of a schedule when a job of an earlier one has not ended.
type OverlapPolicy string

// The policies for overlapping runs.
const (
	OverlapAllow  OverlapPolicy = "allow"  // it fires all the same; the default
	OverlapSkip   OverlapPolicy = "skip"   // it does not fire
	OverlapQueue  OverlapPolicy = "queue"  // it fires when the earlier job has ended; one waits, others do not fire
	OverlapCancel OverlapPolicy = "cancel" // the earlier job is cancelled
)

// Schedule says when a job, or a DAG, is to be enqueued. What is enqueued has the schedule's name and the time for which it is
// in its metadata: {"schedule": "report", "due_at": "2030-01-31T18:00:00Z"}.
type Schedule struct {
	// Name identifies it: 1 to 128 characters.
	Name string
	// Spec is a cron expression of five fields (minute, hour, day of month, month, day of week) or six (seconds in front),
	// @hourly, @daily, @weekly, @monthly, @yearly, an interval of elapsed time ("every 15 minutes"), or a single time
	// ("at 2030-01-31 18:00"). docs/schedules.md has the details.
	Spec string
	// Zone is the time zone whose clocks count, by its IANA name; UTC by default.
	Zone string
	// Args are those of the job and Options how it is to be run; Delay and RunAt must not be given.
	Args    Args
	Options Options
	// DAG is submitted in place of a job: the JSON document that dag_submit takes, without a key.
	DAG json.RawMessage
	// Jitter lets it fire up to this much later, each time by another part of it; at most a day.
	Jitter time.Duration
	// StartsAt, EndsAt and MaxRuns are bounds, if they are given.
	StartsAt, EndsAt time.Time
	MaxRuns          int64
	// Missed and Overlap are policies. MissedLimit is how many missed times fire with MissedAll; 100 by default.
	Missed      MissedPolicy
	MissedLimit int
	Overlap     OverlapPolicy
}

// document returns the JSON form that the database takes; the fallback encodes args that name no codec. Its errors are *ArgumentError.
func (s Schedule) document(fallback Codec) (json.RawMessage, error) {
	fields := map[string]any{"name": s.Name, "spec": s.Spec}
	if s.Args != nil {
		o := JobOptions(s.Args, s.Options)
		if o.Codec == nil {
			o.Codec = fallback
		}
		job, err := AppendJob([]byte{'{'}, s.Args, o)
		if err != nil {
			return nil, err
		}
		var options map[string]json.RawMessage
		if err := json.Unmarshal(append(job, '}'), &options); err != nil {
			return nil, err
		}
		fields["kind"] = options["kind"]
		if args, ok := options["args"]; ok { // and not a payload
			fields["args"] = args
		}
		delete(options, "kind")
		delete(options, "args")
		fields["options"] = options
	}
	if s.DAG != nil {
		fields["dag"] = s.DAG
	}
	if s.Jitter != 0 {
		fields["jitter"] = interval(&s.Jitter)
	}
	for name, at := range map[string]time.Time{"starts_at": s.StartsAt, "ends_at": s.EndsAt} {
		if !at.IsZero() {
			fields[name] = at
		}
	}
	if s.MaxRuns != 0 {
		fields["max_runs"] = s.MaxRuns
	}
	if s.MissedLimit != 0 {
		fields["missed_limit"] = s.MissedLimit
	}
	for name, text := range map[string]string{"zone": s.Zone, "missed": string(s.Missed), "overlap": string(s.Overlap)} {
		if text != "" {
			fields[name] = text
		}
	}
	return EncodeJSON("schedule", fields)
}

// ScheduleOutcome is what became of a schedule: created, changed, unchanged; by reconciling also deleted, and taken:
// there is one of this name that somebody else declares or that was made by hand, which is left alone.
type ScheduleOutcome struct {
	Name, Outcome string
}

// SetSchedule creates a schedule, or makes the one of this name be as it is said here. It goes on where it was unless its times
// change; runs that it had, and a pause, stay. A schedule that was declared in code (see [Client.ReconcileSchedules]) counts as
// made by hand from then on. *ArgumentError: a field breaks a rule; nothing was changed.
func (c *Client) SetSchedule(ctx context.Context, db DB, s Schedule) (ScheduleOutcome, error) {
	document, err := s.document(c.config.Codec)
	if err != nil {
		return ScheduleOutcome{}, err
	}
	return c.SetScheduleJSON(ctx, db, document)
}

// SetScheduleJSON is SetSchedule for a schedule in its JSON form: an object whose members are the arguments of set_schedule
// in SQL. Members that it does not know are ignored.
func (c *Client) SetScheduleJSON(ctx context.Context, db DB, document json.RawMessage) (outcome ScheduleOutcome, err error) {
	err = db.QueryRow(ctx, c.from("$1::jsonb ->> 'name', o", "set_schedule_json($1::jsonb) o"), document).Scan(&outcome.Name, &outcome.Outcome)
	return outcome, wrap("set the schedule", err)
}

// ReconcileSchedules makes the schedules of a declarer (an application, say) be those that are given, all or none: it creates and
// changes those, and deletes those that this declarer has declared before and does not any more. Schedules of others, and
// those that were made by hand, are left alone. Any number of processes may call it at the same time, each time they start.
// *ArgumentError, with the index in its field: one of them breaks a rule; nothing was changed.
func (c *Client) ReconcileSchedules(ctx context.Context, db DB, declaredBy string, schedules []Schedule) ([]ScheduleOutcome, error) {
	documents := make([]json.RawMessage, len(schedules))
	for i, s := range schedules {
		var err error
		documents[i], err = s.document(c.config.Codec)
		var refused *ArgumentError
		if errors.As(err, &refused) {
			err = &ArgumentError{Field: fmt.Sprintf("schedules[%d].%s", i, refused.Field), Rule: refused.Rule}
		}
		if err != nil {
			return nil, err
		}
	}
	document, err := json.Marshal(documents)
	if err != nil {
		return nil, &ArgumentError{Field: "schedules", Rule: "must be encodable: " + err.Error()}
	}
	rows, err := db.Query(ctx, c.from("name, outcome", "reconcile_schedules($1, $2::jsonb)"), declaredBy, json.RawMessage(document))
	if err != nil {
		return nil, wrap("reconcile the schedules", err)
	}
	outcomes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ScheduleOutcome])
	return outcomes, wrap("reconcile the schedules", err)
}

// DeleteSchedule deletes a schedule; the jobs that it enqueued stay. ErrNotFound: there is none of this name.
func (c *Client) DeleteSchedule(ctx context.Context, db DB, name string) error {
	_, err := db.Exec(ctx, c.from("*", "delete_schedule($1)"), name)
	return wrap("delete the schedule", err)
}

// PauseSchedule keeps a schedule from firing; what it has enqueued goes on. actor is who does it, the user of the database if it is
// empty. The first pause's reason stays. ErrNotFound: there is none of this name.
func (c *Client) PauseSchedule(ctx context.Context, db DB, name, reason, actor string) error {
	_, err := db.Exec(ctx, c.from("*", "pause_schedule($1, nullif($2, ''), coalesce(nullif($3, ''), session_user))"),
		name, c.why(reason), cmp.Or(Printable(actor), c.actor))
	return wrap("pause the schedule", err)
}

// ResumeSchedule lets a paused schedule fire again, and returns when it is due next; nil: never again. Times that passed meanwhile
// are not made up for. ErrNotFound: there is none of this name.
func (c *Client) ResumeSchedule(ctx context.Context, db DB, name string) (next *time.Time, err error) {
	err = db.QueryRow(ctx, c.from("*", "resume_schedule($1)"), name).Scan(&next)
	return next, wrap("resume the schedule", err)
}

// RunSchedule enqueues now what a schedule would, also if it is paused or has ended, and returns the id of the job. ErrNotFound: there
// is none of this name. ErrQueueFull.
func (c *Client) RunSchedule(ctx context.Context, db DB, name string) (id int64, err error) {
	err = db.QueryRow(ctx, c.from("*", "run_schedule($1)"), name).Scan(&id)
	return id, wrap("run the schedule", err)
}

// NextTimes returns the next n times, at most 1,000, at which a schedule is due. ErrNotFound: there is none of this name.
func (c *Client) NextTimes(ctx context.Context, db DB, name string, n int) ([]time.Time, error) {
	return c.times(ctx, db, "next_times($1, $2)", name, n)
}

// PreviewTimes returns the next n times, at most 1,000, at which a schedule with this spec would be due. *ArgumentError: it is none.
func (c *Client) PreviewTimes(ctx context.Context, db DB, spec, zone string, n int) ([]time.Time, error) {
	return c.times(ctx, db, "preview_times($1, $2, $3)", spec, first(zone, "UTC"), n)
}

func (c *Client) times(ctx context.Context, db DB, call string, args ...any) ([]time.Time, error) {
	rows, err := db.Query(ctx, c.from("*", call), args...)
	if err != nil {
		return nil, wrap("read times", err)
	}
	times, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	return times, wrap("read times", err)
}
