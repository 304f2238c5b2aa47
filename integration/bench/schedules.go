package main

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// scheduleCells let very many schedules come due at the same time.
func scheduleCells(b *bench) []cell {
	if !b.has(pgqName) {
		return nil
	}
	q, p := newPGQ(), params{{"schedules", b.pacing.schedules}}
	return []cell{{label(q, p), func(ctx context.Context) ([]sample, error) { return b.firing(ctx, q, p) }}}
}

// firing measures, by the database's clock, how long after the time for which they are due the jobs of schedules are claimed.
func (b *bench) firing(ctx context.Context, q pgqQueue, p params) (samples []sample, err error) {
	db, err := b.fresh(ctx, q)
	if err != nil {
		return nil, err
	}
	defer db.closeInto(ctx, &err)
	_, err = db.pool.Exec(ctx, `
		select count(pgq.set_schedule('s' || i, 'at 2100-01-01 00:00', 'bench_noop', jsonb_build_object('num', i)))
		from generate_series(1, $1::int) i`, b.pacing.schedules)
	if err != nil {
		return nil, err
	}
	var handled tally
	stop, err := q.startWorkers(ctx, db.pool, workers{slots: latencySlots, handle: func(context.Context, int) { handled.Add(1) }})
	if err != nil {
		return nil, err
	}
	defer stopInto(stop, &err)
	b.server.checkpoint(ctx)
	// That time comes in three seconds.
	_, err = db.pool.Exec(ctx, `
		update pgq.schedules set (once_at, next_at, fire_at) = (at, at, at)
		from (select date_trunc('second', now()) + interval '3 s' as at) soon`)
	if err != nil {
		return nil, err
	}
	if err := handled.await(ctx, b.pacing.schedules); err != nil {
		return nil, err
	}
	rows, err := db.pool.Query(ctx, `
		select extract(epoch from coalesce(f.claimed_at, r.claimed_at) - s.due_at)::float8 * 1000
		from pgq.schedule_runs s
		left join pgq.results f using (job_id)
		left join pgq.running r using (job_id)`)
	if err != nil {
		return nil, err
	}
	late, err := pgx.CollectRows(rows, pgx.RowTo[float64])
	if err != nil {
		return nil, err
	}
	return []sample{
		{system: q.name(), metric: p50Milliseconds, params: p, value: percentile(late, 50)},
		{system: q.name(), metric: maxMilliseconds, params: p, value: percentile(late, 100)},
	}, nil
}
