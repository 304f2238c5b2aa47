package dagsql_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// note is a callback of a batch.
type note struct {
	Text string `json:"text"`
}

func (note) Kind() string { return "note" }

// watchedBatch returns a batch with so many jobs and all callbacks.
func watchedBatch(jobs int, o dagsql.BatchOptions) *dagsql.Batch {
	b := dagsql.NewBatch("import", o).OnDone(note{"done"}).OnSuccess(note{"success"}).OnFailure(note{"failure"})
	for range jobs {
		b.Add(step{})
	}
	return b
}

func (b *bench) submitBatch(batch *dagsql.Batch) int64 {
	b.t.Helper()
	submitted, err := b.d.SubmitBatch(b.ctx, b.pool, batch)
	must(b.t, err)
	return submitted.ID
}

// batchIs fails the test unless a batch is in this state and so far: "running open 1/3 failed 0".
func (b *bench) batchIs(id int64, state pgq.State, open bool, done, total, failed int64) {
	b.t.Helper()
	got, err := b.d.Batch(b.ctx, b.pool, id)
	must(b.t, err)
	same(b.t, "state, open, done, total, failed", []any{got.State, got.Open, got.Done, got.Total, got.Failed}, []any{state, open, done, total, failed})
}

func items(n int) []pgq.Item {
	all := make([]pgq.Item, n)
	for i := range all {
		all[i] = pgq.Item{Args: step{}}
	}
	return all
}

func TestABatchRunsItsCallbacksWhenAllJobsHaveSucceeded(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submitBatch(watchedBatch(2, dagsql.BatchOptions{}))
	h.takes("jobs/0", "jobs/1")
	h.done("jobs/0", nil)
	h.takes()
	h.batchIs(id, pgq.Running, false, 1, 2, 0)
	h.done("jobs/1", nil)
	h.takes("on_done", "on_success")
	h.batchIs(id, pgq.Running, false, 2, 2, 0)
	h.done("on_done", nil)
	h.done("on_success", nil)
	h.batchIs(id, pgq.Completed, false, 2, 2, 0)
	same(t, "on_failure", h.states(id)["on_failure"], "skipped")
}

func TestTheFirstFailureOfABatchIsToldAtOnceAndOnce(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submitBatch(watchedBatch(3, dagsql.BatchOptions{Open: true}))
	h.takes("jobs/0", "jobs/1", "jobs/2")
	h.fails("jobs/1")
	h.takes("on_failure")
	h.done("on_failure", nil)
	h.batchIs(id, pgq.Running, true, 1, 3, 1)
	ids, err := h.d.AddToBatch(h.ctx, h.pool, id, items(1)...) // there is nothing to watch for any more
	must(t, err)
	same(t, "id", ids, []int64{h.node(id, "jobs/3")})
	h.takes("jobs/3")
	h.fails("jobs/0", "jobs/3")
	h.takes()
	h.done("jobs/2", nil)
	h.takes()
	h.closes(id)
	h.takes("on_done")
	h.done("on_done", nil)
	h.batchIs(id, pgq.Failed, false, 4, 4, 3)
	same(t, "on_success", h.states(id)["on_success"], "skipped!")
}

func (h *hand) closes(id int64) {
	h.t.Helper()
	closed, err := h.d.CloseBatch(h.ctx, h.pool, id)
	if err != nil || !closed {
		h.t.Fatalf("close: %v, %v", closed, err)
	}
}

func TestAnOpenBatchEndsWhenItIsClosed(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submitBatch(watchedBatch(0, dagsql.BatchOptions{Open: true}))
	h.takes()
	h.batchIs(id, pgq.Running, true, 0, 0, 0)
	for range 2 {
		_, err := h.d.AddToBatch(h.ctx, h.pool, id, items(2)...)
		must(t, err)
		h.run()
	}
	h.batchIs(id, pgq.Running, true, 4, 4, 0)
	h.closes(id)
	h.takes("on_done", "on_success")
	again, err := h.d.CloseBatch(h.ctx, h.pool, id)
	same(t, "closed again", []any{again, err}, []any{false, nil})
	refused(t, h.addTo(id), "batch_id", "must be a batch that has not ended")
	h.done("on_done", nil)
	h.done("on_success", nil)
	h.batchIs(id, pgq.Completed, false, 4, 4, 0)
	refused(t, h.addTo(id), "batch_id", "must be a batch that has not ended")
}

func (h *hand) addTo(id int64) error {
	_, err := h.d.AddToBatch(h.ctx, h.pool, id, items(1)...)
	return err
}

