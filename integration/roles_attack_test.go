package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// traps are made by a user who has a schema of the name of its own, which is first in the search path, and temporary objects.
// Whatever they are called by, they note as whom.
const traps = `
	create schema %[1]s;
	create table %[1]s.caught (who text, what text);
	grant all on schema %[1]s to public;
	grant all on %[1]s.caught to public;
	create function %[1]s.trap(what text) returns void language sql as
		$$ insert into %[1]s.caught values (current_user, what) $$;
	create function %[1]s.equal(bigint, bigint) returns boolean language plpgsql as
		$$ begin perform %[1]s.trap('bigint ='); return true; end $$;
	create operator %[1]s.= (leftarg = bigint, rightarg = bigint, function = %[1]s.equal);
	create function %[1]s.equal(text, text) returns boolean language plpgsql as
		$$ begin perform %[1]s.trap('text ='); return true; end $$;
	create operator %[1]s.= (leftarg = text, rightarg = text, function = %[1]s.equal);
	create function %[1]s.now() returns timestamptz language plpgsql as
		$$ begin perform %[1]s.trap('now'); return 'epoch'; end $$;
	create function %[1]s.current_setting(text) returns text language plpgsql as
		$$ begin perform %[1]s.trap('current_setting'); return 'postgres'; end $$;
	create function %[1]s.pg_has_role(oid, oid, text) returns boolean language plpgsql as
		$$ begin perform %[1]s.trap('pg_has_role'); return true; end $$;
	create function %[1]s.pg_has_role(oid, name, text) returns boolean language plpgsql as
		$$ begin perform %[1]s.trap('pg_has_role'); return true; end $$;
	create function %[1]s.format(text, variadic text[]) returns text language sql as $$ select 'drop schema pgq cascade' $$;
	create function %[1]s.sees_payloads() returns boolean language sql as $$ select true $$;
	create function %[1]s.own_producers() returns integer[] language sql as $$ select array(select n from generate_series(1, 100) n) $$;
	create function pg_temp.pg_notify(text, text) returns void language plpgsql as
		$$ begin perform %[1]s.trap('pg_notify'); end $$;
	create function pg_temp.nextval(regclass) returns bigint language plpgsql as
		$$ begin perform %[1]s.trap('nextval'); return 1; end $$;
	set search_path = %[1]s, pg_temp, pg_catalog, pgq`

// samples are arguments with which functions come far.
const samples = `
	select pg_catalog.format('select * from pgq.%I(%s)', p.proname, (
		select pg_catalog.string_agg(case pg_catalog.format_type(t, null)
			when 'bigint' then '1' when 'integer' then '1' when 'smallint' then '1' when 'boolean' then 'true'
			when 'text' then '''q''' when 'jsonb' then '''{"name": "d", "nodes": [{"name": "n", "kind": "k"}]}'''
			when 'bigint[]' then '''{1,2}''' when 'integer[]' then '''{1,1}''' when 'text[]' then '''{q,q}''' when 'interval' then '''1 s'''
			when 'timestamp with time zone' then '''2026-01-01''' else 'null' end || '::' || pg_catalog.format_type(t, null), ', ' order by n)
		from unnest(p.proargtypes) with ordinality a(t, n)))
	from pg_catalog.pg_proc p
	where p.pronamespace = 'pgq'::regnamespace and p.prosecdef and p.prorettype <> 'trigger'::regtype
	  and p.proname in (select object from pgq.rights where class <> 'tenant')
	order by p.proname`

func TestNobodyGetsTheOwnersRightsBySearchPathOrTemporaryObjects(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	mallory := e.granted("mallory", pgq.Grant{Class: pgq.Producer})
	for _, class := range []pgq.Class{pgq.WorkerClass, pgq.Operator, pgq.Reader} {
		e.must(e.q.Grant(t.Context(), e.as(e.owner), pgq.Grant{Class: class, Role: mallory}))
	}
	e.exec(e.pool, "grant create on database "+e.database()+" to "+mallory)
	for range 3 {
		e.exec(e.pool, "select pgq.enqueue('k', '{\"a\": 1}', queue => 'q')")
	}
	rows, err := e.pool.Query(t.Context(), samples)
	e.must(err)
	calls, err := pgx.CollectRows(rows, pgx.RowTo[string])
	e.must(err)

	conn, err := e.as(mallory).Acquire(t.Context())
	e.must(err)
	defer conn.Release()
	// Simply: several statements at once.
	_, err = conn.Exec(t.Context(), fmt.Sprintf(traps, mallory), pgx.QueryExecModeSimpleProtocol)
	e.must(err)
	// The traps work: a function of the owner that is not pinned is caught.
	e.exec(e.as(e.owner), "create function pgq.unpinned() returns timestamptz language plpgsql security definer as 'begin return now(); end'")
	e.exec(e.as(e.owner), "grant execute on function pgq.unpinned() to "+mallory)
	e.exec(conn, "select pgq.unpinned()")
	if who := value[string](t, e.pool, "delete from "+mallory+".caught returning who"); who != e.owner {
		t.Errorf("the trap caught %q", who)
	}
	before := value[int](t, e.pool, "select count(*)::int from pgq.jobs")
	worked := callAll(e, conn, calls)
	// And again with tables in the way. In the same session, whose plans are cached by now.
	lure(e, conn)
	callAll(e, conn, calls)

	if got := value[string](t, e.pool, "select coalesce(string_agg(distinct who || ': ' || what, '; '), '') from "+mallory+".caught"); got != "" {
		t.Errorf("caught: %s", got)
	}
	if worked < len(calls)/2 {
		t.Errorf("of %d calls only %d came through", len(calls), worked)
	}
	if value[int](t, e.pool, "select count(*)::int from pgq.jobs") <= before {
		t.Error("nothing was enqueued")
	}
}

