package pgq_test

import "testing"

// stepCalls are the functions by which handlers write, with the lease of job 1, whose worker is the first %.
var stepCalls = []struct{ call, lost string }{
	{`select record_step(%, 's', '1')`, "(lost)"},
	{`select save_cursor(%, 's', '1')`, "(f)"},
	{`select outcome from await_step(%, 's', 'sleep', '1 h')`, "(lost)"},
	{`select outcome from await_step(%, 's', 'signal', null)`, "(lost)"},
}

func TestOnlyWhoHoldsTheLeaseWritesSteps(t *testing.T) {
	t.Parallel()
	var cases []verbCase
	for _, c := range stepCalls {
		for _, lease := range []struct{ name, args, given string }{
			{"another worker", "2, 1, 1", ""},
			{"another attempt", "1, 1, 2", ""},
			{"another job", "1, 4, 1", ""},
			{"nothing at all", "null, null, null", ""},
			{"a job that is finished", "1, 1, 1", "select complete(1, '{1}', '{1}')"},
			{"a job that was given to somebody else", "1, 1, 1",
				`update workers set heartbeat_at = '-infinity' where id = 1; select rescue(); select count(*) from claim(2, '{default}', '{1}')`},
		} {
			cases = append(cases, verbCase{name: lease.name + ": " + c.call, given: claimed + lease.given, call: replace(c.call, lease.args), want: c.lost,
				then: "select count(*) from steps", is: "(0)"})
		}
		cases = append(cases,
			verbCase{name: "no name: " + c.call, given: claimed, call: replaceOnce(replace(c.call, "1, 1, 1"), "'s'", "''"), want: "PQ001 name must have 1 to 200 characters"},
			verbCase{name: "null as name: " + c.call, given: claimed, call: replaceOnce(replace(c.call, "1, 1, 1"), "'s'", "null"), want: "PQ001 name must have 1 to 200 characters"},
			verbCase{name: "a long name: " + c.call, given: claimed, call: replaceOnce(replace(c.call, "1, 1, 1"), "'s'", "repeat('ü', 201)"), want: "PQ001 name must have 1 to 200 characters"},
			verbCase{name: "a name of 200 characters: " + c.call, given: claimed, call: replaceOnce(replace(c.call, "1, 1, 1"), "'s'", "repeat('ü', 200)"), want: "*",
				then: "select length(name) from steps", is: "(200)"},
		)
	}
	verbTest(t, cases)
}

