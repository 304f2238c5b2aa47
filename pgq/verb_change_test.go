package pgq_test

import "testing"

func TestMoveAndSetPriorityCases(t *testing.T) {
	t.Parallel()
	const where = "select string_agg(format('%s:%s/%s/%s', id, state, queue, priority), ' ' order by id) from job_states where queue = 'x' or priority = 1"
	verbTest(t, []verbCase{
		{name: "a ready one goes behind", given: everywhere + "select enqueue('z', queue => 'x')", call: "select * from move('{3,6}', 'x')", want: "(3,moved) (6,moved)",
			then: "select kind, size from ready where queue = 'x' order by seq", is: "(z,1) (r,1) (again,1)"},
		{name: "what is left of the run stays", given: everywhere, call: "select * from move('{3}', 'x')", want: "(3,moved)",
			then: "select string_agg(format('%s+%s', job_id, size), ' ' order by seq) from ready where queue = 'default'", is: `("1+2 4+2")`},
		{name: "a scheduled one keeps its time", given: everywhere, call: "select * from move('{7}', 'x')", want: "(7,moved)",
			then: "select queue, run_at - now() as remaining from scheduled", is: "(x,01:00:00)"},
		{name: "attempts are kept", given: claimed + "select fail(1, '{1}', '{1}', '{x}', '{0}')", call: "select * from move('{1}', 'x')", want: "(1,moved)", then: "select attempt from ready", is: "(1)"},
		{name: "others", given: everywhere, call: "select * from move('{8,9,10,11,12,99}', 'x') order by 1",
			want: "(8,running) (9,finished) (10,finished) (11,finished) (12,finished) (99,not_found)", then: "select pg_temp.places()", is: "(" + everywhereIs + ")"},
		{name: "to where it is", given: everywhere, call: "select * from move('{6,3}', 'o') order by 1", want: "(3,moved) (6,unchanged)"},
		{name: "duplicates and nulls", given: everywhere, call: "select * from move('{7,null,7}', 'x')", want: "(7,moved)"},
		{name: "is told", given: everywhere, call: "select * from move('{3}', 'x', actor => 'ann')", want: "(3,moved)", then: "select type, queue, data from events", is: `(moved,x,"{""by"": ""ann"", ""to"": ""x"", ""from"": ""default"", ""user"": ""*""}")`},
		{name: "a node that waits stays", given: `select dag_id from dag_submit('{"name": "d", "nodes": [{"name": "a", "kind": "k"}, {"name": "b", "kind": "k", "after": ["a"]}]}')`,
			call: "select outcome from jobs, move(array[id], 'x') where name in ('a', 'b') order by name", want: "(moved) (waiting)"},
		{name: "to a full queue", given: everywhere + `select set_queue('x', '{"max_depth": 1}')`, call: "select * from move('{3,4}', 'x')", want: "PQ002 *"},
		{name: "to a queue with room", given: everywhere + `select set_queue('x', '{"max_depth": 2}')`, call: "select * from move('{3,4}', 'x')", want: "(3,moved) (4,moved)"},
		{name: "to all queues", given: everywhere, call: "select * from move('{3}', '*')", want: `PQ001 queue must not be "*"*`},
		{name: "to no queue", given: everywhere, call: "select * from move('{3}', null)", want: "PQ001 queue must have 1 to 128 characters"},
		{name: "priority of ready ones", given: everywhere, call: "select * from set_priority('{3,6}', 1)", want: "(3,changed) (6,changed)", then: where, is: `("3:ready/default/1 6:ready/o/1")`},
		{name: "and they are claimed first", given: everywhere + "select set_priority('{3}', 1)", call: "select job_id from claim(2, '{default}', '{1}')", want: "(3)"},
		{name: "priority of a scheduled one", given: everywhere, call: "select * from set_priority('{7}', 1)", want: "(7,changed)", then: where, is: "(7:scheduled/default/1)"},
		{name: "the priority it has", given: everywhere, call: "select * from set_priority('{7,3}', 5) order by 1", want: "(3,unchanged) (7,unchanged)"},
		{name: "a priority that is none", given: everywhere, call: "select * from set_priority('{3}', 10)", want: "PQ001 priority must be 0 to 9"},
		{name: "no priority", given: everywhere, call: "select * from set_priority('{3}', null)", want: "PQ001 priority must be 0 to 9"},
		{name: "a priority that is set is told", given: everywhere, call: "select * from set_priority('{3}', 0, 'first', 'ann')", want: "(3,changed)", then: "select type, data from events", is: `(priority_set,"{""by"": ""ann"", ""to"": 0, ""from"": 5, ""user"": ""*"", ""reason"": ""first""}")`},
	})
}

