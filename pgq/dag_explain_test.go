package pgq_test

import "testing"

func TestDagExplainCases(t *testing.T) {
	t.Parallel()
	explain := func(node string) string { return "select * from dag_explain(1, " + node + ")" }
	const alive = "update workers set queues = '{default,q}', kinds = '{x,y,list,thumb,a}'; "
	const failed = `select fail(1, '{%}', '{1}', '{boom}', null, '{f}'); `
	listed := etl + "select count(*) from claim(1, '{q}', '{1}'); select complete(1, '{2}', '{1}', '{\"[1,2,3,4]\"}'); "
	verbTest(t, []verbCase{
		{name: "no DAG", call: explain("'a'"), want: "PQ004 there is no DAG 1"},
		{name: "no node", given: diamond, call: explain("'z'"), want: "PQ004 DAG 1 has no node z"},
		{name: "no job", call: "select * from explain_job(7)", want: "PQ004 there is no job 7"},

		{name: "completed", given: diamondRan, call: explain("'a'"), want: `(completed,"completed at *Z in attempt 1, after 9.0s",2)`},
		{name: "failed", given: diamond + ran("") + replace(failed, "2"), call: explain("'a'"), want: `(failed,"failed at *Z in attempt 1, after *: boom",2)`},
		{name: "skipped, and how that came", given: diamond + ran("") + replace(failed, "2"), call: explain("'d'"),
			want: `(skipped,"skipped at *: a failed",5) (cause,"a failed at *, which came here through b: boom",2)`},
		{name: "skipped by a condition", given: `select dag_submit('{"name": "z", "nodes": [{"name": "a", "kind": "x"}, {"name": "b", "kind": "x", "after": [{"node": "a", "when": "$ == 1"}]}]}'); ` + ran("2"),
			call: explain("'b'"), want: `(skipped,"skipped at *: rule all: of its parents 0 succeeded, 0 failed, 1 were skipped",3)`},
		{name: "cancelled", given: diamond + "select cancel('{2}', 'no longer')", call: explain("'a'"), want: `(cancelled,"cancelled at *: *",2)`},
		{name: "a DAG that failed", given: diamond + ran("") + replace(failed, "2"), call: explain("null"), want: `(failed,"failed at *: a failed",1) (cause,"a failed at *, which came here through b, d: boom",2)`},
		{name: "through a gate", given: etl + ran("") + replace(failed, "2"), call: explain("'sub/load'"),
			want: `(skipped,"skipped at *: list failed",6) (cause,"list failed at *, which came here through sub/extract: boom",2)`},

		{name: "running", given: diamond + ran(""), call: explain("'a'"), want: `(running,"attempt 1 of 25 runs for * on worker 1 (one)",2)`},
		{name: "running, with progress", given: diamond + ran("") + "insert into progress values (2, 1, 3, 9)", call: explain("'a'"), want: `(running,"* (one); it reports 3 of 9",2)`},
		{name: "running, to be cancelled", given: diamond + ran("") + "select cancel('{2}')", call: explain("'a'"), want: `(running,*,2) (cancelling,"its handler was asked to stop * ago",2)`},
		{name: "running on a late worker", given: diamond + ran("") + "update workers set heartbeat_at = now() - interval '3 min'", call: explain("'a'"),
			want: `(running,*,2) ("late worker","its worker was last heard of 3m0s ago; another one rescues the job",2)`},

		{name: "waiting for parents", given: diamond + ran("2") + ran("3"), call: explain("'d'"),
			want: `(parents,"1 of 2 parents have not ended",5) (parent,"c is running for * (attempt 1)",4)`},
		{name: "waiting for parents that wait", given: alive + diamond + ran(""), call: explain("'d'"),
			want: `(parents,"2 of 2 parents have not ended",5) (parent,"b is waiting, added * ago",3) (parent,"c is waiting, added * ago",4) (blocked,"a: running: attempt 1 of 25 runs *",2)`},
		{name: "waiting under a rule", given: listed, call: explain("'nap'"),
			want: `(parents,"2 of 2 parents have not ended; rule at_least 1: so far 0 succeeded, 0 failed, 0 were skipped",8) (parent,"thumbs is waiting*",3) (parent,"approve is waiting*",7) ` +
				`(blocked,"thumbs: items: 0 of 4 items are done*",3) (blocked,"sub/extract: no worker: no live worker serves queue q",5)`},
		{name: "a DAG", given: diamond, call: explain("null"), want: `(parents,"1 of 1 nodes that it waits for have not ended",1) (parent,"d is waiting, *",5) (blocked,"a: no worker: *",2)`},
		{name: "a parent that is not of the DAG", given: `select enqueue('a'); select dag_submit('{"name": "z", "nodes": [{"name": "n", "kind": "x", "after": [{"job": 1}]}]}')`, call: "select * from dag_explain(2, 'n')",
			want: `(parents,"1 of 1 parents have not ended",3) (parent,"job 1 is ready, added * ago",1) (blocked,"job 1: no worker: *",1)`},
		{name: "an ending that has not been heard of", given: diamond + ran("2") + ran("3,4") + `delete from ready where job_id = 5; insert into waiting (job_id, queue, pending, need_ok, need_failed, max_failed, max_skipped)
			values (5, 'default', 1, 0, 0, 0, 0)`, call: explain("'d'"), want: `(news,"all it waits for has ended; it hears of it in a moment",5)`, broken: true},

		{name: "a DAG that is held", given: diamond + "select dag_hold(1, 'holidays')", call: explain("null"), want: `("DAG held","the DAG is held (holidays): dag_resume lets it go on",1) (parents,*) (parent,*)`},
		{name: "a node of it", given: diamond + "select dag_hold(1)", call: explain("'a'"), want: `("DAG held","the DAG is held: dag_resume lets it go on",1)`},
		{name: "a node that is held", given: diamond + "update waiting set held = true where job_id = 3", call: explain("'b'"), want: `(held,"it is held: dag_resume lets it go on",3) (parents,*) (parent,*) (blocked,*)`},
		{name: "a DAG that is ending", given: diamond + ran("") + "select dag_cancel(1, reason => 'enough')", call: explain("null"),
			want: `(ending,"ends as cancelled as soon as nothing of it runs any more: *",1)*`},

		{name: "an answer", given: `select dag_submit('{"name": "z", "nodes": [{"name": "n", "type": "external"}]}')`, call: explain("'n'"),
			want: `(answer,"waits for an answer from outside (dag_complete or dag_fail), without a limit",2)`},
		{name: "an answer, or failure", given: `select dag_submit('{"name": "z", "nodes": [{"name": "n", "type": "external", "timeout": "1 day 30 min"}]}')`, call: explain("'n'"),
			want: `(answer,"waits for an answer * until *Z (1d0h), then it fails",2)`},
		{name: "an answer, or its default", given: `select dag_submit('{"name": "z", "nodes": [{"name": "n", "type": "external", "timeout": "1 day 30 min", "default": 1}]}')`, call: explain("'n'"),
			want: `(answer,"waits for an answer * (1d0h), then it takes its default",2)`},
		{name: "a sleep", given: `select dag_submit('{"name": "z", "nodes": [{"name": "n", "type": "sleep", "delay": "5 h 30 s"}]}')`, call: explain("'n'"), want: `(sleeping,"sleeps until *Z (5h0m)",2)`},
		{name: "a map", given: listed + ran("10"), call: explain("'thumbs'"),
			want: `(items,"1 of 4 items are done, 0 of them failed; 3 were started",3) (parent,"thumbs[1] is running*",11) (parent,"thumbs[2] is ready*",12) (parent,"thumbs[3] is waiting*",13) (blocked,"thumbs[2]: no worker: *",12)`},
		{name: "an item beyond the window", given: listed, call: explain("'thumbs[3]'"), want: `(window,"waits until other items of thumbs are done: at most 2 may run at a time",3)`},
	})
}

