package integration

import (
	"context"
	"testing"

	"github.com/pgq-go/queue/pgq"
)

// stream keeps at least so many jobs of the soonest priority ready, until it is stopped: workers never come to the end of them.
func (s *system) stream(backlog int64) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if s.number("select coalesce(sum(size), 0) from pgq.ready where priority = 0") < backlog {
				s.enqueue(int(backlog), "note", pgq.Options{Priority: pgq.Prio(0)})
			}
		}
	}()
	return func() { cancel(); <-done }
}

// More work of the soonest priority than workers can do must not keep jobs of the last one from running, nor from running again when their worker was killed.
func TestJobsThatAgeRunBesideAStreamOfSoonerOnes(t *testing.T) {
	t.Parallel()
	const late, every = 20, "20 ms"
	s := newSystem(t)
	s.exec("select pgq.set_queue('default', age_every => $1::text::interval)", every)
	stop := s.stream(3000)
	defer stop()
	victim := s.worker(s.url, late, lease)
	s.becomes(1, "select least(count(*), 1) from pgq.results")
	s.enqueue(late, "hold once", pgq.Options{Priority: pgq.Prio(9)})
	s.becomes(late, "select count(*) from effects where what = 'holds'") // so they were claimed, and take all its slots
	others := []*process{s.worker(s.url, 2, lease), s.worker(s.url, 2, lease), s.worker(s.url, 2, lease)}
	s.becomes(4, registered)
	victim.kill()
	s.enqueue(late, "note", pgq.Options{Priority: pgq.Prio(9)})
	s.becomes(2*late, "select count(*) from pgq.results r join pgq.jobs j on j.id = r.job_id where j.priority = 9 and r.state = 'completed'")
	stop()
	s.is(late, "jobs that ran again", "select count(*) from effects where what = 'ran again'")
	for _, p := range others {
		p.ends()
	}
}
