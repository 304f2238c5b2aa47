package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// queueRow is a queue with what it did lately.
type queueRow struct {
	pgq.QueueState
	lately pgq.Throughput // in the last lateSpan
}

// lateSpan is what throughput and failures of a queue are of.
const lateSpan = 5 * time.Minute

func (q queueRow) count(n int64) output.Estimate { return output.Estimate{Count: n, Exact: q.Exact} }

var queueColumns = []output.Column[queueRow]{
	{Name: "queue", Value: func(q queueRow) any { return q.Queue }},
	{Name: "depth", Value: func(q queueRow) any { return q.count(q.Depth) }},
	{Name: "ready", Level: output.Wide, Value: func(q queueRow) any { return q.count(q.Ready) }},
	{Name: "scheduled", Value: func(q queueRow) any { return q.count(q.Scheduled) }},
	{Name: "waiting", Value: func(q queueRow) any { return q.count(q.Waiting) }},
	{Name: "running", Value: func(q queueRow) any { return q.Running }},
	{Name: "oldest", Value: func(q queueRow) any { return q.OldestReadyAge }},
	{Name: "next_run_at", Level: output.Wide, Value: func(q queueRow) any { return q.NextRunAt }},
	{Name: "per_minute", Value: func(q queueRow) any { return perMinute(q) }},
	{Name: "failed", Value: func(q queueRow) any {
		return output.Estimate{Count: q.lately.Failed, Exact: q.lately.Exact || q.lately.Failed == 0}
	}},
	{Name: "workers", Value: func(q queueRow) any { return q.Workers }},
	{Name: "max_depth", Level: output.Wide, Value: func(q queueRow) any { return q.MaxDepth }},
	{Name: "age_every", Level: output.Wide, Value: func(q queueRow) any { return q.AgeEvery }},
	{Name: "paused_at", Value: func(q queueRow) any { return q.PausedAt }},
	{Name: "paused_by", Level: output.Wide, Value: func(q queueRow) any { return q.PausedBy }},
	{Name: "pause_reason", Level: output.Wide, Value: func(q queueRow) any { return q.PauseReason }},
	{Name: "exact", Level: output.Data, Value: func(q queueRow) any { return q.Exact }},
}

// perMinute returns how many jobs of a queue ended per minute, to one decimal.
func perMinute(q queueRow) float64 { return float64(int64(q.lately.PerMinute*10+0.5)) / 10 }

// queueRows returns all queues with what they did lately.
func (s *session) queueRows(ctx context.Context, db pgq.DB) ([]queueRow, error) {
	queues, err := s.q.QueueStates(ctx, db)
	if err != nil {
		return nil, err
	}
	ended, err := s.q.Throughput(ctx, db, lateSpan)
	if err != nil {
		return nil, err
	}
	lately := make(map[string]pgq.Throughput, len(ended))
	for _, one := range ended {
		lately[one.Queue] = one
	}
	rows := make([]queueRow, len(queues))
	for i, q := range queues {
		rows[i] = queueRow{q, lately[q.Queue]}
	}
	return rows, nil
}