// refused fails the test unless the error is about this field and has this in its rule.
func refused(t *testing.T, err error, field, rule string) {
	t.Helper()
	var bad *pgq.ArgumentError
	if !errors.As(err, &bad) || bad.Field != field || !strings.Contains(bad.Rule, rule) {
		t.Errorf("got %v; want %s %s", err, field, rule)
	}
}

func TestAJobAddsOthersToItsClosedBatch(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submitBatch(watchedBatch(1, dagsql.BatchOptions{}))
	h.takes("jobs/0")
	refused(t, h.addTo(id), "batch_id", "must be an open batch")
	tx, err := h.pool.Begin(h.ctx)
	must(t, err)
	ids, err := dagsql.AddToBatch(h.ctx, tx, h.attempt("jobs/0"), items(2)...)
	must(t, err)
	must(t, h.attempt("jobs/0").Complete(h.ctx, tx, nil))
	must(t, tx.Commit(h.ctx))
	same(t, "ids", ids, []int64{h.node(id, "jobs/1"), h.node(id, "jobs/2")})
	_, err = dagsql.AddToBatch(h.ctx, h.pool, h.attempt("jobs/0"), items(1)...)
	refused(t, err, "batch_id", "must be an open batch") // it has completed
	same(t, "what ran", h.run(), []string{"jobs/1", "jobs/2", "on_done", "on_success"})
	h.batchIs(id, pgq.Completed, false, 3, 3, 0)
}

func TestABatchInABatchIsOneOfItsJobs(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	inner := h.submitBatch(dagsql.NewBatch("inner", dagsql.BatchOptions{}).Add(step{}).Add(step{}))
	outer := h.submitBatch(watchedBatch(0, dagsql.BatchOptions{Open: true}).Nest(inner))
	later := h.submitBatch(dagsql.NewBatch("later", dagsql.BatchOptions{Open: true}))
	_, err := h.d.NestBatch(h.ctx, h.pool, outer, later)
	must(t, err)
	h.takes("jobs/0", "jobs/1")
	h.batchIs(outer, pgq.Running, true, 0, 2, 0)
	h.fails("jobs/0")
	h.takes()
	h.done("jobs/1", nil)
	h.takes("on_failure")
	h.batchIs(outer, pgq.Running, true, 1, 2, 1)
	h.closes(outer)
	h.takes()
	h.closes(later) // which is empty
	h.takes("on_done")
	h.done("on_done", nil)
	h.done("on_failure", nil)
	h.batchIs(outer, pgq.Failed, false, 2, 2, 1)
	h.batchIs(later, pgq.Completed, false, 0, 0, 0)
}

func TestBatchesThatWaitForEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	var ids []int64
	for range 4 {
		ids = append(ids, h.submitBatch(dagsql.NewBatch("round", dagsql.BatchOptions{Open: true})))
	}
	// All at once: each but one of these is fine, whichever comes last.
	errs := make([]error, len(ids))
	var wait sync.WaitGroup
	for i := range ids {
		wait.Go(func() { _, errs[i] = h.d.NestBatch(h.ctx, h.pool, ids[i], ids[(i+1)%len(ids)]) })
	}
	wait.Wait()
	failed := 0
	for _, err := range errs {
		if err != nil {
			refused(t, err, "jobs", "must not have a batch that is this one, or that waits for it")
			failed++
		}
	}
	same(t, "refused", failed, 1)
	_, err := h.d.NestBatch(h.ctx, h.pool, ids[0], ids[0])
	refused(t, err, "jobs", "must not have a batch that is this one")
	for _, id := range ids {
		h.closes(id)
	}
	h.run()
	same(t, "completed", one[int](h.bench, "select count(*) from pgq.batches where state = 'completed'"), 4)
}

func TestABatchIsCancelledWithTheBatchesInItAndRetried(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	inner := h.submitBatch(dagsql.NewBatch("inner", dagsql.BatchOptions{}).Add(act{}))
	id := h.submitBatch(dagsql.NewBatch("outer", dagsql.BatchOptions{Open: true}).Add(act{}).Nest(inner))
	outcomes, err := h.d.CancelBatch(h.ctx, h.pool, id, "wrong input")
	must(t, err)
	same(t, "outcomes", outcomes, []pgq.Outcome{{JobID: inner, Outcome: "cancelled"}, {JobID: id, Outcome: "cancelled"}})
	h.takes()
	h.batchIs(id, pgq.Cancelled, false, 2, 2, 2)
	refused(t, h.addTo(id), "batch_id", "must be a batch that has not ended")
	_, err = h.d.RetryBatch(h.ctx, h.pool, id)
	must(t, err)
	h.batchIs(id, pgq.Running, true, 0, 2, 0)
	h.closes(id)
	h.work(nil)
	h.ended(id)
	h.batchIs(id, pgq.Completed, false, 2, 2, 0)
	h.batchIs(inner, pgq.Completed, false, 1, 1, 0)
}

