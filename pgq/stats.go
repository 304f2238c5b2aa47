package pgq

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// StatsOptions choose what [Client.Stats] looks at. The zero value is ready to use.
type StatsOptions struct {
	// Since is for how long jobs may have ended; 1 hour by default.
	Since time.Duration
	// ByQueue groups by queue instead of kind.
	ByQueue bool
	// Limit is how many completed jobs are looked at, the newest first: 100,000 by default, at most 1,000,000.
	Limit int
	// Buckets is the length of Series; 20 by default, at most 1,000.
	Buckets int
	// Jobs is which jobs are counted. Its Limit and LookAt are not looked at.
	Jobs Filter
}

// Stats are what became of jobs of a kind or queue that ended lately. Nil times: no such job has one.
type Stats struct {
	Name                                                 string
	Jobs, Completed, Failed, Cancelled, Expired, Skipped int64
	Again                                                int64 // tried more than once
	PerMinute                                            float64
	// Wait is the time from enqueueing to the start, delays included, of jobs that were tried once and are in no DAG.
	WaitP50, WaitP95, WaitP99 *time.Duration
	// Run is the time of the last attempt.
	RunP50, RunP95, RunP99, RunMax *time.Duration
	// Series counts the jobs that ended in equal parts of the time from Since to Until, oldest first.
	Series       []int64
	Since, Until time.Time
	// Exact is false where there were more jobs than the limit: the figures are then of those that were looked at.
	Exact bool
}

// Stats returns what became of the jobs that ended lately, most jobs first. Completed jobs with low ids that took very long
// to end may be missing, see job_stats in SQL. *ArgumentError: an option breaks a rule.
func (c *Client) Stats(ctx context.Context, db DB, o StatsOptions) ([]Stats, error) {
	by := "kind"
	if o.ByQueue {
		by = "queue"
	}
	document, err := o.Jobs.document()
	if err != nil {
		return nil, err
	}
	rows, err := db.Query(ctx, c.from(`name, jobs, completed, failed, cancelled, expired, skipped, again, per_minute,
		wait_p50, wait_p95, wait_p99, run_p50, run_p95, run_p99, run_max, series, since_at, until_at, exact`, "job_stats($1, $2, $3, $4, $5::jsonb)"),
		first(o.Since, time.Hour), by, first(o.Limit, 100_000), first(o.Buckets, 20), document)
	if err != nil {
		return nil, wrapFilter("read figures", err)
	}
	stats, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Stats])
	return stats, wrapFilter("read figures", err)
}

// Kinds returns kinds of jobs to choose from: those that workers know or that were used lately.
func (c *Client) Kinds(ctx context.Context, db DB) ([]string, error) {
	rows, err := db.Query(ctx, c.from("*", "kind_names()"))
	if err != nil {
		return nil, wrap("read the kinds", err)
	}
	kinds, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return kinds, wrap("read the kinds", err)
}
