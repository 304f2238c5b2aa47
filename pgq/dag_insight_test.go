package pgq_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
)

// diamond is DAG 1 with nodes 2 to 5: a; b and c after a; d after b and, softly, c.
const diamond = `select dag_submit('{"name": "diamond", "nodes": [{"name": "a", "kind": "x"}, {"name": "b", "kind": "x", "after": ["a"]},
	{"name": "c", "kind": "y", "after": ["a"]}, {"name": "d", "kind": "x", "after": ["b", {"node": "c", "soft": true}]}]}'); `

// etl is DAG 1 with a map (3) over list (2), a sub-DAG (4) with two nodes (5, 6) and a gate (9), an answer (7) and a sleep (8).
const etl = `select dag_submit('{"name": "etl", "key": "monday", "queue": "q", "priority": 3, "deadline": "1 h", "output": "nap",
	"tags": ["t"], "metadata": {"m": 1}, "nodes": [{"name": "list", "kind": "list"},
	{"name": "thumbs", "type": "map", "over": "list", "kind": "thumb", "window": 2, "tolerate": 50},
	{"name": "sub", "type": "dag", "after": ["list"]}, {"name": "sub/extract", "kind": "x"}, {"name": "sub/load", "kind": "x", "after": ["sub/extract"]},
	{"name": "approve", "type": "external", "timeout": "1 day", "after": ["sub", {"node": "list", "when": "$[0] == 1"}]},
	{"name": "nap", "type": "sleep", "delay": "1 hour", "after": ["approve", "thumbs"], "rule": "at_least", "at_least": 1}]}'); `

// ran claims everything there is and completes jobs, in their first attempts.
func ran(jobs string) string {
	return fmt.Sprintf(`select count(*) from claim(1, '{default,q}', '{9,9}');
		select complete(1, '{%[1]s}', array_fill(1, array[cardinality('{%[1]s}'::bigint[])])); `, jobs)
}

// timed says when a finished job was claimed and finished, in seconds after its DAG was submitted.
func timed(job int, from, to float64) string {
	return fmt.Sprintf("update results set claimed_at = now() + interval '%.0f s', finished_at = now() + interval '%.0f s' where job_id = %d; ", from, to, job)
}

// diamondRan is a diamond that ran for 40 seconds, a for 9, b for 4, c for 18 and d for 9 of them.
var diamondRan = diamond + ran("2") + ran("3,4") + ran("5") + timed(2, 1, 10) + timed(3, 11, 15) + timed(4, 12, 30) + timed(5, 31, 40)

func TestDagViewsCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "a DAG", given: etl, call: "select id, name, key, queue, priority, state, held, finished_at, deadline - created_at as d, on_failure, output, forked_from, tags, metadata, error, cause_id from dags",
			want: `(1,etl,monday,q,3,running,f,,01:00:00,continue,nap,,{t},"{""m"": 1}",,)`},
		{name: "a plain one", given: diamond, call: "select on_failure, key, deadline, output from dags", want: "(continue,,,)"},
		{name: "one that fails fast", given: replaceOnce(diamond, `"nodes"`, `"on_failure": "cancel", "nodes"`), call: "select on_failure from dags", want: "(cancel)"},
		{name: "no DAGs are jobs and sub-DAGs", given: "select enqueue('a'); " + etl, call: "select name from dags", want: "(etl)"},
		{name: "one that is held", given: diamond + "select dag_hold(1)", call: "select state, held from dags", want: "(held,t)"},
		{name: "one that ended", given: diamondRan, call: "select state, held, finished_at is not null as f from dags", want: "(completed,f,t)"},
		{name: "one that failed", given: diamond + ran("") + "select fail(1, '{2}', '{1}', '{boom}', null, '{f}')", call: "select state, error, cause_id from dags",
			want: `(failed,"a failed",2)`},

		{name: "nodes", given: etl, call: "select job_id, name, scope, role, kind, queue, state, attempt, rule, pending, ok, failed, skipped, held from dag_nodes where dag_id = 1 order by job_id",
			want: `(2,list,,,list,q,ready,0,all,,,,,f) (3,thumbs,,map,map,q,waiting,0,all,1,0,0,0,f) (4,sub,,dag,dag,q,waiting,0,all,*,0,0,0,f) ` +
				`(5,sub/extract,sub,,x,q,waiting,0,all,1,0,0,0,f) (6,sub/load,sub,,x,q,waiting,0,all,1,0,0,0,f) ` +
				`(7,approve,,external,external,q,waiting,0,all,2,0,0,0,f) (8,nap,,sleep,sleep,q,waiting,0,at_least,2,0,0,0,f) ` +
				`(9,"sub/(start)",sub,gate,gate,q,waiting,0,all,1,0,0,0,f)`},
		{name: "nodes that ran", given: diamondRan, call: "select name, state, attempt, worker_id, duration from dag_nodes where dag_id = 1 order by job_id",
			want: "(a,completed,1,1,00:00:09) (b,completed,1,1,00:00:04) (c,completed,1,1,00:00:18) (d,completed,1,1,00:00:09)"},
		{name: "nodes that did not run", given: diamond + ran("") + "select fail(1, '{2}', '{1}', '{boom}', null, '{f}')",
			call: "select name, state, error, cause_id, cause from dag_nodes order by job_id", want: `(a,failed,boom,,) (b,skipped,"a failed",2,a) (c,skipped,"a failed",2,a) (d,skipped,"a failed",2,a)`},

		{name: "edges", given: etl, call: "select dag_id, parent_id, parent, child_id, child, soft, condition from dag_edges where child is distinct from 'sub' order by child_id, parent_id",
			want: `(1,3,thumbs,1,,t,) (1,7,approve,1,,t,) (1,8,nap,1,,f,) (1,2,list,3,thumbs,f,) (1,9,"sub/(start)",5,sub/extract,f,) *`},
		{name: "edges of a node", given: etl, call: "select parent, child, soft, condition from dag_edges where dag_id = 1 and child = 'approve' order by parent",
			want: `(list,approve,f,"($[0] == 1)") (sub,approve,f,)`},
		{name: "soft ones", given: diamond, call: "select parent, child, soft from dag_edges where dag_id = 1 order by child_id, parent_id",
			want: `(d,,f) (a,b,f) (a,c,f) (b,d,f) (c,d,t)`},
		{name: "a parent that is not of the DAG", given: `select enqueue('a'); select dag_submit('{"name": "z", "nodes": [{"name": "n", "kind": "x", "after": [{"job": 1}]}]}')`,
			call: "select * from dag_edges order by child_id", want: "(2,3,n,2,,f,) (2,1,,3,n,f,)"},

		{name: "blockers", given: diamond + ran("2") + ran("3"), call: "select dag_id, node, job_id, parent_id, parent, parent_state, since = now() as s from dag_blockers",
			want: "(1,d,5,4,c,running,t)"},
		{name: "blockers are gates, too", given: etl, call: "select node, parent, parent_state from dag_blockers where dag_id = 1 and node <> 'sub' order by job_id, parent_id",
			want: `(thumbs,list,ready) (sub/extract,"sub/(start)",waiting) (sub/load,sub/extract,waiting) (approve,list,ready) (approve,sub,waiting) (nap,thumbs,waiting) (nap,approve,waiting) ("sub/(start)",list,ready)`},
		{name: "nothing blocks what has ended", given: diamondRan, call: "select * from dag_blockers", want: ""},
		{name: "nothing blocks what waits for an answer", given: `select dag_submit('{"name": "z", "nodes": [{"name": "n", "type": "external"}]}')`, call: "select * from dag_blockers", want: ""},
	})
}

