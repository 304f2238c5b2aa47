// Package demo shows PGQ at work: jobs that are enqueued with the application's rows, counted by workers, retried,
// failed, and what the queue says of it all.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pgq-go/queue/cmd/pgq-admin/dagview"
	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// Options of [Run].
type Options struct {
	// URL is the database to use; empty: find or start a PostgreSQL.
	URL string
	// Keep leaves the demo's schemas in a given database; a PostgreSQL that was started runs on until the context ends.
	Keep bool
	// Workers share the jobs, each with a handful of handlers at a time.
	Workers int
	// Screen gets the demo.
	Screen output.Screen
	// Report is the directory that the report and the picture are written to; empty: a temporary one.
	Report string
	// Logger gets what the workers log.
	Logger *slog.Logger
}

// demo is one run.
type demo struct {
	Options
	*place
	q       *pgq.Client
	dags    *dagsql.Client
	source  source
	dag     int64
	view    *dagview.View // of the DAG when it has ended
	summary Summary       // its result
	failing int64         // the job that cannot succeed
	started time.Time
	counted time.Duration // how long the DAG took
	meter   meter
}

// Run shows the demo. Whatever happens, it removes what it made: schemas, or the whole PostgreSQL that it started.
// Errors: *pgserver.UnavailableError, the context's cause, or what the database says.
func Run(ctx context.Context, o Options) error {
	d := &demo{Options: o, started: time.Now()}
	err := d.show(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if d.place != nil {
		err = errors.Join(err, d.place.leave(o.Keep && err == nil))
	}
	switch {
	case err != nil:
	case o.Keep && d.given:
		d.line("\ndone in %s; the schemas %s and %s are still there", since(d.started), d.schema, d.appSchema)
	default:
		d.line("\ndone in %s; everything that the demo made is removed again, but for the report", since(d.started))
	}
	return err
}

// show is the demo without the cleaning up.
func (d *demo) show(ctx context.Context) error {
	for _, part := range []func(context.Context) error{
		d.prepare, d.submit, d.work, d.report, d.failure, d.figures, d.check, d.picture, d.whereNext,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare finds a PostgreSQL, makes the schemas and looks for something to count.
func (d *demo) prepare(ctx context.Context) (err error) {
	d.head("PostgreSQL")
	if d.place, err = arrive(ctx, d.URL, d.Workers); err != nil {
		return err
	}
	d.q = pgq.New(pgq.Config{Schema: d.schema})
	d.say("PostgreSQL %s: %s", d.version, d.origin)
	d.say("schema %s holds PGQ, schema %s the demo's own table; ready after %s", d.schema, d.appSchema, since(d.started))
	d.dags = dagsql.NewClient(d.q)
	d.source = findSource(ctx)
	return nil
}

// work runs the workers until all is done.
func (d *demo) work(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	crew := d.hire(ctx, stop)
	err := errors.Join(d.count(ctx), d.ping(ctx), d.burst(ctx))
	if cause := context.Cause(ctx); cause != nil {
		err = cause // a worker failed, or we were interrupted: all else follows from that
	}
	stop(nil)
	crew.Wait()
	return err
}

// whereNext says what to look at after this.
func (d *demo) whereNext(ctx context.Context) error {
	d.head("Where to look next")
	d.say("README.md            what PGQ promises, 20 lines of code, two commands")
	d.say("ARCHITECTURE.md      states, transitions, locks, what happens when things break")
	d.say("examples/            small programs: hello, transactional, progress, map, approval, sql …")
	d.say("pgq-admin --help     dag, migrate, check, config; make test, make bench")
	if d.Keep {
		return d.keep(ctx)
	}
	d.say("pgq-admin demo --keep leaves all this for you to look at with psql, for example:")
	d.sql()
	return nil
}

// sql shows what to try in psql.
func (d *demo) sql() {
	for _, statement := range []string{
		"select queue, state, jobs from " + d.schema + ".counts() order by 1, 2;",
		"select id, kind, attempt, error from " + d.schema + ".job_states where state = 'failed';",
		fmt.Sprintf("select name, state, attempt, duration from %s.dag_nodes where dag_id = %d order by duration desc nulls last limit 10;", d.schema, d.dag),
		fmt.Sprintf("select at, type, attempt, data from %s.job_history(%d);", d.schema, d.failing),
		"select " + d.schema + ".enqueue('mail', '{\"to\": 42}', queue => 'mails', delay => '5 min');",
	} {
		d.line("     %s", statement)
	}
}

// keep shows how to get at what is left. A PostgreSQL of ours runs until the context ends.
func (d *demo) keep(ctx context.Context) error {
	command, remove, err := d.psql(ctx, d.URL)
	if err != nil {
		return err
	}
	defer remove()
	d.head("Look at it")
	d.say("%s", command)
	d.sql()
	if d.given {
		d.say("to remove it all:  drop schema %s, %s cascade;", d.schema, d.appSchema)
		return nil
	}
	d.line("\nPostgreSQL runs until you press Ctrl-C; then it is removed with all that is in it")
	<-ctx.Done()
	return nil
}

// head begins a part of the demo.
func (d *demo) head(title string) {
	d.line("\n%s", d.Screen.Paint(output.Bold, title))
}

func (d *demo) say(format string, args ...any) {
	d.line("%s", strings.TrimRight("  "+fmt.Sprintf(format, args...), " "))
}

func (d *demo) line(format string, args ...any) { fmt.Fprintf(d.Screen, format+"\n", args...) }

// since returns for humans how long ago t was.
func since(t time.Time) string { return brief(time.Since(t)) }

// brief returns a duration with three digits.
func brief(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// thousands returns a number with commas.
func thousands[N int | int64](n N) string {
	digits := fmt.Sprint(n)
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return strings.Join(append([]string{digits}, groups...), ",")
}
