package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pgq-go/queue/pgq"
)

// outcome compares what a verb of the operators said of one job.
func outcome(verb string, j *modelJob, want string, outcomes []pgq.Outcome, err error) (string, error) {
	if err == nil && (len(outcomes) != 1 || outcomes[0].JobID != j.id || outcomes[0].Outcome != want) {
		err = fmt.Errorf("outcomes %v, want %q", outcomes, want)
	}
	return fmt.Sprintf("%s %d", verb, j.id), err
}

func (m *model) cancel() (string, error) {
	j := m.pick(pgq.Ready, pgq.Scheduled, pgq.Running)
	outcomes, err := m.q.Cancel(m.ctx, m.pool, "", j.id)
	want := "finished"
	switch j.state {
	case "not_found":
		want = "not_found"
	case pgq.Running:
		want, j.cancelRequested = "requested", true
	case pgq.Ready, pgq.Scheduled:
		want = "cancelled"
		m.put(j, pgq.Cancelled)
	}
	return outcome("cancel", j, want, outcomes, err)
}

func (m *model) retry() (string, error) {
	j := m.pick(pgq.Scheduled, pgq.Completed, pgq.Failed, pgq.Cancelled)
	outcomes, err := m.q.Retry(m.ctx, m.pool, j.id)
	want := string(j.state)
	if j.state.Finished() {
		j.max = max(j.max, j.attempt+1)
	}
	if j.state.Finished() || j.state == pgq.Scheduled {
		want = "ready"
		m.put(j, pgq.Ready)
	}
	return outcome("retry", j, want, outcomes, err)
}

func (m *model) reschedule() (string, error) {
	j, at, state := m.pick(pgq.Ready, pgq.Scheduled), time.Now().Add(time.Hour), pgq.Scheduled
	if m.draw(2) == 0 {
		at, state = time.Now().Add(-time.Hour), pgq.Ready
	}
	outcomes, err := m.q.Reschedule(m.ctx, m.pool, at, j.id)
	want := string(j.state)
	switch {
	case j.state.Finished():
		want = "finished"
	case j.state == pgq.Ready || j.state == pgq.Scheduled:
		want = string(state)
		m.put(j, state)
	}
	return outcome("reschedule", j, want, outcomes, err)
}

func (m *model) delete() (string, error) {
	j := m.pick(pgq.Ready, pgq.Scheduled, pgq.Completed, pgq.Failed)
	outcomes, err := m.q.Delete(m.ctx, m.pool, j.id)
	want := "deleted"
	if j.state == pgq.Running || j.state == "not_found" {
		want = string(j.state)
	} else {
		delete(m.jobs, j.id)
	}
	return outcome("delete", j, want, outcomes, err)
}

func (m *model) promote() (string, error) {
	_, err := m.pool.Exec(m.ctx, "update pgq.scheduled set run_at = 'yesterday'; select pgq.promote()")
	for _, id := range m.ids(func(j *modelJob) bool { return j.state == pgq.Scheduled }) {
		m.put(m.jobs[id], pgq.Ready)
	}
	return "promote", err
}

func (m *model) rescue() (string, error) {
	w := m.draw(len(m.workers))
	_, err := m.pool.Exec(m.ctx, "update pgq.workers set heartbeat_at = 'yesterday' where id = $1", m.workers[w])
	if err == nil {
		_, err = m.pool.Exec(m.ctx, "select pgq.rescue()")
	}
	for _, id := range m.ids(func(j *modelJob) bool { return j.state == pgq.Running && j.worker == w }) {
		m.ended(m.jobs[id], true, false, pgq.Ready)
	}
	if err == nil {
		err = m.register(w)
	}
	return fmt.Sprintf("rescue of worker %d", w), err
}

func (m *model) disown() (string, error) {
	w := m.draw(len(m.workers))
	var held, strays []int64
	for _, id := range m.ids(func(j *modelJob) bool { return j.state == pgq.Running && j.worker == w }) {
		if m.draw(2) == 0 {
			held = append(held, id)
		} else {
			strays = append(strays, id)
		}
	}
	outcomes, err := m.q.Disown(m.ctx, m.pool, m.workers[w], held)
	for _, id := range strays {
		m.ended(m.jobs[id], false, false, pgq.Ready)
	}
	if err == nil && len(outcomes) != len(strays) {
		err = fmt.Errorf("outcomes %v, want those of %v", outcomes, strays)
	}
	return fmt.Sprintf("disown all of worker %d but %v", w, held), err
}

