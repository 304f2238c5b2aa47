package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/dagview"
	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// change is what became of a node, or of the DAG itself.
type change struct {
	ID      int64
	Node    *string // nil for the DAG itself
	Outcome string
}

var changeColumns = []output.Column[change]{
	{Name: "node", Value: func(c change) any { return c.Node }},
	{Name: "outcome", Value: func(c change) any { return c.Outcome }},
	{Name: "id", Value: func(c change) any { return c.ID }},
}

// named returns changes with the names of the nodes.
func (s *session) named(ctx context.Context, db pgq.DB, id int64, outcomes []pgq.Outcome) ([]change, error) {
	var ids []int64
	for _, o := range outcomes {
		if o.JobID != id {
			ids = append(ids, o.JobID)
		}
	}
	names := map[int64]*string{}
	if ids != nil {
		nodes, _, err := s.dags.Nodes(ctx, db, id, dagsql.Filter{IDs: ids, Limit: len(ids)})
		if err != nil {
			return nil, err
		}
		for i := range nodes {
			names[nodes[i].ID] = &nodes[i].Name
		}
	}
	var changes []change
	for _, o := range outcomes {
		if name := names[o.JobID]; name != nil || o.JobID == id { // else it is a hidden start of a sub-DAG
			changes = append(changes, change{o.JobID, name, o.Outcome})
		}
	}
	return changes, nil
}

