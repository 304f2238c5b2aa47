package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// Batch says how jobs are collected for a handler that takes several at once.
type Batch[A pgq.Args] struct {
	// Max is how many jobs a call takes at the most, at least 1; never more than the concurrency of the queue, since each job
	// that is collected or run holds a slot.
	Max int
	// Wait is how long the first job of a batch waits for others; it is handled with those that have come when it has passed. 0 takes
	// what the worker has got in the same go.
	Wait time.Duration
	// By, if not nil, returns a key: a batch has jobs of one key only.
	By func(job *pgq.Job[A]) string
}

// HandleBatch makes fn run jobs of kind A several at once: up to b.Max of one queue, and of one key if b.By is given. fn answers
// with an error per job, in the order of jobs: nil or one of the answers of [Handle]; nil for all of them means that all
// succeeded, and [ForAll] gives each the same. A number of answers that is not that of the jobs fails all of them, and so does a panic.
//
// Each job keeps its own lease, attempts, timeout and slot: for batches of 100, two at a time, the queue needs a concurrency of 200.
// The context of fn ends when one of the jobs times out, when the worker stops and its grace period is over, and when
// all jobs were cancelled or lost their leases; it is no job's: JobFrom and Logger know nothing of it, and pgq.Step refuses it. [OfJob] gives that
// of one job, which ends for that job alone, and with which steps can be recorded. Middleware wraps each job by itself.
func HandleBatch[A pgq.Args](w *Worker, b Batch[A], fn func(ctx context.Context, jobs []*pgq.Job[A]) []error) {
	if fn == nil {
		w.register(kindOf[A](), nil)
		return
	}
	HandleBatchResult(w, b, func(ctx context.Context, jobs []*pgq.Job[A]) ([]any, []error) { return nil, fn(ctx, jobs) })
}

// HandleBatchResult is [HandleBatch] for jobs with results, one per job in the order of jobs; nil is none for all.
func HandleBatchResult[A pgq.Args, R any](w *Worker, b Batch[A], fn func(ctx context.Context, jobs []*pgq.Job[A]) ([]R, []error)) {
	kind := kindOf[A]()
	if fn == nil {
		w.register(kind, nil)
		return
	}
	field := fmt.Sprintf("batch of %q", kind)
	if b.Max < 1 {
		w.problems = append(w.problems, &pgq.ArgumentError{Field: field, Rule: "must have a Max of at least 1"})
	}
	if b.Wait < 0 || b.Wait > time.Hour {
		w.problems = append(w.problems, &pgq.ArgumentError{Field: field, Rule: "must have a Wait of 0 to 1h"})
	}
	c := &collector[A, R]{batch: b, fn: fn, open: map[batchKey]*batch[A, R]{}}
	w.register(kind, func(ctx context.Context, attempt *pgq.Attempt) (any, error) {
		job := &pgq.Job[A]{Attempt: attempt}
		if err := attempt.DecodeArgs(&job.Args); err != nil {
			return nil, err
		}
		return c.handle(ctx, job)
	})
}

// ForAll returns the same answer for each of the jobs of a batch.
func ForAll[A pgq.Args](jobs []*pgq.Job[A], err error) []error {
	answers := make([]error, len(jobs))
	for i := range answers {
		answers[i] = err
	}
	return answers
}

// batchContextKey is under which the context of a batch holds those of its jobs.
type batchContextKey struct{}

// OfJob returns the context of one job of a batch, derived from that of the handler: it ends, with a cause, when the job is cancelled, loses its
// lease or times out, and when the batch's does. Nil for a job that is not one of the batch.
func OfJob(ctx context.Context, job *pgq.Attempt) context.Context {
	contexts, _ := ctx.Value(batchContextKey{}).(map[*pgq.Attempt]context.Context)
	return contexts[job]
}

// panicError is a panic of a handler that ran on another goroutine than its slot's.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// batchKey says which jobs may be in the same batch.
type batchKey struct{ queue, key string }

// collector collects the jobs of a kind: each is brought by its slot, which waits for the answer.
type collector[A pgq.Args, R any] struct {
	batch Batch[A]
	fn    func(context.Context, []*pgq.Job[A]) ([]R, []error)

	mu   sync.Mutex
	open map[batchKey]*batch[A, R] // those that are not full and do not run yet
}

// batch is a set of jobs that are handled by one call.
type batch[A pgq.Args, R any] struct {
	key     batchKey
	members []*member[A]
	full    int // members
	timer   *time.Timer

	// Set before done is closed.
	results []R
	errs    []error
	done    chan struct{}
}

// member is a job of a batch.
type member[A pgq.Args] struct {
	ctx context.Context //nolint:containedctx // the job's
	job *pgq.Job[A]
}

