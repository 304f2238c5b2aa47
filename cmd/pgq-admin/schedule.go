package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

const scheduleHelp = `Show, set and operate schedules: what is enqueued at certain times.

A spec is a cron expression (minute, hour, day of month, month, day of week; seconds in front on demand), @hourly, @daily,
@weekly, @monthly, @yearly, "every 15 minutes", or "at 2030-01-31 18:00". Times that people read are in UTC.`

func scheduleCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "schedule", Aliases: []string{"schedules", "cron"}, Short: "Show, set and operate schedules", Long: scheduleHelp}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(scheduleList(a), scheduleShow(a), scheduleSet(a), scheduleDelete(a), schedulePause(a), scheduleResume(a),
		scheduleRun(a), scheduleNext(a))
	return c
}

var scheduleColumns = []output.Column[pgq.ScheduleState]{
	{Name: "name", Value: func(s pgq.ScheduleState) any { return s.Name }},
	{Name: "state", Value: func(s pgq.ScheduleState) any { return s.State }},
	{Name: "spec", Value: func(s pgq.ScheduleState) any { return s.Spec }},
	{Name: "zone", Value: func(s pgq.ScheduleState) any { return s.Zone }},
	{Name: "kind", Value: func(s pgq.ScheduleState) any { return s.Kind }},
	{Name: "next_at", Value: func(s pgq.ScheduleState) any { return s.NextAt }},
	{Name: "last_due_at", Value: func(s pgq.ScheduleState) any { return s.LastDueAt }},
	{Name: "last_state", Value: func(s pgq.ScheduleState) any { return s.LastState }},
	{Name: "runs", Level: output.Wide, Value: func(s pgq.ScheduleState) any { return s.Runs }},
	{Name: "overlap", Level: output.Wide, Value: func(s pgq.ScheduleState) any { return string(s.Overlap) }},
	{Name: "missed", Level: output.Wide, Value: func(s pgq.ScheduleState) any { return string(s.Missed) }},
	{Name: "declared_by", Level: output.Wide, Value: func(s pgq.ScheduleState) any { return s.DeclaredBy }},
	{Name: "pause_reason", Level: output.Wide, Value: func(s pgq.ScheduleState) any { return s.PauseReason }},
	{Name: "error", Level: output.Wide, Value: func(s pgq.ScheduleState) any { return s.Error }},
	{Name: "is_dag", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.IsDAG }},
	{Name: "fire_at", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.FireAt }},
	{Name: "queued_at", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.QueuedAt }},
	{Name: "last_fired_at", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.LastFiredAt }},
	{Name: "last_job_id", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.LastJobID }},
	{Name: "jitter", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.Jitter }},
	{Name: "starts_at", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.StartsAt }},
	{Name: "ends_at", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.EndsAt }},
	{Name: "max_runs", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.MaxRuns }},
	{Name: "missed_limit", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.MissedLimit }},
	{Name: "paused_at", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.PausedAt }},
	{Name: "paused_by", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.PausedBy }},
	{Name: "created_at", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.CreatedAt }},
	{Name: "updated_at", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.UpdatedAt }},
	{Name: "job", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.Job }},
	{Name: "dag", Level: output.Data, Value: func(s pgq.ScheduleState) any { return s.DAG }},
}

var scheduleRunColumns = []output.Column[pgq.ScheduleRun]{
	{Name: "due_at", Value: func(r pgq.ScheduleRun) any { return r.DueAt }},
	{Name: "outcome", Value: func(r pgq.ScheduleRun) any { return r.Outcome }},
	{Name: "times", Value: func(r pgq.ScheduleRun) any { return r.Times }},
	{Name: "job_id", Value: func(r pgq.ScheduleRun) any { return r.JobID }},
	{Name: "fired_at", Value: func(r pgq.ScheduleRun) any { return r.FiredAt }},
	{Name: "error", Value: func(r pgq.ScheduleRun) any { return r.Error }},
}

// onSchedule connects and does something with the schedule of a name.
func (a *app) onSchedule(c *cobra.Command, do func(ctx context.Context, s *session) error) error {
	return a.onFound(c, "pgq-admin schedule list shows the schedules", do)
}

