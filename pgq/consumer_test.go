package pgq_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

// consumer registers a consumer and returns its name.
func (w *world) consumer(c pgq.Consumer) string {
	w.Helper()
	if c.Name == "" {
		c.Name = "c"
	}
	_, err := w.q.SetConsumer(w.Context(), w.pool, c)
	must(w.T, err)
	return c.Name
}

// consume takes all events of a consumer, a few at a time, and returns the queues that they are about.
func (w *world) consume(name string, atMost int) (queues []string) {
	w.Helper()
	for {
		events, err := w.q.ConsumeEvents(w.Context(), w.pool, name, atMost)
		must(w.T, err)
		if len(events) == 0 {
			return queues
		}
		for _, e := range events {
			queues = append(queues, *e.Queue)
		}
	}
}

// pause writes an event about a queue.
func (w *world) pause(db pgq.DB, queues ...string) {
	w.Helper()
	for _, queue := range queues {
		must(w.T, w.q.PauseQueue(w.Context(), db, queue, ""))
	}
}

// begin begins a transaction over a connection of its own.
func (w *world) begin() pgx.Tx {
	w.Helper()
	tx, err := w.session().Begin(w.Context())
	must(w.T, err)
	return tx
}

func (w *world) consumes(name string, want ...string) {
	w.Helper()
	if got := w.consume(name, 2); !slices.Equal(got, want) {
		w.Errorf("got %v, want %v", got, want)
	}
}

// wantIs fails the test unless the error is of a sort.
func wantIs(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// wantText fails the test unless the error says this.
func wantText(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAConsumerBeginsWhereItIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pause(w.pool, "a", "b", "c")
	w.consumer(pgq.Consumer{Name: "now"})
	w.consumer(pgq.Consumer{Name: "beginning", StartAt: pgq.FromBeginning})
	w.consumer(pgq.Consumer{Name: "first", StartAt: pgq.FromEvent(1)})
	future := pgq.Consumer{Name: "future", StartAt: pgq.FromEvent(4)} // it would never see what gets the ids up to that
	_, err := w.q.SetConsumer(t.Context(), w.pool, future)
	wantText(t, err, "pgq: start_at must be the id of an event that was written; the newest is 3")
	w.pause(w.pool, "d", "e")
	w.consumes("now", "d", "e")
	w.consumes("beginning", "a", "b", "c", "d", "e")
	w.consumes("first", "b", "c", "d", "e")
	for name, start := range map[string]pgq.EventStart{"now": pgq.FromEvent(3), "first": pgq.FromBeginning, "beginning": pgq.FromNow} {
		must(t, w.q.ResetConsumer(t.Context(), w.pool, name, start))
	}
	w.consumes("now", "d", "e")
	w.consumes("first", "a", "b", "c", "d", "e")
	w.consumes("beginning")
}

func TestAConsumerGetsWhatFits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consumer(pgq.Consumer{Queues: []string{"a", "c"}, Types: []pgq.EventType{pgq.EventPaused}})
	w.pause(w.pool, "a", "b")
	must(t, w.q.ResumeQueue(t.Context(), w.pool, "a"))
	w.pause(w.pool, "c")
	w.consumes("c", "a", "c")
	created, err := w.q.SetConsumer(t.Context(), w.pool, pgq.Consumer{Name: "c", Queues: []string{"b"}, StartAt: pgq.FromBeginning})
	if err != nil || created {
		t.Error(created, err)
	}
	w.pause(w.pool, "d")
	must(t, w.q.ResumeQueue(t.Context(), w.pool, "b"))
	w.consumes("c", "b")
}