// callAll calls functions and returns how many succeeded. None may find anything missing.
func callAll(e *estate, conn *pgxpool.Conn, calls []string) (worked int) {
	e.Helper()
	for _, call := range calls {
		_, err := conn.Exec(context.Background(), call)
		switch state := sqlState(err); {
		case err == nil:
			worked++
		case strings.HasPrefix(state, "42") || state == "":
			e.Errorf("%s: %v", call, err)
		}
	}
	return worked
}

// lure makes temporary tables and views of the names of the schema's, and of the columns that look-ups are by.
func lure(e *estate, conn *pgxpool.Conn) {
	e.Helper()
	rows, err := e.pool.Query(context.Background(), `
		select format('create temporary table %I (%s)', c.relname, string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', '))
		from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		where c.relnamespace = 'pgq'::regnamespace and c.relkind in ('r', 'v') group by c.relname`)
	e.must(err)
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	e.must(err)
	for _, statement := range statements {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			e.Fatal(statement, err)
		}
	}
	e.exec(conn, `create function pg_temp.lured() returns trigger language plpgsql as
		$$ begin execute 'insert into '||quote_ident(tg_argv[0])||'.caught values (current_user, tg_table_name)'; return new; end $$`)
	e.exec(conn, `do $$ declare t record; begin
		for t in select relname from pg_catalog.pg_class where relnamespace = pg_my_temp_schema() and relkind = 'r' and relname <> 'grants' loop
			execute 'create trigger lure before insert or update or delete on pg_temp.'||quote_ident(t.relname)||
				' for each row execute function pg_temp.lured('||quote_literal(session_user)||')';
		end loop; end $$`)
	e.exec(conn, `insert into pg_temp.grants (role_id, class, queue, tenant, payloads) select oid, 'operator', '*', '*', true from pg_catalog.pg_roles`)
}

// A reader without payloads, and a producer, who bend their search path see no more by it.
func TestViewsShowNoMoreToWhoBendsTheSearchPath(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	e.exec(e.as(e.owner), `select pgq.enqueue('k', '{"secret": 1}', metadata => '{"tenant": "acme"}')`)
	for name, g := range map[string]pgq.Grant{
		"reader":   {Class: pgq.Reader},
		"producer": {Class: pgq.Producer},
		"tenant":   {Class: pgq.Reader, Tenants: []string{"other"}},
	} {
		role := e.granted(name, g)
		e.exec(e.pool, "grant create on database "+e.database()+" to "+role)
		conn, err := e.as(role).Acquire(t.Context())
		e.must(err)
		defer conn.Release()
		_, err = conn.Exec(t.Context(), fmt.Sprintf(traps, role), pgx.QueryExecModeSimpleProtocol)
		e.must(err)
		lure(e, conn)
		_, err = conn.Exec(t.Context(), "create function "+role+`.peep(jsonb) returns boolean language plpgsql cost 0.0001 as
			$$ begin if $1 is not null then perform `+role+`.trap($1::text); end if; return true; end $$`)
		e.must(err)
		for _, view := range []string{"job_details", "own_jobs", "tenant_jobs"} {
			if _, err := conn.Exec(t.Context(), "select * from pgq."+view+" where "+role+".peep(args) and "+role+".peep(metadata - 'tenant')"); err != nil && sqlState(err) != "42501" {
				t.Errorf("%s as %s: %v", view, name, err)
			}
		}
		// The reader may see the metadata, which are empty but for the tenant.
		if got := value[string](t, e.pool, "select coalesce(string_agg(what, '; '), '') from "+role+".caught where what <> '{}'"); got != "" {
			t.Errorf("%s saw %s", name, got)
		}
		if name != "reader" {
			if n := value[int](t, e.pool, "select count(*)::int from "+role+".caught"); n != 0 {
				t.Errorf("%s was shown %d rows of others", name, n)
			}
		}
	}
}
