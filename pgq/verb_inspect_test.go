package pgq_test

import "testing"

func TestSelectJobsCases(t *testing.T) {
	t.Parallel()
	list := func(filter string) string {
		return "select array_to_string(job_ids, ' ') from select_jobs('" + filter + "', newest_first => true)"
	}
	const given = everywhere + `update jobs set created_at = '2026-01-01 12:00+00'::timestamptz - (20 - id) * interval '1 h';
		update jobs set tags = '{x,y}', args = '{"a": {"b": 1}, "c": [2, {"d.e": 9007199254740993}]}', metadata = '{"m": true}' where id in (3, 9);
		update jobs set tags = '{x}' where id = 10; `
	verbTest(t, []verbCase{
		{name: "all, newest first", given: given, call: list("{}"), want: `("12 11 10 9 8 7 6 5 4 3 2 1")`},
		{name: "queues", given: given, call: list(`{"queues": ["o", "p"]}`), want: `("10 9 8 6")`},
		{name: "kinds", given: given, call: list(`{"kinds": ["again", "later", "nothing"]}`), want: `("7 6")`},
		{name: "state ready", given: given, call: list(`{"states": ["ready"]}`), want: `("6 5 4 3 2 1")`},
		{name: "state scheduled", given: given, call: list(`{"states": ["scheduled"]}`), want: "(7)"},
		{name: "state running", given: given, call: list(`{"states": ["running"]}`), want: "(8)"},
		{name: "state completed", given: given, call: list(`{"states": ["completed"]}`), want: "(9)"},
		{name: "state failed", given: given, call: list(`{"states": ["failed"]}`), want: "(10)"},
		{name: "state cancelled", given: given, call: list(`{"states": ["cancelled"]}`), want: "(11)"},
		{name: "state expired", given: given, call: list(`{"states": ["expired"]}`), want: "(12)"},
		{name: "state skipped", given: given, call: list(`{"states": ["skipped"]}`), want: `("")`},
		{name: "several states", given: given, call: list(`{"states": ["failed", "running", "scheduled"]}`), want: `("10 8 7")`},
		{name: "states of all tables", given: given, call: list(`{"states": ["completed", "failed", "running", "scheduled", "ready", "waiting"]}`), want: `("10 9 8 7 6 5 4 3 2 1")`},
		{name: "no states", given: given, call: list(`{"states": []}`), want: `("")`},
		{name: "no ids", given: given, call: list(`{"ids": []}`), want: `("")`},
		{name: "ids, in their order", given: given, call: list(`{"ids": [3, 12, 3, 99, 1]}`), want: `("12 3 1")`},
		{name: "ids in a state", given: given, call: list(`{"ids": [3, 12, 9], "states": ["ready", "completed"]}`), want: `("9 3")`},
		{name: "workers", given: given, call: list(`{"workers": [1]}`), want: `("10 9 8")`},
		{name: "all tags", given: given, call: list(`{"tags": ["x", "y"]}`), want: `("9 3")`},
		{name: "one tag", given: given, call: list(`{"tags": ["x"]}`), want: `("10 9 3")`},
		{name: "since", given: given, call: list(`{"since": "2026-01-01T02:00:00Z"}`), want: `("12 11 10")`},
		{name: "until", given: given, call: list(`{"until": "2025-12-31T18:00:00Z"}`), want: "(1)"},
		{name: "args", given: given, call: list(`{"args": {"a": {"b": 1}}}`), want: `("9 3")`},
		{name: "a path in args", given: given, call: list(`{"paths": [{"path": ["a", "b"], "in": [7, 1.0]}]}`), want: `("9 3")`},
		{name: "a path with an index and a dot, and a number beyond 2^53", given: given, call: list(`{"paths": [{"path": ["c", "1", "d.e"], "in": [9007199254740993]}]}`), want: `("9 3")`},
		{name: "its neighbour", given: given, call: list(`{"paths": [{"path": ["c", "1", "d.e"], "in": [9007199254740992]}]}`), want: `("")`},
		{name: "all paths", given: given, call: list(`{"paths": [{"path": ["a", "b"], "in": [1]}, {"path": ["a", "c"], "in": [1]}]}`), want: `("")`},
		{name: "metadata", given: given, call: list(`{"metadata": {"m": true}}`), want: `("9 3")`},
		{name: "part of the error", given: given, call: list(`{"error": "oop"}`), want: "(10)"},
		{name: "a percent sign is not a pattern", given: given, call: list(`{"error": "o%s"}`), want: `("")`},
		{name: "nulls are not given", given: given, call: list(`{"error": null, "states": null, "queues": ["o"], "args": null, "paths": null, "since": null}`), want: "(6)"},
		{name: "a fingerprint", given: given, call: "select s.job_ids from error_fingerprint('oops') f, select_jobs(jsonb_build_object('fingerprints', array[f])) s", want: "({10})"},
		{name: "all at once", given: given, call: list(`{"queues": ["p"], "states": ["completed"], "tags": ["x"], "args": {"a": {}}, "since": "2025-12-01", "until": "2026-02-01"}`), want: "(9)"},
		{name: "a page", given: given, call: "select * from select_jobs(at_most => 3)", want: `("{1,2,3}",3)`},
		{name: "the next page", given: given, call: `select * from select_jobs('{"after": 3}', 3)`, want: `("{4,5,6}",6)`},
		{name: "the last page", given: given, call: `select * from select_jobs('{"after": 10}', 3)`, want: `("{11,12}",)`},
		{name: "the first page, newest first", given: given, call: `select * from select_jobs('{}', 3, newest_first => true)`, want: `("{12,11,10}",10)`},
		{name: "the last page, newest first", given: given, call: `select * from select_jobs('{"before": 3}', 3, newest_first => true)`, want: `("{2,1}",)`},
		{name: "pages of a state", given: given, call: `select * from select_jobs('{"states": ["ready"], "after": 2, "before": 5}', 10)`, want: `("{3,4}",)`},
		{name: "as rows", given: given, call: `select id, state from list_jobs('{"queues": ["p"], "before": 10}', 2)`, want: "(9,completed) (8,running)"},
		{name: "nodes of a DAG", given: `select dag_id from dag_submit('{"name": "d", "nodes": [{"name": "a", "kind": "k"}, {"name": "b", "kind": "k", "after": ["a"]}]}'); select enqueue('k')`,
			call: `select string_agg(j.name, ' ' order by j.id) from select_jobs((select jsonb_build_object('dags', array[id]) from jobs where role = 'dag')) s, jobs j where j.id = any(s.job_ids) and j.role is null`, want: `("a b")`},
		{name: "a state that does not exist", call: list(`{"states": ["ready", "gone"]}`), want: "PQ001 states must be *"},
		{name: "a field that does not exist", call: list(`{"quues": ["a"]}`), want: "PQ001 quues is not a field of a filter of jobs"},
		{name: "no list", call: list(`{"queues": "a"}`), want: "PQ001 queues must be an array of strings"},
		{name: "a list of others", call: list(`{"kinds": [1]}`), want: "PQ001 kinds must be an array of strings"},
		{name: "ids that are none", call: list(`{"ids": ["1"]}`), want: "PQ001 ids must be an array of ids"},
		{name: "ids with a fraction", call: list(`{"ids": [1.5]}`), want: "PQ001 ids must be an array of ids"},
		{name: "ids that are too large", call: list(`{"ids": [99999999999999999999]}`), want: "PQ001 ids must be an array of ids"},
		{name: "no time", call: list(`{"since": "gestern"}`), want: "PQ001 since cannot be read as a time"},
		{name: "a number for a time", call: list(`{"until": 5}`), want: "PQ001 until must be a time, as a string"},
		{name: "a number for an error", call: list(`{"error": 5}`), want: "PQ001 error must be a string"},
		{name: "no cursor", call: list(`{"after": "x"}`), want: "PQ001 after must be the id of a job"},
		{name: "a path without values", call: list(`{"paths": [{"path": ["a"]}]}`), want: "PQ001 paths must be *"},
		{name: "paths that are none", call: list(`{"paths": [1]}`), want: "PQ001 paths must be *"},
		{name: "no object", call: list(`[]`), want: "PQ001 filter must be a JSON object"},
		{name: "nothing", call: "select * from select_jobs(null)", want: "PQ001 filter must be a JSON object"},
		{name: "a page of nothing", call: "select * from select_jobs(at_most => 0)", want: "PQ001 at_most must be 1 to 10000"},
		{name: "a page that is too large", call: "select * from select_jobs(at_most => 10001)", want: "PQ001 at_most must be 1 to 10000"},
		{name: "a list that is too long", call: "select id from list_jobs(at_most => 10001)", want: "PQ001 at_most must be 1 to 10000"},
	})
}

