package pgq_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
)

const (
	// grouped adds jobs 1 to 9 to groups a, b and c, in turn.
	grouped = `select count(*) from enqueue_many((select jsonb_agg(jsonb_build_object('kind', 'k', 'group', (array['a', 'b', 'c'])[i % 3 + 1])) from generate_series(0, 8) i)); `
	dealt   = "select string_agg(job_id::text, ' ') from claim(1, '{default}', '{%}')"
)

func TestLimitCases(t *testing.T) {
	t.Parallel()
	take := func(n string) string { return replace(dealt, n) }
	verbTest(t, []verbCase{
		{name: "groups take turns", given: grouped, call: take("5"), want: `("1 2 3 4 5")`,
			then: "select pg_temp.places()", is: `*running/1 6:waiting/0 7:waiting/0*`},
		{name: "a group that comes late has its turn at once",
			given: `select count(*) from enqueue_many((select jsonb_agg(jsonb_build_object('kind', 'k', 'group', 'big')) from generate_series(1, 50))); ` + take("20") +
				`; select enqueue('k', group_name => 'small'), enqueue('k', group_name => 'small')`,
			call: take("4"), want: `("51 21 52 22")`},
		{name: "turns by weight", given: `select set_limit('group', 'b', weight => 2); ` + grouped, call: take("6"), want: `("2 1 5 8 3 4")`},
		{name: "within a group by priority",
			given: "select enqueue('k', group_name => 'a', priority => p) from unnest('{7,2,5}'::int[]) p", call: take("3"), want: `("2 3 1")`},
		{name: "so many of a group run at a time", given: "select set_limit('group', 'a', max_running => 1); " + grouped + take("9"),
			call: take("9"), want: "()", then: "select pg_temp.places()",
			is: `("1:running/1 2:running/1 3:running/1 4:waiting/0 5:running/1 6:running/1 7:waiting/0 8:running/1 9:running/1")`},
		{name: "a completed one makes room", given: "select set_limit('group', 'a', max_running => 1); " + grouped + take("9") + "; select complete(1, '{1}', '{1}')",
			call: take("9"), want: "(4)"},
		{name: "a failed one makes room, and waits for its turn when it is tried again",
			given: "select set_limit('group', 'a', max_running => 1); " + grouped + take("9") + "; select fail(1, '{1}', '{1}', '{oops}', '{0}')",
			call:  take("9"), want: "(4)", then: "select state, attempt from job_states where id = 1", is: "(waiting,1)"},
		{name: "a dead worker's slots are free", given: "select set_limit('group', 'a', max_running => 1); " + grouped +
			"select count(*) from claim(2, '{default}', '{9}'); update workers set heartbeat_at = '-infinity' where id = 2; select rescue()",
			call: take("1"), want: "(4)"},
		{name: "each group of a pattern for itself", given: "select set_limit('group', '*', max_running => 1); " + grouped, call: take("9"), want: `("1 2 3")`},
		{name: "the name wins over patterns, and longer patterns over shorter ones",
			given: `select set_limit('group', '*', max_running => 1), set_limit('group', 'x/*', max_running => 2), set_limit('group', 'x/y', max_running => 3);
				select enqueue('k', group_name => g) from unnest('{a,x/z,x/y}'::text[]) g, generate_series(1, 5) order by g`,
			call: "select group_name, count(*) from claim(1, '{default}', '{99}') c join jobs j on j.id = c.job_id group by 1 order by 1",
			want: "(a,1) (x/y,3) (x/z,2)"},
		{name: "so many of a kind, in all queues",
			given: `select set_limit('kind', 'k', max_running => 2); select enqueue('k', queue => q), enqueue('other', queue => q) from unnest('{x,y}'::text[]) q, generate_series(1, 2)`,
			call:  "select kind, count(*) from claim(1, '{x,y}', '{9,9}') group by 1 order by 1", want: "(k,2) (other,4)",
			then: "select count(*) from waiting where role = 'turn'", is: "(2)"},
		{name: "a limit that is set while jobs are ready", given: `select enqueue('k') from generate_series(1, 5); select set_limit('kind', 'k', max_running => 2)`,
			call: take("9"), want: `("1 2")`},
		{name: "so many of a queue, which stay ready", given: `select set_limit('queue', 'default', max_running => 3); select enqueue('k') from generate_series(1, 5); ` + take("2"),
			call: take("9"), want: "(3)", then: "select count(*) from ready", is: "(2)"},
		{name: "of a queue with groups", given: "select set_limit('queue', 'default', max_running => 4); " + grouped, call: take("9"), want: `("1 2 3 4")`},
		{name: "so many may start per period", given: "select set_limit('group', 'a', rate => 2, period => '1 h'); " + grouped, call: take("9"),
			want: `("1 2 3 4 5 6 8 9")`, then: "select round(tokens::numeric, 2) from limit_states where name = 'a'", is: "(0.00)"},
		{name: "a token comes back with time",
			given: "select set_limit('group', 'a', rate => 2, period => '1 h'); " + grouped + take("9") + "; update gates set refilled_at = refilled_at - interval '31 min'; update backlogs set parked_until = parked_until - interval '31 min'",
			call:  take("9"), want: "(7)"},
		{name: "no more tokens than the burst",
			given: "select set_limit('kind', 'k', rate => 10, period => '1 s', burst => 2); " + grouped + take("9") + "; update gates set refilled_at = refilled_at - interval '1 day'",
			call:  "select count(*) from claim(1, '{default}', '{9}')", want: "(2)"},
		{name: "a rate of a queue", given: "select set_limit('queue', 'default', rate => 2, period => '1 h'); select enqueue('k') from generate_series(1, 5)",
			call: take("9"), want: `("1 2")`, then: "select count(*) from claim(2, '{default}', '{9}')", is: "(0)"},
		{name: "a paused group has no turn", given: "select pause_limit('group', 'a', '1 h', 'asked'); " + grouped, call: take("9"), want: `("2 3 5 6 8 9")`,
			then: "select scope, name, limit_name, paused_until > now(), pause_reason, waiting from limit_states where name = 'a'", is: "(group,a,,t,asked,3)"},
		{name: "until it is resumed", given: "select pause_limit('group', 'a', '1 h'); " + grouped + take("9") + "; select resume_limit('group', 'a')",
			call: take("9"), want: `("1 4 7")`, then: "select resume_limit('group', 'a')", is: "(f)"},
		{name: "a shorter pause does not end a longer one", given: "select pause_limit('kind', 'k', '2 h'), pause_limit('kind', 'k', '1 h'); " + grouped,
			call: take("9"), want: "()", then: "select paused_until > now() + interval '110 min' from limit_states where name = 'k'", is: "(t)"},
		{name: "a paused kind without a group", given: "select enqueue('k'), enqueue('other'); select pause_limit('kind', 'k', '1 h')", call: take("9"), want: "(2)"},
		{name: "jobs of kinds that the worker does not know keep their turn",
			given: "select enqueue('known', group_name => 'a'), enqueue('unknown', group_name => 'a'), enqueue('known', group_name => 'a')",
			call:  "select string_agg(job_id::text, ' ') from claim(1, '{default}', '{9}', '{known}')", want: `("1 3")`,
			then: "select * from unknown_kinds('{default}')", is: "(default,unknown)"},
		{name: "a job without a group that is later has to wait",
			given: "select enqueue('k', group_name => 'a', priority => 5), enqueue('k', priority => 1), enqueue('k', priority => 6)", call: take("2"), want: `("1 2")`},
		{name: "and one that is sooner goes before", given: "select enqueue('k', group_name => 'a', priority => 5); select enqueue_many(jsonb_agg('{\"kind\": \"k\", \"priority\": 1}'::jsonb)) from generate_series(1, 9)",
			call: "select min(job_id) from claim(1, '{default}', '{9}')", want: "(2)"},
		{name: "a delayed job waits for its turn when its time has come",
			given: "select enqueue('k', group_name => 'a', delay => '1 h'); update scheduled set run_at = now(); select promote()", call: take("9"), want: "(1)",
			then: "select count(*) from running", is: "(1)"},
		{name: "a job that is past its time to live expires instead",
			given: "select enqueue('k', group_name => 'a', ttl => '1 h'), enqueue('k', group_name => 'a'); update jobs set expires_at = now() - interval '1 s' where id = 1; update expiries set expires_at = now() - interval '1 s'",
			call:  take("9"), want: "(2)", then: "select pg_temp.places()", is: `("1:expired/0 2:running/1")`},
		{name: "or while it waits", given: "select enqueue('k', group_name => 'a', ttl => '1 h'); update jobs set expires_at = now() - interval '1 s'; update expiries set expires_at = now() - interval '1 s'",
			call: "select expire()", want: "(1)", then: "select pg_temp.places()", is: "(1:expired/0)"},
		{name: "a rolled back enqueue leaves nothing to be dealt", given: "savepoint s; " + grouped + "rollback to savepoint s", call: take("9"), want: "()"},
		{name: "they count as depth", given: "select set_queue('default', max_depth => 10); " + grouped, call: "select enqueue('k', group_name => 'a'), enqueue('k')", want: "PQ002*"},
		{name: "a missing backlog is found", given: grouped + "delete from backlogs; select tend_backlogs()", call: take("3"), want: `("1 2 3")`},
		{name: "also by the chores, where nothing is limited", given: grouped + take("1") + "; delete from backlogs; select do_chores()",
			call: take("3"), want: `("4 2 3")`},
		{name: "an empty backlog goes", given: grouped + take("9") + "; update backlogs set parked_until = now(), emptied_at = now() - interval '1 s'; " + take("9"),
			call: "select count(*) from backlogs", want: "(0)"},
		{name: "full buckets and past pauses go",
			given: "select set_limit('group', 'a', rate => 2); select pause_limit('kind', 'k', '1 us'); " + grouped + take("9") + "; update gates set refilled_at = now() - interval '1 h'; select tend_backlogs()",
			call:  "select count(*) from gates", want: "(0)"},
	})
}

func TestOperatorsSteerJobsThatWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "cancel", given: grouped, call: "select * from cancel('{1,4}')", want: "(1,cancelled) (4,cancelled)",
			then: "select string_agg(job_id::text, ' ') from claim(1, '{default}', '{9}')", is: `("7 2 3 5 6 8 9")`},
		{name: "delete", given: grouped, call: "select * from delete('{1}')", want: "(1,deleted)", then: "select count(*) from jobs", is: "(8)"},
		{name: "move", given: grouped, call: "select * from move('{1}', 'other')", want: "(1,moved)",
			then: "select job_id from claim(1, '{other}', '{9}')", is: "(1)"},
		{name: "set_priority", given: grouped, call: "select * from set_priority('{7}', 0)", want: "(7,changed)",
			then: "select job_id from claim(1, '{default}', '{1}')", is: "*"},
		{name: "reschedule", given: grouped, call: "select * from reschedule('{1}', delay => '1 h')", want: "(1,scheduled)",
			then: "select pg_temp.places()", is: `("1:scheduled/0 2:waiting/0*`},
		{name: "in bulk", given: grouped, call: "select outcomes from change_jobs('cancel', '{\"kinds\": [\"k\"], \"states\": [\"waiting\"]}')", want: `("{""cancelled"": 9}")`},
		{name: "explain a limit", given: "select set_limit('group', 'a', max_running => 1); " + grouped + "select count(*) from claim(1, '{default}', '{9}')",
			call: "select reason, detail from explain_job(7)", want: `(limit,"1 of 1 jobs of group a that may run at a time are running")*(turn,"1 jobs are ahead of it in group a")`},
		{name: "explain a rate", given: "select set_limit('kind', 'k', rate => 1, period => '1 h'); " + grouped + "select count(*) from claim(1, '{default}', '{9}')",
			call: "select reason, detail from explain_job(4)", want: `(rate,"1 jobs of kind k may start per 1h0m; the next one may in *")*`},
		{name: "explain a ready job of a limited queue", given: "select set_limit('queue', 'default', max_running => 1); select enqueue('k'), enqueue('k'); select count(*) from claim(1, '{default}', '{9}')",
			call: "select reason, detail from explain_job(2)", want: `(limit,"1 of 1 jobs of queue default that may run at a time are running")*`},
		{name: "in a list by group", given: grouped, call: "select id, group_name from list_jobs('{\"groups\": [\"a\", \"c\"], \"before\": 5}')", want: "(4,a) (3,c) (1,a)"},
		{name: "explain a pause", given: grouped + "select pause_limit('queue', 'default', '1 h', 'audit')",
			call: "select reason, detail from explain_job(4)", want: `(paused,"queue default is paused by * until *: audit")*`},
	})
}

