package pgq

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// Scope names the jobs that a limit or a pause is about: make one with [OfQueue], [OfKind] or [OfGroup].
type Scope struct {
	// Of is queue, kind or group.
	Of string
	// Name of the queue, kind or group. That of a limit of groups may end in "*": each group whose name begins so has the limit for itself.
	Name string
}

// OfQueue names all jobs of a queue.
func OfQueue(name string) Scope { return Scope{"queue", name} }

// OfKind names all jobs of a kind, in whatever queue.
func OfKind(name string) Scope { return Scope{"kind", name} }

// OfGroup names all jobs of a group (see Options.Group), in whatever queue.
func OfGroup(name string) Scope { return Scope{"group", name} }

func (s Scope) String() string { return s.Of + " " + s.Name }

// Limit bounds how many jobs run at a time and how many start per period, over all workers. The zero value limits nothing.
//
// Jobs that have to wait do so outside of what workers claim from: they cost other jobs nothing, however many they are. Groups take turns in a
// queue, whether they are limited or not, so one with a million jobs keeps another waiting for one turn.
type Limit struct {
	// MaxRunning is how many jobs run at a time; 0: any number.
	MaxRunning int
	// Rate is how many jobs start per Period (one second by default), Burst how many at once after a rest (Rate by default); 0: any number.
	// The rate is that of a token bucket.
	Rate   int
	Period time.Duration
	Burst  int
	// Weight is how many turns a group gets where others get one; 1 by default, for groups only.
	Weight int
	// BreakAfter is how many attempts have to fail within BreakWithin (one minute by default) for the circuit breaker to open: then no job starts for
	// BreakFor (30 seconds by default). After that one does, the probe; once it has completed the breaker is closed, and if it fails, open again.
	// Attempts whose worker died do not count, nor do those that were snoozed, released or cancelled. 0: there is no breaker.
	BreakAfter            int
	BreakWithin, BreakFor time.Duration
}

// SetLimit sets the limit of a queue, a kind or groups; what is zero is not limited, and a zero Limit is none. It counts for
// what starts from now on.
//
// *ArgumentError: a field breaks a rule; nothing was changed.
func (c *Client) SetLimit(ctx context.Context, db DB, of Scope, l Limit) error {
	if l.Period != 0 && l.Period < time.Microsecond {
		return &ArgumentError{Field: "period", Rule: "must be positive and at most 366 days"}
	}
	settings := map[string]any{
		"max_running": given(l.MaxRunning), "rate": given(l.Rate), "burst": given(l.Burst), "weight": given(l.Weight),
		"break_after": given(l.BreakAfter), "period": nil, "break_within": nil, "break_for": nil,
	}
	setDuration := func(name string, d, otherwise time.Duration, isUsed bool) {
		if d == 0 && isUsed {
			d = otherwise
		}
		if d != 0 {
			settings[name] = interval(&d)
		}
	}
	setDuration("period", l.Period, time.Second, l.Rate != 0)
	setDuration("break_within", l.BreakWithin, time.Minute, l.BreakAfter != 0)
	setDuration("break_for", l.BreakFor, 30*time.Second, l.BreakAfter != 0)
	document, err := json.Marshal(settings)
	if err != nil {
		return wrap("set the limit", err)
	}
	return c.SetLimitJSON(ctx, db, of, document)
}

// SetLimitJSON changes a limit by a JSON object of settings, as set_limit takes it in SQL: max_running, rate, period, burst, weight. What is
// not named stays, null takes a setting away, and the limit goes with its last one.
//
// *ArgumentError: a setting breaks a rule; nothing was changed.
func (c *Client) SetLimitJSON(ctx context.Context, db DB, of Scope, settings json.RawMessage) error {
	_, err := db.Exec(ctx, c.from("*", "set_limit($1, $2, $3::jsonb, reason => nullif($4, ''), actor => nullif($5, ''))"), of.Of, of.Name, settings, c.reason, c.actor)
	return wrap("set the limit", err)
}

// DeleteLimit takes a limit away and reports whether there was one.
func (c *Client) DeleteLimit(ctx context.Context, db DB, of Scope) (found bool, err error) {
	err = db.QueryRow(ctx, c.from("*", "delete_limit($1, $2, nullif($3, ''), nullif($4, ''))"), of.Of, of.Name, c.reason, c.actor).Scan(&found)
	return found, wrap("delete the limit", err)
}

// PauseLimit keeps jobs of a queue, kind or group from starting for d, whether they have a limit or not. A longer pause stays.
//
// *ArgumentError: d is not positive or above 366 days.
func (c *Client) PauseLimit(ctx context.Context, db DB, of Scope, d time.Duration, reason string) error {
	_, err := db.Exec(ctx, c.from("*", "pause_limit($1, $2, $3, nullif($4, ''), nullif($5, ''))"), of.Of, of.Name, d, c.why(reason), c.actor)
	return wrap("pause", err)
}

// ResumeLimit ends a pause and closes a circuit breaker, and reports whether there was anything to end.
func (c *Client) ResumeLimit(ctx context.Context, db DB, of Scope) (found bool, err error) {
	err = db.QueryRow(ctx, c.from("*", "resume_limit($1, $2, nullif($3, ''), nullif($4, ''))"), of.Of, of.Name, c.reason, c.actor).Scan(&found)
	return found, wrap("resume", err)
}