func TestStepAndCursorCases(t *testing.T) {
	t.Parallel()
	const recorded = claimed + `select record_step(1, 1, 1, 's', '{"x": 1}'); `
	verbTest(t, []verbCase{
		{name: "a result is kept", given: claimed, call: `select record_step(1, 1, 1, 's', '{"x": 1}')`, want: "(recorded)",
			then: "select name, type, attempt, done_at is not null, output, codec, payload from job_steps(1)", is: `(s,step,1,t,"{""x"": 1}",,)`},
		{name: "a result by a codec", given: claimed, call: `select record_step(1, 1, 1, 's', null, 'c', '\x00')`, want: "(recorded)",
			then: "select output, codec, payload from read_step(1, 's')", is: `(,c,"\\x00")`},
		{name: "no result at all", given: claimed, call: `select record_step(1, 1, 1, 's')`, want: "(recorded)", then: "select output from read_step(1, 's')", is: "()"},
		{name: "the first result counts", given: recorded, call: `select record_step(1, 1, 1, 's', '2')`, want: "(existing)",
			then: "select output from job_steps(1)", is: `("{""x"": 1}")`},
		{name: "a cursor moves", given: claimed + "select save_cursor(1, 1, 1, 'c', '1')", call: `select save_cursor(1, 1, 1, 'c', '2')`, want: "(t)",
			then: "select name, type, output from job_steps(1)", is: "(c,cursor,2)"},
		{name: "a cursor with the name of a step", given: recorded, call: `select save_cursor(1, 1, 1, 's', '2')`,
			want: `PQ001 name must be that of a cursor; "s" is the name of a step of this job`},
		{name: "a step with the name of a cursor", given: claimed + "select save_cursor(1, 1, 1, 'c', '1')", call: `select record_step(1, 1, 1, 'c', '2')`,
			want: `PQ001 name must be that of a step; "c" is the name of a cursor of this job`},
		{name: "a sleep with the name of a step", given: recorded, call: `select await_step(1, 1, 1, 's', 'sleep', '1 h')`,
			want: `PQ001 name must be that of a sleep; "s" is the name of a step of this job`},
		{name: "a signal with the name of a step", given: recorded, call: `select send_signal(1, 's', '1')`,
			want: `PQ001 name must be that of a signal; "s" is the name of a step of this job`},
		{name: "what is large is left out", given: claimed + `select record_step(1, 1, 1, 'a', '1'); select record_step(1, 1, 1, 'b', null, 'c', (select convert_to(string_agg(md5(n::text), ''), 'utf8') from generate_series(1, 999) n))`,
			call: "select name, large, output, payload from read_steps(1, 1000) order by 1", want: "(a,f,1,) (b,t,,)"},
		{name: "steps go with the job", given: recorded + "select complete(1, '{1}', '{1}'); select fail(1, '{2}', '{1}', '{oops}', null, '{false}'); select delete('{1,2}')",
			call: "select (select count(*) from steps), (select count(*) from attempt_errors)", want: "(0,0)"},
		{name: "steps stay when the job is retried", given: recorded + "select fail(1, '{1}', '{1}', '{oops}', null, '{false}'); select retry('{1}')",
			call: "select count(*) from steps", want: "(1)"},
		{name: "forgetting those of finished and scheduled jobs",
			given: recorded + "select record_step(1, 2, 1, 's'), record_step(1, 3, 1, 's'), fail(1, '{1,2}', '{1,1}', '{oops,oops}', null, '{false,true}'); select enqueue('a')",
			call:  "select * from forget_steps('{1,2,3,5,99,null}') order by 1", want: "(1,forgotten) (2,forgotten) (3,running) (5,ready) (99,not_found)",
			then: "select job_id from steps", is: "(3)"},
		{name: "forgetting some", given: recorded + "select record_step(1, 1, 1, 't'), fail(1, '{1}', '{1}', '{oops}')",
			call: "select * from forget_steps('{1}', '{t,u}')", want: "(1,forgotten)", then: "select name from steps", is: "(s)"},
		{name: "a step of a job that is not there breaks a rule", given: "insert into steps (job_id, name, type, done_at) values (99, 's', 'step', now())",
			call: "select rule, job_id from check_invariants()", want: `("progress, logs, steps and errors belong to jobs",99)`, broken: true},
	})
}

