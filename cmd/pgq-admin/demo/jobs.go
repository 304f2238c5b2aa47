package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// The queues of the demo.
const (
	sources = "sources" // one job per package
	pings   = "pings"   // one job at a time, on an idle queue
	noops   = "noops"   // many jobs that do nothing
)

const (
	flakyEvery = 20 // every so many packages the first attempt fails
	retryDelay = 300 * time.Millisecond
	pingJobs   = 50
	noopJobs   = 10_000
)

// Package asks to count a package.
type Package struct {
	Path string `json:"path"`
	// Flaky makes the first attempt fail.
	Flaky bool `json:"flaky,omitempty"`
}

// Kind implements pgq.Args.
func (Package) Kind() string { return "count_package" }

// Options implements what pgq looks for: how jobs of this kind are run unless a call says otherwise.
func (Package) Options() pgq.Options {
	return pgq.Options{Queue: sources, MaxAttempts: 3,
		Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: retryDelay}}
}

// Noop asks for nothing.
type Noop struct{}

// Kind implements pgq.Args.
func (Noop) Kind() string { return "noop" }

// noSuchPackage is what the job that is bound to fail is to count.
const noSuchPackage = "no/such/package"

// enqueue writes rows of the demo's own table and their jobs in one transaction, and rolls another one back.
func (d *demo) enqueue(ctx context.Context) error {
	d.head("Enqueue inside a transaction, together with rows of your own")
	table := d.appSchema + ".packages"
	if _, err := d.pool.Exec(ctx, "create table "+table+" (path text primary key, job_id bigint not null)"); err != nil {
		return err
	}
	items := make([]pgq.Item, 0, len(d.source.packages)+1)
	for i, p := range d.source.packages {
		items = append(items, pgq.Item{Args: Package{Path: p, Flaky: i%flakyEvery == 0}})
	}
	items = append(items, pgq.Item{Args: Package{Path: noSuchPackage}, Options: pgq.Options{Priority: pgq.Prio(0)}})
	begin := time.Now()
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		ids, err := d.q.EnqueueMany(ctx, tx, items)
		if err != nil {
			return err
		}
		d.jobs, d.failing = ids[:len(ids)-1], ids[len(ids)-1]
		_, err = tx.CopyFrom(ctx, pgx.Identifier{d.appSchema, "packages"}, []string{"path", "job_id"},
			pgx.CopyFromSlice(len(items), func(i int) ([]any, error) { return []any{items[i].Args.(Package).Path, ids[i]}, nil }))
		return err
	})
	if err != nil {
		return err
	}
	d.say("begin; %d rows into %s; %d jobs into queue %s; commit   %s", len(items), table, len(items), sources, since(begin))
	return d.rollBack(ctx, table)
}

// rollBack shows that a job whose transaction is rolled back was never there.
func (d *demo) rollBack(ctx context.Context, table string) error {
	tx, err := d.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it is rolled back by then
	job, err := d.q.Enqueue(ctx, tx, Package{Path: "rolled/back"}, pgq.Options{})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "insert into "+table+" values ('rolled/back', $1)", job.ID); err != nil {
		return err
	}
	if err := tx.Rollback(ctx); err != nil {
		return err
	}
	var rows int
	if err := d.pool.QueryRow(ctx, "select count(*) from "+table+" where path = 'rolled/back'").Scan(&rows); err != nil {
		return err
	}
	if _, err := d.q.Get(ctx, d.pool, job.ID); !errors.Is(err, pgq.ErrNotFound) || rows != 0 {
		return fmt.Errorf("job %d or its row is there although it was rolled back (%d rows, %w)", job.ID, rows, err)
	}
	d.say("begin; 1 row; 1 job (%d); rollback: neither the row nor the job is there", job.ID)
	return nil
}

// hire starts the workers. One that fails ends everything by stop.
func (d *demo) hire(ctx context.Context, stop context.CancelCauseFunc) *sync.WaitGroup {
	var crew sync.WaitGroup
	for i := range d.Workers {
		w := worker.New(d.pool, worker.Config{
			Client: d.q,
			Name:   fmt.Sprintf("demo worker %d", i+1),
			Queues: worker.Queues{sources: {Concurrency: 4}, pings: {Concurrency: 1}, noops: {Concurrency: 50}},
			Grace:  -1, // when it ends nobody waits for the jobs
			Logger: d.Logger, Observe: d.meter.observe, Middleware: []worker.Middleware{d.meter.noteStart},
		})
		worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Package]) (Counts, error) {
			if job.Args.Flaky && job.Number == 1 {
				return Counts{}, errors.New("the disk is busy (so the demo pretends)")
			}
			return countPackage(ctx, d.source.files, job.Args.Path)
		})
		worker.Handle(w, func(context.Context, *pgq.Job[Noop]) error { return nil })
		crew.Go(func() {
			if err := w.Run(ctx); err != nil {
				stop(err)
			}
		})
	}
	return &crew
}

// count waits until all packages are counted.
func (d *demo) count(ctx context.Context) error {
	d.head(fmt.Sprintf("%d workers count %s", d.Workers, d.source.what))
	begin := time.Now()
	d.meter.ask(begin, append(d.jobs[:len(d.jobs):len(d.jobs)], d.failing)...)
	total := len(d.jobs) + 1
	bar := newProgress(d.Out, d.Terminal, total, "packages")
	defer bar.end()
	err := d.drain(ctx, sources, 50*time.Millisecond, func(left int) { bar.set(total - left) })
	d.counted = time.Since(begin)
	return err
}

// ping measures how long one job takes to be started when all workers sleep.
func (d *demo) ping(ctx context.Context) error {
	for range pingJobs {
		begin := time.Now()
		job, err := d.q.Enqueue(ctx, d.pool, Noop{}, pgq.Options{Queue: pings})
		if err != nil {
			return err
		}
		d.meter.ask(begin, job.ID)
		if _, err := d.q.AwaitFinished(ctx, d.pool, job.ID); err != nil {
			return err
		}
	}
	return nil
}

// burst measures how fast jobs go through that do nothing.
func (d *demo) burst(ctx context.Context) error {
	items := make([]pgq.Item, noopJobs)
	for i := range items {
		items[i] = pgq.Item{Args: Noop{}, Options: pgq.Options{Queue: noops}}
	}
	var err error
	if d.meter.wal, err = d.walPosition(ctx); err != nil {
		return err
	}
	begin := time.Now()
	ids, err := d.q.EnqueueMany(ctx, d.pool, items)
	if err != nil {
		return err
	}
	d.meter.ask(begin, ids...)
	d.meter.enqueued = time.Since(begin)
	begin = time.Now()
	if err := d.drain(ctx, noops, 10*time.Millisecond, func(int) {}); err != nil {
		return err
	}
	d.meter.drained = time.Since(begin)
	after, err := d.walPosition(ctx)
	d.meter.wal = after - d.meter.wal
	return err
}

// drain waits until a queue has no unfinished jobs, looking every so often, and tells how many are left.
func (d *demo) drain(ctx context.Context, queue string, every time.Duration, tell func(left int)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		counts, err := d.q.Counts(ctx, d.pool)
		if err != nil {
			return err
		}
		left := 0
		for _, c := range counts {
			if c.Queue == queue && !c.State.Finished() {
				left += int(c.Jobs)
			}
		}
		tell(left)
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
