package pgq_test

import (
	"testing"

	"github.com/pgq-go/queue/pgq"
)

func TestQueueStatesCases(t *testing.T) {
	t.Parallel()
	const call = "select queue, depth, ready, scheduled, waiting, running, exact, workers from queue_states"
	verbTest(t, []verbCase{
		{name: "no queues", call: call, want: ""},
		{name: "everywhere", given: everywhere + "select register_worker('three', '{o,p}', '{}')", call: call,
			want: "(default,6,5,1,0,0,t,0) (o,1,1,0,0,0,t,1) (p,0,0,0,0,1,t,1)"},
		{name: "waiting jobs", given: diamond, call: call, want: "(default,1,1,0,4,0,t,0)"},
		{name: "a queue that only has settings", given: "select set_queue('q', max_depth => 7), pause_queue('q', 'by hand')",
			call: "select queue, depth, oldest_ready_age, next_run_at, paused, paused_at = now() as now, pause_reason, max_depth from queue_states", want: `(q,0,,,t,t,"by hand",7)`},
		{name: "the limit of all queues", given: "select set_queue('*', max_depth => 9), enqueue('a'), enqueue('a', queue => 'q')",
			call: "select queue, paused, paused_at, max_depth from queue_states", want: "(default,f,,9) (q,f,,9)"},
		{name: "a dead worker and a silent one serve nothing", given: `select set_queue('q', max_depth => 7), register_worker('a', '{q}', '{}'), register_worker('b', '{q}', '{}'), register_worker('c', '{q,q}', '{}');
			update workers set dead_at = now() where name = 'a'; update workers set heartbeat_at = now() - lease where name = 'b'`, call: "select queue, workers from queue_states", want: "(q,1)"},
		{name: "a name that must be quoted", given: `select enqueue('a', queue => E'x"\';--` + "\u202e" + `%s')`, call: "select depth, exact from queue_states", want: "(1,t)"},

		{name: "age of the oldest", given: "select enqueue('a'), enqueue('a', priority => 9); update jobs set created_at = now() - id * interval '1 h'",
			call: "select now() - oldest_ready_at as age, oldest_ready_age >= '2 h' as more from queue_states", want: "(02:00:00,t)"},
		{name: "a delayed job is as old as its place in the queue", given: `select enqueue('a', delay => '1 h'), enqueue('b', queue => 'q'); update jobs set created_at = now() - interval '1 day' where id = 1;
			select reschedule('{1}', now())`, call: "select queue, now() - oldest_ready_at as age from queue_states", want: "(default,00:00:00) (q,00:00:00)"},
		{name: "a node is as old as the end of its last parent", given: diamond + ran("2") + "update jobs set created_at = now() - interval '1 day'; update results set finished_at = now() - interval '1 min'",
			call: "select now() - oldest_ready_at as age from queue_states", want: "(00:01:00)"},
		{name: "when the next one is due", given: "select enqueue('a', delay => '2 h'), enqueue('a', delay => '1 h')", call: "select next_run_at - now() as due, oldest_ready_at from queue_states", want: "(01:00:00,)"},

		{name: "more than are counted are estimated", given: "select enqueue_many((select jsonb_agg(jsonb_build_object('kind', 'a', 'priority', i % 10)) from generate_series(1, 20000) i))",
			call: "select exact, ready between 19000 and 21000 as near from queue_states", want: "(f,t)"},
		// Some 20 pages, of which half are looked at, since the case before has left twice as many as are sampled.
		{name: "with a bound of one's own", given: "select enqueue_many((select jsonb_agg(jsonb_build_object('kind', 'a', 'priority', i % 10)) from generate_series(1, 2000) i))",
			call: "select exact, depth between 1000 and 3000 as near from queue_figures(100)", want: "(f,t)"},
	})
}

