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
	var limit, lookAt int
	var after int64
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List jobs, newest first",
		Long: `List jobs, newest first, a page at a time. What stands below a page is the cursor of the next one; -o json has it as
"next". --sort sorts the page.

States other than completed, DAGs and ids are found by indexes; what else a filter asks for is looked for from the newest job on. It
stops at --look-at jobs: then the page may be short, or empty, and there may be more on the next one.

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
			if err := checkLimit(limit); err != nil {
				return err
			}
			if after < 0 {
				return usagef("--after must be an id, not %d", after)
			}
			if lookAt < 0 {
				return usagef("--look-at must be at least 0 (no limit), not %d", lookAt)
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
				filter.Limit, filter.Before, filter.LookAt = limit, after, lookAt
				return s.jobPage(c.Context(), screen, table, filter, f.none("no jobs"), w.noter(a, screen, o))
			})
		},
	}
	o.Flags(c.Flags(), output.Names(jobColumns)...)
	f.flags(c.Flags())
	w.flags(c.Flags(), watchEvery)
	c.Flags().IntVar(&limit, "limit", 50, "`N` rows at most")
	c.Flags().Int64Var(&after, "after", 0, "the page after this `CURSOR`")
	c.Flags().IntVar(&lookAt, "look-at", 1_000_000, "stop to look for more after so `MANY` jobs; 0 for all")
	return c
}

// jobPage prints a page of jobs and says how to get the next one.
func (s *session) jobPage(ctx context.Context, screen output.Screen, table *output.Table[*pgq.JobInfo], f pgq.Filter, none string, note func(format string, args ...any)) error {
	jobs, next, err := s.q.List(ctx, s.conn, f)
	if err != nil {
		return err
	}
	if len(jobs) == 0 && next == 0 {
		note("%s", none)
	}
	if err := table.PrintPage(screen, jobs, next); err != nil {
		return err
	}
	if next != 0 && len(jobs) < f.Limit {
		note("looked at %d jobs; for older ones: --after %d (or --look-at 0)", f.LookAt, next)
	} else if next != 0 {
		note("next page: --after %d", next)
	}
	return nil
}
