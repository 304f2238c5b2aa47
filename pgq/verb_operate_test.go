package pgq_test

import "testing"

// everywhere has a run of five ready jobs (1 to 5), a job that is ready again (6), a scheduled one (7), a running one (8)
// and finished ones: completed (9), failed (10), cancelled (11), expired (12).
const everywhere = `select enqueue_many((select jsonb_agg('{"kind": "r"}'::jsonb) from generate_series(1, 5)));
	select enqueue('again', queue => 'o'), enqueue('later', delay => '1 h'), enqueue('a', queue => 'p'), enqueue('b', queue => 'p'),
	       enqueue('c', queue => 'p', max_attempts => 1), enqueue('d'), enqueue('e', ttl => '1 h');
	select count(*) from claim(1, '{p,o}', '{9,9}');
	select release(1, '{6}', '{1}'), complete(1, '{9}', '{1}', '{"{}"}'), fail(1, '{10}', '{1}', '{oops}'), cancel('{11}');
	update jobs set expires_at = now() where id = 12; update expiries set expires_at = now(); select expire(); delete from events;`

const everywhereIs = `"1:ready/0 2:ready/0 3:ready/0 4:ready/0 5:ready/0 6:ready/0 7:scheduled/0 8:running/1 9:completed/1 10:failed/1 11:cancelled/0 12:expired/0"`

func TestCancelCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "the world is as described", given: everywhere, call: "select pg_temp.places()", want: "(" + everywhereIs + ")"},
		{name: "a ready job", given: "select enqueue('a')", call: "select * from cancel('{1}', 'why')", want: "(1,cancelled)",
			then: "select state, attempt, error, worker_id, (select count(*) from ready) from results", is: "(cancelled,0,why,,0)"},
		{name: "without a reason", given: "select enqueue('a')", call: "select * from cancel('{1}')", want: "(1,cancelled)",
			then: "select error, pg_temp.log() from results", is: "(cancelled,1:cancelled)"},
		{name: "the first of a run", given: everywhere, call: "select * from cancel('{1}')", want: "(1,cancelled)",
			then: "select pg_temp.runs()", is: `("default/5/2:2+4 o/5/13:6+1")`},
		{name: "in the middle of a run", given: everywhere, call: "select * from cancel('{3}')", want: "(3,cancelled)",
			then: "select pg_temp.runs()", is: `("default/5/1:1+2 default/5/4:4+2 o/5/13:6+1")`},
		{name: "the last of a run", given: everywhere, call: "select * from cancel('{5}')", want: "(5,cancelled)",
			then: "select pg_temp.runs()", is: `("default/5/1:1+4 o/5/13:6+1")`},
		{name: "several of a run", given: everywhere, call: "select * from cancel('{4,2}')", want: "(2,cancelled) (4,cancelled)",
			then: "select pg_temp.runs()", is: `("default/5/1:1+1 default/5/3:3+1 default/5/5:5+1 o/5/13:6+1")`},
		{name: "a run as a whole", given: everywhere, call: "select * from cancel('{1,2,3,4,5}')", want: "(1,cancelled) (2,cancelled) (3,cancelled) (4,cancelled) (5,cancelled)",
			then: "select pg_temp.runs()", is: `(o/5/13:6+1)`},
		{name: "one that is ready again", given: everywhere, call: "select * from cancel('{6}')", want: "(6,cancelled)"},
		{name: "a scheduled one", given: everywhere, call: "select * from cancel('{7}')", want: "(7,cancelled)", then: "select count(*) from scheduled", is: "(0)"},
		{name: "a running one goes on", given: everywhere, call: "select * from cancel('{8}', 'why', 'ann')", want: "(8,requested)",
			then: "select job_id, cancel_requested_at = now(), cancel_reason, pg_temp.log(), (select data from events) from running", is: `(8,t,why,8:cancel_requested,"{""by"": ""ann"", ""user"": ""*"", ""reason"": ""why""}")`},
		{name: "why it was stopped stands before its own error", given: everywhere + "select cancel('{8}', 'stop', 'ann')", call: "select outcome from running, fail(worker_id, array[job_id], array[attempt], '{killed}')", want: "(cancelled)",
			then: "select error from results where job_id = 8", is: `("stop: killed")`},
		{name: "a waiting one tells who cancelled it", given: everywhere, call: "select * from cancel('{7}', 'why', 'ann')", want: "(7,cancelled)", then: "select data from events", is: `("{""by"": ""ann"", ""user"": ""*"", ""error"": ""why""}")`},
		{name: "a running one twice keeps the first time", given: everywhere + "update running set cancel_requested_at = '2000-01-01'", call: "select * from cancel('{8}')", want: "(8,requested)",
			then: "select extract(year from cancel_requested_at) as year from running", is: "(2000)"},
		{name: "finished ones", given: everywhere, call: "select * from cancel('{9,10,11,12}') order by 1", want: "(9,finished) (10,finished) (11,finished) (12,finished)",
			then: "select pg_temp.places()", is: "(" + everywhereIs + ")"},
		{name: "missing ones", given: everywhere, call: "select * from cancel('{99,-1}')", want: "(-1,not_found) (99,not_found)"},
		{name: "none", given: everywhere, call: "select * from cancel('{}')", want: ""},
		{name: "duplicates and nulls", given: everywhere, call: "select * from cancel('{3,null,3,8,8}') order by 1", want: "(3,cancelled) (8,requested)"},
		{name: "all at once", given: everywhere, call: "select string_agg(job_id || outcome, ' ' order by job_id) from cancel(array(select * from generate_series(1, 13)))",
			want: `("1cancelled 2cancelled 3cancelled 4cancelled 5cancelled 6cancelled 7cancelled 8requested 9finished 10finished 11finished 12finished 13not_found")`},
		{name: "what was started keeps its attempts", given: claimed + "select fail(1, '{1}', '{1}', '{x}', '{1 h}')", call: "select * from cancel('{1}')", want: "(1,cancelled)",
			then: "select attempt from results", is: "(1)"},
		{name: "result_ttl counts from now", given: "select enqueue('a', result_ttl => '1 h')", call: "select * from cancel('{1}')", want: "(1,cancelled)",
			then: "select expires_at - now() as kept from results", is: "(01:00:00)"},
	})
}

func TestRetryCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "finished ones, whatever their state", given: everywhere, call: "select * from retry('{9,10,11,12}') order by 1", want: "(9,ready) (10,ready) (11,ready) (12,ready)",
			then: "select string_agg(id || state || attempt, ' ' order by id) from job_states where id between 9 and 12", is: `("9ready1 10ready1 11ready0 12ready0")`},
		{name: "with at least one attempt more", given: everywhere + "select retry('{10}')", call: "select job_id, attempt, max_attempts from claim(1, '{p}', '{1}')", want: "(10,2,2)"},
		{name: "and with those that are left", given: everywhere + "select retry('{9}')", call: "select job_id, attempt, max_attempts from claim(1, '{p}', '{1}')", want: "(9,2,25)"},
		{name: "an expired one does not expire again", given: everywhere, call: "select * from retry('{12}')", want: "(12,ready)",
			then: "select job_id, (select expires_at from jobs where id = 12) from claim(1, '{default}', '{9}') where job_id = 12", is: "(12,)"},
		{name: "a scheduled one does not wait", given: everywhere, call: "select * from retry('{7}')", want: "(7,ready)", then: "select count(*) from scheduled", is: "(0)"},
		{name: "ready ones are left alone", given: everywhere, call: "select * from retry('{3,6}')", want: "(3,ready) (6,ready)", then: "select pg_temp.places(), pg_temp.log()", is: "(" + everywhereIs + ",)"},
		{name: "running ones are left alone", given: everywhere, call: "select * from retry('{8}')", want: "(8,running)"},
		{name: "missing ones, duplicates, nulls", given: everywhere, call: "select * from retry('{99,9,null,9}') order by 1", want: "(9,ready) (99,not_found)"},
		{name: "is told", given: everywhere, call: "select * from retry('{9}')", want: "(9,ready)", then: "select pg_temp.log()", is: "(9:retry_requested)"},
		{name: "with who and why", given: everywhere, call: "select * from retry('{9}', 'again', 'bob')", want: "(9,ready)", then: "select data from events", is: `("{""by"": ""bob"", ""user"": ""*"", ""reason"": ""again""}")`},
		{name: "the result is gone", given: everywhere, call: "select * from retry('{9}')", want: "(9,ready)", then: "select count(*) from results where job_id = 9", is: "(0)"},
	})
}

