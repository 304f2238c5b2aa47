package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/pgq"
)

func checkCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Look for broken invariants",
		Long: `Look for broken invariants: a job in two places or in none, a lease without worker, and so on. It changes nothing
and reads whole tables in one snapshot. It exits with 4 if it finds something.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.database(c)
			if err != nil {
				return err
			}
			ctx := c.Context()
			conn, err := pgx.Connect(ctx, s.DatabaseURL)
			if err != nil {
				return err
			}
			defer closeConn(conn)
			q := pgq.New(pgq.Config{Schema: s.Schema})
			if err := q.CheckVersion(ctx, conn); err != nil {
				return err
			}
			found, err := q.Check(ctx, conn)
			if err != nil {
				return err
			}
			return a.report(s.Schema, found)
		},
	}
	a.schemaFlag(c.Flags())
	return c
}

// report prints what was found; it returns errFindings if that is anything.
func (a *app) report(schema string, found []pgq.Violation) error {
	if len(found) == 0 {
		fmt.Fprintf(a.out, "schema %s: all invariants hold\n", schema)
		return nil
	}
	fmt.Fprintf(a.out, "schema %s: %d broken invariants\n\n", schema, len(found))
	table := newTable(a.out)
	fmt.Fprintln(table, "JOB\tDETAIL\tRULE THAT IS BROKEN")
	for _, v := range found {
		job, detail := "-", "-"
		if v.JobID != nil {
			job = fmt.Sprint(*v.JobID)
		}
		if v.Detail != nil {
			detail = *v.Detail
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", job, detail, v.Rule)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return errFindings
}

// closeConn closes a connection also when the command was interrupted.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
