package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// statsRow is a row of stats and its part of the whole.
type statsRow struct {
	pgq.Stats
	share float64
}

var statsColumns = []output.Column[statsRow]{
	{Name: "name", Value: func(r statsRow) any { return r.Name }},
	{Name: "jobs", Value: func(r statsRow) any { return output.Estimate{Count: r.Jobs, Exact: r.Exact} }},
	{Name: "share", Value: func(r statsRow) any { return output.Share(r.share) }},
	{Name: "failed", Value: func(r statsRow) any { return r.Failed }},
	{Name: "again", Value: func(r statsRow) any { return r.Again }},
	{Name: "completed", Level: output.Wide, Value: func(r statsRow) any { return r.Completed }},
	{Name: "cancelled", Level: output.Wide, Value: func(r statsRow) any { return r.Cancelled }},
	{Name: "expired", Level: output.Wide, Value: func(r statsRow) any { return r.Expired }},
	{Name: "skipped", Level: output.Wide, Value: func(r statsRow) any { return r.Skipped }},
	{Name: "per_minute", Value: func(r statsRow) any { return rounded(r.PerMinute) }},
	{Name: "wait_p50", Value: func(r statsRow) any { return r.WaitP50 }},
	{Name: "wait_p95", Value: func(r statsRow) any { return r.WaitP95 }},
	{Name: "wait_p99", Level: output.Wide, Value: func(r statsRow) any { return r.WaitP99 }},
	{Name: "run_p50", Value: func(r statsRow) any { return r.RunP50 }},
	{Name: "run_p95", Value: func(r statsRow) any { return r.RunP95 }},
	{Name: "run_p99", Value: func(r statsRow) any { return r.RunP99 }},
	{Name: "run_max", Level: output.Wide, Value: func(r statsRow) any { return r.RunMax }},
	{Name: "series", Value: func(r statsRow) any { return output.Series(r.Series) }},
	{Name: "since", Level: output.Data, Value: func(r statsRow) any { return r.Since }},
	{Name: "until", Level: output.Data, Value: func(r statsRow) any { return r.Until }},
	{Name: "exact", Level: output.Data, Value: func(r statsRow) any { return r.Exact }},
}

// rounded returns a number with three significant digits or more, so that slow kinds have a rate, too.
func rounded(x float64) float64 {
	digits := 1000.0
	if x >= 100 {
		digits = 10
	}
	return math.Round(x*digits) / digits
}

func statsCommand(a *app) *cobra.Command {
	var o output.Options
	var w watching
	var choose filterFlags
	var since, by string
	var limit int
	c := &cobra.Command{
		Use:   "stats",
		Short: "Show what became of the jobs that ended lately: counts, throughput, percentiles",
		Long: `Show what became of the jobs that ended lately, per kind or queue: how many, how many failed or needed more than one attempt,
how many ended per minute, percentiles (p50, p95, p99) of how long they waited and ran, and when they ended (the sparkline of
series, oldest first). Wait is the time from enqueueing to the start, delays included, of jobs that were tried once and are
in no DAG; run that of the last attempt.

It is computed from the results that are kept, those of the newest --limit jobs at the most; where there were more, the
figures are of the time as far back as these go, which is told. Completed jobs that took very much longer than those around
them to end may be missing.

` + strings.NewReplacer("--since, --until, ", "--since, ", "--since and --until take times", "--since takes a time").Replace(filterHelp) + ` It says when they ended.`,
		Example: `  pgq-admin stats --since 1h --by queue
  pgq-admin stats --since 7d --limit 1000000 --sort -run_p95 -o wide
  pgq-admin stats -o json | jq '.items[] | select(.run_p99 > 5)'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, statsColumns)
			if err != nil {
				return err
			}
			if by != "kind" && by != "queue" {
				return usagef("--by must be kind or queue, not %q", by)
			}
			span, err := parseDuration(since)
			if err != nil || span <= 0 {
				return usagef("--since %s and not 0, not %q", durationRule, since)
			}
			if limit < 1 || limit > 1_000_000 {
				return usagef("--limit must be 1 to 1000000, not %d", limit)
			}
			if err := w.check(); err != nil {
				return err
			}
			jobs, err := choose.filter()
			if err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			return w.show(c.Context(), a.screen(), func(screen output.Screen) error {
				stats, err := s.q.Stats(c.Context(), s.conn, pgq.StatsOptions{Since: span, ByQueue: by == "queue", Limit: limit, Jobs: jobs})
				if err != nil {
					return err
				}
				return printStats(screen, o, table, stats, span, limit)
			})
		},
	}
	a.schemaFlag(c.Flags())
	o.Flags(c.Flags(), output.Names(statsColumns)...)
	choose.flags(c.Flags(), "since", "until")
	w.flags(c.Flags(), 5*time.Second)
	c.Flags().StringVar(&since, "since", "1h", "jobs that ended within this `TIME`: 15m, 6h, 7d")
	c.Flags().StringVar(&by, "by", "kind", "what to group by, `WHAT`: kind or queue")
	c.Flags().IntVar(&limit, "limit", 100_000, "look at the newest `N` jobs at most, up to 1000000")
	return c
}

// printStats prints figures, and says to people of which time they are.
func printStats(screen output.Screen, o output.Options, table *output.Table[statsRow], stats []pgq.Stats, span time.Duration, limit int) error {
	var all int64
	for _, r := range stats {
		all += r.Jobs
	}
	rows := make([]statsRow, len(stats))
	for i, r := range stats {
		rows[i] = statsRow{r, float64(r.Jobs) / float64(max(1, all))}
	}
	if !o.Format.ForPeople() {
		return table.Print(screen, rows)
	}
	if len(stats) == 0 {
		_, err := fmt.Fprintf(screen, "no jobs ended in the last %s\n", output.Brief(span))
		return err
	}
	if first := stats[0]; first.Exact {
		fmt.Fprintf(screen, "%s ended in the last %s\n\n", output.Count(all, "job"), output.Brief(span))
	} else {
		fmt.Fprintf(screen, "more than %d jobs ended in the last %s; these are the newest, since %s (--limit looks at more)\n\n",
			limit, output.Brief(span), first.Since.UTC().Format(time.RFC3339))
	}
	return table.Print(screen, rows)
}
