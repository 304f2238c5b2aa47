package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
)

func batchAdd(a *app) *cobra.Command {
	var o output.Options
	var dry bool
	c := &cobra.Command{
		Use:   "add BATCH FILE|-",
		Short: "Add jobs to an open batch",
		Long: `Add jobs to an open batch: a JSON array from a file or the standard input; as YAML if the file's name ends so. All or none.
{"batch": 17} adds another batch, which counts as one job.`,
		Example: `  echo '[{"kind": "load", "args": {"file": 2}}, {"kind": "load", "args": {"file": 3}}]' | pgq-admin batch add import/monday -`,
		Args:    args(2, "BATCH", "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, batchColumns)
			if err != nil {
				return err
			}
			jobs, err := a.document(args[1])
			if err != nil {
				return err
			}
			return a.onBatch(c, args[0], func(ctx context.Context, s *session, id int64) error {
				return try(ctx, s.conn, dry, func(tx pgx.Tx) error {
					ids, err := s.dags.AddJSONToBatch(ctx, tx, id, jobs, nil)
					if err != nil {
						return err
					}
					if dry {
						a.note(o, "dry run: nothing was added")
					} else {
						a.note(o, "%d added", len(ids))
					}
					return a.printBatch(ctx, s, tx, id, table)
				})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(batchColumns)...)
	c.Flags().BoolVar(&dry, "dry-run", false, "look whether they can be added, and write nothing")
	return c
}

func batchClose(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:     "close BATCH",
		Short:   "Close a batch: no more jobs are added, and it ends when they have",
		Example: `  pgq-admin batch close import/monday`,
		Args:    args(1, "BATCH"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, batchColumns)
			if err != nil {
				return err
			}
			return a.onBatch(c, args[0], func(ctx context.Context, s *session, id int64) error {
				closed, err := s.dags.CloseBatch(ctx, s.conn, id)
				if err != nil {
					return err
				}
				if !closed {
					return output.Conflictf("batch %d was closed already", id)
				}
				return a.printBatch(ctx, s, s.conn, id, table)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(batchColumns)...)
	return c
}

func batchCancel(a *app) *cobra.Command {
	var o output.Options
	var reason string
	var yes, dry bool
	c := &cobra.Command{
		Use:   "cancel BATCH",
		Short: "Cancel a batch, with its callbacks and the batches in it",
		Long: `Cancel what is not finished of a batch, its callbacks, and the batches in it. What runs is told to stop (outcome requested).

It asks first; without a terminal, --yes must be said. Exit code 6: it had ended.`,
		Example: `  pgq-admin batch cancel import/monday --reason "wrong files"`,
		Args:    args(1, "BATCH"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, changeColumns)
			if err != nil {
				return err
			}
			return a.onBatch(c, args[0], func(ctx context.Context, s *session, id int64) error {
				b, err := s.dags.Batch(ctx, s.conn, id)
				if err != nil {
					return err
				}
				if !yes && !dry {
					if err := a.confirm(ctx, batchQuestion(b)); err != nil {
						return err
					}
				}
				var changes []change
				err = try(ctx, s.conn, dry, func(tx pgx.Tx) error {
					outcomes, err := s.dags.CancelBatch(ctx, tx, id, reason)
					for _, o := range outcomes {
						changes = append(changes, change{o.JobID, nil, o.Outcome})
					}
					return err
				})
				if err != nil {
					return err
				}
				if dry {
					a.note(o, "dry run: nothing was changed")
				}
				if err := table.Print(a.screen(), changes); err != nil {
					return err
				}
				if b.State.Finished() {
					return output.Conflictf("batch %d had ended already", id)
				}
				return nil
			})
		},
	}
	o.Flags(c.Flags(), output.Names(changeColumns)...)
	c.Flags().StringVar(&reason, "reason", "", "why; is kept with what is cancelled")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would become of what, and change nothing")
	return c
}

func batchQuestion(b dagsql.BatchInfo) string {
	return fmt.Sprintf("cancel batch %d %s, in which %d of %d jobs have ended, and the batches in it", b.ID, output.Clean(b.Name), b.Done, b.Total)
}

func batchRetry(a *app) *cobra.Command {
	var o output.Options
	var dry bool
	c := &cobra.Command{
		Use:   "retry BATCH",
		Short: "Run what failed of a batch again, in place",
		Long: `Run the jobs of a batch, and of the batches in it, again that failed, were cancelled or expired. Callbacks that did not run do so
when they come true; those that ran do not run again. A batch that was cancelled while it was open is open again. Exit code 6: there was nothing to retry.`,
		Example: `  pgq-admin batch retry import/monday`,
		Args:    args(1, "BATCH"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, batchColumns)
			if err != nil {
				return err
			}
			return a.onBatch(c, args[0], func(ctx context.Context, s *session, id int64) error {
				return try(ctx, s.conn, dry, func(tx pgx.Tx) error {
					ids, err := s.dags.RetryBatch(ctx, tx, id)
					if err != nil {
						return err
					}
					if len(ids) == 0 {
						return output.Conflictf("batch %d has nothing to retry", id)
					}
					if dry {
						a.note(o, "dry run: nothing was changed")
					}
					return a.printBatch(ctx, s, tx, id, table)
				})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(batchColumns)...)
	c.Flags().BoolVar(&dry, "dry-run", false, "show what it would be, and change nothing")
	return c
}