func TestRunningJobsWorkersAndHealthCases(t *testing.T) {
	t.Parallel()
	const run = "select enqueue('a', tags => '{x}', timeout => '1 min'), enqueue('b'); select count(*) from claim(1, '{default}', '{1}'); "
	verbTest(t, []verbCase{
		{name: "nothing runs", given: "select enqueue('a')", call: "select * from running_jobs", want: ""},
		{name: "a job that runs", given: run + "update running set claimed_at = now() - interval '1 h'", call: `select job_id, queue, kind, attempt, worker_id, worker, worker_alive,
			duration >= '1 h' as long, timeout, cancel_requested_at, progress_done, tags from running_jobs`, want: "(1,default,a,1,1,one,t,t,00:01:00,,,{x})"},
		{name: "its progress", given: run + "select report_progress(1, 1, 1, 3, 4)", call: "select progress_done, progress_total from running_jobs", want: "(3,4)"},
		{name: "not the progress of the attempt before", given: run + "insert into progress (job_id, attempt, done, total) values (1, 0, 3, 4)", call: "select progress_done from running_jobs", want: "()"},
		{name: "one that shall stop", given: run + "select cancel('{1}')", call: "select cancel_requested_at = now() as now from running_jobs", want: "(t)"},
		{name: "of a worker that is silent", given: run + "update workers set heartbeat_at = now() - lease", call: "select worker_alive from running_jobs", want: "(f)"},
		{name: "of a worker that is dead", given: run + "update workers set dead_at = now()", call: "select worker, worker_alive from running_jobs", want: "(one,f)"},

		{name: "workers", given: run + "update workers set heartbeat_at = now() - 2 * lease where id = 2; select register_worker('three', '{q}', '{k}'); update workers set dead_at = now() where name = 'three'",
			call: "select id, name, state, queues, kinds, lease, running, oldest_claimed_at = now() as now from worker_states order by id",
			want: "(1,one,alive,{},{},00:00:30,1,t) (2,two,silent,{},{},00:00:30,0,) (3,three,dead,{q},{k},00:00:30,0,)"},

		{name: "health", given: "update chores set last_run_at = now()", call: `select oldest_transaction_age is null or oldest_transaction_age >= '0' as t, notify_queue_use < 1 as n, workers_alive, workers_silent, workers_dead, expired_leases, chores_stuck,
			promotion_lag, expiry_lag, frontier_backlog, paused_queues from health`, want: "(t,t,2,0,0,0,f,,,0,0)"},
		{name: "chores that nobody ever did", given: "update chores set last_run_at = default", call: "select chores_age, chores_stuck from health", want: "(,t)"},
		{name: "chores that nobody does", given: "update chores set last_run_at = now() - interval '1 min'", call: "select chores_age >= '1 min' as late, chores_stuck from health", want: "(t,t)"},
		{name: "what is late", given: run + `select enqueue('c', ttl => '1 min', delay => '1 h'), pause_queue('p'); update scheduled set run_at = now() - interval '2 min';
			update expiries set expires_at = now() - interval '3 min'; update jobs set expires_at = now() - interval '3 min' where expires_at is not null; update workers set heartbeat_at = now() - 2 * lease where id = 1`,
			call: "select promotion_lag >= '2 min' as p, expiry_lag >= '3 min' as e, workers_silent, expired_leases, paused_queues from health", want: "(t,t,1,1,1)"},
	})
}

func TestThroughputCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "nothing ended", given: "select enqueue('a')", call: "select * from throughput", want: ""},
		{name: "all that ended", given: everywhere + "update results set finished_at = date_trunc('minute', now())",
			call: "select minute = date_trunc('minute', now()) as this, queue, completed, failed, cancelled, skipped, expired, exact from throughput",
			want: "(t,default,0,0,1,0,1,t) (t,p,1,1,0,0,0,t)"},
		{name: "per minute", given: everywhere + "update results set finished_at = date_trunc('minute', now()) - interval '2 min' where job_id = 9",
			call: "select (date_trunc('minute', now()) - minute)::text as ago, completed from throughput where completed > 0", want: "(00:02:00,1)"},
		{name: "not what is older", given: everywhere + "update results set finished_at = now() - interval '2 h'", call: "select * from throughput", want: ""},
		{name: "unless it is asked for", given: everywhere + "update results set finished_at = now() - interval '2 h'", call: "select sum(completed + failed + cancelled + expired) as ended from ended_per_minute('3 h')", want: "(4)"},
		{name: "a span that is too long", call: "select * from ended_per_minute('8 days')", want: "PQ001 span must be 1 minute to 7 days"},
		{name: "a span that is too short", call: "select * from ended_per_minute('0')", want: "PQ001 span must be 1 minute to 7 days"},
		{name: "no span", call: "select * from ended_per_minute(null)", want: "PQ001 span must be 1 minute to 7 days"},
	})
}

// Of a large installation throughput reads parts only: where jobs end now, wherever their ids are.
func TestThroughputOfManyResultsIsNearTheTruth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// 200,000 jobs of two queues that ended 3 days ago, but for 10,000 in the middle that ended, evenly, within the last 50
	// minutes, and 1,000 of these failed; and right below them some that took longer.
	w.exec(`insert into pgq.jobs (id, queue, kind) select i, case when i % 2 = 0 then 'even' else 'odd' end, 'k' from generate_series(1, 200000) i`)
	w.exec(`insert into pgq.results (job_id, queue, state, attempt, finished_at)
		select id, queue, case when id between 90000 and 99999 and id % 10 = 0 then 'failed' else 'completed' end, 1,
		       case when id between 90000 and 99999 then now() - interval '50 minutes' * (99999 - id) / 10000.0 else now() - interval '3 days' end
		from pgq.jobs`)
	w.exec("select setval('pgq.jobs_id_seq', 200000)")
	w.exec("analyze pgq.results")
	var completed, failed, minutes int64
	var exact bool
	must(t, w.pool.QueryRow(t.Context(), `select sum(completed)::bigint, sum(failed)::bigint, count(distinct minute), bool_or(exact) from pgq.throughput`).
		Scan(&completed, &failed, &minutes, &exact))
	if completed < 8500 || completed > 9500 || failed != 1000 || minutes < 50 || exact {
		t.Errorf("throughput says that %d completed, %d failed, in %d minutes, exact %v; want about 9,000, 1,000, 51, false", completed, failed, minutes, exact)
	}
}

// Nor does what was done before, which leaves pages empty, make figures jump or put them far off.
func TestFiguresOfManyJobsAreNearAndStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`insert into pgq.jobs (id, queue, kind, priority) select i, case when i % 4 < 3 then 'a' else 'b' end, 'k', i % 10 from generate_series(1, 120000) i`)
	w.exec(`insert into pgq.ready (queue, priority, seq, job_id, kind) select queue, priority, id, id, kind from pgq.jobs`)
	w.exec("select setval('pgq.jobs_id_seq', 120000)")
	for _, c := range []struct {
		done int // jobs up to this id were run, and of each ten others so many
		some int
		near float64
	}{{0, 0, 0.03}, {0, 6, 0.05}, {60_000, 6, 0.2}} {
		w.exec("with gone as (delete from pgq.ready where seq <= $1 or seq % 10 < $2 returning job_id) delete from pgq.jobs where id in (select job_id from gone)", c.done, c.some)
		for _, call := range []string{"(select queue, ready from pgq.queue_states)", "(select queue, jobs from pgq.counts(100) where state = 'ready')"} {
			for range 5 {
				off := one[float64](t, w.pool, `select max(abs(f.n::float8 / r.n - 1)) from (select queue, sum(size) as n from pgq.ready group by 1) r
					join `+call+` f(queue, n) using (queue)`)
				if off > c.near {
					t.Errorf("%s is off by %.3f after %d, %d", call, off, c.done, c.some)
				}
			}
		}
	}
}

