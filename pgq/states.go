package pgq

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// QueueState is how much waits in a queue; the view queue_states says more of each figure.
type QueueState struct {
	Queue                                     string
	Depth, Ready, Scheduled, Waiting, Running int64
	// Exact is false for estimates: large numbers are not counted but taken from a sample.
	Exact bool
	// OldestReadyAge is for how long the oldest job that may be claimed has waited for it.
	OldestReadyAge *time.Duration
	NextRunAt      *time.Time
	PausedAt       *time.Time
	PauseReason    *string
	MaxDepth       *int64
	Workers        int64          // live ones that serve it
	AgeEvery       *time.Duration // see QueueSettings
	PausedBy       *string
}

// QueueStates returns all queues that are registered or hold jobs, by name.
func (c *Client) QueueStates(ctx context.Context, db DB) ([]QueueState, error) {
	return view(ctx, db, "read the queues", pgx.RowToStructByPos[QueueState], c.from(`queue, depth, ready, scheduled, waiting, running, exact,
		oldest_ready_age, next_run_at, paused_at, pause_reason, max_depth, workers, age_every, paused_by`, "queue_states")+" order by queue")
}

// QueueState returns one queue. ErrNotFound: it is not registered and holds no jobs.
func (c *Client) QueueState(ctx context.Context, db DB, queue string) (QueueState, error) {
	all, err := c.QueueStates(ctx, db)
	for _, q := range all {
		if q.Queue == queue {
			return q, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: queue %q", ErrNotFound, queue)
	}
	return QueueState{}, err
}

// WorkerState is a registered worker and what it holds.
type WorkerState struct {
	ID    int64
	Name  string
	State string // alive, silent (about to be declared dead) or dead
	// Queues and Kinds are what it serves and has handlers for.
	Queues, Kinds   []string
	Lease           time.Duration
	StartedAt       time.Time
	HeartbeatAt     time.Time
	HeartbeatAge    time.Duration
	DeadAt          *time.Time
	Running         int64
	OldestClaimedAt *time.Time
}

// WorkerStates returns the registered workers, or those of them with these ids, by id.
func (c *Client) WorkerStates(ctx context.Context, db DB, ids ...int64) ([]WorkerState, error) {
	return view(ctx, db, "read the workers", pgx.RowToStructByPos[WorkerState], c.from(`id, name, state, queues, kinds, lease, started_at,
		heartbeat_at, heartbeat_age, dead_at, running, oldest_claimed_at`, "worker_states")+
		" where $1::bigint[] is null or id = any($1) order by id", ids)
}

// RunningJob is a job that a worker holds.
type RunningJob struct {
	JobID             int64
	Queue             string
	Kind              string
	Attempt           int
	WorkerID          int64
	Worker            *string
	WorkerAlive       bool
	ClaimedAt         time.Time
	Duration          time.Duration
	CancelRequestedAt *time.Time
	Done, Total       *int64 // progress
	DAGID             *int64
	Name              *string
}

// RunningJobs returns jobs that workers hold, or only one of them does (worker 0: all), longest first, at most so many.
func (c *Client) RunningJobs(ctx context.Context, db DB, worker int64, atMost int) ([]RunningJob, error) {
	return view(ctx, db, "read the running jobs", pgx.RowToStructByPos[RunningJob], c.from(`job_id, queue, kind, attempt, worker_id, worker, worker_alive,
		claimed_at, greatest(duration, interval '0'), cancel_requested_at, progress_done, progress_total, dag_id, name`, "running_jobs")+
		" where $1::bigint = 0 or worker_id = $1 order by claimed_at, job_id limit $2", worker, atMost)
}

// ChoreState is a chore that any worker does again and again.
type ChoreState struct {
	Name      string
	Every     time.Duration
	LastRunAt *time.Time
	Age       *time.Duration
	Late      bool // nobody does the chores
}

// ChoreStates returns when chores were last done.
func (c *Client) ChoreStates(ctx context.Context, db DB) ([]ChoreState, error) {
	return view(ctx, db, "read the chores", pgx.RowToStructByPos[ChoreState], c.from("name, every, last_run_at, age, late", "chore_states")+" order by every, name")
}

// Health are figures that tell whether the database keeps up; the view health says more of each.
type Health struct {
	OldestTransactionAge *time.Duration
	OldestXminAge        *int64
	NotifyQueueUse       float64 // a share
	ExpiredLeases        int64
	FrontierBacklog      int64
	PromotionLag         *time.Duration
	ExpiryLag            *time.Duration
	// DatabaseBytes is the size of the whole database; nil where the role may not ask.
	DatabaseBytes *int64
	// Connections to the server, and how many it takes.
	Connections, MaxConnections int64
	// Standby: the server is read-only, as a standby is.
	Standby bool
}

// Health returns how the database is.
func (c *Client) Health(ctx context.Context, db DB) (Health, error) {
	all, err := view(ctx, db, "read the health", pgx.RowToStructByPos[Health], c.from(`oldest_transaction_age, oldest_xmin_age, notify_queue_use,
		expired_leases, frontier_backlog, promotion_lag, expiry_lag,
		case when has_database_privilege(current_database(), 'connect') then pg_database_size(current_database()) end,
		(select sum(numbackends) from pg_stat_database), current_setting('max_connections')::bigint, pg_is_in_recovery()`, "health"))
	if err != nil {
		return Health{}, err
	}
	return all[0], nil
}

// view returns the rows of a statement.
func view[T any](ctx context.Context, db DB, verb string, row pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, wrap(verb, err)
	}
	all, err := pgx.CollectRows(rows, row)
	return all, wrap(verb, err)
}

// Throughput is how many jobs of a queue ended lately.
type Throughput struct {
	Queue         string
	Ended, Failed int64
	PerMinute     float64
	Exact         bool // false for estimates
}

// Throughput returns how many jobs ended per queue, from the beginning of the minute that was span ago; queues without are
// left out. *ArgumentError: span is not 1 minute to 7 days.
func (c *Client) Throughput(ctx context.Context, db DB, span time.Duration) ([]Throughput, error) {
	return view(ctx, db, "read the throughput", pgx.RowToStructByPos[Throughput], `
		select queue, ended, failed,
		       ended * 60 / greatest(1, extract(epoch from statement_timestamp() - date_trunc('minute', statement_timestamp() - $1::interval)))::float8,
		       exact
		from (`+c.from(`queue, sum(completed + failed + cancelled + skipped + expired)::bigint as ended, sum(failed)::bigint as failed, bool_and(exact) as exact`,
		"ended_per_minute($1)")+" group by queue) t order by queue", span)
}
