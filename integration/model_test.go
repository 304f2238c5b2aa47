package integration

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// modelJob is what a job must look like.
type modelJob struct {
	id              int64
	state           pgq.State
	attempt, max    int
	priority        int
	seq             int // its place among those that are ready
	worker          int // index, of a running one
	cancelRequested bool
}

// model is what the database must look like after the same verbs, and the database.
type model struct {
	ctx     context.Context
	pool    *pgxpool.Pool
	q       *pgq.Client
	draw    func(n int) int // a number below n
	jobs    map[int64]*modelJob
	workers []int64
	seq     int
}

// newModel empties the database.
func newModel(ctx context.Context, pool *pgxpool.Pool, draw func(n int) int) (*model, error) {
	m := &model{ctx: ctx, pool: pool, q: pgq.New(pgq.Config{}), draw: draw, jobs: map[int64]*modelJob{}, workers: make([]int64, 3)}
	_, err := pool.Exec(ctx, "truncate pgq.jobs, pgq.ready, pgq.scheduled, pgq.running, pgq.results, pgq.expiries, pgq.attempt_errors, pgq.steps, pgq.workers, pgq.events")
	for i := range m.workers {
		if err == nil {
			err = m.register(i)
		}
	}
	return m, err
}

func (m *model) register(i int) (err error) {
	m.workers[i], err = m.q.Register(m.ctx, m.pool, pgq.Registration{Name: "w", Queues: []string{"default"}, Kinds: []string{"errand"}, Lease: time.Minute})
	return err
}

// step does one verb to both and compares them. It returns what was done, and why they differ.
func (m *model) step() (string, error) {
	verbs := []func() (string, error){
		m.enqueue, m.enqueue, m.claim, m.claim, m.claim, m.complete, m.complete, m.end, m.end, m.end,
		m.cancel, m.retry, m.reschedule, m.delete, m.promote, m.rescue, m.disown,
	}
	did, err := verbs[m.draw(len(verbs))]()
	if err != nil {
		return did, err
	}
	return did, m.compare()
}

func (m *model) nextSeq() int { m.seq++; return m.seq }

