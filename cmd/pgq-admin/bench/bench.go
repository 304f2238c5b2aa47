// Package bench measures PGQ on the user's own database, in a schema that it makes and drops again.
package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
)

// Options say what to measure.
type Options struct {
	URL         string
	Jobs        int // of enqueueing in bulk, and of draining
	Concurrency int // of the worker
	// Say is told what is going on.
	Say func(format string, args ...any)
}

// Figure is one thing that was measured.
type Figure struct {
	Name  string
	Value float64
	Unit  string
	What  string // was measured
}

// Columns are what is shown of figures.
var Columns = []output.Column[Figure]{
	{Name: "measure", Value: func(f Figure) any { return f.Name }},
	{Name: "value", Value: func(f Figure) any { return f.Value }},
	{Name: "unit", Value: func(f Figure) any { return f.Unit }},
	{Name: "what", Value: func(f Figure) any { return f.What }},
}

const (
	schemaName     = "pgq_bench"
	cleanupTimeout = 30 * time.Second
	// singles is how many jobs are enqueued one at a time, and how many the latency is measured with.
	singles = 300
)

// bench is a schema of our own on a database.
type bench struct {
	Options
	pool    *pgxpool.Pool
	schema  string
	client  *pgq.Client
	figures []Figure
}

// Run measures. Whatever happens, it drops the schema again.
func Run(ctx context.Context, o Options) (figures []Figure, err error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 8
	config.ConnConfig.RuntimeParams["application_name"] = "pgq-admin bench"
	config.ConnConfig.RuntimeParams["client_encoding"] = "UTF8"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	b := &bench{Options: o, pool: pool}
	if err := b.makeSchema(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.dropSchema()) }()
	if err := migrations.Up(ctx, o.URL, migrations.Options{Schema: b.schema}); err != nil {
		return nil, err
	}
	b.client = pgq.New(pgq.Config{Schema: b.schema})
	for _, measure := range []func(context.Context) error{b.server, b.roundTrips, b.enqueueSingly, b.drain, b.latency} {
		if err := measure(ctx); err != nil {
			return nil, err
		}
	}
	return b.figures, nil
}

// add notes a figure.
func (b *bench) add(name string, value float64, unit, what string, args ...any) {
	b.figures = append(b.figures, Figure{name, value, unit, fmt.Sprintf(what, args...)})
}

// makeSchema creates a schema whose name did not exist, so that what is dropped at the end is certainly ours.
func (b *bench) makeSchema(ctx context.Context) error {
	for n := 1; n <= 100; n++ {
		name := schemaName
		if n > 1 {
			name = fmt.Sprintf("%s_%d", schemaName, n)
		}
		_, err := b.pool.Exec(ctx, "create schema "+name)
		var pg *pgconn.PgError
		switch {
		case err == nil:
			b.schema = name
			return nil
		case errors.As(err, &pg) && (pg.Code == "42P06" || pg.Code == "23505"): // it exists, or is made this instant
		default:
			return fmt.Errorf("create schema %s: %w", name, err)
		}
	}
	return fmt.Errorf("the schemas %s, %[1]s_2 … %[1]s_100 all exist already; drop those that are left over", schemaName)
}

// dropSchema works also when the measurement was interrupted.
func (b *bench) dropSchema() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	statement := "drop schema " + pgx.Identifier{b.schema}.Sanitize() + " cascade"
	if _, err := b.pool.Exec(ctx, statement); err != nil {
		return fmt.Errorf("clean up: %w; to do it yourself: %s", err, statement)
	}
	b.Say("schema %s is dropped", b.schema)
	return nil
}

// server says what the figures depend on.
func (b *bench) server(ctx context.Context) error {
	var version, synchronous, fsync string
	err := b.pool.QueryRow(ctx, `select current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync')`).
		Scan(&version, &synchronous, &fsync)
	if err == nil {
		b.Say("PostgreSQL %s, synchronous_commit %s, fsync %s; measuring in schema %s", version, synchronous, fsync, b.schema)
	}
	return err
}
