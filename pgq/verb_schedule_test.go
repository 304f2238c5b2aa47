package pgq_test

import "testing"

// back sets all schedules back, so that they have been due for a while, as after a downtime.
const back = "; update schedules set next_at = next_at - i, fire_at = fire_at - i from (select interval '%') b(i)"

func setBack(by string) string { return replace(back, by) }

func TestSetScheduleCases(t *testing.T) {
	t.Parallel()
	const ok = "select set_schedule('s', '@daily', 'k'"
	cases := []verbCase{
		{name: "a cron expression", call: "select outcome, next_at > now() from set_schedule('s', '*/5 * * * *', 'k', '{\"a\": 1}', '{\"queue\": \"q\"}')", want: "(created,t)",
			then: "select state, kind, job from schedule_states", is: `(active,k,"{""args"": {""a"": 1}, ""kind"": ""k"", ""queue"": ""q""}")`},
		{name: "again, unchanged", given: ok + ")", call: "select outcome from set_schedule('s', '@daily', 'k')", want: "(unchanged)"},
		{name: "another job leaves the times", given: ok + "); update schedules set next_at = next_at + interval '1 h', fire_at = fire_at + interval '1 h'",
			call: "select outcome, next_at = date_trunc('day', now(), 'UTC') + interval '25 h' from set_schedule('s', '@daily', 'other')", want: "(changed,t)"},
		{name: "another spec has other times", given: ok + ")", call: "select outcome, next_at = date_trunc('hour', now()) + interval '1 h' from set_schedule('s', '@hourly', 'k')", want: "(changed,t)"},
		{name: "a pause stays", given: ok + "); select pause_schedule('s', 'why')", call: "select outcome from set_schedule('s', '@hourly', 'k')", want: "(changed)",
			then: "select state, fire_at, pause_reason, paused_by = session_user from schedule_states", is: "(paused,,why,t)"},
		{name: "an interval begins now", call: "select next_at = date_trunc('second', now()) + interval '90 s' from set_schedule('s', 'every 1 minute 30 s', 'k')", want: "(t)"},
		{name: "an interval begins with its start", call: "select next_at from set_schedule('s', 'every 1 day', 'k', starts_at => '3000-01-01 12:00Z')", want: `("3000-01-01 12:00:00+00")`},
		{name: "one that began long ago goes on in its rhythm", call: "select next_at > now(), extract(second from next_at) from set_schedule('s', 'every 1 minute', 'k', starts_at => '2000-01-01 00:00:07Z')", want: "(t,7.000000)"},
		{name: "a single time of a zone", call: "select next_at from set_schedule('s', 'at 3000-01-01 12:00', 'k', zone => 'Asia/Tokyo')", want: `("3000-01-01 03:00:00+00")`},
		{name: "a single time with an offset", call: "select next_at from set_schedule('s', 'at 3000-01-01T12:00:00-01', 'k', zone => 'Asia/Tokyo')", want: `("3000-01-01 13:00:00+00")`},
		{name: "a single time that has passed", call: "select outcome, next_at from set_schedule('s', 'at 2000-01-01 12:00', 'k')", want: "(created,)", then: "select state from schedule_states", is: "(ended)"},
		{name: "an end before the next time", call: "select next_at from set_schedule('s', '@yearly', 'k', ends_at => now() + interval '1 s', starts_at => now())", want: "()"},
		{name: "a DAG", call: `select outcome from set_schedule('s', '@daily', dag => '{"name": "etl", "nodes": [{"name": "a", "kind": "k"}]}')`, want: "(created)",
			then: "select is_dag, kind from schedule_states", is: "(t,etl)"},
		{name: "a DAG that is wrong", call: `select set_schedule('s', '@daily', dag => '{"name": "etl", "nodes": [{"name": "a", "kind": "k", "after": ["b"]}]}')`,
			want: `PQ001 dag node "a": after must name nodes of the DAG; "b" is none`},
		{name: "a DAG with a key", call: `select set_schedule('s', '@daily', dag => '{"name": "etl", "key": "x", "nodes": []}')`, want: "PQ001 dag must not have a key*"},
		{name: "both a job and a DAG", call: `select set_schedule('s', '@daily', 'k', dag => '{}')`, want: "PQ001 dag must not be given together with kind, args or options"},
		{name: "neither", call: "select set_schedule('s', '@daily')", want: "PQ001 kind must be given, or a DAG"},
		{name: "a full queue does not matter yet", given: `select set_queue('default', '{"max_depth": 1}'); select enqueue('a')`, call: "select outcome from set_schedule('s', '@daily', 'k')", want: "(created)"},
	}
	for arguments, refused := range map[string]string{
		"null, '@daily', 'k'": "name must have 1 to 128 characters", "'', '@daily', 'k'": "name must have 1 to 128 characters", "repeat('ä', 129), '@daily', 'k'": "name must have 1 to 128 characters",
		"E'a\\nb', '@daily', 'k'": "name must not have control characters", "'s', null, 'k'": "spec must have 1 to 500 characters", "'s', repeat('1', 501), 'k'": "spec must have 1 to 500 characters",
		"'s', '0 0 30 2 *', 'k'": "spec never comes: none of its months has such a day", "'s', '@daily', ''": "kind must have 1 to 128 characters",
		"'s', '@daily', 'k', zone => 'Europe/Berlinn'": `zone must be the name of a time zone, such as Europe/Berlin; "Europe/Berlinn" is none`, "'s', '@daily', 'k', zone => null": "zone *",
		"'s', '@daily', 'k', zone => '+03'": "zone *", "'s', '@daily', 'k', zone => E'Europe/\\u200fBerlin'": "zone *", "'s', '@daily', 'k', zone => 'Europe/Berlin5'": "zone *",
		"'s', '@daily', 'k', jitter => '-1 s'": "jitter must be 0 to 1 day", "'s', '@daily', 'k', jitter => '25 h'": "jitter must be 0 to 1 day", "'s', '@daily', 'k', jitter => null": "jitter must be 0 to 1 day",
		"'s', '@daily', 'k', starts_at => 'infinity'": "starts_at must be in the years 1 to 9999", "'s', '@daily', 'k', ends_at => '-infinity'": "ends_at must be in the years 1 to 9999",
		"'s', '@daily', 'k', starts_at => now(), ends_at => now()": "ends_at must be after starts_at", "'s', '@daily', 'k', max_runs => 0": "max_runs must be at least 1",
		"'s', '@daily', 'k', missed => 'some'": "missed must be skip, once or all", "'s', '@daily', 'k', missed => null": "missed must be skip, once or all", "'s', '@daily', 'k', missed_limit => 1001": "missed_limit must be 1 to 1000",
		"'s', '@daily', 'k', overlap => 'x'": "overlap must be allow, skip, queue or cancel", "'s', '@daily', 'k', options => '[]'": "options must be a JSON object", "'s', '@daily', 'k', options => '{\"x\": 1}'": `options has an unknown field "x"`,
		"'s', '@daily', 'k', options => '{\"priority\": 10}'": "priority must be 0 to 9", "'s', '@daily', 'k', options => '{\"delay\": \"1 s\"}'": "options must not have delay or run_at*",
		"'s', '@daily', 'k', options => '{\"kind\": \"x\"}'": "options must not have kind or args*", "'s', '@daily', 'k', options => '{\"timeout\": \"soon\"}'": "timeout cannot be read as interval", "'s', '@daily', 'k', declared_by => ''": "declared_by must have 1 to 128 characters",
	} {
		cases = append(cases, verbCase{name: arguments, call: "select set_schedule(" + arguments + ")", want: "PQ001 " + refused, then: "select count(*) from schedules", is: "(0)"})
	}
	verbTest(t, cases)
}

