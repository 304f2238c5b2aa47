package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/demo"
)

const maxDemoWorkers = 8

func demoCommand(a *app) *cobra.Command {
	o := demo.Options{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show PGQ at work on real input, in half a minute",
		Long: `Show PGQ at work on real input: a DAG that lists the packages of the Go standard library, counts files, lines,
functions and words of each (a map: one job per package), sums up and reports, with retries and a job that fails.

It uses the database of --url or PGQ_DATABASE_URL, if one is given: it creates two schemas of its own there (pgq_demo and
pgq_demo_app, or others if these exist), touches nothing else, and drops them at the end. Else it finds or starts a
PostgreSQL of its own and removes it at the end. Ctrl-C cleans up as well.

Two files are left: report.md, and dag.mmd, a picture of the DAG for https://mermaid.live; in a temporary directory
unless --report names another one.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Workers < 1 || o.Workers > maxDemoWorkers {
				return usagef("--workers must be 1 to %d, not %d", maxDemoWorkers, o.Workers)
			}
			s, err := a.load(c)
			if err != nil {
				return err
			}
			// Attempts that fail are part of the show; the report speaks of them.
			level := slog.LevelError
			if s.Source("log_level") != "default" {
				level = s.LogLevel
			}
			o.URL = s.DatabaseURL
			o.Screen = a.screen()
			o.Logger = newLogger(a.err, level)
			return demo.Run(c.Context(), o)
		},
	}
	c.Flags().IntVar(&o.Workers, "workers", 2, "how many workers share the jobs, `N` of 1 to 8")
	c.Flags().StringVar(&o.Report, "report", "", "`DIRECTORY` for the report and the picture of the DAG (a temporary one)")
	c.Flags().BoolVar(&o.Keep, "keep", false, "keep what is there at the end, to look at it with psql; a PostgreSQL of our own runs until Ctrl-C")
	return c
}
