package pgq_test

import "testing"

func TestEnqueueCases(t *testing.T) {
	t.Parallel()
	const row = `select queue, kind, priority, max_attempts, timeout, result_ttl, expires_at - created_at as ttl, tags, metadata, codec, payload, args, backoff from jobs`
	verbTest(t, []verbCase{
		{name: "with nothing but a kind", call: "select enqueue('a')", want: "(1)",
			then: row, is: "(default,a,5,,,,,,,,,,)"},
		{name: "with everything",
			call: `select enqueue('a', '{"x": 1}', 'q', 0, null, null, 3, '4 s', '{"type": "constant", "base": 1}', '{t,u}', '{"m": 2}', '5 min', '6 h')`, want: "(1)",
			then: row, is: `(q,a,0,3,00:00:04,06:00:00,00:05:00,"{t,u}","{""m"": 2}",,,"{""x"": 1}","{""base"": 1, ""type"": ""constant""}")`},
		{name: "with bytes", call: `select enqueue('a', codec => 'proto', payload => '\x00')`, want: "(1)", then: row,
			is: `(default,a,5,,,,,,,proto,"\\x00",,)`},
		{name: "is ready at once", call: "select enqueue('a')", want: "(1)", then: "select pg_temp.runs()", is: "(default/5/1:1+1)"},
		{name: "with a delay it is scheduled", call: "select enqueue('a', delay => '1 h')", want: "(1)",
			then: "select job_id, queue, run_at - now() as delay, attempt, (select count(*) from ready) from scheduled", is: "(1,default,01:00:00,0,0)"},
		{name: "with a time to come it is scheduled", call: "select enqueue('a', run_at => now() + interval '1 d')", want: "(1)",
			then: "select run_at - now() as delay from scheduled", is: `("1 day")`},
		{name: "with a time that is past it is ready", call: "select enqueue('a', run_at => '2000-01-01')", want: "(1)",
			then: "select pg_temp.places()", is: "(1:ready/0)"},
		{name: "with no delay at all it is ready", call: "select enqueue('a', delay => '0')", want: "(1)", then: "select pg_temp.places()", is: "(1:ready/0)"},
		{name: "with a time to live it has an entry in expiries", call: "select enqueue('a', ttl => '1 min')", want: "(1)",
			then: "select job_id, expires_at - now() as ttl from expiries", is: "(1,00:01:00)"},
		{name: "up to the maximum depth", given: `select set_queue('default', '{"max_depth": 2}'); select enqueue('a')`,
			call: "select enqueue('a', delay => '1 h')", want: "(2)"},
		{name: "not past the maximum depth", given: `select set_queue('default', '{"max_depth": 2}'); select enqueue('a'), enqueue('a', delay => '1 h')`,
			call: "select enqueue('a')", want: `PQ002 queue "default" is full: its maximum depth is 2`},
		{name: "the jobs of a run count one by one", given: `select enqueue_many('[{"kind": "a"}, {"kind": "a"}]'); select set_queue('default', '{"max_depth": 2}')`,
			call: "select enqueue('a')", want: `PQ002 *`},
		{name: "running and finished jobs do not count",
			given: `select set_queue('default', '{"max_depth": 1}'); select enqueue('a'); select count(*) from claim(1, '{default}', '{1}')`,
			call:  "select enqueue('a')", want: "(2)"},
		{name: "the depth of all queues is that of '*'", given: `select set_queue('*', '{"max_depth": 1}'); select enqueue('a', queue => 'x'), enqueue('a', queue => 'y')`,
			call: "select enqueue('a', queue => 'y')", want: `PQ002 queue "y" is full: its maximum depth is 1`},
		{name: "near the limit the internal form says so", given: `select set_queue('default', '{"warn_depth": 1}'); select enqueue('a')`,
			call: "select * from enqueue_one('a', null, 'default', 5, null, null, null, null, null, null, null, null, null, null, null, true)", want: "(2,t)"},
		{name: "and not before", given: `select set_queue('default', '{"warn_depth": 1, "max_depth": 9}')`,
			call: "select * from enqueue_one('a', null, 'default', 5, null, null, null, null, null, null, null, null, null, null, null, true)", want: "(1,f)"},
		{name: "writes an event at level all only", given: `select set_queue('loud', '{"events": "all"}')`,
			call: "select enqueue('a', queue => q) from unnest('{loud,default}'::text[]) q", want: "(1) (2)", then: "select pg_temp.log()", is: "(1:enqueued)"},
		{name: "writes an event for a subscriber", given: "select subscribe()", call: "select enqueue('a')", want: "(1)", then: "select pg_temp.log()", is: "(1:enqueued)"},
	})
}

func TestEnqueueManyCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "an empty array", call: "select enqueue_many('[]')", want: "", then: "select count(*) from jobs", is: "(0)"},
		{name: "jobs that are alike share rows",
			call: `select enqueue_many('[{"kind": "a"}, {"kind": "a"}, {"kind": "b"}, {"kind": "a"}, {"kind": "a"}]')`, want: "(1) (2) (3) (4) (5)",
			then: "select pg_temp.runs()", is: `("default/5/1:1+2 default/5/3:3+1 default/5/4:4+2")`},
		{name: "unlike in queue or priority do not",
			call: `select enqueue_many('[{"kind": "a"}, {"kind": "a", "queue": "q"}, {"kind": "a", "queue": "q", "priority": 1}]')`, want: "(1) (2) (3)",
			then: "select pg_temp.runs()", is: `("default/5/1:1+1 q/1/3:3+1 q/5/2:2+1")`},
		{name: "a row holds a hundred at the most",
			call: `select count(*) from enqueue_many((select jsonb_agg('{"kind": "a"}'::jsonb) from generate_series(1, 205)))`, want: "(205)",
			then: "select pg_temp.runs()", is: `("default/5/1:1+100 default/5/101:101+100 default/5/201:201+5")`},
		{name: "delayed ones interrupt a run",
			call: `select enqueue_many('[{"kind": "a"}, {"kind": "a", "delay": "1 h"}, {"kind": "a", "run_at": "2000-01-01"}, {"kind": "a", "run_at": "2999-01-01"}]')`, want: "(1) (2) (3) (4)",
			then: "select pg_temp.places(), pg_temp.runs()", is: `("1:ready/0 2:scheduled/0 3:ready/0 4:scheduled/0","default/5/1:1+1 default/5/3:3+1")`},
		{name: "with everything",
			call: `select enqueue_many('[{"kind": "a", "args": {"x": 1}, "queue": "q", "priority": 0, "max_attempts": 3, "timeout": "4 s", "backoff": {"type": "constant", "base": 1},
				"tags": ["t"], "metadata": {"m": 2}, "ttl": "5 min", "result_ttl": "6 h"}, {"kind": "b", "codec": "c", "payload": "AP8="}]')`, want: "(1) (2)",
			then: "select queue, kind, priority, max_attempts, timeout, backoff ->> 'type', tags, metadata, expires_at - created_at, result_ttl, codec, payload, args from jobs order by id",
			is: `(q,a,0,3,00:00:04,constant,{t},"{""m"": 2}",00:05:00,06:00:00,,,"{""x"": 1}") ` +
				`(default,b,5,,,,,,,,c,"\\x00ff",)`},
		{name: "nulls stand for the defaults",
			call: `select enqueue_many('[{"kind": "a", "args": null, "queue": null, "priority": null, "delay": null, "backoff": null, "tags": null, "metadata": null}]')`, want: "(1)",
			then: "select pg_temp.runs()", is: "(default/5/1:1+1)"},
		{name: "not past the maximum depth, all or none", given: `select set_queue('q', '{"max_depth": 2}')`,
			call: `select enqueue_many('[{"kind": "a"}, {"kind": "a", "queue": "q"}, {"kind": "a", "queue": "q"}, {"kind": "a", "queue": "q"}]')`,
			want: `PQ002 queue "q" is full: its maximum depth is 2`},
		{name: "exactly the maximum depth", given: `select set_queue('q', '{"max_depth": 2}')`,
			call: `select enqueue_many('[{"kind": "a", "queue": "q"}, {"kind": "a", "queue": "q", "delay": "1 h"}]')`, want: "(1) (2)"},
		{name: "not an array", call: `select enqueue_many('{"kind": "a"}')`, want: "PQ001 jobs must be a JSON array"},
		{name: "null", call: `select enqueue_many(null)`, want: "PQ001 jobs must be a JSON array"},
		{name: "not an object", call: `select enqueue_many('[{"kind": "a"}, 7]')`, want: "PQ001 jobs[1] must be a JSON object"},
		{name: "an unknown field", call: `select enqueue_many('[{"kind": "a"}, {"kind": "a", "prio": 1}]')`, want: `PQ001 jobs[1] has an unknown field "prio"`},
		{name: "the first job that breaks a rule is named", call: `select enqueue_many('[{"kind": "a"}, {"kind": ""}, {"kind": "a", "priority": 10}]')`,
			want: "PQ001 jobs[1].kind must have 1 to 128 characters"},
		{name: "an event for each of a queue at level all", given: `select set_queue('loud', '{"events": "all"}')`,
			call: `select enqueue_many('[{"kind": "a", "queue": "loud"}, {"kind": "a"}, {"kind": "a", "queue": "loud"}]')`, want: "(1) (2) (3)",
			then: "select pg_temp.log()", is: `("1:enqueued 3:enqueued")`},
	})
}
