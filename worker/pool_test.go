package worker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// shares notes in which queues jobs ran, and how many at a time.
type shares struct {
	mu         sync.Mutex
	order      []string
	now, most  int
	inQueue    map[string]int
	mostQueued map[string]int
}

func (s *shares) enter(queue string) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inQueue == nil {
		s.inQueue, s.mostQueued = map[string]int{}, map[string]int{}
	}
	s.order = append(s.order, queue)
	s.now++
	s.inQueue[queue]++
	s.most, s.mostQueued[queue] = max(s.most, s.now), max(s.mostQueued[queue], s.inQueue[queue])
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now--
		s.inQueue[queue]--
	}
}

// shared runs jobs of queues that share eight slots, a with three times the weight of b, for so long each.
func shared(t *testing.T, took string, jobs map[string]int) *shares {
	t.Helper()
	b, s, all := newBench(t), &shares{}, 0
	w := b.worker(worker.Config{Concurrency: 8, Queues: worker.Queues{"a": {Weight: 3}, "b": {}}})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[letter]) error {
		defer s.enter(job.Queue)()
		_, err := b.pool.Exec(ctx, "select pg_sleep($1)", took)
		return err
	})
	for queue, n := range jobs {
		b.enqueueMany(n, pgq.Options{Queue: queue})
		all += n
	}
	b.run(w)
	b.becomes(int64(all), completed)
	return s
}

func TestQueuesShareSlotsByWeight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		took                string
		each, skip, counted int
	}{
		"slow handlers":  {"0.02", 400, 60, 300},
		"quick handlers": {"0", 4000, 1500, 2500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := shared(t, c.took, map[string]int{"a": c.each, "b": c.each})
			if s.most != 8 {
				t.Errorf("%d jobs ran at a time, want 8", s.most)
			}
			// Both have jobs until one has none left. Not counted are those during the first claims, which make connections and compile functions,
			// while the other queue has all slots.
			first := max(slices.Index(s.order, "a"), slices.Index(s.order, "b")) + c.skip
			of := 0
			for _, queue := range s.order[first:][:c.counted] {
				if queue == "a" {
					of++
				}
			}
			if want := c.counted * 3 / 4; of < want*8/10 || of > want*12/10 {
				t.Errorf("%d of %d jobs were of a, want about %d", of, c.counted, want)
			}
		})
	}
}

func TestOthersUseTheSlotsThatAQueueDoesNotNeed(t *testing.T) {
	t.Parallel()
	s := shared(t, "0.01", map[string]int{"b": 200})
	if s.mostQueued["b"] != 8 {
		t.Errorf("%d jobs of the only queue with jobs ran at a time, want 8", s.mostQueued["b"])
	}
}

func TestAQueueHasItsShareBesideOneWithABacklog(t *testing.T) {
	t.Parallel()
	s := shared(t, "0", map[string]int{"a": 20, "b": 3000})
	last := 0
	for i, queue := range s.order {
		if queue == "a" {
			last = i
		}
	}
	if last > 600 {
		t.Errorf("the last of 20 jobs of a queue with three times the weight started as number %d of 3020", last)
	}
}

func TestSharedSlotsNeedFittingSettings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for want, c := range map[string]worker.Config{
		`Queues["a"].Weight must not be given without Concurrency, which the queues share`: {Queues: worker.Queues{"a": {Weight: 2}}},
		`Queues["a"].Weight must be 1 to 1000`:                                             {Concurrency: 5, Queues: worker.Queues{"a": {Weight: -1}}},
		`Concurrency must be 0 to 100000`:                                                  {Concurrency: -1, Queues: worker.Queues{"a": {Concurrency: 1}}},
	} {
		w := b.worker(c)
		worker.Handle(w, func(context.Context, *pgq.Job[letter]) error { return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := w.Run(ctx)
		cancel()
		var rule *pgq.ArgumentError
		if !errors.As(err, &rule) || rule.Field+" "+rule.Rule != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
