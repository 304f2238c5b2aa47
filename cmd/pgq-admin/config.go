package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/worker/config"
)

const configHelp = `Settings, later wins: defaults, a YAML file (--config or PGQ_CONFIG), the environment, flags.

%s
The database may also be that of a context (--context, pgq-admin context --help) or of libpq's variables (PGHOST, PGSERVICE …).
pgq-admin config init prints or writes a file with all settings and what they are for.

Unknown names are refused, in the file and in the environment (PGQ_…). These other variables choose a PostgreSQL for
the demo and for tests: PGQ_POSTGRES, PGQ_POSTGRES_IMAGE, PGQ_EMBEDDED_POSTGRES_URL.`

// settingsTable lists the settings and where they may stand.
func settingsTable() string {
	var table strings.Builder
	line := func(file, environment, flag string) {
		fmt.Fprintf(&table, "  %-22s %-26s %s\n", file, environment, flag)
	}
	line("in the file", "in the environment", "flag")
	flags := map[string]string{"database_url": "--url", "schema": "--schema", "log_level": "--log-level"}
	names, variables := config.Names()
	for i, name := range names {
		flag := flags[name]
		if flag == "" {
			flag = "--set " + name + "=…"
		}
		line(name, variables[i], flag)
	}
	return table.String()
}

var configColumns = []output.Column[config.Value]{
	{Name: "setting", Value: func(v config.Value) any { return v.Field }},
	{Name: "value", Value: func(v config.Value) any { return v.Value }},
	{Name: "source", Value: func(v config.Value) any { return v.Source }},
}

func configCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Show the settings and where they are from", Long: fmt.Sprintf(configHelp, settingsTable())}
	group(c)
	c.AddCommand(configShow(a), configInit(a))
	return c
}

func configShow(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:   "show",
		Short: "Print each setting with its source; passwords and keys are never printed",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, configColumns)
			if err != nil {
				return err
			}
			loaded, err := a.load(c)
			if err != nil {
				return err
			}
			return table.Print(a.screen(), loaded.Values())
		},
	}
	o.Flags(c.Flags(), output.Names(configColumns)...)
	a.schemaFlag(c.Flags())
	return c
}

func configInit(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "Print a settings file with all settings and their defaults, or write it",
		Example: `  pgq-admin config init
  pgq-admin config init pgq.yaml`,
		Args: args(0, "FILE"),
		RunE: func(_ *cobra.Command, names []string) error {
			if len(names) == 0 {
				_, err := fmt.Fprint(a.out, config.Sample())
				return err
			}
			return a.writeSample(names[0])
		},
	}
}

// writeSample writes a new file that only its owner may read, since people put passwords into it.
func (a *app) writeSample(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usagef("%s is there already; nothing was changed", path)
	}
	if err != nil {
		return usagef("%s", err)
	}
	_, err = f.WriteString(config.Sample())
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	_, err = fmt.Fprintf(a.out, "%s is written; pgq-admin config show --config %s\n", path, quoted(path))
	return err
}
