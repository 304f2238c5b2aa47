package pgq_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// subscriber collects what Subscribe delivers.
type subscriber struct {
	mu     sync.Mutex
	events []pgq.Event
	ended  chan error
	stop   context.CancelFunc
}

// subscribe starts a subscription and waits until it is registered.
func (w *world) subscribe(f pgq.EventFilter) *subscriber {
	w.Helper()
	ctx, stop := context.WithCancel(w.Context())
	s := &subscriber{ended: make(chan error, 1), stop: stop}
	pool, err := pgxpool.NewWithConfig(w.Context(), w.pool.Config())
	must(w.T, err)
	before := one[int](w.T, w.pool, "select count(*) from pgq.subscribers")
	go func() {
		s.ended <- w.q.Subscribe(ctx, pool, f, func(e pgq.Event) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
			return nil
		})
	}()
	w.Cleanup(func() { stop(); <-s.ended; pool.Close() })
	until(w.T, "the subscriber is registered", func() bool {
		return one[int](w.T, w.pool, "select count(*) from pgq.subscribers") > before
	})
	return s
}

// types returns the types of the events so far.
func (s *subscriber) types() (types []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		types = append(types, string(e.Type))
	}
	return types
}

// got waits for the events of these types, in this order, and no others.
func (s *subscriber) got(w *world, want ...string) {
	w.Helper()
	until(w.T, "all events are there", func() bool { return len(s.types()) >= len(want) })
	if got := s.types(); !slices.Equal(got, want) {
		w.Errorf("got %v, want %v", got, want)
	}
}

func TestASubscriberHearsOfWhatOthersDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enqueue(note{}, pgq.Options{Queue: "before"})
	s := w.subscribe(pgq.EventFilter{})
	id := w.enqueue(note{}, pgq.Options{})
	must(t, w.runOne().Complete(t.Context(), w.pool, nil))
	must(t, w.q.PauseQueue(t.Context(), w.pool, "default", ""))
	s.got(w, "enqueued", "claimed", "completed", "paused")
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.events[2]; *e.JobID != id || *e.Kind != "note" || *e.Queue != "default" || *e.Attempt != 1 || e.WorkerID == nil || e.ID == 0 {
		t.Errorf("%+v", e)
	}
}

func TestASubscriberHearsOfBulks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.subscribe(pgq.EventFilter{})
	for _, n := range []int{2, 300} {
		_, err := w.q.EnqueueMany(t.Context(), w.pool, bulkOf(n))
		must(t, err)
	}
	until(t, "all events are there", func() bool { return len(s.types()) == 302 })
}

func TestAFilterChoosesEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.enqueue(note{}, pgq.Options{Queue: "q"})
	byQueue := w.subscribe(pgq.EventFilter{Queues: []string{"q"}})
	byKind := w.subscribe(pgq.EventFilter{Kinds: []string{"k"}})
	byType := w.subscribe(pgq.EventFilter{Types: []pgq.EventType{"cancelled"}})
	byJob := w.subscribe(pgq.EventFilter{JobIDs: []int64{other}, Types: []pgq.EventType{"cancelled", "deleted"}})
	all := w.subscribe(pgq.EventFilter{})
	id := w.enqueue(raw{"k", "{}"}, pgq.Options{})
	_, err := w.q.Cancel(t.Context(), w.pool, "", other, id)
	must(t, err)
	all.got(w, "enqueued", "cancelled", "cancelled")
	byQueue.got(w, "cancelled")
	byKind.got(w, "enqueued", "cancelled")
	byType.got(w, "cancelled", "cancelled")
	byJob.got(w, "cancelled")
}

func TestEventsOfATransactionThatCommitsLateComeLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// One is open before the subscription begins, the other one while it goes on.
	early, err := w.pool.Begin(t.Context())
	must(t, err)
	must(t, w.q.PauseQueue(t.Context(), early, "early", ""))
	must(t, w.q.PauseQueue(t.Context(), w.pool, "before", ""))
	s := w.subscribe(pgq.EventFilter{Types: []pgq.EventType{"paused"}})
	late, err := w.pool.Begin(t.Context())
	must(t, err)
	must(t, w.q.PauseQueue(t.Context(), late, "late", ""))
	must(t, w.q.PauseQueue(t.Context(), w.pool, "between", ""))
	s.got(w, "paused")
	must(t, late.Commit(t.Context()))
	s.got(w, "paused", "paused")
	must(t, early.Commit(t.Context()))
	s.got(w, "paused", "paused", "paused")
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := []string{*s.events[0].Queue, *s.events[1].Queue, *s.events[2].Queue}; !slices.Equal(got, []string{"between", "late", "early"}) {
		t.Errorf("got %v", got)
	}
}

func TestASubscriptionSurvivesTheLossOfItsConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.subscribe(pgq.EventFilter{})
	w.enqueue(note{}, pgq.Options{})
	s.got(w, "enqueued")
	const listeners = `select count(pg_terminate_backend(pid)) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and query not like 'select pgq_%' and (query like '%read_events%' or query like 'listen%')`
	until(t, "the connection was killed", func() bool { return one[int](t, w.pool, listeners) > 0 })
	w.enqueue(note{}, pgq.Options{})
	s.got(w, "enqueued", "enqueued")
	if n := one[int](t, w.pool, "select count(*) from pgq.subscribers"); n != 1 {
		t.Errorf("there are %d subscribers", n)
	}
}

func TestASubscriptionEndsWithItsContextOrItsReceiver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.subscribe(pgq.EventFilter{})
	s.stop()
	if err := <-s.ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.ended <- nil

	enough := errors.New("enough")
	ended := make(chan error)
	go func() {
		ended <- w.q.Subscribe(t.Context(), w.pool, pgq.EventFilter{}, func(pgq.Event) error { return enough })
	}()
	until(t, "the subscriber is registered", func() bool { return one[int](t, w.pool, "select count(*) from pgq.subscribers") == 1 })
	w.enqueue(note{}, pgq.Options{})
	if err := <-ended; !errors.Is(err, enough) {
		t.Error(err)
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.subscribers"); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func TestSubscribingWhereNothingIsInstalledFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := pgq.New(pgq.Config{Schema: "nowhere"}).Subscribe(t.Context(), w.pool, pgq.EventFilter{}, func(pgq.Event) error { return nil })
	if !errors.Is(err, pgq.ErrNotInstalled) {
		t.Error(err)
	}
}
