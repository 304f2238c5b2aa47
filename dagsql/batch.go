package dagsql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

// BatchOptions are those of a batch. The zero value is ready to use.
type BatchOptions struct {
	// Key makes submitting idempotent: a batch of the same name and key is submitted once, for as long as it is kept.
	Key string
	// Open lets jobs be added later, by [Client.AddToBatch], until [Client.CloseBatch]; the batch does not end before, even if all its jobs have ended.
	Open bool
	// Queue and Priority are those of its jobs and callbacks that have none of their own.
	Queue    string
	Priority pgq.Priority
	// Deadline expires the batch when this much time has passed since it was submitted: what is not finished is cancelled.
	Deadline time.Duration
	// FailFast cancels the rest of the jobs as soon as one has failed. OnFailure and OnDone run all the same.
	FailFast bool
	// Tags and Metadata are for whoever looks at batches; at most 64 tags.
	Tags     []string
	Metadata map[string]any
	// ResultTTL is how long the batch is kept, with all its jobs, once it is finished; else its queue's retention counts.
	ResultTTL time.Duration
}

// Batch is a set of jobs that is being built, with callbacks: jobs that run when something has become of all of them. It touches no database
// and is not safe for concurrent use. Mistakes are reported when it is submitted.
//
//	b := dagsql.NewBatch("import", dagsql.BatchOptions{})
//	for _, file := range files {
//		b.Add(Load{File: file})
//	}
//	b.OnSuccess(Report{}).OnFailure(Alarm{})
//	batch, err := d.SubmitBatch(ctx, tx, b)
//
// A batch is a DAG: its id is that of the DAG, workers run its jobs as those of any DAG, and all that [Client] does with DAGs it does with batches. It
// has ended when its jobs and its callbacks have; it fails if one of them fails. A job that was cancelled, or that expired, counts as failed.
type Batch struct {
	name      string
	options   BatchOptions
	members   []member
	callbacks []callback
}

// member is a job of a batch, or a batch in it.
type member struct {
	args    pgq.Args
	options []pgq.Options
	nested  bool
	batch   int64
}

// callback is a job that runs when something has become of a batch.
type callback struct {
	field   string
	args    pgq.Args
	options []pgq.Options
}

// jobList is a JSON array of jobs and batches that is being written: one buffer, since there may be 100,000.
type jobList struct {
	codec pgq.Codec // of args that name none
	data  []byte
	n     int
	err   error // the first one
}

// NewBatch returns a batch without jobs. The name says what kind of batch it is, like the kind of a job: 1 to 128 characters.
func NewBatch(name string, o BatchOptions) *Batch { return &Batch{name: name, options: o} }

// Add adds a job. Of several options the first that gives something counts, then those of the kind, then the batch's queue and priority. RunAt and
// Unique are refused.
func (b *Batch) Add(args pgq.Args, options ...pgq.Options) *Batch {
	b.members = append(b.members, member{args: args, options: options})
	return b
}

// Nest adds a batch that was submitted before: it counts as one job, which succeeds and fails as that batch does.
func (b *Batch) Nest(id int64) *Batch {
	b.members = append(b.members, member{nested: true, batch: id})
	return b
}

// OnDone adds the callback for when all jobs have ended, however they did. There is one of each sort. Its handler finds the batch by
// [pgq.Attempt.DAGID]; see [Client.Batch] and [Client.Nodes].
func (b *Batch) OnDone(args pgq.Args, options ...pgq.Options) *Batch {
	return b.on("on_done", args, options)
}

// OnSuccess adds the callback for when all jobs have succeeded.
func (b *Batch) OnSuccess(args pgq.Args, options ...pgq.Options) *Batch {
	return b.on("on_success", args, options)
}

// OnFailure adds the callback for the first failure of a job. It runs once, without waiting for the other jobs.
func (b *Batch) OnFailure(args pgq.Args, options ...pgq.Options) *Batch {
	return b.on("on_failure", args, options)
}

func (b *Batch) on(field string, args pgq.Args, options []pgq.Options) *Batch {
	b.callbacks = append(b.callbacks, callback{field, args, options})
	return b
}