// Ids are drawn in one order and transactions commit in another one, or never; some were open when the consumer began, some when it read.
func TestAConsumerMissesNothingWhateverOrderTransactionsCommitIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before, never := w.begin(), w.begin()
	w.pause(before, "before")
	w.pause(w.pool, "old")
	w.consumer(pgq.Consumer{})
	w.consumes("c")
	w.pause(never, "never")
	late, later := w.begin(), w.begin()
	w.pause(late, "late")
	w.pause(later, "later")
	w.pause(w.pool, "a", "b", "c")
	w.consumes("c", "a", "b", "c")
	w.pause(late, "late 2")
	w.pause(w.pool, "d")
	w.consumes("c", "d")
	must(t, late.Commit(t.Context()))
	w.pause(w.pool, "e")
	w.consumes("c", "late", "late 2", "e")
	must(t, never.Rollback(t.Context()))
	w.pause(later, "later 2")
	w.consumes("c")
	must(t, before.Commit(t.Context()))
	w.consumes("c", "before")
	must(t, later.Commit(t.Context()))
	w.consumes("c", "later", "later 2")
	w.consumes("c")
}

// PostgreSQL leaves a transaction's own number out of what it says is open.
func TestAConsumerHearsOfWhatItsOwnTransactionWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consumer(pgq.Consumer{})
	tx := w.begin()
	w.pause(tx, "first")
	w.pause(w.pool, "other")
	events, err := w.q.ConsumeEvents(t.Context(), tx, "c", 10)
	must(t, err)
	if len(events) != 1 || *events[0].Queue != "other" {
		t.Fatalf("got %v", events)
	}
	w.pause(tx, "second")
	must(t, tx.Commit(t.Context()))
	w.consumes("c", "first", "second")
}

func TestATransactionMayConsumeAndWriteInAnyOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consumer(pgq.Consumer{})
	tx := w.begin()
	w.pause(tx, "own")
	consumes := func(want ...string) {
		t.Helper()
		events, err := w.q.ConsumeEvents(t.Context(), tx, "c", 10)
		must(t, err)
		var got []string
		for _, e := range events {
			got = append(got, *e.Queue)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	open := w.begin()
	w.pause(open, "open")
	for _, queue := range []string{"a", "b", "c"} {
		w.pause(w.pool, queue)
		consumes(queue)
		w.pause(tx, "own "+queue)
		consumes()
	}
	must(t, open.Commit(t.Context()))
	consumes("open")
	must(t, tx.Commit(t.Context()))
	w.consumes("c", "own", "own a", "own b", "own c")
}

func TestTheEventsOfAJobComeInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(t, w.q.SetQueue(t.Context(), w.pool, "default", pgq.QueueSettings{Events: ptr(pgq.EventsAll)}))
	w.consumer(pgq.Consumer{})
	// The worker's transaction has its number before the job is there.
	worker := w.worker("default")
	tx := w.begin()
	_, err := tx.Exec(t.Context(), "select pg_current_xact_id()")
	must(t, err)
	id := w.enqueue(note{}, pgq.Options{})
	open := w.begin()
	_, err = open.Exec(t.Context(), "select pg_current_xact_id()")
	must(t, err)
	claimed, err := w.q.Claim(t.Context(), tx, pgq.ClaimRequest{WorkerID: worker, Queues: []string{"default"}, Limits: []int32{1}})
	must(t, err)
	must(t, tx.Commit(t.Context()))
	must(t, claimed[0].Complete(t.Context(), w.pool, nil))
	events, err := w.q.ConsumeEvents(t.Context(), w.pool, "c", 10)
	must(t, err)
	var got []string
	for _, e := range events {
		got = append(got, fmt.Sprintf("%s %d %s", e.Type, *e.JobID, *e.Kind))
	}
	if want := fmt.Sprintf("enqueued %[1]d note, claimed %[1]d note, completed %[1]d note", id); strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWhatAConsumerReadsIsItsOnlyIfItCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consumer(pgq.Consumer{})
	w.pause(w.pool, "a", "b", "c")
	first := w.begin()
	events, err := w.q.ConsumeEvents(t.Context(), first, "c", 2)
	must(t, err)
	if len(events) != 2 {
		t.Fatalf("got %v", events)
	}
	w.consumes("c") // somebody else is at it
	must(t, first.Rollback(t.Context()))
	w.consumes("c", "a", "b", "c")
}

func TestALeaseIsOfOneProcessAndEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.consumer(pgq.Consumer{})
	w.pause(w.pool, "a", "b", "c", "d")
	lease := func(atMost int) *pgq.EventBatch {
		t.Helper()
		b, err := w.q.LeaseEvents(ctx, w.pool, "c", atMost, time.Minute, "me")
		must(t, err)
		return b
	}
	over := func() {
		w.exec("update pgq.consumers set leased_until = case when leased_id is not null then now() - interval '1 s' end, retry_at = null")
	}
	first := lease(2)
	if len(first.Events) != 2 || len(lease(2).Events) != 0 || len(w.consume("c", 9)) != 0 {
		t.Fatal("a lease keeps others away")
	}
	over()
	second := lease(3)
	if len(second.Events) != 3 || second.Events[0].ID != first.Events[0].ID {
		t.Fatalf("got %v", second.Events)
	}
	for what, err := range map[string]error{
		"ack": w.q.AckEvents(ctx, w.pool, first, 0, 0), "extend": w.q.ExtendEvents(ctx, w.pool, first, time.Minute),
		"fail": w.q.FailEvents(ctx, w.pool, first, 0, 0, context.Canceled, 0),
	} {
		wantIs(t, what, err, pgq.ErrLeaseLost)
	}
	over()
	must(t, w.q.ExtendEvents(ctx, w.pool, second, time.Minute)) // nobody has taken it
	must(t, w.q.AckEvents(ctx, w.pool, second, second.Events[0].ID, 0))
	third := lease(2)
	must(t, w.q.FailEvents(ctx, w.pool, third, third.Events[0].ID, 0, fmt.Errorf("no\x00pe"), time.Hour))
	state, err := w.q.ConsumerState(ctx, w.pool, "c")
	must(t, err)
	if state.State != "failing" || state.Failures != 1 || *state.Error != "no\uFFFDpe" || state.Handled != 2 || state.Behind != 2 || !state.Exact || state.RetryAt == nil {
		t.Errorf("%+v", state)
	}
	if len(lease(1).Events) != 0 {
		t.Error("it is given out before its time")
	}
	over()
	if b := lease(1); b.Failures != 1 || *b.Events[0].Queue != "c" {
		t.Errorf("%+v", b)
	} else {
		must(t, w.q.AckEvents(ctx, w.pool, b, 0, 1))
	}
	w.consumes("c", "d")
	state, err = w.q.ConsumerState(ctx, w.pool, "c")
	must(t, err)
	if state.State != "idle" || state.Failures != 0 || state.Error != nil || state.Handled != 3 || state.Skipped != 1 || state.Behind != 0 || state.Lag != nil {
		t.Errorf("%+v", state)
	}
}

// As if the tables were restored from a dump of a server whose transactions had far higher numbers.
func TestEventsOfAnotherServerAreAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consumer(pgq.Consumer{})
	w.pause(w.pool, "a", "b")
	open := w.begin()
	w.pause(open, "late")
	w.pause(w.pool, "c")
	w.consumes("c", "a", "b", "c")
	must(t, open.Commit(t.Context()))
	w.pause(w.pool, "d")
	w.exec(`create function moved(xid8) returns xid8 language sql as $$ select ($1::text::bigint + 1000000000000)::text::xid8 $$;
		update pgq.events set xid = moved(xid);
		update pgq.consumers set from_xid = moved(from_xid), to_xid = moved(to_xid), from_open = array(select moved(x) from unnest(from_open) x),
			to_open = array(select moved(x) from unnest(to_open) with ordinality o(x, n) order by n)`)
	w.pause(w.pool, "e")
	_, err := w.q.ConsumeEvents(t.Context(), w.pool, "c", 9)
	wantIs(t, "the position of another server", err, pgq.ErrOtherServer)
	w.exec("select pgq.adopt_events()")
	w.pause(w.pool, "f")
	got := w.consume("c", 9)
	for _, queue := range []string{"late", "d", "e", "f"} { // "c" may come again
		if !slices.Contains(got, queue) {
			t.Errorf("got %v, which lacks %s", got, queue)
		}
	}
	w.consumes("c")
}

func TestALookThatFindsNothingNewWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consumer(pgq.Consumer{})
	w.pause(w.pool, "a")
	w.consumes("c", "a")
	open := w.begin()
	w.pause(open, "b")
	const version = "select xmin::text || ctid::text from pgq.consumers"
	// Its own last transaction is one that was open, and so are those of other databases that the server has.
	before, same := "", 0
	for tries := 0; same < 3; tries++ {
		w.consumes("c")
		after := one[string](t, w.pool, version)
		if same++; after != before {
			before, same = after, 0
		}
		if tries == 200 {
			t.Fatal("it writes the position though nothing has happened")
		}
	}
}

func TestConsumersAreRefusedWithTheRuleThatTheyBreak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	for want, c := range map[string]pgq.Consumer{
		"name must have 1 to 128 characters":                               {},
		"name must not have control characters":                            {Name: "a\nb"},
		"queues must have 1 to 128 characters each":                        {Name: "c", Queues: []string{""}},
		"types must be types of events (see event_types), and 'x' is none": {Name: "c", Types: []pgq.EventType{"x"}},
		"keep must be 0 to 10 years":                                       {Name: "c", Keep: -time.Second},
		"start_at must be now, beginning or the id of an event":            {Name: "c", StartAt: "soon"},
	} {
		if _, err := w.q.SetConsumer(ctx, w.pool, c); err == nil || err.Error() != "pgq: "+want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	handle := func(context.Context, pgq.Event) error { return nil }
	for want, c := range map[string]pgq.Consumer{
		"handlers must be set with Handle or HandleTx":  {},
		`types must have "failed", which has a handler`: {Types: []pgq.EventType{pgq.EventPaused}},
		`handlers must have one for "paused"`:           {Types: []pgq.EventType{pgq.EventPaused, pgq.EventFailed}},
		"Lease must be at least 100ms":                  {Lease: time.Millisecond},
		"PollInterval must be at least 1ms":             {PollInterval: -1},
		"RetryAfter must be at least 1ms":               {RetryAfter: 1},
		"BatchSize must be 1 to 10000":                  {BatchSize: 10_001},
		"MaxFailures must not be negative":              {MaxFailures: -1},
	} {
		c.Name = "c"
		if !strings.HasPrefix(want, "handlers must be set") {
			c.Handle(pgq.EventFailed, handle)
		}
		if err := w.q.Consume(ctx, w.pool, &c); err == nil || err.Error() != "pgq: "+want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.consumers"); n != 0 {
		t.Errorf("%d consumers were created", n)
	}
	w.consumer(pgq.Consumer{})
	_, err := w.q.ConsumeEvents(ctx, w.pool, "c", 0)
	wantText(t, err, "pgq: at_most must be 1 to 10000")
	_, err = w.q.LeaseEvents(ctx, w.pool, "c", 1, 0, "")
	wantText(t, err, "pgq: lease must be 1 ms to 1 day")
	wantText(t, w.q.ResetConsumer(ctx, w.pool, "c", "never"), "pgq: start_at must be now, beginning or the id of an event")
	for _, call := range []func() error{
		func() error { return w.q.DeleteConsumer(ctx, w.pool, "x") },
		func() error { return w.q.ResetConsumer(ctx, w.pool, "x", pgq.FromNow) },
		func() error { _, err := w.q.ConsumeEvents(ctx, w.pool, "x", 1); return err },
		func() error { _, err := w.q.LeaseEvents(ctx, w.pool, "x", 1, time.Second, ""); return err },
		func() error { _, err := w.q.ConsumerState(ctx, w.pool, "x"); return err },
	} {
		wantIs(t, "a consumer that is not there", call(), pgq.ErrNotFound)
	}
	must(t, w.q.DeleteConsumer(ctx, w.pool, "c"))
	tx, err := w.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	must(t, err)
	_, err = w.q.SetConsumer(ctx, tx, pgq.Consumer{Name: "c"})
	wantText(t, err, "pgq: transaction_isolation must be read committed where events are consumed")
	must(t, tx.Rollback(ctx))
}
