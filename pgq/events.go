package pgq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Event is something that happened. See [EventType] for what can happen and [Event.Details] for what else there is to say.
type Event struct {
	ID       int64 // 0 for what the history takes from the job itself
	JobID    *int64
	Queue    *string
	Kind     *string
	Type     EventType
	Attempt  *int
	WorkerID *int64
	At       time.Time
	Data     json.RawMessage
}

// History returns what happened to a job, in order. Whatever the event level of its queue, it begins with enqueued
// and ends with how the job ended.
func (c *Client) History(ctx context.Context, db DB, jobID int64) ([]Event, error) {
	rows, err := db.Query(ctx, c.from("coalesce(id, 0), type, attempt, worker_id, at, data", "job_history($1)"), jobID)
	if err != nil {
		return nil, wrap("read the history", err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Event, err error) {
		var data []byte
		err = row.Scan(&e.ID, &e.Type, &e.Attempt, &e.WorkerID, &e.At, &data)
		e.JobID, e.Data = &jobID, data
		return e, err
	})
	return events, wrap("read the history", err)
}

// EventFilter chooses events: those that fit all that is given.
type EventFilter struct {
	Queues []string
	Kinds  []string
	Types  []EventType
	JobIDs []int64
	// Since and Until bound when they happened: from Since on, before Until.
	Since, Until time.Time
	// After is the id of the event behind which Subscribe begins; 0 for the newest one there is.
	After int64
}

func (f EventFilter) fits(e Event) bool {
	has := func(all []string, one *string) bool { return len(all) == 0 || one != nil && slices.Contains(all, *one) }
	return has(f.Queues, e.Queue) && has(f.Kinds, e.Kind) && (len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) &&
		(len(f.JobIDs) == 0 || e.JobID != nil && slices.Contains(f.JobIDs, *e.JobID)) &&
		!e.At.Before(f.Since) && (f.Until.IsZero() || e.At.Before(f.Until))
}

// LatestEvents returns the latest events that fit, in order, at most so many (10,000 at most). Unless the filter names jobs it
// looks at the latest 100,000 events only.
func (c *Client) LatestEvents(ctx context.Context, db DB, f EventFilter, atMost int) ([]Event, error) {
	rows, err := db.Query(ctx, c.from(eventColumns, "latest_events($1, $2, $3, $4, $5, $6, $7)"),
		f.Queues, f.Kinds, textsOf(f.Types), f.JobIDs, atMost, given(f.Since), given(f.Until))
	if err != nil {
		return nil, wrap("read events", err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	return events, wrap("read events", err)
}

const eventColumns = "id, job_id, queue, kind, type, attempt, worker_id, at, data"

func scanEvent(row pgx.CollectableRow) (e Event, err error) {
	var data []byte
	err = row.Scan(&e.ID, &e.JobID, &e.Queue, &e.Kind, &e.Type, &e.Attempt, &e.WorkerID, &e.At, &data)
	e.Data = data
	return e, err
}

const (
	subscriberLease = 30 * time.Second
	subscriberPoll  = time.Second
	// gapLife is for how long an id that was skipped is looked for: its transaction may still be open.
	gapLife = 5 * time.Minute
	maxGaps = 10_000
	// firstGaps is how far below the newest event the first look for such ids goes.
	firstGaps = 1000
)

// Subscribe calls receive for every event that fits, of all processes, from now on: what is committed after
// Subscribe has started. It returns when the context ends, with its cause, or when receive returns an error,
// with that. While somebody subscribes all verbs write their events whatever the level of the queue, which
// costs time: it is meant for watching, tests and moderate rates.
//
// It takes one connection of the pool to listen on, takes another one when that breaks, and goes on where it
// was. Events of one transaction come in order; one that commits late comes late.
func (c *Client) Subscribe(ctx context.Context, pool *pgxpool.Pool, f EventFilter, receive func(Event) error) error {
	return newSubscription(c, f, receive).run(ctx, pool)
}

func newSubscription(c *Client, f EventFilter, receive func(Event) error) *subscription {
	return &subscription{client: c, filter: f, receive: receive, gaps: map[int64]time.Time{}}
}

// run listens until the context ends or the receiver has enough, over as many connections as that takes.
func (s *subscription) run(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		err := s.listen(ctx, pool)
		var stop *stopError
		switch {
		case errors.As(err, &stop):
			s.leave(ctx, pool)
			return stop.err
		case ctx.Err() != nil:
			s.leave(ctx, pool)
			return context.Cause(ctx)
		case s.id == 0:
			return err // it never worked
		}
		select {
		case <-ctx.Done():
		case <-time.After(subscriberPoll):
		}
	}
}

// stopError is an error of the receiver.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }

// subscription is the state of one call of Subscribe.
type subscription struct {
	client  *Client
	filter  EventFilter
	receive func(Event) error
	begun   func(context.Context, DB) error // called once it is registered; may be nil
	id      int64
	last    int64               // highest id seen
	gaps    map[int64]time.Time // ids below last that were not there, and until when to look for them
}

// listen reads events on one connection until something breaks.
func (s *subscription) listen(ctx context.Context, pool *pgxpool.Pool) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return wrap("subscribe", err)
	}
	defer func() {
		// A connection that listens, or is broken in the middle of a wait, is not given back for reuse.
		_ = conn.Conn().Close(context.WithoutCancel(ctx))
		conn.Release()
	}()
	channel := "pgq-events:" + s.client.config.Schema // as event_channel() in SQL
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return wrap("subscribe", err)
	}
	for {
		if err := s.renew(ctx, conn); err != nil {
			return err
		}
		if err := s.drain(ctx, conn); err != nil {
			return err
		}
		wait, cancel := context.WithTimeout(ctx, subscriberPoll)
		_, err := conn.Conn().WaitForNotification(wait)
		cancel()
		if err != nil && (ctx.Err() != nil || wait.Err() == nil) {
			return wrap("subscribe", err)
		}
	}
}

