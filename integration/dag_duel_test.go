package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// duel is two sessions that do something to neighbours in a DAG, in all orders of their steps. In the statements $1 is
// the DAG, $2 the worker.
type duel struct {
	name    string
	dag     string   // the document, the nodes' part of it
	options string   // other fields of the document
	before  []string // what is done to it first
	a, b    []string
	// want is how nodes may end ("a": "completed skipped"); "DAG" is the DAG itself. Where it says nothing
	// everything may come of it, as long as it ends.
	want map[string]string
	// refused are SQLSTATEs that steps may be answered with.
	refused string
	// small makes what is left to the chores small: the third child of a parent, the third item of a map.
	small bool
}

// stage is what duels are made of, in SQL: how a worker claims and ends what it holds by the nodes' names, and how all that is left
// is brought to its end.
const stage = `
create function clear() returns bigint language plpgsql as $$
begin
	delete from pgq.jobs; delete from pgq.edges; delete from pgq.waiting; delete from pgq.frontier; delete from pgq.maps;
	delete from pgq.signals; delete from pgq.dag_keys; delete from pgq.ready; delete from pgq.scheduled; delete from pgq.running;
	delete from pgq.results; delete from pgq.expiries; delete from pgq.progress; delete from pgq.attempt_errors; delete from pgq.steps; delete from pgq.workers; delete from pgq.events;
	update pgq.chores set last_run_at = '-infinity', position = 0;
	return pgq.register_worker('w', array['default'], null);
end $$;
create function take(worker bigint, n integer default 1000) returns bigint language sql as $$
	select count(*) from pgq.claim(worker, array['default'], array[n])
$$;
create function done(worker bigint, names text[], output jsonb default '[1, 2, 3, 4, 5]') returns bigint language sql as $$
	select count(*) from (
		select array_agg(r.job_id order by r.job_id) as ids, array_agg(r.attempt order by r.job_id) as attempts, array_agg(output) as outputs
		from pgq.running r join pgq.jobs j on j.id = r.job_id where coalesce(j.name, j.kind) = any(names)) r,
		pgq.complete(worker, r.ids, r.attempts, r.outputs)
$$;
create function fails(worker bigint, names text[]) returns bigint language sql as $$
	select count(*) from (
		select array_agg(r.job_id order by r.job_id) as ids, array_agg(r.attempt order by r.job_id) as attempts
		from pgq.running r join pgq.jobs j on j.id = r.job_id where coalesce(j.name, j.kind) = any(names)) r,
		pgq.fail(worker, r.ids, r.attempts, array(select 'broken' from unnest(r.ids)), null, array(select false from unnest(r.ids)))
$$;
create function node(dag bigint, name text) returns bigint language sql as $$
	select j.id from pgq.jobs j where j.dag_id = dag and j.name = node.name
$$;
create function plain() returns bigint language sql stable as $$
	select coalesce((select j.id from pgq.jobs j where j.kind = 'plain'), 1)
$$;
create function overdue(job bigint) returns void language sql as $$
	delete from pgq.expiries e where e.job_id = job;
	update pgq.jobs set expires_at = now() - interval '1 second' where id = job;
	insert into pgq.expiries (job_id, expires_at) select id, expires_at from pgq.jobs where id = job
$$;
create function elapse() returns void language sql as $$
	update pgq.expiries set expires_at = now() - interval '1 second';
	update pgq.jobs set expires_at = now() - interval '1 second' where expires_at > now()
$$;
create function drain(worker bigint) returns bigint language plpgsql as $$
declare
	n bigint := 0;
begin
	select n + sum(pgq.dag_resume(d.id)) into n from pgq.jobs d where d.role = 'dag' and d.dag_id is null;
	select coalesce(n, 0) + count(pgq.dag_complete(j.dag_id, j.name)) into n
	from pgq.jobs j join pgq.waiting w on w.job_id = j.id and w.role = 'signal';
	update pgq.scheduled set run_at = now();
	n := n + (select p.promoted from pgq.promote() p) + pgq.expire() + pgq.propagate_frontier();
	n := n + take(worker);
	perform done(worker, array(select coalesce(j.name, j.kind) from pgq.jobs j));
	return n;
end $$`

// dueller makes the steps of duels in a database of its own.
type dueller struct {
	*runner
	check string // the number of broken invariants, and one of them
}