// compare returns how the database differs from the model.
func (m *model) compare() error {
	rows, err := m.pool.Query(m.ctx, "select id, state, attempt, worker_id, cancel_requested_at is not null from pgq.job_states")
	if err != nil {
		return err
	}
	defer rows.Close()
	seen := 0
	for rows.Next() {
		var got modelJob
		var worker *int64
		if err := rows.Scan(&got.id, &got.state, &got.attempt, &worker, &got.cancelRequested); err != nil {
			return err
		}
		seen++
		j := m.jobs[got.id]
		switch {
		case j == nil:
			return fmt.Errorf("job %d is there", got.id)
		case j.state != got.state || j.attempt != got.attempt || j.cancelRequested != got.cancelRequested:
			return fmt.Errorf("job %d is %+v, want %+v", got.id, got, *j)
		case j.state == pgq.Running && (worker == nil || *worker != m.workers[j.worker]):
			return fmt.Errorf("job %d runs at worker %v, want %d", got.id, deref(worker), m.workers[j.worker])
		}
	}
	if seen != len(m.jobs) {
		return fmt.Errorf("there are %d jobs, want %d", seen, len(m.jobs))
	}
	return rows.Err()
}

func TestTheVerbsDoWhatTheModelSays(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	rapid.Check(t, func(rt *rapid.T) {
		m, err := newModel(context.Background(), s.pool, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "n") })
		if err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			did, err := m.step()
			rt.Log(did)
			if err != nil {
				rt.Fatal(did, ": ", err)
			}
		}
		violations, err := s.q.Check(context.Background(), s.pool)
		if err != nil || len(violations) > 0 {
			rt.Fatal("check: ", violations, err)
		}
	})
}

// mutants are the product, broken on purpose: a function, what is replaced in it, and by what.
var mutants = map[string]struct{ function, old, new string }{
	"complete does not look at the worker":      {"complete", "and r.worker_id = complete.worker_id", ""},
	"complete does not look at the attempt":     {"complete", "and r.attempt = asked.attempts[width_bucket(r.job_id, asked.ids)]", ""},
	"end_attempts does not look at the worker":  {"end_attempts", "and r.worker_id = end_attempts.worker_id", ""},
	"end_attempts does not look at the attempt": {"end_attempts", "and r.attempt = numbers[width_bucket(r.job_id, ids)]", ""},
	"attempts have no end":                      {"end_attempts", "e.attempt >= coalesce", "e.attempt > 1000 + coalesce"},
}

func TestTheModelCatchesMutants(t *testing.T) {
	t.Parallel()
	for name, mutant := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.mutate(mutant.function, mutant.old, mutant.new)
			random := rand.New(rand.NewPCG(1, 2))
			for range 50 {
				m, err := newModel(context.Background(), s.pool, random.IntN)
				if err != nil {
					t.Fatal(err)
				}
				for range 60 {
					if did, err := m.step(); err != nil {
						t.Logf("caught: %s: %v", did, err)
						return
					}
				}
			}
			t.Error("3,000 steps did not catch it")
		})
	}
}

func TestTheInterleavingsCatchADeadlock(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	mutate(t, r.control, "claim", "pg_try_advisory_xact_lock_shared(advisory_key('worker/' || claim.worker_id))",
		"(select true from (select pg_advisory_xact_lock_shared(advisory_key('worker/' || claim.worker_id))) l)")
	mutate(t, r.control, "rescue_worker", "for update skip locked", "for update") // either alone is enough
	var reports []string
	r.report = func(format string, args ...any) { reports = append(reports, fmt.Sprintf(format, args...)) }
	named := map[string]verb{}
	for _, v := range verbs {
		named[v.name] = v
	}
	for _, schedule := range schedules(3, 4) {
		r.run(named["rescue"], named["complete and claim"], "running", schedule)
	}
	if !strings.Contains(strings.Join(reports, "\n"), "40P01") {
		t.Errorf("no deadlock was reported: %q", reports)
	}
}
