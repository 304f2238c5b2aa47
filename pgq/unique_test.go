package pgq_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

type shopSync struct{ Shop, N int }

func (shopSync) Kind() string { return "sync" }

func TestOfManyThatEnqueueOneKeyAtOnceThereIsOneJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for round := range 5 {
		key := fmt.Sprintf("key-%d", round)
		var all sync.WaitGroup
		committed := make([]int64, 100)
		for i := range committed {
			all.Go(func() {
				tx, err := w.pool.Begin(w.Context())
				if err != nil {
					t.Error(err)
					return
				}
				defer tx.Rollback(w.Context()) //nolint:errcheck // after a commit it does nothing
				job, err := w.q.Enqueue(w.Context(), tx, shopSync{N: i}, pgq.Options{Unique: pgq.Unique{Key: key}})
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					if err := tx.Commit(w.Context()); err != nil {
						t.Error(err)
					}
					committed[i] = job.ID
				}
			})
		}
		all.Wait()
		var n int
		var id int64
		must(t, w.pool.QueryRow(w.Context(), "select count(*), min(id) from pgq.jobs where unique_key = $1", key).Scan(&n, &id))
		if n != 1 {
			t.Errorf("%d jobs have the key", n)
		}
		for i, got := range committed {
			if i%2 == 0 && got != id {
				t.Errorf("the transaction %d was told of job %d; there is job %d", i, got, id)
			}
		}
	}
}

// A job that is barred by one which is queued relies on that one seeing what its transaction has written.
func TestAQueuedJobThatBarsOthersDoesNotStartBeforeTheyHaveCommitted(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"alone", "in a run"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			unique := pgq.Unique{By: []string{"args.Shop"}, While: pgq.Queued}
			items := []pgq.Item{{Args: shopSync{Shop: 1}, Options: pgq.Options{Unique: unique}}}
			if where == "in a run" {
				items = append(items, pgq.Item{Args: shopSync{Shop: 2}})
			}
			ids, err := w.q.EnqueueMany(w.Context(), w.pool, items)
			must(t, err)
			tx, err := w.pool.Begin(w.Context())
			must(t, err)
			defer tx.Rollback(w.Context()) //nolint:errcheck // after a commit it does nothing
			job, err := w.q.Enqueue(w.Context(), tx, shopSync{Shop: 1}, pgq.Options{Unique: unique})
			must(t, err)
			if !job.Existing || job.ID != ids[0] {
				t.Fatalf("got %+v, want job %d", job, ids[0])
			}
			worker := w.worker("default")
			if got := w.claim(worker, "default", 9); len(got) != 0 {
				t.Errorf("%d jobs were claimed before the commit", len(got))
			}
			must(t, tx.Commit(w.Context()))
			if got := w.claim(worker, "default", 9); len(got) != len(ids) {
				t.Errorf("%d jobs were claimed after the commit, want %d", len(got), len(ids))
			}
			job, err = w.q.Enqueue(w.Context(), w.pool, shopSync{Shop: 1}, pgq.Options{Unique: unique})
			must(t, err)
			if job.Existing {
				t.Error("a running job bars one that is to be unique while it is queued")
			}
		})
	}
}

