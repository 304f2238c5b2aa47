package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker/config"
)

// migrate are the flags that the commands which change the schema share.
type migrate struct {
	app         *app
	lockTimeout time.Duration
	dry, yes    bool
	shown       output.Options
}

func migrateCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Install PGQ in a database, update or remove it",
		Long: `Install PGQ in a database, update or remove it. Each migration is one transaction; any number of processes may migrate at
the same time: one works, the others wait for it. A schema that holds objects of somebody else is refused.

Where a DBA applies changes: pgq-admin migrate dump prints them as SQL. -o json of up, down and to have {"schema": …, "version": …,
"steps": [{"name": …, "action": "apply" or "take back"}], "dry_run": …}.`,
	}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	m := &migrate{app: a}
	c.AddCommand(m.up(), m.down(), m.to(), migrateStatus(a), m.dump())
	return c
}

func (m *migrate) flags(c *cobra.Command, dry bool) {
	durationVar(c.Flags(), &m.lockTimeout, "lock-timeout", 5*time.Second, "give up when a lock is not to be had within this `TIME`; nothing is changed then")
	if dry {
		m.shown.FormatFlag(c.Flags(), output.Documents...)
		c.Flags().BoolVar(&m.dry, "dry-run", false, "only say what would be done")
	}
}

// options returns where and how to migrate.
func (m *migrate) options(schema string) (migrations.Options, error) {
	if m.lockTimeout < time.Millisecond || m.lockTimeout > 24*time.Hour {
		return migrations.Options{}, usagef("--lock-timeout must be 1ms to 24h, not %s", m.lockTimeout)
	}
	return migrations.Options{Schema: schema, LockTimeout: m.lockTimeout}, nil
}

func (m *migrate) up() *cobra.Command {
	c := &cobra.Command{
		Use:   "up",
		Short: "Apply all migrations that are missing",
		Long: `Apply all migrations that are missing. Any number of processes may do so at the same time: one works, the
others wait for it. Each migration is one transaction.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return m.run(c, migrations.Latest(), migrations.Up) },
	}
	m.flags(c, true)
	return c
}

func (m *migrate) down() *cobra.Command {
	c := &cobra.Command{
		Use:   "down",
		Short: "Remove PGQ with all its jobs",
		Long: `Remove PGQ with all its jobs. The schema goes, too, if pgq-admin migrate up created it and nothing else is in it. This cannot be
undone.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return m.run(c, 0, migrations.Down)
		},
	}
	m.flags(c, true)
	c.Flags().BoolVar(&m.yes, "yes", false, "really remove everything")
	return c
}

func (m *migrate) to() *cobra.Command {
	c := &cobra.Command{
		Use:   "to VERSION",
		Short: "Migrate up or down to a version",
		Long: `Migrate up or down to a version; pgq-admin migrate status lists them. Version 0 is pgq-admin migrate down. What is taken back is
lost: the functions below version 2, and all jobs below version 1.`,
		Example: `  pgq-admin migrate to 2 --dry-run`,
		Args:    args(1, "VERSION"),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || version < 0 || version > migrations.Latest() {
				return usagef("VERSION must be 0 to %d, not %q", migrations.Latest(), args[0])
			}
			return m.run(c, version, func(ctx context.Context, url string, o migrations.Options) error {
				return migrations.To(ctx, url, version, o)
			})
		},
	}
	m.flags(c, true)
	c.Flags().BoolVar(&m.yes, "yes", false, "really take back what is above VERSION")
	return c
}

// run migrates to a version, or says what that would do.
func (m *migrate) run(c *cobra.Command, version int64, do func(context.Context, string, migrations.Options) error) error {
	s, err := m.app.database(c)
	if err != nil {
		return err
	}
	o, err := m.options(s.Schema)
	if err != nil {
		return err
	}
	steps, err := migrations.Plan(c.Context(), s.DatabaseURL, version, o)
	if version == 0 && errors.Is(err, migrations.ErrForeignSchema) {
		err = do(c.Context(), s.DatabaseURL, o) // which says that there is nothing of PGQ
	}
	if err != nil {
		return err
	}
	if m.dry {
		return m.print(s.Schema, version, steps)
	}
	if len(steps) > 0 && steps[0].Down && !m.yes {
		what := fmt.Sprintf("takes back migrations down to version %d in", version)
		if version == 0 {
			what = "removes PGQ and all jobs from"
		}
		return usagef("this %s schema %s of %s; nothing was changed", what, s.Schema, config.MaskURL(s.DatabaseURL)).
			WithFix("say --yes if you mean it")
	}
	if err := do(c.Context(), s.DatabaseURL, o); err != nil {
		if migrations.IsLockTimeout(err) {
			return (&output.Error{Code: output.ExitConflict, Err: err, Text: err.Error()}).
				WithFix("somebody holds a lock on PGQ's objects; the migration was taken back: try again, or wait longer with --lock-timeout 1m")
		}
		return err
	}
	return m.print(s.Schema, version, steps)
}