func TestSetLimitCases(t *testing.T) {
	t.Parallel()
	const settings = "select scope, name, max_running, rate, period, burst, weight from limit_settings"
	verbTest(t, []verbCase{
		{name: "all settings", call: "select set_limit('group', 'a', '{\"max_running\": 2}', rate => 3, period => '1 min', burst => 4, weight => 5)", want: `("")`,
			then: settings, is: "(group,a,2,3,00:01:00,4,5)"},
		{name: "a rate is per second unless it says otherwise", call: "select set_limit('kind', 'k', rate => 3)", want: `("")`, then: settings, is: "(kind,k,,3,00:00:01,,)"},
		{name: "the rest stays", given: "select set_limit('kind', 'k', rate => 3, period => '1 min')", call: "select set_limit('kind', 'k', max_running => 1)", want: `("")`,
			then: settings, is: "(kind,k,1,3,00:01:00,,)"},
		{name: "null takes a setting away", given: "select set_limit('kind', 'k', rate => 3, max_running => 1)", call: `select set_limit('kind', 'k', '{"rate": null}')`, want: `("")`,
			then: settings, is: "(kind,k,1,,,,)"},
		{name: "a rate takes period and burst along", given: "select set_limit('kind', 'k', rate => 3, burst => 2, period => '1 h', max_running => 1)",
			call: `select set_limit('kind', 'k', '{"rate": null}')`, want: `("")`, then: settings, is: "(kind,k,1,,,,)"},
		{name: "the last setting takes the limit along", given: "select set_limit('kind', 'k', rate => 3)", call: `select set_limit('kind', 'k', '{"rate": null}')`, want: `("")`,
			then: settings, is: ""},
		{name: "delete", given: "select set_limit('kind', 'k', rate => 3)", call: "select delete_limit('kind', 'k'), delete_limit('kind', 'k')", want: "(t,f)"},
		{name: "no such scope", call: "select set_limit('tenant', 'a', rate => 3)", want: "PQ001 scope must be queue, kind or group"},
		{name: "no scope", call: "select pause_limit(null, 'a', '1 s')", want: "PQ001 scope must be queue, kind or group"},
		{name: "no name", call: "select set_limit('kind', '', rate => 3)", want: "PQ001 name must have 1 to 200 characters"},
		{name: "a long name", call: "select delete_limit('kind', repeat('x', 201))", want: "PQ001 name must have 1 to 200 characters"},
		{name: "control characters", call: `select set_limit('group', E'a\nb', rate => 3)`, want: "PQ001 name must not have control characters"},
		{name: "all queues", call: "select set_limit('queue', '*', rate => 3)", want: "PQ001 name must name one queue"},
		{name: "below one", call: "select set_limit('kind', 'k', max_running => 0)", want: "PQ001 max_running must be at least 1"},
		{name: "a rate below one", call: "select set_limit('kind', 'k', rate => -1)", want: "PQ001 rate must be at least 1"},
		{name: "a burst below one", call: "select set_limit('kind', 'k', rate => 1, burst => 0)", want: "PQ001 burst must be at least 1"},
		{name: "a burst without a rate", call: "select set_limit('kind', 'k', burst => 1)", want: "PQ001 burst must not be given without a rate"},
		{name: "a period without a rate", call: "select set_limit('kind', 'k', period => '1 s')", want: "PQ001 period must not be given without a rate"},
		{name: "a negative period", call: "select set_limit('kind', 'k', rate => 1, period => '-1 s')", want: "PQ001 period must be positive and at most 366 days"},
		{name: "a long period", call: "select set_limit('kind', 'k', rate => 1, period => '2 years')", want: "PQ001 period must be positive and at most 366 days"},
		{name: "a weight of zero", call: "select set_limit('group', 'a', weight => 0)", want: "PQ001 weight must be 1 to 1000"},
		{name: "a weight of a kind", call: "select set_limit('kind', 'k', weight => 2)", want: "PQ001 weight must not be given but for groups"},
		{name: "an unknown setting", call: `select set_limit('kind', 'k', '{"max": 1}')`, want: "PQ001 max is not a setting of a limit"},
		{name: "what cannot be read", call: `select set_limit('kind', 'k', '{"rate": "many"}')`, want: "PQ001 rate has a value that cannot be read: *"},
		{name: "a breaker", call: "select set_limit('kind', 'k', break_after => 3)", want: `("")`,
			then: "select max_running, break_after, break_within, break_for from limit_settings", is: "(,3,00:01:00,00:00:30)"},
		{name: "and without it", given: "select set_limit('kind', 'k', break_after => 3, max_running => 1)", call: `select set_limit('kind', 'k', '{"break_after": null}')`, want: `("")`,
			then: "select max_running, break_after, break_within, break_for from limit_settings", is: "(1,,,)"},
		{name: "a breaker after none", call: "select set_limit('kind', 'k', break_after => 0)", want: "PQ001 break_after must be 1 to 1000"},
		{name: "after too many", call: "select set_limit('kind', 'k', break_after => 1001)", want: "PQ001 break_after must be 1 to 1000"},
		{name: "within no time", call: "select set_limit('kind', 'k', break_after => 1, break_within => '0')", want: "PQ001 break_within must be positive and at most one day"},
		{name: "for no time", call: "select set_limit('kind', 'k', break_after => 1, break_for => '-1 s')", want: "PQ001 break_for must be positive and at most one day"},
		{name: "for long", call: "select set_limit('kind', 'k', break_after => 1, break_for => '2 days')", want: "PQ001 break_for must be positive and at most one day"},
		{name: "times without failures", call: "select set_limit('kind', 'k', break_within => '1 s')", want: "PQ001 break_within must not be given without break_after"},
		{name: "a time without failures", call: "select set_limit('kind', 'k', break_for => '1 s')", want: "PQ001 break_for must not be given without break_after"},
		{name: "no time at all", call: `select set_limit('kind', 'k', '{"break_for": null}', break_after => 3)`, want: "PQ001 break_for must be given with break_after"},
		{name: "no object", call: "select set_limit('kind', 'k', '[]')", want: "PQ001 settings must be a JSON object"},
		{name: "a pause of no time", call: "select pause_limit('kind', 'k', '0')", want: "PQ001 delay must be positive and at most 366 days"},
		{name: "a pause of a pattern", call: "select pause_limit('group', 'a*', '1 s')", want: "PQ001 group must not end in*"},
		{name: "an endless pause", call: "select pause_limit('kind', 'k', null)", want: "PQ001 delay must be positive and at most 366 days"},
		{name: "a group without a name", call: "select enqueue('k', group_name => '')", want: "PQ001 group must have 1 to 200 characters"},
		{name: "a group with the name of a pattern", call: `select enqueue_many('[{"kind": "k"}, {"kind": "k", "group": "a*"}]')`, want: `PQ001 jobs[1].group must not end in*`},
		{name: "a group that is no text", call: `select enqueue_many('[{"kind": "k", "group": {"a": 1}}]')`, want: "*"},
		{name: "is told", given: "select set_limit('kind', 'k', rate => 5)", call: "select set_limit('kind', 'k', rate => 5), set_limit('kind', 'k', rate => 6, reason => 'more', actor => 'ann'), delete_limit('kind', 'k', 'enough', 'bob')", want: `("","",t)`,
			then: "select type, data - 'scope' - 'name' from events where data ->> 'name' = 'k' and id > 1", is: `(limit_set,"{""by"": ""ann"", ""user"": ""*"", ""reason"": ""more"", ""settings"": {""rate"": 6}}") (limit_deleted,"{""by"": ""bob"", ""user"": ""*"", ""reason"": ""enough""}")`},
		{name: "a pause is told once, unless somebody makes it longer", given: "select pause_limit('kind', 'k', '1 h', 'busy', 'ann'); select pause_limit('kind', 'k', '2 h', 'still'); select pause_limit('kind', 'k', '3 h', 'still', 'bob')",
			call: "select resume_limit('kind', 'k', actor => 'cleo')", want: "(t)", then: "select type, data ->> 'by', data ->> 'reason' from events", is: "(paused,ann,busy) (paused,bob,still) (resumed,cleo,)"},
		{name: "a pause says by whom", given: "select pause_limit('kind', 'k', '1 h', 'busy', 'ann')", call: "select paused_by, pause_reason from limit_states", want: "(ann,busy)"},
		{name: "nothing is left of a limit and a pause", given: "select set_limit('kind', 'k', rate => 5); select pause_limit('kind', 'k', '1 h'), pause_limit('kind', 'o', '1 h')",
			call: "select resume_limit('kind', 'k'), resume_limit('kind', 'o'), delete_limit('kind', 'k')", want: "(t,t,t)", then: "select (select count(*) from gates), (select count(*) from list_limits()), (select count(*) from limit_states)", is: "(0,0,0)"},
		{name: "a pause that is past is not shown", given: "select pause_limit('kind', 'k', '1 h'); update gates set paused_until = now() - interval '1 s'", call: "select count(*) from list_limits()", want: "(0)"},
	})
}

