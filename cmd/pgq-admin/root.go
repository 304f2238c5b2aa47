package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/worker/config"
)

// app is what all commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
	stop     *interruption

	config   string   // --config
	context  string   // --context
	url      string   // --url
	schema   string   // --schema, where a command has it
	logLevel string   // --log-level
	set      []string // --set
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "pgq-admin",
		Short: "Show, install, check and operate PGQ, the job queue and DAG engine that lives in PostgreSQL",
		Long: `Show, install, check and operate PGQ, the job queue and DAG engine that lives in PostgreSQL.

Settings, later wins: defaults, a YAML file (--config or PGQ_CONFIG), the environment (PGQ_…), flags. See "pgq-admin config
--help". The database can also be that of a named context, or that of libpq's PG… variables. See "pgq-admin context --help".

Exit codes: 0 ok, 1 failed, 2 used in a wrong way, 3 not found, 4 something wrong was found, 5 done for some and not for
others, 6 not possible in this state, 7 waited until time was out, 8 no connection to a database, 128 and the number of the signal
that ended it (130 for Ctrl-C, 143 for SIGTERM: "interrupted").
With -o json, errors are JSON as well: {"code": 3, "reason": "not_found", "message": …}, on stderr.`,
		Example: `  pgq-admin demo                                 see PGQ at work; needs nothing
  pgq-admin migrate up --url postgres://…        install PGQ in a database
  pgq-admin check                                look for broken invariants
  pgq-admin dag watch etl/monday                 follow a DAG until it has ended`,
		Version:       ownVersions().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	group(root)
	root.PersistentPreRunE = onlyText
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetHelpCommand(helpCommand())
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(wrongFlag)
	flags := root.PersistentFlags()
	flags.StringVar(&a.config, "config", "", "YAML `FILE` with settings (PGQ_CONFIG)")
	flags.StringVar(&a.url, "url", "", "`URL` of the database (PGQ_DATABASE_URL, which other users of the machine cannot see)")
	flags.StringVar(&a.context, "context", "", "work on the database of this `CONTEXT`; see pgq-admin context --help")
	_ = root.RegisterFlagCompletionFunc("context", contextNames)
	flags.StringVar(&a.logLevel, "log-level", "", "`LEVEL` debug, info, warn or error (PGQ_LOG_LEVEL; info)")
	flags.StringArrayVar(&a.set, "set", nil, "any setting, `NAME=VALUE`, worker.lease=10s for example; may be repeated")
	root.AddCommand(demoCommand(a), migrateCommand(a), checkCommand(a), dagCommand(a), batchCommand(a), configCommand(a), versionCommand(a))
	root.AddCommand(jobCommand(a))
	root.AddCommand(scheduleCommand(a))
	root.AddCommand(sequenceCommand(a))
	root.AddCommand(limitCommand(a))
	root.AddCommand(queueCommand(a))
	root.AddCommand(enqueueCommand(a))
	root.AddCommand(failuresCommand(a))
	root.AddCommand(workerCommand(a))
	root.AddCommand(benchCommand(a))
	root.AddCommand(statsCommand(a))
	root.AddCommand(topCommand(a))
	root.AddCommand(statusCommand(a))
	root.AddCommand(eventCommand(a), consumerCommand(a))
	root.AddCommand(doctorCommand(a), pruneCommand(a), exportCommand(a), importCommand(a), contextCommand(a), completionCommand(a), docsCommand())
	root.AddCommand(grantCommand(a), revokeCommand(a), grantsCommand(a))
	a.complete(root)
	return root
}

// group makes a command that only has subcommands: without arguments it shows its help, anything else is refused.
func group(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return noCommand(c, args[0])
	}
}

// noCommand is the error that a command has no subcommand of a name.
func noCommand(c *cobra.Command, name string) error {
	names := make([]string, 0, len(c.Commands()))
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	if len(names) == 0 {
		return misused(c, "%s has no commands, and no %q", c.CommandPath(), name)
	}
	hint := "choose one of: " + strings.Join(names, ", ")
	if nearest := config.Nearest(name, names); nearest != "" {
		hint = "did you mean " + nearest + "?"
	}
	return usagef("%s has no command %q; %s", c.CommandPath(), name, hint)
}

// helpCommand shows the help of a command, and refuses names of none.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return noCommand(of, rest[0])
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misused(c, "%s takes no arguments, not %q", c.CommandPath(), args[0])
	}
	return nil
}

// schemaFlag gives a command --schema.
func (a *app) schemaFlag(flags *pflag.FlagSet) {
	flags.StringVar(&a.schema, "schema", "", "`SCHEMA` that holds PGQ (PGQ_SCHEMA; pgq)")
}

// screen is where the command's output goes.
func (a *app) screen() output.Screen { return output.NewScreen(a.out) }

// load reads the settings of a command.
func (a *app) load(c *cobra.Command) (*config.Loaded, error) {
	sources := config.Sources{File: a.config, Environ: a.environ, Contexts: config.ContextsPath(), Context: a.context}
	if c.Flags().Changed("context") && (a.context == "" || c.Flags().Changed("url")) {
		return nil, usagef("--context must name a context, and is not for use with --url")
	}
	if !c.Flags().Changed("config") {
		sources.File = os.Getenv("PGQ_CONFIG")
	} else if a.config == "" {
		return nil, usagef("--config must name a file")
	}
	for _, assignment := range a.set {
		field, value, ok := strings.Cut(assignment, "=")
		if !ok {
			return nil, usagef("--set takes NAME=VALUE, worker.lease=10s for example, not %q", assignment)
		}
		sources.Flags = append(sources.Flags, config.Flag{Name: "--set", Field: field, Value: value})
	}
	for _, f := range []config.Flag{
		{Name: "url", Field: "database_url", Value: a.url},
		{Name: "schema", Field: "schema", Value: a.schema},
		{Name: "log-level", Field: "log_level", Value: a.logLevel},
	} {
		if flag := c.Flags().Lookup(f.Name); flag != nil && flag.Changed {
			f.Name = "--" + f.Name
			sources.Flags = append(sources.Flags, f)
		}
	}
	loaded, err := config.Load(sources)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("%s", err)
	}
	return loaded, err
}

// database reads the settings of a command that works on a database, which must be given.
func (a *app) database(c *cobra.Command) (*config.Loaded, error) {
	loaded, err := a.load(c)
	if err == nil && loaded.DatabaseURL == "" {
		err = usagef("no database is given").
			WithFix("export PGQ_DATABASE_URL=postgres://user:password@host:5432/database (or --url, --context, or PGHOST … as for psql)")
	}
	if err == nil {
		err = a.nameConnections(c, &loaded.Settings)
	}
	return loaded, err
}
