package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/dagview"
	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// maxPage is how many rows may be asked for at once.
const maxPage = 10_000

func dagList(a *app) *cobra.Command {
	return listCommand(a, &cobra.Command{
		Short: "List DAGs, newest first",
		Long: `List DAGs, newest first, a page at a time. What stands below a page is the cursor of the next one; -o json has it as
"next". --sort sorts the page.`,
		Example: `  pgq-admin dag list --name etl --state failed,cancelled
  pgq-admin dag list -o json | jq '.items[] | select(.took > 60)'
  pgq-admin dag list --state running -o name | xargs -n 1 pgq-admin dag hold`,
	}, "DAGs", dagview.Runs, (*dagsql.Client).List)
}

// listCommand makes the command that lists DAGs, or batches.
func listCommand[T any](
	a *app, c *cobra.Command, what string, columns []output.Column[T],
	list func(*dagsql.Client, context.Context, pgq.DB, dagsql.Filter) ([]T, int64, error),
) *cobra.Command {
	var o output.Options
	var f dagsql.Filter
	var w watching
	var wanted []string
	c.Use, c.Aliases, c.Args = "list", []string{"ls"}, noArgs
	c.RunE = func(c *cobra.Command, _ []string) error {
		table, err := output.NewTable(&o, columns)
		if err != nil {
			return err
		}
		if f.States, err = states(wanted, true); err != nil {
			return err
		}
		if err := checkLimit(f.Limit); err != nil {
			return err
		}
		if f.From < 0 {
			return usagef("--after must be an id, not %d", f.From)
		}
		if err := w.check(); err != nil {
			return err
		}
		s, err := a.open(c)
		if err != nil {
			return err
		}
		defer s.close()
		return w.show(c.Context(), a.screen(), func(screen output.Screen) error {
			rows, next, err := list(s.dags, c.Context(), s.conn, f)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				w.note(a, screen, o, "no %s", what)
			}
			if err := table.PrintPage(screen, rows, next); err != nil {
				return err
			}
			if next != 0 {
				w.note(a, screen, o, "next page: --after %d", next)
			}
			return nil
		})
	}
	o.Flags(c.Flags(), output.Names(columns)...)
	w.flags(c.Flags(), watchEvery)
	c.Flags().StringArrayVar(&f.Names, "name", nil, "only "+what+" with this `NAME`; may be repeated")
	output.ListFlag(c.Flags(), &wanted, "state", nil, "only "+what+" in one of these `STATES`: running, held, completed, failed, cancelled, expired, skipped")
	c.Flags().IntVar(&f.Limit, "limit", 50, "`N` rows at most")
	c.Flags().Int64Var(&f.From, "after", 0, "the page after this `CURSOR`")
	return c
}

func dagShow(a *app) *cobra.Command {
	var o output.Options
	var view dagview.Options
	var wanted []string
	var limit int
	c := &cobra.Command{
		Use:     "show DAG",
		Aliases: []string{"describe", "get"},
		Short:   "Show a DAG with its nodes and how far it is",
		Long: `Show a DAG: its state, how far it is and how long it will take, and its nodes by level. Sub-DAGs and maps are a line
each, which counts what is in them, unless --items is given. When the DAG has ended: which nodes were slow, and which
ones determined when it ended (the critical path).

-o json and yaml have all of it: dag, progress, nodes, slowest, critical_path; -o jsonl, csv and name the nodes.`,
		Example: `  pgq-admin dag show 12
  pgq-admin dag show etl/monday --items --state failed -o wide
  pgq-admin dag show 12 -o json | jq '.progress.fraction'`,
		Args: args(1, "DAG"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, dagview.Nodes)
			if err != nil {
				return err
			}
			if view.States, err = states(wanted, false); err != nil {
				return err
			}
			if limit < 0 {
				return usagef("--limit must not be negative; 0 is without limit")
			}
			return a.onDAG(c, args[0], func(ctx context.Context, s *session, id int64) error {
				v, err := dagview.Load(ctx, s.dags, s.conn, id, view)
				if err != nil {
					return err
				}
				return v.Show(a.screen(), o, table, limit)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(dagview.Nodes)...)
	c.Flags().BoolVar(&view.Items, "items", false, "show nodes of sub-DAGs and items of maps, too")
	output.ListFlag(c.Flags(), &wanted, "state", nil, "only nodes in one of these `STATES`: failed,running")
	output.ListFlag(c.Flags(), &view.Nodes, "nodes", nil, "only nodes with these `NAMES`")
	c.Flags().IntVar(&limit, "limit", 200, "`N` nodes at most in tables; 0 for all")
	return c
}

func dagWatch(a *app) *cobra.Command {
	o := output.Options{}
	var w dagview.Watch
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "watch DAG",
		Short: "Follow a DAG until it has ended",
		Long: `Follow a DAG until it has ended: live on a terminal, elsewhere with a line per change; with -o jsonl an object per change,
{"node": …} or {"dag": …, "progress": …}.

Exit codes: 0 it was completed, 1 it ended in another way, 7 the time of --timeout was out.`,
		Example: `  pgq-admin dag watch etl/monday --timeout 10m && echo done`,
		Args:    args(1, "DAG"),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("timeout") && timeout <= 0 {
				return usagef("--timeout must be more than 0, not %s; without it there is no limit", timeout)
			}
			if w.Interval < 10*time.Millisecond {
				return usagef("--interval must be at least 10ms, not %s", w.Interval)
			}
			return a.onDAG(c, args[0], func(ctx context.Context, s *session, id int64) error {
				if timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeoutCause(ctx, timeout, &output.Error{
						Code: output.ExitTimeout, Text: fmt.Sprintf("DAG %d has not ended within %s; it goes on", id, timeout),
						Fix: fmt.Sprintf("pgq-admin dag explain %d says what it waits for", id)})
					defer cancel()
				}
				w.Client, w.DB, w.Screen, w.JSON = s.dags, s.conn, a.screen(), o.Format == output.FormatJSONL
				v, err := w.Run(ctx, id)
				if err != nil {
					return err
				}
				return ended(v.Run)
			})
		},
	}
	o.FormatFlag(c.Flags(), output.FormatTable, output.FormatJSONL)
	c.Flags().BoolVar(&w.Items, "items", false, "show nodes of sub-DAGs and items of maps, too")
	durationVar(c.Flags(), &timeout, "timeout", 0, "how long to watch: `30s`; without limit by default")
	durationVar(c.Flags(), &w.Interval, "interval", 500*time.Millisecond, "`TIME` between two looks; looks that cost much are less frequent")
	return c
}

