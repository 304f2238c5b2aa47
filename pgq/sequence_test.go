package pgq_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

// states returns how many jobs are in each state.
func (w *world) states() map[pgq.State]int64 {
	w.Helper()
	counts, err := w.q.Counts(w.Context(), w.pool)
	must(w.T, err)
	states := map[pgq.State]int64{}
	for _, c := range counts {
		states[c.State] += c.Jobs
	}
	return states
}

func (w *world) sequence(key string) pgq.SequenceState {
	w.Helper()
	s, err := w.q.Sequence(w.Context(), w.pool, key)
	must(w.T, err)
	return s
}

// doChores does the chores until there are none to be done at once.
func (w *world) doChores() {
	w.Helper()
	until(w.T, "no chore is due", func() bool { return one[int](w.T, w.pool, "select pgq.do_chores()") >= 100 })
}

const completeAll = "select count(*) from complete($1, array(select job_id from running where worker_id = $1), array(select attempt from running where worker_id = $1))"

// Neither waits for the other; the chores find what comes of it.
func TestWhoEndsTheHeadDoesNotWaitForWhoAddsTheNext(t *testing.T) {
	t.Parallel()
	for _, commits := range []bool{true, false} {
		t.Run(fmt.Sprint("commits ", commits), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			conn, worker := w.session(), w.worker("default")
			first := w.enqueue(note{}, pgq.Options{Sequence: "k"})
			w.claim(worker, "default", 1)
			tx, err := w.pool.Begin(t.Context())
			must(t, err)
			defer tx.Rollback(t.Context()) //nolint:errcheck // after a commit it does nothing
			next, err := w.q.Enqueue(t.Context(), tx, note{}, pgq.Options{Sequence: "k"})
			must(t, err)

			_, err = conn.Exec(t.Context(), "set lock_timeout = '1s'")
			must(t, err)
			if n := one[int](t, conn, completeAll, worker); n != 1 {
				t.Fatalf("completed %d jobs", n)
			}
			if s := w.sequence("k"); s.State != pgq.SequenceHandingOver || s.Waiting != 0 {
				t.Errorf("%+v", s)
			}
			if n := one[int](t, conn, "select fill_sequences(10)"); n != 0 {
				t.Errorf("the chores could do %d", n)
			}
			if commits {
				must(t, tx.Commit(t.Context()))
			} else {
				must(t, tx.Rollback(t.Context()))
			}
			w.doChores()
			if !commits {
				if _, err := w.q.Sequence(t.Context(), w.pool, "k"); !errors.Is(err, pgq.ErrNotFound) {
					t.Errorf("the sequence is left: %v", err)
				}
				return
			}
			if s := w.sequence("k"); s.State != pgq.SequenceActive || *s.JobID != next.ID || *s.JobID == first {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestWhoAddsTheNextAfterTheLastHasEndedBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn, worker := w.session(), w.worker("default")
	w.enqueue(note{}, pgq.Options{Sequence: "k"})
	w.claim(worker, "default", 1)
	tx, err := conn.Begin(t.Context())
	must(t, err)
	one[int](t, tx, completeAll, worker)
	var adding sync.WaitGroup
	var next int64
	adding.Go(func() { next = w.enqueue(note{}, pgq.Options{Sequence: "k"}) })
	until(t, "the one who adds waits", func() bool {
		return one[bool](t, w.pool, "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')")
	})
	must(t, tx.Commit(t.Context()))
	adding.Wait()
	if s := w.sequence("k"); s.State != pgq.SequenceActive || *s.JobID != next || *s.JobState != "ready" {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsLockedInLineHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn, worker := w.session(), w.worker("default")
	w.enqueue(note{}, pgq.Options{Sequence: "k"})
	second := w.enqueue(note{}, pgq.Options{Sequence: "k"})
	w.enqueue(note{}, pgq.Options{Sequence: "k"})
	w.claim(worker, "default", 1)
	other := w.session()
	tx, err := other.Begin(t.Context())
	must(t, err)
	if _, err := tx.Exec(t.Context(), "select from waiting where job_id = $1 for share", second); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), "set lock_timeout = '1s'")
	must(t, err)
	one[int](t, conn, completeAll, worker)
	if s := w.sequence("k"); s.State != pgq.SequenceHandingOver || s.Waiting != 2 {
		t.Errorf("%+v", s)
	}
	must(t, tx.Rollback(t.Context()))
	w.doChores()
	if s := w.sequence("k"); *s.JobID != second {
		t.Errorf("%+v", s)
	}
}

func TestABulkOfSequences(t *testing.T) {
	t.Parallel()
	for _, n := range []int{30, 1000} { // as JSON, by COPY
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			items := make([]pgq.Item, n)
			for i := range items {
				items[i] = pgq.Item{Args: note{}, Options: pgq.Options{Sequence: fmt.Sprint("k", i%3), OnFailure: pgq.SkipSequence}}
				switch {
				case i%10 == 9:
					items[i].Options = pgq.Options{}
				case i%10 == 4:
					items[i].Options.Delay = time.Hour
				}
			}
			ids, err := w.q.EnqueueMany(t.Context(), w.pool, items)
			must(t, err)
			if got := w.states(); got[pgq.Ready] != int64(n/10+3) || got[pgq.Waiting] != int64(n-n/10-3) {
				t.Errorf("%v", got)
			}
			line, err := w.q.SequenceLine(t.Context(), w.pool, "k1", 0, 3)
			must(t, err)
			if len(line) != 3 || line[0].ID != ids[1] || line[0].State != pgq.Ready || line[1].ID != ids[4] || *line[2].Sequence != "k1" || *line[2].OnFailure != pgq.SkipSequence {
				t.Errorf("%+v", line)
			}
			worker := w.worker("default")
			w.claim(worker, "default", int32(n))
			one[int](t, w.session(), completeAll, worker)
			if job := w.get(ids[4]); job.State != pgq.Scheduled || time.Until(*job.RunAt) < 50*time.Minute {
				t.Errorf("%+v", job)
			}
			all, err := w.q.Sequences(t.Context(), w.pool, pgq.SequenceActive, "k0", 10)
			must(t, err)
			if len(all) != 2 || all[0].Key != "k1" || !all[0].Exact {
				t.Errorf("%+v", all)
			}
		})
	}
}

