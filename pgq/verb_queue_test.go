package pgq_test

import "testing"

func TestSetQueueCases(t *testing.T) {
	t.Parallel()
	const all = `{"max_depth": 9, "warn_depth": 8, "max_args_bytes": 7, "max_attempts": 6, "timeout": "5 s", "backoff": {"type": "constant", "base": 4}, ` +
		`"keep_completed": "3 s", "keep_failed": "2 s", "keep_cancelled": "1 s", "keep_expired": "0", "events": "all", "age_every": "1 year"}`
	const settings = "select * from queue_settings('q')"
	const defaults = `(f,,,1048576,25,,"{""cap"": 3600, ""base"": 1, ""type"": ""exponential"", ""jitter"": 0.1}","1 day","30 days","1 day","1 day",changes,)`
	const allIs = `(f,9,8,7,6,00:00:05,"{""base"": 4, ""type"": ""constant""}",00:00:03,00:00:02,00:00:01,00:00:00,all,"1 year")`
	set := func(settings string) string { return "select set_queue('q', '" + settings + "')" }
	cases := []verbCase{
		{name: "nothing set", call: settings, want: defaults},
		{name: "all settings", call: set(all), want: `("")`, then: settings, is: allIs},
		{name: "one setting leaves the rest", given: set(all), call: set(`{"max_depth": 1}`), want: `("")`, then: settings, is: replaceOnce(allIs, "f,9", "f,1")},
		{name: "no setting creates the queue", call: set(`{}`), want: `("")`, then: "select name from queues order by 1", is: "(*) (q)"},
		{name: "null puts back the default", given: set(all), call: set(`{"max_depth": null, "warn_depth": null, "max_args_bytes": null, "max_attempts": null, "timeout": null, "backoff": null,
			"keep_completed": null, "keep_failed": null, "keep_cancelled": null, "keep_expired": null, "events": null, "age_every": null}`), want: `("")`, then: settings, is: defaults},
		{name: "the defaults of all queues", given: set(`{"max_depth": 3}`), call: "select set_queue('*', '{\"max_attempts\": 2, \"max_depth\": 4}')", want: `("")`,
			then: "select q.max_attempts, q.max_depth from unnest('{q,other}'::text[]) n, queue_settings(n) q", is: "(2,3) (2,4)"},
		{name: "the defaults cannot be null", call: "select set_queue('*', '{\"max_attempts\": null}')", want: "PQ001 max_attempts must have a value: it is the default of all queues"},
		{name: "unless they are limits", given: "select set_queue('*', '{\"max_depth\": 2}')", call: "select set_queue('*', '{\"max_depth\": null}')", want: `("")`,
			then: "select max_depth from queues", is: "()"},
		{name: "a setting that is not there", call: set(`{"max_depth": 1, "depth": 2}`), want: "PQ001 depth is not a setting of a queue"},
		{name: "the name is not a setting", call: set(`{"name": "x"}`), want: "PQ001 name is not a setting of a queue"},
		{name: "the time of a pause is not a setting", call: set(`{"paused_at": "2000-01-01"}`), want: "PQ001 paused_at is not a setting of a queue"},
		{name: "not an object", call: set(`[]`), want: "PQ001 settings must be a JSON object"},
		{name: "no settings", call: "select set_queue('q', null)", want: "PQ001 settings must be a JSON object"},
		{name: "no name", call: "select set_queue(null, '{}')", want: "PQ001 queue must have 1 to 128 characters"},
		{name: "an empty name", call: "select set_queue('', '{}')", want: "PQ001 queue must have 1 to 128 characters"},
		{name: "a name that is too long", call: "select set_queue(repeat('ä', 129), '{}')", want: "PQ001 queue must have 1 to 128 characters"},
		{name: "a backoff without a base", call: set(`{"backoff": {"type": "linear"}}`), want: "PQ001 backoff must have a base in seconds"},
	}
	for setting, values := range map[string][]string{
		"max_depth": {"0", "-1", `"x"`, "99999999999999999999"}, "warn_depth": {"0"}, "max_args_bytes": {"0", "-5"}, "max_attempts": {"0", "-1", "99999999999"},
		"timeout": {`"0"`, `"-1 s"`, `"soon"`}, "keep_completed": {`"-1 s"`}, "keep_failed": {`"-1 s"`}, "keep_cancelled": {`"-1 s"`}, "keep_expired": {`"-1 s"`, `"x"`},
		"events": {`"some"`, `""`}, "age_every": {`"0"`, `"-1 s"`, `"999 us"`, `"13 mons"`, `"infinity"`, `"x"`}, "backoff": {`7`, `{}`, `{"type": "constant", "base": 1, "x": 2}`},
	} {
		for _, value := range values {
			cases = append(cases, verbCase{name: setting + " " + value, call: set(`{"` + setting + `": ` + value + `}`), want: "PQ001 " + setting + " *"})
		}
	}
	verbTest(t, cases)
}

