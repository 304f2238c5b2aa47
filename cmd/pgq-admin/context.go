package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/worker/config"
)

const contextHelp = `Databases by name: pgq-admin --context production status. The current context (context use) is what is worked on if nothing else
says which database. Which one it is, in this order:

  1. --url              2. --context            3. PGQ_DATABASE_URL
  4. database_url in --config                   5. PGSERVICE, PGHOST, PGPORT, PGUSER, PGDATABASE, as for psql
  6. the current context

Passwords may also stand in PGPASSWORD or, better, in a password file (~/.pgpass, PGPASSFILE); service files are read as well. The
contexts are in $XDG_CONFIG_HOME/pgq/contexts.yaml (~/.config by default) or the file of PGQ_CONTEXTS, which only its
owner may be able to read. Passwords are never printed.`

// named is a context with its name.
type named struct {
	name    string
	current bool
	config.Context
}

var contextColumns = []output.Column[named]{
	{Name: "name", Value: func(c named) any { return c.name }},
	{Name: "current", Value: func(c named) any { return c.current }},
	{Name: "database_url", Value: func(c named) any { return config.MaskURL(c.DatabaseURL) }},
	{Name: "schema", Value: func(c named) any {
		if c.Schema == "" {
			return nil
		}
		return c.Schema
	}},
}

func contextCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "context", Short: "Name databases, and choose one", Long: contextHelp}
	group(c)
	c.AddCommand(contextList(a), contextShow(a), contextUse(a), contextSet(a), contextDelete(a))
	return c
}

// contexts reads them and has something done with them.
func (a *app) contexts(change bool, do func(*config.Contexts) error) error {
	all, err := config.ReadContexts(config.ContextsPath())
	if err != nil {
		return err
	}
	if err := do(all); err != nil || !change {
		return err
	}
	return all.Write()
}

// contextNames completes names of contexts.
func contextNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := config.ReadContexts(config.ContextsPath())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return all.Names(), cobra.ShellCompDirectiveNoFileComp
}

func contextList(a *app) *cobra.Command {
	var o output.Options
	var p namedPage
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the contexts",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, contextColumns)
			if err != nil {
				return err
			}
			if err := p.check(); err != nil {
				return err
			}
			return a.contexts(false, func(all *config.Contexts) error {
				var rows []named
				for _, name := range all.Names() {
					rows = append(rows, named{name, name == all.Current, all.Named[name]})
				}
				if len(rows) == 0 {
					a.note(o, "no contexts; pgq-admin context set NAME --url … adds one")
				}
				return showPage(a.screen(), table, p.page, rows, func(n named) bool { return n.name > p.after },
					func(n named) string { return n.name }, func(string, ...any) {}, "contexts")
			})
		},
	}
	o.Flags(c.Flags(), output.Names(contextColumns)...)
	p.flags(c.Flags(), 1000, "contexts after this `NAME`")
	return c
}

func contextShow(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:               "show [NAME]",
		Short:             "Show a context, the current one by default",
		Args:              args(0, "NAME"),
		ValidArgsFunction: contextNames,
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, contextColumns)
			if err != nil {
				return err
			}
			return a.contexts(false, func(all *config.Contexts) error {
				name := all.Current
				if len(args) > 0 {
					name = args[0]
				}
				one, ok := all.Named[name]
				if !ok && name == "" {
					return &output.Error{Code: output.ExitNotFound, Text: "there is no current context", Fix: "pgq-admin context use NAME makes one current"}
				}
				if !ok {
					return noContext(name)
				}
				return table.Print(a.screen(), []named{{name, name == all.Current, one}})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(contextColumns)...)
	return c
}

func noContext(name string) error {
	return &output.Error{Code: output.ExitNotFound, Text: fmt.Sprintf("there is no context %q", name), Fix: "pgq-admin context list shows the contexts"}
}

func contextUse(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Make a context the current one",
		Args:              args(1, "NAME"),
		ValidArgsFunction: contextNames,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.contexts(true, func(all *config.Contexts) error {
				if all.Use(args[0]) != nil {
					return noContext(args[0])
				}
				_, err := fmt.Fprintf(a.out, "context %s is the current one\n", args[0])
				return err
			})
		},
	}
}

func contextSet(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Add a context or change it",
		Long: `Add a context or change it: --url and --schema are what it has; what is not given stays as it is. The first one becomes the current
one. --url - reads the URL from the standard input, where other users of the machine cannot see it.`,
		Example: `  pgq-admin context set staging --url postgres://app@db.staging/app
  pgq-admin context set production --url - --schema jobs < url-with-password`,
		Args:              args(1, "NAME"),
		ValidArgsFunction: contextNames,
		RunE: func(c *cobra.Command, args []string) error {
			if a.url == "-" {
				line, err := bufio.NewReader(io.LimitReader(a.in, 1<<16)).ReadString('\n')
				if a.url = strings.TrimSpace(line); a.url == "" {
					return usagef("--url -: there is no URL on the standard input")
				}
				_ = err // of a line without end there is enough
			}
			return a.contexts(true, func(all *config.Contexts) error {
				context, there := all.Named[args[0]]
				if c.Flags().Changed("url") {
					context.DatabaseURL = a.url
				} else if !there {
					return usagef("a new context needs a database").WithFix("pgq-admin context set %s --url postgres://…", quoted(args[0]))
				}
				if c.Flags().Changed("schema") {
					context.Schema = a.schema
				}
				if err := all.Set(args[0], context); err != nil {
					return err
				}
				if len(all.Named) == 1 {
					all.Current = args[0]
				}
				_, err := fmt.Fprintf(a.out, "context %s is %s\n", args[0], config.MaskURL(context.DatabaseURL))
				return err
			})
		},
	}
	a.schemaFlag(c.Flags())
	return c
}

func contextDelete(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Aliases:           []string{"rm"},
		Short:             "Forget a context; its database is not touched",
		Args:              args(1, "NAME"),
		ValidArgsFunction: contextNames,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.contexts(true, func(all *config.Contexts) error {
				if all.Delete(args[0]) != nil {
					return noContext(args[0])
				}
				_, err := fmt.Fprintf(a.out, "context %s is forgotten\n", args[0])
				return err
			})
		},
	}
}
