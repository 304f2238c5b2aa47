package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgq-go/queue/pgq"
)

// verdict is how an attempt is to end.
type verdict int

const (
	complete verdict = iota
	confirm          // the handler has completed the job itself
	fail
	snoozed
	suspended // until a step of the job is over
	giveUp
	release
	drop // the lease is lost, nothing is to be written
)

// String returns the type of observation.
func (v verdict) String() string {
	return [...]string{"completed", "completed", "failed", "snoozed", "suspended", "cancelled", "released", "lease_lost"}[v]
}

// ending is an attempt that ended and has to be written.
type ending struct {
	attempt    *pgq.Attempt
	verdict    verdict
	completion pgq.Completion
	err        error
	stack      string
	permanent  bool
	delay      *time.Duration
	step       string // of suspended
	ran        time.Duration
}

func (end ending) id() pgq.AttemptID {
	return pgq.AttemptID{JobID: end.attempt.ID, Attempt: end.attempt.Number}
}

// flush writes endings, for as long as it takes: a lost connection is retried until it is back, or, once the
// worker stops, until patience ends. What cannot be written is left to the lease. Retried: they were sent before,
// and no answer came.
func (e *engine) flush(endings []ending, retried bool) {
	for len(endings) > 0 {
		// All of one worker id first: another one is left only if the worker was declared dead meanwhile.
		workerID := endings[0].attempt.WorkerID
		groups := map[verdict][]ending{}
		var rest []ending
		for _, end := range endings {
			if end.attempt.WorkerID != workerID {
				rest = append(rest, end)
				continue
			}
			groups[end.verdict] = append(groups[end.verdict], end)
		}
		if group := groups[confirm]; group != nil {
			// Beside the pumps, since a transaction that a handler has left open makes this wait.
			delete(groups, confirm)
			e.confirms.Go(func() { e.write(fail, workerID, group, retried) })
		}
		for v, group := range groups {
			e.write(v, workerID, group, retried)
		}
		endings = rest
	}
}

// write writes endings of one verdict and worker id. When the database refuses a batch, it is split until the
// one that is refused stands alone; that attempt has failed then.
func (e *engine) write(v verdict, workerID int64, group []ending, retried bool) {
	var held map[int64]bool
	err := e.insist(func(ctx context.Context) (err error) {
		held, err = e.send(ctx, v, workerID, group)
		retried = retried || err != nil
		return err
	})
	switch {
	case err == nil:
		e.noteLost(group, held, retried)
	case transient(err):
		e.log.Error("endings could not be written; their leases end with the worker", "jobs", len(group), "error", err)
	case len(group) > 1:
		e.write(v, workerID, group[:len(group)/2], retried)
		e.write(v, workerID, group[len(group)/2:], retried)
	case v == complete:
		e.log.Error("result was refused by the database", "job_id", group[0].attempt.ID, "error", err)
		group[0].err = err
		e.write(fail, workerID, group, retried)
	case v == fail && !inASCII(group[0]): // the database's encoding may lack characters of the error
		group[0].err, group[0].stack = errors.New(ascii(group[0].err.Error())), ascii(group[0].stack)
		e.write(fail, workerID, group, retried)
	default:
		e.log.Error("ending was refused by the database; the job is given back", "job_id", group[0].attempt.ID, "error", err)
		e.mu.Lock()
		e.strays = true
		e.mu.Unlock()
	}
}

// inASCII reports whether what is said of a failure is in characters that every encoding has.
func inASCII(end ending) bool {
	return ascii(end.err.Error()) == end.err.Error() && ascii(end.stack) == end.stack
}

// ascii returns a text with the code in place of each character that is not in ASCII: U+65E5.
func ascii(text string) string {
	var plain strings.Builder
	for _, r := range text {
		if r < utf8.RuneSelf {
			plain.WriteRune(r)
		} else {
			fmt.Fprintf(&plain, "%U", r)
		}
	}
	return plain.String()
}

// send makes one try to write endings and returns the ids of those that were held.
func (e *engine) send(ctx context.Context, v verdict, workerID int64, group []ending) (map[int64]bool, error) {
	if v == complete {
		completions := make([]pgq.Completion, len(group))
		for i, end := range group {
			completions[i] = end.completion
		}
		ids, err := e.client.Complete(ctx, e.pool, workerID, completions)
		return set(ids), err
	}
	outcomes, err := e.sendOther(ctx, v, workerID, group)
	held := make(map[int64]bool, len(outcomes))
	for _, o := range outcomes {
		held[o.JobID] = true
		if o.Outcome == string(pgq.Scheduled) {
			poke(e.due) // perhaps before the chores would look again
		}
	}
	return held, err
}

