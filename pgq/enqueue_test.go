package pgq_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

// full is a kind of job that has options of its own, all of them.
type full struct{ N int64 }

func (full) Kind() string { return "full" }
func (full) Options() pgq.Options {
	return pgq.Options{
		Queue: "of-kind", Priority: pgq.Prio(0), Delay: time.Hour, MaxAttempts: 3, Timeout: time.Minute,
		Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: time.Second}, Tags: []string{"kind"},
		Metadata: map[string]any{"of": "kind"}, TTL: 2 * time.Hour, ResultTTL: 3 * time.Hour,
	}
}

// allOptions differ from those of full in everything.
func allOptions() pgq.Options {
	return pgq.Options{
		Queue: "q", Priority: pgq.Prio(9), RunAt: time.Date(2999, 1, 2, 3, 4, 5, 6000, time.UTC), MaxAttempts: 7, Timeout: 1500 * time.Millisecond,
		Backoff: pgq.Backoff{Type: pgq.BackoffExponential, Base: time.Second, Factor: 3, Cap: time.Minute, Jitter: 0.5},
		Tags:    []string{"a", ""}, Metadata: map[string]any{"n": 1.5, "s": []any{"x"}}, TTL: 40 * 24 * time.Hour, ResultTTL: time.Nanosecond * 5000,
	}
}

func TestEnqueueWorksThroughPoolConnectionAndTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.session()
	tx, err := w.pool.Begin(t.Context())
	must(t, err)
	for name, db := range map[string]pgq.DB{"pool": w.pool, "connection": conn, "transaction": tx} {
		job, err := w.q.Enqueue(t.Context(), db, note{name}, pgq.Options{})
		if err != nil || job.NearLimit {
			t.Fatal(name, job, err)
		}
		got, err := w.q.Get(t.Context(), db, job.ID)
		must(t, err)
		if got.State != pgq.Ready || got.Queue != pgq.DefaultQueue || got.Kind != "note" || got.Priority != 5 || string(got.Args) != `{"text": "`+name+`"}` {
			t.Errorf("through a %s: %+v", name, got)
		}
	}
	must(t, tx.Commit(t.Context()))
	if n := one[int](t, w.pool, "select count(*) from pgq.jobs"); n != 3 {
		t.Errorf("there are %d jobs", n)
	}
}

func TestARolledBackTransactionLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tx, err := w.pool.Begin(t.Context())
	must(t, err)
	_, err = w.q.Enqueue(t.Context(), tx, full{}, pgq.Options{})
	must(t, err)
	_, err = w.q.EnqueueMany(t.Context(), tx, []pgq.Item{{Args: note{}}, {Args: note{}}})
	must(t, err)
	_, err = w.q.EnqueueMany(t.Context(), tx, bulkOf(300))
	must(t, err)
	must(t, tx.Rollback(t.Context()))
	w.isEmpty()
}

// isEmpty fails the test if anything is in a table of jobs.
func (w *world) isEmpty() {
	w.Helper()
	for _, table := range []string{"jobs", "ready", "scheduled", "running", "results", "expiries", "events"} {
		if n := one[int](w.T, w.pool, "select count(*) from pgq."+table); n != 0 {
			w.Errorf("%s has %d rows", table, n)
		}
	}
}

func TestAllOptionsArriveOnEveryWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := allOptions()
	single := w.enqueue(note{"x"}, o)
	few, err := w.q.EnqueueMany(t.Context(), w.pool, []pgq.Item{{note{"x"}, o}})
	must(t, err)
	items := bulkOf(250)
	items[100] = pgq.Item{Args: note{"x"}, Options: o}
	many, err := w.q.EnqueueMany(t.Context(), w.pool, items)
	must(t, err)
	for _, id := range []int64{single, few[0], many[100]} {
		got := w.get(id)
		if got.Queue != "q" || got.Priority != 9 || got.State != pgq.Scheduled || !got.RunAt.Equal(o.RunAt) || *got.MaxAttempts != 7 || *got.Timeout != o.Timeout ||
			!reflect.DeepEqual(got.Tags, o.Tags) || got.ExpiresAt.Sub(got.CreatedAt) != o.TTL || string(got.Args) != `{"text": "x"}` {
			t.Errorf("job %d: %+v", id, got)
		}
		var metadata map[string]any
		must(t, json.Unmarshal(got.Metadata, &metadata))
		if !reflect.DeepEqual(metadata, o.Metadata) {
			t.Errorf("job %d has metadata %v", id, metadata)
		}
		var backoff pgq.Backoff
		must(t, json.Unmarshal(one[[]byte](t, w.pool, "select backoff from pgq.jobs where id = $1", id), &backoff))
		if !reflect.DeepEqual(backoff, o.Backoff) || one[time.Duration](t, w.pool, "select result_ttl from pgq.jobs where id = $1", id) != o.ResultTTL {
			t.Errorf("job %d has backoff %+v", id, backoff)
		}
	}
}