// renew says that the subscriber lives, and at first from where on to read.
func (s *subscription) renew(ctx context.Context, db DB) error {
	if s.id == 0 {
		return s.begin(ctx, db)
	}
	var newest int64
	err := db.QueryRow(ctx, s.client.from("id, last_event_id", "subscribe($1, $2)"), s.id, subscriberLease).Scan(&s.id, &newest)
	return wrap("subscribe", err)
}

// begin registers the subscriber. Ids that are missing below the newest one may be those of transactions that are
// still open, so they are gaps; the statement looks for them in a snapshot from before it registers.
func (s *subscription) begin(ctx context.Context, db DB) error {
	var missing []int64
	err := db.QueryRow(ctx, s.client.from("id, last_event_id, "+s.client.schema+".event_gaps(last_event_id, $2)",
		"subscribe(null, $1)"), subscriberLease, firstGaps).
		Scan(&s.id, &s.last, &missing)
	if s.filter.After > 0 {
		s.last = min(s.last, s.filter.After)
	}
	until := time.Now().Add(gapLife)
	for _, id := range missing {
		if id <= s.last {
			s.gaps[id] = until
		}
	}
	if err == nil && s.begun != nil {
		return s.begun(ctx, db)
	}
	return wrap("subscribe", err)
}

// drain delivers all events that are there.
func (s *subscription) drain(ctx context.Context, db DB) error {
	for {
		events, err := s.read(ctx, db)
		if err != nil {
			return err
		}
		before := s.last
		for _, e := range events {
			s.note(e.ID)
			if !s.filter.fits(e) {
				continue
			}
			if err := s.receive(e); err != nil {
				return &stopError{err}
			}
		}
		if s.last == before {
			return nil
		}
	}
}

func (s *subscription) read(ctx context.Context, db DB) ([]Event, error) {
	gaps := make([]int64, 0, len(s.gaps))
	for id, until := range s.gaps {
		if time.Now().After(until) {
			delete(s.gaps, id)
			continue
		}
		gaps = append(gaps, id)
	}
	rows, err := db.Query(ctx, s.client.from(eventColumns, "read_events($1, $2)"), s.last, gaps)
	if err != nil {
		return nil, wrap("read events", err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	return events, wrap("read events", err)
}

// note keeps account of ids: what is delivered, and what was skipped and may still come.
func (s *subscription) note(id int64) {
	if id <= s.last {
		delete(s.gaps, id)
		return
	}
	until := time.Now().Add(gapLife)
	for missing := s.last + 1; missing < id && len(s.gaps) < maxGaps; missing++ {
		s.gaps[missing] = until
	}
	s.last = id
}

// leave takes the subscriber off the register; if that fails its lease ends by itself.
func (s *subscription) leave(ctx context.Context, pool *pgxpool.Pool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if s.id != 0 {
		_, _ = pool.Exec(ctx, s.client.from("*", "unsubscribe($1)"), s.id)
	}
}

// String returns the event as one line for humans.
func (e Event) String() string {
	s := e.At.Format(time.RFC3339) + " " + string(e.Type)
	if e.JobID != nil {
		s += fmt.Sprintf(" job %d", *e.JobID)
	}
	if e.Queue != nil {
		s += " queue " + *e.Queue
	}
	return s
}
