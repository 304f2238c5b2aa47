package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// overview is how everything is at one instant.
type overview struct {
	where   string // database and schema
	at      time.Time
	queues  []queueRow
	workers []pgq.WorkerState
	chores  []pgq.ChoreState
	limits  []pgq.LimitState // of which no job may start now, 1,000 at most
	groups  int64            // with jobs that wait for their turn, counted up to 1,000 per queue
	health  pgq.Health
}

// overview reads how everything is, all of it in one snapshot.
func (s *session) overview(ctx context.Context) (o overview, err error) {
	tx, err := s.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return o, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it has changed nothing
	if err = tx.QueryRow(ctx, "select current_database(), statement_timestamp()").Scan(&o.where, &o.at); err != nil {
		return o, err
	}
	o.where = fmt.Sprintf("database %s, schema %s", o.where, s.q.Schema())
	if o.queues, err = s.queueRows(ctx, tx); err != nil {
		return o, err
	}
	if o.workers, err = s.q.WorkerStates(ctx, tx); err != nil {
		return o, err
	}
	if o.chores, err = s.q.ChoreStates(ctx, tx); err != nil {
		return o, err
	}
	if o.limits, err = s.q.LimitStates(ctx, tx, pgq.LimitPage{WithoutRoom: true}); err != nil {
		return o, err
	}
	if o.groups, err = s.q.WaitingGroups(ctx, tx); err != nil {
		return o, err
	}
	o.health, err = s.q.Health(ctx, tx)
	return o, err
}

// warning is a part of a line that something is wrong with.
func warning(s output.Screen, colour output.Colour, text string, wrong bool) string {
	if wrong {
		return s.Paint(colour, text)
	}
	return text
}

// queueLine sums the queues up.
func (o overview) queueLine(s output.Screen) string {
	var depth, running, failed int64
	var rate float64
	exact, paused := true, 0
	for _, q := range o.queues {
		depth, running, failed, rate = depth+q.Depth, running+q.Running, failed+q.lately.Failed, rate+q.lately.PerMinute
		exact = exact && q.Exact
		if q.PausedAt != nil {
			paused++
		}
	}
	about := ""
	if !exact {
		about = "~"
	}
	parts := []string{fmt.Sprintf("%d", len(o.queues))}
	if paused > 0 {
		parts = append(parts, s.Paint(output.Yellow, fmt.Sprintf("%d paused", paused)))
	}
	return strings.Join(append(parts, fmt.Sprintf("depth %s%d", about, depth), fmt.Sprintf("%d running", running), fmt.Sprintf("%.1f end per minute", rate),
		warning(s, output.Red, fmt.Sprintf("%d failed in %.0f min", failed, lateSpan.Minutes()), failed > 0)), ", ")
}

// workerLine sums the workers up.
func (o overview) workerLine(s output.Screen) string {
	n := map[string]int{}
	for _, w := range o.workers {
		n[w.State]++
	}
	parts := []string{warning(s, output.Red, fmt.Sprintf("%d alive", n["alive"]), n["alive"] == 0)}
	if n["silent"] > 0 {
		parts = append(parts, s.Paint(output.Yellow, fmt.Sprintf("%d silent", n["silent"])))
	}
	if n["dead"] > 0 {
		parts = append(parts, s.Paint(output.Yellow, fmt.Sprintf("%d lost", n["dead"])))
	}
	if o.health.ExpiredLeases > 0 {
		parts = append(parts, s.Paint(output.Red, output.Count(o.health.ExpiredLeases, "job")+" to be rescued"))
	}
	return strings.Join(parts, ", ")
}

// choreLine tells when the chores were done.
func (o overview) choreLine(s output.Screen) string {
	var parts []string
	for _, c := range o.chores {
		text := c.Name + " never"
		if c.Age != nil {
			text = c.Name + " " + output.Brief(max(0, *c.Age)) + " ago"
		}
		if c.Late {
			text += " (late)"
		}
		parts = append(parts, warning(s, output.Yellow, text, c.Late))
	}
	if n := o.health.FrontierBacklog; n > 0 {
		parts = append(parts, fmt.Sprintf("%d ends to tell", n))
	}
	for _, lag := range []struct {
		what string
		by   *time.Duration
	}{{"start", o.health.PromotionLag}, {"expiry", o.health.ExpiryLag}} {
		if lag.by != nil && *lag.by > 5*time.Second {
			parts = append(parts, s.Paint(output.Red, fmt.Sprintf("%s overdue by %s", lag.what, output.Brief(*lag.by))))
		}
	}
	return strings.Join(parts, ", ")
}

// limited counts limits that are full or have an open circuit breaker, and pauses.
func (o overview) limited() (full, paused int) {
	for _, l := range o.limits {
		if l.State == "paused" {
			paused++
		} else {
			full++
		}
	}
	return full, paused
}

// limitLine sums the limits up; "" where nothing is limited and no group waits.
func (o overview) limitLine(s output.Screen) string {
	full, paused := o.limited()
	var parts []string
	if paused > 0 {
		parts = append(parts, s.Paint(output.Yellow, fmt.Sprintf("%d paused", paused)))
	}
	if full > 0 {
		parts = append(parts, fmt.Sprintf("%d full", full))
	}
	if o.groups > 0 {
		parts = append(parts, fmt.Sprintf("jobs of %d groups wait for their turn", o.groups))
	}
	return strings.Join(parts, ", ")
}