func scheduleNames(ctx context.Context, s *session) ([]string, error) {
	schedules, err := s.q.Schedules(ctx, s.conn, "", completionSize)
	names := make([]string, len(schedules))
	for i, schedule := range schedules {
		names[i] = schedule.Name + "\t" + schedule.Spec
	}
	return names, err
}

func scheduleList(a *app) *cobra.Command {
	var o output.Options
	var w watching
	var p namedPage
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List schedules by name",
		Example: "  pgq-admin schedule list --sort next_at\n  pgq-admin schedule list -o json | jq '.items[] | select(.state == \"paused\")'",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, scheduleColumns)
			if err != nil {
				return err
			}
			if err := errors.Join(w.check(), p.check()); err != nil {
				return err
			}
			return a.onSchedule(c, func(ctx context.Context, s *session) error {
				return w.show(ctx, a.screen(), func(screen output.Screen) error {
					schedules, err := s.q.Schedules(ctx, s.conn, p.after, p.ahead())
					if err != nil {
						return err
					}
					return showPage(screen, table, p.page, schedules, always[pgq.ScheduleState],
						func(s pgq.ScheduleState) string { return s.Name }, w.noter(a, screen, o), "schedules")
				})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(scheduleColumns)...)
	w.flags(c.Flags(), watchEvery)
	p.flags(c.Flags(), 1000, "schedules after this `NAME`")
	return c
}

func scheduleShow(a *app) *cobra.Command {
	var o output.Options
	var limit int
	c := &cobra.Command{
		Use:     "show NAME",
		Aliases: []string{"describe", "get"},
		Short:   "Show a schedule with its next times and its last runs",
		Long: `Show a schedule, the next times at which it is due, and what became of the last ones: fired, by_hand, missed (nobody did
chores), overlapped (an earlier run had not ended), failed. -o json and yaml have all of it: schedule, next, runs; the other
formats have the runs.`,
		Example:           "  pgq-admin schedule show report --limit 5",
		Args:              args(1, "NAME"),
		ValidArgsFunction: a.offerFirst(scheduleNames),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, scheduleRunColumns)
			if err != nil {
				return err
			}
			if err := checkLimit(limit); err != nil {
				return err
			}
			return a.onSchedule(c, func(ctx context.Context, s *session) error {
				schedule, err := s.q.Schedule(ctx, s.conn, args[0])
				if err != nil {
					return err
				}
				next, err := s.q.NextTimes(ctx, s.conn, args[0], 5)
				if err != nil {
					return err
				}
				runs, err := s.q.ScheduleRuns(ctx, s.conn, args[0], limit)
				if err != nil {
					return err
				}
				return a.showSchedule(o, table, schedule, next, runs)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(scheduleRunColumns)...)
	c.Flags().IntVar(&limit, "limit", 20, "`N` runs at most")
	return c
}

// showSchedule prints a schedule: to people what it is, then a table of its runs.
func (a *app) showSchedule(o output.Options, table *output.Table[pgq.ScheduleRun], schedule pgq.ScheduleState, next []time.Time, runs []pgq.ScheduleRun) error {
	screen := a.screen()
	all, err := output.NewTable(&output.Options{Format: output.FormatJSON}, scheduleColumns)
	if err != nil {
		return err
	}
	objects, err := all.Objects([]pgq.ScheduleState{schedule})
	if err != nil {
		return err
	}
	switch {
	case o.Format == output.FormatJSON || o.Format == output.FormatYAML:
		items, err := table.Objects(table.Sorted(runs))
		if err != nil {
			return err
		}
		return output.Document(screen, o.Format, struct {
			Schedule json.RawMessage   `json:"schedule"`
			Next     []time.Time       `json:"next"`
			Runs     []json.RawMessage `json:"runs"`
		}{objects[0], next, items})
	case o.Format.ForPeople():
		options := output.Options{Format: output.FormatWide}
		head, err := output.NewTable(&options, scheduleColumns)
		if err != nil {
			return err
		}
		lines := head.Lines(screen, []pgq.ScheduleState{schedule})
		for i, at := range next {
			if i == 0 {
				lines = append(lines, "", "next times, UTC:")
			}
			lines = append(lines, "  "+at.UTC().Format("Mon 2006-01-02 15:04:05"))
		}
		text := strings.Join(lines, "\n") + "\n\n"
		if _, err := screen.Write([]byte(text)); err != nil {
			return err
		}
	}
	return table.Print(screen, runs)
}