func TestRescheduleCases(t *testing.T) {
	t.Parallel()
	const when = "select string_agg(format('%s %s', job_id, run_at - now()), ', ' order by job_id) from scheduled"
	verbTest(t, []verbCase{
		{name: "ready ones", given: everywhere, call: "select * from reschedule('{2,6}', now() + interval '2 h')", want: "(2,scheduled) (6,scheduled)",
			then: when, is: `("2 02:00:00, 6 02:00:00, 7 01:00:00")`},
		{name: "what is left of the run stays", given: everywhere, call: "select * from reschedule('{2}', now() + interval '2 h')", want: "(2,scheduled)",
			then: "select pg_temp.runs()", is: `("default/5/1:1+1 default/5/3:3+3 o/5/13:6+1")`},
		{name: "scheduled ones", given: everywhere, call: "select * from reschedule('{7}', now() + interval '2 h')", want: "(7,scheduled)", then: when, is: `("7 02:00:00")`},
		{name: "to a time that is past", given: everywhere, call: "select * from reschedule('{7,3}', now()) order by 1", want: "(3,ready) (7,ready)",
			then: "select pg_temp.places()", is: "(" + replaceOnce(everywhereIs, "7:scheduled", "7:ready") + ")"},
		{name: "attempts are kept", given: claimed + "select fail(1, '{1}', '{1}', '{x}', '{1 h}')", call: "select * from reschedule('{1}', now() + interval '2 h')", want: "(1,scheduled)",
			then: "select attempt from scheduled", is: "(1)"},
		{name: "others", given: everywhere, call: "select * from reschedule('{8,9,10,11,12,99}', now()) order by 1",
			want: "(8,running) (9,finished) (10,finished) (11,finished) (12,finished) (99,not_found)", then: "select pg_temp.places()", is: "(" + everywhereIs + ")"},
		{name: "duplicates and nulls", given: everywhere, call: "select * from reschedule('{7,null,7}', now() + interval '2 h')", want: "(7,scheduled)"},
		{name: "to no time", given: everywhere, call: "select * from reschedule('{7}', null)", want: "PQ001 run_at must be finite"},
		{name: "to the end of time", given: everywhere, call: "select * from reschedule('{7}', 'infinity')", want: "PQ001 run_at must be finite"},
		{name: "is told", given: everywhere, call: "select * from reschedule('{7}', now())", want: "(7,ready)", then: "select pg_temp.log()", is: "(7:rescheduled)"},
	})
}

func TestDeleteCases(t *testing.T) {
	t.Parallel()
	const left = "select string_agg(id::text, ' ' order by id) from jobs"
	verbTest(t, []verbCase{
		{name: "ready ones", given: everywhere, call: "select * from delete('{2,6}')", want: "(2,deleted) (6,deleted)", then: left, is: `("1 3 4 5 7 8 9 10 11 12")`},
		{name: "what is left of the run stays", given: everywhere, call: "select * from delete('{1,4}')", want: "(1,deleted) (4,deleted)",
			then: "select pg_temp.runs()", is: `("default/5/2:2+2 default/5/5:5+1 o/5/13:6+1")`},
		{name: "scheduled ones", given: everywhere, call: "select * from delete('{7}')", want: "(7,deleted)", then: "select count(*) from scheduled", is: "(0)"},
		{name: "finished ones", given: everywhere, call: "select * from delete('{9,10,11,12}') order by 1", want: "(9,deleted) (10,deleted) (11,deleted) (12,deleted)",
			then: "select count(*) from results", is: "(0)"},
		{name: "not running ones", given: everywhere, call: "select * from delete('{8}')", want: "(8,running)", then: "select pg_temp.places()", is: "(" + everywhereIs + ")"},
		{name: "missing ones, duplicates, nulls", given: everywhere, call: "select * from delete('{99,3,null,3}') order by 1", want: "(3,deleted) (99,not_found)"},
		{name: "with all that is known of them",
			given: `select enqueue('a', ttl => '1 h'); select count(*) from claim(1, '{default}', '{1}'); select report_progress(1, 1, 1, 1, 2);
				select add_logs('{1}', '{1}', array[now()], '{INFO}', '{hello}', '{null}'); select complete(1, '{1}', '{1}')`,
			call: "select * from delete('{1}')", want: "(1,deleted)",
			then: "select (select count(*) from expiries), (select count(*) from progress), (select count(*) from logs), (select count(*) from results)", is: "(0,0,0,0)"},
	})
}
