package pgq_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

func TestBackoffsAreKeptAsTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, policy := range []pgq.Backoff{
		{Type: pgq.BackoffConstant},
		{Type: pgq.BackoffPolynomial, Base: 1500 * time.Millisecond, Exponent: 3.5, Cap: time.Hour, Jitter: 1},
		{Type: pgq.BackoffTable, Delays: []time.Duration{0, time.Millisecond, 365 * 24 * time.Hour}},
		{Type: pgq.BackoffTable, Delays: []time.Duration{time.Second}, Cap: time.Second, Jitter: 0.5},
	} {
		must(t, w.q.SetKind(t.Context(), w.pool, "note", pgq.KindSettings{Backoff: &policy}))
		got, err := w.q.KindSettings(t.Context(), w.pool, "note")
		if err != nil || !reflect.DeepEqual(*got.Backoff, policy) {
			t.Errorf("of a kind: got %+v, %v; want %+v", got.Backoff, err, policy)
		}
		must(t, w.q.SetQueue(t.Context(), w.pool, "q", pgq.QueueSettings{Backoff: &policy}))
		settings, err := w.q.QueueSettings(t.Context(), w.pool, "q")
		if err != nil || !reflect.DeepEqual(*settings.Backoff, policy) {
			t.Errorf("of a queue: got %+v, %v; want %+v", settings.Backoff, err, policy)
		}
		w.enqueue(note{}, pgq.Options{Backoff: policy})
	}
	must(t, w.q.SetKind(t.Context(), w.pool, "note", pgq.KindSettings{}))
	if got, err := w.q.KindSettings(t.Context(), w.pool, "note"); err != nil || got.Backoff != nil {
		t.Errorf("after a reset: %+v, %v", got, err)
	}
	if got, err := w.q.KindSettings(t.Context(), w.pool, "unheard of"); err != nil || got.Backoff != nil {
		t.Errorf("of a kind without settings: %+v, %v", got, err)
	}
}

func TestBackoffsThatCannotBeAreRefusedInGoAndInSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, policy := range []pgq.Backoff{
		{Type: "sine", Base: 1},
		{Base: time.Second},
		{Type: pgq.BackoffLinear, Base: -1},
		{Type: pgq.BackoffPolynomial, Base: time.Second, Exponent: -1},
		{Type: pgq.BackoffPolynomial, Base: time.Second, Exponent: 10.5},
		{Type: pgq.BackoffTable, Delays: []time.Duration{}},
		{Type: pgq.BackoffTable, Delays: make([]time.Duration, 101)},
		{Type: pgq.BackoffTable, Delays: []time.Duration{time.Second, -time.Second}},
		{Type: pgq.BackoffTable, Delays: []time.Duration{366 * 24 * time.Hour}},
		{Type: pgq.BackoffExponential, Base: time.Second, Delays: []time.Duration{time.Second}},
	} {
		var inGo, inSQL *pgq.ArgumentError
		_, err := w.q.Enqueue(t.Context(), w.pool, note{}, pgq.Options{Backoff: policy})
		if !errors.As(err, &inGo) || inGo.Field != "backoff" {
			t.Errorf("%+v in Go: %v", policy, err)
			continue
		}
		err = w.q.SetKind(t.Context(), w.pool, "note", pgq.KindSettings{Backoff: &policy})
		if !errors.As(err, &inSQL) || inSQL.Field != "backoff" || inSQL.Rule != inGo.Rule {
			t.Errorf("%+v in SQL: %v, in Go: %v", policy, err, inGo)
		}
	}
	for _, kind := range []string{"", "a\x00b", "a\xffb"} {
		var argument *pgq.ArgumentError
		if err := w.q.SetKind(t.Context(), w.pool, kind, pgq.KindSettings{}); !errors.As(err, &argument) {
			t.Errorf("kind %q: %v", kind, err)
		}
	}
}

func TestABackoffOfOptionsIsThatOfTheCallElseThatOfTheKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	table := pgq.Backoff{Type: pgq.BackoffTable, Delays: []time.Duration{time.Second}}
	id := w.enqueue(full{}, pgq.Options{Backoff: table, MaxAttempts: pgq.Unlimited})
	if got := string(w.get(id).Backoff); got != `{"type": "table", "delays": [1]}` {
		t.Errorf("the backoff is %s", got)
	}
	if got := *w.get(id).MaxAttempts; got != pgq.Unlimited {
		t.Errorf("it is tried %d times", got)
	}
	if got := one[*string](t, w.pool, "select backoff ->> 'type' from pgq.jobs where id = $1", w.enqueue(full{}, pgq.Options{})); got == nil {
		t.Error("the backoff of the kind is lost")
	}
}

func TestAnOpenTransactionOfADeadWorkerHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.enqueue(note{}, pgq.Options{})
	}
	id := w.worker("default")
	claimed := w.claim(id, "default", 3)
	w.exec("update pgq.workers set heartbeat_at = '-infinity'")
	rescue := func(want int, left ...int) {
		t.Helper()
		if got := one[int](t, w.pool, "select pgq.rescue()"); got != want {
			t.Errorf("%d jobs were rescued, want %d", got, want)
		}
		if got := one[int](t, w.pool, "select count(*) from pgq.workers"); got != left[0] {
			t.Errorf("%d workers are registered, want %d", got, left[0])
		}
		w.check(t.Context())
	}
	must(t, pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		ctx := context.WithValue(t.Context(), pgq.AttemptKey{}, claimed[0])
		if _, err := pgq.StepIn(ctx, tx, "step", func(context.Context) (int, error) { return 1, nil }); err != nil {
			return err
		}
		if err := claimed[1].Complete(t.Context(), tx, nil); err != nil {
			return err
		}
		rescue(1, 1) // the third
		rescue(0, 1)
		return nil
	}))
	rescue(1, 1) // the first; the second is completed
	rescue(0, 0)
	for i, want := range []pgq.State{pgq.Ready, pgq.Completed, pgq.Ready} {
		if got := w.get(claimed[i].ID).State; got != want {
			t.Errorf("job %d is %s, want %s", i, got, want)
		}
	}
}

// A job that waits for a signal, and one that sends it, each in a transaction: whoever is told "kept" is heard later.
func TestASignalInATransactionIsSeenWhenThatCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.enqueue(note{}, pgq.Options{})
	must(t, pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		outcome, err := w.q.Signal(t.Context(), tx, id, "go", map[string]any{"n": 9007199254740993})
		if err != nil || outcome != pgq.SignalKept {
			t.Errorf("the signal is %s, %v", outcome, err)
		}
		if steps, err := w.q.Steps(t.Context(), w.pool, id); err != nil || len(steps) != 0 {
			t.Errorf("seen before the commit: %v, %v", steps, err)
		}
		return nil
	}))
	steps, err := w.q.Steps(t.Context(), w.pool, id)
	must(t, err)
	var value struct{ N int64 }
	if len(steps) != 1 || steps[0].Type != "signal" || steps[0].Attempt != nil || steps[0].DoneAt == nil || steps[0].Decode(&value) != nil || value.N != 9007199254740993 {
		t.Errorf("kept is %+v, with %d", steps, value.N)
	}
	if outcomes, err := w.q.ForgetSteps(t.Context(), w.pool, id); err != nil || outcomes[0].Outcome != "ready" {
		t.Errorf("forgetting those of a ready job: %v, %v", outcomes, err)
	}
}