func TestDagProgressCases(t *testing.T) {
	t.Parallel()
	// All times are in thousands of seconds, so that it does not matter how long the test takes.
	const remaining = "select total, completed, round(extract(epoch from remaining) / 1000, 1) as r from dag_progress"
	// Two earlier runs took 40 and 60; their nodes 10, 20, 30 and 40.
	earlier := ""
	for _, dag := range []int{1, 6} {
		earlier += diamond + ran(fmt.Sprint(dag+1)) + ran(fmt.Sprintf("%d,%d", dag+2, dag+3)) + ran(fmt.Sprint(dag+4)) +
			timed(dag+1, 0, 10e3) + timed(dag+2, 0, 20e3) + timed(dag+3, 0, 30e3) + timed(dag+4, 0, 40e3) +
			fmt.Sprintf("update results set finished_at = now() + interval '%d s' where job_id = %d; ", 36000+4000*dag, dag)
	}
	// Now a took from 30 to 18 ago, and b and c have been running since.
	const underWay = `update jobs set created_at = now() - interval '40000 s' where id = %[1]d;
		update results set claimed_at = now() - interval '30000 s', finished_at = now() - interval '18000 s' where job_id = %[1]d + 1;
		update running set claimed_at = now() - interval '18000 s' where job_id in (%[1]d + 2, %[1]d + 3)`
	const submitted = `select dag_submit('{"name": "m", "nodes": [{"name": "l", "kind": "l"}, {"name": "m", "type": "map", "over": "l", "kind": "k"}]}'); `
	// completed completes up to n jobs, with a list of four.
	completed := func(n int) string {
		return fmt.Sprintf(`select count(*) from claim(1, '{default}', '{9}');
			select complete(1, array_agg(job_id), array_agg(1), array_agg('[1, 2, 3, 4]'::jsonb)) from (select job_id from running order by job_id limit %d) r; `, n)
	}
	// The list of an earlier run took one, its items took ten each.
	const mapped = `update results f set claimed_at = now(), finished_at = now() + case when j.name = 'l' then interval '1000 s' else interval '10000 s' end
		from jobs j where j.id = f.job_id and j.role is null; `
	verbTest(t, []verbCase{
		{name: "of what is no DAG", given: "select enqueue('a')", call: "select * from dag_progress(1)", want: "PQ004 there is no DAG 1"},
		{name: "of a sub-DAG", given: etl, call: "select * from dag_progress(4)", want: "PQ004 there is no DAG 4"},
		{name: "of null", call: "select * from dag_progress(null)", want: "PQ004 there is no DAG null"},
		{name: "at the start", given: diamond, call: "select * from dag_progress(1)", want: "(4,3,0,1,0,0,0,0,0,0,0,*,)"},
		{name: "under way", given: diamond + ran("2") + "select count(*) from claim(1, '{default}', '{1}')", call: "select * from dag_progress(1)",
			want: "(4,1,0,1,1,1,0,0,0,0,0.25,*,00:00:*)"},
		{name: "every state", given: diamond + ran("2") + ran("") + "select fail(1, '{3}', '{1}', '{boom}', null, '{f}'); select fail(1, '{4}', '{1}', '{boom}', '{1 h}')",
			call: "select * from dag_progress(1)", want: "(4,1,1,0,0,1,1,0,0,0,0.5,*)"},
		{name: "nodes that no handler runs do not count", given: etl, call: "select * from dag_progress(1)", want: "(3,2,0,1,0,0,0,0,0,0,0,*,)"},
		{name: "items count", given: submitted + completed(1), call: "select * from dag_progress(1)", want: "(5,0,0,4,0,1,0,0,0,0,0.2,*)"},
		{name: "at the end", given: diamondRan, call: "select total, completed, fraction, remaining from dag_progress(1)", want: "(4,4,1,00:00:00)"},
		{name: "of a DAG that was skipped", given: diamond + ran("") + "select fail(1, '{2}', '{1}', '{boom}', null, '{f}')",
			call: "select failed, skipped, fraction, remaining from dag_progress(1)", want: "(1,3,1,00:00:00)"},

		{name: "remaining by its own pace", given: diamond + ran("2") + ran("") + fmt.Sprintf(underWay, 1), call: remaining + "(1)", want: "(4,1,90.0)"},
		{name: "remaining by what earlier runs took", given: earlier + diamond, call: remaining + "(11)", want: "(4,0,50.0)"},
		// Left are 20 - 18 of b, 30 - 18 of c, and d; two run at a time, which is more than 48 in 30.
		{name: "remaining by earlier runs", given: earlier + diamond + ran("12") + ran("") + fmt.Sprintf(underWay, 11), call: remaining + "(11)", want: "(4,1,27.0)"},
		{name: "earlier runs that failed count", given: earlier + "update results set state = 'failed' where job_id = 6; " + diamond, call: remaining + "(11)", want: "(4,0,50.0)", broken: true},
		{name: "those that were cancelled do not", given: earlier + "update results set state = 'cancelled' where job_id = 6; " + diamond, call: remaining + "(11)", want: "(4,0,40.0)", broken: true},
		{name: "nodes that no earlier run knew take the mean", given: earlier + diamond + ran("12") + ran("") + fmt.Sprintf(underWay, 11) + "; update jobs set name = 'new' where id = 15",
			call: remaining + "(11)", want: "(4,1,19.5)", broken: true}, // (2 + 12 + 25) / 2
		{name: "earlier runs that knew none of the nodes do not help", given: earlier + diamond + ran("12") + ran("") + fmt.Sprintf(underWay, 11) + "; update jobs set name = name || 'x' where dag_id = 11",
			call: remaining + "(11)", want: "(4,1,90.0)", broken: true},
		{name: "a map that has not begun has as many items as before", given: submitted + completed(1) + completed(4) + mapped + submitted + "select count(*) from claim(1, '{default}', '{1}')",
			call: remaining + "((select max(id) from dags))", want: "(1,0,41.0)"},
		{name: "a map under way", given: submitted + completed(1) + completed(4) + mapped + submitted + completed(1) + completed(2) +
			`update results f set claimed_at = now() - interval '10000 s', finished_at = now() from jobs j where j.id = f.job_id and j.dag_id = (select max(id) from dags) and j.role is null;
			update running set claimed_at = statement_timestamp()`,
			call: remaining + "((select max(id) from dags))", want: "(5,3,6.7)"}, // 20 / (30 / 10)
	})
}