// JSON returns the document that batch_submit takes. *pgq.ArgumentError: the first mistake that needs no database to be seen.
func (b *Batch) JSON() (json.RawMessage, error) { return b.document(nil) }

// document returns the JSON form; the codec encodes args that name none, nil is JSON.
func (b *Batch) document(codec pgq.Codec) (json.RawMessage, error) {
	jobs := jobList{codec: codec}
	for _, m := range b.members {
		if m.nested {
			jobs.nest(m.batch)
		} else {
			jobs.add(m.args, m.options...)
		}
	}
	if jobs.err != nil {
		return nil, jobs.err
	}
	o := b.options
	d := document{}
	d.open('{')
	d.dag(&graph{name: b.name, options: Options{
		Key: o.Key, Queue: o.Queue, Priority: o.Priority, Deadline: o.Deadline, Tags: o.Tags, Metadata: o.Metadata, ResultTTL: o.ResultTTL}})
	for _, flag := range []struct {
		name string
		set  bool
	}{{"open", o.Open}, {"fail_fast", o.FailFast}} {
		if flag.set {
			d.name(flag.name)
			d.data = append(d.data, "true"...)
		}
	}
	if len(d.problems) > 0 {
		return nil, &pgq.ArgumentError{Field: d.problems[0].Field, Rule: d.problems[0].Rule}
	}
	given := map[string]bool{}
	for _, c := range b.callbacks {
		if given[c.field] {
			return nil, &pgq.ArgumentError{Field: c.field, Rule: "must be given once"}
		}
		given[c.field] = true
		d.name(c.field)
		var err error
		if d.data, err = appendJob(d.data, codec, c.args, c.options); err != nil {
			return nil, within(c.field, err)
		}
	}
	d.name("jobs")
	d.data = append(d.data, jobs.json()...)
	d.close('}')
	return d.data, nil
}

func (l *jobList) add(args pgq.Args, options ...pgq.Options) {
	if l.err != nil {
		return
	}
	l.separate()
	data, err := appendJob(l.data, l.codec, args, options)
	if err != nil {
		l.err = within(fmt.Sprintf("jobs[%d]", l.n), err)
		return
	}
	l.data = data
	l.n++
}

func (l *jobList) nest(id int64) {
	l.separate()
	l.data = fmt.Appendf(l.data, `{"batch":%d}`, id)
	l.n++
}

func (l *jobList) separate() {
	if l.n > 0 {
		l.data = append(l.data, ',')
	}
}

func (l *jobList) json() json.RawMessage { return append(append([]byte{'['}, l.data...), ']') }

// appendJob appends a job as a JSON object. Its errors are *pgq.ArgumentError.
func appendJob(to []byte, codec pgq.Codec, args pgq.Args, options []pgq.Options) ([]byte, error) {
	if isNil(args) {
		return nil, &pgq.ArgumentError{Field: "args", Rule: "must not be nil"}
	}
	o := pgq.JobOptions(args, options...)
	if o.Codec == nil {
		o.Codec = codec
	}
	switch {
	case !o.RunAt.IsZero():
		return nil, &pgq.ArgumentError{Field: "run_at", Rule: "must not be given for a job of a batch"}
	case !reflect.ValueOf(o.Unique).IsZero():
		return nil, &pgq.ArgumentError{Field: "unique", Rule: "must not be given for a job of a batch"}
	}
	to, err := pgq.AppendJob(append(to, '{'), args, o)
	return append(to, '}'), err
}

// within names in an error the job of which a field breaks a rule.
func within(job string, err error) error {
	var bad *pgq.ArgumentError
	if errors.As(err, &bad) {
		return &pgq.ArgumentError{Field: job + "." + bad.Field, Rule: bad.Rule}
	}
	return err
}