// What is read does not grow with the number of jobs.
func TestTheViewsReadNoMoreOfALargeInstallation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.plans()
	touched := func(view string) int {
		p.touched(t, "select * from "+view) // fills the caches of the session
		return p.touched(t, "select * from "+view)
	}
	views := []string{"queue_states", "running_jobs", "throughput", "worker_states", "health"}
	w.exec("select pgq.register_worker('w', '{q0}', '{k}')")
	const vacuum = "vacuum analyze pgq.results, pgq.ready, pgq.scheduled, pgq.jobs"
	fill := func(from, to int) {
		w.exec(`insert into pgq.jobs (id, queue, kind, priority) select i, 'q' || i % 3, 'k', i % 10 from generate_series($1::int, $2) i`, from, to)
		w.exec(`insert into pgq.results (job_id, queue, state, attempt, finished_at) select id, queue, 'completed', 1, now() - interval '1 s' * (id % 86400) from pgq.jobs where id between $1::int and $2 and id % 4 > 0`, from, to)
		w.exec(`insert into pgq.ready (queue, priority, seq, job_id, kind) select queue, priority, id, id, kind from pgq.jobs where id between $1::int and $2 and id % 8 = 0`, from, to)
		w.exec(`insert into pgq.scheduled (job_id, queue, run_at) select id, queue, now() + interval '1 h' from pgq.jobs where id between $1::int and $2 and id % 8 = 4`, from, to)
		w.exec("select setval('pgq.jobs_id_seq', $1::int)", to)
		w.exec("select count(*) from pgq.claim(1, '{q0}', '{5}')")
		w.exec(vacuum)
	}
	fill(1, 120_000)
	few := map[string]int{}
	for _, view := range views {
		few[view] = touched(view)
	}
	fill(120_001, 360_000)
	for _, view := range views {
		// Indexes have become higher, and the walk over ids begins to skip some.
		limit := 1.6*float64(few[view]) + 500
		many := touched(view)
		for tries := 0; float64(many) > limit && tries < 5; tries++ {
			w.exec(vacuum) // an autovacuum that analyzed kept the first one from marking pages as visible to all
			many = touched(view)
		}
		if float64(many) > limit {
			t.Errorf("%s touches %d blocks with 120,000 jobs, %d with 360,000", view, few[view], many)
		}
	}
}

// The latest DAGs, and batches, are found without a look at the plain jobs, and DAGs, that were enqueued since.
func TestTheLatestDAGsAndBatchesAreFoundAmongManyOtherJobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.plans()
	questions := []string{
		"select * from dags order by id desc limit 5", "select * from dags where name = 'd3' order by id desc limit 5",
		"select * from batches order by id desc limit 5", "select * from batches where name = 'b1' order by id desc limit 5",
		"select * from batches where id = (select id from dags where name = 'b1' order by id limit 1)",
		"select * from dag_nodes where dag_id = (select id from dags order by id desc limit 1)",
	}
	touched := func() map[string]int {
		blocks := map[string]int{}
		for _, question := range questions {
			p.touched(t, question) // fills the caches of the session
			blocks[question] = p.touched(t, question)
		}
		return blocks
	}
	w.exec(`select pgq.batch_submit(jsonb_build_object('name', 'b' || i % 3, 'jobs', '[{"kind": "x", "args": 1}]'::jsonb)) from generate_series(1, 30) i`)
	w.exec("vacuum analyze")
	few := touched()
	w.exec(`select pgq.dag_submit(jsonb_build_object('name', 'd' || i % 10, 'nodes', '[{"name": "n", "kind": "x"}]'::jsonb)) from generate_series(1, 1000) i`)
	w.exec("insert into pgq.jobs (queue, kind) select 'q', 'k' from generate_series(1, 50000)")
	w.exec("vacuum analyze")
	for question, blocks := range touched() {
		if blocks > 2*few[question]+100 {
			t.Errorf("%s touches %d blocks, and %d without the jobs that came later", question, blocks, few[question])
		}
	}
	w.exec("delete from pgq.jobs where kind = 'k'") // which are nowhere
}

