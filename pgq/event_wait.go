package pgq

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
)

// WaitEvent waits for an event that fits and returns it. It is one that is committed after the call began; where the filter names jobs
// it may have happened to them before, and the first of their history that fits is returned; with After it is the first behind that id.
// When the context ends first its cause is returned. While it waits all verbs write their events, as for [Client.Subscribe].
func (c *Client) WaitEvent(ctx context.Context, pool *pgxpool.Pool, f EventFilter) (Event, error) {
	var found Event
	enough := errors.New("found")
	receive := func(e Event) error {
		found = e
		return enough
	}
	s := newSubscription(c, f, receive)
	if f.After == 0 {
		// Only once it is registered: what happens after this look is heard of.
		s.begun = func(ctx context.Context, db DB) error {
			e, err := c.pastEvent(ctx, db, f)
			if err != nil || e == nil {
				return err
			}
			found = *e
			return &stopError{enough}
		}
	}
	err := s.run(ctx, pool)
	if errors.Is(err, enough) {
		return found, nil
	}
	return Event{}, err
}

// pastEvent returns the first event in the histories of the filter's jobs that fits; nil: there is none.
func (c *Client) pastEvent(ctx context.Context, db DB, f EventFilter) (*Event, error) {
	for _, id := range f.JobIDs {
		job, err := c.Get(ctx, db, id)
		if errors.Is(err, ErrNotFound) {
			continue // not yet, or not any more
		} else if err != nil {
			return nil, err
		}
		history, err := c.History(ctx, db, id)
		if err != nil {
			return nil, err
		}
		for i := range history {
			e := &history[i]
			e.Queue, e.Kind = &job.Queue, &job.Kind
		}
		if i := slices.IndexFunc(history, f.fits); i >= 0 {
			return &history[i], nil
		}
	}
	return nil, nil
}
