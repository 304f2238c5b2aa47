package pgq_test

import (
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pgq-go/queue/pgq"
)

// changeAll does a change batch after batch and returns the outcomes of all.
func (w *world) changeAll(change pgq.Change) map[string]int64 {
	w.Helper()
	all := map[string]int64{}
	for {
		done, err := w.q.Change(w.Context(), w.pool, change)
		if err != nil {
			w.Error(err)
			return all
		}
		for outcome, n := range done.Outcomes {
			all[outcome] += n
		}
		if done.Next == 0 {
			return all
		}
		change.Filter.After, change.StartAt = done.Next, done.StartAt
	}
}

func TestTwoOperatorsWhoDoTheSameAtOnceDoItOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		verb    pgq.Verb
		outcome string
		state   pgq.State
		change  pgq.Change
	}{
		{verb: pgq.VerbRetry, outcome: "ready", state: pgq.Cancelled},
		{verb: pgq.VerbDelete, outcome: "deleted", state: pgq.Cancelled},
		{verb: pgq.VerbCancel, outcome: "cancelled", state: pgq.Ready},
		{verb: pgq.VerbMove, outcome: "moved", state: pgq.Ready, change: pgq.Change{Queue: "elsewhere"}},
	} {
		t.Run(string(c.verb), func(t *testing.T) {
			t.Parallel()
			const n = 600
			w := newWorld(t)
			ids, err := w.q.EnqueueMany(t.Context(), w.pool, bulkOf(n))
			must(t, err)
			if c.state == pgq.Cancelled {
				_, err := w.q.Cancel(t.Context(), w.pool, "", ids...)
				must(t, err)
			}
			change := c.change
			change.Verb, change.Batch = c.verb, 70
			change.Filter = pgq.Filter{Queues: []string{"default"}, States: []pgq.State{c.state}, Kinds: []string{"note"}}
			var mu sync.Mutex
			var all sync.WaitGroup
			sum := map[string]int64{}
			for range 3 {
				all.Go(func() {
					outcomes := w.changeAll(change)
					mu.Lock()
					defer mu.Unlock()
					for outcome, n := range outcomes {
						sum[outcome] += n
					}
				})
			}
			all.Wait()
			if sum[c.outcome] != n || len(sum) != 1 {
				t.Errorf("outcomes are %v, want %d %s", sum, n, c.outcome)
			}
			if events := one[int](t, w.pool, "select sum((data -> 'outcomes' ->> $1)::int) from pgq.events where type = 'operated'", c.outcome); events != n {
				t.Errorf("the events tell of %d jobs, want %d", events, n)
			}
		})
	}
}

func TestAChangeLeavesAloneWhatDoesNotFitAnyMore(t *testing.T) {
	t.Parallel()
	const n = 1500
	w := newWorld(t)
	_, err := w.q.EnqueueMany(t.Context(), w.pool, bulkOf(n))
	must(t, err)
	// completeAll completes jobs until there is none to be had.
	completeAll := func(worker int64) (completed int) {
		for {
			claimed := w.claim(worker, "default", 7)
			for _, a := range claimed {
				if err := a.Complete(t.Context(), w.pool, nil); err != nil {
					t.Error(err)
					return completed
				}
			}
			if completed += len(claimed); len(claimed) == 0 {
				return completed
			}
		}
	}
	var all sync.WaitGroup
	var completed [2]int
	for i := range completed {
		worker := w.worker("default")
		all.Go(func() { completed[i] = completeAll(worker) })
	}
	outcomes := w.changeAll(pgq.Change{Verb: pgq.VerbDelete, Batch: 100, Filter: pgq.Filter{States: []pgq.State{pgq.Ready}}})
	all.Wait()
	completed[0] += completeAll(w.worker("default")) // what the others did not get since it was locked
	for outcome := range outcomes {
		if !slices.Contains([]string{"deleted", "missed"}, outcome) {
			t.Errorf("outcomes are %v: only ready jobs were meant", outcomes)
		}
	}
	left := one[int](t, w.pool, "select count(*) from pgq.results where state = 'completed'")
	if left != completed[0]+completed[1] || left+int(outcomes["deleted"]) != n {
		t.Errorf("%d jobs were completed, %d of them are left, %v", completed[0]+completed[1], left, outcomes)
	}
}

func TestARateSpreadsBatchesOverTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids, err := w.q.EnqueueMany(t.Context(), w.pool, bulkOf(25))
	must(t, err)
	_, err = w.q.Cancel(t.Context(), w.pool, "", ids...)
	must(t, err)
	start := time.Now().Add(time.Hour).Truncate(time.Second)
	outcomes := w.changeAll(pgq.Change{Verb: pgq.VerbRetry, Batch: 10, Rate: 5, StartAt: start, Filter: pgq.Filter{IDs: ids}})
	if outcomes["ready"] != 25 {
		t.Errorf("outcomes are %v", outcomes)
	}
	for i, id := range ids {
		if at, want := *w.get(id).RunAt, start.Add(time.Duration(i)*200*time.Millisecond); !at.Equal(want) {
			t.Errorf("job %d of %d runs at %v, want %v", i, len(ids), at, want)
		}
	}
}

func TestPurgeDeletesAQueueButWhatRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	other := w.enqueue(note{}, pgq.Options{Queue: "other"})
	w.enqueue(note{}, pgq.Options{Delay: time.Hour})
	running := w.enqueue(note{}, pgq.Options{Priority: pgq.Prio(0)})
	w.enqueue(note{}, pgq.Options{})
	w.claim(w.worker("default"), "default", 1)
	done, err := w.q.Purge(ctx, w.pool, "default", pgq.Change{Reason: "test"})
	if err != nil || done.Outcomes["deleted"] != 2 || done.Outcomes["running"] != 1 || done.Next != 0 || done.Jobs() != 3 {
		t.Errorf("%+v %v", done, err)
	}
	jobs, _, err := w.q.List(ctx, w.pool, pgq.Filter{})
	if err != nil || len(jobs) != 2 || jobs[0].ID != running || jobs[1].ID != other {
		t.Errorf("%+v %v", jobs, err)
	}
	if moved, err := w.q.Move(ctx, w.pool, "third", other, running); err != nil || moved[0].Outcome != "moved" || moved[1].Outcome != "running" {
		t.Error(moved, err)
	}
	if set, err := w.q.SetPriority(ctx, w.pool, 1, other); err != nil || set[0].Outcome != "changed" || w.get(other).Priority != 1 {
		t.Error(set, err)
	}
	work, err := w.q.QueueWork(ctx, w.pool, "third")
	if err != nil || work != (pgq.QueueWork{Ready: 1}) {
		t.Errorf("%+v %v", work, err)
	}
}

func TestFiltersThatAreWrongAreRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enqueue(note{}, pgq.Options{})
	for field, f := range map[string]pgq.Filter{
		"states":   {States: []pgq.State{"gone"}},
		"args":     {Args: json.RawMessage("{")},
		"metadata": {Metadata: json.RawMessage("nope")},
		"paths":    {Paths: []pgq.PathFilter{{Path: []string{"a"}, In: []json.RawMessage{json.RawMessage("'")}}}},
		"since":    {Since: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)},
		"until":    {Until: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)},
		"filter":   {Error: "a\x00b"},
	} {
		if got, _, _ := refused(func() error { _, _, err := w.q.Select(t.Context(), w.pool, f, 1, false); return err }()); got != field {
			t.Errorf("%s: the field is %q", field, got)
		}
		if got, _, _ := refused(func() error {
			_, err := w.q.Change(t.Context(), w.pool, pgq.Change{Verb: pgq.VerbDelete, Filter: f})
			return err
		}()); got != field {
			t.Errorf("change: %s: the field is %q", field, got)
		}
	}
	for field, change := range map[string]pgq.Change{
		"verb": {}, "filter": {Verb: pgq.VerbDelete}, "queue": {Verb: pgq.VerbMove}, "priority": {Verb: pgq.VerbSetPriority},
		"run_at": {Verb: pgq.VerbReschedule}, "rate": {Verb: pgq.VerbRetry, Rate: -1}, "at_most": {Verb: pgq.VerbRetry, Batch: -1},
	} {
		if field != "filter" {
			change.Filter = pgq.Filter{Queues: []string{"default"}}
		}
		_, err := w.q.Change(t.Context(), w.pool, change)
		if got, _, _ := refused(err); got != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.jobs"); n != 1 {
		t.Errorf("%d jobs are left", n)
	}
	done, err := w.q.Change(t.Context(), w.pool, pgq.Change{Verb: pgq.VerbDelete, Filter: pgq.Filter{IDs: []int64{}}})
	if err != nil || done.Jobs() != 0 {
		t.Errorf("no ids at all: %+v %v", done, err)
	}
}

func TestStrangeWordsAreOnlyWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{`'; drop table jobs; --`, `"q"`, "100%", `back\slash`, "$1", "\u202eright to left", "{a,b}", "NULL", "🐘"} {
		id := w.enqueue(raw{name, `{"` + strings.ReplaceAll(strings.ReplaceAll(name, `\`, `\\`), `"`, `\"`) + `": 1}`}, pgq.Options{Queue: name, Tags: []string{name}})
		f := pgq.Filter{
			Queues: []string{name}, Kinds: []string{name}, Tags: []string{name},
			Paths: []pgq.PathFilter{{Path: []string{name}, In: []json.RawMessage{json.RawMessage("1")}}},
		}
		ids, next, err := w.q.Select(t.Context(), w.pool, f, 10, false)
		if err != nil || !slices.Equal(ids, []int64{id}) || next != 0 {
			t.Errorf("%q: %v %d %v", name, ids, next, err)
		}
		done, err := w.q.Change(t.Context(), w.pool, pgq.Change{Verb: pgq.VerbMove, Queue: name + "2", Filter: f, Reason: name, Actor: name})
		if err != nil || done.Outcomes["moved"] != 1 || w.get(id).Queue != name+"2" {
			t.Errorf("%q: %+v %v", name, done, err)
		}
		done, err = w.q.Change(t.Context(), w.pool, pgq.Change{Verb: pgq.VerbCancel, Filter: pgq.Filter{IDs: []int64{id}}, Reason: name})
		if err != nil || done.Outcomes["cancelled"] != 1 {
			t.Errorf("%q: %+v %v", name, done, err)
		}
		if ids, _, err := w.q.Select(t.Context(), w.pool, pgq.Filter{Error: name}, 10, false); err != nil || !slices.Equal(ids, []int64{id}) {
			t.Errorf("by error %q: %v %v", name, ids, err)
		}
	}
}

func TestChangesWorkThroughDatabaseSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db := stdlib.OpenDBFromPool(w.pool)
	defer func(db *sql.DB) { must(t, db.Close()) }(db)
	id := w.enqueue(note{Text: "x"}, pgq.Options{})
	done, err := w.q.Change(t.Context(), pgq.FromSQL(db), pgq.Change{Verb: pgq.VerbCancel, Reason: "row 7", Filter: pgq.Filter{Args: json.RawMessage(`{"text": "x"}`)}})
	if err != nil || done.Outcomes["cancelled"] != 1 || !slices.Equal(done.IDs["cancelled"], []int64{id}) {
		t.Errorf("%+v %v", done, err)
	}
	fingerprint, err := w.q.Fingerprint(t.Context(), pgq.FromSQL(db), "row 8")
	must(t, err)
	ids, _, err := w.q.Select(t.Context(), pgq.FromSQL(db), pgq.Filter{Fingerprints: []string{fingerprint}}, 10, true)
	if err != nil || !slices.Equal(ids, []int64{id}) {
		t.Error(ids, err)
	}
	groups, err := w.q.Failures(t.Context(), pgq.FromSQL(db), pgq.FailureFilter{Queues: []string{"default"}})
	if err != nil || len(groups) != 0 {
		t.Error(groups, err)
	}
	if last, err := w.q.LastID(t.Context(), pgq.FromSQL(db)); err != nil || last != id {
		t.Error(last, err)
	}
	if n, err := w.q.CountUpTo(t.Context(), pgq.FromSQL(db), pgq.Filter{}, 5); err != nil || n != 1 {
		t.Error(n, err)
	}
}
