package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// work is what a pump exchanges with the database in one go.
type work struct {
	endings []ending
	dags    []int64          // those of endings
	chained bool             // endings of sequences are among them
	request pgq.ClaimRequest // Queues is empty if nothing is claimed
	lanes   []*lane          // those of request.Queues
	sweeps  []bool
	wakes   []int // lane.wakes when the claim was made
}

// maxRiders is how many endings wait for a claim that is due soon, rather than being written at once.
const maxRiders = 200

// maxGather is how long the ending of a node waits for those of others.
const maxGather = time.Millisecond

// pump exchanges finished attempts for new ones until the engine is closed and all is written.
func (e *engine) pump() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		e.mu.Lock()
		job := e.take(now)
		more := job != nil && (e.ripe() || e.looksAt(now))
		next, closed := e.nextLook(now), e.closed
		e.mu.Unlock()
		if job == nil && closed {
			poke(e.signal) // for the other pump
			return
		}
		if job != nil {
			if more {
				poke(e.signal)
			}
			e.exchange(job)
			e.freeDAGs(job)
			continue
		}
		timer.Reset(next)
		select {
		case <-e.signal:
		case <-timer.C:
		}
	}
}

// take returns what there is to do now, nil for nothing. Needs mu.
func (e *engine) take(now time.Time) *work {
	job := &work{}
	// Endings of nodes wait for each other, those of sequences for nothing, others for a claim that is due soon and takes them along.
	if e.stopping || e.gathering(now) <= 0 &&
		(e.haveNodes() || e.chained || len(e.endings) >= maxRiders || e.looksAt(now) || e.nextLook(now) > busyPoll) {
		e.gather(job)
	}
	if !e.stopping {
		e.wish(job, now)
	}
	if len(job.endings) == 0 && len(job.lanes) == 0 {
		return nil
	}
	return job
}

// gather moves endings into a work. Those of a DAG stay while another pump writes endings of the same one: the two would
// meet at the nodes that come after, and what one finds locked has to be made up for by the chores. Needs mu.
func (e *engine) gather(job *work) {
	job.chained, e.chained = e.chained, false
	if !e.haveNodes() {
		job.endings, e.endings = e.endings, nil
		return
	}
	var kept []ending
	for _, end := range e.endings {
		id := end.attempt.DAGID
		if id != 0 && e.dags[id] && !slices.Contains(job.dags, id) {
			kept = append(kept, end)
			continue
		}
		if id != 0 && !e.dags[id] {
			e.dags[id] = true
			job.dags = append(job.dags, id)
		}
		job.endings = append(job.endings, end)
	}
	e.endings = kept
	if len(kept) == 0 {
		e.nodeEnded = time.Time{}
	}
}

// freeDAGs lets other pumps write endings of the DAGs of a work that is done.
func (e *engine) freeDAGs(job *work) {
	if len(job.dags) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range job.dags {
		delete(e.dags, id)
	}
}

// haveNodes reports whether nodes are among the endings. Needs mu.
func (e *engine) haveNodes() bool { return !e.nodeEnded.IsZero() }

// gathering returns for how long endings of nodes shall still wait for others that will follow at once: the more are
// written together the fewer times their children are touched. Needs mu.
func (e *engine) gathering(now time.Time) time.Duration {
	if !e.haveNodes() || !slices.ContainsFunc(e.lanes, func(l *lane) bool { return len(l.buffer) > 0 }) {
		return 0
	}
	return maxGather - now.Sub(e.nodeEnded)
}

// ripe reports whether there are endings that may be written now. Needs mu.
func (e *engine) ripe() bool {
	if len(e.dags) == 0 {
		return len(e.endings) > 0
	}
	return slices.ContainsFunc(e.endings, func(end ending) bool { return !e.dags[end.attempt.DAGID] })
}

// wish fills in the claim: all lanes that want jobs and are due, or soon will be. Needs mu.
func (e *engine) wish(job *work, now time.Time) {
	nodes := len(job.dags) > 0 || job.chained // what comes after them may be claimed in the same go
	if !nodes && !e.looksAt(now) {
		return
	}
	for _, l := range e.lanes {
		want := l.demand(now)
		if want <= 0 || !nodes && !l.due(now.Add(l.pause/4)) {
			continue
		}
		sweep := l.wantsSweep(now)
		after := l.after(sweep)
		l.claiming += want
		l.sweeping = l.sweeping || sweep
		l.hungry, l.retryAt = false, now.Add(e.callTimeout)
		job.lanes, job.sweeps = append(job.lanes, l), append(job.sweeps, sweep)
		job.wakes = append(job.wakes, l.wakes)
		job.request.Queues = append(job.request.Queues, l.name)
		job.request.Limits = append(job.request.Limits, int32(want))
		job.request.After = append(job.request.After, after[:]...)
		// With slots and jobs left the other pump may go on claiming while this one waits.
		l.hungry = want == maxBatch && l.full
	}
	job.request.WorkerID, job.request.Kinds = e.workerID, e.kinds
}

// looksAt reports whether some lane wants jobs and is due. Needs mu.
func (e *engine) looksAt(now time.Time) bool {
	if e.stopping {
		return false
	}
	for _, l := range e.lanes {
		if l.due(now) && l.demand(now) > 0 {
			return true
		}
	}
	return false
}

