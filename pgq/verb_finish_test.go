package pgq_test

import "testing"

// claimed is a world in which worker 1 runs jobs 1 to 3 and worker 2 runs job 4.
const claimed = `select enqueue('a') from generate_series(1, 4);
	select count(*) from claim(1, '{default}', '{3}'); select count(*) from claim(2, '{default}', '{1}'); `

// fences are the ways not to hold the lease: nothing happens.
func fences(verb, rest string) []verbCase {
	const unchanged, is = "select pg_temp.places(), (select count(*) from events)", `("1:running/1 2:running/1 3:running/1 4:running/1",0)`
	call := func(worker, jobs, attempts string) string {
		return "select * from " + verb + "(" + worker + ", " + jobs + ", " + attempts + rest + ")"
	}
	return []verbCase{
		{name: "of another worker", given: claimed, call: call("2", "'{1}'", "'{1}'"), want: "", then: unchanged, is: is},
		{name: "of another attempt", given: claimed, call: call("1", "'{1}'", "'{2}'"), want: "", then: unchanged, is: is},
		{name: "of another job", given: claimed, call: call("1", "'{4}'", "'{1}'"), want: "", then: unchanged, is: is},
		{name: "of a job that is not there", given: claimed, call: call("1", "'{99}'", "'{1}'"), want: "", then: unchanged, is: is},
		{name: "of a worker that is not there", given: claimed, call: call("99", "'{1}'", "'{1}'"), want: "", then: unchanged, is: is},
		{name: "of no jobs", given: claimed, call: call("1", "'{}'", "'{}'"), want: "", then: unchanged, is: is},
		{name: "of a job that is finished", given: claimed + "select complete(1, '{1}', '{1}')", call: call("1", "'{1}'", "'{1}'"), want: "",
			then: "select state from results", is: "(completed)"},
		{name: "of a job that was given to somebody else",
			given: claimed + `update workers set heartbeat_at = '-infinity' where id = 1; select rescue(); select count(*) from claim(2, '{default}', '{1}')`,
			call:  call("1", "'{1}'", "'{1}'"), want: "", then: "select pg_temp.places()", is: `("1:running/2 2:ready/1 3:ready/1 4:running/1")`},
	}
}

func TestCompleteCases(t *testing.T) {
	t.Parallel()
	verbTest(t, append(fences("complete", ""), []verbCase{
		{name: "those held, in the order of ids", given: claimed, call: "select complete(1, '{3,1,4}', '{1,1,1}')", want: "(1) (3)",
			then: "select pg_temp.places()", is: `("1:completed/1 2:running/1 3:completed/1 4:running/1")`},
		{name: "twice in one call counts once", given: claimed, call: "select complete(1, '{1,1}', '{1,1}')", want: "(1)",
			then: "select count(*) from results", is: "(1)"},
		{name: "with results", given: claimed, call: `select complete(1, '{1,2,3}', '{1,1,1}', array['{"x": 1}', null, null]::jsonb[], '{null,c,null}', array[null, '\x00', null]::bytea[])`, want: "(1) (2) (3)",
			then: "select job_id, output, codec, payload, error from results order by 1", is: `(1,"{""x"": 1}",,,) (2,,c,"\\x00",) (3,,,,)`},
		{name: "says who and when", given: claimed + "update running set claimed_at = now() - interval '1 h'", call: `select complete(1, '{1}', '{1}')`, want: "(1)",
			then: "select worker_id, attempt, finished_at >= now(), finished_at - claimed_at >= interval '1 h', expires_at from results", is: "(1,1,t,t,)"},
		{name: "with a time for the result", given: "select enqueue('a', result_ttl => '1 h'); select count(*) from claim(1, '{default}', '{1}')",
			call: `select complete(1, '{1}', '{1}')`, want: "(1)", then: "select expires_at - finished_at as kept from results", is: "(01:00:00)"},
		{name: "wins over a request to cancel", given: claimed + "select cancel('{1}')", call: `select complete(1, '{1}', '{1}')`, want: "(1)",
			then: "select state from results", is: "(completed)"},
		{name: "writes an event at level all", given: `select set_queue('default', '{"events": "all"}'); ` + claimed,
			call: `select complete(1, '{1}', '{1}')`, want: "(1)",
			then: "select job_id, type, attempt, worker_id from events order by id desc limit 1", is: "(1,completed,1,1)"},
	}...))
}