func TestDagPathAndLevelsCases(t *testing.T) {
	t.Parallel()
	const path = "select position, name, waited, ran, round(share::numeric, 3) as share from dag_critical_path(1)"
	mapped := `select dag_submit('{"name": "m", "nodes": [{"name": "l", "kind": "l"}, {"name": "m", "type": "map", "over": "l", "kind": "k"}, {"name": "e", "kind": "k", "after": ["m"]}]}');
		select count(*) from claim(1, '{default}', '{1}'); select complete(1, '{2}', '{1}', '{"[1,2]"}'); ` + ran("5,6") + ran("4") + timed(2, 0, 10) + timed(3, 40, 40) + timed(5, 10, 20) + timed(6, 10, 40) + timed(4, 45, 50)
	inSub := `select dag_submit('{"name": "s", "nodes": [{"name": "l", "kind": "l"}, {"name": "s", "type": "dag", "after": ["l"]}, {"name": "s/x", "kind": "k"}, {"name": "e", "kind": "k", "after": ["s"]}]}'); ` +
		ran("2") + ran("4") + ran("5") + timed(2, 0, 10) + timed(4, 10, 30) + timed(5, 30, 40)
	verbTest(t, []verbCase{
		{name: "the path of nothing", given: diamond, call: path, want: ""},
		{name: "the path of what is no DAG", call: path, want: "PQ004 there is no DAG 1"},
		{name: "the path", given: diamondRan, call: path, want: "(1,a,00:00:01,00:00:09,0.250) (2,c,00:00:02,00:00:18,0.500) (3,d,00:00:01,00:00:09,0.250)"},
		{name: "the path so far", given: diamond + ran("2") + ran("3") + timed(2, 0, 10) + timed(3, 15, 20), call: path, want: "(1,a,00:00:00,00:00:10,0.500) (2,b,00:00:05,00:00:05,0.500)"},
		{name: "the path to a node that did not wait for all", given: `select dag_submit('{"name": "z", "nodes": [{"name": "a", "kind": "x"}, {"name": "b", "kind": "x"},
			{"name": "c", "kind": "x", "after": ["a", "b"], "rule": "any"}]}'); ` + ran("2") + ran("3,4") + timed(2, 0, 10) + timed(3, 0, 15) + timed(4, 10, 20), call: path,
			want: "(1,a,00:00:00,00:00:10,0.500) (2,c,00:00:00,00:00:10,0.500)"},
		{name: "the path through a map", given: mapped, call: path, want: "(1,l,00:00:00,00:00:10,0.200) (2,m[1],00:00:00,00:00:30,0.600) (3,e,00:00:05,00:00:05,0.200)"},
		{name: "the path through a sub-DAG", given: inSub, call: path, want: "(1,l,00:00:00,00:00:10,0.250) (2,s/x,00:00:00,00:00:20,0.500) (3,e,00:00:00,00:00:10,0.250)"},
		{name: "the path through an answer", given: `select dag_submit('{"name": "z", "nodes": [{"name": "a", "type": "external"}, {"name": "b", "kind": "x", "after": ["a"]}]}'); select dag_complete(1, 'a'); ` +
			ran("3") + "update results set finished_at = now() + interval '30 s' where job_id = 2; " + timed(3, 35, 40), call: path, want: "(1,a,00:00:00,00:00:30,0.750) (2,b,00:00:05,00:00:05,0.250)"},
		{name: "the path from a job that is not of the DAG", given: `select enqueue('a'); select dag_submit('{"name": "z", "nodes": [{"name": "n", "kind": "x", "after": [{"job": 1}]}]}'); ` + ran("1") + ran("3") +
			timed(1, 0, 10) + timed(3, 10, 40), call: "select position, name, job_id, ran from dag_critical_path(2)", want: `(1,"job 1",1,00:00:10) (2,n,3,00:00:30)`},

		{name: "the slowest", given: diamondRan, call: "select * from dag_slowest(1, 2)", want: "(c,4,y,completed,1,1,00:00:18) (a,2,x,completed,1,1,00:00:09)"},
		{name: "the slowest are running", given: diamond + ran("2") + ran("3") + timed(2, 0, 10) + "update running set claimed_at = now() - interval '1 h'", call: "select name, state, ran > interval '1 h' as r from dag_slowest(1)",
			want: "(c,running,t) (a,completed,f) (b,completed,f)"},
		{name: "none of the slowest", given: diamondRan, call: "select * from dag_slowest(1, 0)", want: "PQ001 at_most must be 1 to 10000"},
		{name: "the slowest of nothing", given: diamond, call: "select * from dag_slowest(1)", want: ""},

		{name: "levels", given: diamond, call: "select * from dag_levels(1)", want: "(a,0) (b,1) (c,1) (d,2)"},
		{name: "levels with a sub-DAG", given: etl, call: "select * from dag_levels(1)", want: "(list,0) (thumbs,1) (sub/extract,1) (sub/load,2) (sub,3) (approve,3) (nap,4)"},
		{name: "levels with items", given: mapped, call: "select * from dag_levels(1)", want: "(l,0) (m,1) (e,2)"},
		{name: "levels of what is no DAG", call: "select * from dag_levels(1)", want: "PQ004 there is no DAG 1"},
	})
}