func TestSequencesThatBreakARuleAreRefusedInGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := make([]byte, 501)
	for i := range long {
		long[i] = 'k'
	}
	for _, c := range []struct {
		options     pgq.Options
		field, rule string
	}{
		{pgq.Options{Sequence: string(long)}, "sequence", "must have 1 to 500 characters"},
		{pgq.Options{Sequence: "a\x00"}, "sequence", "must be valid UTF-8 without NUL"},
		{pgq.Options{Sequence: "a\xff"}, "sequence", "must be valid UTF-8 without NUL"},
		{pgq.Options{Sequence: "k", OnFailure: "wait"}, "on_failure", "must be stop, skip or continue"},
		{pgq.Options{OnFailure: pgq.StopSequence}, "on_failure", "must not be given without a sequence"},
		{pgq.Options{Sequence: "k", Unique: pgq.Unique{Key: "u", Debounce: time.Second}}, "sequence", "must not be given together with a unique key that replaces, debounces or throttles"},
		{pgq.Options{Sequence: "k", Unique: pgq.Unique{Key: "u", OnConflict: pgq.ReplaceQueued}}, "sequence", "must not be given together with a unique key that replaces, debounces or throttles"},
	} {
		var bad *pgq.ArgumentError
		if _, err := w.q.Enqueue(t.Context(), w.pool, note{}, c.options); !errors.As(err, &bad) || bad.Field != c.field || bad.Rule != c.rule {
			t.Errorf("%+v: %v", c.options, err)
		}
		if _, err := w.q.EnqueueMany(t.Context(), w.pool, []pgq.Item{{Args: note{}}, {Args: note{}, Options: c.options}}); !errors.As(err, &bad) || bad.Field != "jobs[1]."+c.field {
			t.Errorf("%+v: %v", c.options, err)
		}
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.jobs"); n != 0 {
		t.Errorf("%d jobs", n)
	}
}