const (
	longTransaction = 10 * time.Minute
	fullConnections = 0.9
	fullNotify      = 0.5
)

// databaseLine tells how the database is.
func (o overview) databaseLine(s output.Screen) string {
	h := o.health
	var parts []string
	if h.DatabaseBytes != nil {
		parts = append(parts, bytesOf(*h.DatabaseBytes))
	}
	if h.OldestTransactionAge != nil {
		age := max(0, *h.OldestTransactionAge)
		parts = append(parts, warning(s, output.Yellow, "oldest transaction "+output.Brief(age), age > longTransaction))
	}
	parts = append(parts,
		warning(s, output.Yellow, fmt.Sprintf("%d of %d connections", h.Connections, h.MaxConnections),
			float64(h.Connections) > fullConnections*float64(h.MaxConnections)),
		warning(s, output.Red, fmt.Sprintf("NOTIFY queue %.0f %% full", h.NotifyQueueUse*100), h.NotifyQueueUse > fullNotify))
	if h.Standby {
		parts = append(parts, s.Paint(output.Yellow, "read-only standby"))
	}
	return strings.Join(parts, ", ")
}

// bytesOf returns a size for people.
func bytesOf(n int64) string {
	size, units := float64(n), []string{"bytes", "kB", "MB", "GB", "TB"}
	unit := 0
	for size >= 1024 && unit < len(units)-1 {
		size /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}

// lines are all but the queues' and workers' tables, for people.
func (o overview) lines(s output.Screen) []string {
	width, _ := s.Size()
	lines := []string{
		s.Paint(output.Bold, output.Cut(output.Clean("PGQ in "+o.where+" at "+o.at.UTC().Format(time.RFC3339)), width)),
		"",
		s.Paint(output.Bold, "Queues    ") + o.queueLine(s),
		s.Paint(output.Bold, "Workers   ") + o.workerLine(s),
		s.Paint(output.Bold, "Chores    ") + o.choreLine(s),
		s.Paint(output.Bold, "Database  ") + o.databaseLine(s),
	}
	if limits := o.limitLine(s); limits != "" {
		lines = append(lines, s.Paint(output.Bold, "Limits    ")+limits)
	}
	return lines
}

var choreColumns = []output.Column[pgq.ChoreState]{
	{Name: "name", Value: func(c pgq.ChoreState) any { return c.Name }},
	{Name: "every", Value: func(c pgq.ChoreState) any { return c.Every }},
	{Name: "last_run_at", Value: func(c pgq.ChoreState) any { return c.LastRunAt }},
	{Name: "age", Value: func(c pgq.ChoreState) any { return c.Age }},
	{Name: "late", Value: func(c pgq.ChoreState) any { return c.Late }},
}

var healthColumns = []output.Column[pgq.Health]{
	{Name: "bytes", Value: func(h pgq.Health) any { return h.DatabaseBytes }},
	{Name: "oldest_transaction", Value: func(h pgq.Health) any { return h.OldestTransactionAge }},
	{Name: "oldest_xmin_age", Value: func(h pgq.Health) any { return h.OldestXminAge }},
	{Name: "connections", Value: func(h pgq.Health) any { return h.Connections }},
	{Name: "max_connections", Value: func(h pgq.Health) any { return h.MaxConnections }},
	{Name: "notify_queue", Value: func(h pgq.Health) any { return output.Fraction(h.NotifyQueueUse) }},
	{Name: "expired_leases", Value: func(h pgq.Health) any { return h.ExpiredLeases }},
	{Name: "frontier_backlog", Value: func(h pgq.Health) any { return h.FrontierBacklog }},
	{Name: "promotion_lag", Value: func(h pgq.Health) any { return h.PromotionLag }},
	{Name: "expiry_lag", Value: func(h pgq.Health) any { return h.ExpiryLag }},
	{Name: "standby", Value: func(h pgq.Health) any { return h.Standby }},
}

// document prints the overview as one document.
func (o overview) document(s output.Screen, f output.Format, table *output.Table[queueRow]) error {
	document := struct {
		At       time.Time         `json:"at"`
		Queues   []json.RawMessage `json:"queues"`
		Workers  []json.RawMessage `json:"workers"`
		Chores   []json.RawMessage `json:"chores"`
		Limits   map[string]int    `json:"limits"`
		Database json.RawMessage   `json:"database"`
	}{At: o.at.UTC()}
	full, paused := o.limited()
	document.Limits = map[string]int{"full": full, "paused": paused, "groups_waiting": int(o.groups)}
	var err error
	if document.Queues, err = table.Objects(table.Sorted(o.queues)); err != nil {
		return err
	}
	if document.Workers, err = output.Objects(workerColumns, o.workers...); err != nil {
		return err
	}
	if document.Chores, err = output.Objects(choreColumns, o.chores...); err != nil {
		return err
	}
	database, err := output.Objects(healthColumns, o.health)
	if err != nil {
		return err
	}
	document.Database = database[0]
	return output.Document(s, f, document)
}
