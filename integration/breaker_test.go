package integration

import (
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// A claim that gives a half-open circuit breaker a second probe fails: what was claimed since it opened are probes.
const guardProbe = `
	create function pg_temp_probe_guard() returns trigger language plpgsql as $$
	begin
		if exists (
			select from pgq.gates g
			where g.opened_at is not null and (select count(*) from pgq.running r where r.claimed_at > g.opened_at) > 1) then
			raise exception 'two probes';
		end if;
		return null;
	end $$;
	create trigger guard after insert on pgq.running for each statement execute function pg_temp_probe_guard()`

const opened = "select count(*) from pgq.events where type = 'breaker_opened'"

func TestACircuitBreakerHoldsOverAllWorkers(t *testing.T) {
	t.Parallel()
	const jobs, each = 200, 10
	s := newSystem(t)
	s.exec(guardProbe)
	s.exec("select pgq.set_limit('kind', 'errand', break_after => 5, break_for => '200 ms')")
	workers := []*process{s.worker(s.url, each, lease), s.worker(s.url, each, lease), s.worker(s.url, each, lease)}
	s.becomes(3, registered)
	s.enqueue(jobs, "call", pgq.Options{MaxAttempts: pgq.Unlimited, Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: 50 * time.Millisecond}})
	eventually(t, "several probes have failed", func() bool { return s.number(opened) >= 4 })
	// What ran when it opened failed as well, beside the failures that it takes and its probes.
	if refused := s.number("select count(*) from effects where what = 'refused'"); refused > 5+3*3*each+s.number(opened)+1 {
		t.Errorf("%d calls of a service that is down", refused)
	}
	s.exec("insert into effects values (0, 0, 0, 'up')")
	s.becomes(jobs, completed)
	s.is(1, "times it was closed", "select count(*) from pgq.events where type = 'breaker_closed'")
	for _, p := range workers {
		p.terminate()
		p.ends()
		if p.logged("two probes") {
			t.Error("two probes ran at a time")
		}
	}
}

func TestAnotherProbeFollowsOneWhoseWorkerIsKilled(t *testing.T) {
	t.Parallel()
	const jobs = 20
	s := newSystem(t)
	s.exec(guardProbe)
	s.exec("select pgq.set_limit('queue', 'default', break_after => 1, break_for => '10 ms')")
	victim := s.worker(s.url, 5, lease)
	s.enqueue(1, "call", pgq.Options{MaxAttempts: 1})
	eventually(t, "the breaker is open", func() bool { return s.number(opened) == 1 })
	s.enqueue(1, "hold once", pgq.Options{})
	s.becomes(1, "select count(*) from effects where what = 'holds'")
	s.enqueue(jobs, "note", pgq.Options{})
	other := s.worker(s.url, 5, lease)
	s.becomes(2, registered)
	s.is(1, "probes", "select count(*) from pgq.gates g join pgq.running r on r.job_id = g.probe_id")
	s.is(0, "jobs that ran beside the probe", "select count(*) from effects where what = 'ran'")
	victim.kill()
	s.becomes(jobs+1, completed)
	s.is(1, "times it opened", opened)
	other.terminate()
	other.ends()
	if other.logged("two probes") {
		t.Error("two probes ran at a time")
	}
}