func TestSleepAndSignalCases(t *testing.T) {
	t.Parallel()
	const waits = claimed + `select await_step(1, 1, 1, 's', 'signal', '1 h'); `
	const parked = waits + `select suspend(1, '{1}', '{1}', '{s}'); `
	const where = "select pg_temp.places(), (select string_agg(output::text, ' ') from steps)"
	verbTest(t, []verbCase{
		{name: "sleeping begins", given: claimed, call: "select * from await_step(1, 1, 1, 's', 'sleep', '1 h')", want: "(open,)",
			then: "select type, attempt, wake_at - noted_at between interval '59 min' and interval '61 min', done_at from steps", is: "(sleep,1,t,)"},
		{name: "sleeping goes on, whatever is said later", given: claimed + "select await_step(1, 1, 1, 's', 'sleep', '1 h')", call: "select * from await_step(1, 1, 1, 's', 'sleep', '0')", want: "(open,)"},
		{name: "sleeping is over", given: claimed + "select await_step(1, 1, 1, 's', 'sleep', '1 h'); update steps set wake_at = now()",
			call: "select * from await_step(1, 1, 1, 's', 'sleep', '1 h')", want: "(done,)"},
		{name: "no time at all", given: claimed, call: "select * from await_step(1, 1, 1, 's', 'sleep', '0')", want: "(done,)"},
		{name: "a negative time", given: claimed, call: "select * from await_step(1, 1, 1, 's', 'sleep', '-1 s')", want: "PQ001 delay must not be negative"},
		{name: "a sleep without time", given: claimed, call: "select * from await_step(1, 1, 1, 's', 'sleep', null)", want: "PQ001 delay must not be negative"},
		{name: "too long", given: claimed, call: "select * from await_step(1, 1, 1, 's', 'signal', '101 years')", want: "PQ001 delay must be at most 100 years"},
		{name: "another type", given: claimed, call: "select * from await_step(1, 1, 1, 's', 'step', '1 h')", want: "PQ001 type must be sleep or signal"},
		{name: "suspended until then, and the attempt does not count", given: waits, call: "select * from suspend(1, '{1,2}', '{1,7}', '{s,s}')", want: "(1,scheduled)",
			then: "select pg_temp.places(), (select run_at - (select wake_at from steps) < interval '1 s' from scheduled), (select data ->> 'step' from events)",
			is:   `("1:scheduled/0 2:running/1 3:running/1 4:running/1",t,s)`},
		{name: "suspended on nothing runs again at once", given: claimed, call: "select * from suspend(1, '{1}', '{1}', '{never heard of}')", want: "(1,ready)"},
		{name: "suspended without limit", given: claimed + "select await_step(1, 1, 1, 's', 'signal', null)", call: "select * from suspend(1, '{1}', '{1}', '{s}')", want: "(1,scheduled)",
			then: "select run_at > now() + interval '99 years' from scheduled", is: "(t)"},
		{name: "suspended, but cancelled meanwhile", given: waits + "select cancel('{1}')", call: "select * from suspend(1, '{1}', '{1}', '{s}')", want: "(1,cancelled)"},
		{name: "cancelled while suspended", given: parked, call: "select * from cancel('{1}')", want: "(1,cancelled)"},
		{name: "a job that was started does not expire while it sleeps",
			given: "select enqueue('a', ttl => '1 h'); select count(*) from claim(1, '{default}', '{1}'); select await_step(1, 1, 1, 's', 'signal', '9 h'); select suspend(1, '{1}', '{1}', '{s}')",
			call:  "select expires_at, (select count(*) from expiries) from jobs", want: "(,0)"},
		{name: "the signal comes before the handler waits", given: claimed + "select send_signal(1, 's', '7')", call: "select * from await_step(1, 1, 1, 's', 'signal', '1 h')", want: "(done,7)"},
		{name: "the signal comes before the job runs", given: "select enqueue('a')", call: "select send_signal(1, 's', '7')", want: "(kept)", then: where, is: "(1:ready/0,7)"},
		{name: "the signal comes between the look and the suspension", given: waits + "select send_signal(1, 's', '7')", call: "select * from suspend(1, '{1}', '{1}', '{s}')", want: "(1,ready)"},
		{name: "the signal comes while it runs", given: waits, call: "select send_signal(1, 's', '7')", want: "(kept)"},
		{name: "the signal comes after the suspension", given: parked, call: "select send_signal(1, 's', '7')", want: "(delivered)",
			then: where, is: `("1:ready/0 2:running/1 3:running/1 4:running/1",7)`},
		{name: "a signal without a value", given: parked, call: "select send_signal(1, 's')", want: "(delivered)", then: "select done_at is not null, output from steps", is: "(t,)"},
		{name: "another signal does not wake it", given: parked, call: "select send_signal(1, 'other', '7')", want: "(kept)",
			then: "select pg_temp.places()", is: `("1:scheduled/0 2:running/1 3:running/1 4:running/1")`},
		{name: "the first signal counts", given: parked + "select send_signal(1, 's', '7')", call: "select send_signal(1, 's', '8')", want: "(duplicate)", then: where, is: "(*,7)"},
		{name: "a signal does not shorten a backoff", given: waits + "select fail(1, '{1}', '{1}', '{oops}', '{1 h}')", call: "select send_signal(1, 's', '7')", want: "(kept)",
			then: "select pg_temp.places()", is: `("1:scheduled/1 2:running/1 3:running/1 4:running/1")`},
		{name: "no signal in time", given: waits + "update steps set wake_at = now()", call: "select * from await_step(1, 1, 1, 's', 'signal', '1 h')", want: "(timed_out,)"},
		{name: "no signal in time is final", given: waits + "update steps set wake_at = now(); select await_step(1, 1, 1, 's', 'signal', '1 h')",
			call: "select send_signal(1, 's', '7')", want: "(late)", then: "select * from await_step(1, 1, 1, 's', 'signal', '1 h')", is: "(timed_out,)"},
		{name: "late, but before the handler looks", given: parked + "update steps set wake_at = now()", call: "select send_signal(1, 's', '7')", want: "(delivered)"},
		{name: "to a finished job", given: claimed + "select complete(1, '{1}', '{1}')", call: "select send_signal(1, 's', '7')", want: "(finished)", then: "select count(*) from steps", is: "(0)"},
		{name: "to nobody", call: "select send_signal(1, 's', '7'), send_signal(null, 's', '7')", want: "(not_found,not_found)", then: "select count(*) from steps", is: "(0)"},
		{name: "to a DAG", given: `select dag_submit('{"name": "d", "nodes": [{"name": "a", "kind": "a"}]}')`, call: "select send_signal((select id from jobs where role = 'dag'), 's')",
			want: "PQ001 job_id must be a job that a handler runs; * is of role dag"},
		{name: "without a name", given: claimed, call: "select send_signal(1, '', '7')", want: "PQ001 name must have 1 to 200 characters"},
		{name: "why it does not run", given: parked, call: "select reason, detail from explain_job(1)", want: `(signal,"waits for signal ""s"" (send_signal) until *Z (*)")`},
		{name: "why it does not run, for ever", given: claimed + "select await_step(1, 1, 1, 's', 'signal', null); select suspend(1, '{1}', '{1}', '{s}')",
			call: "select reason, detail from explain_job(1)", want: `(signal,"waits for signal ""s"" (send_signal), without a limit")`},
		{name: "why it does not run, asleep", given: claimed + "select await_step(1, 1, 1, 's', 'sleep', '1 h'); select suspend(1, '{1}', '{1}', '{s}')",
			call: "select reason, detail from explain_job(1)", want: `(sleeping,"sleeps (""s"") until *Z (*)")`},
		{name: "what comes is told", given: parked, call: "select send_signal(1, 's', '7')", want: "(delivered)", then: "select pg_temp.log()", is: `("1:snoozed 1:signalled")`},
	})
}

