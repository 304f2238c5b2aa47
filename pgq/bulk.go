package pgq

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/jackc/pgx/v5"
)

// Item is one job of [Client.EnqueueMany].
type Item struct {
	Args    Args
	Options Options
}

const (
	// copyFrom is from how many jobs on COPY is used, which takes more round trips and less time per job.
	copyFrom = 200
	// jsonChunk is how many jobs one call of enqueue_many gets where COPY cannot be used.
	jsonChunk = 5000
	// maxRunSize is how many jobs a row of ready holds at the most, as max_run_size() in SQL.
	maxRunSize = 100
)

// copier is a DB that can COPY: pools, connections and transactions of pgx.
type copier interface {
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
}

// EnqueueMany adds jobs, all or none, and returns their ids in the order of items. It is made for bulks of
// any size: the jobs are streamed, not put into one statement. Given a pool or a connection, it uses one
// transaction of its own.
//
// Errors are those of [Client.Enqueue]; fields are named with the index of the job, "jobs[3].priority".
func (c *Client) EnqueueMany(ctx context.Context, db DB, items []Item) ([]int64, error) {
	if len(items) == 0 {
		return nil, nil
	}
	jobs := make([]newJob, len(items))
	for i, item := range items {
		var err error
		if jobs[i], err = prepare(item.Args, item.Options); err != nil {
			var bad *ArgumentError
			if errors.As(err, &bad) {
				return nil, &ArgumentError{Field: fmt.Sprintf("jobs[%d].%s", i, bad.Field), Rule: bad.Rule}
			}
			return nil, err
		}
	}
	var ids []int64
	err := inTransaction(ctx, db, func(tx DB) error {
		if to, ok := tx.(copier); ok && len(jobs) >= copyFrom {
			b := bulk{client: c, tx: tx, to: to, jobs: jobs}
			allowed, err := b.enqueue(ctx)
			if allowed || err != nil {
				ids = b.ids
				return err
			}
		}
		var err error
		ids, err = c.enqueueJSON(ctx, tx, jobs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// enqueueJSON enqueues by enqueue_many, chunk by chunk.
func (c *Client) enqueueJSON(ctx context.Context, tx DB, jobs []newJob) ([]int64, error) {
	ids := make([]int64, 0, len(jobs))
	for start := 0; start < len(jobs); start += jsonChunk {
		chunk := jobs[start:min(start+jsonChunk, len(jobs))]
		document, err := json.Marshal(chunk)
		if err != nil {
			return nil, fmt.Errorf("pgq: enqueue: %w", err)
		}
		rows, err := tx.Query(ctx, c.from("*", "enqueue_many($1::jsonb, $2)"), json.RawMessage(document), !c.config.NoNotify)
		if err != nil {
			return nil, wrap("enqueue", err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return nil, wrap("enqueue", err)
		}
		ids = append(ids, got...)
	}
	return ids, nil
}

// MarshalJSON returns the form that enqueue_many takes.
func (j newJob) MarshalJSON() ([]byte, error) {
	object := map[string]any{"kind": j.kind, "queue": j.queue, "priority": j.priority}
	optional := func(name string, given bool, value any) {
		if given {
			object[name] = value
		}
	}
	optional("args", j.args.json != nil, j.args.json)
	optional("codec", j.args.codec != nil, j.args.codec)
	optional("payload", j.args.codec != nil, base64.StdEncoding.EncodeToString(j.args.payload))
	optional("delay", j.delay != nil, interval(j.delay))
	optional("run_at", j.runAt != nil, j.runAt)
	optional("max_attempts", j.maxAttempts != nil, j.maxAttempts)
	optional("timeout", j.timeout != nil, interval(j.timeout))
	optional("backoff", j.backoff != nil, j.backoff)
	optional("tags", j.tags != nil, j.tags)
	optional("metadata", j.metadata != nil, j.metadata)
	optional("ttl", j.ttl != nil, interval(j.ttl))
	optional("result_ttl", j.resultTTL != nil, interval(j.resultTTL))
	return json.Marshal(object)
}

// interval returns a duration in a form that PostgreSQL reads.
func interval(d *time.Duration) string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("%d microseconds", d.Microseconds())
}

// bulk enqueues jobs by COPY in one transaction: reserve ids, copy the jobs, then where they wait, announce them.
type bulk struct {
	client *Client
	tx     DB
	to     copier
	jobs   []newJob
	ids    []int64
	at     time.Time // the database's time, from which delays count
}

// enqueue reports false, having written nothing, where the user may not write to the tables.
func (b *bulk) enqueue(ctx context.Context) (allowed bool, err error) {
	queues, counts, err := b.queues(ctx)
	if err != nil {
		return false, err
	}
	var at *time.Time
	err = b.tx.QueryRow(ctx, b.client.from("ids, at", "enqueue_reserve($1, $2)"), queues, counts).Scan(&b.ids, &at)
	if err != nil || at == nil {
		return false, wrap("enqueue", err)
	}
	b.at = *at
	for _, copyRows := range []func(context.Context) error{b.copyJobs, b.copyReady, b.copyScheduled, b.copyExpiries} {
		if err := copyRows(ctx); err != nil {
			return false, wrap("enqueue", err)
		}
	}
	_, err = b.tx.Exec(ctx, b.client.from("*", "announce($1, $2, $3)"), b.ids, queues, !b.client.config.NoNotify)
	return true, wrap("enqueue", err)
}

// queues returns the queues of the jobs in order and how many jobs each gets, and refuses args that are too large.
func (b *bulk) queues(ctx context.Context) (names []string, counts []int64, err error) {
	adding, largest := map[string]int64{}, map[string]int{}
	for _, j := range b.jobs {
		adding[j.queue]++
		largest[j.queue] = max(largest[j.queue], len(j.args.json), len(j.args.payload))
	}
	for name := range adding {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		counts = append(counts, adding[name])
		var most int64
		if err := b.tx.QueryRow(ctx, b.client.from("max_args_bytes", "queue_settings($1)"), name).Scan(&most); err != nil {
			return nil, nil, wrap("enqueue", err)
		}
		if int64(largest[name]) > most {
			return nil, nil, &ArgumentError{Field: "args", Rule: fmt.Sprintf("must be at most %d bytes", most)}
		}
	}
	return names, counts, nil
}

// copy copies one row per element that row does not skip by returning nil.
func (b *bulk) copy(ctx context.Context, table string, columns []string, n int, row func(i int) []any) error {
	next := 0
	_, err := b.to.CopyFrom(ctx, pgx.Identifier{b.client.config.Schema, table}, columns,
		pgx.CopyFromFunc(func() ([]any, error) {
			for next < n {
				next++
				if values := row(next - 1); values != nil {
					return values, nil
				}
			}
			return nil, nil
		}))
	return err
}

// jobColumn is a column of jobs that is copied only if some job gives it.
type jobColumn struct {
	name  string
	value func(*newJob) any
	given func(*newJob) bool
}

var optionalColumns = []jobColumn{
	{"args", func(j *newJob) any { return j.args.json }, func(j *newJob) bool { return j.args.json != nil }},
	{"codec", func(j *newJob) any { return j.args.codec }, func(j *newJob) bool { return j.args.codec != nil }},
	{"payload", func(j *newJob) any { return j.args.payload }, func(j *newJob) bool { return j.args.codec != nil }},
	{"max_attempts", func(j *newJob) any { return j.maxAttempts }, func(j *newJob) bool { return j.maxAttempts != nil }},
	{"timeout", func(j *newJob) any { return j.timeout }, func(j *newJob) bool { return j.timeout != nil }},
	{"backoff", func(j *newJob) any { return j.backoff }, func(j *newJob) bool { return j.backoff != nil }},
	{"tags", func(j *newJob) any { return j.tags }, func(j *newJob) bool { return j.tags != nil }},
	{"metadata", func(j *newJob) any { return j.metadata }, func(j *newJob) bool { return j.metadata != nil }},
	{"result_ttl", func(j *newJob) any { return j.resultTTL }, func(j *newJob) bool { return j.resultTTL != nil }},
}

func (b *bulk) copyJobs(ctx context.Context) error {
	columns := []string{"id", "queue", "kind", "priority", "created_at", "expires_at"}
	var optional []jobColumn
	for _, column := range optionalColumns {
		for i := range b.jobs {
			if column.given(&b.jobs[i]) {
				optional = append(optional, column)
				columns = append(columns, column.name)
				break
			}
		}
	}
	values := make([]any, len(columns))
	return b.copy(ctx, "jobs", columns, len(b.jobs), func(i int) []any {
		j := &b.jobs[i]
		values = append(values[:0], b.ids[i], j.queue, j.kind, j.priority, b.at, b.after(j.ttl))
		for _, column := range optional {
			values = append(values, column.value(j))
		}
		return values
	})
}

// run is a row of ready: size jobs with consecutive ids from first on, alike in what ready says of them.
type run struct {
	first int
	size  int32
}

func (b *bulk) copyReady(ctx context.Context) error {
	var runs []run
	for i := range b.jobs {
		if b.due(i) != nil {
			continue
		}
		if len(runs) > 0 {
			last := &runs[len(runs)-1]
			j, head := &b.jobs[i], &b.jobs[last.first]
			if last.size < maxRunSize && b.ids[i] == b.ids[last.first]+int64(last.size) &&
				j.queue == head.queue && j.kind == head.kind && j.priority == head.priority {
				last.size++
				continue
			}
		}
		runs = append(runs, run{first: i, size: 1})
	}
	if len(runs) == 0 {
		return nil
	}
	return b.copy(ctx, "ready", []string{"queue", "priority", "seq", "job_id", "size", "kind"}, len(runs), func(i int) []any {
		r := runs[i]
		j, id := &b.jobs[r.first], b.ids[r.first]
		return []any{j.queue, j.priority, id, id, r.size, j.kind}
	})
}

func (b *bulk) copyScheduled(ctx context.Context) error {
	if !b.any(func(i int) bool { return b.due(i) != nil }) {
		return nil
	}
	return b.copy(ctx, "scheduled", []string{"job_id", "queue", "run_at"}, len(b.jobs), func(i int) []any {
		if due := b.due(i); due != nil {
			return []any{b.ids[i], b.jobs[i].queue, *due}
		}
		return nil
	})
}

func (b *bulk) copyExpiries(ctx context.Context) error {
	if !b.any(func(i int) bool { return b.jobs[i].ttl != nil }) {
		return nil
	}
	return b.copy(ctx, "expiries", []string{"expires_at", "job_id"}, len(b.jobs), func(i int) []any {
		if at := b.after(b.jobs[i].ttl); at != nil {
			return []any{*at, b.ids[i]}
		}
		return nil
	})
}

// due returns when a job may run, nil for now.
func (b *bulk) due(i int) *time.Time {
	j := &b.jobs[i]
	due := j.runAt
	if due == nil {
		due = b.after(j.delay)
	}
	if due == nil || !due.After(b.at) {
		return nil
	}
	return due
}

// after returns the database's time plus a duration; nil for nil.
func (b *bulk) after(d *time.Duration) *time.Time {
	if d == nil {
		return nil
	}
	at := b.at.Add(*d)
	return &at
}

func (b *bulk) any(is func(i int) bool) bool {
	for i := range b.jobs {
		if is(i) {
			return true
		}
	}
	return false
}