func TestFailCases(t *testing.T) {
	t.Parallel()
	const in = "select job_id, attempt, round(extract(epoch from run_at - clock_timestamp())) as seconds from scheduled order by 1"
	const policy = `select enqueue('a', max_attempts => 9, backoff => '{"type": "%", "base": 100, "jitter": 0}'); update ready set attempt = 2, seq = nextval('jobs_id_seq');
		select count(*) from claim(1, '{default}', '{1}')`
	verbTest(t, append(fences("fail", ", '{oops}'"), []verbCase{
		{name: "runs again after the backoff of the product", given: claimed, call: "select * from fail(1, '{1}', '{1}', '{oops}')", want: "(1,scheduled)",
			then: "select job_id, attempt, run_at - clock_timestamp() between interval '0.5 s' and interval '1.1 s' from scheduled", is: "(1,1,t)"},
		{name: "runs again after the backoff of the queue", given: `select set_queue('default', '{"backoff": {"type": "constant", "base": 100}}'); ` + claimed,
			call: "select * from fail(1, '{1}', '{1}', '{oops}')", want: "(1,scheduled)", then: in, is: "(1,1,100)"},
		{name: "constant", given: replace(policy, "constant"), call: "select * from fail(1, '{1}', '{3}', '{oops}')", want: "(1,scheduled)", then: in, is: "(1,3,100)"},
		{name: "linear", given: replace(policy, "linear"), call: "select * from fail(1, '{1}', '{3}', '{oops}')", want: "(1,scheduled)", then: in, is: "(1,3,300)"},
		{name: "exponential", given: replace(policy, "exponential"), call: "select * from fail(1, '{1}', '{3}', '{oops}')", want: "(1,scheduled)", then: in, is: "(1,3,400)"},
		{name: "the delay given wins over the backoff", given: claimed, call: "select * from fail(1, '{1,2}', '{1,1}', '{a,b}', '{1 h,0}')", want: "(1,scheduled) (2,ready)",
			then: in, is: "(1,1,3600)"},
		{name: "a delay of 0 makes it ready behind the others", given: claimed + "select enqueue('b')", call: "select * from fail(1, '{2}', '{1}', '{oops}', '{0}')", want: "(2,ready)",
			then: "select job_id, seq > 5, attempt, size from ready order by seq", is: "(5,f,0,1) (2,t,1,1)"},
		{name: "without attempts left", given: "select enqueue('a', max_attempts => 1); select count(*) from claim(1, '{default}', '{1}')",
			call: "select * from fail(1, '{1}', '{1}', '{oops}')", want: "(1,failed)", then: "select job_id, state, attempt, worker_id, error from results", is: "(1,failed,1,1,oops)"},
		{name: "with as many attempts as the queue gives", given: `select set_queue('default', '{"max_attempts": 1}'); ` + claimed,
			call: "select * from fail(1, '{1}', '{1}', '{oops}')", want: "(1,failed)"},
		{name: "for good", given: claimed, call: "select * from fail(1, '{1,2}', '{1,1}', '{a,b}', '{0,0}', '{false,true}')", want: "(1,failed) (2,ready)"},
		{name: "is cancelled when that was asked for", given: claimed + "select cancel('{1}')", call: "select * from fail(1, '{1}', '{1}', '{oops}')", want: "(1,cancelled)",
			then: "select state, error from results", is: "(cancelled,oops)"},
		{name: "what was held of a mixed batch", given: claimed, call: "select * from fail(1, '{4,3,1}', '{1,1,7}', '{a,b,c}', '{0,0,0}')", want: "(3,ready)"},
		{name: "a long error is cut", given: claimed, call: "select * from fail(1, '{1}', '{1}', array[repeat('x', 30000)], null, '{false}')", want: "(1,failed)",
			then: "select length(error) from results", is: "(20000)"},
		{name: "the event says all", given: claimed, call: `select * from fail(1, '{1}', '{1}', '{oops}', '{1 h}', null, array['{"stack": "s"}']::jsonb[])`, want: "(1,scheduled)",
			then: "select job_id, type, attempt, worker_id, data - 'run_at', data ? 'run_at' from events", is: `(1,retried,1,1,"{""error"": ""oops"", ""stack"": ""s""}",t)`},
		{name: "no event at level none", given: `select set_queue('default', '{"events": "none"}'); ` + claimed,
			call: `select * from fail(1, '{1}', '{1}', '{oops}', null, '{false}')`, want: "(1,failed)", then: "select pg_temp.log()", is: "()"},
	}...))
}