func TestErrorsOfAttemptsCases(t *testing.T) {
	t.Parallel()
	verbTest(t, []verbCase{
		{name: "each failed attempt, whatever the level of events",
			given: `select set_queue('default', '{"events": "none"}'); ` + claimed + `select fail(1, '{1}', '{1}', '{oops 1}', '{0}', null, array['{"stack": "s"}']::jsonb[]);
				select count(*) from claim(2, '{default}', '{1}'); select fail(2, '{1}', '{2}', '{oops 2}', '{1 h}')`,
			call: "select attempt, type, error, stack, worker_id, run_at > now(), fingerprint = error_fingerprint('oops 9') from job_errors(1)",
			want: `(1,retried,"oops 1",s,1,,t) (2,retried,"oops 2",,2,t,t)`},
		{name: "the last one once", given: claimed + "select fail(1, '{1}', '{1}', '{oops}', null, '{false}')", call: "select attempt, type, error from job_errors(1)", want: "(1,failed,oops)"},
		{name: "why it was cancelled", given: claimed + "select give_up(1, '{1}', '{1}', '{never mind}')", call: "select attempt, type, error from job_errors(1)", want: `(1,cancelled,"never mind")`},
		{name: "an attempt that was lost", given: claimed + "update workers set heartbeat_at = '-infinity' where id = 1; select rescue()",
			call: "select attempt, type, error from job_errors(1)", want: `(1,retried,"lease lost: worker 1 stopped")`},
		{name: "none of those that do not count", given: claimed + "select snooze(1, '{1}', '{1}', '{0}'), release(1, '{2}', '{1}'), complete(1, '{3}', '{1}')", call: "select count(*) from attempt_errors", want: "(0)"},
		{name: "of very many the last 100", given: `select enqueue('a', max_attempts => 2147483647); update ready set attempt = 250, seq = nextval('jobs_id_seq');
			insert into attempt_errors (job_id, attempt, at, outcome) select 1, n, now(), 'ready' from generate_series(1, 250) n;
			select count(*) from claim(1, '{default}', '{1}'); select fail(1, '{1}', '{251}', '{oops}')`,
			call: "select min(attempt), max(attempt), count(*) from job_errors(1)", want: "(152,251,100)"},
		{name: "a job that may be tried for ever", given: `select enqueue('a', max_attempts => 2147483647); update ready set attempt = 2147483000, seq = nextval('jobs_id_seq');
			select count(*) from claim(1, '{default}', '{1}')`, call: "select * from fail(1, '{1}', '{2147483001}', '{oops}', '{0}')", want: "(1,ready)"},
		{name: "none", call: "select * from job_errors(99)", want: ""},
	})
}