// migratedStep is a step for programs.
type migratedStep struct {
	Name   string `json:"name"`
	Action string `json:"action"` // apply or take back
}

// print says what was done, or would be.
func (m *migrate) print(schema string, version int64, steps []migrations.Step) error {
	if m.shown.Format.ForPeople() {
		_, err := io.WriteString(m.app.out, m.text(schema, version, steps))
		return err
	}
	done := make([]migratedStep, len(steps))
	for i, step := range steps {
		done[i] = migratedStep{step.Name, verb(step, "apply", "take back")}
	}
	return output.Document(m.app.out, m.shown.Format, struct {
		Schema  string         `json:"schema"`
		Version int64          `json:"version"`
		Steps   []migratedStep `json:"steps"`
		DryRun  bool           `json:"dry_run"`
	}{schema, version, done, m.dry})
}

// text is what print says to people.
func (m *migrate) text(schema string, version int64, steps []migrations.Step) string {
	var text strings.Builder
	for _, step := range steps {
		switch {
		case m.dry:
			fmt.Fprintf(&text, "would %s %s\n", verb(step, "apply", "take back"), step.Name)
		case version > 0:
			fmt.Fprintf(&text, "%s %s\n", verb(step, "applied", "took back"), step.Name)
		}
	}
	switch {
	case m.dry && len(steps) == 0:
		fmt.Fprintf(&text, "nothing to do in schema %s\n", schema)
	case m.dry:
	case version == 0:
		fmt.Fprintf(&text, "removed PGQ from schema %s\n", schema)
	default:
		fmt.Fprintf(&text, "schema %s is at version %d\n", schema, version)
	}
	return text.String()
}

func verb(step migrations.Step, up, down string) string {
	if step.Down {
		return down
	}
	return up
}

func (m *migrate) dump() *cobra.Command {
	var from int64
	var functions bool
	c := &cobra.Command{
		Use:   "dump",
		Short: "Print the migrations as SQL for psql, without a database",
		Long: `Print the migrations as SQL on the standard output, for a DBA who looks at it and applies it with psql. It makes the same schema as
pgq-admin migrate up, in one transaction, and notes the versions, so that migrate status and later migrations know of it.
No database is needed. It is refused by a schema that has another version than --from, or that is somebody else's.

--functions makes the functions and views anew as this version has them, where pgq-admin doctor finds that somebody
changed them; jobs are not touched.`,
		Example: `  pgq-admin migrate dump | psql -X -v ON_ERROR_STOP=1 postgres://…
  pgq-admin migrate dump --schema jobs --from 1 > upgrade.sql`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := m.app.load(c)
			if err != nil {
				return err
			}
			o, err := m.options(s.Schema)
			if err != nil {
				return err
			}
			if functions {
				if c.Flags().Changed("from") {
					return usagef("--functions and --from are not for the same dump")
				}
				return migrations.DumpFunctions(m.app.out, o)
			}
			if from < 0 || from > migrations.Latest() {
				return usagef("--from must be 0 to %d, not %d", migrations.Latest(), from)
			}
			return migrations.Dump(m.app.out, from, o)
		},
	}
	m.flags(c, false)
	c.Flags().Int64Var(&from, "from", 0, "the `VERSION` that the schema has; 0 for a new one")
	c.Flags().BoolVar(&functions, "functions", false, "only the functions and views, made anew")
	return c
}

var migrationColumns = []output.Column[migrations.Applied]{
	{Name: "version", Value: func(m migrations.Applied) any { return m.Version }},
	{Name: "name", Value: func(m migrations.Applied) any { return m.Name }},
	{Name: "applied", Value: func(m migrations.Applied) any {
		if m.At.IsZero() {
			return "pending"
		}
		return m.At.UTC().Format(time.RFC3339)
	}},
}

func migrateStatus(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:   "status",
		Short: "Show which migrations were applied",
		Long: `Show which migrations were applied, and which are pending. Where the schema has a newer version than this pgq-admin knows, the exit code
is 6.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, migrationColumns)
			if err != nil {
				return err
			}
			s, err := a.database(c)
			if err != nil {
				return err
			}
			at := migrations.Options{Schema: s.Schema}
			pending, newer := migrations.Plan(c.Context(), s.DatabaseURL, migrations.Latest(), at)
			if newer != nil && !errors.Is(newer, migrations.ErrVersion) {
				return newer
			}
			all, err := migrations.Status(c.Context(), s.DatabaseURL, at)
			if errors.Is(err, migrations.ErrNotInstalled) {
				for _, step := range pending {
					all = append(all, migrations.Applied{Version: step.Version, Name: step.Name})
				}
				a.note(o, "PGQ is not installed in schema %s; pgq-admin migrate up installs it", output.Clean(s.Schema))
			} else if err != nil {
				return err
			}
			return cmp.Or(table.Print(a.screen(), all), newer)
		},
	}
	o.Flags(c.Flags(), output.Names(migrationColumns)...)
	return c
}
