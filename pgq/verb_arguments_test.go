package pgq_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// odd are values of each type that a caller may give by mistake.
var odd = map[string][]string{
	"text":                       {"''", "repeat('x', 100000)", `E'a\nb'`, "'%s%I%L'", "$q$'; drop table jobs; --$q$", `U&'\202e\200f'`, "'*'"},
	"text[]":                     {"'{}'", "'{NULL}'", "'{{a,b},{c,d}}'", "'[0:1]={a,b}'", "'{a,b,c}'"},
	"bigint":                     {"0", "'-1'", "9223372036854775807", "'-9223372036854775808'"},
	"bigint[]":                   {"'{}'", "'{NULL}'", "'{{1,2},{3,4}}'", "'[0:1]={4,5}'", "'{4,4,4}'", "'{9223372036854775807,-9223372036854775808}'"},
	"integer":                    {"0", "'-1'", "2147483647", "'-2147483648'"},
	"integer[]":                  {"'{}'", "'{NULL}'", "'{{1,2},{3,4}}'", "'[0:1]={1,1}'", "'{1,1,1,1}'", "'{2147483647}'", "'{-1}'"},
	"smallint":                   {"'-1'", "32767", "'-32768'"},
	"interval":                   {"'-1 s'", "'0'", "'178000000 years'", "'-178000000 years'", "'1 month -40 days'"},
	"interval[]":                 {"'{}'", "'{NULL}'", "'{-1 s}'", "'{178000000 years}'", "'[0:0]={1 s}'", "'{1 s,1 s}'"},
	"jsonb":                      {"'[]'", "'null'", "'1'", `'"x"'`, "'[1,null,[]]'", "'[{}]'", `'{"a":null,"name":5,"nodes":{},"jobs":3}'`, `'{"nodes":[1,null,[]],"jobs":[null]}'`, `'[{"kind":"a","priority":1e400,"delay":{},"run_at":"infinity","tags":[1],"unique":[],"queue":1}]'`, `'{"ids":[1e300]}'`, `'{"before":1.5}'`},
	"jsonb[]":                    {"'{}'", "'{NULL}'", "array[array['1'::jsonb]]", "'[0:0]={1}'", "'{1,2}'"},
	"boolean[]":                  {"'{}'", "'{NULL}'", "'{{t},{f}}'", "'[0:0]={f}'", "'{f,f}'"},
	"timestamp with time zone":   {"'infinity'", "'-infinity'", "'294276-12-31'", "'4713-01-01 BC'", "'9999-12-31'"},
	"timestamp with time zone[]": {"'{}'", "'{NULL}'", "'{infinity}'", "'{{2020-01-01}}'"},
	"double precision":           {"'nan'", "'infinity'", "'-1'", "1e308"},
	"bytea":                      {"''"},
	"bytea[]":                    {"'{}'", "'{NULL}'"},
	"oid[]":                      {"'{}'"},
}

// usual are values with which a verb is called where another one of its arguments is odd: by the argument's name, else by its type.
var (
	usual = map[string]string{
		"double precision": "1", "text": "'mail'", "text[]": "'{mail}'", "bigint": "1", "bigint[]": "'{1}'", "integer": "1", "integer[]": "'{1}'",
		"smallint": "1", "interval": "'1 s'", "interval[]": "'{1 s}'", "jsonb": "'{}'", "jsonb[]": "array['{}'::jsonb]", "boolean": "true",
		"boolean[]": "'{t}'", "timestamp with time zone": "'2030-01-01'", "timestamp with time zone[]": "'{2030-01-01}'", "bytea": `'\x00'`,
		"bytea[]": `'{"\\x00"}'`, "oid[]": "'{1}'",
	}
	named = map[string]string{
		"dag_id": "(select min(id) from jobs where role = 'dag')", "batch_id": "(select min(id) from batches)", "node": "'x'", "zone": "'UTC'",
		"scope": "'queue'", "kind": "'k'", "run_at": "null", "missed": "'once'", "overlap": "'allow'", "type": "'signal'", "mode": "'failed'",
		"level": "'INFO'", "levels": "'{INFO}'", "dag": "null", "codec": "null", "payload": "null", "codecs": "null", "payloads": "null",
		"uniqueness": "null", "callbacks": "null", "backoff": "null", "declared_by": "null", "of": "'queue'", "of_scope": "'queue'", "verb": "'cancel'",
		"settings": "null", "jobs": `'[{"kind": "k"}]'`, "by": "'kind'", "member_id": "null", "start_at": "'now'", "group_name": "null",
		"sequence": "null", "on_failure": "null", "starts_at": "null", "options": "null", "filter": "'{}'", "types": "'{completed}'",
		"states": "'{failed}'", "age_every": "null", "of_state": "null", "theme": "null", "after": "null",
	}
	specs = map[string]string{
		"dag_submit": `'{"name": "q", "nodes": [{"name": "a", "kind": "k"}]}'`, "dag_extend": `'{"nodes": [{"name": "b", "kind": "k"}]}'`,
		"batch_submit": `'{"name": "q", "jobs": [{"kind": "k"}]}'`, "set_schedule": "'every 1 hour'", "cron_after": "'* * * * *'", "next_times": "'every 1 h'",
	}
)