func TestJobReturnsWhatIsKnownOfAJobAtOnce(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "none", call: "select * from job(1)", want: ""},
		{name: "null", call: "select * from job(null)", want: ""},
		{name: "a result", given: everywhere, call: "select state, attempt, output from job(9)", want: "(completed,1,{})"},
		{name: "an error", given: everywhere, call: "select state, error from job(10)", want: "(failed,oops)"},
		{name: "not yet", given: everywhere, call: "select state, output from job(8)", want: "(running,)"},
		{name: "with all digits", given: `select enqueue('a', '{"n": 12345678901234567890.123456789012345678901}')`, call: "select args from job(1)", want: `("{""n"": 12345678901234567890.123456789012345678901}")`},
	})
}

func TestVerbsWithNamedArguments(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "enqueue", call: `select enqueue('send_mail', '{"to":1}', queue => 'mail', delay => '5 min')`, want: "(1)",
			then: "select queue, run_at - now() as delay from scheduled", is: "(mail,00:05:00)"},
		{name: "set_queue", call: `select set_queue('q', max_depth => 5, keep_failed => '2 days', backoff => '{"type": "constant", "base": 3}', events => 'all')`, want: `("")`,
			then: "select max_depth, keep_failed, events, warn_depth from queues where name = 'q'", is: `(5,"2 days",all,)`},
		{name: "set_queue, both ways", given: "select set_queue('q', max_depth => 5)", call: `select set_queue('q', '{"max_depth": null, "timeout": "1 s"}', max_attempts => 3)`, want: `("")`,
			then: "select max_depth, timeout, max_attempts from queues where name = 'q'", is: `(,00:00:01,3)`},
		{name: "set_queue with a value that breaks a rule", call: "select set_queue('q', max_depth => 0)", want: "PQ001 max_depth must be at least 1"},
		{name: "set_queue with nothing", call: "select set_queue('q')", want: `("")`, then: "select max_depth from queues where name = 'q'", is: "()"},
		{name: "reschedule by a delay", given: "select enqueue('a')", call: "select * from reschedule('{1}', delay => '1 h')", want: "(1,scheduled)", then: "select run_at - now() as delay from scheduled", is: "(01:00:00)"},
		{name: "reschedule to the past", given: "select enqueue('a', delay => '1 h')", call: "select * from reschedule('{1}', delay => '-1 s')", want: "(1,ready)"},
		{name: "reschedule both ways", given: "select enqueue('a')", call: "select * from reschedule('{1}', now(), '1 h')", want: "PQ001 delay must not be given together with run_at"},
		{name: "reschedule too far", given: "select enqueue('a')", call: "select * from reschedule('{1}', delay => '101 years')", want: "PQ001 delay must be at most 100 years"},
		{name: "reschedule to nothing", given: "select enqueue('a')", call: "select * from reschedule('{1}')", want: "PQ001 run_at must be finite"},
	})
}

func TestTheViewsWaitForNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.enqueue(note{}, pgq.Options{})
	other := w.session()
	tx, err := other.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "select * from cancel(array[$1::bigint])", id)
	must(t, err)
	for _, view := range []string{"queue_states", "running_jobs", "throughput", "worker_states", "health", "job_states"} {
		conn := w.session()
		_, err := conn.Exec(t.Context(), "set lock_timeout = '1 ms'")
		must(t, err)
		_, err = conn.Exec(t.Context(), "select * from "+view)
		must(t, err)
	}
	must(t, tx.Rollback(t.Context()))
}

