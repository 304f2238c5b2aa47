package pgq_test

import (
	"context"
	"slices"
	"testing"
)

func TestClaimCases(t *testing.T) {
	t.Parallel()
	verbTest(t, claimCases)
	// Where jobs age that are all of the same time, claims find the same.
	aged := slices.Clone(claimCases)
	for i := range aged {
		aged[i].given = "select set_queue('*', age_every => '1 h'); " + aged[i].given
	}
	verbTest(t, aged)
}

const claimTen = "select job_id, attempt from claim(1, '{default}', '{10}')"

var claimCases = []verbCase{
	{name: "nothing is there", call: claimTen, want: ""},
	{name: "sooner priorities first, then in the order of the seqs",
		given: "select enqueue('a', priority => 7), enqueue('b', priority => 0), enqueue('c', priority => 7), enqueue('d', priority => 0)",
		call:  claimTen, want: "(2,1) (4,1) (1,1) (3,1)",
		then: "select pg_temp.places()", is: "(\"1:running/1 2:running/1 3:running/1 4:running/1\")"},
	{name: "no more than the limit",
		given: "select enqueue('a') from generate_series(1, 5)",
		call:  "select job_id from claim(1, '{default}', '{3}')", want: "(1) (2) (3)",
		then: "select pg_temp.runs()", is: "(\"default/5/4:4+1 default/5/5:5+1\")"},
	{name: "a limit of 0 or below claims nothing",
		given: "select enqueue('a')",
		call:  "select job_id from claim(1, '{default,default,default}', '{0,-1,null}')", want: ""},
	{name: "each queue has its own limit, in the order given",
		given: "select enqueue('a', queue => q) from unnest('{x,x,y,y,z}'::text[]) q",
		call:  "select job_id, queue from claim(1, '{y,x}', '{1,5}')", want: "(3,y) (1,x) (2,x)"},
	{name: "a queue that nobody knows is empty", call: "select job_id from claim(1, '{nowhere}', '{1}')", want: ""},
	{name: "a run is split where the limit ends",
		given: `select enqueue_many(jsonb_agg('{"kind": "a"}'::jsonb)) from generate_series(1, 10)`,
		call:  "select job_id from claim(1, '{default}', '{4}')", want: "(1) (2) (3) (4)",
		then: "select pg_temp.runs()", is: "(default/5/5:5+6)"},
	{name: "a run is claimed piece by piece without loss",
		given: `select enqueue_many(jsonb_agg('{"kind": "a"}'::jsonb)) from generate_series(1, 250);
				select count(*) from claim(1, '{default}', '{1}'); select count(*) from claim(1, '{default}', '{120}');
				select count(*) from claim(2, '{default}', '{77}')`,
		call: "select count(*), min(job_id), max(job_id) from claim(2, '{default}', '{1000}')", want: "(52,199,250)",
		then: "select count(*), count(distinct job_id), sum(size) from running, (select sum(size) as size from ready) r", is: "(250,250,)"},
	{name: "a big limit takes single jobs and runs alike",
		given: `select enqueue('a'), enqueue('a'); select enqueue_many(jsonb_agg('{"kind": "b"}'::jsonb)) from generate_series(1, 300); select enqueue('c')`,
		call:  "select count(*), min(seq), max(seq) from claim(1, '{default}', '{303}')", want: "(303,1,303)",
		then: "select count(*) from ready", is: "(0)"},
	{name: "only kinds that the worker knows",
		given: "select enqueue(k) from unnest('{a,b,a,c}'::text[]) k",
		call:  "select job_id, kind from claim(1, '{default}', '{9}', '{a,c}')", want: "(1,a) (3,a) (4,c)",
		then: "select pg_temp.places()", is: `("1:running/1 2:ready/0 3:running/1 4:running/1")`},
	{name: "no kinds at all", given: "select enqueue('a')", call: "select job_id from claim(1, '{default}', '{9}', '{}')", want: ""},
	{name: "a paused queue yields nothing",
		given: "select enqueue('a'); select pause_queue('default')", call: claimTen, want: "",
		then: "select pg_temp.places()", is: "(1:ready/0)"},
	{name: "behind the cursor of its priority only",
		given: "select enqueue('a', priority => p) from unnest('{5,5,5,2,2}'::int[]) p",
		call:  "select job_id from claim(1, '{default}', '{9}', after => '{0,0,4,0,0,1,0,0,0,0}')", want: "(5) (2) (3)"},
	{name: "each queue has ten cursors",
		given: "select enqueue('a', queue => q) from unnest('{x,x,y,y}'::text[]) q",
		call:  "select job_id from claim(1, '{x,y}', '{9,9}', after => '{0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,3,0,0,0,0}')", want: "(2) (4)"},
	{name: "scheduled jobs are not there", given: "select enqueue('a', delay => '1 h')", call: claimTen, want: ""},
	{name: "a job that is past its time to live expires instead",
		given: `select enqueue('a', ttl => '1 h', result_ttl => '2 h'), enqueue('b');
				update jobs set expires_at = now() - interval '1 s' where id = 1; update expiries set expires_at = now() - interval '1 s'`,
		call: claimTen, want: "(2,1)",
		then: "select job_id, state, attempt, error, expires_at = now() + interval '2 h', (select count(*) from job_history(1)) from results",
		is:   `(1,expired,0,"not started within its time to live",t,2)`},
	{name: "expired jobs do not hide those behind them",
		given: `select enqueue('a', ttl => '1 h') from generate_series(1, 3); select enqueue('b');
				update jobs set expires_at = now() - interval '1 s' where id < 4; update expiries set expires_at = now() - interval '1 s'`,
		call: "select job_id from claim(1, '{default}', '{1}')", want: "(4)"},
	{name: "a started job does not expire",
		given: `select enqueue('a', ttl => '1 h'); select count(*) from claim(1, '{default}', '{1}'); select fail(1, '{1}', '{1}', '{oops}', '{0}');
				update jobs set expires_at = now() - interval '1 s'; update expiries set expires_at = now() - interval '1 s'`,
		call: claimTen, want: "(1,2)"},
	{name: "what the queue decides comes with the job",
		given: `select set_queue('default', '{"max_attempts": 7, "timeout": "5 s"}'); select enqueue('a'), enqueue('b', max_attempts => 2, timeout => '1 s')`,
		call:  "select max_attempts, timeout from claim(1, '{default}', '{9}')", want: "(7,00:00:05) (2,00:00:01)"},
	{name: "all that was asked comes with the job",
		given: `select enqueue('k', '{"a": [1]}', tags => '{t}', metadata => '{"m": 1}', priority => 3), enqueue('k', codec => 'c', payload => '\x00ff')`,
		call:  "select kind, priority, seq, tags, metadata, codec, payload, args from claim(1, '{default}', '{9}')",
		want:  `(k,3,1,{t},"{""m"": 1}",,,"{""a"": [1]}") (k,5,2,,,c,"\\x00ff",)`},
	{name: "a worker that is not registered", given: "select enqueue('a')",
		call: "select job_id from claim(99, '{default}', '{9}')", want: "PQ005 worker 99 is not registered or was declared dead"},
	{name: "a worker that was declared dead", given: "select enqueue('a'); update workers set dead_at = now() where id = 2",
		call: "select job_id from claim(2, '{default}', '{9}')", want: "PQ005 worker 2 is not registered or was declared dead"},
	{name: "no event is written at the usual level", given: "select enqueue('a')", call: claimTen, want: "(1,1)",
		then: "select pg_temp.log()", is: "()"},
	{name: "events are written at level all", given: `select set_queue('default', '{"events": "all"}'); select enqueue('a')`,
		call: claimTen, want: "(1,1)", then: "select pg_temp.log()", is: `("1:enqueued 1:claimed")`},
	{name: "and at no other level than all",
		given: `select set_queue('loud', '{"events": "all"}'); select set_queue('mute', '{"events": "none"}'); select enqueue('a', queue => 'mute'), enqueue('a')`,
		call:  "select job_id from claim(1, '{mute,default}', '{9,9}')", want: "(1) (2)", then: "select pg_temp.log()", is: "()"},
}