// ids returns the jobs for which keep holds, in the order of their ids.
func (m *model) ids(keep func(*modelJob) bool) []int64 {
	var ids []int64
	for id, j := range m.jobs {
		if keep(j) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// pick draws a job, mostly in one of these states; also one that is not there.
func (m *model) pick(states ...pgq.State) *modelJob {
	all := m.ids(func(j *modelJob) bool { return slices.Contains(states, j.state) })
	if len(all) == 0 || m.draw(5) == 0 {
		if all = m.ids(func(*modelJob) bool { return true }); len(all) == 0 || m.draw(20) == 0 {
			return &modelJob{id: 1 << 40, state: "not_found"}
		}
	}
	return m.jobs[all[m.draw(len(all))]]
}

// lease draws a job with a lease, and who says that he holds which attempt: mostly who does.
func (m *model) lease() (j *modelJob, worker, attempt int, held bool) {
	j = m.pick(pgq.Running)
	worker, attempt = j.worker, j.attempt
	switch m.draw(6) {
	case 0:
		worker = m.draw(len(m.workers))
	case 1:
		attempt = max(1, attempt-1+m.draw(3))
	}
	return j, worker, attempt, j.state == pgq.Running && worker == j.worker && attempt == j.attempt
}

func (m *model) put(j *modelJob, state pgq.State) {
	j.state, j.cancelRequested = state, false
	if state == pgq.Ready {
		j.seq = m.nextSeq()
	}
}

func (m *model) enqueue() (string, error) {
	o := pgq.Options{Priority: pgq.Prio(m.draw(3)), MaxAttempts: 1 + m.draw(3)}
	state := pgq.Ready
	if m.draw(4) == 0 {
		o.Delay, state = time.Hour, pgq.Scheduled
	}
	items := slices.Repeat([]pgq.Item{{Args: errand{"model"}, Options: o}}, 1+m.draw(5))
	ids, err := m.q.EnqueueMany(m.ctx, m.pool, items)
	for _, id := range ids {
		m.jobs[id] = &modelJob{id: id, max: o.MaxAttempts, priority: o.Priority.Int()}
		m.put(m.jobs[id], state)
	}
	return fmt.Sprintf("enqueue %d: %v", len(items), ids), err
}

func (m *model) claim() (string, error) {
	w, n := m.draw(len(m.workers)), 1+m.draw(4)
	want := m.ids(func(j *modelJob) bool { return j.state == pgq.Ready })
	slices.SortFunc(want, func(a, b int64) int {
		return cmp.Or(cmp.Compare(m.jobs[a].priority, m.jobs[b].priority), cmp.Compare(m.jobs[a].seq, m.jobs[b].seq))
	})
	want = want[:min(n, len(want))]
	claimed, err := m.q.Claim(m.ctx, m.pool, pgq.ClaimRequest{WorkerID: m.workers[w], Queues: []string{"default"}, Limits: []int32{int32(n)}})
	var got []int64
	for _, a := range claimed {
		got = append(got, a.ID)
	}
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("claimed %v, want %v", got, want)
	}
	for _, id := range want {
		j := m.jobs[id]
		j.attempt++
		j.worker = w
		m.put(j, pgq.Running)
	}
	return fmt.Sprintf("claim %d: %v", n, got), err
}

func (m *model) complete() (string, error) {
	j, w, attempt, held := m.lease()
	ids, err := m.q.Complete(m.ctx, m.pool, m.workers[w], []pgq.Completion{{JobID: j.id, Attempt: attempt}})
	if err == nil && (len(ids) == 1) != held {
		err = fmt.Errorf("completed %v, held: %v", ids, held)
	}
	if held {
		m.put(j, pgq.Completed)
	}
	return fmt.Sprintf("complete %d, attempt %d, worker %d", j.id, attempt, w), err
}

// ended is what becomes of a running job.
func (m *model) ended(j *modelJob, counts, permanent bool, otherwise pgq.State) pgq.State {
	state := otherwise
	switch {
	case j.cancelRequested:
		state = pgq.Cancelled
	case permanent, counts && j.attempt >= j.max:
		state = pgq.Failed
	}
	if !counts {
		j.attempt--
	}
	if state.Finished() && !counts { // the attempt that was cancelled stands
		j.attempt++
	}
	m.put(j, state)
	return state
}

func (m *model) end() (string, error) {
	j, w, attempt, held := m.lease()
	id, what := pgq.AttemptID{JobID: j.id, Attempt: attempt}, m.draw(6)
	var outcomes []pgq.Outcome
	var err error
	var want pgq.State
	hour, none := time.Hour, time.Duration(0)
	judge := func(counts, permanent bool, otherwise pgq.State) {
		if held {
			want = m.ended(j, counts, permanent, otherwise)
		}
	}
	fail := func(f pgq.Failure) { outcomes, err = m.q.Fail(m.ctx, m.pool, m.workers[w], []pgq.Failure{f}) }
	switch what {
	case 0:
		fail(pgq.Failure{JobID: j.id, Attempt: attempt, Error: "broken", Delay: &none})
		judge(true, false, pgq.Ready)
	case 1:
		fail(pgq.Failure{JobID: j.id, Attempt: attempt, Error: "broken", Delay: &hour})
		judge(true, false, pgq.Scheduled)
	case 2:
		fail(pgq.Failure{JobID: j.id, Attempt: attempt, Error: "broken", Permanent: true})
		judge(true, true, pgq.Failed)
	case 3:
		outcomes, err = m.q.Snooze(m.ctx, m.pool, m.workers[w], id, time.Hour)
		judge(false, false, pgq.Scheduled)
	case 4:
		outcomes, err = m.q.Release(m.ctx, m.pool, m.workers[w], []pgq.AttemptID{id})
		judge(false, false, pgq.Ready)
	case 5:
		outcomes, err = m.q.GiveUp(m.ctx, m.pool, m.workers[w], id, "no need")
		if held {
			want = pgq.Cancelled
			m.put(j, want)
		}
	}
	if err == nil && (len(outcomes) == 1) != held || held && err == nil && outcomes[0].Outcome != string(want) {
		err = fmt.Errorf("outcomes %v, want %q, held: %v", outcomes, want, held)
	}
	return fmt.Sprintf("end (%d) %d, attempt %d, worker %d", what, j.id, attempt, w), err
}
