package pgq_test

import "testing"

// Jobs 1 to 3 are of sequence k, and a worker has the first one.
const (
	three    = `select enqueue(x, sequence => 'k') from unnest('{a,b,c}'::text[]) x`
	skipping = `select enqueue(x, sequence => 'k', on_failure => 'skip') from unnest('{a,b,c}'::text[]) x`
	going    = `select enqueue(x, sequence => 'k', on_failure => 'continue') from unnest('{a,b,c}'::text[]) x`
	takeOne  = `; select count(*) from claim(1, '{default}', '{9}')`
	doneOne  = `; select complete(1, array_agg(job_id), array_agg(attempt)) from running`
	failOne  = `; select fail(1, array_agg(job_id), array_agg(attempt), '{x}', null, array_agg(false)) from running`
	places   = "select string_agg(state, '+' order by id) from job_states"
)

func TestSequenceCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "only the first one may run", call: three, want: "(1) (2) (3)", then: places, is: "(ready+waiting+waiting)"},
		{name: "the next one when it has ended", given: three + takeOne, call: "select complete(1, '{1}', '{1}')", want: "(1)",
			then: places, is: "(completed+ready+waiting)"},
		{name: "and at last nothing is left of it", given: three + takeOne + doneOne + takeOne + doneOne + takeOne, call: "select complete(1, '{3}', '{1}')", want: "(3)",
			then: "select count(*) from sequences", is: "(0)"},
		{name: "then it begins anew", given: `select enqueue('a', sequence => 'k')` + takeOne + doneOne, call: `select enqueue('b', sequence => 'k')`, want: "(2)",
			then: places, is: "(completed+ready)"},
		{name: "each key by itself", given: three, call: `select enqueue('d', sequence => 'l')`, want: "(4)", then: places, is: "(ready+waiting+waiting+ready)"},
		{name: "in a bulk", call: `select outcome from enqueue_jobs('[{"kind": "a", "sequence": "k"}, {"kind": "a", "sequence": "l"}, {"kind": "a"}, {"kind": "a", "sequence": "k"}]')`,
			want: "(added) (added) (added) (added)", then: places, is: "(ready+ready+ready+waiting)"},
		{name: "a retry holds those behind it", given: three + takeOne, call: "select fail(1, '{1}', '{1}', '{x}', '{1 h}')", want: "*", then: places, is: "(scheduled+waiting+waiting)"},
		{name: "a delay of the first one, too", call: `select enqueue('a', sequence => 'k', delay => '1 h'), enqueue('a', sequence => 'k')`, want: "(1,2)", then: places, is: "(scheduled+waiting)"},
		{name: "a delay counts from the enqueueing", given: `select enqueue('a', sequence => 'k'), enqueue('a', sequence => 'k', delay => '1 h'); update jobs set spec = jsonb_build_object('run_at', now() + interval '7 min') where id = 2` + takeOne,
			call: "select complete(1, '{1}', '{1}')", want: "(1)", then: "select run_at - now() from scheduled", is: "(00:07:00)"},
		{name: "one that is over does not hold it", given: `select enqueue('a', sequence => 'k'), enqueue('a', sequence => 'k', delay => '1 h'); update jobs set spec = jsonb_build_object('run_at', now() - interval '1 s') where id = 2` + takeOne,
			call: "select complete(1, '{1}', '{1}')", want: "(1)", then: places, is: "(completed+ready)"},
		{name: "a failure stops it", given: three + takeOne, call: "select outcome from fail(1, '{1}', '{1}', '{x}', null, '{f}')", want: "(failed)",
			then: "select state, job_id, waiting, error, stopped_at is not null from sequence_states", is: "(stopped,1,2,x,t)"},
		{name: "those that come then wait, too", given: three + takeOne + failOne, call: "select enqueue('d', sequence => 'k')", want: "(4)", then: places, is: "(failed+waiting+waiting+waiting)"},
		{name: "until it is retried", given: three + takeOne + failOne, call: "select outcome from retry('{1}')", want: "(ready)", then: "select state, job_state from sequence_states", is: "(active,ready)"},
		{name: "and completes", given: three + takeOne + failOne + "; select retry('{1}')" + takeOne, call: "select complete(1, '{1}', '{2}')", want: "(1)", then: places, is: "(completed+ready+waiting)"},
		{name: "or deleted", given: three + takeOne + failOne, call: "select outcome from delete('{1}')", want: "(deleted)", then: places, is: "(ready+waiting)"},
		{name: "or passed over", given: three + takeOne + failOne, call: "select resume_sequence('k')", want: "(2)", then: places, is: "(failed+ready+waiting)"},
		{name: "nobody waits behind the one that is passed over", given: `select enqueue('a', sequence => 'k')` + takeOne + failOne, call: "select resume_sequence('k')", want: "()", then: "select count(*) from sequences", is: "(0)"},
		{name: "one that is not stopped is left as it is", given: three, call: "select resume_sequence('k')", want: "(1)", then: places, is: "(ready+waiting+waiting)"},
		{name: "none of the name is there", call: "select resume_sequence('k')", want: `PQ004 there is no sequence "k" with unfinished jobs`},
		{name: "no name at all", call: "select resume_sequence(null)", want: `PQ004 there is no sequence null with unfinished jobs`},
		{name: "pruning leaves what has stopped it", given: three + takeOne + failOne + "; update results set finished_at = now() - interval '9 y', expires_at = now() - interval '1 y'", call: "select prune()", want: "(0)",
			then: "select state from sequence_states", is: "(stopped)"},
		{name: "and pruning without a time of its own", given: three + takeOne + failOne + "; update results set finished_at = now() - interval '9 y'", call: "select prune()", want: "(0)"},
		{name: "and pruning by hand", given: three + takeOne + failOne + "; update results set finished_at = now() - interval '9 y'", call: "select deleted from prune_finished('1 d')", want: "(0)"},
		{name: "skip skips those behind it", given: skipping + takeOne, call: "select outcome from fail(1, '{1}', '{1}', '{x}', null, '{f}')", want: "(failed)",
			then: "select string_agg(state || cause_id || error, ', ' order by job_id) from results where job_id > 1", is: `("skipped1job 1 of its sequence failed, skipped1job 1 of its sequence failed")`},
		{name: "and not those that come then", given: skipping + takeOne + failOne, call: "select enqueue('d', sequence => 'k')", want: "(4)", then: places, is: "(failed+skipped+skipped+ready)"},
		{name: "more than a thousand in portions", given: `select enqueue_many((select jsonb_agg(jsonb_build_object('kind', 'a', 'sequence', 'k', 'on_failure', 'skip')) from generate_series(1, 1500)))` + takeOne + failOne,
			call: "select state, waiting, cause_id from sequence_states", want: "(skipping,499,1)"},
		{name: "the chores do the rest", given: `select enqueue_many((select jsonb_agg(jsonb_build_object('kind', 'a', 'sequence', 'k', 'on_failure', 'skip')) from generate_series(1, 1500)))` + takeOne + failOne + "; select enqueue('b', sequence => 'k')",
			call: "select fill_sequences(10)", want: "(500)", then: "select job_id, waiting, (select count(*) from results where state = 'skipped') from sequence_states", is: "(1501,0,1499)"},
		{name: "continue goes on", given: going + takeOne, call: "select outcome from fail(1, '{1}', '{1}', '{x}', null, '{f}')", want: "(failed)", then: places, is: "(failed+ready+waiting)"},
		{name: "the policy is that of the job that failed", given: `select enqueue('a', sequence => 'k', on_failure => 'continue'), enqueue('a', sequence => 'k'), enqueue('a', sequence => 'k')` + takeOne + failOne + takeOne + failOne,
			call: "select state, job_id from sequence_states", want: "(stopped,2)"},
		{name: "a retried one waits until the one at it has ended", given: going + takeOne + failOne + takeOne, call: "select outcome from retry('{1}')", want: "(waiting)", then: places, is: "(waiting+running+waiting)"},
		{name: "and then is the first", given: going + takeOne + failOne + takeOne + "; select retry('{1}')", call: "select complete(1, '{2}', '{1}')", want: "(2)", then: places, is: "(ready+completed+waiting)"},
		{name: "its attempts count on", given: going + takeOne + failOne + takeOne + "; select retry('{1}')" + doneOne, call: "select attempt from claim(1, '{default}', '{9}')", want: "(2)"},
		{name: "skipped ones retried together run in their order", given: skipping + takeOne + failOne, call: "select job_id, outcome from retry('{3,1,2}') order by 1", want: "(1,ready) (2,waiting) (3,waiting)"},
		{name: "a cancelled one does not stop it", given: three + takeOne + "; select cancel('{1}')", call: "select outcome from give_up(1, '{1}', '{1}')", want: "*", then: places, is: "(cancelled+ready+waiting)"},
		{name: "one that is cancelled before it runs", given: three, call: "select outcome from cancel('{1}')", want: "(cancelled)", then: places, is: "(cancelled+ready+waiting)"},
		{name: "one that is cancelled in line leaves the others where they are", given: three, call: "select outcome from cancel('{2}')", want: "(cancelled)", then: places, is: "(ready+cancelled+waiting)"},
		{name: "all that are cancelled at once", given: three, call: "select outcome from cancel('{1,2,3}')", want: "(cancelled) (cancelled) (cancelled)", then: "select count(*) from sequences", is: "(0)"},
		{name: "one that is deleted in line", given: three, call: "select outcome from delete('{2}')", want: "(deleted)", then: places, is: "(ready+waiting)"},
		{name: "one that is deleted before it runs", given: three, call: "select outcome from delete('{1}')", want: "(deleted)", then: places, is: "(ready+waiting)"},
		{name: "one that expires before it runs", given: `select enqueue('a', sequence => 'k', ttl => '1 h'), enqueue('a', sequence => 'k', ttl => '1 h'), enqueue('a', sequence => 'k'); update jobs set expires_at = now() where expires_at is not null; update expiries set expires_at = now()`,
			call: "select expire()", want: "(2)", then: places, is: "(expired+expired+ready)"},
		{name: "one that expires when it is claimed", given: `select enqueue('a', sequence => 'k', ttl => '1 h'), enqueue('a', sequence => 'k'); update jobs set expires_at = now() where expires_at is not null; update expiries set expires_at = now()` + takeOne,
			call: "select fill_sequences(10)", want: "(1)", then: places, is: "(expired+ready)"},
		{name: "a snooze holds those behind it", given: three + takeOne, call: "select outcome from snooze(1, '{1}', '{1}', '{1 h}')", want: "(scheduled)", then: places, is: "(scheduled+waiting+waiting)"},
		{name: "a lost worker, too", given: three + takeOne + "; update workers set heartbeat_at = '-infinity' where id = 1", call: "select rescue() > 0", want: "*", then: places, is: "(ready+waiting+waiting)"},
		{name: "a dead one that had used up its attempts stops it", given: `select enqueue('a', sequence => 'k', max_attempts => 1), enqueue('a', sequence => 'k')` + takeOne + "; update workers set heartbeat_at = '-infinity' where id = 1",
			call: "select rescue() > 0", want: "*", then: "select state from sequence_states", is: "(stopped)"},
		{name: "moving one in line is refused", given: three, call: "select outcome from move('{2}', 'other')", want: "(waiting)"},
		{name: "moving the head is not", given: three, call: "select outcome from move('{1}', 'other')", want: "(moved)", then: "select state, queue from sequence_states", is: "(active,other)"},
		{name: "unique keys bar by those in line", given: `select enqueue('a', sequence => 'k'), enqueue('a', sequence => 'k', uniqueness => '{"key": "u", "while": "queued"}')`,
			call: `select outcome, job_id from enqueue_jobs('[{"kind": "a", "sequence": "l", "unique": {"key": "u"}}]')`, want: "(existing,2)", then: "select count(*) from sequences", is: "(1)"},
		{name: "jobs without one have none", given: "select enqueue('a')", call: "select count(*) from sequences", want: "(0)"},
	})
}

func TestSequenceLookCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "the line", given: three, call: "select id, state from sequence_line('k')", want: "(1,ready) (2,waiting) (3,waiting)"},
		{name: "in pages", given: three, call: "select (select string_agg(id::text, ' ') from sequence_line('k', at_most => 2)), (select string_agg(id::text, ' ') from sequence_line('k', after => 2))", want: `("1 2",3)`},
		{name: "the line of none", call: "select * from sequence_line('k')", want: ""},
		{name: "a page of nothing", call: "select * from sequence_line('k', at_most => 0)", want: "PQ001 at_most must be 1 to 10000"},
		{name: "the list", given: three + "; select enqueue('a', sequence => 'l')", call: "select key, state, job_id, kind, job_state, waiting, exact from list_sequences()", want: "(k,active,1,a,ready,2,t) (l,active,4,a,ready,0,t)"},
		{name: "after a key", given: three + "; select enqueue('a', sequence => 'l')", call: "select key from list_sequences(after => 'k')", want: "(l)"},
		{name: "by state", given: three + takeOne + failOne + "; select enqueue('a', sequence => 'l')", call: "select key from list_sequences('stopped')", want: "(k)"},
		{name: "by a state that is none", call: "select key from list_sequences('stuck')", want: "PQ001 state must be active, stopped, skipping or handing over"},
		{name: "too many", call: "select key from list_sequences(at_most => 10001)", want: "PQ001 at_most must be 1 to 10000"},
		{name: "explained: who is ahead", given: three + takeOne, call: "select reason, detail, job_id from explain_job(3)",
			want: `*(sequence,"2 jobs of its sequence ""k"" have to end before it",3) (head,"job 1 is running for * (attempt 1)",1)`},
		{name: "explained: why that does not run", given: three + "; select pause_queue('default', 'x')", call: "select reason, detail from explain_job(2)",
			want: `*(sequence,"one job of its sequence ""k"" has to end before it") (head,"job 1 is ready, added * ago") (blocked,"job 1: queue paused: *")`},
		{name: "explained: what has stopped it", given: three + takeOne + failOne, call: "select reason, detail, job_id from explain_job(2)",
			want: `*(sequence,*) ("sequence stopped","job 1 failed at * (x): retry it, or let the sequence go on without it (resume_sequence)",1)`},
	})
}

