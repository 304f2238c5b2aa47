package worker

import (
	"time"

	"github.com/pgq-go/queue/pgq"
)

const (
	priorities = 10
	// slack is how far behind the cursor a claim still looks, for jobs whose transactions committed after
	// those of their successors.
	slack = 1000
	// A sweep looks at the whole queue from its start: for jobs that were committed late, and for nodes of DAGs, which
	// keep the place that their age gives them. What it takes more than other claims, because of dead rows, is at most
	// one part in sweepShare of the time.
	sweepShare    = 20
	minSweepPause = 5 * time.Millisecond
	// firstPause is the pause after the first look that found nothing; they double from there.
	firstPause = 10 * time.Millisecond
	// A queue that is woken more often than once in busyGap is looked at every busyPoll instead of sleeping,
	// until it was empty for busyLinger: under load NOTIFY would cost the enqueuers more.
	busyGap    = 2 * time.Millisecond
	busyPoll   = 5 * time.Millisecond
	busyLinger = 25 * time.Millisecond
	maxBatch   = 1000
)

// gate is where a lane stands with the advisory lock that makes enqueuers notify.
type gate int

const (
	gateOpen   gate = iota // not held, not wanted
	gateWanted             // the listener shall take it
	gateHeld               // enqueuers notify
	gateLeave              // the listener shall give it up
)

// waiting is an attempt that waits for a slot.
type waiting struct {
	*pgq.Attempt
	since time.Time
}

// lane is what a worker knows of one of its queues. Guarded by engine.mu.
type lane struct {
	name        string
	concurrency int
	weight      int
	slots       *slotPool     // that it shares with other lanes; nil: it has its own
	prefetch    int           // at most
	maxPause    time.Duration // between looks at an empty queue
	pollOnly    bool

	running  int  // slots in use
	parked   int  // slots that wait on call
	calling  bool // a slot was called and has not begun yet
	call     chan struct{}
	claiming int           // jobs asked for by claims under way
	buffer   []waiting     // claimed, waiting for a slot
	finished int           // attempts that ended since counted
	counted  time.Time     // when finished was set to 0
	rate     float64       // moving average of attempts that end per second
	trip     time.Duration // moving average of a claim's time
	plain    time.Duration // the same of claims that are no sweeps

	cursor     [priorities]int64 // highest seq claimed
	hungry     bool              // there is probably more to claim
	full       bool              // the last claim found all that was wanted
	retryAt    time.Time         // when to look again if not hungry
	pause      time.Duration     // before the look at retryAt
	lastGot    time.Time
	sweeping   bool // a sweep is under way
	sweepAfter time.Time
	gate       gate
	wakes      int // times woken
	lastWoken  time.Time
	wokenGap   time.Duration // moving average of the time between wake-ups
}

func newLane(name string, c Config) *lane {
	return &lane{
		name: name, concurrency: c.Queues[name].Concurrency, weight: c.Queues[name].Weight, prefetch: c.Prefetch,
		maxPause: c.PollInterval, pollOnly: c.PollOnly, hungry: true, wokenGap: time.Second,
		call: make(chan struct{}, 1),
	}
}

// demand returns how many jobs the lane wants now.
func (l *lane) demand(now time.Time) int {
	if l.slots != nil {
		return l.slots.demand(l, now)
	}
	free := l.concurrency - l.held()
	want := free + l.prefetchTarget()
	// Refill the buffer when it is half empty, not job by job.
	if free <= 0 && 2*len(l.buffer)+2*l.claiming > l.prefetchTarget() {
		return 0
	}
	return min(want, maxBatch)
}

// held is how many slots its jobs have or will have.
func (l *lane) held() int {
	held := l.running + len(l.buffer) + l.claiming
	if l.calling {
		held-- // the slot that was called counts as running, and so does the job in the buffer that it will take
	}
	return held
}

// prefetchTarget is how many attempts end in the time of two round trips: with as many in the buffer no slot
// waits for the database, and with slow handlers there are none.
func (l *lane) prefetchTarget() int {
	return int(min(float64(l.prefetch), l.rate*2*l.trip.Seconds()))
}

// count measures how many attempts end per second, over times that tell.
func (l *lane) count(now time.Time) {
	past := now.Sub(l.counted)
	if past < time.Millisecond {
		return
	}
	l.rate += (float64(l.finished)/past.Seconds() - l.rate) / 4
	l.finished, l.counted = 0, now
}

// due reports whether the lane shall look for jobs now.
func (l *lane) due(now time.Time) bool {
	return l.hungry || !l.retryAt.After(now)
}

// after returns the cursor to claim behind; zeros for a sweep.
func (l *lane) after(sweep bool) [priorities]int64 {
	var after [priorities]int64
	if !sweep {
		for p, seq := range l.cursor {
			after[p] = max(0, seq-slack)
		}
	}
	return after
}

// wantsSweep reports whether the next look shall be at the whole queue: whenever that is allowed.
func (l *lane) wantsSweep(now time.Time) bool {
	return !l.sweeping && !now.Before(l.sweepAfter)
}

// claimed takes account of a claim's result. Nodes: it went along with endings of nodes, and so what comes after those
// needs no notification as long as they follow each other quickly.
func (l *lane) claimed(got []*pgq.Attempt, want int, sweep, nodes bool, took time.Duration, now time.Time) {
	l.claiming -= want
	l.trip = average(l.trip, took)
	l.count(now)
	if sweep {
		l.sweeping = false
		l.sweepAfter = now.Add(max(minSweepPause, sweepShare*(took-l.plain)))
	} else {
		l.plain = average(l.plain, took)
	}
	for _, a := range got {
		l.cursor[a.Priority] = max(l.cursor[a.Priority], a.Seq)
	}
	if len(got) > 0 {
		if nodes && l.gate == gateHeld && now.Sub(l.lastGot) < busyLinger {
			l.gate = gateLeave
		}
		l.lastGot = now
	}
	l.full = len(got) == want
	if !l.full {
		l.rest(len(got) > 0, now)
		return
	}
	l.hungry, l.pause = true, 0
	if l.gate == gateHeld {
		l.gate = gateLeave
	}
}

// rest decides when to look again at a queue that had less than was wanted.
func (l *lane) rest(found bool, now time.Time) {
	l.hungry = false
	if found {
		l.pause = 0
	}
	often := l.wokenGap < busyGap || l.pollOnly
	if found && (l.gate == gateOpen || l.gate == gateLeave) || often && now.Sub(l.lastGot) < busyLinger {
		if l.gate == gateHeld {
			l.gate = gateLeave
		}
		l.retryAt = now.Add(busyPoll)
		return
	}
	if l.gate == gateOpen && !l.pollOnly {
		l.gate = gateWanted
	}
	l.pause = min(max(firstPause, 2*l.pause), l.maxPause)
	l.retryAt = now.Add(l.pause)
}

// woken takes account of a NOTIFY.
func (l *lane) woken(now time.Time) {
	l.wokenGap = average(l.wokenGap, min(now.Sub(l.lastWoken), time.Second))
	l.lastWoken = now
	l.wakes++
	l.hungry = true
}

// sleeps takes account of the gate being held: what was committed before is to be looked for once more.
func (l *lane) sleeps(now time.Time) {
	l.gate = gateHeld
	l.retryAt, l.pause, l.sweepAfter = now, 0, now
}

// average is a moving average that follows its samples within some ten of them.
func average(old, sample time.Duration) time.Duration {
	if old == 0 {
		return max(sample, 1)
	}
	return max(1, old+(sample-old)/8)
}
