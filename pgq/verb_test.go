package pgq_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// verbCase is one case of a verb. Ids begin at 1 in every case; workers 1 and 2 are registered.
type verbCase struct {
	name  string
	given string // statements that come first
	call  string // a query that calls the verb
	want  string // its rows, "(1,ready) (2,running)", or the error, "PQ001 field rule"; after an error nothing has changed
	then  string // a query on what came of it
	is    string // its rows
	// broken: it is the case of a rule that is broken on purpose.
	broken bool
}

// verbTest runs cases, each in a transaction that is rolled back.
func verbTest(t *testing.T, cases []verbCase) {
	t.Helper()
	w := newWorld(t)
	conn := w.session()
	for _, statement := range verbFunctions {
		_, err := conn.Exec(t.Context(), statement)
		must(t, err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, conn) })
	}
}

// verbFunctions are what cases may use: places() says where jobs are, runs() which rows ready has,
// log() which events there are, and worlds() is all of it, for comparisons.
var verbFunctions = []string{
	`create function pg_temp.places() returns text language sql as $$
		select string_agg(format('%s:%s/%s', id, state, attempt), ' ' order by id) from pgq.job_states $$`,
	`create function pg_temp.runs() returns text language sql as $$
		select string_agg(format('%s/%s/%s:%s+%s', queue, priority, seq, job_id, size), ' ' order by queue, priority, seq) from pgq.ready $$`,
	`create function pg_temp.log() returns text language sql as $$
		select string_agg(format('%s:%s', job_id, type), ' ' order by id) from pgq.events where type not like all('{queue_set,limit_%}') $$`,
	`create function pg_temp.worlds() returns text language sql as $$
		select concat_ws('|', pg_temp.places(), pg_temp.runs(), pg_temp.log(),
			(select string_agg(q::text, ' ' order by name) from pgq.queues q), (select count(*) from pgq.jobs),
			(select string_agg(e::text, ' ' order by e::text) from pgq.expiries e),
			(select string_agg(s::text, ' ' order by s::text) from pgq.scheduled s)) $$`,
}

func (c verbCase) run(t *testing.T, conn *pgx.Conn) {
	tx, err := conn.Begin(t.Context())
	must(t, err)
	defer func() { must(t, tx.Rollback(context.Background())) }()
	do := func(sql string) {
		t.Helper()
		if _, err := tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %s", sql, refusal(err))
		}
	}
	do(`select setval(sequence::regclass, 1, false) from unnest('{jobs_id_seq,workers_id_seq,events_id_seq,subscribers_id_seq}'::text[]) sequence;
		select register_worker('one', '{}', '{}'), register_worker('two', '{}', '{}')`)
	do(c.given)
	before := one[*string](t, tx, "select pg_temp.worlds()")
	do("savepoint call")
	got, err := rowsOf(t, tx, c.call)
	if err != nil {
		got = refusal(err)
		do("rollback to savepoint call")
		if after := one[*string](t, tx, "select pg_temp.worlds()"); deref(after) != deref(before) {
			t.Errorf("was refused, but changed\n%v\nto\n%v", deref(before), deref(after))
		}
	}
	if !matches(got, c.want) {
		t.Errorf("%s\n got %s\nwant %s", c.call, got, c.want)
	}
	if c.then != "" {
		if got, err := rowsOf(t, tx, c.then); err != nil || !matches(got, c.is) {
			t.Errorf("%s, after %s\n got %s %v\nwant %s", c.then, c.call, got, err, c.is)
		}
	}
	if broken, err := rowsOf(t, tx, "select * from check_invariants()"); err != nil || broken != "" && !c.broken {
		t.Errorf("Check: %s %v", broken, err)
	}
}

// rowsOf returns the rows of a query as text: "(1,ready) (2,running)".
func rowsOf(t *testing.T, tx pgx.Tx, sql string) (string, error) {
	t.Helper()
	var rows string
	err := tx.QueryRow(t.Context(), "with answer as materialized ("+sql+") select coalesce(string_agg(a::text, ' '), '') from answer a",
		pgx.QueryExecModeSimpleProtocol).Scan(&rows)
	return rows, err
}

// matches compares text with a pattern, in which * stands for anything.
func matches(text, pattern string) bool {
	expression := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`)
	return regexp.MustCompile(`(?s)^` + expression + `$`).MatchString(text)
}

// replace puts a word where the text has a %.
func replace(text, word string) string { return strings.ReplaceAll(text, "%", word) }

func replaceOnce(text, old, new string) string { return strings.Replace(text, old, new, 1) }
