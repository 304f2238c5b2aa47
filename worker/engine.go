package worker

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// engine is the state of a running worker.
type engine struct {
	w           *Worker
	pool        *pgxpool.Pool
	client      *pgq.Client
	log         *slog.Logger
	kinds       []string
	logs        *logBuffer
	callTimeout time.Duration   // bounds every call of the database
	base        context.Context //nolint:containedctx // what contexts of handlers inherit values from

	// calls is the context of the pumps' calls of the database. It ends some time after the last attempt.
	calls       context.Context //nolint:containedctx // the pumps' own
	cancelCalls context.CancelFunc
	confirms    sync.WaitGroup // endings of jobs that their handlers completed

	// mu guards everything below it. It is never held while the database is called.
	mu        sync.Mutex
	workerID  int64
	lanes     []*lane
	byName    map[string]*lane
	active    map[pgq.AttemptID]*started
	endings   []ending       // attempts that ended, not yet flushed
	dags      map[int64]bool // DAGs of which a pump writes endings at the moment
	nodeEnded time.Time      // when the first node among endings ended
	chained   bool           // jobs of sequences are among endings
	stopping  bool           // no more claims
	closed    bool           // no more endings either: pumps return when all is flushed
	strays    bool           // a claim's answer was lost: disown before the next claim
	beat      time.Time      // last heartbeat that was answered
	tried     time.Time      // last heartbeat
	idle      chan struct{}  // closed when stopping and no attempt is active

	// signal wakes a pump, gates the listener, gone the heartbeat, due the chores when something was scheduled, asked
	// the chores at once.
	signal, gates, gone, due, asked chan struct{}
	// exchanges is held for reading by every exchange with the database and for writing to disown strays,
	// which must not meet a claim under way.
	exchanges sync.RWMutex
}

func newEngine(ctx context.Context, w *Worker) *engine {
	e := &engine{
		base: context.WithoutCancel(ctx), w: w, pool: w.pool, client: w.config.Client, log: w.config.Logger, kinds: w.kinds(),
		byName: map[string]*lane{}, active: map[pgq.AttemptID]*started{}, dags: map[int64]bool{}, idle: make(chan struct{}),
		signal: make(chan struct{}, 1), gates: make(chan struct{}, 1), gone: make(chan struct{}, 1),
		due: make(chan struct{}, 1), asked: make(chan struct{}, 1),
	}
	e.callTimeout = min(max(w.config.Lease, minCallTimeout), maxCallTimeout)
	e.calls, e.cancelCalls = context.WithCancel(e.base)
	e.logs = newLogBuffer(e)
	names := make([]string, 0, len(w.config.Queues))
	for name := range w.config.Queues {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		l := newLane(name, w.config)
		e.lanes = append(e.lanes, l)
		e.byName[name] = l
	}
	shareSlots(e.lanes, w.config.Concurrency)
	return e
}

// poke wakes the receiver of a channel, or the next one that comes.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// id returns the id under which the worker is registered.
func (e *engine) id() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.workerID
}

// enrol registers the worker.
func (e *engine) enrol(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.callTimeout)
	defer cancel()
	names := make([]string, len(e.lanes))
	for i, l := range e.lanes {
		names[i] = l.name
	}
	id, err := e.client.Register(ctx, e.pool, pgq.Registration{
		Name: e.w.config.Name, Queues: names, Kinds: e.kinds, Lease: e.w.config.Lease,
	})
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.workerID, e.beat, e.tried = id, time.Now(), time.Now()
	return nil
}

// place puts claimed attempts into the buffer and calls a slot for them. Needs mu.
func (e *engine) place(l *lane, claimed []*pgq.Attempt, now time.Time) {
	for _, a := range claimed {
		if e.stopping || a.WorkerID != e.workerID {
			e.endings = append(e.endings, ending{attempt: a, verdict: release})
			continue
		}
		l.buffer = append(l.buffer, waiting{a, now})
	}
	e.callNext(l)
}

// callNext calls a slot for the lane, or for those that share slots with it whose turn it is. Needs mu.
func (e *engine) callNext(l *lane) {
	if l.slots == nil {
		e.call(l)
		return
	}
	for {
		next := l.slots.next()
		if next == nil || next.calling { // when its slot begins, it calls the next one
			return
		}
		e.call(next)
	}
}

