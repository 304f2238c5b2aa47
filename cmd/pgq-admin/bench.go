package main

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/bench"
	"github.com/pgq-go/queue/cmd/pgq-admin/output"
)

// Bounds of what bench does.
const (
	maxBenchJobs        = 1_000_000
	maxBenchConcurrency = 5_000
)

func benchCommand(a *app) *cobra.Command {
	var o output.Options
	var b bench.Options
	var yes bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure what your own database makes of PGQ, in half a minute",
		Long: `Measure what your own database makes of PGQ: how quick one enqueues, alone and in bulk, how quick a worker runs jobs
whose handlers do nothing, and how soon a job begins. Handlers that do something will be slower, more workers quicker.

It creates a schema of its own (pgq_bench, or another one if that exists), writes there, and drops it at the end, also on
Ctrl-C. Nothing else is touched, but disk, WAL and processors are shared with whatever else the server does: the figures are
those of this moment, and others may feel it.`,
		Example: `  pgq-admin bench --yes
  pgq-admin bench --yes --jobs 100000 -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, bench.Columns)
			if err != nil {
				return err
			}
			if b.Jobs < 1 || b.Jobs > maxBenchJobs {
				return usagef("--jobs must be 1 to %d, not %d", maxBenchJobs, b.Jobs)
			}
			if b.Concurrency < 1 || b.Concurrency > maxBenchConcurrency {
				return usagef("--concurrency must be 1 to %d, not %d", maxBenchConcurrency, b.Concurrency)
			}
			s, err := a.database(c)
			if err != nil {
				return err
			}
			if !yes {
				name, err := databaseName(s.DatabaseURL)
				if err != nil {
					return err
				}
				what := fmt.Sprintf("create a schema in database %s, run %d jobs there, and drop it", output.Clean(name), b.Jobs)
				if err := a.confirm(c.Context(), what); err != nil {
					var unasked *output.Error
					if errors.As(err, &unasked) && unasked.Code == output.ExitUsage {
						unasked.Fix = "say --yes if you mean it"
					}
					return err
				}
			}
			b.URL = s.DatabaseURL
			b.Say = func(format string, args ...any) { a.note(o, format, args...) }
			figures, err := bench.Run(c.Context(), b)
			if err != nil {
				return err
			}
			return table.Print(a.screen(), figures)
		},
	}
	o.Flags(c.Flags(), output.Names(bench.Columns)...)
	c.Flags().IntVar(&b.Jobs, "jobs", 20_000, "how many jobs to enqueue in bulk and to run, `N` of 1 to 1000000")
	c.Flags().IntVar(&b.Concurrency, "concurrency", 200, "how many of them at a time, `N` of 1 to 5000")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// databaseName returns the name of the database that a URL leads to.
func databaseName(url string) (string, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return "", err
	}
	if config.Database == "" {
		return config.User, nil
	}
	return config.Database, nil
}
