package worker

import (
	"math"
	"time"
)

// slotPool are the slots that lanes share by their weights: as long as all have jobs, each has as many as is its share, and what one has no jobs
// for, others use. A slot is never taken from a job that runs: shares are restored as jobs end. Guarded by engine.mu.
type slotPool struct {
	total int
	lanes []*lane
}

// shareSlots lets lanes share so many slots; 0: each keeps its own.
func shareSlots(lanes []*lane, total int) {
	if total == 0 {
		return
	}
	shared := &slotPool{total, lanes}
	for _, l := range lanes {
		l.slots = shared
	}
}

// demand returns how many jobs a lane wants now: for its part of the free slots, and some that wait ahead of time. Without those a lane would never have a
// turn beside one whose handlers are quick, and whose next jobs wait already.
func (s *slotPool) demand(l *lane, now time.Time) int {
	ahead, waits := s.ahead(l, now), len(l.buffer)+l.claiming
	grant := min(s.share(l, now), l.concurrency-l.held())
	if grant <= 0 && 2*waits > ahead {
		return 0
	}
	return min(max(grant, 0)+max(ahead-waits, 0), maxBatch)
}

// ahead returns how many jobs of a lane shall wait for slots: its part, by weight, of as many as end in the time of two round trips, and none where handlers
// are slow. What waits lasts equally long for all lanes, then: one whose claim takes its time has not lost its turns to jobs of another by more than that.
func (s *slotPool) ahead(l *lane, now time.Time) int {
	rate, weights := 0.0, l.weight
	for _, other := range s.lanes {
		rate += other.rate
		if other != l && (other.held() > 0 || other.due(now)) {
			weights += other.weight
		}
	}
	all := min(float64(l.prefetch), rate*2*l.trip.Seconds())
	if all < 1 {
		return 0
	}
	return int(max(1, all*float64(l.weight)/float64(weights)))
}

// share returns how many of the free slots are for a lane: they are divided so that the lanes that look for jobs at the moment come as near to
// their weights as can be.
func (s *slotPool) share(l *lane, now time.Time) int {
	free, sharing := s.total, make([]*lane, 0, len(s.lanes))
	for _, other := range s.lanes {
		free -= other.held()
		if other == l || other.due(now) && other.held() < other.concurrency {
			sharing = append(sharing, other)
		}
	}
	if free <= 0 {
		return 0
	}
	mine := math.Ceil(levelOf(sharing, free)*float64(l.weight) - float64(l.held()) - 1e-9) // so much is lost by rounding
	return int(min(max(mine, 0), float64(free)))
}

// levelOf returns how many slots per weight lanes have when so many more are given to those that have the least.
func levelOf(lanes []*lane, free int) float64 {
	for {
		slots, weights, level := float64(free), 0.0, 0.0
		for _, l := range lanes {
			slots, weights = slots+float64(l.held()), weights+float64(l.weight)
		}
		level = slots / weights
		below := make([]*lane, 0, len(lanes))
		for _, l := range lanes {
			if float64(l.held()) <= level*float64(l.weight) {
				below = append(below, l)
			}
		}
		if len(below) == len(lanes) {
			return level
		}
		lanes = below
	}
}

// next returns the lane whose job is to have the next free slot: of those that have one waiting the one with the fewest slots by its weight;
// nil if there is none, or no slot.
func (s *slotPool) next() *lane {
	var next *lane
	free := s.total
	for _, l := range s.lanes {
		free -= l.running
		waits := len(l.buffer) > 0 && !l.calling || len(l.buffer) > 1
		if waits && l.running < l.concurrency && (next == nil || l.before(next, l.running, next.running)) {
			next = l
		}
	}
	if free <= 0 {
		return nil
	}
	return next
}

// stays reports whether the slot in which a job of the lane has ended is for the lane's next one.
func (s *slotPool) stays(l *lane) bool {
	for _, other := range s.lanes {
		if other != l && len(other.buffer) > 0 && !other.calling && other.running < other.concurrency && other.before(l, other.running, l.running-1) {
			return false
		}
	}
	return true
}

// before reports whether a lane with so many slots is to have one more before another one.
func (l *lane) before(other *lane, mine, theirs int) bool {
	return (mine+1)*other.weight < (theirs+1)*l.weight
}