func TestBreakerCases(t *testing.T) {
	t.Parallel()
	const (
		breaker = "select set_limit('kind', 'k', break_after => 2, break_within => '1 min', break_for => '30 s'); "
		three   = "select enqueue('k') from generate_series(1, 3); "
		claim   = "select count(*) from claim(1, '{default}', '{9}'); "
		open    = breaker + "select enqueue('k') from generate_series(1, 2); " + claim + three + "select fail(1, '{1,2}', '{1,1}', '{oops,oops}'); "
		later   = "select tend_breakers(); update gates set probe_at = now(); "
		state   = "select breaker, failures, probe_at > now(), probe_id from limit_states where name = 'k'"
		told    = "select type, job_id, queue, data ->> 'scope', data ->> 'name', data ->> 'failures' from events where type like 'breaker%' order by id"
	)
	verbTest(t, []verbCase{
		{name: "closed at first", given: breaker + three + claim, call: state, want: "(closed,0,,)"},
		{name: "one failure is not enough", given: breaker + three + claim + "select fail(1, '{1}', '{1}', '{oops}', '{0}')",
			call: take9(), want: "(1)", then: state, is: "(closed,1,,)"},
		{name: "two in time are", given: open, call: take9(), want: "()", then: state, is: "(open,2,t,)"},
		{name: "and that is told", given: open + "select tend_breakers()", call: told, want: "(breaker_opened,2,default,kind,k,2)"},
		{name: "failures that are old do not count", given: breaker + three + claim + "select fail(1, '{1}', '{1}', '{oops}'); select tend_breakers(); update gates set failed_at = array[now() - interval '61 s']; select fail(1, '{2}', '{1}', '{oops}')",
			call: "select tend_breakers()", want: `("")`, then: state, is: "(closed,1,,)"},
		{name: "endings that are no failures do not count",
			given: breaker + three + claim + "select snooze(1, '{1}', '{1}', '{0}'); select release(1, '{2}', '{1}'); select give_up(1, '{3}', '{1}', '{no}')",
			call:  "select count(*) from strikes", want: "(0)"},
		{name: "nor does the death of a worker", given: breaker + three + claim + "update workers set heartbeat_at = '-infinity' where id = 1; select rescue()",
			call: "select count(*) from strikes", want: "(0)"},
		{name: "nor do failures of other kinds", given: breaker + "select enqueue('other'); " + claim + "select fail(1, '{1}', '{1}', '{oops}')",
			call: "select count(*) from strikes", want: "(0)"},
		{name: "other kinds go on while it is open", given: open + "select enqueue('other')", call: take9(), want: "(6)"},
		{name: "half-open, one may run", given: open + later, call: take9(), want: "(3)", then: state, is: "(half_open,2,f,3)"},
		{name: "and no other one meanwhile", given: open + later + claim, call: take9(), want: "()"},
		{name: "its success closes", given: open + later + claim + "select complete(1, '{3}', '{1}')", call: take9(), want: `("4 5")`, then: state, is: "(closed,0,,)"},
		{name: "and that is told, too", given: open + later + claim + "select complete(1, '{3}', '{1}'); select tend_breakers()", call: told,
			want: "(breaker_opened,2,default,kind,k,2) (breaker_closed,3,default,kind,k,)"},
		{name: "its failure opens again", given: open + later + claim + "select fail(1, '{3}', '{1}', '{oops}', '{0}')", call: take9(), want: "()", then: state, is: "(open,2,t,)"},
		{name: "another one after a probe that was put off", given: open + later + claim + "select snooze(1, '{3}', '{1}', '{1 h}')", call: take9(), want: "(4)", then: state, is: "(half_open,2,f,4)"},
		{name: "another attempt after a probe whose worker died", given: open + later + "select count(*) from claim(2, '{default}', '{9}'); update workers set heartbeat_at = '-infinity' where id = 2; select rescue()",
			call: take9(), want: "(4)", then: state, is: "(half_open,2,f,4)"},
		{name: "another one after a probe that was cancelled", given: open + later + claim + "select give_up(1, '{3}', '{1}', '{no}')", call: take9(), want: "(4)"},
		{name: "one that ran before and fails late does not open it again",
			given: breaker + three + claim + "select enqueue('k'); select fail(1, '{1,2}', '{1,1}', '{oops,oops}'); " + later + "select fail(1, '{3}', '{1}', '{late}')",
			call:  take9(), want: "(4)", then: state, is: "(half_open,2,f,4)"},
		{name: "of each group of a pattern for itself",
			given: "select set_limit('group', 'c/*', break_after => 1); select enqueue('k', group_name => g) from unnest('{c/1,c/2}'::text[]) g, generate_series(1, 2) i order by i, g; " +
				"select count(*) from claim(1, '{default}', '{2}'); select fail(1, '{1}', '{1}', '{oops}', '{0}')",
			call: take9(), want: "(4)", then: "select name, breaker from limit_states where breaker is not null", is: "(c/1,open) (c/2,closed)"},
		{name: "one probe per group", given: "select set_limit('group', 'c/*', break_after => 1); select enqueue('k', group_name => g) from unnest('{c/1,c/2}'::text[]) g, generate_series(1, 3) i order by i, g; " +
			"select count(*) from claim(1, '{default}', '{2}'); select fail(1, '{1,2}', '{1,1}', '{oops,oops}', '{1 h,1 h}'); " + later, call: take9(), want: `("3 4")`},
		{name: "of a queue, whose jobs stay ready", given: "select set_limit('queue', 'default', break_after => 1); " + three + "select count(*) from claim(1, '{default}', '{1}'); select fail(1, '{1}', '{1}', '{oops}', '{1 h}')",
			call: take9(), want: "()", then: "select count(*) from ready", is: "(2)"},
		{name: "one probe per queue", given: "select set_limit('queue', 'default', break_after => 1); " + three + "select count(*) from claim(1, '{default}', '{1}'); select fail(1, '{1}', '{1}', '{oops}', '{1 h}'); " + later,
			call: take9(), want: "(2)", then: "select breaker, probe_id from limit_states", is: "(half_open,2)"},
		{name: "whose success closes it", given: "select set_limit('queue', 'default', break_after => 1); " + three + "select count(*) from claim(1, '{default}', '{1}'); select fail(1, '{1}', '{1}', '{oops}', '{1 h}'); " + later + claim + "select complete(1, '{2}', '{1}')",
			call: take9(), want: "(3)", then: "select breaker from limit_states", is: "(closed)"},
		{name: "a probe that has to satisfy two", given: breaker + "select set_limit('group', 'g', break_after => 2); select enqueue('k', group_name => 'g') from generate_series(1, 4); select count(*) from claim(1, '{default}', '{2}'); select fail(1, '{1,2}', '{1,1}', '{oops,oops}', '{1 h,1 h}'); " + later + claim + "select complete(1, '{3}', '{1}')",
			call: take9(), want: "(4)", then: "select name, breaker from limit_states order by 1", is: "(g,closed) (k,closed)"},
		{name: "resume closes", given: open + "select tend_breakers()", call: "select resume_limit('kind', 'k'), resume_limit('kind', 'k')", want: "(t,f)", then: state, is: "*"},
		{name: "and lets jobs start", given: open + "select tend_breakers(); select resume_limit('kind', 'k')", call: take9(), want: `("3 4 5")`},
		{name: "without the limit it is closed", given: open + "select tend_breakers(); select delete_limit('kind', 'k')", call: take9(), want: `("3 4 5")`},
		{name: "a pause outlasts it", given: open + later + "select pause_limit('kind', 'k', '1 h')", call: take9(), want: "()"},
		{name: "old failures go", given: breaker + three + claim + "select fail(1, '{1}', '{1}', '{oops}'); select tend_breakers(); update gates set failed_at = array[now() - interval '61 s']",
			call: "select tend_backlogs()", want: `("")`, then: "select count(*) from gates", is: "(0)"},
		{name: "what is open stays", given: open + later, call: "select tend_backlogs()", want: `("")`, then: state, is: "(half_open,2,f,)"},
		{name: "chores wait for the time of the probe", given: open, call: "select do_chores() between 1 and 1000", want: "(t)", then: state, is: "(open,2,t,)"},
		{name: "explain: open", given: open + "select tend_breakers()", call: "select reason, detail from explain_job(3)",
			want: `(breaker,"the circuit breaker of kind k is open until *, when one job may run; it opens after 2 failures within 1m0s")*`},
		{name: "explain: half-open", given: open + later + claim, call: "select reason, detail from explain_job(4)",
			want: `(breaker,"the circuit breaker of kind k is half-open: job 3 runs, and others when it has succeeded")*`},
	})
}

