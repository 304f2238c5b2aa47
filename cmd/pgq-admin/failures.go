package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

const failuresHelp = `Show dead letters, jobs that failed for good, and run them again or discard them.

They are taken together by fingerprint: what their errors have in common when numbers, ids, addresses and quoted words are left
out, of the first line. So one cause is one row.`

func failuresCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "failures", Aliases: []string{"failure", "dead"}, Short: "Show, redrive and discard dead letters", Long: failuresHelp}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(failuresList(a), failuresShow(a), failuresRedrive(a), failuresDiscard(a))
	return c
}

var failureColumns = []output.Column[pgq.FailureGroup]{
	{Name: "fingerprint", Value: func(f pgq.FailureGroup) any { return f.Fingerprint }},
	{Name: "jobs", Value: func(f pgq.FailureGroup) any { return output.Estimate{Count: f.Jobs, Exact: f.Exact} }},
	{Name: "queue", Value: func(f pgq.FailureGroup) any { return f.Queue }},
	{Name: "kind", Value: func(f pgq.FailureGroup) any { return f.Kind }},
	{Name: "last_at", Value: func(f pgq.FailureGroup) any { return f.LastAt }},
	{Name: "first_at", Level: output.Wide, Value: func(f pgq.FailureGroup) any { return f.FirstAt }},
	{Name: "last_job_id", Level: output.Wide, Value: func(f pgq.FailureGroup) any { return f.LastJobID }},
	{Name: "error", Value: func(f pgq.FailureGroup) any { return f.Error }},
	{Name: "exact", Level: output.Data, Value: func(f pgq.FailureGroup) any { return f.Exact }},
}