// The newest failures are looked for in shares per queue: it must not matter how they are spread over the queues, nor that many are of one time.
func TestTheNewestFailuresAreFoundHoweverTheyAreSpread(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`insert into pgq.jobs (id, queue, kind) select i, 'q' || floor(sqrt(i % 400)), 'k' from generate_series(1, 4000) i`)
	w.exec(`insert into pgq.results (job_id, queue, state, attempt, finished_at, error, dag_id)
		select id, queue, case when id % 7 = 0 then 'cancelled' else 'failed' end, 1,
		       now() - case when queue = 'q3' then interval '1 day' when queue > 'q5' then interval '1 s' * (id / 10) else interval '1 s' * id end,
		       'e', case when id % 3 = 0 then 1 end
		from pgq.jobs`)
	const newest = `
		select count(*) from (
			select finished_at from pgq.newest_failures($1, now() - $2::interval, $3)
			except all
			(select finished_at from pgq.results where state = 'failed' and (queue = any($1) or $1::text[] is null) and finished_at >= now() - $2::interval
			 order by finished_at desc limit $3)) f
		union all
		select count(*) from (
			(select finished_at from pgq.results where state = 'failed' and (queue = any($1) or $1::text[] is null) and finished_at >= now() - $2::interval
			 order by finished_at desc limit $3)
			except all
			select finished_at from pgq.newest_failures($1, now() - $2::interval, $3)) f`
	conn := w.session()
	_, err := conn.Exec(w.Context(), "set search_path = pgq")
	must(t, err)
	for _, queues := range [][]string{nil, {"q3"}, {"q3", "q1", "q3", "q19", "none"}, {}} {
		for _, since := range []string{"1 min", "2 h", "10 days"} {
			for _, atMost := range []int{1, 7, 100, 1001, 5000} {
				rows, err := conn.Query(w.Context(), newest, queues, since, atMost)
				must(t, err)
				for rows.Next() {
					var differ int
					must(t, rows.Scan(&differ))
					if differ > 0 {
						t.Errorf("of queues %v since %s at most %d: %d differ", queues, since, atMost, differ)
					}
				}
				must(t, rows.Err())
			}
		}
	}
	w.exec("truncate pgq.jobs, pgq.results") // nodes without a DAG
}

// What producers and readers of a tenant ask by id, or newest first, is not all read before.
func TestTheViewsOfOnesOwnJobsReadWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.plans()
	w.exec("insert into pgq.producers (role_id) values ('pg_monitor'::regrole)")
	w.exec("insert into pgq.grants (role_id, class, tenant) values ('pg_monitor'::regrole, 'reader', 'acme')")
	w.exec(`insert into pgq.jobs (id, queue, kind, priority, enqueued_by, metadata)
		select i, 'q', 'k', i % 10, case i % 2 when 0 then 1 end, case i % 2 when 0 then '{"tenant": "acme"}'::jsonb end from generate_series(1, 60000) i`)
	w.exec("insert into pgq.results (job_id, queue, state, attempt, finished_at) select id, queue, 'completed', 1, now() from pgq.jobs")
	w.exec("select setval('pgq.jobs_id_seq', 60000)")
	w.exec("vacuum analyze pgq.jobs, pgq.results")
	for _, view := range []string{"own_jobs", "tenant_jobs"} {
		for condition, c := range map[string]struct{ rows, blocks int }{
			"where id = 30000":                                {1, 200},
			"where id in (2, 4, 5, 30000)":                    {3, 300},
			"where id between 30000 and 30010 and kind = 'k'": {6, 500},
			"order by id desc limit 50":                       {50, 2500},
			"where id < 30000 order by id desc limit 50":      {50, 2500},
		} {
			call := "select * from " + view + " " + condition
			if rows := one[int](t, w.session(), "select count(*)::int from (select * from pgq."+view+" "+condition+") v"); rows != c.rows {
				t.Errorf("%s: %d rows, want %d", call, rows, c.rows)
			}
			p.touched(t, call) // fills the caches of the session
			if blocks := p.touched(t, call); blocks > c.blocks {
				t.Errorf("%s touches %d blocks, want at most %d", call, blocks, c.blocks)
			}
		}
	}
}
