package pgq_test

import (
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
)

// exported returns the lines of an export of jobs, the header first and the end last.
func (w *world) exported(q *pgq.Client, e pgq.Filter) []string {
	w.Helper()
	var lines []string
	must(w.T, q.ExportJobs(w.Context(), w.pool, e, func(line json.RawMessage) error {
		lines = append(lines, string(line))
		return nil
	}))
	return lines
}

func lines(of []string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for _, line := range of {
			if !yield(json.RawMessage(line), nil) {
				return
			}
		}
	}
}

// second installs PGQ in another schema of the same database.
func (w *world) second() *pgq.Client {
	w.Helper()
	o := migrations.Options{Schema: `Other "schema"`}
	must(w.T, migrations.Up(w.Context(), w.pool.Config().ConnString(), o))
	q := pgq.New(pgq.Config{Schema: o.Schema})
	return q
}

// allStates makes jobs in every state, with whatever a job can have.
func (w *world) allStates() {
	w.Helper()
	conn := w.session()
	for _, sql := range []string{
		"select enqueue('ready', '{\"n\": 9007199254740993, \"big\": 123456789012345678901234567890.12345}', tags => '{a,\"b \\\" ü\"}')",
		"select enqueue('null args', 'null', metadata => '{\"x\": null}')",
		"select enqueue('later', '[1.10, 1e400]', delay => '1 year')",
		"select enqueue('expires', ttl => '1 hour')",
		"select dag_submit('{\"name\": \"etl\", \"key\": \"monday\", \"nodes\": [{\"name\": \"a\", \"kind\": \"a\"}, {\"name\": \"b\", \"kind\": \"b\", \"after\": [\"a\"]}]}')",
		"select enqueue('turn', sequence => 'k', on_failure => 'skip', delay => '1 year') from generate_series(1, 3)",
		"select enqueue('work', '{}', queue => 'work') from generate_series(1, 5)",
		"select register_worker('w', '{work}', '{work}')",
		"select claim(1, '{work}', '{4}')",
	} {
		_, err := conn.Exec(w.Context(), sql)
		must(w.T, err)
	}
	_, err := w.q.EnqueueMany(w.Context(), w.pool, slices.Repeat([]pgq.Item{{Args: note{}}}, 250))
	must(w.T, err)
}

func TestWhatIsExportedAndImportedIsTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.allStates()
	other := w.second()
	before := w.exported(w.q, pgq.Filter{})
	done, err := other.Import(t.Context(), w.pool, lines(before), pgq.ImportOptions{})
	must(t, err)
	if want := int64(len(before) - 2); done.Jobs != want || want < 260 {
		t.Errorf("%d of %d jobs", done.Jobs, want)
	}
	after := w.exported(other, pgq.Filter{})
	for i := range before[1:] {
		want, got := before[i+1], after[i+1]
		if strings.Contains(want, `"state": "running"`) {
			if !strings.Contains(got, `"state": "ready", "attempt": 0`) || strings.Contains(got, `"running"`) {
				t.Errorf("a job that was running is %s", got)
			}
			continue
		}
		if got != want {
			t.Errorf("\n%s became\n%s", want, got)
		}
	}
	text := strings.Join(after, "\n")
	for _, exact := range []string{"9007199254740993", "123456789012345678901234567890.12345", "1.10", `"nulls": ["args"]`, `"dag_key": "monday"`} {
		if !strings.Contains(text, exact) {
			t.Errorf("%s is lost", exact)
		}
	}
	broken, err := other.Check(t.Context(), w.pool)
	must(t, err)
	if len(broken) > 0 {
		t.Errorf("%+v", broken)
	}
	id := one[int64](t, w.pool, `select "Other ""schema""".enqueue('next')`)
	if taken := one[int64](t, w.pool, "select max(id) from pgq.jobs"); id <= taken {
		t.Errorf("the next job has id %d, and %d was imported", id, taken)
	}
}

func TestAnImportOverwritesNothingAndIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.allStates()
	all := w.exported(w.q, pgq.Filter{})
	count := func() int64 { return one[int64](t, w.pool, "select count(*) from pgq.jobs") }
	n := count()
	_, err := w.q.Import(t.Context(), w.pool, lines(all), pgq.ImportOptions{})
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "23505" {
		t.Error("there are such jobs:", err)
	}
	_, err = w.q.Import(t.Context(), w.pool, lines(all), pgq.ImportOptions{NewIDs: true})
	var argument *pgq.ArgumentError
	if !errors.As(err, &argument) || argument.Field != "keep_ids" {
		t.Error("a DAG with new ids:", err)
	}
	single := w.exported(w.q, pgq.Filter{Queues: []string{"work"}, Kinds: []string{"work"}, States: []pgq.State{pgq.Ready, pgq.Running}})
	for _, tried := range []bool{true, false} {
		done, err := w.q.Import(t.Context(), w.pool, lines(single), pgq.ImportOptions{NewIDs: true, Try: tried})
		must(t, err)
		if want := map[bool]int64{true: n, false: n + 5}[tried]; done.Jobs != 5 || count() != want {
			t.Errorf("tried %v: %d jobs imported, %d there", tried, done.Jobs, count())
		}
	}
	other := w.second()
	all[0] = strings.Replace(all[0], `"end":true`, `"end":false`, 1) // so that it is not for want of that that they are refused
	for name, broken := range map[string][]string{
		"no header":       all[1:],
		"two exports":     {all[0], all[1], all[0]},
		"another version": {`{"type":"export","of":"jobs","schema_version":1,"max_id":9}`},
		"no JSON":         {all[0], all[1], "{"},
		"unknown type":    {all[0], `{"type": "result"}`},
		"unknown member":  {all[0], strings.Replace(all[1], `"type"`, `"more": 1, "type"`, 1)},
		"unknown column":  {all[0], strings.Replace(all[1], `"kind"`, `"colour": 1, "kind"`, 1)},
		"unknown table":   {all[0], strings.Replace(all[1], `"rows": {`, `"rows": {"jobs; drop table jobs": [{}]`, 1)},
		"another state":   {all[0], strings.Replace(all[1], `"state": "ready"`, `"state": "completed"`, 1)},
		"twice the same":  {all[0], all[1], all[1]},
		"id beyond max":   {all[0], strings.Replace(all[1], `"id": 1,`, `"id": 999999,`, 1)},
		"half a DAG":      {all[0], all[1], all[5]},
		"bad priority":    {all[0], all[1], strings.Replace(all[2], `"priority": 5`, `"priority": 55`, 1)},
	} {
		if _, err := other.Import(t.Context(), w.pool, lines(broken), pgq.ImportOptions{}); err == nil {
			t.Errorf("%s was imported", name)
		}
	}
	if n := one[int64](t, w.pool, `select count(*) from "Other ""schema""".jobs`); n != 0 {
		t.Errorf("%d jobs were imported", n)
	}
}

func TestAnExportThatWasCutOffIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		_, err := w.session().Exec(t.Context(), "select enqueue('k')")
		must(t, err)
	}
	all := w.exported(w.q, pgq.Filter{})
	var settings []string
	must(t, w.q.ExportSettings(t.Context(), w.pool, func(line json.RawMessage) error {
		settings = append(settings, string(line))
		return nil
	}))
	end := all[len(all)-1]
	if end != `{"type":"end","of":"jobs","count":3}` || settings[len(settings)-1] != `{"type":"end","of":"settings"}` {
		t.Errorf("the ends are %s, %s", end, settings[len(settings)-1])
	}
	other := w.second()
	for name, c := range map[string]struct {
		lines   []string
		partial int64 // jobs that are imported in spite of it
		line    int64
	}{
		"nothing":           {nil, 0, 1},
		"the header":        {all[:1], 0, 1},
		"no end":            {all[:3], 2, 3},
		"half a line":       {append(slices.Clone(all[:2]), all[2][:20]), 1, 3},
		"a line is missing": {[]string{all[0], all[1], end}, 1, 3},
		"and then settings": {append(slices.Clone(all[:3]), settings...), 2, 4},
		"settings":          {settings[:1], 0, 1},
	} {
		_, err := other.Import(t.Context(), w.pool, lines(c.lines), pgq.ImportOptions{})
		var line *pgq.LineError
		var argument *pgq.ArgumentError
		if !errors.As(err, &line) || line.Line != c.line || !errors.Is(err, pgq.ErrNotWhole) && !errors.As(err, &argument) {
			t.Errorf("%s: %v", name, err)
		}
		done, err := other.Import(t.Context(), w.pool, lines(c.lines), pgq.ImportOptions{Partial: true, Try: true})
		if must(t, err); done.Jobs != c.partial {
			t.Errorf("%s: %d jobs", name, done.Jobs)
		}
	}
	for name, wrong := range map[string][]string{
		"goes on":    {all[0], all[1], all[2], all[3], end, all[1]},
		"two ends":   {all[0], all[1], all[2], all[3], end, end},
		"an end":     {end},
		"other ends": {all[0], all[1], all[2], all[3], settings[len(settings)-1]},
	} {
		if _, err := other.Import(t.Context(), w.pool, lines(wrong), pgq.ImportOptions{Partial: true}); err == nil {
			t.Errorf("%s: it was imported", name)
		}
	}
	if n := one[int64](t, w.pool, `select count(*) from "Other ""schema""".jobs`); n != 0 {
		t.Errorf("%d jobs were imported", n)
	}
}

func TestWhatWasImportedIsAnalyzed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.q.EnqueueMany(t.Context(), w.pool, slices.Repeat([]pgq.Item{{Args: note{}}}, 1200))
	must(t, err)
	all := w.exported(w.q, pgq.Filter{})
	other := w.second()
	const rows = `select reltuples::bigint from pg_class where oid = '"Other ""schema""".jobs'::regclass`
	_, err = other.Import(t.Context(), w.pool, lines(all), pgq.ImportOptions{Try: true})
	must(t, err)
	if n := one[int64](t, w.pool, rows); n > 0 {
		t.Errorf("what was tried is analyzed: %d", n)
	}
	_, err = other.Import(t.Context(), w.pool, lines(all), pgq.ImportOptions{})
	must(t, err)
	if n := one[int64](t, w.pool, rows); n != 1200 {
		t.Errorf("the planner knows of %d rows", n)
	}
}

// Of tables of which the planner knows nothing, as after much was done at once, each is read a few times, and not once per job that waits.
func TestCheckReadsEachTableAFewTimesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, table := range []string{"jobs", "results", "waiting", "edges", "ready"} {
		w.exec("alter table pgq." + table + " set (autovacuum_enabled = off)")
	}
	w.exec(`with added as (insert into pgq.jobs (queue, kind) select 'q', 'k' from generate_series(1, 1000) returning id)
		insert into pgq.results (job_id, queue, state, attempt) select id, 'q', 'completed', 1 from added`)
	w.exec(`select pgq.dag_submit(jsonb_build_object('name', 'd', 'nodes', jsonb_build_array(jsonb_build_object('name', 'n0', 'kind', 'k')) || (
		select jsonb_agg(jsonb_build_object('name', 'n' || i, 'kind', 'k', 'after', jsonb_build_array('n' || i - 1))) from generate_series(1, 2000) i)))`)
	tx, err := w.session().Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "select * from check_invariants()")
	must(t, err)
	if scans := one[int](t, tx, "select pg_stat_get_xact_numscans('results'::regclass)::int"); scans > 50 {
		t.Errorf("check reads all results %d times", scans)
	}
	must(t, tx.Rollback(t.Context()))
}

