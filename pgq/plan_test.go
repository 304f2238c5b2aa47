package pgq_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// plans is a session that explains every statement inside the functions it calls.
type plans struct {
	conn *pgx.Conn
	mu   sync.Mutex
	text []string
}

func (w *world) plans() *plans {
	w.Helper()
	p := &plans{}
	config := w.pool.Config().ConnConfig.Copy()
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.text = append(p.text, n.Message)
	}
	conn, err := pgx.ConnectConfig(w.Context(), config)
	must(w.T, err)
	w.Cleanup(func() { _ = conn.Close(w.Context()) })
	p.conn = conn
	for _, statement := range []string{
		"load 'auto_explain'", "set auto_explain.log_min_duration = 0", "set auto_explain.log_nested_statements = on", "set auto_explain.log_analyze = on",
		"set auto_explain.log_timing = off", "set auto_explain.log_buffers = on", "set client_min_messages = log", "set search_path = pgq",
	} {
		_, err := conn.Exec(w.Context(), statement)
		must(w.T, err)
	}
	return p
}

// explain calls a function in a transaction that is rolled back and returns the plans of the statements in it, the
// outermost one last.
func (p *plans) explain(t *testing.T, call string) []string {
	t.Helper()
	tx, err := p.conn.Begin(t.Context())
	must(t, err)
	p.mu.Lock()
	p.text = nil
	p.mu.Unlock()
	_, err = tx.Exec(t.Context(), call)
	must(t, err)
	must(t, tx.Rollback(t.Context()))
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

// Of the large tables nothing may be read but by an index or by ctid; nothing may be hashed or sorted but a batch.
var (
	seqScan = regexp.MustCompile(`Seq Scan on (\w+)`)
	// Exempt are prune's skips from queue to queue, each of which ends after one entry, and running, where a walk is
	// bounded by the number of leases.
	indexScan = regexp.MustCompile(`Index (?:Only )?Scan (?:Backward )?using (\w+) on (\w+)([^\n]*\n[^\n]*)`)
	largeSort = regexp.MustCompile(`(?m)^\s*(?:->\s*)?Sort .*actual rows=(\d+)`)
	large     = map[string]bool{"jobs": true, "ready": true, "running": true, "scheduled": true, "results": true, "expiries": true, "progress": true}
)

const batch = 100

func (p *plans) hold(t *testing.T, name, call string) {
	t.Helper()
	texts := p.explain(t, call)
	if len(texts) < 2 {
		t.Fatalf("%s: only %d plans", name, len(texts))
	}
	for _, text := range texts {
		for _, found := range seqScan.FindAllStringSubmatch(text, -1) {
			if large[found[1]] {
				t.Errorf("%s reads all of %s:\n%s", name, found[1], text)
			}
		}
		for _, found := range indexScan.FindAllStringSubmatch(text, -1) {
			if large[found[2]] && found[1] != "results_not_completed" && found[2] != "running" && !strings.Contains(found[3], "Index Cond") {
				t.Errorf("%s walks all of an index of %s:\n%s", name, found[2], text)
			}
		}
		if strings.Contains(text, "Hash Join") || strings.Contains(text, "Hash Semi Join") || strings.Contains(text, "Merge Join") {
			t.Errorf("%s joins by hash or merge:\n%s", name, text)
		}
		for _, found := range largeSort.FindAllStringSubmatch(text, -1) {
			if n, _ := strconv.Atoi(found[1]); n > 2*batch {
				t.Errorf("%s sorts %d rows:\n%s", name, n, text)
			}
		}
	}
}

// hot are the calls of the hot path, for a world in which jobs 1 to 100 are running by worker 1.
var hot = map[string]string{
	"claim":        "select count(*) from claim(1, '{q}', '{100}')",
	"claim behind": "select count(*) from claim(1, '{q}', '{100}', '{k}', array_fill(200::bigint, array[10]))",
	"claim aged":   "select set_queue('q', age_every => '1 min'); select count(*) from claim(1, '{q}', '{100}', '{k}')",
	"complete":     "select count(*) from complete(1, array(select generate_series(1, 100)), array_fill(1, array[100]))",
	"fail":         "select count(*) from fail(1, array(select generate_series(1, 100)), array_fill(1, array[100]), array_fill('x'::text, array[100]))",
	"promote":      "select * from promote(100)",
	"heartbeat":    "select * from heartbeat(1)",
	"enqueue":      "select enqueue('k', queue => 'q', delay => '1 h')",
	"cancel":       "select * from cancel(array(select generate_series(90, 130)))",
	"retry":        "select * from retry('{1,150}')",
	"expire":       "select expire(100)",
	"prune":        "select prune(100)",
}

func TestHotStatementsKeepTheirPlans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, given string
		unless      string
	}{
		{name: "empty"},
		{name: "analyzed when empty", given: "analyze"},
		{name: "all but empty", given: filled(3) + "analyze"},
		{name: "never analyzed", given: filled(5000)},
		{name: "analyzed", given: filled(5000) + "analyze"},
		{name: "stale: analyzed when empty", given: "analyze; " + filled(5000)},
		{name: "stale: analyzed when full", given: filled(5000) + "analyze; delete from ready where seq > 1000; delete from scheduled; delete from expiries; delete from jobs where id > 1000 and id not in (select job_id from results)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.plans()
			_, err := w.pool.Exec(t.Context(), `set search_path = pgq; select register_worker('w', '{q}', '{k}'); alter table jobs set (autovacuum_enabled = off);
				alter table ready set (autovacuum_enabled = off); `+c.given, pgx.QueryExecModeSimpleProtocol)
			must(t, err)
			for name, call := range hot {
				p.hold(t, name, call)
			}
		})
	}
}