func TestBackoffCases(t *testing.T) {
	t.Parallel()
	problem := func(policy string) string { return "select backoff_problem('" + policy + "')" }
	verbTest(t, []verbCase{
		{name: "complete", call: problem(`{"type": "exponential", "base": 0.5, "factor": 3, "cap": 60, "jitter": 0.5}`), want: "()"},
		{name: "not an object", call: problem(`[]`), want: `("must be a JSON object")`},
		{name: "no type", call: problem(`{"base": 1}`), want: `("must have a type: constant, linear, polynomial, exponential or table")`},
		{name: "another type", call: problem(`{"type": "quadratic", "base": 1}`), want: `("must have a type: constant, linear, polynomial, exponential or table")`},
		{name: "no base", call: problem(`{"type": "linear"}`), want: `("must have a base in seconds")`},
		{name: "text as base", call: problem(`{"type": "linear", "base": "1"}`), want: `("must have a number as base")`},
		{name: "a negative base", call: problem(`{"type": "linear", "base": -1}`), want: `("must have a base of 0 to 31536000 seconds")`},
		{name: "a cap that is too high", call: problem(`{"type": "linear", "base": 1, "cap": 1e9}`), want: `("must have a cap of 0 to 31536000 seconds")`},
		{name: "a factor that shrinks", call: problem(`{"type": "exponential", "base": 1, "factor": 0.5}`), want: `("must have a factor of 1 to 100")`},
		{name: "too much jitter", call: problem(`{"type": "linear", "base": 1, "jitter": 1.5}`), want: `("must have a jitter of 0 to 1")`},
		{name: "an unknown field", call: problem(`{"type": "linear", "base": 1, "max": 1}`), want: `("has an unknown field ""max""")`},
		{name: "the cap bounds the delay", call: `select backoff_delay('{"type": "exponential", "base": 10, "cap": 25}', n) from generate_series(1, 4) n`, want: "(00:00:10) (00:00:20) (00:00:25) (00:00:25)"},
		{name: "a factor of its own", call: `select backoff_delay('{"type": "exponential", "base": 1, "factor": 10}', n) from generate_series(1, 3) n`, want: "(00:00:01) (00:00:10) (00:01:40)"},
		{name: "a year at the most, however many attempts", call: `select backoff_delay('{"type": "exponential", "base": 1, "factor": 100}', 2147483647) = make_interval(secs => 31536000)`, want: "(t)"},
		{name: "jitter stays within its bounds", call: `select bool_and(d between interval '5 s' and interval '15 s'), max(d) - min(d) > interval '5 s'
			from (select backoff_delay('{"type": "constant", "base": 10, "jitter": 0.5}', n) as d from generate_series(1, 1000) n) b`, want: "(t,t)"},
	})
}

func TestPauseAndResumeCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "pausing creates the queue", call: "select pause_queue('q', 'why', 'ann')", want: `(t)`,
			then: "select paused_at = now(), paused_by, pause_reason, (select type || data from events where queue = 'q') from queues where name = 'q'", is: `(t,ann,why,"paused{""by"": ""ann"", ""user"": ""*"", ""reason"": ""why""}")`},
		{name: "by the session's user", call: "select pause_queue('q')", want: `(t)`,
			then: "select paused_by = session_user, pause_reason, (select data ->> 'by' = session_user from events) from queue_states where queue = 'q'", is: `(t,,t)`},
		{name: "the first pause stays", given: "select pause_queue('q', 'first'); update queues set paused_at = '2000-01-01' where name = 'q'", call: "select pause_queue('q', 'second', 'bob')", want: `(f)`,
			then: "select paused_by, pause_reason, extract(year from paused_at), (select count(*) from events) from queues where name = 'q'", is: "(bob,second,2000,2)"},
		{name: "so does its reason without another one", given: "select pause_queue('q', 'first', 'ann')", call: "select pause_queue('q')", want: `(f)`,
			then: "select paused_by, pause_reason, (select count(*) from events) from registered_queues where name = 'q'", is: "(ann,first,1)"},
		{name: "resuming forgets who and why, and is told", given: "select pause_queue('q', 'first', 'ann')", call: "select resume_queue('q', 'done', 'bob')", want: `(t)`,
			then: "select paused_by, pause_reason, (select data from events where type = 'resumed') from queues where name = 'q'", is: `(,,"{""by"": ""bob"", ""user"": ""*"", ""reason"": ""done""}")`},
		{name: "settings that change are told", given: "select set_queue('q', max_depth => 5)", call: "select set_queue('q', max_depth => 5), set_queue('q', max_depth => 7, events => 'none', reason => 'more', actor => 'ann')", want: `("","")`,
			then: "select data from events where queue = 'q' order by id desc limit 1", is: `("{""by"": ""ann"", ""user"": ""*"", ""reason"": ""more"", ""settings"": {""events"": ""none"", ""max_depth"": 7}}")`},
		{name: "and only these", given: "select set_queue('q', max_depth => 5)", call: "select set_queue('q', max_depth => 5)", want: `("")`, then: "select count(*) from events", is: "(1)"},
		{name: "running jobs go on", given: claimed + "select pause_queue('default')", call: "select complete(1, '{1}', '{1}')", want: "(1)"},
		{name: "jobs may be enqueued", given: "select pause_queue('default')", call: "select enqueue('a')", want: "(1)"},
		{name: "not all queues at once", call: "select pause_queue('*')", want: `PQ001 queue must have 1 to 128 characters and not be "*"`},
		{name: "not no queue", call: "select pause_queue(null)", want: `PQ001 queue *`},
		{name: "not an empty name", call: "select pause_queue('')", want: `PQ001 queue *`},
		{name: "resumed", given: "select enqueue('a'); select pause_queue('default'); select resume_queue('default')", call: "select job_id from claim(1, '{default}', '{1}')", want: "(1)",
			then: "select pause_reason, paused_at, (select type from events order by id desc limit 1) from queues where name = 'default'", is: "(,,resumed)"},
		{name: "resuming what is not paused", given: "select set_queue('q', '{}')", call: "select resume_queue('q')", want: `(f)`, then: "select count(*) from events", is: "(0)"},
		{name: "resuming what is not there", call: "select resume_queue('q')", want: `PQ004 there is no queue "q"`},
		{name: "pausing keeps the settings", given: `select set_queue('q', '{"max_attempts": 3}'); select pause_queue('q')`, call: "select paused, max_attempts from queue_settings('q')", want: "(t,3)"},
	})
}

func TestCountsCases(t *testing.T) {
	t.Parallel()
	const counts = "select * from counts() order by 1, 2"
	verbTest(t, []verbCase{
		{name: "nothing", call: counts, want: ""},
		{name: "every state", given: everywhere, call: counts,
			want: "(default,cancelled,1,t) (default,expired,1,t) (default,ready,5,t) (default,scheduled,1,t) (o,ready,1,t) (p,completed,1,t) (p,failed,1,t) (p,running,1,t)"},
		{name: "a bound does not matter to small tables", given: everywhere, call: "select jobs, exact from counts(1) where state = 'ready' order by 1", want: "(1,t) (5,t)"},
	})
}
