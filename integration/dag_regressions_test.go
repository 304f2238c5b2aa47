package integration

import (
	"context"
	"strings"
	"testing"
)

// story is a bug that was: what went wrong, in a sentence, and the steps that led to it, after each of which every invariant must
// hold. Steps that begin with "is " are questions, of which the answer must be yes.
type story struct {
	wrong   string
	dag     string
	options string
	small   bool
	steps   []string
	want    map[string]string
}

const (
	loose     = `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}`
	eagerExt  = loose + `, {"name": "x", "type": "external", "after": ["a", "b"], "rule": "any"}, {"name": "c", "kind": "k", "after": ["x"]}`
	eagerMap  = loose + `, {"name": "m", "type": "map", "kind": "k", "over": "a", "after": ["b"], "rule": "any"}`
	doneExt   = loose + `, {"name": "x", "type": "external", "after": ["a", "b"], "rule": "done"}`
	softMap   = loose + `, {"name": "m", "type": "map", "kind": "k", "over": "a", "after": ["a", {"node": "b", "soft": true}]}`
	doneMap   = loose + `, {"name": "m", "type": "map", "kind": "k", "over": "a", "after": ["a", "b"], "rule": "done"}`
	halfMap   = `{"name": "a", "kind": "k"}, {"name": "m", "type": "map", "kind": "k", "over": "a", "tolerate": 50}`
	gated     = `{"name": "a", "kind": "k"}, {"name": "s", "type": "dag", "after": ["a"]}, {"name": "s/b", "kind": "k"}`
	twoItems  = `select done($2, '{a}', '[1, 2]')`
	failItem1 = `select fails($2, '{m[1]}')`
	isOpen    = `is select count(*) = 1 from pgq.waiting where role = 'signal'`
	bothFail  = `select fails($2, '{a,b}')`
	twoOf     = `is select output = '{"items": 2, "failed": 0}' from pgq.results where job_id = node($1, 'm')`
)

