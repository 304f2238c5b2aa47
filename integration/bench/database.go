package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// drainedPoll is how often the database is asked for the end, once all handlers have run.
	drainedPoll = 2 * time.Millisecond

	// tallyPoll is how often a tally is looked at.
	tallyPoll = time.Millisecond

	// stallTimeout is how long a measurement waits for the next job.
	stallTimeout = 30 * time.Second

	// endTimeout is how long a measurement waits for the end of all jobs, once all handlers have run.
	endTimeout = 2 * time.Minute
)

// A database is a fresh one, migrated by one system, for one measurement.
type database struct {
	name   string
	server *server

	// pool is the system's.
	pool *pgxpool.Pool

	// observer is bench's own connection.
	observer *pgx.Conn
}

// fresh creates a database for the system.
func (b *bench) fresh(ctx context.Context, sys system) (*database, error) {
	template, err := b.server.template(ctx, sys)
	if err != nil {
		return nil, err
	}
	d := &database{name: fmt.Sprintf("%s_%d", b.server.prefix, b.server.databases.Add(1)), server: b.server}
	if _, err := b.server.admin.Exec(ctx, fmt.Sprintf("create database %s template %s", d.name, template)); err != nil {
		return nil, err
	}
	if d.pool, err = d.newPool(ctx, b.conns); err == nil {
		d.observer, err = d.connect(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	// The questions below must not become slow because nobody has analyzed the tables.
	if _, err := d.observer.Exec(ctx, "set enable_seqscan = off"); err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	return d, nil
}

// newPool opens a pool of conns connections and waits until all of them are there.
func (d *database) newPool(ctx context.Context, conns int) (*pgxpool.Pool, error) {
	pool, err := pgxpool.NewWithConfig(ctx, d.server.poolConfig(d.name, conns))
	if err != nil {
		return nil, err
	}
	acquired := make([]*pgxpool.Conn, 0, conns)
	for range conns {
		var conn *pgxpool.Conn
		if conn, err = pool.Acquire(ctx); err != nil {
			break
		}
		acquired = append(acquired, conn)
	}
	for _, conn := range acquired {
		conn.Release()
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// connect opens a connection outside of all pools.
func (d *database) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.ConnectConfig(ctx, d.server.poolConfig(d.name, 1).ConnConfig)
}

// close drops the database.
func (d *database) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if d.pool != nil {
		d.pool.Close()
	}
	if d.observer != nil {
		_ = d.observer.Close(ctx) // dropping the database ends what is left
	}
	return d.server.drop(ctx, d.name)
}

// closeInto is close, deferred.
func (d *database) closeInto(ctx context.Context, err *error) { *err = errors.Join(*err, d.close(ctx)) }

// stopInto stops workers, deferred.
func stopInto(stop func() error, err *error) {
	if stopErr := stop(); stopErr != nil {
		*err = errors.Join(*err, fmt.Errorf("stop workers: %w", stopErr))
	}
}

// awaitEnded waits until the handlers of so many jobs have run and all jobs have ended. It returns the time at which the
// database was asked that said so.
func (d *database) awaitEnded(ctx context.Context, ended probe, handled *tally, jobs int) (time.Time, error) {
	if err := handled.await(ctx, jobs); err != nil {
		return time.Time{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, endTimeout, errors.New("the last jobs do not end"))
	defer cancel()
	for {
		asked := time.Now()
		done, err := ended(ctx, d.observer)
		switch {
		case ctx.Err() != nil:
			return time.Time{}, context.Cause(ctx)
		case err != nil:
			return time.Time{}, err
		case done:
			return asked, nil
		}
		time.Sleep(drainedPoll)
	}
}

// verifyCompleted fails unless exactly so many jobs have completed.
func (d *database) verifyCompleted(ctx context.Context, q queue, jobs int) error {
	completed, err := q.completed(ctx, d.observer)
	if err == nil && completed != jobs {
		err = fmt.Errorf("%d jobs completed, want %d", completed, jobs)
	}
	return err
}

// A tally counts the handlers that have run.
type tally struct{ atomic.Int64 }

// await waits until so many are counted. It gives up when none is counted for a long time.
func (t *tally) await(ctx context.Context, target int) error {
	last, progressAt := t.Load(), time.Now()
	for {
		count := t.Load()
		switch {
		case count >= int64(target):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case count != last:
			last, progressAt = count, time.Now()
		case time.Since(progressAt) > stallTimeout:
			return fmt.Errorf("stalled after %d of %d jobs", count, target)
		}
		time.Sleep(tallyPoll)
	}
}
