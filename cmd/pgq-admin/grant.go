package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

const grantHelp = `Let a role of the database do what a class may. Classes add up; granting more queues adds them.

  producer  enqueues jobs and DAGs into the queues named (without --queue into all), sees what it enqueued (view own_jobs)
  worker    claims and finishes jobs, does the chores
  operator  looks at everything, args and results included, and steers: cancel, retry, delete, pause, set …
  reader    looks at everything but args and results; at those, too, with --payloads; with --tenant only at that tenant's
            jobs, those with {"tenant": …} in their metadata (view tenant_jobs)
  owner     is made a member of the role that owns the schema: may do everything, migrate and grant included

Nobody is given rights on tables. The role must exist: create role NAME login. docs/roles.md says what each class may call.
Needs an owner of the schema.`

// grantFlags are the flags that grant and revoke share.
func grantFlags(c *cobra.Command, g *pgq.Grant) {
	c.Flags().StringArrayVar(&g.Queues, "queue", nil, "producer: only into this `QUEUE`; may be repeated")
	c.Flags().StringArrayVar(&g.Tenants, "tenant", nil, "reader: only jobs of this `TENANT`; may be repeated")
}

// asked returns the grant that arguments and flags ask for.
func asked(g pgq.Grant, args []string) (pgq.Grant, error) {
	g.Class, g.Role = pgq.Class(args[0]), args[1]
	for name, values := range map[string][]string{"queue": g.Queues, "tenant": g.Tenants} {
		if slices.ContainsFunc(values, func(v string) bool { return strings.TrimSpace(v) == "" }) {
			return g, usagef("--%s must name something; for all leave it out", name)
		}
	}
	return g, nil
}

// classNames complete the first argument.
var classNames = []string{string(pgq.Producer), string(pgq.WorkerClass), string(pgq.Operator), string(pgq.Reader), string(pgq.Owner)}

func grantCommand(a *app) *cobra.Command {
	var g pgq.Grant
	c := &cobra.Command{
		Use:   "grant CLASS ROLE",
		Short: "Let a role of the database enqueue, work, operate, read or own",
		Long:  grantHelp,
		Example: `  pgq-admin grant producer shop --queue mail --queue invoices
  pgq-admin grant worker mailer
  pgq-admin grant reader metabase --payloads
  pgq-admin grant reader acme_reports --tenant acme`,
		Args:      args(2, "CLASS", "ROLE"),
		ValidArgs: classNames,
		RunE: func(c *cobra.Command, args []string) error {
			what, err := asked(g, args)
			if err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			if err := s.q.Grant(c.Context(), s.conn, what); err != nil {
				return wrongRole(what.Role, "create it with psql: create role "+pgx.Identifier{what.Role}.Sanitize()+" login;", err)
			}
			return a.line("role " + what.Role + " is " + string(what.Class) + " of schema " + s.q.Schema() + extent(what))
		},
	}
	a.schemaFlag(c.Flags())
	grantFlags(c, &g)
	c.Flags().BoolVar(&g.Payloads, "payloads", false, "reader: args and results, too")
	return c
}

// wrongRole words the error that a role is not there, or may not be granted anything.
func wrongRole(role, fix string, err error) error {
	var wrong *pgq.ArgumentError
	switch {
	case !errors.As(err, &wrong) || wrong.Field != "role_name":
		return err
	case !strings.HasPrefix(wrong.Rule, "must name an existing role"):
		return usagef("ROLE %s", wrong.Rule)
	case role == "public":
		fix = "nothing is granted to PUBLIC; name roles one by one"
	}
	return (&output.Error{Code: output.ExitNotFound, Text: fmt.Sprintf("there is no role %q", role), Err: err}).WithFix("%s", fix)
}