// nextLook returns after what time some lane is due. Needs mu.
func (e *engine) nextLook(now time.Time) time.Duration {
	next := time.Second // costs no query, and nothing that was overlooked waits for longer
	if wait := e.gathering(now); wait > 0 {
		next = wait
	}
	for _, l := range e.lanes {
		if l.demand(now) > 0 && !e.stopping {
			next = min(next, l.retryAt.Sub(now))
		}
	}
	return max(next, 0)
}

// exchange writes endings and claims, in one round trip when all that ended is completed.
func (e *engine) exchange(job *work) {
	e.exchanges.RLock()
	locked := true
	unlock := func() {
		if locked {
			locked = false
			e.exchanges.RUnlock()
		}
	}
	defer unlock()
	if len(job.endings) > 0 {
		e.logs.flush(e.calls) // whoever sees that a job has ended finds what it has logged
	}
	if len(job.lanes) == 0 {
		e.flush(job.endings, false)
		return
	}
	e.mu.Lock()
	strays := e.strays
	e.mu.Unlock()
	if strays {
		e.flush(job.endings, false)
		job.endings = nil
		unlock()
		e.disown()
		e.exchanges.RLock()
		locked = true
	}
	begin := time.Now()
	claimed, err := e.claim(job)
	took := time.Since(begin)
	if err != nil {
		e.claimFailed(job, err)
		return
	}
	e.settle(job, claimed, took)
}

// claim claims, completing on the way what can be.
func (e *engine) claim(job *work) ([]*pgq.Attempt, error) {
	completions := make([]pgq.Completion, 0, len(job.endings))
	var done, others []ending
	for _, end := range job.endings {
		if end.verdict == complete && end.attempt.WorkerID == job.request.WorkerID {
			completions, done = append(completions, end.completion), append(done, end)
		} else {
			others = append(others, end)
		}
	}
	e.flush(others, false)
	ctx, cancel := context.WithTimeout(e.calls, e.callTimeout)
	defer cancel()
	if len(done) == 0 {
		return e.client.Claim(ctx, e.pool, job.request)
	}
	ids, claimed, err := e.client.CompleteAndClaim(ctx, e.pool, completions, job.request)
	if err != nil {
		e.flush(done, transient(err))
		return nil, err
	}
	if len(ids) < len(done) {
		e.noteLost(done, set(ids), false)
	}
	return claimed, nil
}

// settle hands out what was claimed.
func (e *engine) settle(job *work, claimed []*pgq.Attempt, took time.Duration) {
	byLane := make(map[string][]*pgq.Attempt, len(job.lanes))
	if len(job.lanes) == 1 {
		byLane[job.lanes[0].name] = claimed
	} else {
		for _, a := range claimed {
			byLane[a.Queue] = append(byLane[a.Queue], a)
		}
	}
	now := time.Now()
	e.mu.Lock()
	wanted := false
	for i, l := range job.lanes {
		got := byLane[l.name]
		l.claimed(got, int(job.request.Limits[i]), job.sweeps[i], len(job.dags) > 0 || job.chained, took, now)
		// Woken meanwhile: what woke it may have been committed too late for this claim.
		l.hungry = l.hungry || l.wakes != job.wakes[i]
		e.place(l, got, now)
		wanted = wanted || l.gate == gateWanted || l.gate == gateLeave
	}
	e.mu.Unlock()
	if wanted {
		poke(e.gates)
	}
	if e.w.config.Observe != nil {
		for _, a := range claimed {
			e.w.observe(Observation{Type: "claimed", JobID: a.ID, Queue: a.Queue, Kind: a.Kind, Attempt: a.Number})
		}
	}
}

// claimFailed takes account of a claim that failed: whether it took place is unknown.
func (e *engine) claimFailed(job *work, err error) {
	gone := errors.Is(err, pgq.ErrWorkerGone)
	now := time.Now()
	e.mu.Lock()
	for i, l := range job.lanes {
		l.claiming -= int(job.request.Limits[i])
		if job.sweeps[i] {
			l.sweeping = false
		}
		l.hungry = false
		l.pause = min(max(50*time.Millisecond, 2*l.pause), 2*time.Second)
		l.retryAt = now.Add(l.pause)
	}
	e.strays = e.strays || !gone
	e.mu.Unlock()
	if gone {
		poke(e.gone)
		return
	}
	e.log.Warn("claim failed; trying again", "error", err)
}

// disown gives back jobs that were leased by claims whose answers were lost.
func (e *engine) disown() {
	e.exchanges.Lock()
	defer e.exchanges.Unlock()
	e.mu.Lock()
	strays, workerID := e.strays, e.workerID
	held := make([]int64, 0, len(e.active)+len(e.endings))
	for id := range e.active {
		held = append(held, id.JobID)
	}
	for _, l := range e.lanes {
		for _, a := range l.buffer {
			held = append(held, a.ID)
		}
	}
	for _, end := range e.endings {
		held = append(held, end.attempt.ID)
	}
	e.mu.Unlock()
	if !strays {
		return
	}
	err := e.insist(func(ctx context.Context) error {
		_, err := e.client.Disown(ctx, e.pool, workerID, held)
		return err
	})
	if err != nil {
		e.log.Error("leases of lost claims could not be given back", "worker", workerID, "error", err)
		return
	}
	e.mu.Lock()
	e.strays = false
	e.mu.Unlock()
}