// take9 claims all that may start of up to nine jobs.
func take9() string { return replace(dealt, "9") }

func TestLimitsComeInPages(t *testing.T) {
	t.Parallel()
	const grouped = `select set_limit('group', 'g*', max_running => 1), set_limit('kind', 'k', max_running => 1000), set_limit('queue', 'default', rate => 1000), set_limit('group', 'g1', max_running => 9);
		select enqueue('k', group_name => 'g' || g) from generate_series(1, 5) g, generate_series(1, 2); select pause_limit('group', 'x', '1 h', 'asked'); `
	const pages = `with recursive page as (
			(select scope, name from list_limits(at_most => 1))
			union all
			select n.* from page p cross join lateral (select scope, name from list_limits(after_scope => p.scope, after_name => p.name, at_most => 1)) n)
		select string_agg(name, ' ') from page`
	verbTest(t, []verbCase{
		{name: "all of them, one by one", given: grouped, call: pages, want: `("g1 g2 g3 g4 g5 x k default")`,
			then: "select string_agg(name, ' ') from limit_states", is: `("g1 g2 g3 g4 g5 x k default")`},
		{name: "of one scope", given: grouped, call: "select name from list_limits('kind')", want: "(k)", then: "select name from list_limits('group', after_scope => 'kind')", is: ""},
		{name: "those without room", given: grouped + "select count(*) from claim(1, '{default}', '{3}')", call: "select name, state from list_limits(without_room => true)",
			want: "(g2,full) (g3,full) (x,paused)", then: "select name from list_limits(after_scope => 'group', after_name => 'g2', at_most => 1, without_room => true)", is: "(g3)"},
		{name: "groups of which all jobs run", given: grouped + "select count(*) from claim(1, '{default}', '{9}')",
			call: "select name, running, waiting, exact from list_limits('group') where running > 0", want: "(g1,2,0,t) (g2,1,1,t) (g3,1,1,t) (g4,1,1,t) (g5,1,1,t)"},
		{name: "what waits for a kind and for a queue", given: grouped, call: "select scope, waiting, exact, state from limit_states where scope <> 'group'",
			want: "(kind,10,t,free) (queue,10,t,free)"},
		{name: "counted up to so many", given: grouped, call: "select waiting, exact from limit_state('kind', 'k', 3)", want: "(3,f)"},
		{name: "one that has nothing", call: "select state, running, waiting, exact from limit_state('group', 'none')", want: "(free,,0,t)"},
		{name: "no such scope", call: "select * from list_limits('tenant')", want: "PQ001 of_scope must be queue, kind or group"},
		{name: "no page", call: "select * from list_limits(at_most => 0)", want: "PQ001 at_most must be 1 to 10000"},
		{name: "of how many groups jobs wait", given: grouped, call: "select waiting_groups(), waiting_groups(2)", want: "(5,2)"},
	})
}

// A pause that is begun while the row of its gate goes must not be lost.
func TestAPauseIsKeptWhileItsGateIsTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("select pgq.pause_limit('kind', 'k', '1 h', 'first')")
	holder, err := w.pool.Begin(t.Context())
	must(t, err)
	_, err = holder.Exec(t.Context(), "select from pgq.gates for update")
	must(t, err)
	ends := make(chan error, 2)
	for _, call := range []string{"select pgq.resume_limit('kind', 'k')", "select pgq.pause_limit('kind', 'k', '2 h', 'second')"} {
		go func() {
			_, err := w.pool.Exec(context.WithoutCancel(t.Context()), call)
			ends <- err
		}()
		waiting := "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query = '" + strings.ReplaceAll(call, "'", "''") + "'"
		for one[int](t, w.pool, waiting) == 0 {
			runtime.Gosched()
		}
	}
	must(t, holder.Rollback(t.Context()))
	must(t, <-ends)
	must(t, <-ends)
	if got := one[string](t, w.pool, "select coalesce(string_agg(pause_reason, ' '), 'no pause') from pgq.limit_states where paused_until is not null"); got != "second" {
		t.Errorf("the limits say: %s", got)
	}
}