func TestChangeJobsCases(t *testing.T) {
	t.Parallel()
	change := func(arguments string) string { return "select outcomes, next from change_jobs(" + arguments + ")" }
	verbTest(t, []verbCase{
		{name: "cancel", given: everywhere, call: change(`'cancel', '{"queues": ["default"], "kinds": ["r"]}'`), want: `("{""cancelled"": 5}",)`},
		{name: "a batch", given: everywhere, call: change(`'cancel', '{"kinds": ["r"]}', at_most => 2`), want: `("{""cancelled"": 2}",2)`,
			then: "select pg_temp.runs()", is: `("default/5/3:3+3 o/5/13:6+1")`},
		{name: "the next batch", given: everywhere, call: change(`'cancel', '{"kinds": ["r"], "after": 4}'`), want: `("{""cancelled"": 1}",)`},
		{name: "cancel whatever it is", given: everywhere, call: change(`'cancel', '{"before": 20, "queues": ["default", "o", "p"]}'`), want: `("{""finished"": 4, ""cancelled"": 7, ""requested"": 1}",)`},
		{name: "the jobs", given: everywhere, call: `select jobs from change_jobs('delete', '{"queues": ["p"]}')`, want: `("{""deleted"": [9, 10], ""running"": [8]}")`},
		{name: "retry", given: everywhere, call: change(`'retry', '{"states": ["failed", "completed"]}'`), want: `("{""ready"": 2}",)`},
		{name: "what is ready is left alone", given: everywhere, call: change(`'retry', '{"ids": [3, 10, 8]}'`), want: `("{""ready"": 1, ""running"": 1, ""unchanged"": 1}",)`},
		{name: "retry at a rate", given: everywhere, call: `select outcomes, next_start_at - now() as later from change_jobs('retry', '{"ids": [3, 9, 10, 11]}', '{"rate": 2}')`,
			want: `("{""ready"": 3, ""unchanged"": 1}",00:00:01.5)`, then: "select job_id, run_at - now() as later from scheduled order by 1", is: "(7,01:00:00) (9,00:00:00) (10,00:00:00.5) (11,00:00:01)"},
		{name: "retry at a rate from a time on", given: everywhere, call: `select next_start_at from change_jobs('retry', '{"ids": [9]}', '{"rate": 0.5, "start_at": "2100-01-01T00:00:00Z"}')`,
			want: `("2100-01-01 00:00:02+00")`},
		{name: "delete at a rate, a second's worth at a time", given: everywhere,
			call: `select outcomes, next, next_start_at - now() >= '0.68 s' and next_start_at - clock_timestamp() <= '0.69 s' as later from change_jobs('delete', '{"kinds": ["r"]}', '{"rate": 2.9}')`,
			want: `("{""deleted"": 2}",2,t)`},
		{name: "delete fewer than a rate", given: everywhere, call: `select outcomes, next, next_start_at - now() between '0.5 s' and '3 s' from change_jobs('delete', '{"kinds": ["r"]}', '{"rate": 10}')`,
			want: `("{""deleted"": 5}",,t)`},
		{name: "delete less than one per second", given: everywhere, call: `select outcomes, next, next_start_at - now() between '10 s' and '13 s' from change_jobs('delete', '{"kinds": ["r"]}', '{"rate": 0.1}')`,
			want: `("{""deleted"": 1}",1,t)`},
		{name: "move", given: everywhere, call: change(`'move', '{"states": ["ready", "scheduled"]}', '{"queue": "x"}'`), want: `("{""moved"": 7}",)`},
		{name: "reschedule", given: everywhere, call: change(`'reschedule', '{"kinds": ["r"]}', '{"run_at": "2100-01-01"}'`), want: `("{""scheduled"": 5}",)`},
		{name: "set the priority", given: everywhere, call: change(`'set_priority', '{"kinds": ["r", "again"]}', '{"priority": 0}'`), want: `("{""changed"": 6}",)`},
		{name: "nothing fits", given: everywhere, call: change(`'cancel', '{"kinds": ["nothing"]}'`), want: `({},)`, then: "select count(*) from events", is: "(0)"},
		{name: "is told, to mute queues as well", given: everywhere + `select set_queue('*', '{"events": "none"}')`,
			call: change(`'cancel', '{"kinds": ["r"]}', reason => 'why', actor => 'me'`), want: `("{""cancelled"": 5}",)`,
			then: "select type, data ->> 'verb' as verb, data ->> 'by' as by, data ->> 'user' = session_user, data ->> 'reason' as reason, data -> 'filter', data -> 'outcomes', data -> 'last' as last from events where type = 'operated'",
			is:   `(operated,cancel,me,t,why,"{""kinds"": [""r""]}","{""cancelled"": 5}",5)`},
		{name: "a filter that chooses nothing", given: everywhere, call: change(`'cancel', '{"after": 3, "queues": null}'`), want: "PQ001 filter must choose jobs*"},
		{name: "a filter with a field that does not exist", given: everywhere, call: change(`'cancel', '{"queue": "p"}'`), want: "PQ001 queue is not a field *"},
		{name: "a verb that does not exist", given: everywhere, call: change(`'kill', '{"queues": ["p"]}'`), want: "PQ001 verb must be *"},
		{name: "no verb", given: everywhere, call: change(`null, '{"queues": ["p"]}'`), want: "PQ001 verb must be *"},
		{name: "a setting of another verb", given: everywhere, call: change(`'cancel', '{"queues": ["p"]}', '{"queue": "x"}'`), want: "PQ001 queue is not a setting of cancel"},
		{name: "a setting that is missing", given: everywhere, call: change(`'move', '{"queues": ["o"]}'`), want: "PQ001 queue must have *"},
		{name: "a setting of another type", given: everywhere, call: change(`'set_priority', '{"queues": ["o"]}', '{"priority": "high"}'`), want: "PQ001 priority must be a number"},
		{name: "a setting that cannot be read", given: everywhere, call: change(`'reschedule', '{"queues": ["o"]}', '{"run_at": "soon"}'`), want: "PQ001 run_at cannot be read"},
		{name: "a number that is too large", given: everywhere, call: change(`'set_priority', '{"queues": ["o"]}', '{"priority": 1e10}'`), want: "PQ001 priority cannot be read"},
		{name: "no rate", given: everywhere, call: change(`'retry', '{"queues": ["o"]}', '{"rate": 0}'`), want: "PQ001 rate must be *"},
		{name: "nor one for deletion", given: everywhere, call: change(`'delete', '{"queues": ["o"]}', '{"rate": -1}'`), want: "PQ001 rate must be *"},
		{name: "deletion is not put off", given: everywhere, call: change(`'delete', '{"queues": ["o"]}', '{"rate": 1, "start_at": "2100-01-01"}'`), want: "PQ001 start_at is not a setting of delete"},
		{name: "too many at once", given: everywhere, call: change(`'cancel', '{"queues": ["o"]}', at_most => 10001`), want: "PQ001 at_most must be *"},
		{name: "a failed node takes its DAG along", given: `select dag_id from dag_submit('{"name": "d", "nodes": [{"name": "a", "kind": "k", "max_attempts": 1}, {"name": "b", "kind": "k", "after": ["a"]}]}');
			select count(*) from claim(1, '{default}', '{1}'); select fail(1, array_agg(job_id), '{1}', '{x}') from running`,
			call: change(`'retry', '{"states": ["failed"], "kinds": ["k"]}'`), want: `("{""ready"": 1}",)`,
			then: "select string_agg(state, ' ' order by id) from job_states", is: `("waiting ready waiting")`},
	})
}

