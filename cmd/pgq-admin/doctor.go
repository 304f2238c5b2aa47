package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
)

const doctorHelp = `Look for what keeps PGQ from working well, now or soon, and say how to repair it:

  schema        functions, views, tables, columns, constraints, indexes that are not as this version creates them; invalid indexes
  dead rows     tables that are not vacuumed in time, bloat; who holds vacuum off: sessions, prepared transactions, replication slots
  server        settings that cost data or speed, connections, the NOTIFY queue, transaction ids, sequences near their end
  work          leases of workers that are gone, chores that nobody does, jobs that nobody starts, kinds that nobody knows
  rights        of PUBLIC and others in the schema, owners, extensions
  clocks        of this machine and the database

severity is critical (it does not work, or data is at risk), warning (it will not go well for long) or info. The exit code is 4
if there is a critical finding or a warning. Nothing is changed; to compare the schema, the migrations are run in another
schema, in a transaction that is rolled back (--no-schema leaves that out). pgq-admin check looks for broken invariants.`

var findingColumns = []output.Column[pgq.Finding]{
	{Name: "finding", Value: func(f pgq.Finding) any { return f.Name }},
	{Name: "severity", Value: func(f pgq.Finding) any { return f.Severity }},
	{Name: "subject", Value: func(f pgq.Finding) any { return f.Subject }},
	{Name: "meaning", Value: func(f pgq.Finding) any { return f.Meaning }},
	{Name: "repair", Value: func(f pgq.Finding) any { return f.Repair }},
}

// severities are all of them, worst first.
var severities = []pgq.Severity{pgq.Critical, pgq.Warning, pgq.Info}

func doctorCommand(a *app) *cobra.Command {
	var o output.Options
	var limits pgq.DoctorOptions
	var least string
	var noSchema bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps PGQ from working well, and say how to repair it",
		Long:  doctorHelp,
		Example: `  pgq-admin doctor                                    before and after a deployment, and from cron
  pgq-admin doctor --severity warning -o jsonl
  pgq-admin doctor --long-transaction 1m --old-job 5m`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, findingColumns)
			if err != nil {
				return err
			}
			if !slices.Contains(severities, pgq.Severity(least)) {
				return usagef("--severity must be critical, warning or info, not %q", least)
			}
			if min(limits.LongTransaction, limits.OldJob, limits.LateChores, limits.ClockSkew) < 0 || limits.DeadRows < 0 {
				return usagef("limits must not be negative")
			}
			found, err := a.findings(c, limits, noSchema)
			if err != nil {
				return err
			}
			found = slices.DeleteFunc(found, func(f pgq.Finding) bool { return rank(f.Severity) > rank(pgq.Severity(least)) })
			if o.Format == output.FormatTable && o.Columns == nil && o.Sort == "" {
				err = a.showFindings(found)
			} else {
				err = table.Print(a.screen(), found)
			}
			if err == nil && slices.ContainsFunc(found, func(f pgq.Finding) bool { return f.Severity != pgq.Info }) {
				err = errFindings
			}
			return err
		},
	}
	a.schemaFlag(c.Flags())
	o.Flags(c.Flags(), output.Names(findingColumns)...)
	c.Flags().StringVar(&least, "severity", "info", "only findings of this `SEVERITY` or worse: critical, warning, info")
	c.Flags().BoolVar(&noSchema, "no-schema", false, "do not compare the objects of the schema with those of this version")
	durationVar(c.Flags(), &limits.LongTransaction, "long-transaction", 0, "tell of transactions that are open for so `LONG` (10m)")
	durationVar(c.Flags(), &limits.OldJob, "old-job", 0, "tell of jobs that could have been claimed for so `LONG` (1h)")
	durationVar(c.Flags(), &limits.LateChores, "late-chores", 0, "tell of chores and scheduled jobs that are so `LATE` (30s)")
	durationVar(c.Flags(), &limits.ClockSkew, "clock-skew", 0, "tell of clocks that are so far `APART` (5s)")
	c.Flags().Int64Var(&limits.DeadRows, "dead-rows", 0, "tell of tables with so `MANY` dead rows, and a fifth of the live ones (100000)")
	return c
}

func rank(s pgq.Severity) int { return slices.Index(severities, s) }

// findings are those of the library and the differences of the schema, worst first.
func (a *app) findings(c *cobra.Command, limits pgq.DoctorOptions, noSchema bool) ([]pgq.Finding, error) {
	s, err := a.database(c)
	if err != nil {
		return nil, err
	}
	on, err := a.connect(c)
	if err != nil {
		return nil, err
	}
	defer on.close()
	var found []pgq.Finding
	var other *pgq.VersionError
	if err = on.q.CheckVersion(c.Context(), on.conn); errors.As(err, &other) {
		found, err = []pgq.Finding{otherVersion(other)}, nil
	} else if err == nil && !noSchema {
		found, err = compareSchema(c.Context(), s.DatabaseURL, s.Schema)
	}
	if err != nil {
		return nil, err
	}
	more, err := on.q.Doctor(c.Context(), on.conn, limits)
	var pg *pgconn.PgError
	missing := errors.Is(err, pgq.ErrNotInstalled) || errors.As(err, &pg) && (pg.Code == "42703" || pg.Code == "42883")
	if missing && slices.ContainsFunc(found, func(f pgq.Finding) bool { return f.Severity == pgq.Critical }) {
		err = nil // what it needs is what is missing, and was found to be
	}
	found = append(found, more...)
	slices.SortStableFunc(found, func(a, b pgq.Finding) int { return cmp.Compare(rank(a.Severity), rank(b.Severity)) })
	return found, err
}