func TestErrorsThatDifferInDetailsHaveTheSameFingerprint(t *testing.T) {
	t.Parallel()
	const shape = "select error_shape("
	verbTest(t, []verbCase{
		{name: "numbers", call: shape + "'timeout after 1.5s, attempt 12')", want: `("timeout after <n>s, attempt <n>")`},
		{name: "addresses", call: shape + "'dial tcp 10.0.0.7:5432: refused at 0xDEADBEEF')", want: `("dial tcp <n>: refused at <hex>")`},
		{name: "ids", call: shape + "'order 550e8400-e29b-41d4-a716-446655440000 in commit abcdef1234')", want: `("order <id> in commit <hex>")`},
		{name: "quoted words, and apostrophes that are no quotes", call: shape + "$$user \"ann\" and 'bob' and `ls` don't fit$$)", want: `("user <text> and <text> and <text> don't fit")`},
		{name: "words of the letters a to f", call: shape + "'a facade of decade')", want: `("a facade of decade")`},
		{name: "the first line that is not empty", call: shape + `E'\n\n  panic: x  \ngoroutine 7')`, want: `("panic: x")`},
		{name: "nothing", call: "select error_shape(''), error_shape(null), error_fingerprint(null)", want: `("",,)`},
		{name: "the digest", call: "select error_fingerprint('row 7') = error_fingerprint('row 8'), length(error_fingerprint('x')), error_fingerprint('a') = error_fingerprint('b')", want: "(t,12,f)"},
		{name: "ten megabytes", call: "select length(error_shape(repeat('word ', 2000000)))", want: "(500)"},
	})
}

