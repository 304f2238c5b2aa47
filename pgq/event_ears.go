package pgq

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// eventEars hear that events are written, on a connection that listens. While they sleep they hold the gate that writers try (see
// sleep_on_events): nobody notifies those who are awake. Where the connection breaks they hear nothing until they sleep again.
type eventEars struct {
	client *Client
	pool   *pgxpool.Pool
	conn   *pgxpool.Conn
	asleep bool
}

// sleep goes to sleep, unless it does already, and says whether it has: then look for events once more. False, too, where it cannot.
func (e *eventEars) sleep(ctx context.Context) bool {
	if e.asleep {
		return false
	}
	if e.conn == nil {
		limit, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		conn, err := e.pool.Acquire(limit)
		if err != nil {
			return false
		}
		e.conn = conn
	}
	if _, err := e.conn.Exec(ctx, e.client.from("*", "sleep_on_events()")); err != nil {
		e.close()
		return false
	}
	e.asleep = true
	return true
}

// wait waits for a notification, or until the context ends, and says whether one came.
func (e *eventEars) wait(ctx context.Context) bool {
	if e.conn == nil {
		<-ctx.Done()
		return false
	}
	_, err := e.conn.Conn().WaitForNotification(ctx)
	if err != nil && e.conn.Conn().IsClosed() {
		e.close()
		<-ctx.Done()
	}
	return err == nil
}

// awake gives up the gates.
func (e *eventEars) awake(ctx context.Context) {
	if !e.asleep {
		return
	}
	e.asleep = false
	if _, err := e.conn.Exec(ctx, e.client.from("*", "wake_on_events()")); err != nil {
		e.close()
	}
}

// close gives up the connection. One that listens is not given back for reuse.
func (e *eventEars) close() {
	if e.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = e.conn.Conn().Close(ctx)
	e.conn.Release()
	e.conn, e.asleep = nil, false
}