func TestSnoozeReleaseAndGiveUpCases(t *testing.T) {
	t.Parallel()
	verbTest(t, append(append(append(fences("snooze", ", '{1 h}'"), fences("release", "")...), fences("give_up", "")...), []verbCase{
		{name: "a snoozed attempt does not count", given: claimed, call: "select * from snooze(1, '{1,2}', '{1,1}', '{1 h,0}')", want: "(1,scheduled) (2,ready)",
			then: "select pg_temp.places(), (select run_at - clock_timestamp() > interval '59 min' from scheduled)", is: `("1:scheduled/0 2:ready/0 3:running/1 4:running/1",t)`},
		{name: "a negative delay", given: claimed, call: "select * from snooze(1, '{1,2}', '{1,1}', '{1 h,-1 s}')", want: "PQ001 delay must be 0 to 100 years"},
		{name: "no delay", given: claimed, call: "select * from snooze(1, '{1}', '{1}', null)", want: "PQ001 delay must be 0 to 100 years"},
		{name: "a snoozed job whose cancellation was asked for", given: claimed + "select cancel('{1}')", call: "select * from snooze(1, '{1}', '{1}', '{1 h}')", want: "(1,cancelled)"},
		{name: "a snooze is told", given: claimed, call: "select * from snooze(1, '{1}', '{1}', '{1 h}')", want: "(1,scheduled)", then: "select pg_temp.log()", is: "(1:snoozed)"},
		{name: "a released attempt does not count", given: claimed, call: "select * from release(1, '{2,3}', '{1,1}')", want: "(2,ready) (3,ready)",
			then: "select pg_temp.places(), pg_temp.log()", is: `("1:running/1 2:ready/0 3:ready/0 4:running/1",)`},
		{name: "a released job whose cancellation was asked for", given: claimed + "select cancel('{1}')", call: "select * from release(1, '{1}', '{1}')", want: "(1,cancelled)"},
		{name: "a released job is claimed as the same attempt", given: claimed + "select release(1, '{1}', '{1}')", call: "select job_id, attempt from claim(2, '{default}', '{9}')", want: "(1,1)"},
		{name: "given up with a reason", given: claimed, call: "select * from give_up(1, '{1,2}', '{1,1}', '{not needed,null}')", want: "(1,cancelled) (2,cancelled)",
			then: "select job_id, state, attempt, error from results order by 1", is: `(1,cancelled,1,"not needed") (2,cancelled,1,)`},
		{name: "given up without attempts left", given: "select enqueue('a', max_attempts => 1); select count(*) from claim(1, '{default}', '{1}')",
			call: "select * from give_up(1, '{1}', '{1}')", want: "(1,cancelled)"},
	}...))
}

