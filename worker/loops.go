package worker

import (
	"context"
	"errors"
	"time"

	"github.com/pgq-go/queue/pgq"
)

const (
	// stuckAfter is how long a handler may run on after its context was cancelled before it is reported.
	stuckAfter   = 10 * time.Second
	unknownEvery = time.Minute
	// choresPause is how long after something was scheduled the chores look when it is due.
	choresPause = 20 * time.Millisecond
)

// heartbeats says that the worker lives until the context ends.
func (e *engine) heartbeats(ctx context.Context) {
	ticker := time.NewTicker(e.w.config.Heartbeat)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.gone:
		case <-ticker.C:
		}
		err := e.heartbeat(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.log.Warn("heartbeat failed; trying again", "worker", e.id(), "error", err)
		case failing:
			e.w.observe(Observation{Type: "reconnected"})
		}
		failing = err != nil
		e.reportStuck()
	}
}

// heartbeat makes one try. A worker that was declared dead loses its leases and registers anew.
func (e *engine) heartbeat(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, min(e.callTimeout, e.w.config.Lease/2))
	defer cancel()
	e.mu.Lock()
	id := e.workerID
	e.tried = time.Now()
	e.mu.Unlock()
	cancelled, err := e.client.Heartbeat(limit, e.pool, id)
	if errors.Is(err, pgq.ErrWorkerGone) {
		if id != 0 {
			e.log.Warn("worker was declared dead; its leases are lost, it registers anew", "worker", id)
			e.w.observe(Observation{Type: "declared_dead"})
		}
		e.loseLeases()
		err = e.enrol(ctx)
		poke(e.signal)
	}
	if err != nil {
		return err
	}
	for _, attempt := range cancelled {
		e.cancelAttempt(attempt)
	}
	e.mu.Lock()
	e.beat = time.Now()
	e.mu.Unlock()
	return nil
}

// reportStuck reports handlers that ignore that their context was cancelled, once each.
func (e *engine) reportStuck() {
	e.mu.Lock()
	var stuck []*started
	for _, s := range e.active {
		over := s.Timeout > 0 && time.Since(s.began) > s.Timeout+stuckAfter
		if s.Err() != nil && s.cancelledAt.IsZero() {
			s.cancelledAt = time.Now()
		}
		if !s.reported && (over || !s.cancelledAt.IsZero() && time.Since(s.cancelledAt) > stuckAfter) {
			s.reported = true
			stuck = append(stuck, s)
		}
	}
	e.mu.Unlock()
	for _, s := range stuck {
		e.log.Error("handler ignores its cancelled context", append(s.attrs(), "cause", context.Cause(s))...)
		o := s.observation("stuck")
		o.Run = time.Since(s.began)
		e.w.observe(o)
	}
}

// chores does the chores of the schema until the context ends.
func (e *engine) chores(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	at, nextUnknown := time.Now(), time.Now()
	reported := map[pgq.UnknownKind]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.due:
			// Something was scheduled: look when it is due. At once would be once per failed attempt.
			if time.Until(at) > choresPause {
				at = time.Now().Add(choresPause)
				timer.Reset(choresPause)
			}
			continue
		case <-e.asked:
		case <-timer.C:
		}
		limit, cancel := context.WithTimeout(ctx, e.callTimeout)
		next, err := e.client.DoChores(limit, e.pool)
		if err == nil && !time.Now().Before(nextUnknown) {
			nextUnknown = time.Now().Add(unknownEvery)
			err = e.reportUnknown(limit, reported)
		}
		cancel()
		if err != nil && ctx.Err() == nil {
			e.log.Warn("chores failed; trying again", "error", err)
			next = 2 * time.Second
		}
		at = time.Now().Add(next)
		timer.Reset(next)
	}
}

// reportUnknown reports kinds of waiting jobs that no living worker knows, once each. They stay ready.
func (e *engine) reportUnknown(ctx context.Context, reported map[pgq.UnknownKind]bool) error {
	names := make([]string, len(e.lanes))
	for i, l := range e.lanes {
		names[i] = l.name
	}
	unknown, err := e.client.UnknownKinds(ctx, e.pool, names)
	for _, u := range unknown {
		if !reported[u] {
			reported[u] = true
			e.log.Warn("jobs wait whose kind no worker knows", "queue", u.Queue, "kind", u.Kind)
		}
	}
	return err
}