// A claim that takes single jobs for runs finds a hundredth of what it wants. It must not go on like that.
func TestSingleJobsAreFoundInFewRounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one[int64](t, w.session(), `select count(*) from enqueue_many((
		select jsonb_agg(jsonb_build_object('kind', 'k' || i % 2)) from generate_series(1, 1000) i))`)
	worker := one[int64](t, w.session(), "select register_worker('one', '{}', '{}')")
	tx, err := w.session().Begin(t.Context())
	must(t, err)
	defer func() { must(t, tx.Rollback(context.Background())) }()
	if jobs := one[int](t, tx, "select count(*) from claim($1, '{default}', '{1000}')", worker); jobs != 1000 {
		t.Fatalf("claimed %d jobs of 1000", jobs)
	}
	// At most ten scans a round, one per priority.
	if scans := one[int](t, tx, "select idx_scan from pg_stat_xact_user_tables where relid = 'ready'::regclass"); scans > 40 {
		t.Errorf("looked into ready %d times for 1000 single jobs, want 40 at most", scans)
	}
}

func TestUnknownKindsCases(t *testing.T) {
	t.Parallel()
	const given = `select register_worker('three', '{a,b}', '{x}'), register_worker('four', '{b}', '{y}');
		select enqueue(k, queue => q) from unnest('{x,y,z,x,y,y}'::text[], '{a,a,a,b,b,b}'::text[]) u(k, q)`
	verbTest(t, []verbCase{
		{name: "kinds that no worker of the queue knows", given: given,
			call: "select * from unknown_kinds('{a,b}') order by 1, 2", want: "(a,y) (a,z)"},
		{name: "only of the queues asked for", given: given, call: "select * from unknown_kinds('{b,nowhere}')", want: ""},
		{name: "a dead worker knows nothing", given: given + "; update workers set dead_at = now() where name = 'four'",
			call: "select * from unknown_kinds('{b}')", want: "(b,y)"},
		{name: "no queues", given: given, call: "select * from unknown_kinds('{}')", want: ""},
	})
}