func TestJobHistoryCases(t *testing.T) {
	t.Parallel()
	const history = "select type, attempt, worker_id, data - 'run_at' from job_history(1)"
	verbTest(t, []verbCase{
		{name: "of nothing", call: history, want: ""},
		{name: "of what was only enqueued", given: "select enqueue('a')", call: history, want: "(enqueued,,,)"},
		{name: "of a usual life", given: claimed + "select complete(1, '{1}', '{1}')", call: history, want: "(enqueued,,,) (completed,1,1,{})"},
		{name: "of a usual life at level all", given: `select set_queue('default', '{"events": "all"}'); ` + claimed + "select complete(1, '{1}', '{1}')", call: history,
			want: "(enqueued,,,) (claimed,1,1,) (completed,1,1,)"},
		{name: "of one that failed twice", given: `select enqueue('a', max_attempts => 2); select count(*) from claim(1, '{default}', '{1}'); select fail(1, '{1}', '{1}', '{x}', '{0}');
			select count(*) from claim(2, '{default}', '{1}'); select fail(2, '{1}', '{2}', '{y}')`, call: history,
			want: `(enqueued,,,) (retried,1,1,"{""error"": ""x""}") (failed,2,2,"{""error"": ""y""}")`},
		{name: "of a mute queue", given: `select set_queue('default', '{"events": "none"}'); select enqueue('a'); select cancel('{1}')`, call: history,
			want: `(enqueued,,,) (cancelled,0,,"{""error"": ""cancelled""}")`},
	})
}

func TestSubscribeAndReadEventsCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "a new reader", given: "insert into events (type) values ('paused')", call: "select * from subscribe()", want: "(1,1)",
			then: "select alive_until > now() + interval '29 s' from subscribers", is: "(t)"},
		{name: "the same reader again", given: "select subscribe(); update subscribers set alive_until = now()", call: "select id from subscribe(1, '1 min')", want: "(1)",
			then: "select alive_until > now() + interval '59 s' from subscribers", is: "(t)"},
		{name: "a reader that was forgotten gets a new id", given: "select subscribe(); delete from subscribers", call: "select id from subscribe(1)", want: "(2)"},
		{name: "for a thousand years", call: "select subscribe(null, '1000 years')", want: "PQ001 alive_for must be 1 ms to 1 day"},
		{name: "for less than no time", call: "select subscribe(null, '-1 years')", want: "PQ001 alive_for must be 1 ms to 1 day"},
		{name: "for no time", call: "select subscribe(null, null)", want: "PQ001 alive_for must be 1 ms to 1 day"},
		{name: "for a day", call: "select id from subscribe(null, '1 day')", want: "(1)"},
		{name: "unsubscribed", given: "select subscribe(); select unsubscribe(1)", call: "select enqueue('a')", want: "(1)", then: "select count(*) from events", is: "(0)"},
		{name: "a reader whose time is up does not count", given: "select subscribe(); update subscribers set alive_until = now()", call: "select enqueue('a')", want: "(1)",
			then: "select count(*) from events", is: "(0)"},
		{name: "events behind an id, with the kind", given: "select subscribe(); select enqueue('a'), enqueue('b'); select complete(1, '{}', '{}')", call: "select id, job_id, queue, type, kind from read_events(1)",
			want: "(2,2,default,enqueued,b)"},
		{name: "and gaps", given: "select subscribe(); select enqueue('a') from generate_series(1, 5)", call: "select id from read_events(4, '{2,3,99}')", want: "(2) (3) (5)"},
		{name: "in pages", given: "select subscribe(); select enqueue('a') from generate_series(1, 5)", call: "select id from read_events(1, at_most => 2)", want: "(2) (3)"},
	})
}