// SetLimits is a limit as it was set.
type SetLimits struct {
	Scope
	Limit
	UpdatedAt time.Time
}

// Limits returns the limits that were set, by scope and name.
func (c *Client) Limits(ctx context.Context, db DB) ([]SetLimits, error) {
	rows, err := db.Query(ctx, `select scope, name, coalesce(max_running, 0), coalesce(rate, 0), coalesce(period, '0'), coalesce(burst, 0),
			coalesce(weight, 0), updated_at, coalesce(break_after, 0), coalesce(break_within, '0'), coalesce(break_for, '0')
		from `+c.schema+`.limit_settings order by scope, name`)
	if err != nil {
		return nil, wrap("list the limits", err)
	}
	limits, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l SetLimits, err error) {
		err = row.Scan(&l.Of, &l.Name, &l.MaxRunning, &l.Rate, &l.Period, &l.Burst, &l.Weight, &l.UpdatedAt,
			&l.BreakAfter, &l.BreakWithin, &l.BreakFor)
		return l, err
	})
	return limits, wrap("list the limits", err)
}

// LimitState is how much of a limit is in use, or a pause, or a group of which jobs wait for their turn.
type LimitState struct {
	Scope
	// Limit that holds for it, and the name with which it was set; "": none does.
	Limit
	LimitName string
	// Running is how many jobs run; -1 where nobody counts.
	Running int64
	// Waiting is how many jobs wait for their turn, counted up to 10,000, or fewer in large pages; Exact is false when there are more.
	Waiting int64
	Exact   bool
	// Tokens is how many jobs may start now; nil: any number.
	Tokens *float64
	// PausedUntil is zero when there is no pause.
	PausedUntil time.Time
	PauseReason string
	PausedBy    string
	// Breaker is how the circuit breaker stands: closed, open or half_open; "": there is none.
	Breaker string
	// Failures is how many attempts failed within BreakWithin, as far as they count for the breaker.
	Failures int64
	// ProbeAt is from when one job may run unless the breaker is closed; ProbeID is that job, 0 before it runs.
	ProbeAt time.Time
	ProbeID int64
	// State is free, or why no other job may start now: paused, broken (the circuit breaker is not closed) or full.
	State string
}

// HasRoom reports whether another one of its jobs may start now, as far as its own limit, pause and circuit breaker go.
func (s LimitState) HasRoom() bool { return s.State == "free" }

// LimitPage is which limits LimitStates returns.
type LimitPage struct {
	// Of is the only scope: queue, kind or group; "": any.
	Of string
	// After is the one before the page; the zero Scope: it begins with the first.
	After Scope
	// Limit is how many there are at most; 0: 1,000. At most 10,000.
	Limit int
	// WithoutRoom leaves out those of which another job may start now.
	WithoutRoom bool
}

// LimitStates returns the state of queues, kinds and groups that have a limit, a pause or waiting jobs, by scope and name.
func (c *Client) LimitStates(ctx context.Context, db DB, page LimitPage) ([]LimitState, error) {
	return c.limitStates(ctx, db, "list_limits($1, $2, $3, $4, $5) order by scope, name",
		given(page.Of), page.After.Of, page.After.Name, cmp.Or(page.Limit, 1000), page.WithoutRoom)
}

// LimitState returns the state of one queue, kind or group, whether it is limited or not.
func (c *Client) LimitState(ctx context.Context, db DB, of Scope) (LimitState, error) {
	states, err := c.limitStates(ctx, db, "limit_state($1, $2)", of.Of, of.Name)
	if err != nil {
		return LimitState{}, err
	}
	return states[0], nil
}

// WaitingGroups returns of how many groups jobs wait for their turn, counted up to 1,000 per queue.
func (c *Client) WaitingGroups(ctx context.Context, db DB) (n int64, err error) {
	err = db.QueryRow(ctx, c.from("*", "waiting_groups()")).Scan(&n)
	return n, wrap("count the groups", err)
}

func (c *Client) limitStates(ctx context.Context, db DB, from string, args ...any) ([]LimitState, error) {
	rows, err := db.Query(ctx, c.from(`scope, name, coalesce(limit_name, ''), coalesce(max_running, 0), coalesce(running, -1), coalesce(rate, 0),
			coalesce(period, '0'), coalesce(burst, 0), coalesce(weight, 0), tokens, waiting, paused_until, coalesce(pause_reason, ''),
			coalesce(break_after, 0), coalesce(break_within, '0'), coalesce(break_for, '0'), coalesce(breaker, ''), coalesce(failures, 0), probe_at,
			coalesce(probe_id, 0), state, exact, coalesce(paused_by, '')`, from), args...)
	if err != nil {
		return nil, wrap("read the limits", err)
	}
	states, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s LimitState, err error) {
		var until, probeAt *time.Time
		err = row.Scan(&s.Of, &s.Name, &s.LimitName, &s.MaxRunning, &s.Running, &s.Rate, &s.Period, &s.Burst, &s.Weight, &s.Tokens,
			&s.Waiting, &until, &s.PauseReason, &s.BreakAfter, &s.BreakWithin, &s.BreakFor, &s.Breaker, &s.Failures, &probeAt, &s.ProbeID, &s.State, &s.Exact, &s.PausedBy)
		s.PausedUntil, s.ProbeAt = orZero(until), orZero(probeAt)
		return s, err
	})
	return states, wrap("read the limits", err)
}

// orZero returns the time, the zero time for nil.
func orZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}
