package pgq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ScheduleState is all that is known of a schedule. Nil means not given, or not yet.
type ScheduleState struct {
	Name        string
	State       string // active, paused, or ended: it is not due any more
	Spec, Zone  string
	Kind        string // of its jobs, or the name of its DAGs
	IsDAG       bool
	NextAt      *time.Time
	FireAt      *time.Time // NextAt and its jitter
	QueuedAt    *time.Time // the time that waits for an earlier run to end
	LastDueAt   *time.Time
	LastFiredAt *time.Time // by hand included
	LastJobID   *int64
	LastState   *State // nil when the job is not kept any more
	Runs        int64
	Error       *string // why the last time did not fire
	Jitter      time.Duration
	StartsAt    *time.Time
	EndsAt      *time.Time
	MaxRuns     *int64
	Missed      MissedPolicy
	MissedLimit int
	Overlap     OverlapPolicy
	DeclaredBy  *string // nil: made by hand
	PausedAt    *time.Time
	PausedBy    *string
	PauseReason *string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Job         json.RawMessage // as enqueue_many takes it; nil for a DAG, and for readers who do not see payloads
	DAG         json.RawMessage
}

const scheduleColumns = `name, state, spec, zone, kind, is_dag, next_at, fire_at, queued_at, last_due_at, last_fired_at, last_job_id,
	last_state, runs, error, jitter, starts_at, ends_at, max_runs, missed, missed_limit, overlap, declared_by, paused_at, paused_by,
	pause_reason, created_at, updated_at, job, dag`

func scanSchedule(row pgx.CollectableRow) (s ScheduleState, err error) {
	var job, dag []byte
	err = row.Scan(&s.Name, &s.State, &s.Spec, &s.Zone, &s.Kind, &s.IsDAG, &s.NextAt, &s.FireAt, &s.QueuedAt, &s.LastDueAt,
		&s.LastFiredAt, &s.LastJobID, &s.LastState, &s.Runs, &s.Error, &s.Jitter, &s.StartsAt, &s.EndsAt, &s.MaxRuns, &s.Missed,
		&s.MissedLimit, &s.Overlap, &s.DeclaredBy, &s.PausedAt, &s.PausedBy, &s.PauseReason, &s.CreatedAt, &s.UpdatedAt, &job, &dag)
	s.Job, s.DAG = job, dag
	return s, err
}

// Schedule returns a schedule. ErrNotFound: there is none of this name.
func (c *Client) Schedule(ctx context.Context, db DB, name string) (ScheduleState, error) {
	rows, err := db.Query(ctx, c.from(scheduleColumns, "schedule_states")+" where name = $1", name)
	if err != nil {
		return ScheduleState{}, wrap("read the schedule", err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanSchedule)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("%w: there is no schedule %q", ErrNotFound, name)
	}
	return s, wrap("read the schedule", err)
}

// Schedules returns a page of schedules by name: at most limit with names after one; "" is before all.
func (c *Client) Schedules(ctx context.Context, db DB, after string, limit int) ([]ScheduleState, error) {
	rows, err := db.Query(ctx, c.from(scheduleColumns, "schedule_states")+" where name > $1 order by name limit $2", after, limit)
	if err != nil {
		return nil, wrap("read the schedules", err)
	}
	schedules, err := pgx.CollectRows(rows, scanSchedule)
	return schedules, wrap("read the schedules", err)
}

// ScheduleRun is what became of a time at which a schedule was due.
type ScheduleRun struct {
	DueAt   time.Time
	Outcome string // fired, by_hand, missed, overlapped, failed
	// Times is how many times the row stands for: those that followed each other and did not fire. Nil: unknown.
	Times   *int64
	JobID   *int64
	FiredAt time.Time
	Error   *string
}

// ScheduleRuns returns the last runs of a schedule, latest first; about 100 are kept.
func (c *Client) ScheduleRuns(ctx context.Context, db DB, name string, limit int) ([]ScheduleRun, error) {
	rows, err := db.Query(ctx, c.from("due_at, outcome, times, job_id, fired_at, error", "schedule_history($1, $2)"), name, limit)
	if err != nil {
		return nil, wrap("read the runs of the schedule", err)
	}
	runs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ScheduleRun])
	return runs, wrap("read the runs of the schedule", err)
}
