package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// An eventsQueue is PGQ while a consumer reads the events.
type eventsQueue struct {
	pgqQueue
	handled *atomic.Int64
}

// startWorkers starts the workers, and the consumer beside them.
func (q eventsQueue) startWorkers(ctx context.Context, pool *pgxpool.Pool, w workers) (func() error, error) {
	own, err := pgxpool.NewWithConfig(ctx, pool.Config())
	if err != nil {
		return nil, err
	}
	stopWorkers, err := q.pgqQueue.startWorkers(ctx, pool, w)
	if err != nil {
		own.Close()
		return nil, err
	}
	consuming, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- q.client.Consume(consuming, own, countingConsumer(q.handled)) }()
	return func() error {
		err := stopWorkers()
		cancel()
		if consumed := <-ended; !errors.Is(consumed, context.Canceled) {
			err = errors.Join(err, consumed)
		}
		own.Close()
		return err
	}, nil
}

// countingConsumer returns a consumer of all events that counts them.
func countingConsumer(handled *atomic.Int64) *pgq.Consumer {
	c := &pgq.Consumer{Name: "bench", StartAt: pgq.FromBeginning, BatchSize: 1000}
	c.Handle(pgq.AnyEvent, func(context.Context, pgq.Event) error { handled.Add(1); return nil })
	return c
}

// eventsCells drain the same jobs at each level of events, and at the highest one while a consumer reads; and let a consumer read what is there.
func eventsCells(b *bench) []cell {
	if !b.has(pgqName) {
		return nil
	}
	var cells []cell
	for _, level := range []pgq.EventLevel{pgq.EventsNone, pgq.EventsChanges, pgq.EventsAll} {
		p := params{{"n", b.n}, {"events", string(level)}, {"consumer", "no"}}
		cells = append(cells, cell{label(newPGQ(), p), func(ctx context.Context) ([]sample, error) { return b.drainEvents(ctx, newPGQ(), level, p) }})
	}
	p := params{{"n", b.n}, {"events", string(pgq.EventsAll)}, {"consumer", "yes"}}
	cells = append(cells, cell{label(newPGQ(), p), func(ctx context.Context) ([]sample, error) {
		return b.drainEvents(ctx, eventsQueue{newPGQ(), &atomic.Int64{}}, pgq.EventsAll, p)
	}})
	read := params{{"n", b.n}, {"events", "read"}}
	return append(cells, cell{label(newPGQ(), read), func(ctx context.Context) ([]sample, error) { return b.consume(ctx, read) }})
}

// drainEvents is drain with all queues at a level.
func (b *bench) drainEvents(ctx context.Context, q queue, level pgq.EventLevel, p params) ([]sample, error) {
	jobs := plain(q, b.n)
	load := jobs.load
	jobs.load = func(ctx context.Context, pool *pgxpool.Pool) (probe, error) {
		if err := newPGQ().client.SetQueue(ctx, pool, "*", pgq.QueueSettings{Events: &level}); err != nil {
			return nil, err
		}
		return load(ctx, pool)
	}
	took, wal, err := b.work(ctx, q, jobs)
	if err != nil {
		return nil, err
	}
	return []sample{
		{system: q.name(), metric: jobsPerSecond, params: p, value: perSecond(b.n, took)},
		{system: q.name(), metric: walBytesPerJob, params: p, value: float64(wal) / float64(b.n)},
	}, nil
}

// consume measures how fast a consumer reads as many events as there would be jobs.
func (b *bench) consume(ctx context.Context, p params) (samples []sample, err error) {
	q := newPGQ()
	db, err := b.fresh(ctx, q)
	if err != nil {
		return nil, err
	}
	defer db.closeInto(ctx, &err)
	if _, err := db.pool.Exec(ctx, "insert into pgq.events (queue, type) select 'default', 'paused' from generate_series(1, $1)", b.n); err != nil {
		return nil, err
	}
	var handled atomic.Int64
	consuming, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	start := time.Now()
	go func() { ended <- q.client.Consume(consuming, db.pool, countingConsumer(&handled)) }()
	limit := time.After(endTimeout)
	tick := time.NewTicker(tallyPoll)
	defer tick.Stop()
	for handled.Load() < int64(b.n) {
		select {
		case err := <-ended:
			return nil, err
		case <-limit:
			return nil, errors.New("the consumer does not read all events")
		case <-tick.C:
		}
	}
	took := time.Since(start)
	cancel()
	<-ended
	return []sample{{system: q.name(), metric: eventsPerSecond, params: p, value: perSecond(b.n, took)}}, nil
}