// What stands at another place than the job is no answer about it: it is refused, and the lease is still held.
func TestArraysThatDoNotBelongTogetherAreRefused(t *testing.T) {
	t.Parallel()
	const length = " must have as many elements as job_ids, and one dimension that begins at 1"
	const rest = "select pg_temp.places()"
	const is = `("1:running/1 2:running/1 3:running/1 4:running/1")`
	var cases []verbCase
	for call, want := range map[string]string{
		"complete(1, '{1,2}', '{1}')":                                                  "attempts" + length,
		"complete(1, '{1}', '{1,1}')":                                                  "attempts" + length,
		"complete(1, '{1}', null)":                                                     "attempts" + length,
		"complete(1, '[0:1]={1,2}', '{1,1}')":                                          "job_ids must be an array with one dimension that begins at 1",
		"complete(1, '{{1,2}}', '{1,1}')":                                              "job_ids must be an array with one dimension that begins at 1",
		"complete(1, '{1}', '{1}', '[0:0]={5}')":                                       "outputs" + length,
		"complete(1, '{1}', '{1}', array[array['5'::jsonb]])":                          "outputs" + length,
		"complete(1, '{1,2}', '{1,1}', '{5}')":                                         "outputs" + length,
		"complete(1, '{1}', '{1}', null, '{a}')":                                       "codecs must be given where payloads are, and only there",
		"complete(1, '{1,2}', '{1,1}', null, '{a,null}', array[null, '\\x00'::bytea])": "codecs must be given where payloads are, and only there",
		"fail(1, '{1,2}', '{1,1}', '{only one}')":                                      "errors" + length,
		"fail(1, '{1}', '{1}', '[0:0]={boom}')":                                        "errors" + length,
		"fail(1, '{1}', '{1}', '{boom}', retryable => '[0:0]={f}')":                    "retryable" + length,
		"fail(1, '{1}', '{1}', '{boom}', '{100 years 1 day}')":                         "delays must be at most 100 years",
		"snooze(1, '{1}', '{1}', '[0:0]={1 day}')":                                     "delays" + length,
		"release(1, '{1,2}', '{1}')":                                                   "attempts" + length,
		"give_up(1, '{1,2}', '{1,1}', '{why}')":                                        "reasons" + length,
		"suspend(1, '{1,2}', '{1,1}', '{step}')":                                       "names" + length,
		"claim(2, '{default,other}', '{1}')":                                           "limits must have as many elements as queue_names, and one dimension that begins at 1",
		"claim(2, '{default}', '{1}', null, '{1,2}')":                                  "after must have ten numbers per queue",
	} {
		cases = append(cases, verbCase{name: call, given: claimed, call: "select * from " + call, want: "PQ001 " + want, then: rest, is: is})
	}
	verbTest(t, cases)
}

func TestDisownCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "what the worker does not know of", given: claimed, call: "select * from disown(1, '{2}')", want: "(1,ready) (3,ready)",
			then: "select pg_temp.places()", is: `("1:ready/0 2:running/1 3:ready/0 4:running/1")`},
		{name: "everything", given: claimed, call: "select * from disown(1, '{}')", want: "(1,ready) (2,ready) (3,ready)"},
		{name: "nothing when it knows all", given: claimed, call: "select * from disown(1, '{1,2,3}')", want: ""},
		{name: "nothing of others", given: claimed, call: "select * from disown(99, '{}')", want: ""},
	})
}

func TestHeartbeatAndRegisterCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "nothing to be cancelled", given: claimed + "update workers set heartbeat_at = now() - interval '1 h'", call: "select * from heartbeat(1)", want: "",
			then: "select id, heartbeat_at >= now() from workers order by id", is: "(1,t) (2,f)"},
		{name: "its attempts that shall be cancelled", given: claimed + "select cancel('{2,4}')", call: "select * from heartbeat(1)", want: "(2,1)"},
		{name: "a worker that is not registered", call: "select * from heartbeat(99)", want: "PQ005 worker 99 is not registered or was declared dead"},
		{name: "a worker that was declared dead", given: "update workers set dead_at = now() where id = 1", call: "select * from heartbeat(1)", want: "PQ005 worker 1 *"},
		{name: "registering makes the queues known", call: "select register_worker('w', '{b,a,b}', '{k}')", want: "(3)",
			then: "select string_agg(name, ' ' order by name), (select lease from workers where id = 3) from queues", is: `("* a b",00:00:30)`},
		{name: "a lease that is too short", call: "select register_worker('w', '{a}', '{k}', '0.5 s')", want: "PQ001 lease must be 1 second to 1 day"},
		{name: "no lease", call: "select register_worker('w', '{a}', '{k}', null)", want: "PQ001 lease must be 1 second to 1 day"},
		{name: "retiring gives back what is held", given: claimed, call: "select retire_worker(1)", want: `("")`,
			then: "select pg_temp.places()", is: `("1:ready/1 2:ready/1 3:ready/1 4:running/1")`},
		{name: "retiring takes the worker off the register", call: "select retire_worker(1)", want: `("")`, then: "select id from workers", is: "(2)"},
		{name: "retiring one who is not there", call: "select retire_worker(99)", want: `("")`, then: "select count(*) from workers", is: "(2)"},
		{name: "progress", given: claimed + "select report_progress(1, 1, 1, 1, 10)", call: "select report_progress(1, 1, 1, 5, 10)", want: "(t)",
			then: "select job_id, attempt, done, total from progress", is: "(1,1,5,10)"},
		{name: "progress without the lease", given: claimed, call: "select report_progress(2, 1, 1, 5, 10), report_progress(1, 1, 2, 5, 10), report_progress(1, 9, 1, 5, 10)", want: "(f,f,f)",
			then: "select count(*) from progress", is: "(0)"},
		{name: "negative progress", given: claimed, call: "select report_progress(1, 1, 1, -5, 10)", want: "PQ001 progress must not be negative"},
	})
}

func TestRescueCases(t *testing.T) {
	t.Parallel()
	const silent = claimed + "update workers set heartbeat_at = now() - interval '31 s' where id = 1; "
	verbTest(t, []verbCase{
		{name: "nobody is silent", given: claimed, call: "select rescue()", want: "(0)", then: "select count(*) from workers where dead_at is not null", is: "(0)"},
		{name: "the attempts of a silent worker count", given: silent, call: "select rescue()", want: "(3)",
			then: "select pg_temp.places(), (select dead_at is not null from workers where id = 1)", is: `("1:ready/1 2:ready/1 3:ready/1 4:running/1",t)`},
		{name: "the worker goes once it holds nothing", given: silent + "select rescue()", call: "select rescue()", want: "(0)", then: "select id from workers", is: "(2)"},
		{name: "in batches", given: silent, call: "select rescue(2), rescue(2), rescue(2)", want: "(2,1,0)", then: "select id from workers", is: "(2)"},
		{name: "within its lease, however long", given: silent + "update workers set lease = '1 h'", call: "select rescue()", want: "(0)"},
		{name: "without attempts left", given: "select enqueue('a', max_attempts => 1); select count(*) from claim(1, '{default}', '{1}'); update workers set heartbeat_at = '-infinity'",
			call: "select rescue()", want: "(1)", then: "select state, attempt, error from results", is: `(failed,1,"lease lost: worker 1 stopped")`},
		{name: "when cancellation was asked for", given: silent + "select cancel('{1}')", call: "select rescue()", want: "(3)",
			then: "select state from results", is: "(cancelled)"},
		{name: "the event says why", given: silent, call: "select rescue(1)", want: "(1)",
			then: "select job_id, type, data ->> 'lease_lost' from events", is: "(1,retried,true)"},
	})
}