// call calls a slot if there is work for one more. Slots are called one after the other, each by its predecessor,
// so that quick handlers keep few of them busy and slow ones soon have all. Needs mu.
func (e *engine) call(l *lane) {
	if l.calling || len(l.buffer) == 0 || l.running >= l.concurrency {
		return
	}
	l.calling = true
	l.running++
	if l.parked > 0 {
		l.parked--
		l.call <- struct{}{} // never blocks: one call at a time
		return
	}
	go e.slot(l)
}

// begin gives a slot that was called its first attempt, nil if others were quicker.
func (e *engine) begin(l *lane) *started {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.calling = false
	s := e.next(l)
	e.callNext(l)
	return s
}

// next takes an attempt from the buffer; without one the slot is free. Needs mu.
func (e *engine) next(l *lane) *started {
	if len(l.buffer) == 0 || e.stopping || l.slots != nil && !l.slots.stays(l) {
		l.running--
		l.parked++
		poke(e.signal) // the lane wants a job more now
		return nil
	}
	a := l.buffer[0]
	l.buffer[0] = waiting{}
	l.buffer = l.buffer[1:]
	return e.start(a)
}

// finish takes account of an attempt that ended and returns the next one for its slot, nil if there is none.
func (e *engine) finish(l *lane, s *started, end ending) *started {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.active, s.key())
	l.finished++
	if end.verdict != drop {
		e.endings = append(e.endings, end)
		e.chained = e.chained || end.attempt.Sequence != ""
		if end.attempt.DAGID != 0 && e.nodeEnded.IsZero() {
			e.nodeEnded = time.Now()
		}
	}
	poke(e.signal)
	next := e.next(l)
	if next == nil {
		e.callNext(l)
	}
	if e.stopping && len(e.active) == 0 {
		e.closeIdle()
	}
	return next
}

// closeIdle says that no attempt is active. Needs mu.
func (e *engine) closeIdle() {
	select {
	case <-e.idle:
	default:
		close(e.idle)
	}
}

// windDown stops claiming, gives back what is buffered, and waits for the handlers.
func (e *engine) windDown(grace time.Duration) {
	e.mu.Lock()
	e.stopping = true
	for _, l := range e.lanes {
		for _, a := range l.buffer {
			e.endings = append(e.endings, ending{attempt: a.Attempt, verdict: release})
		}
		l.buffer = nil
	}
	if len(e.active) == 0 {
		e.closeIdle()
	}
	e.mu.Unlock()
	poke(e.signal)

	if !e.waitIdle(grace) {
		e.cancelAll(pgq.ErrShutdown)
		e.waitIdle(patience)
	}
	e.mu.Lock()
	for _, s := range e.active {
		e.log.Warn("handler ignores its cancelled context; its job is released", s.attrs()...)
		e.w.observe(s.observation("stuck"))
		e.endings = append(e.endings, ending{attempt: s.Attempt, verdict: release})
	}
	e.closed = true
	for _, l := range e.lanes {
		close(l.call)
	}
	e.mu.Unlock()
	poke(e.signal)
	time.AfterFunc(patience, e.cancelCalls)
}

// waitIdle waits until no attempt is active, and reports whether that came true in time.
func (e *engine) waitIdle(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-e.idle:
		return true
	case <-timer.C:
		return false
	}
}

// cancelAll cancels the contexts of all active attempts.
func (e *engine) cancelAll(cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.active {
		s.cancel(cause)
	}
}

// cancelAttempt obeys a request to cancel: it cancels the context of an active attempt, and gives up one that
// waits in a buffer.
func (e *engine) cancelAttempt(id pgq.AttemptID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.active[id]; s != nil {
		s.cancel(pgq.ErrCancelRequested)
		return
	}
	for _, l := range e.lanes {
		for i, a := range l.buffer {
			if a.ID == id.JobID && a.Number == id.Attempt {
				l.buffer = slices.Delete(l.buffer, i, i+1)
				e.endings = append(e.endings, ending{attempt: a.Attempt, verdict: giveUp, err: pgq.ErrCancelRequested})
				poke(e.signal)
				return
			}
		}
	}
}

// loseLeases takes account of the worker having been declared dead: all its leases are lost.
func (e *engine) loseLeases() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.workerID = 0 // until it has registered anew: nothing that is claimed meanwhile shall start
	for _, s := range e.active {
		s.cancel(pgq.ErrLeaseLost)
	}
	for _, l := range e.lanes {
		l.buffer = nil
	}
}

// retire takes the worker off the register.
func (e *engine) retire(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := e.client.Retire(ctx, e.pool, e.id()); err != nil {
		e.log.Warn("worker could not be taken off the register; its lease ends by itself", "worker", e.id(), "error", err)
	}
}
