package integration

import (
	"sync"
	"testing"
)

// The parts of documents that many duels share.
const (
	join2   = `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}, {"name": "c", "kind": "k", "after": ["a", "b"]}`
	join3   = `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}, {"name": "x", "kind": "k"}, {"name": "c", "kind": "k", "after": ["a", "b", "x"]}`
	wide    = `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}, {"name": "c1", "kind": "k", "after": ["a"]}, {"name": "c2", "kind": "k", "after": ["a"]}, {"name": "c3", "kind": "k", "after": ["a"]}, {"name": "c4", "kind": "k", "after": ["a"]}`
	mapping = `{"name": "a", "kind": "k"}, {"name": "m", "type": "map", "kind": "k", "over": "a"}, {"name": "c", "kind": "k", "after": ["m"]}`
)

// What duels do.
const (
	take     = `select take($2)`
	doneA    = `select done($2, '{a}')`
	doneB    = `select done($2, '{b}')`
	failsA   = `select fails($2, '{a}')`
	failsB   = `select fails($2, '{b}')`
	retryAll = `select dag_retry($1, 'all')`
	retry    = `select dag_retry($1)`
	hold     = `select dag_hold($1)`
	resume   = `select dag_resume($1)`
	cancel   = `select dag_cancel($1)`
	cancelC  = `select dag_cancel($1, '{c}')`
	frontier = `select propagate_frontier()`
	expire   = `select expire()`
)

func sql(statements ...string) []string { return statements }

