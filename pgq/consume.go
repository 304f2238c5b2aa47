package pgq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// eventHandler handles an event; tx says whether it wants the transaction in which the position moves.
type eventHandler struct {
	inTx   bool
	handle func(ctx context.Context, tx pgx.Tx, e Event) error
}

// Handle sets the handler of events of a type; AnyEvent: of all types that have none of their own. An error, or a panic, makes the event
// come again after a pause, and those behind it wait. It may be called more than once for an event: after a crash, or a lost lease, whose
// handlers find their contexts cancelled with cause ErrLeaseLost.
func (c *Consumer) Handle(t EventType, handle func(ctx context.Context, e Event) error) {
	c.setHandler(t, eventHandler{handle: func(ctx context.Context, _ pgx.Tx, e Event) error { return handle(ctx, e) }})
}

// HandleTx is Handle for handlers that write in the transaction in which the position moves: what they write is there exactly once, crashes
// or not. The transaction is shared by the events of a batch; one that fails loses only its own writes.
func (c *Consumer) HandleTx(t EventType, handle func(ctx context.Context, tx pgx.Tx, e Event) error) {
	c.setHandler(t, eventHandler{inTx: true, handle: handle})
}

func (c *Consumer) setHandler(t EventType, h eventHandler) {
	if c.handlers == nil {
		c.handlers = map[EventType]eventHandler{}
	}
	c.handlers[t] = h
}

// complete returns the consumer with its defaults, or what is wrong with it.
func (c Consumer) complete() (Consumer, error) {
	if len(c.handlers) == 0 {
		return c, &ArgumentError{Field: "handlers", Rule: "must be set with Handle or HandleTx"}
	}
	_, any := c.handlers[AnyEvent]
	if len(c.Types) == 0 && !any {
		c.Types = slices.Sorted(maps.Keys(c.handlers))
	}
	for t := range c.handlers {
		if len(c.Types) > 0 && t != AnyEvent && !slices.Contains(c.Types, t) {
			return c, &ArgumentError{Field: "types", Rule: fmt.Sprintf("must have %q, which has a handler", t)}
		}
	}
	for _, t := range c.Types {
		if _, ok := c.handlers[t]; !ok && !any {
			return c, &ArgumentError{Field: "handlers", Rule: fmt.Sprintf("must have one for %q", t)}
		}
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
		least time.Duration
	}{
		{"Lease", &c.Lease, 30 * time.Second, 100 * time.Millisecond}, {"PollInterval", &c.PollInterval, time.Second, time.Millisecond},
		{"RetryAfter", &c.RetryAfter, time.Second, time.Millisecond},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
		if *d.value < d.least {
			return c, &ArgumentError{Field: d.name, Rule: "must be at least " + d.least.String()}
		}
	}
	if c.BatchSize == 0 {
		c.BatchSize = 100
	}
	if c.BatchSize < 1 || c.BatchSize > 10_000 {
		return c, &ArgumentError{Field: "BatchSize", Rule: "must be 1 to 10000"}
	}
	if c.MaxFailures < 0 {
		return c, &ArgumentError{Field: "MaxFailures", Rule: "must not be negative"}
	}
	return c, nil
}

// Consume registers a consumer and calls its handlers for every event that it wants, one after the other, until the context ends, and
// returns its cause. Errors of handlers and of the database are retried; only a consumer that cannot be registered makes it return before.
// Any number of processes may consume under one name: one of them has the batch, the others are ready to take over. It takes a connection of the
// pool to listen on, unless that has less than three or PollOnly is set, and another one while it has a batch.
func (c *Client) Consume(ctx context.Context, pool *pgxpool.Pool, consumer *Consumer) error {
	config, err := consumer.complete()
	if err != nil {
		return err
	}
	if _, err := c.SetConsumer(ctx, pool, config); err != nil {
		return err
	}
	host, _ := os.Hostname()
	r := &consuming{Consumer: config, client: c, pool: pool, by: fmt.Sprintf("%s/%d", host, os.Getpid()), ears: eventEars{pool: pool, client: c}}
	defer r.ears.close()
	for ctx.Err() == nil {
		n, err := r.next(ctx)
		if err != nil && ctx.Err() == nil {
			r.report(nil, err)
		}
		if n > 0 && err == nil {
			r.ears.awake(ctx)
			continue
		}
		r.pause(ctx, err != nil)
	}
	return context.Cause(ctx)
}

// minListenConns is how many connections a pool must have so that one can be spared: another one is for the batch, a third for its lease.
const minListenConns = 3

// consuming is a call of Consume.
type consuming struct {
	Consumer
	client *Client
	pool   *pgxpool.Pool
	by     string
	ears   eventEars
	paused time.Duration // for how long it paused last
}