// A DAG may wait for a job of a sequence, whose retry must then get in line like any other.
func TestARetriedJobForWhichADAGWaitsLinesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn, worker := w.session(), w.worker("default")
	first := w.enqueue(note{}, pgq.Options{Sequence: "k", OnFailure: pgq.ContinueSequence, MaxAttempts: 1})
	second := w.enqueue(note{}, pgq.Options{Sequence: "k"})
	one[int64](t, conn, fmt.Sprintf(`select dag_id from dag_submit('{"name": "d", "nodes": [{"name": "n", "kind": "n", "queue": "dag", "after": [{"job": %d}]}]}')`, first))
	fail := "select count(*) from fail($1, array(select job_id from running), array(select attempt from running), '{x}')"
	w.claim(worker, "default", 9)
	one[int](t, conn, fail, worker)
	w.claim(worker, "default", 9)
	outcomes, err := w.q.Retry(t.Context(), w.pool, first)
	must(t, err)
	if got := w.get(first).State; got != pgq.Waiting {
		t.Errorf("%v: it is %s while %d is %s", outcomes, got, second, w.get(second).State)
	}
	one[int](t, conn, completeAll, worker)
	if got := w.get(first).State; got != pgq.Ready {
		t.Errorf("it is %s when the other one has ended", got)
	}
}

// Enqueuers of which half roll back, workers that complete, fail or cancel, and the chores, all at the same keys: nothing stays behind.
func TestManySequencesOfManySessionsComeToTheirEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const keys, enqueuers, rounds = 3, 4, 40
	var adding, working sync.WaitGroup
	var added atomic.Int64
	for range enqueuers {
		adding.Go(func() {
			for range rounds {
				err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
					_, err := w.q.Enqueue(t.Context(), tx, note{}, pgq.Options{Sequence: fmt.Sprint("k", rand.IntN(keys)), OnFailure: pgq.ContinueSequence, MaxAttempts: 1})
					if err == nil && rand.IntN(2) == 0 {
						err = errRollback
					}
					return err
				})
				switch {
				case err == nil:
					added.Add(1)
				case !errors.Is(err, errRollback):
					t.Error(err)
				}
			}
		})
	}
	var ended atomic.Bool
	for i := range 2 {
		conn, id := w.session(), w.worker("default")
		working.Go(func() {
			for !ended.Load() {
				claimed, err := w.q.Claim(t.Context(), conn, pgq.ClaimRequest{WorkerID: id, Queues: []string{"default"}, Limits: []int32{2}})
				if err != nil {
					t.Error(err)
					return
				}
				verb := completeAll
				if i == 1 && len(claimed) == 1 {
					verb = "select count(*) from fail($1, array(select job_id from running where worker_id = $1), array(select attempt from running where worker_id = $1), '{x}')"
				}
				if _, err := conn.Exec(t.Context(), verb, id); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	chores := w.session()
	working.Go(func() {
		for !ended.Load() {
			if _, err := chores.Exec(t.Context(), "select do_chores()"); err != nil {
				t.Error(err)
				return
			}
		}
	})
	adding.Wait()
	until(t, "all have ended", func() bool {
		return t.Failed() || one[int64](t, w.pool, "select count(*) from pgq.results") == added.Load()
	})
	ended.Store(true)
	working.Wait()
	until(t, "no sequence is left", func() bool {
		_, err := w.pool.Exec(t.Context(), "select pgq.do_chores()")
		return err != nil || one[int](t, w.pool, "select count(*) from pgq.sequences") == 0
	})
}

var errRollback = errors.New("rolled back")
