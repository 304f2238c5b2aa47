package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

func scheduleDelete(a *app) *cobra.Command {
	var yes, dry bool
	c := &cobra.Command{
		Use:     "delete NAME",
		Aliases: []string{"rm"},
		Short:   "Delete a schedule; the jobs that it enqueued stay",
		Long: `Delete a schedule; the jobs that it enqueued stay. It asks first; without a terminal, --yes must be said. A schedule that an
application declares comes back when that starts: pause it instead.`,
		Args:              args(1, "NAME"),
		ValidArgsFunction: a.offerFirst(scheduleNames),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onSchedule(c, func(ctx context.Context, s *session) error {
				if _, err := s.q.Schedule(ctx, s.conn, args[0]); err != nil {
					return err
				}
				if !yes && !dry {
					if err := a.confirm(ctx, "delete schedule "+output.Clean(args[0])); err != nil {
						return err
					}
				}
				err := try(ctx, s.conn, dry, func(tx pgx.Tx) error { return s.q.DeleteSchedule(ctx, tx, args[0]) })
				if err == nil && dry {
					a.note(output.Options{}, "dry run: nothing was changed")
				} else if err == nil {
					a.note(output.Options{}, "deleted schedule %s", output.Clean(args[0]))
				}
				return err
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&dry, "dry-run", false, "look whether it is there, and change nothing")
	return c
}

func schedulePause(a *app) *cobra.Command {
	var by operator
	c := scheduleChange(a, "pause", "Keep a schedule from firing; what it has enqueued goes on",
		func(ctx context.Context, s *session, name string) error {
			return s.q.PauseSchedule(ctx, s.conn, name, by.reason, by.actor)
		})
	by.flags(c)
	return c
}

func scheduleResume(a *app) *cobra.Command {
	return scheduleChange(a, "resume", "Let a paused schedule fire again; times that passed are not made up for",
		func(ctx context.Context, s *session, name string) error {
			_, err := s.q.ResumeSchedule(ctx, s.conn, name)
			return err
		})
}

// scheduleChange returns a command that changes a schedule and shows it.
func scheduleChange(a *app, verb, short string, do func(ctx context.Context, s *session, name string) error) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:               verb + " NAME",
		Short:             short,
		Args:              args(1, "NAME"),
		ValidArgsFunction: a.offerFirst(scheduleNames),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, scheduleColumns)
			if err != nil {
				return err
			}
			return a.onSchedule(c, func(ctx context.Context, s *session) error {
				if err := do(ctx, s, args[0]); err != nil {
					return err
				}
				state, err := s.q.Schedule(ctx, s.conn, args[0])
				if err != nil {
					return err
				}
				return table.Print(a.screen(), []pgq.ScheduleState{state})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(scheduleColumns)...)
	return c
}

// scheduledJob is what was enqueued by hand.
type scheduledJob struct {
	id       int64
	schedule string
}

var scheduledJobColumns = []output.Column[scheduledJob]{
	{Name: "job_id", Value: func(j scheduledJob) any { return j.id }},
	{Name: "schedule", Value: func(j scheduledJob) any { return j.schedule }},
}

func scheduleRun(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:               "run NAME",
		Aliases:           []string{"trigger"},
		Short:             "Enqueue now what a schedule would, whether it is due, paused or has ended",
		Example:           "  pgq-admin job wait $(pgq-admin schedule run report -o name)",
		Args:              args(1, "NAME"),
		ValidArgsFunction: a.offerFirst(scheduleNames),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, scheduledJobColumns)
			if err != nil {
				return err
			}
			return a.onSchedule(c, func(ctx context.Context, s *session) error {
				id, err := s.q.RunSchedule(ctx, s.conn, args[0])
				if err != nil {
					return err
				}
				return table.Print(a.screen(), []scheduledJob{{id, args[0]}})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(scheduledJobColumns)...)
	return c
}

// dueTime is a time at which a schedule is due, and what the clocks of its zone show then.
type dueTime struct{ at, local time.Time }

var dueTimeColumns = []output.Column[dueTime]{
	{Name: "at", Value: func(t dueTime) any { return t.at }},
	{Name: "local", Value: func(t dueTime) any { return t.local.Format("Mon 2006-01-02 15:04:05 -07:00") }},
}

func scheduleNext(a *app) *cobra.Command {
	var o output.Options
	var n int
	var spec, zone string
	c := &cobra.Command{
		Use:   "next [NAME]",
		Short: "Show the next times of a schedule, or of a spec",
		Example: `  pgq-admin schedule next report -n 3
  pgq-admin schedule next --spec '30 2 * * *' --zone Europe/Berlin`,
		Args:              args(0, "NAME"),
		ValidArgsFunction: a.offerFirst(scheduleNames),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, dueTimeColumns)
			if err != nil {
				return err
			}
			if (len(args) == 1) == c.Flags().Changed("spec") {
				return usagef("give the NAME of a schedule, or a --spec")
			}
			if n < 1 || n > 1000 {
				return usagef("-n must be 1 to 1000, not %d", n)
			}
			if len(args) == 1 && c.Flags().Changed("zone") {
				return usagef("--zone goes with --spec; a schedule has its own")
			}
			return a.onSchedule(c, func(ctx context.Context, s *session) error {
				var times []time.Time
				if len(args) == 0 {
					times, err = s.q.PreviewTimes(ctx, s.conn, spec, zone, n)
				} else {
					var state pgq.ScheduleState
					if state, err = s.q.Schedule(ctx, s.conn, args[0]); err == nil {
						zone = state.Zone
						times, err = s.q.NextTimes(ctx, s.conn, args[0], n)
					}
				}
				if err != nil {
					return err
				}
				if len(times) == 0 {
					a.note(o, "it is never due again")
				}
				return table.Print(a.screen(), dueTimes(times, zone))
			})
		},
	}
	o.Flags(c.Flags(), output.Names(dueTimeColumns)...)
	c.Flags().IntVarP(&n, "count", "n", 10, "`N` times")
	c.Flags().StringVar(&spec, "spec", "", "`SPEC` to look at: '30 2 * * *'")
	c.Flags().StringVar(&zone, "zone", "UTC", "time `ZONE` whose clocks count")
	return c
}

// dueTimes returns times with what clocks show. A zone that this machine does not know is shown as UTC.
func dueTimes(times []time.Time, zone string) []dueTime {
	location, err := time.LoadLocation(zone)
	if err != nil {
		location = time.UTC
	}
	due := make([]dueTime, len(times))
	for i, at := range times {
		due[i] = dueTime{at, at.In(location)}
	}
	return due
}