func TestCheckReportsEveryRuleThatIsBroken(t *testing.T) {
	t.Parallel()
	const check = "select * from check_invariants()"
	cases := []verbCase{
		{name: "nothing", call: check, want: ""},
		{name: "all is well", given: everywhere, call: check, want: ""},
		{name: "a job in two places", given: "select enqueue('a', delay => '1 h'); insert into running values (1, 'default', 1, 1, now())", call: check,
			want: `("a job is in at most one of waiting, ready, scheduled, running and results",1,"running, scheduled")`},
		{name: "a job of a run in two places", given: `select enqueue_many('[{"kind": "a"}, {"kind": "a"}]'); insert into results (job_id, queue, state, attempt) values (2, 'default', 'completed', 1)`, call: check,
			want: `("a job is in at most one of waiting, ready, scheduled, running and results",2,"ready, results")`},
		{name: "a job in no place", given: "select enqueue('a'); delete from ready", call: check,
			want: `("a job is in at least one of waiting, ready, scheduled, running and results",1,)`},
		{name: "a place without a job", given: "insert into scheduled (job_id, queue, run_at) values (1, 'q', now())", call: check, want: `("a job that is somewhere is in jobs",1,scheduled)`},
		{name: "ready says another queue", given: "select enqueue('a'); update ready set queue = 'q'", call: check, want: `("a row of ready says queue, priority and kind of its jobs",1,q/5/a)`},
		{name: "ready says another priority", given: "select enqueue('a'); update ready set priority = 4", call: check, want: `("a row of ready says *",1,default/4/a)`},
		{name: "ready says another kind", given: "select enqueue('a'); update ready set kind = 'b'", call: check, want: `("a row of ready says *",1,default/5/b)`},
		{name: "scheduled says another queue", given: "select enqueue('a', delay => '1 h'); update scheduled set queue = 'q'", call: check,
			want: `("a row of waiting, scheduled, running or results says the queue of its job",1,q)`},
		{name: "running says another queue", given: claimed + "update running set queue = 'q' where job_id = 1", call: check, want: `("a row of waiting, scheduled, running *",1,q)`},
		{name: "results say another queue", given: "select enqueue('a'); select cancel('{1}'); update results set queue = 'q'", call: check, want: `("a row of waiting, scheduled, running *",1,q)`},
		{name: "a job that failed without being tried", given: "select enqueue('a'); select cancel('{1}'); update results set state = 'failed'", call: check,
			want: `("a failed job had no attempts left or was failed for good",1,)`},
		{name: "a lease of nobody", given: claimed + "update running set worker_id = 9 where job_id = 1", call: check,
			want: `("a lease belongs to a registered worker",1,9)`},
		{name: "an entry of expiries without a job", given: "insert into expiries values (now(), 1)", call: check, want: `("an entry of expiries belongs to a job with that time to live",1,*)`},
		{name: "an entry of expiries at another time", given: "select enqueue('a', ttl => '1 h'); update expiries set expires_at = now()", call: check, want: `("an entry of expiries *",1,*)`},
		{name: "a unique key that is not that of its job", given: "select enqueue('a'); insert into unique_keys (key, job_id) values ('k', 1)", call: check,
			want: `("the job for which a unique key stands has that key",1,k)`},
		{name: "progress without a job", given: "insert into progress values (1, 1, 1, 1)", call: check, want: `("progress, logs, steps and errors belong to jobs",1,)`},
		{name: "a log without a job", given: "insert into logs (job_id, attempt, at, level, message) values (1, 1, now(), 'INFO', 'x')", call: check, want: `("progress, logs, steps and errors belong to jobs",1,)`},
		{name: "an id ahead of the sequence", given: "select enqueue('a'); update jobs set id = 1000; update ready set job_id = 1000, seq = 1000", call: check,
			want: `("the sequence of ids is ahead of every id and seq",1000,)`},
		{name: "no defaults", given: "select enqueue('a'); delete from queues", call: check, want: `("the settings of queue ""*"" are there",,)`},
	}
	for i := range cases {
		cases[i].broken = true
	}
	verbTest(t, cases)
}