func TestOptionsOfTheCallWinOverThoseOfTheKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kind := w.get(w.enqueue(full{1}, pgq.Options{}))
	if kind.Queue != "of-kind" || kind.Priority != 0 || kind.State != pgq.Scheduled || kind.RunAt.Sub(kind.CreatedAt) != time.Hour || *kind.MaxAttempts != 3 ||
		*kind.Timeout != time.Minute || kind.Tags[0] != "kind" || string(kind.Metadata) != `{"of": "kind"}` || kind.ExpiresAt.Sub(kind.CreatedAt) != 2*time.Hour {
		t.Errorf("the options of the kind came as %+v", kind)
	}
	o := allOptions()
	call := w.get(w.enqueue(full{1}, o))
	if call.Queue != "q" || call.Priority != 9 || !call.RunAt.Equal(o.RunAt) || *call.MaxAttempts != 7 || *call.Timeout != o.Timeout || call.Tags[0] != "a" ||
		call.ExpiresAt.Sub(call.CreatedAt) != o.TTL {
		t.Errorf("the options of the call came as %+v", call)
	}
	some := w.get(w.enqueue(full{1}, pgq.Options{Priority: pgq.Prio(5), Tags: []string{}}))
	if some.Queue != "of-kind" || some.Priority != 5 || len(some.Tags) != 0 {
		t.Errorf("a mixture came as %+v", some)
	}
}

func TestNumbersBeyondFloatsSurvive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const big = 1<<53 + 1
	ids := []int64{w.enqueue(full{big}, pgq.Options{Delay: 1, Queue: "default"})}
	few, err := w.q.EnqueueMany(t.Context(), w.pool, []pgq.Item{{full{big}, pgq.Options{Delay: 1, Queue: "default"}}})
	must(t, err)
	items := make([]pgq.Item, 200)
	for i := range items {
		items[i] = pgq.Item{Args: full{big}, Options: pgq.Options{Delay: 1, Queue: "default"}}
	}
	many, err := w.q.EnqueueMany(t.Context(), w.pool, items)
	must(t, err)
	ids = append(ids, few[0], many[199])
	_, err = w.q.Retry(t.Context(), w.pool, append(many, ids...)...)
	must(t, err)
	worker := w.worker("default")
	claimed := w.claim(worker, "default", 1000)
	if len(claimed) != 202 {
		t.Fatalf("%d jobs were claimed", len(claimed))
	}
	for _, a := range claimed {
		var args full
		must(t, a.DecodeArgs(&args))
		if args.N != big {
			t.Fatalf("job %d got %d", a.ID, args.N)
		}
		completion, err := a.NewCompletion(full{big})
		must(t, err)
		_, err = w.q.Complete(t.Context(), w.pool, worker, []pgq.Completion{completion})
		must(t, err)
	}
	result, err := pgq.Result[full](t.Context(), w.q, w.pool, ids[0])
	if err != nil || result.N != big {
		t.Error(result, err)
	}
}

func TestBackpressureIsToldInGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	must(t, w.q.SetQueue(ctx, w.pool, "q", pgq.QueueSettings{MaxDepth: ptr(int64(3)), WarnDepth: ptr(int64(1))}))
	o := pgq.Options{Queue: "q"}
	for i, near := range []bool{false, true, true} {
		job, err := w.q.Enqueue(ctx, w.pool, note{}, o)
		if err != nil || job.NearLimit != near {
			t.Errorf("job %d: %+v %v", i, job, err)
		}
	}
	if _, err := w.q.Enqueue(ctx, w.pool, note{}, o); !errors.Is(err, pgq.ErrQueueFull) {
		t.Error(err)
	}
	for _, n := range []int{1, 300} {
		items := bulkOf(n)
		items[n-1].Options = o
		if _, err := w.q.EnqueueMany(ctx, w.pool, items); !errors.Is(err, pgq.ErrQueueFull) {
			t.Error(n, err)
		}
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.jobs"); n != 3 {
		t.Errorf("there are %d jobs", n)
	}
	w.claim(w.worker("q"), "q", 2)
	if _, err := w.q.EnqueueMany(ctx, w.pool, []pgq.Item{{note{}, o}, {note{}, o}}); err != nil {
		t.Error("there is room again, but:", err)
	}
}

func TestAClientWithoutNotifySendsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	quiet := pgq.New(pgq.Config{NoNotify: true})
	listener := w.session()
	_, err := listener.Exec(t.Context(), "listen "+pgx.Identifier{w.q.Channel()}.Sanitize())
	must(t, err)
	keys, err := w.q.SleepGate(t.Context(), w.pool, "default")
	must(t, err)
	_, err = listener.Exec(t.Context(), "select pg_advisory_lock_shared(k) from unnest($1::bigint[]) k", keys)
	must(t, err)

	for _, c := range []*pgq.Client{quiet, w.q} {
		_, err := c.Enqueue(t.Context(), w.pool, note{}, pgq.Options{})
		must(t, err)
		for _, n := range []int{2, 300} {
			_, err = c.EnqueueMany(t.Context(), w.pool, bulkOf(n))
			must(t, err)
		}
		if c == quiet {
			_, err = w.pool.Exec(t.Context(), `select pg_notify($1, 'end of quiet')`, w.q.Channel())
			must(t, err)
		}
	}
	for _, want := range []string{"end of quiet", "wake default", "wake default", "wake default"} {
		got, err := listener.WaitForNotification(t.Context())
		must(t, err)
		if got.Payload != want {
			t.Errorf("got %q, want %q", got.Payload, want)
		}
	}
}

func TestNobodyAsleepMeansNoNotification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	listener := w.session()
	_, err := listener.Exec(t.Context(), "listen "+pgx.Identifier{w.q.Channel()}.Sanitize())
	must(t, err)
	w.enqueue(note{}, pgq.Options{})
	w.exec(`select pg_notify($1, 'end')`, w.q.Channel())
	got, err := listener.WaitForNotification(t.Context())
	if err != nil || got.Payload != "end" {
		t.Error(got, err)
	}
}

func TestAnEndedContextEnqueuesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.q.Enqueue(ctx, w.pool, note{}, pgq.Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := w.q.EnqueueMany(ctx, w.pool, bulkOf(300)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.isEmpty()
}