func TestSequenceRefusals(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "an empty key", call: `select enqueue('a', sequence => '')`, want: "PQ001 sequence must have 1 to 500 characters"},
		{name: "a long key", call: `select enqueue('a', sequence => repeat('k', 501))`, want: "PQ001 sequence must have 1 to 500 characters"},
		{name: "a policy that is none", call: `select enqueue('a', sequence => 'k', on_failure => 'retry')`, want: "PQ001 on_failure must be stop, skip or continue"},
		{name: "a policy of nothing", call: `select enqueue('a', on_failure => 'stop')`, want: "PQ001 on_failure must not be given without a sequence"},
		{name: "in a bulk", call: `select enqueue_many('[{"kind": "a", "sequence": "k"}, {"kind": "a", "sequence": ""}]')`, want: "PQ001 jobs[1].sequence must have 1 to 500 characters", then: "select count(*) from jobs", is: "(0)"},
		{name: "a policy of nothing in a bulk", call: `select enqueue_many('[{"kind": "a", "on_failure": "stop"}]')`, want: "PQ001 jobs[0].on_failure must not be given without a sequence"},
		{name: "debounced", call: `select enqueue('a', sequence => 'k', uniqueness => '{"key": "u", "debounce": {"wait": "1 s"}}')`,
			want: "PQ001 sequence must not be given together with a unique key that replaces, debounces or throttles"},
		{name: "replacing", call: `select enqueue('a', sequence => 'k', uniqueness => '{"key": "u", "on_conflict": "replace"}')`,
			want: "PQ001 sequence must not be given together with a unique key that replaces, debounces or throttles"},
	})
}

func TestSequenceAndGroupCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "the head takes its turn, the others wait for it", given: `select set_limit('group', 'g', max_running => 1); select enqueue('a', sequence => 'k', group_name => 'g') from generate_series(1, 2); select enqueue('b', group_name => 'g')`,
			call: "select job_id from claim(1, '{default}', '{9}')", want: "(1)", then: "select string_agg(coalesce(sequence, role), '+' order by job_id) from waiting", is: "(k+turn)"},
		{name: "when it has ended both may be dealt", given: `select set_limit('group', 'g', max_running => 5); select enqueue('a', sequence => 'k', group_name => 'g') from generate_series(1, 2)` + takeOne + doneOne,
			call: "select job_id from claim(1, '{default}', '{9}')", want: "(2)"},
		{name: "a rule of the group is kept", call: `select enqueue_many(jsonb_build_array(jsonb_build_object('kind', 'a', 'sequence', 'k', 'group', '')))`, want: "PQ001 jobs[0].group *"},
	})
}
