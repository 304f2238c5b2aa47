package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

func jobList(a *app) *cobra.Command {
	var o output.Options
	var f filterFlags
	var w watching
	var limit int
	var after int64
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List jobs, newest first",
		Long: `List jobs, newest first, a page at a time. What stands below a page is the cursor of the next one; -o json has it as
"next". --sort sorts the page.

` + filterHelp,
		Example: `  pgq-admin job list --queue mail --state failed --since 2h
  pgq-admin job list --arg customer.id=7 -o wide
  pgq-admin job list --state running --watch
  pgq-admin job list --error timeout -o name | xargs -n 1 pgq-admin job errors`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, jobColumns)
			if err != nil {
				return err
			}
			if limit < 1 || limit > maxPage {
				return usagef("--limit must be 1 to %d, not %d", maxPage, limit)
			}
			if after < 0 {
				return usagef("--after must be an id, not %d", after)
			}
			if err := w.check(); err != nil {
				return err
			}
			if _, err := f.filter(); err != nil { // before there is a connection
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			return w.show(c.Context(), a.screen(), func(screen output.Screen) error {
				filter, err := f.filter() // anew: it may say how long ago
				if err != nil {
					return err
				}
				filter.Limit, filter.Before = limit, after
				return s.jobPage(c.Context(), screen, table, filter, func(format string, args ...any) { w.note(a, screen, o, format, args...) })
			})
		},
	}
	o.Flags(c.Flags())
	f.flags(c.Flags())
	w.flags(c.Flags(), watchEvery)
	c.Flags().IntVar(&limit, "limit", 50, "`N` rows at most")
	c.Flags().Int64Var(&after, "after", 0, "the page after this `CURSOR`")
	a.completeNames(c)
	return c
}

// jobPage prints a page of jobs and says how to get the next one.
func (s *session) jobPage(ctx context.Context, screen output.Screen, table *output.Table[*pgq.JobInfo], f pgq.Filter, note func(format string, args ...any)) error {
	jobs, next, err := s.q.List(ctx, s.conn, f)
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		note("no jobs")
	}
	if err := table.PrintPage(screen, jobs, next); err != nil {
		return err
	}
	if next != 0 {
		note("next page: --after %d", next)
	}
	return nil
}