// handle brings a job to a batch and returns its answer.
func (c *collector[A, R]) handle(ctx context.Context, job *pgq.Job[A]) (any, error) {
	m := &member[A]{ctx: ctx, job: job}
	b := c.join(m)
	select {
	case <-b.done:
	case <-ctx.Done():
		if c.leave(b, m) {
			return nil, context.Cause(ctx)
		}
		<-b.done // as long as the handler has the job, nobody else does
	}
	for i := range b.members {
		if b.members[i] != m {
			continue
		}
		if b.errs != nil && b.errs[i] != nil {
			return nil, b.errs[i]
		}
		if b.results == nil {
			return nil, nil
		}
		return b.results[i], nil
	}
	return nil, errors.New("the job is in no batch") // cannot be: members of a batch that runs stay
}

// join adds a job to the open batch of its key, and starts that if it is full now.
func (c *collector[A, R]) join(m *member[A]) *batch[A, R] {
	key := batchKey{queue: m.job.Queue}
	if c.batch.By != nil {
		key.key = c.batch.By(m.job)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.open[key]
	if b == nil {
		b = &batch[A, R]{key: key, full: min(c.batch.Max, slots(m.ctx)), done: make(chan struct{})}
		c.open[key] = b
		b.timer = time.AfterFunc(max(c.batch.Wait, minWait), func() { c.due(b) })
	}
	b.members = append(b.members, m)
	if len(b.members) >= b.full {
		c.start(b)
	}
	return b
}

// minWait lets the slots that were called together meet.
const minWait = time.Millisecond

// slots returns how many jobs of the queue may run at the same time.
func slots(ctx context.Context) int {
	s, ok := ctx.Value(contextKey{}).(*started)
	if !ok {
		return 1
	}
	return s.engine.byName[s.Queue].concurrency
}

// due starts a batch whose time is over.
func (c *collector[A, R]) due(b *batch[A, R]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[b.key] == b {
		c.start(b)
	}
}

// leave takes a job out of a batch that does not run yet, and reports whether it could.
func (c *collector[A, R]) leave(b *batch[A, R], m *member[A]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[b.key] != b {
		return false
	}
	for i := range b.members {
		if b.members[i] == m {
			b.members = append(b.members[:i], b.members[i+1:]...)
			break
		}
	}
	if len(b.members) == 0 {
		delete(c.open, b.key)
		b.timer.Stop()
	}
	return true
}

// start lets a batch run. Needs mu.
func (c *collector[A, R]) start(b *batch[A, R]) {
	delete(c.open, b.key)
	b.timer.Stop()
	go c.run(b)
}

// run calls the handler and hands out its answers.
func (c *collector[A, R]) run(b *batch[A, R]) {
	returned := false
	defer close(b.done)
	defer func() {
		if r := recover(); r != nil {
			b.answerAll(&panicError{value: r, stack: string(debug.Stack())})
		} else if !returned {
			b.answerAll(errors.New("handler called runtime.Goexit"))
		}
	}()
	ctx, cancel := b.context()
	defer cancel(nil)
	jobs := make([]*pgq.Job[A], len(b.members))
	for i, m := range b.members {
		jobs[i] = m.job
	}
	b.results, b.errs = c.fn(ctx, jobs)
	returned = true
	switch n := len(b.members); {
	case b.errs != nil && len(b.errs) != n:
		b.answerAll(fmt.Errorf("handler answered %d errors for %d jobs", len(b.errs), n))
	case b.results != nil && len(b.results) != n:
		b.answerAll(fmt.Errorf("handler answered %d results for %d jobs", len(b.results), n))
	}
}

// answerAll gives all jobs the same error.
func (b *batch[A, R]) answerAll(err error) {
	b.results, b.errs = nil, make([]error, len(b.members))
	for i := range b.errs {
		b.errs[i] = err
	}
}

// context returns the context of the batch: it ends when one of the jobs times out or the worker stops, or with the last of the jobs.
func (b *batch[A, R]) context() (context.Context, context.CancelCauseFunc) {
	contexts := make(map[*pgq.Attempt]context.Context, len(b.members))
	ctx, cancel := context.WithCancelCause(context.WithValue(baseOf(b.members[0].ctx), batchContextKey{}, contexts))
	var mu sync.Mutex
	left := len(b.members)
	var stops []func() bool
	for _, m := range b.members {
		own, cancelOwn := context.WithCancelCause(m.ctx)
		contexts[m.job.Attempt] = own
		stops = append(stops, context.AfterFunc(ctx, func() { cancelOwn(context.Cause(ctx)) }))
		stops = append(stops, context.AfterFunc(m.ctx, func() {
			cause := context.Cause(m.ctx)
			mu.Lock()
			left--
			last := left == 0
			mu.Unlock()
			if last || errors.Is(cause, pgq.ErrTimeout) || errors.Is(cause, pgq.ErrShutdown) {
				cancel(cause)
			}
		}))
	}
	return ctx, func(cause error) {
		for _, stop := range stops {
			stop()
		}
		cancel(cause)
	}
}

// baseOf returns the context that those of handlers inherit values from, without a job.
func baseOf(ctx context.Context) context.Context {
	if s, ok := ctx.Value(contextKey{}).(*started); ok {
		return s.engine.base
	}
	return context.WithoutCancel(ctx)
}
