package dagsql_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// hand is a worker that the test plays: nothing runs but what the test says, and no chore is done unless it says so.
type hand struct {
	*bench
	worker int64
	held   map[string]*pgq.Attempt // what it has claimed, by the names of nodes
}

func newHand(t *testing.T) *hand {
	t.Helper()
	b := newBench(t)
	worker, err := b.q.Register(b.ctx, b.pool, pgq.Registration{Name: t.Name(), Queues: []string{"default"}, Lease: time.Hour})
	must(t, err)
	return &hand{b, worker, map[string]*pgq.Attempt{}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same fails the test unless got is as wanted, written as fmt does.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// one returns the only column of the only row of a query.
func one[T any](b *bench, sql string, args ...any) (v T) {
	b.t.Helper()
	if err := b.pool.QueryRow(b.ctx, sql, args...).Scan(&v); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// take claims everything that is ready and returns the names of the nodes, sorted.
func (h *hand) take() []string {
	h.t.Helper()
	claimed, err := h.q.Claim(h.ctx, h.pool, pgq.ClaimRequest{WorkerID: h.worker, Queues: []string{"default"}, Limits: []int32{1000}})
	must(h.t, err)
	ids := []int64{}
	for _, a := range claimed {
		ids = append(ids, a.ID)
	}
	names := one[[]string](h.bench, `select array(select coalesce(j.name, 'job ' || id)
		from unnest($1::bigint[]) with ordinality u(id, place) join pgq.jobs j using (id) order by place)`, ids)
	for i, a := range claimed {
		h.held[names[i]] = a
	}
	slices.Sort(names)
	return names
}

// takes fails the test unless just these nodes can be claimed.
func (h *hand) takes(want ...string) {
	h.t.Helper()
	same(h.t, "nodes that are ready", h.take(), want)
}

// attempt returns that of a node that was claimed.
func (h *hand) attempt(node string) *pgq.Attempt {
	h.t.Helper()
	a := h.held[node]
	if a == nil {
		h.t.Fatalf("node %q was not claimed", node)
	}
	return a
}

// done completes a node.
func (h *hand) done(node string, result any) {
	h.t.Helper()
	completion, err := h.attempt(node).NewCompletion(result)
	must(h.t, err)
	done, err := h.q.Complete(h.ctx, h.pool, h.worker, []pgq.Completion{completion})
	if err != nil || len(done) == 0 {
		h.t.Fatalf("complete %q: %v, %v", node, done, err)
	}
	delete(h.held, node)
}

// fails lets nodes fail for good.
func (h *hand) fails(nodes ...string) {
	h.t.Helper()
	for _, node := range nodes {
		a := h.attempt(node)
		failure := pgq.Failure{JobID: a.ID, Attempt: a.Number, Error: "told to", Permanent: true}
		outcomes, err := h.q.Fail(h.ctx, h.pool, h.worker, []pgq.Failure{failure})
		if err != nil || len(outcomes) == 0 {
			h.t.Fatalf("fail %q: %v, %v", node, outcomes, err)
		}
		delete(h.held, node)
	}
}

// run completes everything that is ready, and what becomes so, and returns the names in the order in which they were run.
func (h *hand) run() (names []string) {
	h.t.Helper()
	for {
		ready := h.take()
		if len(ready) == 0 && one[int](h.bench, "select pgq.propagate_frontier()") == 0 {
			return names
		}
		for _, name := range ready {
			h.done(name, name)
		}
		names = append(names, ready...)
	}
}

// pass lets the time of a job come that is due later, as if it had passed, and does what is due then.
func (h *hand) pass(id int64, by string) {
	h.t.Helper()
	_, err := h.pool.Exec(h.ctx, `with moved as (update pgq.jobs set expires_at = expires_at - $2::text::interval where id = $1 returning expires_at)
		update pgq.expiries set expires_at = (select expires_at from moved) where job_id = $1`, id, by)
	must(h.t, err)
	h.expire()
}

// expire does what is due.
func (h *hand) expire() {
	h.t.Helper()
	for one[int](h.bench, "select pgq.expire()") > 0 {
	}
}

// node returns the job that a node is.
func (b *bench) node(dag int64, name string) int64 {
	b.t.Helper()
	return one[int64](b, "select id from pgq.jobs where dag_id = $1 and name = $2", dag, name)
}

// names returns the names of jobs, "DAG" for those that are no nodes, in their order.
func (b *bench) names(ids []int64) []string {
	b.t.Helper()
	return one[[]string](b, `select coalesce(array_agg(coalesce(name, 'DAG') order by coalesce(name, 'DAG')), '{}')
		from pgq.jobs where id = any($1) and role is distinct from 'gate'`, ids)
}

// is fails the test unless the DAG is in this state, and these nodes in these: "a completed".
func (b *bench) is(dag int64, state pgq.State, nodes ...string) {
	b.t.Helper()
	run, err := b.d.Get(b.ctx, b.pool, dag)
	must(b.t, err)
	if run.State != state {
		b.t.Errorf("the DAG is %s (%v), want %s", run.State, deref(run.Error), state)
	}
	got := []string{}
	for name, state := range b.states(dag) {
		got = append(got, name+" "+state)
	}
	slices.Sort(got)
	slices.Sort(nodes)
	same(b.t, "nodes", got, nodes)
}

// steps returns a DAG of steps.
func steps() *dagsql.Builder { return dagsql.New("steps", dagsql.Options{}) }
