package pgq_test

import (
	"context"
	"slices"
	"testing"
	"time"
)

func TestVerbsForOneJobCases(t *testing.T) {
	t.Parallel()
	const in = "select job_id, attempt, extract(epoch from run_at - clock_timestamp())::int from scheduled"
	var fenced []verbCase
	for verb, rest := range map[string]string{
		"complete_job": "", "fail_job": ", 'oops'", "snooze_job": ", '1 h'", "release_job": "", "give_up_job": "",
	} {
		for name, held := range map[string]string{"of another worker": "2, 1, 1", "of another attempt": "1, 1, 2", "of a job that is not there": "1, 99, 1"} {
			fenced = append(fenced, verbCase{name: verb + " " + name, given: claimed, call: "select " + verb + "(" + held + rest + ")", want: "()",
				then: "select pg_temp.places()", is: `("1:running/1 2:running/1 3:running/1 4:running/1")`})
		}
	}
	verbTest(t, append(fenced, []verbCase{
		{name: "claim one", given: "select enqueue('a'), enqueue('b')", call: "select job_id, kind, attempt from claim_jobs(1, 'default')", want: "(1,a,1)"},
		{name: "claim some of some kinds", given: "select enqueue(k) from unnest('{a,b,a,a}'::text[]) k",
			call: "select job_id from claim_jobs(1, queue_name => 'default', at_most => 2, kinds => '{a}')", want: "(1) (3)"},
		{name: "claim of a queue that nobody knows", call: "select job_id from claim_jobs(1, 'it''s')", want: ""},
		{name: "claim by a worker that is not there", call: "select job_id from claim_jobs(9, 'default')", want: "PQ005 worker 9 is not registered or was declared dead"},
		{name: "all that was asked", given: `select enqueue('k', '{"a": [12345678901234567890123]}', tags => '{t}', metadata => '{"m": 1}', priority => 3)`,
			call: "select tags, metadata, args, max_attempts, timeout, dag_id from claim_jobs(1, 'default')",
			want: `({t},"{""m"": 1}","{""a"": [12345678901234567890123]}",25,,)`},
		{name: "complete", given: claimed, call: `select complete_job(1, 2, 1, '{"a": 1}')`, want: "(completed)",
			then: "select job_id, state, output from results", is: `(2,completed,"{""a"": 1}")`},
		{name: "complete without result", given: claimed, call: `select complete_job(1, 2, 1)`, want: "(completed)", then: "select output from results", is: `()`},
		{name: "fail with the backoff", given: claimed, call: `select fail_job(1, 1, 1, 'oops')`, want: "(scheduled)"},
		{name: "fail with a delay", given: claimed, call: `select fail_job(1, 1, 1, 'oops', delay => '1 h')`, want: "(scheduled)", then: in, is: "(1,1,3600)"},
		{name: "fail at once again", given: claimed, call: `select fail_job(1, 1, 1, 'oops', '0')`, want: "(ready)"},
		{name: "fail for good", given: claimed, call: `select fail_job(1, 1, 1, 'oops', retryable => false)`, want: "(failed)", then: "select error from results", is: "(oops)"},
		{name: "fail when cancellation was asked for", given: claimed + "select cancel('{1}')", call: `select fail_job(1, 1, 1, 'oops')`, want: "(cancelled)"},
		{name: "snooze", given: claimed, call: `select snooze_job(1, 1, 1, '1 h')`, want: "(scheduled)", then: in, is: "(1,0,3600)"},
		{name: "snooze without delay", given: claimed, call: `select snooze_job(1, 1, 1, null)`, want: "PQ001 delay must be 0 to 100 years"},
		{name: "release", given: claimed, call: `select release_job(1, 1, 1)`, want: "(ready)", then: "select attempt from ready", is: "(0)"},
		{name: "give up", given: claimed, call: `select give_up_job(1, 1, 1, 'not needed')`, want: "(cancelled)", then: "select state, error from results", is: `(cancelled,"not needed")`},
		{name: "log", given: claimed + "select log_job(1, 1, 'one'), log_job(1, 1, 'two', 'WARN')", call: `select level, message from logs order by id`, want: "(INFO,one) (WARN,two)"},
		{name: "log of many characters", given: claimed + "select log_job(1, 1, repeat('ü', 20001))", call: `select length(message) from logs`, want: "(20000)"},
		{name: "log without a level", given: claimed, call: "select log_job(1, 1, 'm', null)", want: "PQ001 level must have 1 to 40 characters"},
		{name: "log of an empty level", given: claimed, call: "select log_job(1, 1, 'm', '')", want: "PQ001 level must have 1 to 40 characters"},
		{name: "log of a long level", given: claimed, call: "select log_job(1, 1, 'm', repeat('x', 41))", want: "PQ001 level must have 1 to 40 characters"},
		{name: "log without a message", given: claimed, call: "select log_job(1, 1, null)", want: "PQ001 message must not be null"},
		{name: "log without an attempt", given: claimed, call: "select log_job(1, null, 'm')", want: "PQ001 attempt must be at least 0"},
		{name: "log of null", given: claimed, call: "select log_job(null, 1, 'm')", want: "PQ001 job_id must not be null"},
		{name: "logs, one with a null", given: claimed, call: "select add_logs('{1,1}', '{1,1}', array[now(), now()], '{INFO,null}', '{a,b}', null)", want: "PQ001 levels[1] must have 1 to 40 characters"},
		{name: "logs, too few times", given: claimed, call: "select add_logs('{1,1}', '{1,1}', array[now()], '{INFO,INFO}', '{a,b}', '{}')", want: "PQ001 times[1] must not be null"},
		{name: "logs without messages", given: claimed, call: "select add_logs('{1}', '{1}', array[now()], '{INFO}', null, null)", want: "PQ001 messages[0] must not be null"},
		{name: "no logs", given: claimed, call: "select add_logs('{}', '{}', '{}', '{}', '{}', '{}')", want: `("")`},
		{name: "log of a job that is not there", given: claimed + "select log_job(99, 1, 'one')", call: `select level, message from logs`, want: ""},
		{name: "log in the order in which lines come", given: claimed + `select add_logs(array_agg(1 + (3 - i % 3)), array_agg(1), array_agg(now() - i * interval '1 s'),
				array_agg('INFO'::text), array_agg(i::text), array_agg(null::jsonb)) from generate_series(1, 6) i`,
			call: "select message from logs order by id", want: "(1) (2) (3) (4) (5) (6)"},
	}...))
}