func dagCancel(a *app) *cobra.Command {
	var o output.Options
	var what dagsql.CancelOptions
	var yes, dry bool
	c := &cobra.Command{
		Use:   "cancel DAG",
		Short: "Cancel a DAG or nodes of it",
		Long: `Cancel what is not finished of a DAG, or only some nodes. What runs is told to stop (outcome requested); what waits for a
cancelled node takes it as a failure.

It asks first; without a terminal, --yes must be said. Exit codes: 5 some of the nodes were finished already, 6 all were.`,
		Example: `  pgq-admin dag cancel etl/monday --reason "wrong input"
  pgq-admin dag cancel 12 --nodes 'trial-*' --downstream --dry-run`,
		Args: args(1, "DAG"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, changeColumns)
			if err != nil {
				return err
			}
			if what.Nodes == nil && what.Downstream {
				return usagef("--downstream needs --nodes; without both, all of the DAG is cancelled")
			}
			return a.onDAG(c, args[0], func(ctx context.Context, s *session, id int64) error {
				if !yes && !dry {
					run, err := s.dags.Get(ctx, s.conn, id)
					if err != nil {
						return err
					}
					if err := a.confirm(ctx, cancelQuestion(run, what)); err != nil {
						return err
					}
				}
				var changes []change
				err := try(ctx, s.conn, dry, func(tx pgx.Tx) error {
					outcomes, err := s.dags.Cancel(ctx, tx, id, what)
					if err == nil {
						changes, err = s.named(ctx, tx, id, outcomes)
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
				return finishedAlready(changes)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(changeColumns)...)
	output.ListFlag(c.Flags(), &what.Nodes, "nodes", nil, "only these nodes: `NAMES` or patterns, trial-*,extract")
	c.Flags().BoolVar(&what.Downstream, "downstream", false, "and all that comes after them")
	c.Flags().StringVar(&what.Reason, "reason", "", "why; is kept with what is cancelled")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would become of what, and change nothing")
	return c
}

func cancelQuestion(run dagsql.Run, what dagsql.CancelOptions) string {
	of := (&dagview.View{Run: run}).Title()
	switch {
	case what.Nodes == nil:
		return "cancel all of " + of
	case what.Downstream:
		return "cancel " + strings.Join(what.Nodes, ", ") + " of " + of + " and all that comes after"
	}
	return "cancel " + strings.Join(what.Nodes, ", ") + " of " + of
}

// finishedAlready returns an error if nodes were finished before they could be cancelled.
func finishedAlready(changes []change) error {
	finished := 0
	for _, c := range changes {
		if c.Outcome == "finished" {
			finished++
		}
	}
	switch {
	case finished == 0:
		return nil
	case finished == len(changes) && finished == 1 && changes[0].Node == nil:
		return output.Conflictf("the DAG had ended already; nothing was changed")
	case finished == len(changes):
		return output.Conflictf("all of the nodes (%d) were finished already; nothing was changed", finished)
	}
	return &output.Error{Code: output.ExitPartly, Text: fmt.Sprintf("%d of the %d nodes were finished already", finished, len(changes))}
}

func dagRetry(a *app) *cobra.Command {
	var o output.Options
	var mode string
	var nodes []string
	var dry bool
	c := &cobra.Command{
		Use:   "retry DAG",
		Short: "Run what failed again, in place",
		Long: `Run nodes of a DAG again, in place; the results of the others are kept. Modes:

  failed      what failed, was cancelled or expired, and what was skipped for that
  downstream  the same, and all that comes after it
  from        the nodes of --nodes, and all that comes after them
  all         all

With failed and downstream, --nodes chooses among what failed. It prints the nodes that will run again; exit code 6: none.`,
		Example: `  pgq-admin dag retry etl/monday
  pgq-admin dag retry 12 --mode from --nodes load`,
		Args: args(1, "DAG"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, changeColumns)
			if err != nil {
				return err
			}
			switch dagsql.RetryMode(mode) {
			case dagsql.RetryFailed, dagsql.RetryDownstream, dagsql.RetryAll:
			case dagsql.RetryFrom:
				if nodes == nil {
					return usagef("--mode from needs --nodes: the nodes to run again, with all that comes after them")
				}
			default:
				return usagef("--mode must be failed, downstream, from or all, not %q", mode)
			}
			return a.onDAG(c, args[0], func(ctx context.Context, s *session, id int64) error {
				changes, err := s.retry(ctx, id, dagsql.RetryMode(mode), nodes, dry)
				if err != nil {
					return err
				}
				if dry {
					a.note(o, "dry run: nothing was changed")
				}
				if len(changes) == 0 {
					return output.Conflictf("DAG %d has nothing to retry", id).
						WithFix("pgq-admin dag show %d shows how its nodes ended; --mode all runs all of them again", id)
				}
				return table.Print(a.screen(), changes)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(changeColumns)...)
	c.Flags().StringVar(&mode, "mode", "failed", "failed, downstream, from or all")
	output.ListFlag(c.Flags(), &nodes, "nodes", nil, "these nodes: `NAMES` or patterns, trial-*,extract")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would run again, and change nothing")
	return c
}

// retry returns the nodes that run again, with the states they have now.
func (s *session) retry(ctx context.Context, id int64, mode dagsql.RetryMode, nodes []string, dry bool) ([]change, error) {
	var changes []change
	err := try(ctx, s.conn, dry, func(tx pgx.Tx) error {
		ids, err := s.dags.Retry(ctx, tx, id, mode, nodes...)
		if err != nil || len(ids) == 0 {
			return err
		}
		reset, _, err := s.dags.Nodes(ctx, tx, id, dagsql.Filter{IDs: ids, Limit: len(ids)})
		for i := range reset {
			changes = append(changes, change{reset[i].ID, &reset[i].Name, string(reset[i].State)})
		}
		return err
	})
	return changes, err
}

func dagFork(a *app) *cobra.Command {
	var o output.Options
	var nodes []string
	c := &cobra.Command{
		Use:   "fork DAG --nodes NAMES",
		Short: "Submit a DAG like one that has ended, which runs again from some nodes on",
		Long: `Submit a new DAG like one that has ended. These nodes and all that comes after them run again, and so does what did not
succeed; the results of the others are taken over. The old DAG stays as it is.`,
		Example: `  pgq-admin dag fork 12 --nodes train,evaluate -o name`,
		Args:    args(1, "DAG"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, dagview.Runs)
			if err != nil {
				return err
			}
			if len(nodes) == 0 {
				return usagef("--nodes must name the nodes to run again, with all that comes after them")
			}
			return a.onDAG(c, args[0], func(ctx context.Context, s *session, id int64) error {
				run, err := s.dags.Get(ctx, s.conn, id)
				if err != nil {
					return err
				}
				if !run.State.Finished() {
					return output.Conflictf("DAG %d is %s; only one that has ended can be forked", id, run.State).
						WithFix("pgq-admin dag watch %d waits for that", id)
				}
				fork, err := s.dags.Fork(ctx, s.conn, id, nodes...)
				if err != nil {
					return err
				}
				if run, err = s.dags.Get(ctx, s.conn, fork); err != nil {
					return err
				}
				return table.Print(a.screen(), []dagsql.Run{run})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(dagview.Runs)...)
	output.ListFlag(c.Flags(), &nodes, "nodes", nil, "from these nodes on: `NAMES` or patterns, trial-*,extract")
	return c
}