// alsoFine are the errors besides PQ001 and its like that are as good: the role may not do that.
var alsoFine = []string{"42501"}

// Whatever a verb is called with, it does it, or it says in words of ours which argument breaks which rule. PostgreSQL's own errors of what is inside
// (a limit that is negative, a null in a column, a time out of range) say neither.
func TestVerbsRefuseOddArgumentsByTheirNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.session()
	w.exec(`select pgq.register_worker('w', '{mail}', '{k}')`)
	w.exec(`select pgq.enqueue('k', queue => 'mail') from generate_series(1, 8)`)
	w.exec(`select count(*) from pgq.claim(1, '{mail}', '{4}')`)
	w.exec(`select pgq.dag_submit('{"name": "d", "nodes": [{"name": "x", "kind": "k"}]}')`)
	w.exec(`select pgq.batch_submit('{"name": "b", "open": true, "jobs": [{"kind": "k"}]}')`)
	w.exec(`select pgq.set_schedule('mail', 'every 1 hour', kind => 'k'), pgq.set_consumer('mail'), pgq.set_limit('queue', 'mail', rate => 5)`)
	type verb struct {
		Name         string
		Names, Types []string
	}
	rows, err := conn.Query(t.Context(), `
		select p.proname::text, coalesce(array_agg(p.proargnames[a.i] order by a.i), '{}'), coalesce(array_agg(format_type(a.type, null) order by a.i), '{}')
		from pgq.verbs v join pg_proc p on p.proname = v.name and p.pronamespace = 'pgq'::regnamespace
		cross join lateral (select i, type from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality x(type, i)
			where p.proargmodes is null or p.proargmodes[i] in ('i', 'b', 'v')) a
		where p.proname <> 'enqueue_trigger' group by p.oid, p.proname order by 1`)
	must(t, err)
	verbs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[verb])
	must(t, err)
	calls := 0
	for _, v := range verbs {
		call := func(odd int, value string) {
			t.Helper()
			args := make([]string, len(v.Names))
			for i, name := range v.Names {
				given := usual[v.Types[i]]
				if s, ok := named[name]; ok {
					given = s
				}
				if s, ok := specs[v.Name]; ok && (name == "spec" || name == "document") {
					given = s
				}
				if i == odd || odd < 0 {
					given = value
				}
				args[i] = fmt.Sprintf("%s => %s::%s", name, given, v.Types[i])
			}
			calls++
			sql := fmt.Sprintf("select count(*), count(x::text) from %s(%s) x", v.Name, strings.Join(args, ", "))
			tx, err := conn.Begin(t.Context())
			must(t, err)
			_, err = tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
			must(t, tx.Rollback(t.Context()))
			if state, message := stateOf(err); err != nil && !strings.HasPrefix(state, "PQ") && !slices.Contains(alsoFine, state) {
				what := "all arguments null"
				if odd >= 0 {
					what = v.Names[odd] + " => " + value
				}
				t.Errorf("%s, %.60s: %s %.160s", v.Name, what, state, message)
			}
		}
		call(-1, "null")
		for i, kind := range v.Types {
			for _, value := range append(odd[kind], "null") {
				call(i, value)
			}
		}
	}
	if calls < 2000 {
		t.Errorf("only %d calls were tried", calls)
	}
}

// stateOf returns the SQLSTATE and the message of an error of the server.
func stateOf(err error) (state, message string) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code, pg.Message
	}
	return "", fmt.Sprint(err)
}
