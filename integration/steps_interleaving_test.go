package integration

import (
	"context"
	"slices"
	"sync"
	"testing"
)

// stepVerbs are those that touch what handlers keep; states in which they can act: running with an open step, and put off.
var stepVerbs = []verb{
	{"send signal", []string{"select (pgq.send_signal($1, 's', '1') = any('{kept,delivered}'))::int" + noop}, []string{"awaiting", "parked"}, false},
	{"suspend", []string{"select count(*) from pgq.suspend(" + fenced + ", array['s'])"}, []string{"awaiting"}, true},
	{"await step", []string{"select (outcome = 'open')::int from pgq.await_step($2, $1, 1, 's', 'signal', '1 hour')"}, []string{"awaiting"}, false},
	{"record step", []string{"select (pgq.record_step($2, $1, 1, 'other', '1') = 'recorded')::int"}, []string{"awaiting"}, false},
	{"save cursor", []string{"select pgq.save_cursor($2, $1, 1, 'cursor', '1')::int"}, []string{"awaiting"}, false},
	{"forget steps", []string{"select count(*) from pgq.forget_steps(array[$1::bigint])" + noop + " and outcome = 'forgotten'"}, []string{"parked"}, false},
}

// meetSteps are the verbs with which those are interleaved.
var meetSteps = []string{"claim", "complete", "fail", "snooze", "rescue", "cancel", "retry", "reschedule", "delete", "promote"}

// lostWakeUps counts jobs that are put off for long although the signal that they wait for is there.
const lostWakeUps = `select count(*) from scheduled c join steps s on s.job_id = c.job_id
	where s.type = 'signal' and s.done_at is not null and s.attempt > c.attempt and c.run_at > now() + interval '10 s'`

func TestAllInterleavingsOfStepsKeepEveryInvariantAndLoseNoSignal(t *testing.T) {
	t.Parallel()
	type meeting struct {
		a, b  verb
		state string
	}
	others := slices.Clone(stepVerbs)
	for _, v := range verbs {
		if slices.Contains(meetSteps, v.name) {
			others = append(others, v)
		}
	}
	var meetings []meeting
	for i, a := range stepVerbs {
		for _, b := range others[i:] {
			for _, state := range a.acts {
				meetings = append(meetings, meeting{a, b, state})
			}
		}
	}
	work := make(chan meeting, len(meetings))
	for _, m := range meetings {
		work <- m
	}
	close(work)
	var count int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		r := newRunner(t)
		all.Go(func() {
			for m := range work {
				a, b := len(m.a.statements), len(m.b.statements)
				for _, schedule := range append(orders(a, b), serial(a, b)...) {
					r.run(m.a, m.b, m.state, schedule)
					var lost int
					err := r.control.QueryRow(context.Background(), lostWakeUps).Scan(&lost)
					// To snooze and to be rescheduled are decisions of others.
					if err != nil || lost > 0 && m.b.name != "snooze" && m.b.name != "reschedule" {
						t.Errorf("%s (0) and %s (1) from %q in the order %v: the signal is lost, %v", m.a.name, m.b.name, m.state, schedule, err)
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			count += r.count
		})
	}
	all.Wait()
	t.Logf("%d pairs, %d schedules", len(meetings), count)
}

func TestTheInterleavingsCatchALostSignal(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	mutate(t, r.control, "suspend", "pg_try_advisory_xact_lock(advisory_key('signal/' || u.id))", "true")
	caught := 0
	for _, schedule := range orders(1, 1) {
		r.run(stepVerbs[0], stepVerbs[1], "awaiting", schedule)
		var lost int
		if err := r.control.QueryRow(context.Background(), lostWakeUps).Scan(&lost); err != nil {
			t.Fatal(err)
		}
		caught += lost
	}
	if caught == 0 {
		t.Error("no signal was lost without the lock")
	}
}