func revokeCommand(a *app) *cobra.Command {
	var g pgq.Grant
	c := &cobra.Command{
		Use:   "revoke CLASS ROLE",
		Short: "Take back what was granted to a role of the database",
		Long: `Take a class back from a role of the database, or only queues of a producer, tenants of a reader, or the sight of args and
results. Open sessions lose the right at their next statement. The role itself stays; before "drop role" revoke all it has.

Needs an owner of the schema. Exit code 3: the role did not have that.`,
		Example: `  pgq-admin revoke producer shop --queue invoices
  pgq-admin revoke worker mailer
  pgq-admin revoke reader metabase --payloads`,
		Args:      args(2, "CLASS", "ROLE"),
		ValidArgs: classNames,
		RunE: func(c *cobra.Command, args []string) error {
			what, err := asked(g, args)
			if err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			had, err := s.q.Revoke(c.Context(), s.conn, what)
			if err != nil {
				return wrongRole(what.Role, "pgq-admin grants shows who may do what", err)
			}
			if !had {
				lacks := &output.Error{Code: output.ExitNotFound, Text: "role " + what.Role + " was not granted " + string(what.Class) + extent(what)}
				return lacks.WithFix("pgq-admin grants shows who may do what")
			}
			return a.line("taken from role " + what.Role + ": " + string(what.Class) + " of schema " + s.q.Schema() + extent(what))
		},
	}
	a.schemaFlag(c.Flags())
	grantFlags(c, &g)
	c.Flags().BoolVar(&g.Payloads, "payloads", false, "reader: only the sight of args and results")
	return c
}

// line prints a line without what could steer a terminal.
func (a *app) line(text string) error {
	_, err := fmt.Fprintln(a.out, output.Clean(text))
	return err
}

// extent says to what a grant is confined.
func extent(g pgq.Grant) string {
	text := ""
	if g.Queues != nil {
		text += ", queues " + strings.Join(g.Queues, ", ")
	}
	if g.Tenants != nil {
		text += ", tenants " + strings.Join(g.Tenants, ", ")
	}
	if g.Payloads {
		text += ", payloads"
	}
	return text
}

var grantColumns = []output.Column[pgq.Granted]{
	{Name: "role", Value: func(g pgq.Granted) any { return g.Role }},
	{Name: "class", Value: func(g pgq.Granted) any { return string(g.Class) }},
	{Name: "queues", Value: func(g pgq.Granted) any { return listed(g.Queues) }},
	{Name: "tenants", Value: func(g pgq.Granted) any { return listed(g.Tenants) }},
	{Name: "payloads", Value: func(g pgq.Granted) any { return g.Payloads || g.Class == pgq.Operator || g.Class == pgq.WorkerClass }},
	{Name: "granted_by", Level: output.Wide, Value: func(g pgq.Granted) any { return g.GrantedBy }},
	{Name: "granted_at", Level: output.Wide, Value: func(g pgq.Granted) any { return g.GrantedAt }},
}

// listed returns names, or nil where all are meant: no list, which is not an empty one.
func listed(names []string) any {
	if names == nil {
		return nil
	}
	return names
}

func grantsCommand(a *app) *cobra.Command {
	var o output.Options
	var p namedPage
	c := &cobra.Command{
		Use:   "grants",
		Short: "List which roles of the database may do what",
		Long: `List which roles of the database may do what. No queues: all of them; no tenants: all jobs. Members of a role may do what it may.
Roles that own the schema, or are members of its owner, are owners; superusers may do everything and are not listed.`,
		Example: `  pgq-admin grants
  pgq-admin grants -o json | jq -r '.items[] | select(.class == "operator") | .role'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, grantColumns)
			if err != nil {
				return err
			}
			if err := p.check(); err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			grants, err := s.q.Grants(c.Context(), s.conn)
			if err != nil {
				return err
			}
			cursor := func(g pgq.Granted) string { return g.Role + "/" + string(g.Class) }
			slices.SortFunc(grants, func(a, b pgq.Granted) int { return strings.Compare(cursor(a), cursor(b)) })
			return showPage(a.screen(), table, p.page, grants, func(g pgq.Granted) bool { return cursor(g) > p.after }, cursor, a.noter(o), "grants")
		},
	}
	a.schemaFlag(c.Flags())
	o.Flags(c.Flags(), output.Names(grantColumns)...)
	p.flags(c.Flags(), 1000, "grants after this `ROLE/CLASS`")
	return c
}
