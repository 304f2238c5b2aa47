package pgq_test

import "testing"

func TestPromoteCases(t *testing.T) {
	t.Parallel()
	const given = "select enqueue('a', delay => '1 h', priority => 9 - i, queue => 'q' || i) from generate_series(1, 4) i; "
	verbTest(t, []verbCase{
		{name: "nothing is due", given: given, call: "select promoted from promote()", want: "(0)"},
		{name: "what is due becomes ready, soonest first",
			given: given + "update scheduled set run_at = now() - job_id * interval '1 s' where job_id > 1",
			call:  "select promoted from promote()", want: "(3)",
			then: "select pg_temp.runs(), pg_temp.places()", is: `("q2/7/7:2+1 q3/6/6:3+1 q4/5/5:4+1","1:scheduled/0 2:ready/0 3:ready/0 4:ready/0")`},
		{name: "in batches, soonest first", given: given + "update scheduled set run_at = now() - job_id * interval '1 s'",
			call: "select (promote(3)).promoted, (promote(3)).promoted, (promote(3)).promoted", want: "(3,1,0)", then: "select job_id from ready order by seq", is: "(4) (3) (2) (1)"},
		{name: "with its attempts", given: claimed + "select fail(1, '{1}', '{1}', '{x}', '{1 h}'); update scheduled set run_at = now()",
			call: "select promoted from promote()", want: "(1)", then: "select attempt from ready", is: "(1)"},
	})
}

func TestExpireCases(t *testing.T) {
	t.Parallel()
	const past = "; update jobs set expires_at = now() where expires_at is not null; update expiries set expires_at = now()"
	verbTest(t, []verbCase{
		{name: "not before its time", given: "select enqueue('a', ttl => '1 s')", call: "select expire()", want: "(0)"},
		{name: "a ready one", given: "select enqueue('a', ttl => '1 s', result_ttl => '1 h')" + past, call: "select expire()", want: "(1)",
			then: "select state, attempt, error, expires_at - now() as kept, pg_temp.log() from results", is: `(expired,0,"not started within its time to live",01:00:00,1:expired)`},
		{name: "in the middle of a run", given: `select enqueue_many('[{"kind": "a"}, {"kind": "a", "ttl": "1 s"}, {"kind": "a"}]')` + past, call: "select expire()", want: "(1)",
			then: "select pg_temp.runs()", is: `("default/5/1:1+1 default/5/3:3+1")`},
		{name: "a scheduled one", given: "select enqueue('a', ttl => '1 s', delay => '1 h')" + past, call: "select expire()", want: "(1)",
			then: "select pg_temp.places()", is: "(1:expired/0)"},
		{name: "not a running one", given: "select enqueue('a', ttl => '1 s'); select count(*) from claim(1, '{default}', '{1}')" + past, call: "select expire()", want: "(1)",
			then: "select pg_temp.places()", is: "(1:running/1)"},
		{name: "not one that is tried again", given: "select enqueue('a', ttl => '1 s'), enqueue('a', ttl => '1 s'); select count(*) from claim(1, '{default}', '{2}'); select fail(1, '{1,2}', '{1,1}', '{x,y}', '{0,1 h}')" + past,
			call: "select expire()", want: "(2)", then: "select pg_temp.places()", is: `("1:ready/1 2:scheduled/1")`},
		{name: "not a finished one", given: "select enqueue('a', ttl => '1 s'); select cancel('{1}')" + past, call: "select expire()", want: "(1)",
			then: "select pg_temp.places()", is: "(1:cancelled/0)"},
		{name: "not one that was retried by an operator", given: "select enqueue('a', ttl => '1 s'); select cancel('{1}'); select retry('{1}')" + past, call: "select expire()", want: "(1)",
			then: "select pg_temp.places()", is: "(1:ready/0)"},
		{name: "in batches", given: "select enqueue('a', ttl => '1 s') from generate_series(1, 5)" + past, call: "select expire(3), expire(3), expire(3)", want: "(3,2,0)"},
	})
}

