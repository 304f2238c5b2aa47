package migrations_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
)

// awkward is a schema whose name must be quoted wherever it stands.
const awkward = `Jobs "of" 'mine' % $$`

func dump(t *testing.T, from int64, schema string) string {
	t.Helper()
	var text bytes.Buffer
	if err := migrations.Dump(&text, from, migrations.Options{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// apply runs statements as psql does, and ends the transaction if one fails.
func apply(t *testing.T, conn *pgx.Conn, sql string) error {
	t.Helper()
	_, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
	if err != nil && conn.PgConn().TxStatus() != 'I' {
		mustExec(t, conn, "rollback")
	}
	return err
}

func mustExec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func drift(t *testing.T, url, schema string) []migrations.Difference {
	t.Helper()
	found, err := migrations.Drift(t.Context(), url, migrations.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestADumpMakesWhatUpMakes(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"pgq", awkward} {
		url := pgtest.Empty(t)
		conn := connect(t, url)
		if err := apply(t, conn, dump(t, 0, schema)); err != nil {
			t.Fatal(schema, err)
		}
		if found := drift(t, url, schema); len(found) > 0 {
			t.Errorf("%s: %+v", schema, found)
		}
		status, err := migrations.Status(t.Context(), url, migrations.Options{Schema: schema})
		if err != nil || len(status) != pgq.SchemaVersion || status[1].At.IsZero() {
			t.Errorf("%s: %+v %v", schema, status, err)
		}
		if err := pgq.New(pgq.Config{Schema: schema}).CheckVersion(t.Context(), conn); err != nil {
			t.Error(err)
		}
		up(t, url, schema)
		if err := migrations.Down(t.Context(), url, migrations.Options{Schema: schema}); err != nil {
			t.Error(err)
		}
	}
}

func TestADumpFromAVersionGoesOnFromThere(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := connect(t, url)
	if err := migrations.To(t.Context(), url, 1, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := apply(t, conn, dump(t, 0, "pgq")); err == nil || !strings.Contains(err.Error(), "has version 1") {
		t.Error("from nothing onto version 1:", err)
	}
	if err := apply(t, conn, dump(t, 1, "pgq")); err != nil {
		t.Fatal(err)
	}
	if found := drift(t, url, "pgq"); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	if err := apply(t, conn, dump(t, 1, "pgq")); err == nil || !strings.Contains(err.Error(), "has version 2") {
		t.Error("twice:", err)
	}
	if err := migrations.Dump(&bytes.Buffer{}, 99, migrations.Options{}); !errors.Is(err, migrations.ErrVersion) {
		t.Error(err)
	}
	for _, schema := range []string{"pg_x", "public", "information_schema", "two\nlines", strings.Repeat("x", 53)} {
		if err := migrations.Dump(&bytes.Buffer{}, 0, migrations.Options{Schema: schema}); !errors.Is(err, migrations.ErrSchemaName) {
			t.Errorf("%q: %v", schema, err)
		}
	}
}

func TestADumpLeavesASchemaOfSomebodyElseAlone(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Empty(t))
	mustExec(t, conn, "create schema pgq; create table pgq.theirs ()")
	if err := apply(t, conn, dump(t, 0, "pgq")); err == nil || !strings.Contains(err.Error(), "not PGQ's") {
		t.Error(err)
	}
	if n := one[int](t, conn, "select count(*) from pg_class where relnamespace = 'pgq'::regnamespace"); n != 1 {
		t.Errorf("%d objects", n)
	}
}

func TestFunctionsThatSomebodyChangedAreMadeAnewAndJobsStay(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	mustExec(t, conn, `select pgq.enqueue('a');
		create or replace function pgq.channel() returns text language sql as 'select ''x''';
		drop view pgq.job_details cascade;
		alter function pgq.heartbeat(bigint) reset search_path`)
	if found := drift(t, url, "pgq"); len(found) != 6 { // and get_jobs, job and sequence_line, which return rows of the view
		t.Errorf("%+v", found)
	}
	var text bytes.Buffer
	if err := migrations.DumpFunctions(&text, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := apply(t, conn, text.String()); err != nil {
		t.Fatal(err)
	}
	if found := drift(t, url, "pgq"); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	if n := one[int](t, conn, "select count(*) from pgq.jobs"); n != 1 {
		t.Errorf("%d jobs", n)
	}
}

func TestToGoesUpAndDownAsPlanned(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	ctx, o := t.Context(), migrations.Options{}
	for _, c := range []struct {
		to   int64
		want []migrations.Step
	}{
		{1, []migrations.Step{{1, "00001_tables.sql", false}}},
		{2, []migrations.Step{{2, "00002_functions.sql", false}}},
		{2, nil},
		{1, []migrations.Step{{2, "00002_functions.sql", true}}},
		{0, []migrations.Step{{1, "00001_tables.sql", true}}},
	} {
		plan, err := migrations.Plan(ctx, url, c.to, o)
		if err != nil || len(plan) != len(c.want) || len(plan) > 0 && plan[0] != c.want[0] {
			t.Errorf("plan to %d: %+v %v", c.to, plan, err)
		}
		if err := migrations.To(ctx, url, c.to, o); err != nil {
			t.Errorf("to %d: %v", c.to, err)
		}
	}
	if _, err := migrations.Status(ctx, url, o); !errors.Is(err, migrations.ErrNotInstalled) {
		t.Error(err)
	}
	for _, version := range []int64{-1, migrations.Latest() + 1} {
		if err := migrations.To(ctx, url, version, o); !errors.Is(err, migrations.ErrVersion) {
			t.Error(version, err)
		}
	}
}

func TestAMigrationDoesNotWaitForLocksForLong(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	mustExec(t, conn, "begin; lock table pgq.jobs in row share mode")
	err := migrations.Down(t.Context(), url, migrations.Options{LockTimeout: 50 * time.Millisecond})
	if !migrations.IsLockTimeout(err) {
		t.Error(err)
	}
	mustExec(t, conn, "rollback")
	if n := one[int](t, conn, "select count(*) from pgq.jobs"); n != 0 {
		t.Errorf("%d jobs", n)
	}
}

func TestDriftNamesEachObjectAndItsRepairWorks(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := connect(t, url)
	up(t, url, awkward)
	if found := drift(t, url, awkward); len(found) > 0 {
		t.Fatalf("a fresh schema: %+v", found)
	}
	mustExec(t, conn, "set search_path = "+pgx.Identifier{awkward}.Sanitize())
	mustExec(t, conn, `
		drop index jobs_dags; drop index scheduled_by_time; create index scheduled_by_time on scheduled (run_at desc);
		create index mine on jobs (created_at); alter table jobs drop constraint jobs_priority_is_0_to_9;
		alter table events alter column type drop not null; alter table ready add column extra integer;
		alter table ready reset (vacuum_truncate); create table theirs (id integer); drop statistics results_queue_state;
		create function more() returns trigger language plpgsql as 'begin return new; end';
		create trigger more before insert on jobs for each row execute function more(); alter table maps drop column next_item`)
	want := map[string]string{
		"index jobs.jobs_dags": migrations.Missing, "index scheduled.scheduled_by_time": migrations.Changed, "index jobs.mine": migrations.Unknown,
		"constraint jobs.jobs_priority_is_0_to_9": migrations.Missing, "column events.type": migrations.Changed, "column ready.extra": migrations.Unknown,
		"options ready.options": migrations.Changed, "table theirs": migrations.Unknown, "statistics results_queue_state": migrations.Missing,
		"function more()": migrations.Unknown, "trigger jobs.more": migrations.Unknown, "column maps.next_item": migrations.Missing,
	}
	for _, d := range drift(t, url, awkward) {
		name := d.Kind + " " + d.Name
		if want[name] != d.What {
			t.Errorf("%s is %s: %+v", name, d.What, d)
		}
		delete(want, name)
		if d.Repair == "" && name != "table theirs" && name != "column events.type" {
			t.Errorf("%s: no repair", name)
		}
		if name == "function more()" || d.Repair == "" {
			continue // the trigger needs it
		}
		for _, statement := range strings.SplitAfter(d.Repair, "; ") {
			mustExec(t, conn, statement)
		}
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
	mustExec(t, conn, "drop function more(); drop table theirs; alter table events alter column type set not null")
	if found := drift(t, url, awkward); len(found) > 0 {
		t.Errorf("after the repair: %+v", found)
	}
	if n := one[int](t, conn, "select count(*) from pg_namespace where nspname like 'pgq_compare%'"); n != 0 {
		t.Errorf("%d schemas are left", n)
	}
}

func TestDriftNeedsTheRightToCreateASchema(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	mustExec(t, connect(t, url), `do $$ begin
		execute format('alter database %I set default_transaction_read_only = on', current_database());
	end $$`)
	_, err := migrations.Drift(t.Context(), url, migrations.Options{})
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "25006" {
		t.Error(err)
	}
}