func TestExplainJobCases(t *testing.T) {
	t.Parallel()
	const alive = "update workers set queues = '{default}', kinds = '{a}'; "
	const explain = "select * from explain_job(1)"
	verbTest(t, []verbCase{
		{name: "delayed", given: "select enqueue('a', delay => '90 min 30 s')", call: explain, want: `(delayed,"waits until *Z (1h30m)",1)`},
		{name: "retrying", given: "select enqueue('a', max_attempts => 3); select count(*) from claim(1, '{default}', '{1}'); select fail(1, '{1}', '{1}', '{boom}', '{100 min 30 s}')", call: explain,
			want: `(retrying,"waits until *Z (1h40m); 1 of 3 attempts are used; the last error was: boom",1)`},
		{name: "snoozed", given: "select enqueue('a'); select count(*) from claim(1, '{default}', '{1}'); select snooze(1, '{1}', '{1}', '{3 days 30 min}')", call: explain,
			want: `(snoozed,"waits until *Z (3d0h)",1)`},
		{name: "due", given: "select enqueue('a', delay => '1 h'); update scheduled set run_at = now() - interval '5 min'", call: explain,
			want: `(due,"is due since 5m0s; a worker's chores make it ready",1)`},
		{name: "due without anybody to see it", given: "select enqueue('a', delay => '1 h'); update scheduled set run_at = now(); delete from workers", call: explain,
			want: `(due,*,1) ("no worker","no worker is alive",1)`},
		{name: "delayed in a paused queue", given: "select enqueue('a', delay => '1 h'); select pause_queue('default')", call: explain, want: `(delayed,*,1) ("queue paused","queue default is paused by * for *",)`},

		{name: "a paused queue", given: alive + "select enqueue('a'); select pause_queue('default', 'maintenance')", call: explain, want: `("queue paused","queue default is paused by * for *: maintenance",1)`},
		{name: "no worker", given: "select enqueue('a')", call: explain, want: `("no worker","no live worker serves queue default",1)`},
		{name: "a worker of which nobody hears", given: alive + "select enqueue('a'); update workers set heartbeat_at = now() - interval '1 min'", call: explain, want: `("no worker",*)`},
		{name: "an unknown kind", given: alive + "select enqueue('b')", call: explain, want: `("unknown kind","of the 2 live workers of queue default none knows kind b",1)`},
		{name: "behind others", given: alive + `select enqueue('a', priority => 9); select enqueue_many('[{"kind": "a"}, {"kind": "a"}, {"kind": "a"}]'); select enqueue('a', queue => 'o')`, call: explain,
			want: `(queued,"3 jobs are ahead of it in queue default",1)`},
		{name: "inside a run", given: alive + `select enqueue_many('[{"kind": "a"}, {"kind": "a"}, {"kind": "a"}]')`, call: "select * from explain_job(3)", want: `(queued,"2 jobs are ahead of it in queue default",3)`},
		{name: "that became ready again", given: alive + "select enqueue('a'), enqueue('a'); select count(*) from claim(1, '{default}', '{1}'); select release(1, '{1}', '{1}')", call: explain,
			want: `(queued,"1 jobs are ahead of it in queue default",1)`},
		{name: "busy workers", given: alive + "select enqueue('a', priority => 9), enqueue('a'); select count(*) from claim(1, '{default}', '{1}')", call: explain,
			want: `("workers busy","it is next in queue default, of which 1 jobs run on 2 live workers",1)`},
		{name: "next", given: alive + "select enqueue('a')", call: explain, want: `(next,"it is next in queue default and will be claimed at once",1)`},
		{name: "lost", given: "select enqueue('a'); delete from ready", call: explain, want: `(lost,*,1)`, broken: true},
	})
}