func (e *engine) sendOther(ctx context.Context, v verdict, workerID int64, group []ending) (outcomes []pgq.Outcome, err error) {
	switch v {
	case fail:
		failures := make([]pgq.Failure, len(group))
		for i, end := range group {
			failures[i] = pgq.Failure{
				JobID: end.attempt.ID, Attempt: end.attempt.Number, Error: end.err.Error(), Stack: end.stack,
				Permanent: end.permanent, Delay: end.delay,
			}
		}
		return e.client.Fail(ctx, e.pool, workerID, failures)
	case suspended:
		return e.suspend(ctx, workerID, group)
	case release:
		held := make([]pgq.AttemptID, len(group))
		for i, end := range group {
			held[i] = end.id()
		}
		return e.client.Release(ctx, e.pool, workerID, held)
	}
	for _, end := range group {
		var one []pgq.Outcome
		if v == snoozed {
			one, err = e.client.Snooze(ctx, e.pool, workerID, end.id(), *end.delay)
		} else {
			one, err = e.client.GiveUp(ctx, e.pool, workerID, end.id(), end.err.Error())
		}
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, one...)
	}
	return outcomes, nil
}

// maxSuspensions bounds how many locks of jobs that wait for signals one transaction takes.
const maxSuspensions = 100

// suspend puts jobs off until what their handlers wait for is over.
func (e *engine) suspend(ctx context.Context, workerID int64, group []ending) (outcomes []pgq.Outcome, err error) {
	for some := range slices.Chunk(group, maxSuspensions) {
		suspensions := make([]pgq.Suspension, len(some))
		for i, end := range some {
			suspensions[i] = pgq.Suspension{AttemptID: end.id(), Step: end.step}
		}
		one, err := e.client.Suspend(ctx, e.pool, workerID, suspensions)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, one...)
	}
	return outcomes, nil
}

// noteLost reports endings whose leases were lost. After a retry that proves nothing: the first try may have
// been committed and its answer lost. Nor does it for a job that its handler completed.
func (e *engine) noteLost(group []ending, held map[int64]bool, retried bool) {
	if len(held) == len(group) || retried {
		return
	}
	for _, end := range group {
		if held[end.attempt.ID] || end.attempt.CompletedByHandler() || end.verdict == release {
			continue
		}
		e.log.Warn("lease was lost: what the handler did was refused", "job_id", end.attempt.ID, "queue", end.attempt.Queue,
			"kind", end.attempt.Kind, "attempt", end.attempt.Number, "worker", end.attempt.WorkerID)
		e.w.observe(Observation{Type: "lease_lost", JobID: end.attempt.ID, Queue: end.attempt.Queue,
			Kind: end.attempt.Kind, Attempt: end.attempt.Number, Err: pgq.ErrLeaseLost})
	}
}

// insist calls the database until it answers; it returns only errors that would come again, and whatever there is
// once the engine makes no more calls.
func (e *engine) insist(call func(context.Context) error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		ctx, cancel := context.WithTimeout(e.calls, e.callTimeout)
		err := call(ctx)
		cancel()
		if err == nil || !transient(err) || e.calls.Err() != nil {
			return err
		}
		e.log.Warn("database cannot be reached; trying again", "error", err, "pause", pause)
		select {
		case <-e.calls.Done():
		case <-time.After(pause):
		}
	}
}

// transient reports whether an error may go away by itself: everything that is not an answer of the server, and
// answers that speak of its state and not of the call.
func transient(err error) bool {
	if errors.Is(err, pgq.ErrWorkerGone) {
		return false
	}
	var argument *pgq.ArgumentError
	if errors.As(err, &argument) {
		return false
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true
	}
	for _, class := range []string{"08", "53", "57", "58", "40", "55", "25006", "XX"} {
		if strings.HasPrefix(pg.Code, class) {
			return true
		}
	}
	return false
}

func set(ids []int64) map[int64]bool {
	m := make(map[int64]bool, len(ids))
	for _, id := range ids {
		m[id] = true
	}
	return m
}