func failuresList(a *app) *cobra.Command {
	var o output.Options
	var choose filterFlags
	var w watching
	var p namedPage
	var lookAt int
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List failures by fingerprint, most jobs first",
		Long: `List failures by fingerprint, kind and queue, most jobs first, each with the error of the last one. Looks at the newest --look-at
failures; where there are more it says so. The cursor of --after is where the list stopped; jobs that fail or are redriven meanwhile move rows.

` + strings.Replace(filterHelp, "--state, ", "", 1) + ` Here they are times of the failure.`,
		Example: `  pgq-admin failures list --queue mail --since 2h
  pgq-admin failures list -o json | jq '.items[0]'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, failureColumns)
			if err != nil {
				return err
			}
			if err := errors.Join(w.check(), p.check()); err != nil {
				return err
			}
			from, err := failureCursor(p.after)
			if err != nil {
				return err
			}
			if lookAt < 1 || lookAt > 1_000_000 {
				return usagef("--look-at must be 1 to 1000000, not %d", lookAt)
			}
			if _, err := choose.failures(); err != nil { // before there is a connection
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			return w.show(c.Context(), a.screen(), func(screen output.Screen) error {
				f, err := choose.failures() // anew: it may say how long ago
				if err != nil {
					return err
				}
				if f.LookAt, f.Limit = lookAt, p.ahead(); p.after != "" { // they are counted before they have an order
					f.Limit = maxPage
				}
				groups, err := s.q.Failures(c.Context(), s.conn, f)
				if err != nil {
					return err
				}
				slices.SortFunc(groups, func(a, b pgq.FailureGroup) int { return placeOf(a).compare(placeOf(b)) })
				note := w.noter(a, screen, o)
				err = showPage(screen, table, p.page, groups, func(g pgq.FailureGroup) bool { return p.after == "" || placeOf(g).compare(from) > 0 },
					func(g pgq.FailureGroup) string { return placeOf(g).String() }, note, choose.none("failures"))
				if err == nil && len(groups) > 0 && !groups[0].Exact {
					note("only the newest %d failures were looked at; --look-at looks at more", lookAt)
				}
				return err
			})
		},
	}
	o.Flags(c.Flags(), output.Names(failureColumns)...)
	choose.failureFlags(c.Flags())
	w.flags(c.Flags(), watchEvery)
	p.flags(c.Flags(), 100, "failures after this `CURSOR`")
	c.Flags().IntVar(&lookAt, "look-at", 10_000, "look at the newest so `MANY` failures")
	return c
}

// failureFlags gives a command the flags of a filter of failures.
func (f *filterFlags) failureFlags(flags *pflag.FlagSet) {
	f.flags(flags, "state")
	flags.Lookup("since").Usage = "that failed from this `TIME` on, or since so long: 2h, 7d"
	flags.Lookup("until").Usage = "that failed before this `TIME`, or longer ago than: 2h, 7d"
}

// failures returns the filter of failures that the flags make: their times are those of the failures.
func (f *filterFlags) failures() (pgq.FailureFilter, error) {
	jobs, err := f.filter()
	since, until := jobs.Since, jobs.Until
	jobs.Since, jobs.Until = time.Time{}, time.Time{}
	return pgq.FailureFilter{Queues: jobs.Queues, Kinds: jobs.Kinds, Since: since, Until: until, Jobs: jobs}, err
}

func failuresShow(a *app) *cobra.Command {
	var o output.Options
	var limit int
	c := &cobra.Command{
		Use:   "show FINGERPRINT",
		Short: "Show the newest jobs that failed in one way",
		Long: `Show the newest jobs that failed in one way, with the error of the newest one in full. The other formats give the jobs alone.
Exit code 3: there are none.`,
		Example: `  pgq-admin failures show 41edf748484b
  pgq-admin failures show 41edf748484b -o name | xargs pgq-admin job show`,
		Args: args(1, "FINGERPRINT"),
		RunE: func(c *cobra.Command, words []string) error {
			table, err := output.NewTable(&o, jobColumns)
			if err != nil {
				return err
			}
			if limit < 1 || limit > 10_000 {
				return usagef("--limit must be 1 to 10000, not %d", limit)
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			filter := pgq.Filter{States: []pgq.State{pgq.Failed}, Fingerprints: words, Limit: limit}
			jobs, next, err := s.q.List(c.Context(), s.conn, filter)
			if err != nil {
				return err
			}
			if len(jobs) == 0 {
				return noFailure(words[0])
			}
			if o.Format.ForPeople() && jobs[0].Error != nil {
				if err := printError(a.out, *jobs[0].Error); err != nil {
					return err
				}
			}
			return table.PrintPage(a.screen(), jobs, next)
		},
	}
	o.Flags(c.Flags(), output.Names(jobColumns)...)
	c.Flags().IntVar(&limit, "limit", 20, "at most so `MANY` jobs")
	return c
}

func failuresRedrive(a *app) *cobra.Command {
	var f filterFlags
	var startAt string
	b := &bulk{change: pgq.Change{Verb: pgq.VerbRetry}}
	c := &cobra.Command{
		Use:   "redrive [FINGERPRINT…]",
		Short: "Run dead letters again",
		Long: `Run jobs that failed for good again, with at least one attempt more: those with these fingerprints, or that fit.
With --rate, so many per second: they are scheduled one after the other, so that what broke is not broken again.

` + filterHelp + "\n\n" + bulkHelp,
		Example: `  pgq-admin failures redrive 41edf748484b --rate 20 --reason "database is back"
  pgq-admin failures redrive --queue mail --error timeout --limit 100 --dry-run`,
		RunE: func(c *cobra.Command, words []string) error {
			if err := readRate(c, &b.change, startAt); err != nil {
				return err
			}
			if err := deadLetters(c, b, &f, words); err != nil {
				return err
			}
			return a.run(c, b, "run again")
		},
	}
	b.flags(c)
	f.flags(c.Flags())
	rateFlags(c, &b.change, &startAt)
	return c
}

func failuresDiscard(a *app) *cobra.Command {
	var f filterFlags
	b := &bulk{change: pgq.Change{Verb: pgq.VerbDelete}}
	c := &cobra.Command{
		Use:   "discard [FINGERPRINT…]",
		Short: "Delete dead letters",
		Long: `Delete jobs that failed for good, with all that is known of them: those with these fingerprints, or that fit. Nodes of DAGs stay.
With --rate, so many per second, which spares the database: Ctrl-C stops it in between.

` + filterHelp + "\n\n" + bulkHelp,
		Example: `  pgq-admin failures discard 41edf748484b --reason "test data"
  pgq-admin failures discard --queue mail --until 30d --limit 0 --rate 500`,
		RunE: func(c *cobra.Command, words []string) error {
			if err := readRate(c, &b.change, ""); err != nil {
				return err
			}
			if err := deadLetters(c, b, &f, words); err != nil {
				return err
			}
			return a.run(c, b, "delete")
		},
	}
	b.flags(c)
	f.flags(c.Flags())
	rateFlag(c, &b.change)
	return c
}

func noFailure(fingerprint string) error {
	return (&output.Error{Code: output.ExitNotFound, Text: fmt.Sprintf("no job failed with fingerprint %q", fingerprint)}).
		WithFix("pgq-admin failures list shows the fingerprints")
}

// mustHaveFailed returns an error for the first fingerprint that no job failed with.
func (s *session) mustHaveFailed(ctx context.Context, fingerprints []string) error {
	for _, fingerprint := range fingerprints {
		filter := pgq.Filter{States: []pgq.State{pgq.Failed}, Fingerprints: []string{fingerprint}, Limit: 1}
		if jobs, _, err := s.q.List(ctx, s.conn, filter); err != nil || len(jobs) == 0 {
			return cmp.Or(err, noFailure(fingerprint))
		}
	}
	return nil
}

// deadLetters makes the filter of a bulk of failed jobs.
func deadLetters(c *cobra.Command, b *bulk, f *filterFlags, fingerprints []string) error {
	if err := b.check(c); err != nil {
		return err
	}
	if len(fingerprints) == 0 && !f.given() {
		return usagef("which failures? give fingerprints, or flags that choose jobs (--queue, --error …); --state failed for all").
			WithFix("pgq-admin failures list shows the fingerprints")
	}
	filter, err := f.filter()
	if err != nil {
		return err
	}
	if c.Flags().Changed("state") && (len(filter.States) != 1 || filter.States[0] != pgq.Failed) {
		return usagef("dead letters are in state failed; for others: pgq-admin job retry, pgq-admin job delete")
	}
	filter.States = []pgq.State{pgq.Failed}
	filter.Fingerprints = append(filter.Fingerprints, fingerprints...)
	b.change.Filter, b.none = filter, f.none("no job fits")
	b.absent = func(ctx context.Context, s *session) error { return s.mustHaveFailed(ctx, fingerprints) }
	return nil
}

// printError prints an error in full: its lines, without what could steer a terminal.
func printError(w io.Writer, message string) error {
	for line := range strings.Lines(message) {
		if _, err := fmt.Fprintln(w, "  "+output.Clean(line)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}
