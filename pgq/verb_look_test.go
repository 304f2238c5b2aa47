package pgq_test

import "testing"

// ended has two kinds that ended at known times: 1 to 4 were claimed 2 s after they were enqueued, one minute ago.
const ended = `select enqueue('a', queue => 'p') from generate_series(1, 3); select enqueue('b', queue => 'q', max_attempts => 1);
	select enqueue('a', queue => 'p'); select count(*) from claim(1, '{p,q}', '{3,1}');
	select complete(1, '{1,2,3}', '{1,1,1}'); select fail(1, '{4}', '{1}', '{x}');
	update jobs set created_at = now() - interval '63 s';
	update results set claimed_at = now() - interval '61 s', finished_at = now() - interval '60 s';
	update results set claimed_at = now() - interval '70 s' where job_id = 3; `

func TestJobStatsCases(t *testing.T) {
	t.Parallel()
	stats := func(columns, arguments string) string {
		return "select " + columns + " from job_stats(" + arguments + ")"
	}
	const figures = "name, jobs, completed, failed, again, exact"
	verbTest(t, []verbCase{
		{name: "of nothing", call: stats("*", ""), want: ""},
		{name: "by kind, most jobs first", given: ended, call: stats(figures, ""), want: "(a,3,3,0,0,t) (b,1,0,1,0,t)"},
		{name: "by queue", given: ended, call: stats(figures, "by => 'queue'"), want: "(p,3,3,0,0,t) (q,1,0,1,0,t)"},
		{name: "waits and runs", given: ended, call: stats("name, wait_p50, wait_p99, run_p50, run_p95, run_max", ""),
			want: "(a,00:00:02,00:00:02,00:00:01,00:00:10,00:00:10) (b,00:00:02,00:00:02,00:00:01,00:00:01,00:00:01)"},
		{name: "waits of jobs that were tried again do not count", given: ended + "update results set attempt = 2;", call: stats("name, again, wait_p50", ""),
			want: "(a,3,) (b,1,)"},
		{name: "only what ended since then", given: ended, call: stats(figures, "'59 s'"), want: ""},
		{name: "the series has the count where they ended", given: ended, call: stats("name, series", "'100 s', buckets => 4"), want: `(a,"{0,3,0,0}") (b,"{0,1,0,0}")`},
		{name: "throughput", given: ended, call: stats("name, per_minute", "'2 min'"), want: "(a,1.5) (b,0.5)"},
		{name: "more jobs than are looked at", given: ended, call: stats("name, jobs, exact", "at_most => 2"), want: "(a,1,f) (b,1,f)"},
		{name: "as many jobs as are looked at", given: ended, call: stats("name, jobs, exact", "at_most => 4"), want: "(a,3,t) (b,1,t)"},
		{name: "failures with low ids are found by their index", given: ended + "update results set state = 'cancelled', error = 'x' where job_id = 1;",
			call: stats("name, jobs, cancelled, exact", "at_most => 1"), want: "(a,1,1,f) (b,1,0,f)"},
		{name: "DAGs and nodes without handlers do not count", given: `select dag_submit('{"name": "d", "nodes": [{"name": "x", "type": "external"}]}'); select dag_complete(1, 'x')`,
			call: stats("name", ""), want: "", then: "select count(*) from results", is: "(2)"},
		{name: "an unknown grouping", call: stats("*", "by => 'colour'"), want: "PQ001 by must be kind or queue"},
		{name: "no time", call: stats("*", "'0'"), want: "PQ001 since must be more than 0 and at most 100 years"},
		{name: "all time", call: stats("*", "'1000 years'"), want: "PQ001 since must be *"},
		{name: "null", call: stats("*", "null"), want: "PQ001 since must be *"},
		{name: "too many jobs", call: stats("*", "at_most => 1000001"), want: "PQ001 at_most must be 1 to 1000000"},
		{name: "no buckets", call: stats("*", "buckets => 0"), want: "PQ001 buckets must be 1 to 1000"},
	})
}