func states(pairs ...string) map[string]string {
	all := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

var finishingDuels = []duel{
	{name: "the last two parents finish", dag: join2, before: sql(take), a: sql(doneA), b: sql(doneB),
		want: states("c", "completed", "DAG", "completed")},
	{name: "two of the last three parents finish beside the third", dag: join3, before: sql(take),
		a: sql(doneA, `select done($2, '{x}')`), b: sql(doneB), want: states("c", "completed", "DAG", "completed")},
	{name: "a parent finishes, the other one fails", dag: join2, before: sql(take), a: sql(doneA), b: sql(failsB),
		want: states("c", "skipped", "DAG", "failed")},
	{name: "the last two leaves finish", dag: `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}`, before: sql(take),
		a: sql(doneA), b: sql(failsB), want: states("DAG", "failed")},
	{name: "both parents of an eager node finish", dag: `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}, {"name": "c", "kind": "k", "after": ["a", "b"], "rule": "any"}`,
		before: sql(take), a: sql(doneA), b: sql(failsB), want: states("c", "completed", "DAG", "completed")},
	{name: "a parent finishes, the child is cancelled", dag: join2, before: sql(take, doneB), a: sql(doneA), b: sql(cancelC),
		want: states("a", "completed", "c", "cancelled", "DAG", "failed")},
	{name: "a parent finishes early, the child is cancelled", dag: join2, before: sql(take), a: sql(doneA), b: sql(cancelC),
		want: states("b", "completed", "c", "cancelled", "DAG", "failed")},
	{name: "a parent finishes, the DAG is cancelled", dag: join2, before: sql(take, doneB), a: sql(doneA), b: sql(cancel),
		want: states("DAG", "cancelled")},
	{name: "the last node finishes, the DAG is cancelled", dag: `{"name": "a", "kind": "k"}`, before: sql(take), a: sql(doneA), b: sql(cancel),
		want: states("DAG", "completed cancelled")},
	{name: "a parent finishes, the skipped one is retried",
		dag:    `{"name": "x", "kind": "k"}, {"name": "a", "kind": "k", "after": ["x"]}, {"name": "b", "kind": "k"}, {"name": "c", "kind": "k", "after": ["a", "b"]}`,
		before: sql(take, `select fails($2, '{x}')`), a: sql(doneB), b: sql(retry), want: states("x", "completed", "a", "completed", "c", "completed", "DAG", "completed")},
	{name: "the last leaf finishes, another is retried", dag: `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}`,
		before: sql(take, failsA), a: sql(doneB), b: sql(retry), want: states("DAG", "completed", "a", "completed", "b", "completed")},
	{name: "the last leaf of a sub-DAG finishes, another is retried", dag: `{"name": "s", "type": "dag"}, {"name": "s/a", "kind": "k"}, {"name": "s/b", "kind": "k"}, {"name": "c", "kind": "k", "after": ["s"]}`,
		before: sql(take, `select fails($2, '{s/a}')`), a: sql(`select done($2, '{s/b}')`), b: sql(retry),
		want: states("DAG", "completed", "s", "completed", "c", "completed")},
	{name: "a parent finishes, the failed one is retried", dag: join2, before: sql(take, failsA), a: sql(doneB), b: sql(retry),
		want: states("a", "completed", "c", "completed", "DAG", "completed")},
	{name: "a parent finishes, all is retried", dag: join2, before: sql(take, failsA), a: sql(doneB), b: sql(retryAll),
		want: states("a", "completed", "c", "completed", "DAG", "completed")},
	{name: "a parent finishes, the DAG is held", dag: join2, before: sql(take, doneA), a: sql(doneB), b: sql(hold), want: states("c", "completed", "DAG", "completed")},
	{name: "a parent finishes, the DAG goes on", dag: join2, before: sql(take, doneA, hold), a: sql(doneB), b: sql(resume), want: states("c", "completed", "DAG", "completed")},
	{name: "a parent finishes, a DAG is held that has ready nodes", dag: `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}, {"name": "c", "kind": "k", "after": ["a", "b"], "rule": "any"}`,
		before: sql(take, doneA), a: sql(doneB), b: sql(hold), want: states("c", "completed", "DAG", "completed")},
	{name: "a node is claimed, the DAG is held", dag: join2, before: sql(take, doneA, doneB), a: sql(take), b: sql(hold), want: states("c", "completed", "DAG", "completed")},
	{name: "hold and resume", dag: join2, before: sql(take, doneA, doneB), a: sql(hold), b: sql(resume), want: states("c", "completed", "DAG", "completed")},
	{name: "hold and retry", dag: join2, before: sql(take, failsA), a: sql(hold), b: sql(retry), want: states("b", "completed", "DAG", "completed")},
	{name: "a DAG is held, one that it comes after is retried",
		dag: `{"name": "a", "kind": "k"}, {"name": "t", "kind": "k"}, {"name": "x", "type": "external"}, {"name": "b", "kind": "k", "after": ["x"]}`,
		before: sql(`select dag_id from dag_submit(format('{"name": "other", "nodes": [
				{"name": "c", "kind": "k", "rule": "any", "after": [{"job": %1$s}, {"job": %3$s}]},
				{"name": "e", "kind": "k", "rule": "done", "after": [{"job": %2$s}, {"job": %3$s}]}]}', node($1, 'a'), node($1, 't'), node($1, 'b'))::jsonb)`,
			take, doneA, `select fails($2, '{t}')`),
		a: sql(retry), b: sql(`select dag_hold((select id from jobs where kind = 'other'))`), want: states("t", "completed", "b", "completed", "DAG", "completed")},
	{name: "hold and cancel", dag: join2, before: sql(take, doneA), a: sql(hold), b: sql(cancelC), want: states("c", "cancelled", "DAG", "failed")},
	{name: "retry and cancel", dag: join2, before: sql(take, failsA), a: sql(retry), b: sql(cancel)},
}

// Duels about edges that come or go while a parent finishes.
var growingDuels = []duel{
	{name: "a parent finishes, a child of it is added", dag: `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}`, before: sql(take),
		a: sql(doneA), b: sql(`select dag_extend($1, '{"nodes": [{"name": "n", "kind": "k", "after": ["a"]}]}')`), want: states("n", "completed", "DAG", "completed")},
	{name: "the last node finishes, a child of it is added", dag: `{"name": "a", "kind": "k"}`, before: sql(take), refused: "PQ001",
		a: sql(doneA), b: sql(`select dag_extend($1, '{"nodes": [{"name": "n", "kind": "k", "after": ["a"]}]}')`), want: states("DAG", "completed")},
	{name: "a parent finishes, one more is added before the child", dag: join2, before: sql(take, doneB), refused: "PQ001",
		a: sql(doneA), b: sql(`select dag_extend($1, '{"nodes": [{"name": "n", "kind": "k", "before": ["c"]}]}')`), want: states("c", "completed", "DAG", "completed")},
	{name: "a parent finishes, one more is added between it and the child", dag: join2, before: sql(take, doneB), refused: "PQ001",
		a: sql(failsA), b: sql(`select dag_extend($1, '{"nodes": [{"name": "n", "kind": "k", "after": ["a"], "rule": "done", "before": ["c"]}]}')`), want: states("c", "skipped", "DAG", "failed")},
	{name: "two DAGs grow, each after a node of the other", dag: `{"name": "a", "kind": "k"}`,
		before: sql(`select dag_id from dag_submit('{"name": "other", "nodes": [{"name": "b", "kind": "k"}]}')`),
		a:      sql(`select dag_extend($1, format('{"nodes": [{"name": "n", "kind": "k", "after": [{"job": %s}]}]}', (select id from jobs where name = 'b'))::jsonb)`),
		b:      sql(`select dag_extend((select id from jobs where kind = 'other'), format('{"nodes": [{"name": "m", "kind": "k", "after": [{"job": %s}]}]}', node($1, 'a'))::jsonb)`),
		want:   states("n", "completed", "DAG", "completed")},
	{name: "the chores tell children, one is added", dag: wide, before: sql(take, doneA), small: true,
		a: sql(frontier), b: sql(`select dag_extend($1, '{"nodes": [{"name": "n", "kind": "k", "after": ["a"]}]}')`), want: states("n", "completed", "c4", "completed", "DAG", "completed")},
	{name: "the chores tell children, another DAG comes after the parent", dag: wide, before: sql(take, doneA), small: true,
		a: sql(frontier), b: sql(after("a")), want: states("c4", "completed", "DAG", "completed")},
	{name: "the chores tell children, the DAG is held", dag: wideAny, before: sql(take, doneB, frontier, doneA), small: true,
		a: sql(frontier), b: sql(hold), want: states("c4", "completed", "DAG", "completed")},
	{name: "the chores tell children, the parent is retried", dag: wide, before: sql(take, failsA), small: true,
		a: sql(frontier), b: sql(retry), want: states("c1", "completed", "c4", "completed", "DAG", "completed")},
	{name: "the chores tell children, a child is cancelled", dag: wide, before: sql(take, doneA), small: true,
		a: sql(frontier), b: sql(`select dag_cancel($1, '{c4}')`), want: states("c3", "completed", "c4", "cancelled", "DAG", "failed")},
	{name: "a job finishes, a DAG comes after it", dag: `{"name": "a", "kind": "k"}`, before: sql(take), a: sql(doneA), b: sql(after("a"))},
	{name: "a job fails, a DAG comes after it", dag: `{"name": "a", "kind": "k"}`, before: sql(take), a: sql(failsA), b: sql(after("a"))},
	{name: "a job is deleted, a DAG comes after it", dag: `{"name": "a", "kind": "k"}`, before: sql(`select enqueue('plain')`), refused: "PQ001",
		a: sql(`select delete(array[plain()])`), b: sql(afterPlain)},
	{name: "a finished job is deleted, a DAG comes after it", dag: `{"name": "a", "kind": "k"}`, before: sql(`select enqueue('plain')`, take, `select done($2, '{plain}')`),
		refused: "PQ001", a: sql(`select delete(array[plain()])`), b: sql(afterPlain)},
	{name: "a job is cancelled, a DAG comes after it", dag: `{"name": "a", "kind": "k"}`, before: sql(`select enqueue('plain')`),
		a: sql(`select cancel(array[plain()])`), b: sql(afterPlain)},
	{name: "a job is claimed, a DAG comes after it", dag: `{"name": "a", "kind": "k"}`, before: sql(`select enqueue('plain')`), a: sql(take), b: sql(afterPlain)},
	{name: "a job finishes, then is deleted, beside what comes after it", dag: `{"name": "a", "kind": "k"}`, before: sql(`select enqueue('plain')`, take, afterPlain),
		a: sql(`select done($2, '{plain}')`, `select delete(array[plain()])`), b: sql(doneA)},
	{name: "a job finishes, a DAG comes after it, all is deleted", dag: `{"name": "a", "kind": "k"}`, before: sql(`select enqueue('plain')`, afterPlain),
		a: sql(take), b: sql(`select delete(array[plain()])`)},
}

const (
	wideAny    = `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}, {"name": "c1", "kind": "k", "after": ["a", "b"], "rule": "any"}, {"name": "c2", "kind": "k", "after": ["a", "b"], "rule": "any"}, {"name": "c3", "kind": "k", "after": ["a", "b"], "rule": "any"}, {"name": "c4", "kind": "k", "after": ["a", "b"], "rule": "any"}`
	afterPlain = `select dag_id from dag_submit(format('{"name": "other", "nodes": [{"name": "n", "kind": "k", "after": [{"job": %s}]}]}', plain())::jsonb)`
)

// after submits a DAG of one node that comes after a node of the first one.
func after(name string) string {
	return `select dag_id from dag_submit(format('{"name": "other", "nodes": [{"name": "n", "kind": "k", "after": [{"job": %s}]}]}', node($1, '` + name + `'))::jsonb)`
}

func TestAllDuelsOverEdgesEndWell(t *testing.T) {
	t.Parallel()
	fightAll(t, growingDuels)
}

func TestAllDuelsOfNeighboursInDAGsEndWell(t *testing.T) {
	t.Parallel()
	fightAll(t, finishingDuels)
}

// fightAll fights duels in all orders of their steps, each group in databases of its own.
func fightAll(t *testing.T, duels []duel) {
	work := make(chan duel, 2*len(duels))
	for _, d := range duels {
		work <- d
	}
	close(work)
	var all sync.WaitGroup
	var mu sync.Mutex
	var count, blocked int
	for range 3 {
		usual, small := newDueller(t, false), newDueller(t, true)
		all.Go(func() {
			for duel := range work {
				d := usual
				if duel.small {
					d = small
				}
				for _, schedule := range orders(len(duel.a), len(duel.b)) {
					d.fight(duel, schedule)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			count, blocked = count+usual.count+small.count, blocked+usual.blocked+small.blocked
		})
	}
	all.Wait()
	t.Logf("%d duels, %d schedules, %d of them with a step that had to wait", len(duels), count, blocked)
	if blocked == 0 {
		t.Error("no step ever waited: the schedules do not interleave")
	}
}
