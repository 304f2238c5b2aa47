package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/settings"
	"github.com/pgq-go/queue/pgq/migrations"
)

func migrateCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "migrate", Short: "Install PGQ in a database, update or remove it"}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(migrateUp(a), migrateDown(a), migrateStatus(a))
	return c
}

func migrateUp(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Apply all migrations that are missing",
		Long: `Apply all migrations that are missing. Any number of processes may do so at the same time: one works, the
others wait for it. Each migration is one transaction.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.database(c)
			if err != nil {
				return err
			}
			before, err := appliedCount(c.Context(), s)
			if err != nil {
				return err
			}
			if err := migrations.Up(c.Context(), s.DatabaseURL, migrations.Options{Schema: s.Schema}); err != nil {
				return err
			}
			after, err := migrations.Status(c.Context(), s.DatabaseURL, migrations.Options{Schema: s.Schema})
			if err != nil {
				return err
			}
			for _, m := range after[min(before, len(after)):] {
				fmt.Fprintf(a.out, "applied %s\n", m.Name)
			}
			fmt.Fprintf(a.out, "schema %s is at version %d\n", s.Schema, after[len(after)-1].Version)
			return nil
		},
	}
}

// appliedCount returns how many migrations were applied; 0 where PGQ is not installed.
func appliedCount(ctx context.Context, s *settings.Loaded) (int, error) {
	all, err := migrations.Status(ctx, s.DatabaseURL, migrations.Options{Schema: s.Schema})
	if errors.Is(err, migrations.ErrNotInstalled) {
		return 0, nil
	}
	n := 0
	for _, m := range all {
		if !m.At.IsZero() {
			n++
		}
	}
	return n, err
}

func migrateDown(a *app) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Remove PGQ with all its jobs",
		Long:  `Remove PGQ with all its jobs, and its schema unless that holds other objects. This cannot be undone.`,
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.database(c)
			if err != nil {
				return err
			}
			if !yes {
				return usagef("this removes PGQ and all jobs from schema %s of %s; nothing was changed",
					s.Schema, settings.MaskURL(s.DatabaseURL)).WithFix("say --yes if you mean it")
			}
			if err := migrations.Down(c.Context(), s.DatabaseURL, migrations.Options{Schema: s.Schema}); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "removed PGQ from schema %s\n", s.Schema)
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "really remove everything")
	return c
}

func migrateStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show which migrations were applied",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.database(c)
			if err != nil {
				return err
			}
			all, err := migrations.Status(c.Context(), s.DatabaseURL, migrations.Options{Schema: s.Schema})
			if err != nil {
				return err
			}
			table := newTable(a.out)
			fmt.Fprintln(table, "VERSION\tNAME\tAPPLIED")
			for _, m := range all {
				at := "pending"
				if !m.At.IsZero() {
					at = m.At.UTC().Format(time.RFC3339)
				}
				fmt.Fprintf(table, "%d\t%s\t%s\n", m.Version, m.Name, at)
			}
			return table.Flush()
		},
	}
}
