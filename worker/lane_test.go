package worker

import (
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// laneOf is a lane with this concurrency and a prefetch of 100.
func laneOf(t *testing.T, concurrency int) *lane {
	t.Helper()
	config, err := Config{Queues: Queues{"a": {Concurrency: concurrency}}, Prefetch: 100}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return newLane("a", config)
}

// attempts are n attempts with priority 5 and rising seqs.
func attempts(n int, from int64) []*pgq.Attempt {
	all := make([]*pgq.Attempt, n)
	for i := range all {
		all[i] = &pgq.Attempt{Priority: 5, Seq: from + int64(i)}
	}
	return all
}

// buffered are attempts that wait for a slot.
func buffered(n int) []waiting {
	all := make([]waiting, n)
	for i, a := range attempts(n, 1) {
		all[i].Attempt = a
	}
	return all
}

func TestALaneWantsWhatItsSlotsLack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		running, claiming, buffered int
		rate                        float64
		trip                        time.Duration
		want                        int
	}{
		"at first":                         {0, 0, 0, 0, 0, 10},
		"some run":                         {4, 0, 0, 0, 0, 6},
		"some are asked for":               {4, 5, 0, 0, 0, 1},
		"all run, nothing is known":        {10, 0, 0, 0, 0, 0},
		"all run, handlers are slow":       {10, 0, 0, 0.2, time.Millisecond, 0},
		"all run, handlers are quick":      {10, 0, 0, 10_000, time.Millisecond, 20},
		"the buffer is more than half":     {10, 0, 11, 10_000, time.Millisecond, 0},
		"the buffer is half empty":         {10, 0, 10, 10_000, time.Millisecond, 10},
		"handlers are ever so quick":       {10, 0, 0, 1e9, time.Second, 100},
		"what is asked for fills the rest": {10, 20, 0, 10_000, time.Millisecond, 0},
	} {
		l := laneOf(t, 10)
		l.running, l.claiming, l.buffer = c.running, c.claiming, buffered(c.buffered)
		l.rate, l.trip = c.rate, c.trip
		if got := max(0, l.demand(time.Now())); got != c.want {
			t.Errorf("%s: demand is %d, want %d", name, got, c.want)
		}
	}
	called := laneOf(t, 10)
	called.running, called.buffer, called.calling = 5, buffered(1), true
	if n := called.demand(time.Now()); n != 5 {
		t.Errorf("while a slot is called for the only job of the buffer, demand is %d, want 5", n)
	}
	if big := laneOf(t, 50_000); big.demand(time.Now()) != maxBatch {
		t.Errorf("demand of an empty lane of 50000 is %d, want a batch of %d", big.demand(time.Now()), maxBatch)
	}
}

func TestALaneThatFindsNothingLooksAgainInDoublingPauses(t *testing.T) {
	t.Parallel()
	l := laneOf(t, 10)
	now := time.Now()
	var pauses []time.Duration
	for range 12 {
		if !l.due(now) {
			t.Fatal("the lane is not due when its pause has passed")
		}
		l.claimed(nil, 10, true, false, time.Millisecond, now)
		if l.due(now) {
			t.Fatal("the lane is due again at once")
		}
		pauses = append(pauses, l.retryAt.Sub(now))
		now = l.retryAt
	}
	for i, pause := range pauses {
		if want := min(firstPause<<i, l.maxPause); pause != want {
			t.Errorf("pause %d is %s, want %s", i, pause, want)
		}
	}
}

func TestTheGateFollowsTheLane(t *testing.T) {
	t.Parallel()
	now := time.Now()
	expect := func(l *lane, when string, want gate) {
		t.Helper()
		if l.gate != want {
			t.Errorf("%s the gate is %d, want %d", when, l.gate, want)
		}
	}
	l := laneOf(t, 10)
	l.claimed(attempts(10, 1), 10, false, false, time.Millisecond, now)
	expect(l, "while there is more", gateOpen)
	l.claimed(attempts(3, 11), 10, false, false, time.Millisecond, now)
	expect(l, "after less than was wanted", gateOpen)
	if l.due(now) || !l.due(now.Add(busyPoll)) {
		t.Error("after less than was wanted the next look is due after the busy pause")
	}
	l.claimed(nil, 10, true, false, time.Millisecond, now)
	expect(l, "when there is nothing", gateWanted)
	l.sleeps(now)
	expect(l, "when the lock is held", gateHeld)
	if !l.due(now) || !l.wantsSweep(now) {
		t.Error("a lane that falls asleep must look once more, at all of the queue")
	}
	l.claimed(nil, 10, true, false, time.Millisecond, now)
	expect(l, "when there is still nothing", gateHeld)
	l.woken(now)
	if !l.due(now) {
		t.Error("a lane that was woken is not due")
	}
	l.claimed(attempts(3, 14), 10, true, false, time.Millisecond, now)
	expect(l, "after a little work", gateHeld)
	l.claimed(attempts(10, 17), 10, false, false, time.Millisecond, now)
	expect(l, "under load", gateLeave)

	poller := laneOf(t, 10)
	poller.pollOnly = true
	poller.claimed(nil, 10, true, false, time.Millisecond, now)
	expect(poller, "without LISTEN", gateOpen)
}

func TestALaneThatIsWokenTooOftenStaysAwake(t *testing.T) {
	t.Parallel()
	l := laneOf(t, 10)
	now := time.Now()
	l.gate = gateHeld
	for range 100 {
		now = now.Add(busyGap / 10)
		l.woken(now)
	}
	l.claimed(attempts(1, 1), 10, true, false, time.Millisecond, now)
	if l.gate != gateLeave {
		t.Errorf("the gate is %d, want %d", l.gate, gateLeave)
	}
	l.gate = gateOpen // the listener has obeyed
	if pause := l.retryAt.Sub(now); pause != busyPoll {
		t.Errorf("it looks again after %s, want %s", pause, busyPoll)
	}
	now = now.Add(busyLinger + 1)
	l.claimed(nil, 10, true, false, time.Millisecond, now)
	if l.gate != gateWanted {
		t.Errorf("after a quiet time the gate is %d, want %d", l.gate, gateWanted)
	}
}

func TestSweepsTakeABoundedShareOfTheTime(t *testing.T) {
	t.Parallel()
	l := laneOf(t, 10)
	now := time.Now()
	if !l.wantsSweep(now) {
		t.Error("the first look is no sweep")
	}
	l.sweeping = true
	if l.wantsSweep(now) {
		t.Error("two sweeps at a time")
	}
	l.claimed(attempts(5, 5000), 10, true, false, time.Second, now)
	if l.wantsSweep(now.Add(sweepShare*time.Second - 1)) {
		t.Error("a sweep of 1s is followed by another within 20s")
	}
	if !l.wantsSweep(now.Add(sweepShare * time.Second)) {
		t.Error("no sweep after 20s")
	}
	after := l.after(false)
	if after[5] != 5004-slack || after[4] != 0 || l.after(true)[5] != 0 {
		t.Errorf("the cursor is %v, want %d at priority 5", after, 5004-slack)
	}
}