func TestAFailedBatchSucceedsWhenItIsRetried(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submitBatch(watchedBatch(2, dagsql.BatchOptions{}))
	h.takes("jobs/0", "jobs/1")
	h.fails("jobs/0")
	h.done("jobs/1", nil)
	same(t, "what ran", h.run(), []string{"on_done", "on_failure"})
	h.batchIs(id, pgq.Failed, false, 2, 2, 1)
	_, err := h.d.RetryBatch(h.ctx, h.pool, id)
	must(t, err)
	same(t, "what ran", h.run(), []string{"jobs/0", "on_success"}) // the other callbacks have run
	h.batchIs(id, pgq.Completed, false, 2, 2, 0)
}

func TestABatchWithoutJobsSucceedsAndAKeyMakesItOne(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submitBatch(watchedBatch(0, dagsql.BatchOptions{Key: "k", Tags: []string{"t"}, Metadata: map[string]any{"a": 1}}))
	same(t, "what ran", h.run(), []string{"on_done", "on_success"})
	h.batchIs(id, pgq.Completed, false, 0, 0, 0)
	again, err := h.d.SubmitBatch(h.ctx, h.pool, watchedBatch(5, dagsql.BatchOptions{Key: "k"}))
	same(t, "again", []any{again, err}, []any{dagsql.Submitted{ID: id}, nil})
	all, next, err := h.d.Batches(h.ctx, h.pool, dagsql.Filter{Names: []string{"import"}})
	if err != nil || len(all) != 1 || next != 0 || *all[0].Key != "k" || all[0].Percent != nil || all[0].Tags[0] != "t" {
		t.Errorf("got %+v, %d, %v", all, next, err)
	}
}

func TestAFailureEndsABatchThatFailsFast(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := watchedBatch(1, dagsql.BatchOptions{FailFast: true, Open: true}).Add(step{}, pgq.Options{Delay: time.Hour})
	id := h.submitBatch(b)
	h.takes("jobs/0")
	h.fails("jobs/0")
	h.expire()
	same(t, "what ran", h.run(), []string{"on_done", "on_failure"})
	h.batchIs(id, pgq.Failed, false, 2, 2, 2)
}

func TestWhatIsNoBatchIsRefused(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	before := one[int](h.bench, "select count(*) from pgq.jobs")
	fresh := func() *dagsql.Batch { return dagsql.NewBatch("b", dagsql.BatchOptions{}) }
	var none *step
	for _, c := range []struct {
		batch       *dagsql.Batch
		field, rule string
	}{
		{dagsql.NewBatch("", dagsql.BatchOptions{}), "name", "must have 1 to 128 characters"},
		{dagsql.NewBatch("b", dagsql.BatchOptions{Key: strings.Repeat("k", 501)}), "key", "must have 1 to 500 characters"},
		{dagsql.NewBatch("b", dagsql.BatchOptions{Deadline: -1e9}), "deadline", "must be positive"},
		{dagsql.NewBatch("b", dagsql.BatchOptions{Queue: "*"}), "queue", "must not be"},
		{fresh().Add(step{}).Add(nil), "jobs[1].args", "must not be nil"},
		{fresh().Add(none), "jobs[0].args", "must not be nil"},
		{fresh().Add(step{}).Add(step{}, pgq.Options{Priority: pgq.Prio(11)}), "jobs[1].priority", "must be 0 to 9"},
		{fresh().Add(step{}, pgq.Options{RunAt: time.Now()}), "jobs[0].run_at", "must not be given"},
		{fresh().Add(step{}, pgq.Options{Unique: pgq.Unique{Key: "k"}}), "jobs[0].unique", "must not be given"},
		{fresh().OnDone(nil), "on_done.args", "must not be nil"},
		{fresh().OnDone(step{}).OnDone(step{}), "on_done", "must be given once"},
		{fresh().OnFailure(step{}, pgq.Options{Queue: "*"}), "on_failure.queue", "must not be"},
		{fresh().Nest(77), "jobs[0].batch", "must be the id of a batch; 77 is none"},
		{fresh().Nest(-1), "jobs[0].batch", "must be the id of a batch"},
	} {
		_, err := h.d.SubmitBatch(h.ctx, h.pool, c.batch)
		refused(t, err, c.field, c.rule)
	}
	for document, want := range map[string][2]string{
		`[]`:                         {"spec", "must be a JSON object"},
		`{"name": "b", "jobs": {}}`:  {"jobs", "must be a JSON array"},
		`{"name": "b", "jobs": [1]}`: {"jobs[0]", "must be a JSON object"},
		`{"name": "b", "nodes": []}`: {"nodes", "is not a field of a batch"},
		`{"name": "b", "open": 1}`:   {"open", "must be true or false"},
		`{"name": "b", "jobs": [{"kind": "a"}, {"kind": "a", "rule": 1}]}`: {"jobs[1].rule", "is not a field of a job of a batch"},
		`{"name": "b", "jobs": [{"kind": "a", "batch": 1}]}`:               {"jobs[0].batch", "must not be given together"},
		`{"name": "b", "jobs": [{"kind": "a", "delay": "soon"}]}`:          {"jobs[0].delay", "cannot be read as interval"},
		`{"name": "b", "on_done": 1}`:                                      {"on_done", "must be a JSON object"},
		`{"name": "b", "on_done": {}}`:                                     {"on_done.kind", "must have 1 to 128 characters"},
		`{"name": "b", "on_done": {"kind": "a", "unique": {}}}`:            {"on_done.unique", "must not be given for a callback"},
		`{"name": "b", "on_done": {"kind": "a", "after": []}}`:             {"on_done", "has an unknown field"},
	} {
		_, err := h.d.SubmitBatchJSON(h.ctx, h.pool, []byte(document))
		refused(t, err, want[0], want[1])
	}
	same(t, "jobs", one[int](h.bench, "select count(*) from pgq.jobs"), before)
	dag := steps()
	dag.Add("a", step{})
	plain := h.submit(dag)
	for _, id := range []int64{0, 77, plain} {
		if err := h.addTo(id); !errors.Is(err, pgq.ErrNotFound) {
			t.Errorf("batch %d: got %v", id, err)
		}
	}
}

