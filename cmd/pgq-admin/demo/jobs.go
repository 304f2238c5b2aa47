package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/cmd/pgq-admin/dagview"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// The queues of the demo.
const (
	reports = "reports" // the DAG and its nodes
	sources = "sources" // but for those that count a package
	pings   = "pings"   // one job at a time, on an idle queue
	noops   = "noops"   // many jobs that do nothing
)

const (
	flakyEvery = 20 // every so many packages the first attempt fails
	retryDelay = 300 * time.Millisecond
	pingJobs   = 50
	noopJobs   = 10_000
)

// Noop asks for nothing.
type Noop struct{}

// Kind implements pgq.Args.
func (Noop) Kind() string { return "noop" }

// noSuchPackage is what the job that is bound to fail is to count.
const noSuchPackage = "no/such/package"

// submit writes a row of the demo's own table and the DAG in one transaction, and rolls another one back.
func (d *demo) submit(ctx context.Context) error {
	d.head("Submit a DAG inside a transaction, together with a row of your own")
	table := d.appSchema + ".runs"
	if _, err := d.pool.Exec(ctx, "create table "+table+" (name text primary key, dag_id bigint not null)"); err != nil {
		return err
	}
	begin := time.Now()
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) (err error) {
		d.dag, err = d.submitIn(ctx, tx, table, "first")
		return err
	})
	if err != nil {
		return err
	}
	d.say("begin; a row into %s; DAG %d; commit   %s", table, d.dag, since(begin))
	return d.rollBack(ctx, table)
}

// submitIn writes the row and the DAG.
func (d *demo) submitIn(ctx context.Context, tx pgx.Tx, table, name string) (int64, error) {
	dag, err := d.dags.Submit(ctx, tx, build(name))
	if err == nil {
		_, err = tx.Exec(ctx, "insert into "+table+" values ($1, $2)", name, dag.ID)
	}
	return dag.ID, err
}

// rollBack shows that a DAG whose transaction is rolled back was never there.
func (d *demo) rollBack(ctx context.Context, table string) error {
	tx, err := d.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it is rolled back by then
	dag, err := d.submitIn(ctx, tx, table, "rolled back")
	if err != nil {
		return err
	}
	if err := tx.Rollback(ctx); err != nil {
		return err
	}
	var rows int
	if err := d.pool.QueryRow(ctx, "select count(*) from "+table+" where name = 'rolled back'").Scan(&rows); err != nil {
		return err
	}
	if _, err := d.dags.Get(ctx, d.pool, dag); !errors.Is(err, pgq.ErrNotFound) || rows != 0 {
		return fmt.Errorf("DAG %d or its row is there although it was rolled back (%d rows, %w)", dag, rows, err)
	}
	d.say("begin; a row; DAG %d; rollback: neither the row nor the DAG is there", dag)
	return nil
}

// hire starts the workers. One that fails ends everything by stop.
func (d *demo) hire(ctx context.Context, stop context.CancelCauseFunc) *sync.WaitGroup {
	var crew sync.WaitGroup
	for i := range d.Workers {
		w := worker.New(d.pool, worker.Config{
			Client: d.q,
			Name:   fmt.Sprintf("demo worker %d", i+1),
			Queues: worker.Queues{reports: {Concurrency: 2}, sources: {Concurrency: 4}, pings: {Concurrency: 1}, noops: {Concurrency: 50}},
			Grace:  -1, // when it ends nobody waits for the jobs
			Logger: d.Logger, Observe: d.meter.observe, Middleware: []worker.Middleware{d.meter.noteStart},
		})
		d.handle(w)
		crew.Go(func() {
			if err := w.Run(ctx); err != nil {
				stop(err)
			}
		})
	}
	return &crew
}

// count follows the DAG until it has ended.
func (d *demo) count(ctx context.Context) error {
	d.head(fmt.Sprintf("%d workers count %s", d.Workers, d.source.what))
	watch := dagview.Watch{Client: d.dags, DB: d.pool, Screen: d.Screen, Interval: 50 * time.Millisecond, Indent: "  "}
	var err error
	if d.view, err = watch.Run(ctx, d.dag); err != nil {
		return err
	}
	d.counted = d.view.Progress.Elapsed
	if d.view.Run.State != pgq.Completed {
		return fmt.Errorf("the DAG has %s, but was to be completed: %s", d.view.Run.State, *d.view.Run.Error)
	}
	return nil
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
