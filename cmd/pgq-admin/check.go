package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

var violationColumns = []output.Column[pgq.Violation]{
	{Name: "job_id", Value: func(v pgq.Violation) any { return v.JobID }},
	{Name: "detail", Whole: true, Value: func(v pgq.Violation) any { return v.Detail }},
	{Name: "rule", Value: func(v pgq.Violation) any { return v.Rule }},
}

func checkCommand(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:   "check",
		Short: "Look for broken invariants",
		Long: `Look for broken invariants: a job in two places or in none, a lease without worker, and so on. It changes nothing
and reads whole tables in one snapshot. It exits with 4 if it finds something.

pgq-admin doctor looks for what keeps PGQ from working well, and costs little.`,
		Example: `  pgq-admin check -o json | jq -r '.items[].job_id'`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, violationColumns)
			if err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			q := s.q
			found, err := q.Check(c.Context(), s.conn)
			if err != nil {
				return err
			}
			if o.Format.ForPeople() && len(found) == 0 {
				_, err = fmt.Fprintf(a.out, "schema %s: all invariants hold\n", q.Schema())
				return err
			}
			if o.Format.ForPeople() {
				fmt.Fprintf(a.out, "schema %s: %d broken invariants\n\n", q.Schema(), len(found))
			}
			if err := table.Print(a.screen(), found); err != nil || len(found) == 0 {
				return err
			}
			return errFindings
		},
	}
	a.schemaFlag(c.Flags())
	o.Flags(c.Flags(), output.Names(violationColumns)...)
	return c
}

// cancelTimeout bounds the wait for a server to cancel a statement.
const cancelTimeout = 2 * time.Second

// closeConn closes a connection also when the command was interrupted: then it waits until the server has cancelled the statement under
// way, which would run on without anybody who waits for it.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
	select {
	case <-conn.PgConn().CleanupDone():
	case <-time.After(cancelTimeout):
	}
}