// filled fills the tables: jobs 1 to 100 are running, then n each are ready, scheduled and completed.
func filled(n int) string {
	return fmt.Sprintf(`
		insert into jobs (queue, kind) select 'q', 'k' from generate_series(1, 100 + 3 * %[1]d);
		insert into running (job_id, queue, attempt, worker_id, claimed_at) select id, 'q', 1, 1, now() from jobs where id <= 100;
		insert into ready (queue, priority, seq, job_id, kind) select 'q', 5, id, id, 'k' from jobs where id between 101 and 100 + %[1]d;
		insert into scheduled (job_id, queue, run_at) select id, 'q', now() - id * interval '1 s' from jobs where id between 101 + %[1]d and 100 + 2 * %[1]d;
		insert into results (job_id, queue, state, attempt) select id, 'q', 'completed', 1 from jobs where id > 100 + 2 * %[1]d; `, n)
}

// blocksFetched is how many blocks of the schema's tables and indexes the session has looked at and not yet told of, which it does between transactions.
const blocksFetched = `select coalesce(sum(pg_stat_get_xact_blocks_fetched(oid)), 0)::int from pg_class where relnamespace = 'pgq'::regnamespace`

// touched calls a function in a transaction that is rolled back and returns how many blocks of the schema's tables and indexes it looked at. Those of
// PostgreSQL's catalogs are left out: a session reads them anew, thousands of them, when others make so many objects that it has to forget its caches.
func (p *plans) touched(t *testing.T, call string) int {
	t.Helper()
	tx, err := p.conn.Begin(t.Context())
	must(t, err)
	before := one[int](t, tx, blocksFetched)
	_, err = tx.Exec(t.Context(), call)
	must(t, err)
	after := one[int](t, tx, blocksFetched)
	must(t, tx.Rollback(t.Context()))
	return after - before
}

func TestClaimingFromManyReadyJobsTouchesNoMoreThanFromFew(t *testing.T) {
	t.Parallel()
	for name, given := range map[string]string{"by priority": "select", "aged": "select pgq.set_queue('q', age_every => '1 min')"} {
		t.Run(name, func(t *testing.T) { t.Parallel(); claimFromMany(t, given) })
	}
}

func claimFromMany(t *testing.T, given string) {
	const few, many, claim = 1000, 100_000, "select count(*) from claim(1, '{q}', '{100}')"
	w := newWorld(t)
	p := w.plans()
	w.exec(given)
	w.exec("select pgq.register_worker('w', '{q}', '{k}')")
	fill := func(n int) int {
		w.exec("with added as (insert into pgq.jobs (queue, kind) select 'q', 'k' from generate_series(1, $1::int) returning id) insert into pgq.ready (queue, priority, seq, job_id, kind) select 'q', 5, id, id, 'k' from added", n)
		p.touched(t, claim) // fills the caches of the session
		return p.touched(t, claim)
	}
	small := fill(few)
	if large := fill(many - few); float64(large) > 1.5*float64(small) {
		t.Errorf("a claim touches %d blocks with %d ready jobs, %d with %d", large, many, small, few)
	}
}