func TestScheduleVerbCases(t *testing.T) {
	t.Parallel()
	const given = `select set_schedule('s', 'every 1 h', 'k', options => '{"metadata": {"a": 1}}', max_runs => 5);`
	const list = `[{"name": "a", "spec": "@daily", "kind": "k"}, {"name": "b", "spec": "@daily", "kind": "k", "jitter": "1 min", "options": {"queue": "q"}}]`
	cases := []verbCase{
		{name: "run now", given: given, call: "select run_schedule('s')", want: "(1)", then: "select metadata ->> 'a', metadata ->> 'schedule', (metadata ->> 'due_at')::timestamptz > now() from jobs", is: "(1,s,t)"},
		{name: "run while paused", given: given + "select pause_schedule('s');", call: "select run_schedule('s')", want: "(1)", then: "select runs, last_job_id, last_state, outcome from schedule_states, schedule_history('s')", is: "(0,1,ready,by_hand)"},
		{name: "run a DAG", given: `select set_schedule('s', '@daily', dag => '{"name": "etl", "nodes": [{"name": "a", "kind": "k"}]}');`, call: "select run_schedule('s')", want: "(1)", then: "select name, key like 's@20%Z', metadata ->> 'schedule' from dags", is: "(etl,t,s)"},
		{name: "run into a full queue", given: given + `select set_queue('default', '{"max_depth": 1}'); select enqueue('a');`, call: "select run_schedule('s')", want: `PQ002 queue "default" is full*`},
		{name: "resumed, what passed is not made up for", given: given + "select pause_schedule('s'); update schedules set next_at = now() - interval '30 min', anchor = now() - interval '90 min'",
			call: "select resume_schedule('s') = now() + interval '30 min'", want: "(t)", then: "select state, fire_at = next_at, paused_by, pause_reason from schedule_states", is: "(active,t,,)"},
		{name: "resuming what is not paused", given: given, call: "select resume_schedule('s') > now()", want: "(t)"},
		{name: "the first pause stays", given: given + "select pause_schedule('s', 'first', 'ada');", call: "select pause_schedule('s', 'second', 'bob')", want: `("")`, then: "select pause_reason, paused_by from schedules", is: "(first,ada)"},
		{name: "next times, as many as there are", given: given, call: "select count(*), bool_and(t > now()) from next_times('s') t", want: "(5,t)"},
		{name: "next times of one that has ended", given: given + "update schedules set next_at = null, fire_at = null, runs = 5", call: "select next_times('s')", want: ""},
		{name: "no times", given: given, call: "select next_times('s', 0)", want: "PQ001 at_most must be 1 to 1000"},
		{name: "deleted with its runs", given: given + "select run_schedule('s');", call: "select delete_schedule('s')", want: `("")`, then: "select (select count(*) from schedules), (select count(*) from schedule_runs), (select count(*) from jobs)", is: "(0,0,1)"},
		{name: "reconciled", given: "select set_schedule('b', '@hourly', 'by_hand'); select reconcile_schedules('app', '[{\"name\": \"a\", \"spec\": \"@hourly\", \"kind\": \"k\"}, {\"name\": \"old\", \"spec\": \"@daily\", \"kind\": \"k\"}]'); select reconcile_schedules('other', '[{\"name\": \"theirs\", \"spec\": \"@daily\", \"kind\": \"k\"}]')",
			call: "select * from reconcile_schedules('app', '" + list + "')", want: "(a,changed) (b,taken) (old,deleted)", then: "select name, kind, declared_by from schedule_states order by name", is: "(a,k,app) (b,by_hand,) (theirs,k,other)"},
		{name: "reconciled twice", given: "select reconcile_schedules('app', '" + list + "')", call: "select * from reconcile_schedules('app', '" + list + "')", want: "(a,unchanged) (b,unchanged)"},
		{name: "reconciled with nothing", given: "select reconcile_schedules('app', '" + list + "')", call: "select * from reconcile_schedules('app', '[]')", want: "(a,deleted) (b,deleted)"},
		{name: "one of a list is wrong", call: `select * from reconcile_schedules('app', '[{"name": "a", "spec": "@daily", "kind": "k"}, {"name": "b", "spec": "@dayly", "kind": "k"}]')`, want: `PQ001 schedules[1].spec has no macro "@dayly"*`, then: "select count(*) from schedules", is: "(0)"},
		{name: "a field that is not there", call: `select * from reconcile_schedules('app', '[{"name": "a", "specs": "@daily"}]')`, want: `PQ001 schedules[0] has an unknown field "specs"`},
		{name: "a field that cannot be read", call: `select * from reconcile_schedules('app', '[{"name": "a", "spec": "@daily", "kind": "k", "jitter": "soon"}]')`, want: "PQ001 schedules[0].jitter cannot be read as interval"},
		{name: "twice the same name", call: `select * from reconcile_schedules('app', '[{"name": "a", "spec": "@daily", "kind": "k"}, {"name": "a", "spec": "@daily", "kind": "k"}]')`, want: "PQ001 schedules[*].name must not be listed twice"},
		{name: "nobody declares", call: "select * from reconcile_schedules(null, '[]')", want: "PQ001 declared_by must have 1 to 128 characters"},
		{name: "no list", call: "select * from reconcile_schedules('app', '{}')", want: "PQ001 schedules must be a JSON array"},
	}
	for _, verb := range []string{"run_schedule", "pause_schedule", "resume_schedule", "delete_schedule", "next_times"} {
		cases = append(cases, verbCase{name: verb + " of none", call: "select " + verb + "('it''s % \"none\"')", want: `PQ004 there is no schedule "it's % \"none\""`},
			verbCase{name: verb + " of null", call: "select " + verb + "(null)", want: "PQ004 *"})
	}
	verbTest(t, cases)
}