func newDueller(t *testing.T, small bool) *dueller {
	t.Helper()
	d := &dueller{runner: newRunner(t)}
	ctx := context.Background()
	if _, err := d.control.Exec(ctx, strings.ReplaceAll(stage, "create function ", "create function public.")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.control.Exec(ctx, "set search_path = public, pgq"); err != nil {
		t.Fatal(err)
	}
	for _, s := range d.sessions {
		if _, err := s.conn.Exec(ctx, "set search_path = public, pgq"); err != nil {
			t.Fatal(err)
		}
	}
	if small {
		mutate(t, d.control, "deliver", "at_once constant integer := 5000", "at_once constant integer := 2")
		mutate(t, d.control, "expand_map", "integer := 2000", "integer := 2")
	}
	var check string
	if err := d.control.QueryRow(ctx, "select prosrc from pg_proc where oid = 'pgq.check_invariants'::regproc").Scan(&check); err != nil {
		t.Fatal(err)
	}
	d.check = "select count(*), min(format('%s: %s %s', c.rule, c.job_id, c.detail)) from (" + check + ") c (rule, job_id, detail)"
	return d
}

// fight makes the steps of a duel in the given order, brings the DAGs to their end, and reports what is wrong.
func (d *dueller) fight(duel duel, schedule []int) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	d.broken = nil
	dag, worker, err := d.arrange(ctx, duel)
	if err != nil {
		d.report("%s: arrange: %v", duel.name, err)
		return
	}
	d.count++
	steps := [2][]string{
		slices.Concat([]string{"begin"}, withArgs(duel.a), []string{"commit"}),
		slices.Concat([]string{"begin"}, withArgs(duel.b), []string{"commit"}),
	}
	for _, s := range d.sessions {
		s.did, s.err = -1, nil
	}
	waited := false
	for _, who := range schedule {
		s := d.sessions[who]
		s.queue, steps[who] = append(s.queue, steps[who][0]), steps[who][1:]
		d.settle(ctx, dag, worker)
		waited = waited || s.pending
	}
	if !d.finish(ctx, dag, worker) {
		d.report("%s in the order %v: steps block for ever", duel.name, schedule)
		return
	}
	if waited {
		d.blocked++
	}
	d.refusals(ctx, duel)
	d.invariants(ctx, "after the steps")
	d.drained(ctx, worker)
	d.invariants(ctx, "in the end")
	d.ended(ctx, duel, dag)
	if len(d.broken) > 0 {
		d.report("%s in the order %v: %s", duel.name, schedule, strings.Join(d.broken, "; "))
	}
}

func (d *dueller) arrange(ctx context.Context, duel duel) (dag, worker int64, err error) {
	if err := d.control.QueryRow(ctx, "select clear()").Scan(&worker); err != nil {
		return 0, 0, err
	}
	spec := fmt.Sprintf(`{"name": "duel"%s, "nodes": [%s]}`, duel.options, duel.dag)
	if err := d.control.QueryRow(ctx, "select dag_id from dag_submit($1)", spec).Scan(&dag); err != nil {
		return 0, 0, err
	}
	for _, sql := range withArgs(duel.before) {
		if _, err := d.control.Exec(ctx, sql, dag, worker); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", sql, err)
		}
	}
	return dag, worker, nil
}

// withArgs makes queries that use both parameters of some that may not, and return one number.
func withArgs(queries []string) []string {
	all := make([]string, len(queries))
	for i, sql := range queries {
		all[i] = "select count(*) from (select $1::bigint, $2::bigint) p, lateral (" + sql + ") s"
	}
	return all
}

// refusals collects errors that must not be.
func (d *dueller) refusals(ctx context.Context, duel duel) {
	for i, s := range d.sessions {
		var pg *pgconn.PgError
		if s.err == nil || errors.As(s.err, &pg) && strings.Contains(duel.refused, pg.Code) {
			continue
		}
		d.broken = append(d.broken, fmt.Sprintf("session %d: %v", i, s.err))
	}
}

func (d *dueller) invariants(ctx context.Context, when string) {
	var n int
	var first *string
	if err := d.control.QueryRow(ctx, d.check).Scan(&n, &first); err != nil || n > 0 {
		d.broken = append(d.broken, fmt.Sprintf("%s %d broken invariants (%v) %v", when, n, deref(first), err))
	}
}

// drained lets all that is left run, well, until nothing is left to do.
func (d *dueller) drained(ctx context.Context, worker int64) {
	for round := 0; ; round++ {
		var n int64
		if err := d.control.QueryRow(ctx, "select drain($1)", worker).Scan(&n); err != nil {
			d.broken = append(d.broken, fmt.Sprintf("drain: %v", err))
			return
		}
		if n == 0 && round > 0 {
			return
		}
		if round == 200 {
			d.broken = append(d.broken, "it does not come to an end")
			return
		}
	}
}

// ended collects nodes that are stuck, and those that did not end as they may.
func (d *dueller) ended(ctx context.Context, duel duel, dag int64) {
	states, err := d.states(ctx, dag)
	if err != nil {
		d.broken = append(d.broken, err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(states)) {
		state := states[name]
		if !slices.Contains(strings.Fields("completed failed cancelled expired skipped"), state) {
			d.broken = append(d.broken, fmt.Sprintf("%s is stuck: %s", name, state))
		} else if want, ok := duel.want[name]; ok && !slices.Contains(strings.Fields(want), state) {
			d.broken = append(d.broken, fmt.Sprintf("%s is %s, want %s", name, state, want))
		}
	}
	for name := range duel.want {
		if _, ok := states[name]; !ok && name != "" {
			d.broken = append(d.broken, fmt.Sprintf("%s is not there, want %s", name, duel.want[name]))
		}
	}
}

func (d *dueller) states(ctx context.Context, dag int64) (map[string]string, error) {
	rows, err := d.control.Query(ctx, "select case when id = $1 then 'DAG' when dag_id = $1 then name else 'job ' || kind end, state from job_states", dag)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	states := map[string]string{}
	for rows.Next() {
		var name, state string
		if err := rows.Scan(&name, &state); err != nil {
			return nil, err
		}
		states[name] = state
	}
	return states, rows.Err()
}