func queueList(a *app) *cobra.Command {
	var o output.Options
	var w watching
	var p namedPage
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List queues with depth, age of the oldest job, throughput",
		Long: `List all queues that are registered or hold jobs. depth counts what waits to be started, ready or scheduled; oldest is for how
long the oldest job that may be claimed has waited for it; per_minute and failed are of the last 5 minutes.

A number with ~ before it is an estimate from a sample; formats for programs have "exact", which is false then.`,
		Example: `  pgq-admin queue list --sort -oldest
  pgq-admin queue list --watch
  pgq-admin queue list -o json | jq -r '.items[] | select(.paused_at) | .queue'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, queueColumns)
			if err != nil {
				return err
			}
			if err := errors.Join(w.check(), p.check()); err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			return w.show(c.Context(), a.screen(), func(screen output.Screen) error {
				all, err := s.queueRows(c.Context(), s.conn)
				if err != nil {
					return err
				}
				// Not in the database's order, which its locale decides: the page after a name is that of greater names.
				slices.SortFunc(all, func(a, b queueRow) int { return strings.Compare(a.Queue, b.Queue) })
				return showPage(screen, table, p.page, all, func(q queueRow) bool { return q.Queue > p.after },
					func(q queueRow) string { return q.Queue }, w.noter(a, screen, o), "queues")
			})
		},
	}
	o.Flags(c.Flags(), output.Names(queueColumns)...)
	w.flags(c.Flags(), watchEvery)
	p.flags(c.Flags(), 1000, "queues after this `NAME`")
	return c
}

// setting is a setting in force.
type setting struct {
	name  string
	value any
}

// settingsOf returns the settings of a queue, in their order.
func settingsOf(s pgq.QueueSettings) []setting {
	var backoff json.RawMessage
	if s.Backoff != nil {
		backoff, _ = json.Marshal(s.Backoff) // numbers and words
	}
	return []setting{
		{"max_depth", s.MaxDepth}, {"warn_depth", s.WarnDepth}, {"max_args_bytes", s.MaxArgsBytes}, {"max_attempts", s.MaxAttempts},
		{"timeout", s.Timeout}, {"backoff", backoff}, {"keep_completed", s.KeepCompleted}, {"keep_failed", s.KeepFailed},
		{"keep_cancelled", s.KeepCancelled}, {"keep_expired", s.KeepExpired}, {"events", s.Events}, {"age_every", s.AgeEvery},
	}
}

var settingColumns = []output.Column[setting]{
	{Name: "setting", Value: func(s setting) any { return s.name }},
	{Name: "value", Whole: true, Value: func(s setting) any { return s.value }},
}

var countColumns = []output.Column[pgq.Count]{
	{Name: "state", Value: func(c pgq.Count) any { return c.State }},
	{Name: "jobs", Value: func(c pgq.Count) any { return output.Estimate{Count: c.Jobs, Exact: c.Exact} }},
	{Name: "exact", Level: output.Data, Value: func(c pgq.Count) any { return c.Exact }},
}

func queueShow(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:     "show QUEUE",
		Aliases: []string{"describe", "get"},
		Short:   "Show a queue: its jobs by state, and the settings in force",
		Long: `Show a queue: how deep it is, its jobs by state, and the settings in force, its own or the defaults of queue '*'.

-o json and yaml have {"queue": …, "jobs": …, "settings": …}; -o jsonl, csv and name the queue alone.`,
		Example:           `  pgq-admin queue show mail`,
		Args:              args(1, "QUEUE"),
		ValidArgsFunction: a.offerFirst(queueNames),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, queueColumns)
			if err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			card, err := s.queueCard(c.Context(), args[0])
			if errors.Is(err, pgq.ErrNotFound) {
				return noQueue(args[0], err)
			}
			if err != nil {
				return err
			}
			switch {
			case o.Format == output.FormatJSON || o.Format == output.FormatYAML:
				return card.document(a.screen(), o.Format, table)
			case !o.Format.ForPeople() || o.Columns != nil:
				return table.Print(a.screen(), []queueRow{card.queue})
			}
			return card.print(a.screen(), table)
		},
	}
	o.Flags(c.Flags(), output.Names(queueColumns)...)
	return c
}

// queueCard is all that is shown of a queue.
type queueCard struct {
	queue    queueRow
	counts   []pgq.Count
	settings []setting
}

func (s *session) queueCard(ctx context.Context, name string) (card queueCard, err error) {
	rows, err := s.queueRows(ctx, s.conn)
	if err != nil {
		return card, err
	}
	for _, row := range rows {
		if row.Queue == name {
			card.queue = row
		}
	}
	if card.queue.Queue == "" {
		return card, fmt.Errorf("%w: queue %q", pgq.ErrNotFound, name)
	}
	counts, err := s.q.Counts(ctx, s.conn)
	if err != nil {
		return card, err
	}
	for _, count := range counts {
		if count.Queue == name {
			card.counts = append(card.counts, count)
		}
	}
	settings, err := s.q.QueueSettings(ctx, s.conn, name)
	card.settings = settingsOf(settings)
	return card, err
}

func (c queueCard) document(s output.Screen, f output.Format, table *output.Table[queueRow]) error {
	document := struct {
		Queue    json.RawMessage            `json:"queue"`
		Jobs     map[string]int64           `json:"jobs"`
		Settings map[string]json.RawMessage `json:"settings"`
	}{Jobs: map[string]int64{}, Settings: map[string]json.RawMessage{}}
	queue, err := table.Objects([]queueRow{c.queue})
	if err != nil {
		return err
	}
	document.Queue = queue[0]
	for _, count := range c.counts {
		document.Jobs[string(count.State)] = count.Jobs
	}
	for _, one := range c.settings {
		if document.Settings[one.name], err = output.Value(one.value); err != nil {
			return err
		}
	}
	return output.Document(s, f, document)
}

func (c queueCard) print(s output.Screen, table *output.Table[queueRow]) error {
	q := c.queue
	lines := []string{s.Paint(output.Bold, "Queue "+output.Clean(q.Queue))}
	if q.PausedAt != nil {
		lines = append(lines, s.Paint(output.Yellow, "paused "+pauseText(*q.PausedAt, q.PausedBy, q.PauseReason)))
	}
	lines = append(append(lines, ""), table.Lines(s, []queueRow{q})...)
	lines = append(append(lines, "", s.Paint(output.Bold, "Jobs by state")), output.Lines(s, countColumns, c.counts)...)
	lines = append(append(lines, "", s.Paint(output.Bold, "Settings in force")), output.Lines(s, settingColumns, c.settings)...)
	_, err := s.Write([]byte(strings.Join(lines, "\n") + "\n"))
	return err
}
