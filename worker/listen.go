package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

// pingEvery is how often a silent LISTEN connection is tried.
const pingEvery = 30 * time.Second

// listen keeps a LISTEN connection until the context ends. While there is none, polling finds all.
func (e *engine) listen(ctx context.Context) {
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 5*time.Second) {
		begin := time.Now()
		err := e.listenOnce(ctx)
		e.openGates()
		if ctx.Err() != nil {
			return
		}
		e.log.Warn("LISTEN connection is lost; polling until it is back", "error", err)
		if time.Since(begin) > time.Minute {
			pause = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// openGates takes account of the connection being gone, and with it its locks.
func (e *engine) openGates() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.lanes {
		l.gate = gateOpen
		l.hungry = true
	}
	poke(e.signal)
}

// listenOnce listens on one connection until it breaks.
func (e *engine) listenOnce(ctx context.Context) error {
	config := e.pool.Config().ConnConfig.Copy()
	config.RuntimeParams["client_encoding"] = "UTF8" // which the pool may set when it has connected
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(limit) // it is gone, or of no more use
	}()
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{e.client.Channel()}.Sanitize()); err != nil {
		return err
	}
	keys := make([][]int64, len(e.lanes))
	for i, l := range e.lanes {
		if keys[i], err = e.client.SleepGate(ctx, conn, l.name); err != nil {
			return err
		}
	}
	for {
		if err := e.moveGates(ctx, conn, keys); err != nil {
			return err
		}
		if err := e.await(ctx, conn); err != nil {
			return err
		}
	}
}

// moveGates takes and gives up locks as the lanes want it.
func (e *engine) moveGates(ctx context.Context, conn *pgx.Conn, keys [][]int64) error {
	limit, cancel := context.WithTimeout(ctx, e.callTimeout)
	defer cancel()
	for i, l := range e.lanes {
		e.mu.Lock()
		wish := l.gate
		e.mu.Unlock()
		var err error
		switch wish {
		case gateWanted:
			_, err = conn.Exec(limit, "select pg_advisory_lock_shared(k) from unnest($1::bigint[]) k", keys[i])
		case gateLeave:
			_, err = conn.Exec(limit, "select pg_advisory_unlock_shared(k) from unnest($1::bigint[]) k", keys[i])
		default:
			continue
		}
		if err != nil {
			return err
		}
		e.mu.Lock()
		if wish == gateWanted {
			l.sleeps(time.Now())
		} else {
			l.gate = gateOpen
		}
		e.mu.Unlock()
		poke(e.signal)
	}
	return nil
}

// await waits for a notification, for a lane that wants its lock moved, or to try the connection.
func (e *engine) await(ctx context.Context, conn *pgx.Conn) error {
	wait, cancel := context.WithTimeout(ctx, pingEvery)
	defer cancel()
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		select {
		case <-e.gates:
			cancel()
		case <-wait.Done():
		}
	}()
	n, err := conn.WaitForNotification(wait)
	expired := errors.Is(wait.Err(), context.DeadlineExceeded)
	cancel()
	<-moved
	switch {
	case err == nil:
		e.notified(n.Payload)
		return nil
	case ctx.Err() != nil || conn.IsClosed():
		return err
	case expired:
		limit, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return conn.Ping(limit)
	}
	return nil
}

// notified obeys a notification; see channel() in SQL.
func (e *engine) notified(payload string) {
	if queue, ok := strings.CutPrefix(payload, "wake "); ok {
		e.mu.Lock()
		if l := e.byName[queue]; l != nil {
			l.woken(time.Now())
		}
		e.mu.Unlock()
		poke(e.signal)
		return
	}
	if payload == "chores" {
		poke(e.asked)
		return
	}
	var workerID int64
	var id pgq.AttemptID
	if n, _ := fmt.Sscanf(payload, "cancel %d %d %d", &workerID, &id.JobID, &id.Attempt); n == 3 && workerID == e.id() {
		poke(e.gone) // The heartbeat tells what is to be cancelled: anybody in the database can send a NOTIFY.
	}
}