func TestFireSchedulesCases(t *testing.T) {
	t.Parallel()
	set := func(more string) string { return "select set_schedule('s', 'every 1 h', 'k', " + more + ")" }
	const runs = "select string_agg(concat_ws('/', extract(epoch from now() - due_at)::bigint / 3600, outcome, times, job_id), ' ' order by due_at) from schedule_runs"
	// Due 1 h after now, each hour; set back, 10 s less than whole hours late, so that the last one is on time.
	const due = "select fire_schedules()"
	started := "; update schedules set anchor = anchor - interval '1 h'"
	late := func(policy, by string) string {
		return set(policy) + setBack(by) + "; update schedules set anchor = next_at"
	}
	verbTest(t, []verbCase{
		{name: "nothing is due", given: set("missed => 'skip'"), call: due, want: "(0)", then: "select count(*) from jobs", is: "(0)"},
		{name: "one is due", given: late("missed => 'skip'", "1 h"), call: due, want: "(1)", then: "select last_job_id, runs, next_at - last_due_at, fire_at = next_at, last_fired_at = now() from schedules", is: "(1,1,01:00:00,t,t)"},
		{name: "it fires once", given: late("missed => 'skip'", "1 h") + started, call: "select fire_schedules(), fire_schedules()", want: "(1,0)", then: "select count(*) from jobs", is: "(1)"},
		{name: "paused", given: late("missed => 'all'", "9 h") + "; update schedules set fire_at = null, paused_at = now()", call: due, want: "(0)"},
		{name: "missed: skip", given: late("missed => 'skip'", "5 h 30 min"), call: due, want: "(1)", then: runs, is: "(4/missed)"},
		{name: "missed: skip, but the last is on time", given: late("missed => 'skip'", "4 h"), call: due, want: "(1)", then: runs, is: "(\"3/missed 0/fired/1/1\")"},
		{name: "missed: once", given: late("missed => 'once'", "5 h 30 min"), call: due, want: "(1)", then: runs, is: "(\"4/missed 0/fired/1/1\")"},
		{name: "missed: once is the one on time", given: late("missed => 'once'", "4 h"), call: due, want: "(1)", then: runs, is: "(\"3/missed 0/fired/1/1\")"},
		{name: "missed: all", given: late("missed => 'all'", "5 h 30 min"), call: due, want: "(1)", then: runs, is: "(\"4/fired/1/1 3/fired/1/2 2/fired/1/3 1/fired/1/4 0/fired/1/5\")"},
		{name: "missed: all up to n", given: late("missed => 'all', missed_limit => 2", "5 h 30 min"), call: due, want: "(1)", then: runs, is: "(\"4/missed 1/fired/1/1 0/fired/1/2\")"},
		{name: "missed for years, each second", given: "select set_schedule('s', '* * * * * *', 'k', missed => 'all', missed_limit => 10)" + setBack("10 years"), call: due, want: "(1)", then: "select max(age) between 60 and 80, count(*) between 70 and 72 from (select extract(epoch from now() - due_at) as age from schedule_runs where outcome = 'fired') r", is: "(t,t)"},
		{name: "no more than max_runs", given: late("missed => 'all', max_runs => 3", "5 h 30 min"), call: due, want: "(1)", then: "select state, runs, (select count(*) from jobs) from schedule_states", is: "(ended,3,3)"},
		{name: "not after its end", given: late("missed => 'all', ends_at => now() + interval '100 h'", "5 h 30 min") + "; update schedules set ends_at = now() - interval '2 h'", call: due, want: "(1)", then: "select state, runs from schedule_states", is: "(ended,3)"},
		{name: "a single time", given: "select set_schedule('s', 'at 3000-01-01 00:00', 'k')" + "; update schedules set next_at = now(), fire_at = now(), once_at = now()", call: due, want: "(1)", then: "select state, runs from schedule_states", is: "(ended,1)"},
		{name: "a DAG", given: `select set_schedule('s', 'every 1 h', dag => '{"name": "etl", "nodes": [{"name": "a", "kind": "k"}]}')` + setBack("1 h"), call: due, want: "(1)", then: "select name, metadata ->> 'due_at' = right(key, -2), state, (select outcome from schedule_runs) from dags", is: "(etl,t,running,fired)"},
		{name: "overlap: allow", given: late("overlap => 'allow'", "1 h") + "; select run_schedule('s')", call: due, want: "(1)", then: "select count(*) from jobs", is: "(2)"},
		{name: "overlap: skip", given: late("overlap => 'skip'", "1 h") + "; select run_schedule('s')", call: due, want: "(1)", then: "select count(*), (select runs from schedules), (select times from schedule_runs where outcome = 'overlapped') from jobs", is: "(1,0,1)"},
		{name: "overlap: skip fires when nothing runs", given: late("overlap => 'skip'", "1 h") + "; select run_schedule('s'); select cancel('{1}')", call: due, want: "(1)", then: "select count(*) from jobs", is: "(2)"},
		{name: "overlap: queue waits", given: late("overlap => 'queue'", "1 h") + "; select run_schedule('s')", call: due, want: "(1)", then: "select state, queued_at = next_at - interval '1 h', fire_at = now() + interval '1 s', (select count(*) from jobs) from schedule_states", is: "(active,t,t,1)"},
		{name: "overlap: queue fires when it may", given: late("overlap => 'queue'", "1 h") + "; select run_schedule('s'); select fire_schedules(); select cancel('{1}'); update schedules set fire_at = now()", call: due, want: "(1)", then: "select queued_at, runs, last_due_at = next_at - interval '1 h', (select count(*) from jobs) from schedules", is: "(,1,t,2)"},
		{name: "overlap: cancel", given: late("overlap => 'cancel'", "1 h") + "; select run_schedule('s')", call: due, want: "(1)", then: "select pg_temp.places(), (select error from results)", is: `("1:cancelled/0 2:ready/0","replaced by the next run of its schedule")`},
		{name: "a full queue", given: late("missed => 'all'", "2 h") + `; select set_queue('default', '{"max_depth": 1}'); select enqueue('a')`, call: due, want: "(1)", then: "select runs, error, extract(epoch from fire_at - now())::int, next_at < now() - interval '59 min', (select count(*) from schedule_runs) from schedules", is: `(0,"queue ""default"" is full: its maximum depth is 1",5,t,0)`},
		{name: "a full queue that has room again", given: late("missed => 'all'", "2 h") + `; select set_queue('default', '{"max_depth": 2}'); select enqueue('a'); select fire_schedules(); select set_queue('default', '{"max_depth": 9}'); update schedules set fire_at = now()`, call: due, want: "(1)", then: "select runs, error, (select count(*) from jobs) from schedules", is: "(2,,3)"},
		{name: "one that is refused does not keep the others", given: set("args => '\"123456789\"'") + "; select set_schedule('t', 'every 1 h', 'k')" + setBack("1 h") + "; select set_queue('default', '{\"max_args_bytes\": 5}')",
			call: due, want: "(2)", then: "select schedule, outcome, error from schedule_runs order by 1", is: `(s,failed,"jobs[0].args must be at most 5 bytes") (t,fired,)`},
		{name: "jitter comes later, by less than it", given: "select set_schedule('s' || i, '@hourly', 'k', jitter => '10 min') from generate_series(1, 20) i", call: "select bool_and(fire_at - next_at between '0' and '10 min'), count(distinct fire_at) from schedules", want: "(t,20)"},
		{name: "in bounded batches, soonest first", given: "select set_schedule('s' || i, 'every 1 h', 'k') from generate_series(1, 5) i" + setBack("1 h"), call: "select fire_schedules(2), fire_schedules(2), fire_schedules(2), fire_schedules(2)", want: "(2,2,1,0)"},
		{name: "the last 100 runs are kept", given: late("missed => 'all', missed_limit => 300", "300 h"), call: due, want: "(1)", then: "select (select count(*) from schedule_runs), (select count(*) from jobs), runs from schedules", is: "(100,300,300)"},
	})
}