func TestUniqueKeysStandForTheJobsThatWereImported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.session()
	for _, sql := range []string{
		`select enqueue('a', uniqueness => '{"key": "first"}')`,
		`select enqueue('b', uniqueness => '{"key": "for long", "for": "1 day"}')`,
		`select enqueue('c')`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		must(t, err)
	}
	all := w.exported(w.q, pgq.Filter{})
	const keys = "select string_agg(format('%s %s %s %s', key, job_id, taken_at, holds_until), ',' order by key) from "
	other := w.second()
	_, err := other.Import(t.Context(), w.pool, lines(all), pgq.ImportOptions{})
	must(t, err)
	before, after := one[string](t, w.pool, keys+"pgq.unique_keys"), one[string](t, w.pool, keys+`"Other ""schema""".unique_keys`)
	if before != after || strings.Count(before, ",") != 1 {
		t.Errorf("the keys %s became %s", before, after)
	}
	_, err = other.Import(t.Context(), w.pool, lines(all), pgq.ImportOptions{NewIDs: true})
	if err == nil || !strings.Contains(err.Error(), `the unique key "first" stands for another job already`) {
		t.Error("the keys are taken:", err)
	}
	if n := one[int64](t, w.pool, `select count(*) from "Other ""schema""".jobs`); n != 3 {
		t.Errorf("there are %d jobs", n)
	}
}

func TestEventsAreExportedAndImported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("insert into pgq.events (job_id, queue, type, data) select i, 'q', 'completed', jsonb_build_object('n', i) from generate_series(1, 1200) i")
	other := w.second()
	var all []string
	keep := func(line json.RawMessage) error {
		all = append(all, string(line))
		return nil
	}
	must(t, w.q.ExportEvents(t.Context(), w.pool, pgq.EventFilter{Types: []pgq.EventType{"completed"}, Since: time.Now().Add(-time.Hour)}, keep))
	done, err := other.Import(t.Context(), w.pool, lines(all), pgq.ImportOptions{})
	must(t, err)
	first := all
	all = nil
	must(t, other.ExportEvents(t.Context(), w.pool, pgq.EventFilter{Queues: []string{"q"}}, keep))
	if done.Events != 1200 || !slices.Equal(first[1:], all[1:]) {
		t.Errorf("%d events, and not the same", done.Events)
	}
	stopped := errors.New("stopped")
	if err := w.q.ExportEvents(t.Context(), w.pool, pgq.EventFilter{}, func(json.RawMessage) error { return stopped }); !errors.Is(err, stopped) {
		t.Error(err)
	}
}

func TestPruningByHandDeletesWhatIsOldInBoundedSteps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.q.EnqueueMany(t.Context(), w.pool, slices.Repeat([]pgq.Item{{Args: note{}}}, 250))
	must(t, err)
	w.exec(`with moved as (delete from pgq.ready returning *)
		insert into pgq.results (job_id, queue, state, attempt, finished_at, error)
		select m.job_id + g, m.queue, case when (m.job_id + g) % 2 = 0 then 'failed' else 'completed' end, 1,
		       now() - case when m.job_id + g <= 100 then interval '10 days' else interval '1 hour' end, case when (m.job_id + g) % 2 = 0 then 'x' end
		from moved m, generate_series(0, m.size - 1) g`)
	for _, c := range []struct {
		p    pgq.Prune
		want int
	}{
		{pgq.Prune{OlderThan: 24 * time.Hour, Try: true}, 100},
		{pgq.Prune{OlderThan: 24 * time.Hour, Queues: []string{"other"}}, 0},
		{pgq.Prune{OlderThan: 24 * time.Hour, States: []pgq.State{pgq.Failed}, Limit: 7}, 50},
		{pgq.Prune{OlderThan: 24 * time.Hour, Limit: 20}, 50},
		{pgq.Prune{OlderThan: 24 * time.Hour}, 0},
	} {
		sum := 0
		for {
			n, next, err := w.q.Prune(t.Context(), w.pool, c.p)
			must(t, err)
			if n > 1000 || c.p.Limit > 0 && n > c.p.Limit {
				t.Errorf("%+v: %d in a step", c.p, n)
			}
			sum += n
			if c.p.After = next; next == 0 {
				break
			}
		}
		if sum != c.want {
			t.Errorf("%+v: %d, want %d", c.p, sum, c.want)
		}
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.jobs"); n != 150 {
		t.Errorf("%d jobs are left", n)
	}
	var argument *pgq.ArgumentError
	for _, p := range []pgq.Prune{{OlderThan: -time.Second}, {Limit: 10001}, {States: []pgq.State{"ready"}}} {
		if _, _, err := w.q.Prune(t.Context(), w.pool, p); !errors.As(err, &argument) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