// ended returns an error for a DAG that was not completed.
func ended(run dagsql.Run) error {
	if run.State == pgq.Completed {
		return nil
	}
	text := fmt.Sprintf("DAG %d %s: %s", run.ID, output.Clean(run.Name), run.State)
	if run.Error != nil {
		text += ": " + output.Clean(*run.Error)
	}
	return (&output.Error{Code: output.ExitFailed, Text: text}).
		WithFix("pgq-admin dag show %d --items --state failed shows what failed; pgq-admin dag retry %d runs it again", run.ID, run.ID)
}

var reasonColumns = []output.Column[dagsql.Reason]{
	{Name: "reason", Value: func(r dagsql.Reason) any { return r.Reason }},
	{Name: "job_id", Value: func(r dagsql.Reason) any { return r.JobID }},
	{Name: "detail", Whole: true, Value: func(r dagsql.Reason) any { return r.Detail }},
}

func dagExplain(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:     "explain DAG [NODE]",
		Aliases: []string{"why"},
		Short:   "Say why a node does not run, or why a DAG has not ended",
		Example: `  pgq-admin dag explain etl/monday load`,
		Args:    args(1, "DAG", "NODE"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, reasonColumns)
			if err != nil {
				return err
			}
			return a.onDAG(c, args[0], func(ctx context.Context, s *session, id int64) error {
				node := ""
				if len(args) == 2 {
					node = args[1]
				}
				reasons, err := s.dags.Explain(ctx, s.conn, id, node)
				if err != nil {
					return err
				}
				return table.Print(a.screen(), reasons)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(reasonColumns)...)
	return c
}

func dagExport(a *app) *cobra.Command {
	var format, file string
	style := dagsql.Style{}
	c := &cobra.Command{
		Use:     "export DAG",
		Aliases: []string{"graph"},
		Short:   "Draw a DAG: Mermaid, Graphviz or JSON",
		Long: `Draw a DAG with the states of its nodes: in Mermaid, which Markdown viewers and https://mermaid.live show, in the language
of Graphviz, or as JSON (nodes and edges) for other programs.`,
		Example: `  pgq-admin dag export 12 --theme dark --file dag.mmd
  pgq-admin dag export etl/monday --format dot | dot -Tsvg > dag.svg`,
		Args: args(1, "DAG"),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "mermaid" && format != "dot" && format != "json" {
				return usagef("--format must be mermaid, dot or json, not %q", format)
			}
			return a.onDAG(c, args[0], func(ctx context.Context, s *session, id int64) error {
				text, err := s.drawing(ctx, id, format, style)
				if err != nil {
					return err
				}
				if file == "" {
					_, err = fmt.Fprint(a.out, text)
					return err
				}
				return os.WriteFile(file, []byte(text), 0o644)
			})
		},
	}
	c.Flags().StringVar(&format, "format", "mermaid", "mermaid, dot or json")
	c.Flags().StringVar(&file, "file", "", "write it to a `FILE` instead of the standard output")
	c.Flags().StringVar((*string)(&style.Theme), "theme", "default", "default, blue_professional, dark, pastel, high_contrast or grayscale")
	c.Flags().StringVar(&style.Direction, "direction", "TD", "TD (top down), TB, BT, LR or RL")
	c.Flags().IntVar(&style.MaxNodes, "max-nodes", 500, "how many nodes to draw at most, `N` of 1 to 10000")
	c.Flags().BoolVar(&style.Plain, "static", false, "leave states and colours out")
	return c
}

// drawing returns a picture of a DAG in one of the formats.
func (s *session) drawing(ctx context.Context, id int64, format string, style dagsql.Style) (string, error) {
	switch format {
	case "mermaid":
		return s.dags.Mermaid(ctx, s.conn, id, style)
	case "dot":
		return s.dags.DOT(ctx, s.conn, id, style)
	}
	if style.MaxNodes < 1 || style.MaxNodes > maxPage {
		return "", usagef("--max-nodes must be 1 to %d, not %d", maxPage, style.MaxNodes)
	}
	graph, err := s.dags.Graph(ctx, s.conn, id, style.MaxNodes)
	if err != nil {
		return "", err
	}
	if style.Plain {
		for i := range graph.Nodes {
			graph.Nodes[i].State, graph.Nodes[i].Done, graph.Nodes[i].Total = "", nil, nil
		}
	}
	var text strings.Builder
	err = output.Document(&text, output.FormatJSON, graph)
	return text.String(), err
}