func TestBulksGiveAVerdictPerJob(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 1000} { // as JSON, by COPY
		t.Run(fmt.Sprint(n, " jobs"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			earlier := w.enqueue(shopSync{}, pgq.Options{Unique: pgq.Unique{Key: "1", For: time.Hour}})
			items := make([]pgq.Item, n)
			for i := range items {
				items[i] = pgq.Item{Args: shopSync{N: i}, Options: pgq.Options{Delay: time.Duration(i%2) * time.Hour, TTL: 2 * time.Hour,
					Unique: pgq.Unique{Key: fmt.Sprint(i % (n - 1)), For: time.Hour}}}
			}
			got, err := w.q.EnqueueEach(w.Context(), w.pool, items)
			must(t, err)
			for i, job := range got {
				switch {
				case i == 1 && (job.ID != earlier || !job.Existing), i == n-1 && (job.ID != got[0].ID || !job.Existing), i%(n-1) > 1 && job.Existing:
					t.Errorf("job %d: %+v", i, job)
				}
			}
			var jobs, keys int
			must(t, w.pool.QueryRow(w.Context(), "select (select count(*) from pgq.jobs), (select count(*) from pgq.unique_keys where holds_until is not null)").Scan(&jobs, &keys))
			if jobs != n-1 || keys != n-1 {
				t.Errorf("%d jobs and %d keys, want %d", jobs, keys, n-1)
			}
			again, err := w.q.EnqueueMany(w.Context(), w.pool, items)
			must(t, err)
			for i := range again {
				if again[i] != got[i].ID {
					t.Fatalf("job %d is %d at the second time, was %d", i, again[i], got[i].ID)
				}
			}
			items[n-1].Options.Unique.OnConflict = pgq.ConflictError
			if _, err := w.q.EnqueueMany(w.Context(), w.pool, items); !errors.Is(err, pgq.ErrDuplicate) {
				t.Errorf("got %v, want ErrDuplicate", err)
			}
		})
	}
}

func TestUniqueInGoMeansWhatItMeansInSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		unique pgq.Unique
		field  string
	}{
		{pgq.Unique{While: pgq.Queued}, "unique.key"},
		{pgq.Unique{Key: "k", By: []string{"queue"}}, "unique"},
		{pgq.Unique{Key: "k", While: "ever"}, "unique.while"},
		{pgq.Unique{Key: "k", OnConflict: "ignore"}, "unique.on_conflict"},
		{pgq.Unique{Key: "k", For: time.Nanosecond}, "unique.for"},
		{pgq.Unique{Key: "k", For: -time.Hour}, "unique.for"},
		{pgq.Unique{Key: "k", Period: time.Hour, For: time.Hour}, "unique.period"},
		{pgq.Unique{Key: "k", MaxWait: time.Hour}, "unique.debounce.max_wait"},
		{pgq.Unique{Key: "k", Trailing: true}, "unique.throttle.edge"},
		{pgq.Unique{Key: "k\x00"}, "unique"},
		{pgq.Unique{By: []string{"metadata"}}, "unique.by"},
		{pgq.Unique{Key: "k", Debounce: time.Second, Throttle: time.Second}, "unique.throttle"},
	} {
		_, err := w.q.Enqueue(w.Context(), w.pool, shopSync{}, pgq.Options{Unique: c.unique})
		var bad *pgq.ArgumentError
		if !errors.As(err, &bad) || bad.Field != c.field {
			t.Errorf("%+v: got %v, want an error of %s", c.unique, err, c.field)
		}
		items := make([]pgq.Item, 300)
		for i := range items {
			items[i] = pgq.Item{Args: shopSync{}}
		}
		items[299].Options.Unique = c.unique
		if _, err := w.q.EnqueueMany(w.Context(), w.pool, items); !errors.As(err, &bad) || bad.Field != "jobs[299]."+c.field {
			t.Errorf("%+v in a bulk: got %v, want an error of %s", c.unique, err, c.field)
		}
	}
	var n int
	must(t, w.pool.QueryRow(w.Context(), "select count(*) from pgq.jobs").Scan(&n))
	if n != 0 {
		t.Errorf("%d jobs were written", n)
	}
	job := w.enqueue(shopSync{N: 1}, pgq.Options{Unique: pgq.Unique{Key: "d", Debounce: time.Hour, MaxWait: 90 * time.Minute}})
	later, err := w.q.Enqueue(w.Context(), w.pool, shopSync{N: 2}, pgq.Options{Unique: pgq.Unique{Key: "d", Debounce: time.Hour, MaxWait: 90 * time.Minute}})
	must(t, err)
	if later.ID != job || !later.Replaced {
		t.Errorf("got %+v, want job %d replaced", later, job)
	}
}
