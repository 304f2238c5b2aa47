package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

const batchHelp = `Show, submit and operate batches: sets of jobs with jobs that run when all of these have ended, or the first has failed.

A batch is named by its id, or by its name and key: 12, import/monday. It is a DAG, so pgq-admin dag takes it as well:
dag show --items lists its jobs, dag watch follows it, dag explain says what it waits for, dag hold and resume stop it for a while.`

func batchCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "batch", Aliases: []string{"batches"}, Short: "Show, submit and operate batches", Long: batchHelp}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(batchList(a), batchShow(a), batchSubmit(a), batchAdd(a), batchClose(a), batchCancel(a), batchRetry(a))
	return c
}

var batchColumns = []output.Column[dagsql.BatchInfo]{
	{Name: "id", Value: func(b dagsql.BatchInfo) any { return b.ID }},
	{Name: "name", Value: func(b dagsql.BatchInfo) any { return b.Name }},
	{Name: "key", Value: func(b dagsql.BatchInfo) any { return b.Key }},
	{Name: "state", Value: func(b dagsql.BatchInfo) any { return b.State }},
	{Name: "open", Value: func(b dagsql.BatchInfo) any { return b.Open }},
	{Name: "total", Value: func(b dagsql.BatchInfo) any { return b.Total }},
	{Name: "done", Value: func(b dagsql.BatchInfo) any { return b.Done }},
	{Name: "failed", Value: func(b dagsql.BatchInfo) any { return b.Failed }},
	{Name: "percent", Value: func(b dagsql.BatchInfo) any { return b.Percent }},
	{Name: "created_at", Value: func(b dagsql.BatchInfo) any { return b.CreatedAt }},
	{Name: "queue", Level: output.Wide, Value: func(b dagsql.BatchInfo) any { return b.Queue }},
	{Name: "finished_at", Level: output.Wide, Value: func(b dagsql.BatchInfo) any { return b.FinishedAt }},
	{Name: "deadline", Level: output.Wide, Value: func(b dagsql.BatchInfo) any { return b.Deadline }},
	{Name: "tags", Level: output.Wide, Value: func(b dagsql.BatchInfo) any { return b.Tags }},
	{Name: "metadata", Level: output.Data, Value: func(b dagsql.BatchInfo) any { return b.Metadata }},
	{Name: "cause_id", Level: output.Data, Value: func(b dagsql.BatchInfo) any { return b.CauseID }},
	{Name: "error", Level: output.Wide, Value: func(b dagsql.BatchInfo) any { return b.Error }},
}

// onBatch connects and does something with the batch that the first argument names.
func (a *app) onBatch(c *cobra.Command, name string, do func(ctx context.Context, s *session, id int64) error) error {
	s, err := a.open(c)
	if err != nil {
		return err
	}
	defer s.close()
	id, err := s.find(c.Context(), name)
	if err == nil {
		err = do(c.Context(), s, id)
	}
	if errors.Is(err, pgq.ErrNotFound) {
		lost := &output.Error{Code: output.ExitNotFound, Text: fmt.Sprintf("there is no batch %d", id), Err: err}
		return lost.WithFix("pgq-admin batch list shows the batches")
	}
	return err
}

// printBatch prints one batch as it is now.
func (a *app) printBatch(ctx context.Context, s *session, db pgq.DB, id int64, table *output.Table[dagsql.BatchInfo]) error {
	b, err := s.dags.Batch(ctx, db, id)
	if err != nil {
		return err
	}
	return table.Print(a.screen(), []dagsql.BatchInfo{b})
}

func batchList(a *app) *cobra.Command {
	return listCommand(a, &cobra.Command{
		Short: "List batches, newest first",
		Long: `List batches, newest first, with how far they are, a page at a time. What stands below a page is the cursor of the next one;
-o json has it as "next".`,
		Example: `  pgq-admin batch list --name import --state running`,
	}, "batches", batchColumns, (*dagsql.Client).Batches)
}

func batchShow(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:     "show BATCH",
		Aliases: []string{"describe", "get"},
		Short:   "Show how far a batch is",
		Long:    `Show a batch and how far it is. Its jobs are shown by dag show --items.`,
		Example: `  pgq-admin batch show import/monday -o json | jq '.items[0].percent'`,
		Args:    args(1, "BATCH"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, batchColumns)
			if err != nil {
				return err
			}
			return a.onBatch(c, args[0], func(ctx context.Context, s *session, id int64) error {
				return a.printBatch(ctx, s, s.conn, id, table)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(batchColumns)...)
	return c
}

func batchSubmit(a *app) *cobra.Command {
	var o output.Options
	var dry bool
	c := &cobra.Command{
		Use:   "submit FILE|-",
		Short: "Submit a batch that is given as JSON or YAML",
		Long: `Submit a batch that is given as a JSON document, from a file or the standard input; as YAML if the file's name ends so. If a
batch of the same name and key is there, it is shown. With "open": true, jobs can be added until it is closed.

  {"name": "import", "key": "monday", "open": true, "jobs": [{"kind": "load", "args": {"file": 1}}],
   "on_done": {"kind": "tidy"}, "on_success": {"kind": "report"}, "on_failure": {"kind": "alarm"}}`,
		Example: `  pgq-admin batch submit import.json -o name`,
		Args:    args(1, "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, batchColumns)
			if err != nil {
				return err
			}
			document, err := a.document(args[0])
			if err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			return try(c.Context(), s.conn, dry, func(tx pgx.Tx) error {
				batch, err := s.dags.SubmitBatchJSON(c.Context(), tx, document)
				if err != nil {
					return err
				}
				if dry {
					a.note(o, "dry run: the batch is valid; nothing was written")
				} else if !batch.Created {
					a.note(o, "there is a batch with this name and key already; nothing was submitted")
				}
				return a.printBatch(c.Context(), s, tx, batch.ID, table)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(batchColumns)...)
	c.Flags().BoolVar(&dry, "dry-run", false, "look whether it can be submitted, and write nothing")
	return c
}