var stories = []story{
	{"an external node that was reached early counted the parents that ended later, and ended unanswered", eagerExt, "", false,
		sql(take, doneA, failsB, isOpen, answer), states("x", "completed", "c", "completed", "DAG", "completed")},
	{"a map of an eager rule began before its source had ended, and failed", eagerMap, "", false,
		sql(take, doneB, `is select state = 'waiting' from pgq.job_states where name = 'm'`, twoItems, take, item0),
		states("m[1]", "completed", "m", "completed", "DAG", "completed")},
	{"a retry of its parents let an external node that was reached wait for them again, and their end ended it unanswered", doneExt, "", false,
		sql(take, bothFail, retry, take, bothFail, isOpen), states("x", "completed", "DAG", "failed")},
	{"a map of which an item was retried counted its source as an item", softMap, "", false,
		sql(take, twoItems, doneB, take, item0, failItem1, retry, take, `select done($2, '{m[1]}')`, twoOf),
		states("m", "completed", "DAG", "completed")},
	{"a map of which an item was retried counted the failure of a parent, and failed", doneMap, "", false,
		sql(take, twoItems, failsB, take, item0, failItem1, `select dag_retry($1, 'failed', '{m,m[*}')`, take, `select done($2, '{m[1]}')`, twoOf),
		states("m", "completed", "DAG", "failed")},
	{"an item that was retried made its map forget the items that did not exist yet", halfMap, "", true,
		sql(`select take($2)`, doneA, take, `select fails($2, '{m[0]}')`, retry, `is select pending = 5 from pgq.waiting where role = 'items'`),
		states("m[0]", "completed", "m[4]", "completed", "m", "completed", "DAG", "completed")},
	{"an external node that was answered in time and retried left its timeout behind",
		`{"name": "x", "type": "external", "timeout": "1 day"}`, "", false,
		sql(refuse, retry, isOpen, `is select count(*) = 1 from pgq.expiries`), states("x", "completed", "DAG", "completed")},
	{"a DAG that was retried was cut off by its old deadline", loose, `, "deadline": "1 day"`, false,
		sql(take, failsA, doneB, retry, `select elapse()`, expire),
		states("a", "completed", "DAG", "completed")},
	{"a node that was added to a sub-DAG under way waited for the gate that had opened already", gated, "", false,
		sql(take, doneA, take, `select dag_extend($1, '{"nodes": [{"name": "s/n", "kind": "k"}]}')`, `select done($2, '{s/b}')`,
			`is select take($2) = 1`), states("s/n", "completed", "s", "completed", "DAG", "completed")},
	{"a sub-DAG of rule all_failed that a node was added to waited for failures in it, and was skipped",
		`{"name": "a", "kind": "k"}, {"name": "s", "type": "dag", "after": ["a"], "rule": "all_failed"}, {"name": "s/b", "kind": "k"}`, "", false,
		sql(take, failsA, take, `select dag_extend($1, '{"nodes": [{"name": "s/n", "kind": "k"}]}')`),
		states("s/n", "completed", "s", "completed", "DAG", "failed")},
	{"a DAG that was retried although all in it had succeeded became ready for workers", loose, "", false,
		sql(take, doneA, doneB, `is select outcome = 'finished' from retry(array[$1::bigint])`, `is select count(*) = 0 from pgq.ready`),
		states("DAG", "completed")},
	{"a map that was retried although all its items had succeeded became ready for workers", mapping, "", false,
		sql(take, twoItems, take, item0, `select done($2, '{m[1]}')`, `select retry(array[node($1, 'm')])`, `is select count(*) = 1 from pgq.ready`),
		states("m", "completed", "c", "completed", "DAG", "completed")},
	{"a retry of all that comes after a node reached into another DAG, without the locks for that", `{"name": "a", "kind": "k"}`, "", false,
		sql(after("a"), take, doneA, take, `select done($2, '{n}')`, `select dag_retry($1, 'from', '{a}')`,
			`is select f.state = 'completed' from pgq.jobs j join pgq.results f on f.job_id = j.id where j.name = 'n'`), states("a", "completed")},
	{"a fork of a DAG whose map had been cut off added the missing items and never started them", mapping, "", true,
		sql(take, doneA, cancel, `select dag_fork($1, '{m}')`), states("DAG", "cancelled")},
	{"a DAG that was cancelled ended before a sub-DAG of which a node still ran", `{"name": "s", "type": "dag"}, {"name": "s/r", "kind": "k"}, {"name": "c", "kind": "k", "after": ["s"]}`, "", false,
		sql(take, cancel, `select done($2, '{s/r}')`), states("s/r", "completed", "c", "cancelled", "DAG", "cancelled")},
	{"a DAG that was cancelled ended before a map of which an item still ran", mapping, "", false,
		sql(take, twoItems, take, cancel, item0, `select done($2, '{m[1]}')`), states("m", "cancelled", "c", "cancelled", "DAG", "cancelled")},
	{"a node that a claim found expired did not end a DAG that fails fast",
		`{"name": "a", "kind": "k", "ttl": "1 day"}, {"name": "b", "kind": "k", "delay": "1 hour"}`, `, "on_failure": "cancel"`, false,
		sql(`select overdue(node($1, 'a'))`, take, frontier, expire), states("a", "expired", "b", "cancelled", "DAG", "failed")},
	{"the entry by which a failure ends a DAG with a deadline that fails fast broke an invariant", loose,
		`, "on_failure": "cancel", "deadline": "1 hour"`, false, sql(take, failsA, expire, doneB), states("a", "failed", "DAG", "failed")},
	{"a DAG that fails fast was cancelled although what had failed was retried before the chores came", loose, `, "on_failure": "cancel"`, false,
		sql(take, failsA, retry, take, doneA, expire), states("a", "completed", "b", "completed", "DAG", "completed")},
	{"a node of rule none_skipped hid the failure of its parent, and the DAG was completed",
		`{"name": "a", "kind": "k"}, {"name": "c", "kind": "k", "after": ["a"], "rule": "none_skipped"}`, "", false,
		sql(take, failsA), states("c", "completed", "DAG", "failed")},
	{"a sub-DAG ended before its gate was decided when nothing in it waited for the gate",
		`{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}, {"name": "s", "type": "dag", "after": ["a"]},
		 {"name": "s/n", "kind": "k", "after": ["b"], "rule": "done"}`, "", false,
		sql(take, doneB, take, `select done($2, '{s/n}')`, `is select state = 'waiting' from pgq.job_states where name = 's'`, failsA),
		states("s/n", "completed", "s", "skipped", "DAG", "failed")},
}

func TestBugsOfDAGsStayFixed(t *testing.T) {
	t.Parallel()
	usual, small := newDueller(t, false), newDueller(t, true)
	for _, s := range stories {
		t.Run(s.wrong, func(t *testing.T) {
			d := usual
			if s.small {
				d = small
			}
			d.tell(t, s)
		})
	}
}

// tell makes the steps of a story and brings the DAG to its end.
func (d *dueller) tell(t *testing.T, s story) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	d.broken = nil
	as := duel{dag: s.dag, options: s.options, want: s.want}
	dag, worker, err := d.arrange(ctx, as)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range s.steps {
		statement, isQuestion := strings.CutPrefix(step, "is ")
		if isQuestion {
			var yes bool
			sql := "select answer from (select $1::bigint, $2::bigint) p, lateral (" + statement + ") s(answer)"
			if err := d.control.QueryRow(ctx, sql, dag, worker).Scan(&yes); err != nil || !yes {
				t.Errorf("%s: %v, %v", step, yes, err)
			}
		} else if _, err := d.control.Exec(ctx, withArgs(sql(statement))[0], dag, worker); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		d.invariants(ctx, "after "+step)
	}
	d.drained(ctx, worker)
	d.invariants(ctx, "in the end")
	d.ended(ctx, as, dag)
	for _, broken := range d.broken {
		t.Error(broken)
	}
}