func TestACallbackToAKindThatNoWorkerKnowsIsRefused(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	_, err := h.q.Register(h.ctx, h.pool, pgq.Registration{Name: "w", Queues: []string{"default"}, Kinds: []string{"note", "act"}, Lease: time.Hour})
	must(t, err)
	h.submitBatch(watchedBatch(0, dagsql.BatchOptions{}))
	h.run()
	_, err = h.d.SubmitBatch(h.ctx, h.pool, dagsql.NewBatch("b", dagsql.BatchOptions{}).OnFailure(step{}))
	refused(t, err, "on_failure.kind", "must be a kind that workers know")
}

// Jobs that add others to their batch as they run, several workers, and adders from outside: the callbacks come once, after everything.
func TestABatchGrowsWhileItIsWorked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var mu sync.Mutex
	ran := map[string]int{}
	count := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		ran[what]++
	}
	for range 3 {
		b.work(func(w *worker.Worker) {
			worker.Handle(w, func(ctx context.Context, job *pgq.Job[grow]) error {
				count("grow")
				if job.Args.Depth == 0 {
					return nil
				}
				more := []pgq.Item{{Args: grow{job.Args.Depth - 1}}, {Args: grow{job.Args.Depth - 1}}}
				return inTx(ctx, b, func(tx pgq.DB) error {
					if _, err := dagsql.AddToBatch(ctx, tx, job.Attempt, more...); err != nil {
						return err
					}
					return job.Complete(ctx, tx, nil)
				})
			})
			worker.Handle(w, func(_ context.Context, job *pgq.Job[note]) error { count(job.Args.Text); return nil })
		})
	}
	batch := dagsql.NewBatch("grow", dagsql.BatchOptions{Open: true}).OnDone(note{"done"}).OnSuccess(note{"success"}).OnFailure(note{"failure"})
	id := b.submitBatch(batch)
	var adders sync.WaitGroup
	for range 4 {
		adders.Go(func() {
			for range 5 {
				if _, err := b.d.AddToBatch(b.ctx, b.pool, id, pgq.Item{Args: grow{2}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	adders.Wait()
	if _, err := b.d.CloseBatch(b.ctx, b.pool, id); err != nil {
		t.Fatal(err)
	}
	if run := b.ended(id); run.State != pgq.Completed {
		t.Errorf("it is %s: %v", run.State, deref(run.Error))
	}
	b.batchIs(id, pgq.Completed, false, 140, 140, 0)
	same(t, "what ran", ran, map[string]int{"grow": 140, "done": 1, "success": 1})
}

// grow is a job that adds two of lesser depth to its batch.
type grow struct {
	Depth int `json:"depth"`
}

func (grow) Kind() string { return "grow" }

func inTx(ctx context.Context, b *bench, do func(tx pgq.DB) error) error {
	tx, err := b.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after a commit it does nothing
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
