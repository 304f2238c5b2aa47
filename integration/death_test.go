package integration

import (
	"syscall"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// lease of workers that are killed. With it goes the interval of the chores, 2 s for rescues.
const lease = 2 * time.Second

func TestJobsOfAKilledWorkerRunAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const jobs = 200
	victim := s.worker(s.url, jobs, 3*lease)
	s.enqueue(jobs, "hold once", pgq.Options{MaxAttempts: 3})
	s.becomes(jobs, "select count(*) from effects where what = 'holds'")
	heir := s.worker(s.url, 50, lease)
	s.becomes(2, registered)
	victim.kill()
	killed := time.Now()
	s.becomes(jobs, completed)
	t.Logf("all jobs of the killed worker were completed after %s", time.Since(killed))

	s.is(0, "leases", leased)
	s.is(jobs, "first attempts, all of the victim", "select count(distinct job_id) from effects where attempt = 1 and pid = $1", victim.pid())
	s.is(jobs, "second attempts, all of the heir", "select count(distinct job_id) from effects where attempt = 2 and pid = $1", heir.pid())
	s.is(2*jobs, "executions", "select count(*) from effects where what <> 'ran'")
	s.is(jobs, "jobs completed by the second attempt", completed+" and attempt = 2")
	s.becomes(1, registered)
	heir.ends()
	s.is(0, "registered workers", registered)
}

func TestAWorkerThatWasStoppedPastItsLeaseIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const jobs = 40
	zombie := s.worker(s.url, 2*jobs, lease)
	s.enqueue(jobs, "ignore once", pgq.Options{})
	s.enqueue(jobs, "hold once", pgq.Options{})
	s.becomes(2*jobs, "select count(*) from effects where what = 'holds'")
	heir := s.worker(s.url, 10, lease)
	s.becomes(2, registered)
	zombie.signal(syscall.SIGSTOP)
	s.becomes(2*jobs, completed) // by the heir
	zombie.signal(syscall.SIGCONT)
	s.becomes(2*jobs, "select count(*) from effects where pid = $1 and what = $2", zombie.pid(), pgq.ErrLeaseLost.Error())
	eventually(t, "the zombie's completions are refused", func() bool { return zombie.logged("lease was lost: what the handler did was refused") })
	s.becomes(2, "select count(*) from pgq.workers where dead_at is null") // it has registered anew
	heir.ends()
	s.enqueue(jobs, "note", pgq.Options{})
	s.becomes(3*jobs, completed) // by the zombie, which is well again

	s.is(2*jobs, "jobs completed by the second attempt", completed+" and attempt = 2")
	s.is(0, "second attempts of the zombie", "select count(*) from effects where attempt = 2 and pid = $1", zombie.pid())
	zombie.ends()
	s.is(0, "leases", leased)
}

func TestTwentyProcessesClaimOneQueueAndEachJobRunsOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const processes, jobs = 20, 20_000
	s.exec("create table started (at bigint)")
	var all []*process
	if err := s.q.PauseQueue(t.Context(), s.pool, "default", "until all are there"); err != nil {
		t.Fatal(err)
	}
	s.enqueue(jobs/2, "note", pgq.Options{})
	for range processes {
		all = append(all, s.worker(s.url, 20, 30*time.Second))
	}
	s.becomes(processes, registered)
	if err := s.q.ResumeQueue(t.Context(), s.pool, "default"); err != nil {
		t.Fatal(err)
	}
	s.enqueue(jobs/2, "note", pgq.Options{})
	s.becomes(jobs, completed)
	s.is(jobs, "executions", "select count(*) from effects")
	s.is(jobs, "jobs that were run", "select count(distinct job_id) from effects where attempt = 1")
	t.Logf("%d of %d processes took part", s.number("select count(distinct pid) from effects"), processes)
	if n := s.number("select count(distinct pid) from effects"); n < processes/2 {
		t.Errorf("only %d of %d processes took part", n, processes)
	}
	for _, p := range all {
		p.terminate()
	}
	for _, p := range all {
		p.ends()
	}
	s.is(0, "registered workers", registered)
}