func TestLatestEventsCases(t *testing.T) {
	t.Parallel()
	latest := func(arguments string) string {
		return "select id, job_id, type, kind from latest_events(" + arguments + ")"
	}
	const given = `select set_queue('p', '{"events": "all"}'); select enqueue('a', queue => 'p'), enqueue('b', queue => 'q', max_attempts => 1);
		select count(*) from claim(1, '{p,q}', '{1,1}'); select complete(1, '{1}', '{1}'); select fail(1, '{2}', '{1}', '{x}'); select pause_queue('q'); delete from events where type = 'queue_set'; `
	verbTest(t, []verbCase{
		{name: "of nothing", call: latest(""), want: ""},
		{name: "all, oldest first", given: given, call: latest(""), want: "(2,1,enqueued,a) (3,1,claimed,a) (4,1,completed,a) (5,2,failed,b) (6,,paused,)"},
		{name: "the last ones", given: given, call: latest("at_most => 2"), want: "(5,2,failed,b) (6,,paused,)"},
		{name: "of a queue", given: given, call: latest("queues => '{q}'"), want: "(5,2,failed,b) (6,,paused,)"},
		{name: "of a kind", given: given, call: latest("kinds => '{b}'"), want: "(5,2,failed,b)"},
		{name: "of types", given: given, call: latest("types => '{claimed,paused}'"), want: "(3,1,claimed,a) (6,,paused,)"},
		{name: "of jobs", given: given, call: latest("job_ids => '{1}', at_most => 2"), want: "(3,1,claimed,a) (4,1,completed,a)"},
		{name: "of a job that was deleted", given: given + "select delete('{1}')", call: latest("job_ids => '{1}', types => '{claimed}'"), want: "(3,1,claimed,)"},
		{name: "that it was keeps its kind", given: given + "select delete('{1}', 'wrong', 'ann')", call: latest("job_ids => '{1}', types => '{deleted}', kinds => '{a}'"), want: "(7,1,deleted,a)",
			then: "select data from read_events(6)", is: `("{""by"": ""ann"", ""kind"": ""a"", ""user"": ""*"", ""state"": ""completed"", ""reason"": ""wrong""}")`},
		{name: "no page", call: latest("at_most => 0"), want: "PQ001 at_most must be 1 to 10000"},
	})
}

func TestKindNamesJobLogsAndChoreStatesCases(t *testing.T) {
	t.Parallel()
	const logs = `select enqueue('a'); insert into logs (job_id, attempt, at, level, message) values (1, 1, now(), 'INFO', 'one'), (2, 1, now(), 'INFO', 'other'), (1, 2, now(), 'WARN', 'two');
		select setval('logs_id_seq', 9); `
	verbTest(t, []verbCase{
		{name: "kinds of nobody", call: "select * from kind_names()", want: ""},
		{name: "kinds of workers and of jobs", given: "select register_worker('x', '{}', '{c,a}'); select enqueue('b'), enqueue('a')", call: "select * from kind_names()", want: "(a) (b) (c)"},
		{name: "a DAG is no kind", given: `select dag_submit('{"name": "d", "nodes": [{"name": "x", "kind": "k"}]}')`, call: "select * from kind_names()", want: "(k)"},
		{name: "logs", given: logs, broken: true, call: "select attempt, level, message from job_logs(1)", want: "(1,INFO,one) (2,WARN,two)"},
		{name: "logs behind a line", given: logs, broken: true, call: "select l.message from job_logs(1, (select min(id) from logs)) l", want: "(two)"},
		{name: "logs in pages", given: logs, broken: true, call: "select message from job_logs(1, at_most => 1)", want: "(one)"},
		{name: "chores that were never done are late", call: "select name, every, last_run_at, late from chore_states order by name",
			want: "(promote,00:00:10,,t) (prune,00:00:10,,t) (rescue,00:00:02,,t) (sweep,01:00:00,,t)"},
		{name: "chores that were just done are not", given: "select do_chores()", call: "select name, late from chore_states where name <> 'sweep' order by name",
			want: "(promote,f) (prune,f) (rescue,f)"},
		{name: "chores that were done long ago are late", given: "select do_chores(); update chores set last_run_at = now() - interval '41 s'",
			call: "select name, late from chore_states order by name", want: "(promote,t) (prune,t) (rescue,t) (sweep,f)"},
	})
}
