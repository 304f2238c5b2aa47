package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// Worker claims jobs and runs their handlers. Make one with [New], give it handlers, call [Worker.Run] once.
type Worker struct {
	pool     *pgxpool.Pool
	config   Config
	handlers map[string]Handler
	problems []error // with handlers, for Run to say
	started  atomic.Bool
	engine   atomic.Pointer[engine]
}

// New returns a worker that uses the pool. It needs a connection for the pumps, one for heartbeats and one for
// chores now and then, and opens one more of its own to listen; none is held while a handler runs.
func New(pool *pgxpool.Pool, c Config) *Worker {
	return &Worker{pool: pool, config: c, handlers: map[string]Handler{}}
}

const (
	pumps = 2
	// patience is how long handlers may take to return after their contexts were cancelled by a shutdown, and how
	// long the last writes may take.
	patience = 5 * time.Second
	// A call of the database may take as long as the lease, within these bounds.
	minCallTimeout, maxCallTimeout = 5 * time.Second, 30 * time.Second
)

// Run works until the context ends. Then it claims no more, gives back what it had claimed ahead, waits for
// running handlers (Config.Grace), cancels the contexts of those that are left with the cause
// pgq.ErrShutdown, releases their jobs, and returns nil. It returns nil, too, when the context ends before it has begun.
//
// It returns an error at once, having done nothing, for settings or handlers that break a rule
// (*pgq.ArgumentError), when the database cannot be reached, and for a schema of another version
// (pgq.ErrSchemaVersion, pgq.ErrNotInstalled). Once it works, it goes on for ever, whatever happens to the
// database.
func (w *Worker) Run(ctx context.Context) error {
	if w.started.Swap(true) {
		return errors.New("worker: Run was called before")
	}
	config, err := w.config.withDefaults()
	if err := errors.Join(append(w.problems, err)...); err != nil {
		return err
	}
	if len(w.handlers) == 0 {
		return &pgq.ArgumentError{Field: "handlers", Rule: "must be at least one (worker.Handle)"}
	}
	w.config = config
	for kind, h := range w.handlers {
		for _, wrap := range slices.Backward(config.Middleware) {
			h = wrap(h)
		}
		w.handlers[kind] = h
	}
	e := newEngine(ctx, w)
	err = w.config.Client.CheckVersion(ctx, w.pool)
	if err == nil {
		err = e.enrol(ctx)
	}
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		return nil // If it was registered, nobody was told: its lease ends by itself.
	}
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	w.engine.Store(e)
	w.work(ctx, e)
	return nil
}

// work runs the loops of the engine until the context ends, and winds down.
func (w *Worker) work(ctx context.Context, e *engine) {
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var loops, pumping sync.WaitGroup
	for range pumps {
		pumping.Go(e.pump)
	}
	loops.Go(func() { e.heartbeats(alive) })
	loops.Go(func() { e.logs.flushLoop(alive) })
	if !w.config.NoChores {
		loops.Go(func() { e.chores(alive) })
	}
	if !w.config.PollOnly {
		loops.Go(func() { e.listen(alive) })
	}
	w.config.Logger.Info("worker started", "worker", e.id(), "name", w.config.Name)

	<-ctx.Done()
	e.windDown(w.config.Grace)
	pumping.Wait()
	e.confirms.Wait()
	e.disown()
	e.cancelCalls()
	stop()
	loops.Wait()
	e.logs.flush(context.WithoutCancel(ctx))
	e.retire(context.WithoutCancel(ctx))
	w.config.Logger.Info("worker stopped", "worker", e.id())
}

// kinds returns the kinds that have handlers, in order.
func (w *Worker) kinds() []string {
	kinds := make([]string, 0, len(w.handlers))
	for kind := range w.handlers {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}