// SubmitBatch adds a batch in one round trip. Given a transaction, the batch exists exactly if the transaction commits; given a pool or a
// connection, it is committed when SubmitBatch returns. A batch without jobs that is not open has succeeded at once.
//
// Errors: *pgq.ArgumentError with the first field that breaks a rule ("jobs[3].kind", "on_done.kind"), pgq.ErrNotInstalled, or what the database
// says. When the connection breaks during a commit it is unknown whether the batch exists: submit it again, with a key.
func (c *Client) SubmitBatch(ctx context.Context, db pgq.DB, b *Batch) (Submitted, error) {
	data, err := b.document(c.q.DefaultCodec())
	if err != nil {
		return Submitted{}, err
	}
	return c.submitBatch(ctx, db, data)
}

// SubmitBatchJSON submits a batch that is given in its JSON form, which [Batch.JSON] returns and docs/batches.md describes; as SubmitBatch does.
func (c *Client) SubmitBatchJSON(ctx context.Context, db pgq.DB, document json.RawMessage) (Submitted, error) {
	data, err := pgq.EncodeJSON("spec", document)
	if err != nil {
		return Submitted{}, err
	}
	return c.submitBatch(ctx, db, data)
}

func (c *Client) submitBatch(ctx context.Context, db pgq.DB, document json.RawMessage) (submitted Submitted, err error) {
	err = db.QueryRow(ctx, c.q.From("batch_id, created", "batch_submit($1::jsonb)"), document).Scan(&submitted.ID, &submitted.Created)
	return submitted, wrap("submit the batch", err)
}

// AddToBatch adds jobs to an open batch, and returns their ids in the order of items. It takes as long for a batch of 100,000 jobs as for an empty
// one. Several that add to one batch at once go one after the other: keep their transactions short.
// Errors: *pgq.ArgumentError for a field that breaks a rule ("jobs[3].kind"), and for a batch that is closed or has ended ("batch_id");
// pgq.ErrNotFound when there is no such batch.
func (c *Client) AddToBatch(ctx context.Context, db pgq.DB, id int64, items ...pgq.Item) ([]int64, error) {
	return c.addToBatch(ctx, db, id, nil, items)
}

// NestBatch adds a batch to an open one, as [Batch.Nest] does, and returns the id of the job that stands for it there. Errors: as AddToBatch;
// *pgq.ArgumentError also for a batch that waits for the one that it is to be added to.
func (c *Client) NestBatch(ctx context.Context, db pgq.DB, id, inner int64) (int64, error) {
	var l jobList
	l.nest(inner)
	ids, err := c.ids(ctx, db, "nest the batch", "batch_add($1, $2::jsonb)", id, l.json())
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

// AddToBatch adds jobs to the batch that the running job is in; that may be closed, since it does not end before the job does. With db a
// transaction in which the job is completed, too, they are there exactly if the job is completed. Errors are those of [Client.AddToBatch];
// pgq.ErrNotFound also means that the job is in no batch.
func AddToBatch(ctx context.Context, db pgq.DB, job *pgq.Attempt, items ...pgq.Item) ([]int64, error) {
	if job.DAGID == 0 {
		return nil, fmt.Errorf("%w: job %d is in no batch", pgq.ErrNotFound, job.ID)
	}
	return NewClient(job.Client()).addToBatch(ctx, db, job.DAGID, &job.ID, items)
}

func (c *Client) addToBatch(ctx context.Context, db pgq.DB, id int64, member *int64, items []pgq.Item) ([]int64, error) {
	l := jobList{codec: c.q.DefaultCodec()}
	for _, item := range items {
		l.add(item.Args, item.Options)
	}
	if l.err != nil {
		return nil, l.err
	}
	return c.AddJSONToBatch(ctx, db, id, l.json(), member)
}

// AddJSONToBatch adds jobs that are given as a JSON array, for a running job of the batch (nil: none); as AddToBatch does.
func (c *Client) AddJSONToBatch(ctx context.Context, db pgq.DB, id int64, jobs json.RawMessage, member *int64) ([]int64, error) {
	return c.ids(ctx, db, "add to the batch", "batch_add($1, $2::jsonb, $3)", id, jobs, member)
}

// CloseBatch closes a batch: only its own jobs can add others from now on. It reports false if it was closed before. pgq.ErrNotFound: there is
// no such batch.
func (c *Client) CloseBatch(ctx context.Context, db pgq.DB, id int64) (closed bool, err error) {
	err = db.QueryRow(ctx, c.q.From("*", "batch_close($1)"), id).Scan(&closed)
	return closed, wrap("close the batch", err)
}

// CancelBatch cancels a batch and the batches in it, with all their jobs and callbacks; what runs is told to stop. The outcomes are those of the batches, as
// pgq's Cancel has them. The reason may be empty. pgq.ErrNotFound: there is no such batch.
func (c *Client) CancelBatch(ctx context.Context, db pgq.DB, id int64, reason string) ([]pgq.Outcome, error) {
	rows, err := db.Query(ctx, c.q.From("job_id, outcome", "batch_cancel($1, nullif($2, ''))"), id, pgq.Printable(reason))
	if err != nil {
		return nil, wrap("cancel the batch", err)
	}
	outcomes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pgq.Outcome])
	return outcomes, wrap("cancel the batch", err)
}