func TestBackoffOfTablesAndKindsCases(t *testing.T) {
	t.Parallel()
	delay := func(policy, attempt string) string { return "select backoff_delay('" + policy + "', " + attempt + ")" }
	problem := func(policy string) string { return "select backoff_problem('" + policy + "')" }
	const in = "select round(extract(epoch from run_at - clock_timestamp())) as seconds from scheduled"
	verbTest(t, []verbCase{
		{name: "polynomial", call: delay(`{"type": "polynomial", "base": 2}`, "5"), want: "(00:00:50)"},
		{name: "polynomial with an exponent", call: delay(`{"type": "polynomial", "base": 1, "exponent": 4}`, "3"), want: "(00:01:21)"},
		{name: "polynomial without end", call: delay(`{"type": "polynomial", "base": 31536000, "exponent": 10}`, "2147483647"), want: "(8760:00:00)"},
		{name: "a cap", call: delay(`{"type": "polynomial", "base": 2, "cap": 7}`, "5"), want: "(00:00:07)"},
		{name: "a table", call: "select " + `backoff_delay(p, 1), backoff_delay(p, 2), backoff_delay(p, 3), backoff_delay(p, 99) from (select '{"type": "table", "delays": [1, 30, 0.5]}'::jsonb p) q`,
			want: "(00:00:01,00:00:30,00:00:00.5,00:00:00.5)"},
		{name: "a table without delays", call: problem(`{"type": "table"}`), want: `("must have delays, an array of seconds")`},
		{name: "a table with a base only", call: problem(`{"type": "table", "base": 1}`), want: `("must have delays, an array of seconds")`},
		{name: "a table of nothing", call: problem(`{"type": "table", "delays": []}`), want: `("must have 1 to 100 delays")`},
		{name: "a table of words", call: problem(`{"type": "table", "delays": ["1"]}`), want: `("must have numbers as delays")`},
		{name: "a negative delay", call: problem(`{"type": "table", "delays": [1, -1]}`), want: `("must have delays of 0 to 31536000 seconds")`},
		{name: "delays of something else", call: problem(`{"type": "linear", "base": 1, "delays": [1]}`), want: `("must have delays only as a table")`},
		{name: "an exponent beyond measure", call: problem(`{"type": "polynomial", "base": 1, "exponent": 11}`), want: `("must have an exponent of 0 to 10")`},
		{name: "a type that is none", call: problem(`{"type": "sine", "base": 1}`), want: `("must have a type: constant, linear, polynomial, exponential or table")`},
		{name: "nothing wrong", call: problem(`{"type": "table", "delays": [1, 2], "jitter": 0.5, "cap": 9}`), want: "()"},
		{name: "the kind wins over the queue", given: `select set_queue('default', '{"backoff": {"type": "constant", "base": 100}}'), set_kind('a', '{"backoff": {"type": "constant", "base": 200}}'); ` + claimed,
			call: "select * from fail(1, '{1}', '{1}', '{oops}')", want: "(1,scheduled)", then: in, is: "(200)"},
		{name: "the job wins over the kind", given: `select set_kind('a', '{"backoff": {"type": "constant", "base": 200}}'), enqueue('a', backoff => '{"type": "constant", "base": 300}'); select count(*) from claim(1, '{default}', '{1}')`,
			call: "select * from fail(1, '{1}', '{1}', '{oops}')", want: "(1,scheduled)", then: in, is: "(300)"},
		{name: "a kind that is reset", given: `select set_kind('a', '{"backoff": {"type": "constant", "base": 200}}')`, call: `select set_kind('a', '{"backoff": null}')`, want: `("")`,
			then: "select name, backoff from kinds", is: "(a,)"},
		{name: "a kind without a name", call: `select set_kind('', '{}')`, want: "PQ001 kind must have 1 to 128 characters"},
		{name: "a kind with what is none of its settings", call: `select set_kind('a', '{"timeout": 1}')`, want: "PQ001 timeout is not a setting of a kind"},
		{name: "a kind with a backoff that is none", call: `select set_kind('a', '{"backoff": 1}')`, want: "PQ001 backoff must be a JSON object"},
		{name: "a kind with no object", call: `select set_kind('a', '[]')`, want: "PQ001 settings must be a JSON object"},
	})
}
