package pgq_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// heard is what handlers were called with, in order, and what errors there were.
type heard struct {
	mu     sync.Mutex
	queues []string
	errs   []string
}

func (h *heard) note(e pgq.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queues = append(h.queues, *e.Queue)
}

func (h *heard) failed(_ *pgq.Event, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.errs = append(h.errs, err.Error())
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.queues)
}

// got waits until the handlers were called so often, and says what with if it is something else.
func (h *heard) got(w *world, want ...string) {
	w.Helper()
	until(w.T, fmt.Sprintf("%v was heard", want), func() bool { return len(h.all()) >= len(want) })
	if got := h.all(); !slices.Equal(got, want) {
		w.Errorf("got %v, want %v", got, want)
	}
}

// run consumes, over a pool of its own, until the test ends or stop is called, which waits for the end.
func (w *world) run(c *pgq.Consumer) (stop func()) {
	w.Helper()
	before := one[int](w.T, w.pool, "select count(*) from pgq.consumers where name = $1", c.Name)
	pool, err := pgxpool.NewWithConfig(w.Context(), w.pool.Config())
	must(w.T, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.q.Consume(ctx, pool, c) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			w.Errorf("Consume ended with %v", err)
		}
		pool.Close()
	})
	w.Cleanup(stop)
	until(w.T, "the consumer is registered", func() bool {
		return before > 0 || one[int](w.T, w.pool, "select count(*) from pgq.consumers where name = $1", c.Name) > 0
	})
	return stop
}

func TestHandlersAreCalledByTypeAndWokenAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var paused, others heard
	c := &pgq.Consumer{Name: "c", PollInterval: time.Hour}
	c.Handle(pgq.EventPaused, func(_ context.Context, e pgq.Event) error { paused.note(e); return nil })
	c.Handle(pgq.AnyEvent, func(_ context.Context, e pgq.Event) error { others.note(e); return nil })
	w.run(c)
	w.pause(w.pool, "a")
	paused.got(w, "a")
	for i := range 20 { // asleep and awake again
		w.pause(w.pool, fmt.Sprint(i))
		until(t, "it was heard", func() bool { return len(paused.all()) == i+2 })
	}
	must(t, w.q.ResumeQueue(t.Context(), w.pool, "a"))
	others.got(w, "a")
}

func TestOneTypeIsHeardByPolling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var h heard
	c := &pgq.Consumer{Name: "c", PollOnly: true, PollInterval: 10 * time.Millisecond}
	c.Handle(pgq.EventResumed, func(_ context.Context, e pgq.Event) error { h.note(e); return nil })
	w.run(c)
	w.pause(w.pool, "a", "b")
	must(t, w.q.ResumeQueue(t.Context(), w.pool, "b"))
	h.got(w, "b")
	if got := one[[]string](t, w.pool, "select types from pgq.consumers"); !slices.Equal(got, []string{"resumed"}) {
		t.Errorf("it reads %v", got)
	}
}

// The first two events are handled, the third one breaks twice: those two are not handled again, and what it wrote is not there.
func TestAnEventThatFailsComesAgainAndThoseBehindItWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("create table effects (queue text)")
	var h heard
	c := &pgq.Consumer{Name: "c", RetryAfter: 10 * time.Millisecond, PollInterval: 20 * time.Millisecond, OnError: h.failed, StartAt: pgq.FromBeginning}
	c.HandleTx(pgq.EventPaused, func(ctx context.Context, tx pgx.Tx, e pgq.Event) error {
		if _, err := tx.Exec(ctx, "insert into effects values ($1)", *e.Queue); err != nil {
			return err
		}
		h.note(e)
		switch n := len(h.all()); {
		case *e.Queue == "bad" && n == 3:
			return errors.New("first")
		case *e.Queue == "bad" && n == 4:
			panic("second")
		}
		return nil
	})
	w.pause(w.pool, "a", "b", "bad", "c")
	w.run(c)
	h.got(w, "a", "b", "bad", "bad", "bad", "c")
	until(t, "all is done", func() bool { return one[int](t, w.pool, "select handled from pgq.consumers") == 4 })
	if got := one[string](t, w.pool, "select string_agg(queue, ' ' order by ctid) from effects"); got != "a b bad c" {
		t.Errorf("the effects are %s", got)
	}
	if len(h.errs) != 2 || h.errs[0] != "first" || !strings.HasPrefix(h.errs[1], "panic: second\n") {
		t.Errorf("%q", h.errs)
	}
}

func TestAnEventThatFailsTooOftenIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var h heard
	c := &pgq.Consumer{Name: "c", RetryAfter: time.Millisecond, PollInterval: 10 * time.Millisecond, MaxFailures: 2, OnError: h.failed, StartAt: pgq.FromBeginning}
	c.Handle(pgq.EventPaused, func(_ context.Context, e pgq.Event) error {
		h.note(e)
		if *e.Queue != "good" {
			return errors.New("no")
		}
		return nil
	})
	w.pause(w.pool, "bad", "good", "worse")
	w.run(c)
	h.got(w, "bad", "bad", "good", "worse", "worse")
	until(t, "all is done", func() bool {
		s, err := w.q.ConsumerState(t.Context(), w.pool, "c")
		must(t, err)
		return s.Handled == 1 && s.Skipped == 2 && s.State == "idle"
	})
}

func TestProcessesShareAConsumerAndTakeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var h heard
	var queues []string
	stops := make([]func(), 3)
	for i := range stops {
		c := &pgq.Consumer{Name: "c", BatchSize: 3}
		c.Handle(pgq.EventPaused, func(_ context.Context, e pgq.Event) error { h.note(e); return nil })
		stops[i] = w.run(c)
	}
	for i := range 50 {
		if i%15 == 10 {
			stops[i/15]()
		}
		queues = append(queues, fmt.Sprintf("q%02d", i))
		w.pause(w.pool, queues[i])
	}
	c := &pgq.Consumer{Name: "c"}
	c.Handle(pgq.EventPaused, func(_ context.Context, e pgq.Event) error { h.note(e); return nil })
	w.run(c)
	h.got(w, queues...)
}

func TestAHandlerWhoseLeaseIsLostIsToldAndWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("create table effects (queue text)")
	started, cause := make(chan bool, 1), make(chan error, 1)
	var h heard
	c := &pgq.Consumer{Name: "c", Lease: 300 * time.Millisecond, StartAt: pgq.FromBeginning, OnError: h.failed}
	c.HandleTx(pgq.EventPaused, func(ctx context.Context, tx pgx.Tx, e pgq.Event) error {
		_, err := tx.Exec(ctx, "insert into effects values ($1)", *e.Queue)
		started <- true
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return err
	})
	w.pause(w.pool, "a")
	stop := w.run(c)
	<-started
	must(t, w.q.ResetConsumer(t.Context(), w.pool, "c", pgq.FromNow))
	wantIs(t, "the cause", <-cause, pgq.ErrLeaseLost)
	stop()
	if n := one[int](t, w.pool, "select count(*) from effects"); n != 0 {
		t.Errorf("there are %d effects", n)
	}
}

func TestAConsumerSurvivesTheLossOfItsConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var h heard
	c := &pgq.Consumer{Name: "c", PollInterval: 20 * time.Millisecond, OnError: h.failed}
	c.Handle(pgq.EventPaused, func(_ context.Context, e pgq.Event) error { h.note(e); return nil })
	w.run(c)
	w.pause(w.pool, "a")
	h.got(w, "a")
	const others = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and query like '%events%'"
	until(t, "connections were killed", func() bool { return one[int](t, w.pool, others) > 0 })
	w.pause(w.session(), "b")
	until(t, "the next one was heard", func() bool { all := h.all(); return all[len(all)-1] == "b" }) // "a" perhaps twice
}

func TestWaitingForAnEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	job := w.enqueue(note{}, pgq.Options{})
	wait := func(f pgq.EventFilter) chan pgq.Event {
		answer := make(chan pgq.Event, 1)
		go func() {
			e, err := w.q.WaitEvent(ctx, w.pool, f)
			if err != nil {
				t.Error(err)
			}
			answer <- e
		}()
		return answer
	}
	if e := <-wait(pgq.EventFilter{JobIDs: []int64{job}, Types: []pgq.EventType{pgq.EventEnqueued}, Kinds: []string{"note"}}); *e.JobID != job || *e.Queue != "default" {
		t.Errorf("%v", e)
	}
	completed := wait(pgq.EventFilter{JobIDs: []int64{job}, Types: []pgq.EventType{pgq.EventCompleted}})
	paused := wait(pgq.EventFilter{Types: []pgq.EventType{pgq.EventPaused}, Queues: []string{"b"}})
	until(t, "both wait", func() bool { return one[int](t, w.pool, "select count(*) from pgq.subscribers") == 2 })
	must(t, w.runOne().Complete(ctx, w.pool, nil))
	w.pause(w.pool, "a", "b")
	if e := <-completed; e.Type != pgq.EventCompleted || *e.JobID != job {
		t.Errorf("%v", e)
	}
	if e := <-paused; *e.Queue != "b" {
		t.Errorf("%v", e)
	}
	late, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := w.q.WaitEvent(late, w.pool, pgq.EventFilter{JobIDs: []int64{job, 99}, Types: []pgq.EventType{pgq.EventFailed}})
	wantIs(t, "no such event", err, context.DeadlineExceeded)
}

func TestTheTypesOfEventsInGoAndSQLAreTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var types []string
	for _, e := range pgq.EventTypes() {
		types = append(types, string(e))
	}
	slices.Sort(types)
	if got := one[[]string](t, w.pool, `select array_agg(type order by type collate "C") from pgq.event_types()`); !slices.Equal(got, types) {
		t.Errorf("SQL has %v, Go has %v", got, types)
	}
	sources, err := filepath.Glob("sql/*.sql")
	must(t, err)
	written := regexp.MustCompile(`record_event\(\s*'(\w+)'`)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		must(t, err)
		for _, call := range written.FindAllSubmatch(text, -1) {
			if !slices.Contains(types, string(call[1])) {
				t.Errorf("%s writes events of type %s, which is not among them", source, call[1])
			}
		}
	}
}

func TestDetailsOfEventsAreTyped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consumer(pgq.Consumer{})
	id := w.enqueue(note{}, pgq.Options{MaxAttempts: 1})
	_, err := w.q.Move(t.Context(), w.pool, "x", id)
	must(t, err)
	events, err := w.q.ConsumeEvents(t.Context(), w.pool, "c", 1)
	must(t, err)
	d, err := events[0].Details()
	if err != nil || events[0].Type != pgq.EventMoved || string(d.From) != `"default"` || string(d.To) != `"x"` {
		t.Errorf("%+v %v", d, err)
	}
	if d, err := (pgq.Event{}).Details(); err != nil || d.Error != "" {
		t.Error(d, err)
	}
}