// RetryBatch runs the jobs of a batch, and of the batches in it, again that failed, were cancelled or expired, and returns the ids of what was
// reset. Callbacks that did not run do so when they come true; those that ran do not run again. pgq.ErrNotFound: there is no such batch.
func (c *Client) RetryBatch(ctx context.Context, db pgq.DB, id int64) ([]int64, error) {
	return c.ids(ctx, db, "retry the batch", "batch_retry($1)", id)
}

// BatchInfo is a batch that was submitted, and how far it is. Nil means not given, or not yet.
type BatchInfo struct {
	ID    int64
	Name  string
	Key   *string
	Queue string
	// State is pgq.Running until the batch has ended, Held while it is held.
	State pgq.State
	// Open says that jobs can be added.
	Open bool
	// Total is how many jobs there are, Done how many of them have ended, Failed how many of these did not complete. A batch in it counts as one.
	Total, Done, Failed int64
	// Percent is Done of Total; nil while it is empty.
	Percent    *float64
	CreatedAt  time.Time
	FinishedAt *time.Time
	Deadline   *time.Time
	Tags       []string
	Metadata   json.RawMessage
	Error      *string
	CauseID    *int64 // the job that failed first
}

const batchColumns = `id, name, key, queue, state, open, total, done, failed, percent::float8, created_at, finished_at, deadline, tags,
	metadata, error, cause_id`

func scanBatch(row pgx.CollectableRow) (b BatchInfo, err error) {
	err = row.Scan(&b.ID, &b.Name, &b.Key, &b.Queue, &b.State, &b.Open, &b.Total, &b.Done, &b.Failed, &b.Percent, &b.CreatedAt,
		&b.FinishedAt, &b.Deadline, &b.Tags, (*[]byte)(&b.Metadata), &b.Error, &b.CauseID)
	return b, err
}

// Batch returns a batch and how far it is; the counts may be a second behind. pgq.ErrNotFound: there is none with this id (any more).
func (c *Client) Batch(ctx context.Context, db pgq.DB, id int64) (BatchInfo, error) {
	batches, err := collect(ctx, c, db, "read the batch", scanBatch, batchColumns, "batch_progress($1)", id)
	if err != nil {
		return BatchInfo{}, err
	}
	return batches[0], nil
}

// Batches returns a page of batches, newest first, and the cursor of the next page: 0 when this is the last.
func (c *Client) Batches(ctx context.Context, db pgq.DB, f Filter) (batches []BatchInfo, next int64, err error) {
	batches, err = collect(ctx, c, db, "list batches", scanBatch, batchColumns,
		`batches where ($1::text[] is null or name = any($1)) and ($2::text[] is null or state = any($2)) and ($3 = 0 or id < $3)
		 and ($5::bigint[] is null or id = any($5)) order by id desc limit $4`, f.Names, f.states(), f.From, f.limit(), f.IDs)
	if len(batches) == f.limit() {
		next = batches[len(batches)-1].ID
	}
	return batches, next, err
}