// A ladder of n rungs has 2^n paths from one end to the other.
func TestDagInsightFollowsNoPathTwice(t *testing.T) {
	t.Parallel()
	w := &world{T: t, pool: pgtest.Pool(t), q: pgq.New(pgq.Config{})} // rows by hand, which no Check would like
	conn := w.session()
	const rungs = 5000
	_, err := conn.Exec(t.Context(), `
		insert into jobs (id, queue, kind, role, spec) values (1, 'q', 'ladder', 'dag', '{}');
		insert into jobs (id, queue, kind, dag_id, name, rule) select 1 + i, 'q', 'k', 1, 'node ' || i, 'all' from generate_series(1, 10000) i;
		insert into edges (parent_id, child_id) select 1 + 2 * r - p, 1 + 2 * r + c from generate_series(1, 4999) r, generate_series(0, 1) p, generate_series(1, 2) c;
		insert into edges (parent_id, child_id) values (10000, 1), (10001, 1);
		insert into waiting (job_id, queue, role, pending, need_ok, need_failed, max_failed, max_skipped)
		select id, 'q', role, 2, 0, 0, 0, 0 from jobs where id not in (2, 3);
		insert into ready (queue, priority, seq, job_id, kind) values ('q', 5, 2, 2, 'k');
		insert into running (job_id, queue, attempt, worker_id, claimed_at) values (3, 'q', 1, 1, now());`)
	must(t, err)
	for call, want := range map[string]string{
		"select max(level)::text from dag_levels(1)":                                                    fmt.Sprint(rungs - 1),
		"select count(*)::text from dag_levels(1)":                                                      "10000",
		"select concat_ws(' ', total, waiting, ready, running) from dag_progress(1)":                    "10000 9998 1 1",
		"select string_agg(reason, ' ') from dag_explain(1, 'node 1000')":                               "parents parent parent blocked",
		"select detail from dag_explain(1, 'node 1000') where reason = 'blocked'":                       "node 1: no worker: no live worker serves queue q",
		"select count(*)::text from dag_blockers where dag_id = 1":                                      "19996",
		"select concat_ws(' ', jsonb_array_length(g -> 'nodes'), g -> 'more') from dag_graph_json(1) g": "500 9500",
	} {
		start := time.Now()
		if got := one[string](t, conn, call); got != want {
			t.Errorf("%s\n got %s\nwant %s", call, got, want)
		}
		t.Logf("%6s %s", time.Since(start).Round(time.Millisecond), call)
	}
}
