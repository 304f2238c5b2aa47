package integration

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// runsIn runs a worker in a schema until the test ends. It tells of each job that it runs.
func (e *estate) runsIn(schema string, db *pgxpool.Pool, heard chan<- string) {
	e.Helper()
	w := worker.New(db, worker.Config{Client: pgq.New(pgq.Config{Schema: schema}), Queues: worker.Queues{"mail": {}}, Logger: slog.New(slog.DiscardHandler),
		PollInterval: time.Minute, Heartbeat: 15 * time.Second})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[parcel]) error {
		heard <- schema + " " + job.Args.To
		return nil
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	e.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			e.Error("worker: ", err)
		}
	})
}

// Two tenants in one database, each with a schema and an owner of its own. The names are such that one is a part of the other.
func TestSchemasSideBySideDoNotMeet(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "tenant")
	const second = `tenant:"2"/chores`
	other := e.role("other")
	e.exec(e.pool, "grant create on database "+e.database()+" to "+other)
	e.migrate(second, other)
	q2 := pgq.New(pgq.Config{Schema: second})
	heard := make(chan string, 10)
	work := e.granted("worker", pgq.Grant{Class: pgq.WorkerClass})
	e.runsIn("tenant", e.as(work), heard)
	e.runsIn(second, e.as(other), heard)
	eventually(t, "both workers sleep", func() bool {
		return value[int](t, e.pool, "select count(distinct pid)::int from pg_locks where locktype = 'advisory' and mode = 'ShareLock'") >= 2
	})

	// A sleeping worker hears of its own jobs at once, or it polls within a minute.
	_, err := q2.Enqueue(t.Context(), e.as(other), parcel{"Bob"}, pgq.Options{Queue: "mail"})
	e.must(err)
	if got := <-heard; got != second+" Bob" {
		t.Errorf("heard %q", got)
	}
	job, err := e.q.Enqueue(t.Context(), e.as(e.owner), parcel{"Ada"}, pgq.Options{Queue: "mail"})
	e.must(err)
	if got := <-heard; got != "tenant Ada" {
		t.Errorf("heard %q", got)
	}
	if n := value[int](t, e.pool, `select count(*)::int from "tenant:""2""/chores".jobs`); n != 1 {
		t.Errorf("%d jobs in the second schema", n)
	}
	// Roles of one have nothing in the other, whatever the ids.
	for _, db := range []*pgxpool.Pool{e.as(work), e.as(e.owner)} {
		e.refused(db, `select "tenant:""2""/chores".do_chores()`)
		e.refused(db, `select * from "tenant:""2""/chores".job_states`)
		e.refused(db, `select * from "tenant:""2""/chores".schema_migrations`)
	}
	e.refused(e.as(other), "select tenant.cancel($1)", []int64{job.ID})
	e.refused(e.as(other), "select tenant.grant_role('owner', $1)", other)
}

// Names of schemas and queues are anybody's choice.
func TestNoTwoSchemasShareALockOrAChannel(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "tenant")
	of := map[string]string{}
	for _, schema := range []string{"tenant", "tenant/sleep", `"tenant"`, "Tenant", "tenant:ev", "events:tenant", "tenant/dag", "-events:tenant"} {
		tx, err := e.pool.Begin(t.Context())
		e.must(err)
		e.exec(tx, "create schema if not exists "+pgx.Identifier{schema}.Sanitize())
		e.exec(tx, "set local search_path = "+pgx.Identifier{schema}.Sanitize())
		for _, expression := range []string{
			"tenant.advisory_key('chores')", "tenant.advisory_key('sleep/chores')", "tenant.advisory_key('sleep/dag/1')", "tenant.advisory_key('dag/1')",
			"tenant.channel()", "tenant.event_channel()",
		} {
			got := value[string](t, tx, "select ("+expression+")::text")
			if other, ok := of[got]; ok {
				t.Errorf("%s of schema %s is that of %s", expression, schema, other)
			}
			of[got] = expression + " of " + schema
			if len(got) > 63 {
				t.Errorf("%s is too long for a channel", got)
			}
		}
		e.must(tx.Rollback(t.Context()))
	}
}

// The chores of one schema are locked, and its workers; the other does not notice.
func TestLocksOfOneSchemaDoNotStopTheOther(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "one")
	other := e.role("other")
	e.exec(e.pool, "grant create on database "+e.database()+" to "+other)
	e.migrate("two", other)
	tx, err := e.pool.Begin(t.Context())
	e.must(err)
	defer tx.Rollback(context.Background()) //nolint:errcheck // nothing is to be kept
	e.exec(tx, "select pg_advisory_xact_lock(hashtextextended('pgq/one/' || n, 0)) from unnest('{chores,worker/1}'::text[]) n")
	for schema, want := range map[string]struct {
		claims bool
		chores bool
	}{"one": {}, "two": {true, true}} {
		owner := e.owner
		if schema == "two" {
			owner = other
		}
		db := e.as(owner)
		e.exec(db, "select "+schema+".enqueue('parcel', queue => 'mail', delay => '1 microsecond')")
		e.exec(db, "select "+schema+".register_worker('w', '{mail}', '{parcel}')")
		e.exec(db, "select "+schema+".do_chores()")
		if ready := value[int](t, db, "select count(*)::int from "+schema+".ready") == 1; ready != want.chores {
			t.Errorf("%s: chores were done: %v", schema, ready)
		}
		_, err := db.Exec(t.Context(), "select "+schema+".claim(1, '{mail}', '{1}')")
		if (err == nil) != want.claims {
			t.Errorf("%s: claim: %v", schema, err)
		}
	}
}

func TestASchemaOfAnotherVersionIsRefusedAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "old")
	e.migrate("new", e.owner)
	e.exec(e.pool, "delete from old.schema_migrations where version_id = $1", pgq.SchemaVersion)
	work := e.role("worker")
	owner := e.as(e.owner)
	for _, schema := range []string{"old", "new"} {
		e.must(pgq.New(pgq.Config{Schema: schema}).Grant(t.Context(), owner, pgq.Grant{Class: pgq.WorkerClass, Role: work}))
	}
	late := worker.New(e.as(work), worker.Config{Client: pgq.New(pgq.Config{Schema: "old"}), Queues: worker.Queues{"mail": {}}, Logger: slog.New(slog.DiscardHandler)})
	worker.Handle(late, func(context.Context, *pgq.Job[parcel]) error { return nil })
	if err := late.Run(t.Context()); !errors.Is(err, pgq.ErrSchemaVersion) || !strings.Contains(err.Error(), "schema old ") {
		t.Error(err)
	}
	heard := make(chan string, 1)
	e.runsIn("new", e.as(work), heard)
	_, err := pgq.New(pgq.Config{Schema: "new"}).Enqueue(t.Context(), owner, parcel{"Ada"}, pgq.Options{Queue: "mail"})
	e.must(err)
	if got := <-heard; got != "new Ada" {
		t.Error(got)
	}
}