func TestListFailuresCases(t *testing.T) {
	t.Parallel()
	const given = `select enqueue('a', max_attempts => 1) from generate_series(1, 3); select enqueue('b', queue => 'q', max_attempts => 1);
		select count(*) from claim(1, '{default,q}', '{9,9}');
		select fail(1, '{1,2,3,4}', '{1,1,1,1}', array['row 1 is locked', 'row 2 is locked', 'other', 'row 3 is locked']); `
	const groups = "select jobs, kind, queue, last_job_id, error, exact from list_failures("
	verbTest(t, []verbCase{
		{name: "by fingerprint, kind and queue", given: given, call: "select * from (" + groups + ")) f order by jobs desc, last_job_id",
			want: `(2,a,default,2,"row 2 is locked",t) (1,a,default,3,other,t) (1,b,q,4,"row 3 is locked",t)`},
		{name: "of a queue", given: given, call: groups + "queues => '{q,none}')", want: `(1,b,q,4,"row 3 is locked",t)`},
		{name: "of a kind", given: given, call: groups + "kinds => '{b}')", want: `(1,b,q,4,"row 3 is locked",t)`},
		{name: "since then", given: given, call: groups + "since => now() + interval '1 s')", want: ""},
		{name: "the first ones", given: given, call: groups + "at_most => 1)", want: `(2,a,default,2,"row 2 is locked",t)`},
		{name: "more than are looked at", given: given, call: "select sum(jobs), bool_or(exact) from list_failures(look_at => 3)", want: `(3,f)`},
		{name: "as a view", given: given, call: "select count(*), sum(jobs) from failures", want: `(3,4)`},
		{name: "what a node took along is not told", given: `select dag_id from dag_submit('{"name": "d", "nodes": [{"name": "a", "kind": "k", "max_attempts": 1}]}');
			select count(*) from claim(1, '{default}', '{1}'); select fail(1, array_agg(job_id), '{1}', '{x}') from running`, call: "select jobs, kind, error from failures", want: "(1,k,x)"},
		{name: "none", call: "select * from failures", want: ""},
		{name: "no bound", call: groups + "look_at => 0)", want: "PQ001 look_at must be 1 to 1000000"},
		{name: "no rows", call: groups + "at_most => 0)", want: "PQ001 at_most must be 1 to 10000"},
	})
}

func TestQueueWorkCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "of a queue", given: everywhere, call: "select * from queue_work('default')", want: "(5,0,1,0,0,f)"},
		{name: "what is due", given: everywhere + "update scheduled set run_at = now()", call: "select * from queue_work('default')", want: "(5,1,0,0,0,f)"},
		{name: "what runs, in a paused queue", given: everywhere + "select pause_queue('p')", call: "select * from queue_work('p')", want: "(0,0,0,0,1,t)"},
		{name: "up to a bound", given: everywhere, call: "select ready from queue_work('default', 2)", want: "(2)"},
		{name: "of no queue", given: everywhere, call: "select * from queue_work('none')", want: "(0,0,0,0,0,f)"},
	})
}