func TestASessionThatFellAsleepIsWoken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sleeper, other := w.session(), w.session()
	// notifications returns what was sent to the sleeper. What commits before a notice of ours arrives before it.
	notifications := func() (payloads []string) {
		t.Helper()
		_, err := other.Exec(t.Context(), "select pg_notify(channel(), 'that is all')")
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for {
			n, err := sleeper.WaitForNotification(ctx)
			must(t, err)
			if n.Payload == "that is all" {
				return payloads
			}
			payloads = append(payloads, n.Payload)
		}
	}
	enqueue := func(queue string) {
		t.Helper()
		_, err := other.Exec(t.Context(), "select enqueue('a', queue => $1)", queue)
		must(t, err)
	}
	_, err := sleeper.Exec(t.Context(), "select fall_asleep($1)", []string{"mail", "it's; a \"queue\""})
	must(t, err)
	enqueue("mail")
	enqueue("elsewhere")
	enqueue("it's; a \"queue\"")
	if got, want := notifications(), []string{"wake mail", "wake it's; a \"queue\""}; !slices.Equal(got, want) {
		t.Errorf("asleep: notified of %q, want %q", got, want)
	}
	_, err = sleeper.Exec(t.Context(), "select wake_up($1)", []string{"mail", "it's; a \"queue\""})
	must(t, err)
	enqueue("mail")
	if got := notifications(); len(got) != 0 {
		t.Errorf("awake: notified of %q", got)
	}
	if n := one[int](t, w.pool, "select count(*)::int from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}
