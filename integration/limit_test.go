package integration

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// A claim that breaks the limit fails: whoever deals sees what others have dealt, and so does this trigger.
const guardLimit = `
	create function pg_temp_limit_guard() returns trigger language plpgsql as $$
	begin
		if exists (
			select from pgq.running r join pgq.jobs j on j.id = r.job_id
			where j.group_name is not null group by j.group_name having count(*) > 2) then
			raise exception 'the limit is broken';
		end if;
		return null;
	end $$;
	create trigger guard after insert on pgq.running for each statement execute function pg_temp_limit_guard()`

func TestLimitsHoldWhileWorkersAreKilled(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec(guardLimit)
	s.exec("select pgq.set_limit('group', '*', max_running => 2)")
	const groups, each = 4, 60
	victim := s.worker(s.url, 20, lease)
	for g := range groups {
		s.enqueue(2, "hold once", pgq.Options{Group: fmt.Sprint("g", g), Priority: pgq.Prio(0)})
		s.enqueue(each, "note", pgq.Options{Group: fmt.Sprint("g", g)})
	}
	s.becomes(2*groups, "select count(*) from effects where what = 'holds'") // all slots are taken
	others := []*process{s.worker(s.url, 20, lease), s.worker(s.url, 20, lease)}
	s.becomes(3, registered)
	s.is(0, "jobs that ran beside those that hold all slots", "select count(*) from effects where what = 'ran'")
	victim.kill()
	s.becomes(groups*(each+2), "select count(*) from pgq.results where state = 'completed'")
	s.is(groups*each, "jobs that ran once", "select count(distinct job_id) from effects where what = 'ran'")
	for _, p := range others {
		p.terminate()
		p.ends()
		if p.logged("the limit is broken") {
			t.Error("the limit was broken")
		}
	}
}

// While a worker that is stopped holds the slots, a backlog of its group must not slow another queue's jobs down, nor be touched.
func TestABacklogWaitsForAStoppedWorker(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec(guardLimit)
	s.exec("select pgq.set_limit('group', 'g', max_running => 1)")
	stopped := s.worker(s.url, 5, lease)
	s.enqueue(1, "hold once", pgq.Options{Group: "g"})
	s.becomes(1, "select count(*) from effects where what = 'holds'")
	stopped.signal(syscall.SIGSTOP)
	s.enqueue(20, "note", pgq.Options{Group: "g"})
	began := time.Now()
	other := s.worker(s.url, 5, lease)
	s.becomes(21, "select count(*) from pgq.results where state = 'completed'")
	if took := time.Since(began); took < lease/2 {
		t.Errorf("the slot of a worker with a lease of %s was given away after %s", lease, took)
	}
	stopped.signal(syscall.SIGCONT)
	other.terminate()
	other.ends()
	stopped.terminate()
	stopped.ends()
}

// Many groups of one slot each, which are parked and come back in line all the time, while workers die and limits change: what stays parked for
// want of a word would not be run for minutes.
func TestNoGroupIsForgottenWhileWorkersAreKilledAndLimitsChange(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec(guardLimit)
	s.exec("select pgq.set_limit('group', '*', max_running => 1)")
	const groups, rounds = 150, 6
	victim := s.worker(s.url, 20, lease)
	others := []*process{s.worker(s.url, 20, lease), s.worker(s.url, 20, lease)}
	s.becomes(3, registered)
	for round := range rounds {
		items := make([]pgq.Item, groups)
		for g := range items {
			what := "note"
			if round == rounds/2 && g%10 == 0 {
				what = "hold once"
			}
			items[g] = pgq.Item{Args: errand{What: what}, Options: pgq.Options{Group: fmt.Sprintf("g%d/%d", round%2, g)}}
		}
		if _, err := s.q.EnqueueMany(t.Context(), s.pool, items); err != nil {
			t.Fatal(err)
		}
		switch round {
		case 1:
			s.exec("select pgq.set_limit('group', 'g1/*', max_running => 2)")
		case 2:
			s.exec("select pgq.pause_limit('group', 'g0/' || g, '50 ms') from generate_series(1, 150) g")
		case rounds / 2:
			s.becomes(groups/10, "select count(*) from effects where what = 'holds'")
			s.exec("select pgq.delete_limit('group', 'g1/*')")
			victim.kill()
			for _, p := range others { // those that hold, too: their jobs run again
				p.kill()
			}
			others = []*process{s.worker(s.url, 20, lease), s.worker(s.url, 20, lease)}
		}
	}
	s.becomes(groups*rounds, completed)
	s.is(0, "slots", "select count(*) from pgq.slots")
	for _, p := range others {
		p.ends()
		if p.logged("the limit is broken") {
			t.Error("the limit was broken")
		}
	}
}

// A bucket of tokens is one for all workers, also when one of them dies with jobs that it has started.
func TestARateHoldsOverAllWorkersWhileOneIsKilled(t *testing.T) {
	t.Parallel()
	const jobs, held, rate, burst = 60, 3, 40, 5
	s := newSystem(t)
	s.exec("select pgq.set_limit('kind', 'errand', rate => $1, period => '1 s', burst => $2), pgq.set_queue('default', events => 'all')", rate, burst)
	victim := s.worker(s.url, held, lease)
	s.becomes(1, registered)
	s.enqueue(held, "hold once", pgq.Options{Priority: pgq.Prio(0)})
	s.becomes(held, "select count(*) from effects where what = 'holds'")
	others := []*process{s.worker(s.url, 20, lease), s.worker(s.url, 20, lease)}
	s.becomes(3, registered)
	s.enqueue(jobs, "note", pgq.Options{})
	victim.kill()
	s.becomes(jobs+held, completed)
	s.is(jobs+2*held, "starts", "select count(*) from pgq.events where type = 'claimed'")
	// Between any two starts there are no more than the rate allows in that time, beside the burst. An event says for what time the tokens were taken.
	s.is(0, "times that were too short for what was started in them", `with starts as (
			select at, row_number() over (order by at, id) as n from pgq.events where type = 'claimed')
		select count(*) from starts a join starts b on b.n > a.n
		where b.n - a.n + 1 > $2 + 0.001 + $1 * extract(epoch from b.at - a.at)`, rate, burst)
	for _, p := range others {
		p.ends()
	}
}
