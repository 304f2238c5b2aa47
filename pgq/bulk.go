package pgq

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sort"
	"sync"
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
	// jsonChunk is how many jobs one call of enqueue_many gets where COPY cannot be used, and
	// jsonChunkBytes from how many bytes of args on it gets no more.
	jsonChunk      = 5000
	jsonChunkBytes = 16 << 20
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
	jobs, err := c.EnqueueEach(ctx, db, items)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	ids := make([]int64, len(jobs))
	for i, job := range jobs {
		ids[i] = job.ID
	}
	return ids, nil
}

// EnqueueEach is [Client.EnqueueMany] for jobs that are to be unique: it says of each, in the order of items, what became of it.
// Of jobs of one call with the same key the first one counts.
func (c *Client) EnqueueEach(ctx context.Context, db DB, items []Item) ([]Enqueued, error) {
	if len(items) == 0 {
		return nil, nil
	}
	var added []Enqueued
	err := inTransaction(ctx, db, func(tx DB) (err error) {
		if to, ok := tx.(copier); ok && len(items) >= copyFrom {
			b := bulk{client: c, tx: tx, to: to}
			allowed, err := b.enqueue(ctx, items)
			if allowed || err != nil {
				added = b.enqueued()
				return err
			}
		}
		jobs, err := prepareAll(items, c.config.Codec)
		if err != nil {
			return err
		}
		added, err = c.enqueueJSON(ctx, tx, jobs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// prepareAll prepares jobs, using all processors. The error names the first job that breaks a rule.
func prepareAll(items []Item, fallback Codec) ([]newJob, error) {
	jobs := make([]newJob, len(items))
	errs := inParts(len(items), func(from, to int) (err error) {
		for i := from; i < to; i++ {
			if jobs[i], err = prepare(items[i].Args, items[i].Options, fallback); err != nil {
				return atIndex(i, err)
			}
		}
		return nil
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// inParts calls do for parts of n things, in order, using all processors, and returns what the calls return.
func inParts[R any](n int, do func(from, to int) R) []R {
	parts := min(runtime.GOMAXPROCS(0), 1+n/1000)
	results := make([]R, parts)
	var wait sync.WaitGroup
	for part := range parts {
		wait.Go(func() { results[part] = do(part*n/parts, (part+1)*n/parts) })
	}
	wait.Wait()
	return results
}

// atIndex names the job in an error about one of its fields.
func atIndex(i int, err error) error {
	var bad *ArgumentError
	if errors.As(err, &bad) {
		return &ArgumentError{Field: fmt.Sprintf("jobs[%d].%s", i, bad.Field), Rule: bad.Rule}
	}
	return err
}

// enqueueJSON enqueues by enqueue_jobs, chunk by chunk.
func (c *Client) enqueueJSON(ctx context.Context, tx DB, jobs []newJob) ([]Enqueued, error) {
	added := make([]Enqueued, 0, len(jobs))
	for start := 0; start < len(jobs); {
		chunk := jobs[start : start+chunkSize(jobs[start:])]
		document, err := json.Marshal(chunk)
		if err != nil {
			return nil, fmt.Errorf("pgq: enqueue: %w", err)
		}
		rows, err := tx.Query(ctx, c.adding("job_id, outcome", "enqueue_jobs($1::jsonb, $2)"), json.RawMessage(document), !c.config.NoNotify)
		if err != nil {
			return nil, wrap("enqueue", err)
		}
		got, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (job Enqueued, err error) {
			var outcome string
			err = row.Scan(&job.ID, &outcome)
			job.take(outcome)
			return job, err
		})
		if err == nil && len(got) < len(chunk) {
			err = pgx.ErrNoRows
		}
		if err != nil {
			return nil, shiftIndex(wrapAdding(err), start)
		}
		added = append(added, got...)
		start += len(chunk)
	}
	return added, nil
}

// chunkSize returns how many of the jobs, at least one, go into one call of enqueue_many.
func chunkSize(jobs []newJob) int {
	bytes := 0
	for i := range jobs {
		bytes += jobs[i].args.size()
		if i > 0 && (i == jsonChunk || bytes > jsonChunkBytes) {
			return i
		}
	}
	return len(jobs)
}

// shiftIndex makes an error about a job of a chunk one about the job of the whole.
func shiftIndex(err error, start int) error {
	var bad *ArgumentError
	var index int
	var field string
	if errors.As(err, &bad) {
		if _, scanErr := fmt.Sscanf(bad.Field, "jobs[%d].%s", &index, &field); scanErr == nil {
			return atIndex(start+index, &ArgumentError{Field: field, Rule: bad.Rule})
		}
	}
	return err
}

// MarshalJSON returns the form that enqueue_many and enqueue_jobs take.
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
	optional("unique", j.unique != nil, j.unique)
	optional("callbacks", j.callbacks != nil, j.callbacks)
	optional("group", j.group != nil, j.group)
	optional("sequence", j.sequence != nil, j.sequence)
	optional("on_failure", j.onFailure != nil, j.onFailure)
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
	loud   bool      // somebody wants the events of the jobs
	traits traits

	keys    []*string        // of jobs that are to be unique
	holds   []*time.Time     // until when those bar others at least
	earlier map[int]Enqueued // jobs that stand for those of the bulk, by place; see takeKeys
	heads   map[int64]bool   // jobs that begin their sequences; see takeSequences
}

// enqueue reports false, having written nothing, where the user may not write to the tables, or where only
// the server can tell the size of args, or where jobs are to wait for their turn. The jobs are prepared while the database draws the ids.
func (b *bulk) enqueue(ctx context.Context, items []Item) (allowed bool, err error) {
	queues, counts, err := queuesOf(items)
	if err != nil {
		return false, err
	}
	prepared := make(chan error, 1)
	go func() {
		var err error
		if b.jobs, err = prepareAll(items, b.client.config.Codec); err == nil {
			b.traits = survey(b.jobs)
		}
		prepared <- err
	}()
	allowed, err = b.reserve(ctx, queues, counts)
	if prepareErr := <-prepared; prepareErr != nil {
		return false, prepareErr
	}
	if err != nil || !allowed {
		return false, err
	}
	if b.traits.turns {
		return false, nil
	}
	for _, check := range []func() (known bool, err error){
		func() (bool, error) { return b.checkSizes(ctx, queues) },
		func() (bool, error) { return b.takeKeys(ctx) },
		func() (bool, error) { return true, b.takeSequences(ctx) },
	} {
		if known, err := check(); err != nil || !known {
			return false, err
		}
	}
	for _, copyRows := range []func(context.Context) error{b.copyJobs, b.copyReady, b.copyScheduled, b.copyWaiting, b.copyExpiries} {
		if err := copyRows(ctx); err != nil {
			return false, wrap("enqueue", err)
		}
	}
	var told []int64
	if b.loud {
		for i, id := range b.ids {
			if !b.barred(i) {
				told = append(told, id)
			}
		}
	}
	_, err = b.tx.Exec(ctx, b.client.from("*", "announce($1, $2, $3)"), told, queues, !b.client.config.NoNotify)
	return true, wrap("enqueue", err)
}

// reserve draws ids, unless the user may not write to the tables or a queue is full.
func (b *bulk) reserve(ctx context.Context, queues []string, counts []int64) (allowed bool, err error) {
	var firstID *int64
	var at *time.Time
	var loud *bool
	err = b.tx.QueryRow(ctx, b.client.adding("first_id, ids, at, loud", "enqueue_reserve($1, $2)"), queues, counts).
		Scan(&firstID, &b.ids, &at, &loud)
	if err != nil || at == nil {
		return false, wrapAdding(err)
	}
	b.at, b.loud = *at, *loud
	if b.ids == nil {
		var n int64
		for _, count := range counts {
			n += count
		}
		for i := range n {
			b.ids = append(b.ids, *firstID+i)
		}
	}
	return true, nil
}

// queuesOf returns the queues of jobs in order and how many jobs each gets.
func queuesOf(items []Item) (names []string, counts []int64, err error) {
	adding := map[string]int64{}
	for i, item := range items {
		if item.Args == nil {
			return nil, nil, atIndex(i, errNilArgs)
		}
		queue := item.Options.Queue
		if kind, ok := item.Args.(withOptions); ok && queue == "" {
			queue = kind.Options().Queue
		}
		adding[first(queue, DefaultQueue)]++
	}
	for name := range adding {
		if nameProblem(name) != "" {
			_, err := prepareAll(items, nil) // says which job
			return nil, nil, err
		}
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		counts = append(counts, adding[name])
	}
	return names, counts, nil
}

// maxJSONGrowth bounds how much larger JSON is in the server's own form, whose size counts, than as text.
const maxJSONGrowth = 8

// checkSizes refuses args that are too large for their queues. It reports false where it cannot tell.
func (b *bulk) checkSizes(ctx context.Context, queues []string) (known bool, err error) {
	most := make(map[string]int, len(queues))
	for _, name := range queues {
		var bytes int
		if err := b.tx.QueryRow(ctx, b.client.from("max_args_bytes", "queue_settings($1)"), name).Scan(&bytes); err != nil {
			return false, wrap("enqueue", err)
		}
		most[name] = bytes
	}
	for i := range b.jobs {
		j := &b.jobs[i]
		switch most := most[j.queue]; {
		case len(j.args.payload) > most:
			return false, atIndex(i, &ArgumentError{Field: "args", Rule: fmt.Sprintf("must be at most %d bytes", most)})
		case len(j.args.json) > most/maxJSONGrowth:
			return false, nil
		}
	}
	return true, nil
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

func (b *bulk) copyJobs(ctx context.Context) error {
	columns := []string{"id", "queue", "kind"} // created_at: by default the time of the transaction, which b.at is
	var optional []jobColumn
	for i, column := range optionalColumns {
		if b.traits.columns[i] {
			optional = append(optional, column)
			columns = append(columns, column.name)
		}
	}
	if b.traits.ttls {
		columns = append(columns, "expires_at")
	}
	if b.keys != nil {
		columns = append(columns, "unique_key")
	}
	if b.heads != nil {
		columns = append(columns, "spec")
	}
	values := make([]any, len(columns))
	return b.copy(ctx, "jobs", columns, len(b.jobs), func(i int) []any {
		if b.barred(i) {
			return nil
		}
		j := &b.jobs[i]
		values = append(values[:0], b.ids[i], j.queue, j.kind)
		for _, column := range optional {
			values = append(values, column.value(j))
		}
		if b.traits.ttls {
			values = append(values, b.after(j.ttl))
		}
		if b.keys != nil {
			values = append(values, b.keys[i])
		}
		if b.heads != nil {
			values = append(values, b.timeInLine(i))
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
		if b.due(i) != nil || b.barred(i) || b.inLine(i) {
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
	if !b.traits.delays {
		return nil
	}
	return b.copy(ctx, "scheduled", []string{"job_id", "queue", "run_at"}, len(b.jobs), func(i int) []any {
		if due := b.due(i); due != nil && !b.barred(i) && !b.inLine(i) {
			return []any{b.ids[i], b.jobs[i].queue, *due}
		}
		return nil
	})
}

func (b *bulk) copyExpiries(ctx context.Context) error {
	if !b.traits.ttls {
		return nil
	}
	return b.copy(ctx, "expiries", []string{"expires_at", "job_id"}, len(b.jobs), func(i int) []any {
		if at := b.after(b.jobs[i].ttl); at != nil && !b.barred(i) {
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