// otherVersion is the finding that the schema has another version, so that its objects cannot be compared.
func otherVersion(v *pgq.VersionError) pgq.Finding {
	f := pgq.Finding{Name: "schema_version", Severity: pgq.Critical, Subject: "schema " + v.Schema, Repair: olderFix,
		Meaning: "It" + strings.TrimPrefix(versionText(v), "schema "+v.Schema) + ": programs of one do not work with the other. The objects were not compared."}
	if v.Version > pgq.SchemaVersion {
		f.Repair = newerFix
	}
	return f
}

// compareSchema returns what is not as this version creates it.
func compareSchema(ctx context.Context, url, schema string) ([]pgq.Finding, error) {
	differences, err := migrations.Drift(ctx, url, migrations.Options{Schema: schema})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42501" || pg.Code == "25006") {
		return []pgq.Finding{{Name: "schema_not_compared", Severity: pgq.Info, Subject: "schema " + schema,
			Meaning: "Whether its objects are those of this version is unknown: to compare them, a schema is created and rolled back, which is not possible here (" + pg.Message + ").",
			Repair:  "run pgq-admin doctor on the primary, as a role with the right: grant create on database … to …;"}}, nil
	}
	found := make([]pgq.Finding, len(differences))
	for i, d := range differences {
		found[i] = pgq.Finding{Name: d.What + "_" + d.Kind, Severity: driftSeverity(d), Subject: d.Name, Meaning: driftMeaning(d), Repair: d.Repair}
		if d.Repair == "" {
			found[i].Repair = driftRepair(d, schema)
		}
	}
	return found, err
}

func driftSeverity(d migrations.Difference) pgq.Severity {
	switch {
	case d.What == migrations.Unknown && d.Kind == "trigger", d.What == migrations.Changed && d.Kind != "options",
		d.What == migrations.Missing && (d.Kind == "constraint" || d.Kind == "statistics"):
		return pgq.Warning
	case d.What == migrations.Missing:
		return pgq.Critical
	}
	return pgq.Info
}

// driftMeaning says what is so, and what that leads to.
func driftMeaning(d migrations.Difference) string {
	switch d.What {
	case migrations.Missing:
		leads, known := map[string]string{
			"index": "what looks rows up by it reads the whole table.", "constraint": "wrong data are not refused.",
			"statistics": "counts are estimated badly.",
		}[d.Kind]
		if !known {
			leads = "what uses it fails."
		}
		return fmt.Sprintf("This version has the %s, and it is not there: %s", d.Kind, leads)
	case migrations.Unknown:
		if d.Kind == "trigger" {
			return "It is not PGQ's: it runs, and may fail, in PGQ's transactions: " + d.Have
		}
		if d.Kind == "index" || d.Kind == "column" {
			return fmt.Sprintf("The %s is not PGQ's, or another version's: every job pays for it.", d.Kind)
		}
		return fmt.Sprintf("The %s is not PGQ's, or another version's: it may be in the way of migrations.", d.Kind)
	}
	if d.Kind == "function" || d.Kind == "view" {
		return "Its definition is not that of this version: somebody changed it, or another build of this version installed it."
	}
	if d.Kind == "options" {
		return fmt.Sprintf("Somebody tuned the table: it has (%s), this version sets (%s).", d.Have, d.Want)
	}
	return fmt.Sprintf("It is defined in another way than in this version: as %s, not as %s", d.Have, d.Want)
}

// driftRepair is for what has no statement of its own.
func driftRepair(d migrations.Difference, schema string) string {
	switch {
	case d.Kind == "function" || d.Kind == "view":
		return fmt.Sprintf("pgq-admin migrate dump --functions --schema %s | psql -X -v ON_ERROR_STOP=1", quoted(schema))
	case d.What == migrations.Unknown:
		return "move it to a schema of its own: alter … set schema …;"
	case d.What == migrations.Missing:
		return fmt.Sprintf("restore it from a backup; pgq-admin migrate dump --schema %s shows how it is created", quoted(schema))
	}
	return fmt.Sprintf("make it as in pgq-admin migrate dump --schema %s", quoted(schema))
}

// showFindings prints findings for people: what it is, what it means, what to do.
func (a *app) showFindings(found []pgq.Finding) error {
	screen := a.screen()
	colours := map[pgq.Severity]output.Colour{pgq.Critical: output.Red, pgq.Warning: output.Yellow, pgq.Info: output.Faint}
	counts := map[pgq.Severity]int{}
	var text strings.Builder
	for _, f := range found {
		counts[f.Severity]++
		fmt.Fprintf(&text, "%s %s: %s\n  %s\n  fix: %s\n\n", screen.Paint(colours[f.Severity], strings.ToUpper(string(f.Severity))),
			f.Name, output.Clean(f.Subject), output.Clean(f.Meaning), output.Clean(f.Repair))
	}
	if len(found) == 0 {
		text.WriteString("all is well\n")
	} else {
		fmt.Fprintf(&text, "%d critical, %d warning, %d info\n", counts[pgq.Critical], counts[pgq.Warning], counts[pgq.Info])
	}
	_, err := fmt.Fprint(screen, text.String())
	return err
}
