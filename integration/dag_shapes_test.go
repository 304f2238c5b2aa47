package integration

import (
	"maps"
	"slices"
	"testing"
)

// shape is a DAG that is large in one way.
type shape struct {
	name    string
	nodes   string // a query for the nodes of the document, as JSON
	workers int
	slots   int
	// ended is how many jobs end in which state.
	ended map[string]int64
}

const depends = -1

var shapes = []shape{
	{"ten thousand before one", `select jsonb_build_object('name', 'a' || i, 'kind', 'deed', 'args', '{}'::jsonb) from generate_series(1, 10000) i
		union all select jsonb_build_object('name', 'z', 'kind', 'deed', 'args', '{}'::jsonb, 'after', (select jsonb_agg('a' || i) from generate_series(1, 10000) i))`,
		2, 200, map[string]int64{"completed": 10002}},
	{"one before twenty thousand", `select jsonb_build_object('name', 'a', 'kind', 'deed', 'args', '{}'::jsonb)
		union all select jsonb_build_object('name', 'z' || i, 'kind', 'deed', 'args', '{}'::jsonb, 'after', '["a"]'::jsonb) from generate_series(1, 20000) i`,
		2, 200, map[string]int64{"completed": 20002}},
	{"a chain of ten thousand that is skipped", `select jsonb_build_object('name', 'n1', 'kind', 'deed', 'args', '{"fail": true}'::jsonb)
		union all select jsonb_build_object('name', 'n' || i, 'kind', 'deed', 'after', jsonb_build_array('n' || i - 1)) from generate_series(2, 10000) i`,
		1, 4, map[string]int64{"failed": 2, "skipped": 9999}},
	{"a ladder of two hundred levels", `select jsonb_build_object('name', side || i, 'kind', 'deed', 'args', '{}'::jsonb,
			'after', case when i = 1 then '[]'::jsonb else jsonb_build_array('l' || i - 1, 'r' || i - 1) end)
		from generate_series(1, 200) i, unnest('{l,r}'::text[]) side`,
		2, 2, map[string]int64{"completed": 401}},
	{"a map of ten thousand that tolerates too little", `values (jsonb_build_object('name', 'a', 'kind', 'deed', 'args', jsonb_build_object('output', jsonb_build_object(
			'risk', 1, 'list', (select jsonb_agg(case when i % 10 = 0 then '{"fail": true}'::jsonb else '{}' end) from generate_series(1, 10000) i))))),
		('{"name": "m", "type": "map", "over": "a", "path": "$.list[*]", "kind": "deed", "tolerate": 1, "window": 200}'), ('{"name": "z", "kind": "deed", "after": ["m"]}')`,
		2, 50, map[string]int64{"completed": depends, "failed": depends, "skipped": depends}},
	{"twenty that finish at once before one", `select jsonb_build_object('name', 'a' || i, 'kind', 'deed', 'args', '{}'::jsonb) from generate_series(1, 1000) i
		union all select jsonb_build_object('name', 'z' || i, 'kind', 'deed', 'args', '{}'::jsonb, 'after', (select jsonb_agg('a' || i) from generate_series(1, 1000) i)) from generate_series(1, 3) i`,
		20, 1, map[string]int64{"completed": 1004}},
}

func TestLargeDAGsEnd(t *testing.T) {
	t.Parallel()
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			pool := connect(t, w.url)
			for range shape.workers {
				w.work(pool, shape.slots)
			}
			w.exec("select pgq.dag_submit(jsonb_build_object('name', 'large', 'nodes', (select jsonb_agg(n) from (" + shape.nodes + ") s(n))))")
			w.becomes(0, "select count(*) from pgq.waiting where role = 'dag'")
			w.exec("analyze") // or the check takes tables of ten thousand rows for empty
			w.check()
			w.is(0, "deadlocks", deadlocks)
			w.is(0, "rows of the frontier", "select count(*) from pgq.frontier")
			w.is(0, "jobs that ran more than once", "select count(*) from pgq.results where attempt > 1 and job_id not in (select job_id from pgq.events where data ? 'lease_lost')")
			for state, n := range shape.ended {
				if n != depends {
					w.is(n, state, "select count(*) from pgq.results where state = $1", state)
				}
			}
			w.is(0, "states that were not to be", "select count(*) from pgq.results where state <> all($1)", slices.Collect(maps.Keys(shape.ended)))
			if shape.ended["failed"] == depends {
				w.mapFailedInTime()
			}
		})
	}
}

// mapFailedInTime checks a map of ten thousand items that tolerates a hundred failures, every tenth of its items.
func (w *world) mapFailedInTime() {
	w.t.Helper()
	failed := w.number("select count(*) from pgq.results f join pgq.jobs j on j.id = f.job_id where f.state = 'failed' and j.name like 'm[%'")
	skipped := w.number("select count(*) from pgq.results f join pgq.jobs j on j.id = f.job_id where f.state = 'skipped' and j.name like 'm[%'")
	if failed <= 100 || failed > 150 || skipped == 0 {
		w.t.Errorf("%d items failed, %d were skipped: it went on although a hundred failures are all it tolerates", failed, skipped)
	}
	w.is(1, "failed maps", "select count(*) from pgq.results f join pgq.jobs j on j.id = f.job_id where f.state = 'failed' and j.name = 'm' and f.cause_id is not null")
	w.is(1, "nodes skipped for it", "select count(*) from pgq.results f join pgq.jobs j on j.id = f.job_id where f.state = 'skipped' and j.name = 'z' and f.cause_id is not null")
}