func TestPruneCases(t *testing.T) {
	t.Parallel()
	// Jobs 1 to 4 ended in each of the terminal states that there are.
	const given = `select enqueue('a') from generate_series(1, 4); insert into results (job_id, queue, state, attempt)
		select job_id, 'default', (array['completed', 'failed', 'cancelled', 'expired'])[job_id], 1 from ready; delete from ready; `
	age := func(age string) string { return "update results set finished_at = now() - interval '" + age + "'; " }
	const left = "select string_agg(id::text, ' ' order by id) from jobs"
	verbTest(t, []verbCase{
		{name: "nothing is old", given: given, call: "select prune()", want: "(0)"},
		{name: "after a day all but the failed ones go", given: given + age("25 h"), call: "select prune()", want: "(3)", then: left, is: "(2)"},
		{name: "after thirty days the failed ones go", given: given + age("31 d"), call: "select prune()", want: "(4)", then: left, is: "()"},
		{name: "as the queue says", given: given + age("1 min") + `select set_queue('default', '{"keep_failed": "30 s", "keep_cancelled": "2 min", "keep_expired": "0", "keep_completed": "30 s"}')`,
			call: "select prune()", want: "(3)", then: left, is: "(3)"},
		{name: "each queue has its own say", given: `select enqueue('a', queue => q) from unnest('{x,y}'::text[]) q; select cancel('{1,2}');` + age("1 h") + `select set_queue('y', '{"keep_cancelled": "1 min"}')`,
			call: "select prune()", want: "(1)", then: left, is: "(1)"},
		{name: "as the job says", given: "select enqueue('a', result_ttl => ttl) from unnest('{1 min,1 h}'::interval[]) ttl; select cancel('{1,2}'); update results set expires_at = expires_at - interval '2 min'",
			call: "select prune()", want: "(1)", then: left, is: "(2)"},
		{name: "the job's say wins over the queue's", given: "select enqueue('a', result_ttl => '90 d'); select cancel('{1}');" + age("31 d"), call: "select prune()", want: "(0)"},
		{name: "with all that is known of them", given: `select enqueue('a', ttl => '1 h'); select count(*) from claim(1, '{default}', '{1}'); select report_progress(1, 1, 1, 1, 2), complete(1, '{1}', '{1}');` + age("31 d"),
			call: "select prune()", want: "(1)", then: "select (select count(*) from progress), (select count(*) from expiries), (select count(*) from jobs)", is: "(0,0,0)"},
		{name: "in batches until nothing is left", given: `select enqueue('a') from generate_series(1, 10); select count(*) from claim(1, '{default}', '{10}'); select complete(1, array(select job_id from running), array_fill(1, array[10]));` + age("31 d"),
			call: "select prune(4), prune(4), prune(4), prune(4)", want: "(4,4,2,0)"},
		{name: "stragglers behind the walk are found after an hour",
			given: `select enqueue('a') from generate_series(1, 4); select count(*) from claim(1, '{default}', '{4}'); select complete(1, '{2,3,4}', '{1,1,1}');` + age("31 d") +
				`select prune(); select complete(1, '{1}', '{1}');` + age("31 d") + "select prune(); update chores set last_run_at = now() - interval '2 h' where name = 'sweep'",
			call: "select prune()", want: "(1)", then: left, is: "()"},
		{name: "old events stay while a consumer has yet to read them", given: "select set_consumer('c', keep => '40 d'); insert into events (type, at) values ('paused', now() - interval '31 d')",
			call: "select prune_events()", want: "(0)", then: "select lost_at from consumers", is: "()"},
		{name: "but not longer than it says", given: "select set_consumer('c', keep => '1 h'); insert into events (type, at) values ('paused', now() - interval '31 d')",
			call: "select prune_events()", want: "(1)", then: "select lost_at = now() from consumers", is: "(t)"},
		{name: "nor what it does not want", given: "select set_consumer('c', types => '{failed}', keep => '40 d'); insert into events (type, at) values ('paused', now() - interval '31 d')",
			call: "select prune_events()", want: "(1)", then: "select lost_at from consumers", is: "()"},
		{name: "nor what it has read", given: "insert into events (xid, type, at) values ('3', 'paused', now() - interval '31 d'); select set_consumer('c', keep => '40 d')",
			call: "select prune_events()", want: "(1)", then: "select lost_at from consumers", is: "()"},
		{name: "the oldest events only", given: "insert into events (type, at) select 'paused', now() - interval '31 d' from generate_series(1, 5)",
			call: "select prune_events(3), prune_events(3), prune_events(3)", want: "(3,2,0)"},
		{name: "no events", call: "select prune_events(0)", want: "PQ001 at_most must be at least 1"},
		{name: "old events go", given: "insert into events (type, at) values ('paused', now() - interval '31 d'), ('paused', now() - interval '29 d')", call: "select prune()", want: "(0)",
			then: "select id from events", is: "(2)"},
		{name: "subscribers that are gone go", given: "select subscribe(), subscribe(); update subscribers set alive_until = now() - id * interval '59 min'", call: "select prune()", want: "(0)",
			then: "select id from subscribers", is: "(1)"},
	})
}

func TestDoChoresCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "nothing to do", call: "select do_chores()", want: "(1000)"},
		{name: "all four are done",
			given: `select enqueue('a', queue => 'run') from generate_series(1, 2); select enqueue('b', delay => '1 h'), enqueue('c', ttl => '1 h'); select count(*) from claim(1, '{run}', '{2}'); select complete(1, '{1}', '{1}');
				update scheduled set run_at = now(); update jobs set expires_at = now() where id = 4; update expiries set expires_at = now();
				update workers set heartbeat_at = '-infinity'; update results set finished_at = '2000-01-01'`,
			call: "select do_chores()", want: "(1000)", then: "select pg_temp.places()", is: `("2:ready/1 3:ready/0 4:expired/0")`},
		{name: "at once when more is due", given: "select enqueue('a', delay => '1 h') from generate_series(1, 1001); update scheduled set run_at = now()", call: "select do_chores()", want: "(0)",
			then: "select count(*) from scheduled", is: "(1)"},
		{name: "when the next is due", given: "select enqueue('a', delay => '1 h'); update scheduled set run_at = clock_timestamp() + interval '0.5 s'",
			call: "select do_chores() between 1 and 500", want: "(t)"},
		{name: "when the next expires", given: "select enqueue('a', ttl => '1 h'); update expiries set expires_at = clock_timestamp() + interval '0.5 s'; update jobs set expires_at = (select expires_at from expiries)",
			call: "select do_chores() between 1 and 500", want: "(t)"},
		{name: "rescue not more often than every two seconds", given: claimed + "select do_chores(); update workers set heartbeat_at = '-infinity'", call: "select do_chores()", want: "(1000)",
			then: "select count(*) from running", is: "(4)"},
	})
}

func TestChoresAreLeftToWhoeverIsAtThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("select pgq.enqueue('a', delay => '1 h')")
	w.exec("update pgq.scheduled set run_at = now()")
	tx, err := w.pool.Begin(t.Context())
	must(t, err)
	one[int](t, tx, "select pgq.do_chores()")
	next, err := w.q.DoChores(t.Context(), w.pool)
	must(t, err)
	if next.Milliseconds() != 1000 {
		t.Errorf("do_chores beside another: again after %s", next)
	}
	must(t, tx.Commit(t.Context()))
	if got := w.get(1).State; got != "ready" {
		t.Errorf("the job is %s", got)
	}
}