func (r *consuming) report(e *Event, err error) {
	if r.OnError != nil {
		r.OnError(e, err)
	}
}

// next leases a batch and handles it. It returns how many events there were.
func (r *consuming) next(ctx context.Context) (int, error) {
	// The answer is waited for even if the context ends: who does not know of its lease cannot give it back.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	b, err := r.client.LeaseEvents(limit, r.pool, r.Name, r.BatchSize, r.Lease, r.by)
	if err != nil || len(b.Events) == 0 {
		return 0, err
	}
	held, release := r.hold(ctx, b)
	defer release()
	return len(b.Events), r.handle(held, b)
}

// pause waits for news: the first time not at all, since events may have been written before it listened; then for ever longer, up to
// PollInterval.
func (r *consuming) pause(ctx context.Context, failed bool) {
	listens := !r.PollOnly && r.pool.Config().MaxConns >= minListenConns
	if !failed && listens && r.ears.sleep(ctx) {
		r.paused = 0
		return
	}
	r.paused = min(max(2*r.paused, 10*time.Millisecond), r.PollInterval)
	wait, cancel := context.WithTimeout(ctx, r.paused)
	defer cancel()
	if r.ears.wait(wait) {
		r.paused = 0
	}
}

// hold extends the lease of a batch until release is called; the context ends with ErrLeaseLost if that fails.
func (r *consuming) hold(ctx context.Context, b *EventBatch) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(r.Lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-tick.C:
			}
			if err := r.client.ExtendEvents(held, r.pool, b, r.Lease); errors.Is(err, ErrLeaseLost) {
				cancel(ErrLeaseLost)
			}
		}
	}()
	return held, func() { cancel(nil); <-ended }
}

// handle calls the handlers of a batch and moves the position as far as they came.
func (r *consuming) handle(ctx context.Context, b *EventBatch) error {
	w := batchWork{consuming: r, batch: b}
	defer w.release()
	for i, e := range b.Events {
		err := w.call(ctx, e)
		if err == nil {
			w.done = e.ID
			continue
		}
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), w.end(nil, 0)) // as far as it came
		}
		r.report(&e, err)
		failures := 1
		if i == 0 {
			failures += b.Failures
		}
		if r.MaxFailures == 0 || failures < r.MaxFailures {
			return w.end(err, min(r.RetryAfter<<min(failures-1, 10), max(time.Minute, r.RetryAfter)))
		}
		w.done, w.skipped = e.ID, w.skipped+1
	}
	return w.end(nil, 0)
}

// batchWork is the handling of a batch.
type batchWork struct {
	*consuming
	batch   *EventBatch
	tx      pgx.Tx // of the handlers that want one
	done    int64  // the last event that is done
	skipped int
	ended   bool // the lease
}

// call calls the handler of an event, if it has one.
func (w *batchWork) call(ctx context.Context, e Event) error {
	h, ok := w.handlers[e.Type]
	if !ok {
		h, ok = w.handlers[AnyEvent]
	}
	if !ok {
		return nil
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if !h.inTx {
		return guarded(ctx, h, nil, e)
	}
	if w.tx == nil {
		tx, err := w.pool.Begin(ctx)
		if err != nil {
			return err
		}
		w.tx = tx
	}
	// A handler that has returned is not undone because the context ended meanwhile.
	return pgx.BeginFunc(context.WithoutCancel(ctx), w.tx, func(tx pgx.Tx) error { return guarded(ctx, h, tx, e) })
}

// guarded calls a handler and makes an error of its panic.
func guarded(ctx context.Context, h eventHandler, tx pgx.Tx, e Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h.handle(ctx, tx, e)
}

// end moves the position behind what is done, in the transaction of the handlers if they have one, and ends the lease. failed is why the next
// event failed, which is to be tried again after a pause.
func (w *batchWork) end(failed error, retryIn time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var db DB = w.pool
	if w.tx != nil {
		db = w.tx
	}
	var err error
	switch {
	case failed != nil:
		err = w.client.FailEvents(ctx, db, w.batch, w.done, w.skipped, failed, retryIn)
	case w.done > 0:
		err = w.client.AckEvents(ctx, db, w.batch, w.done, w.skipped)
	default:
		return nil
	}
	if err == nil && w.tx != nil {
		err = w.tx.Commit(ctx)
		w.tx = nil
	}
	w.ended = err == nil || errors.Is(err, ErrLeaseLost)
	return err
}

// release rolls back what was not committed and, if the lease has not ended in an orderly way, ends it: others need not wait for that.
func (w *batchWork) release() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if w.tx != nil {
		_ = w.tx.Rollback(ctx)
	}
	if !w.ended {
		_ = w.client.ExtendEvents(ctx, w.pool, w.batch, time.Millisecond)
	}
}
