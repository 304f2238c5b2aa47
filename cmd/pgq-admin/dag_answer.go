package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// holding is a DAG and how many of its nodes were held or resumed.
type holding struct {
	dagsql.Run
	Nodes int64
}

var holdingColumns = []output.Column[holding]{
	{Name: "id", Value: func(h holding) any { return h.ID }},
	{Name: "name", Value: func(h holding) any { return h.Name }},
	{Name: "key", Value: func(h holding) any { return h.Key }},
	{Name: "state", Value: func(h holding) any { return h.State }},
	{Name: "nodes", Value: func(h holding) any { return h.Nodes }},
}

func dagHold(a *app) *cobra.Command {
	var reason string
	c := a.holder("hold", "Let no more nodes of a DAG start", func(ctx context.Context, s *session, id int64) (int64, error) {
		return s.dags.Hold(ctx, s.conn, id, reason)
	})
	c.Long = `Let no more nodes of a DAG start, until resume. What runs goes on. It prints how many nodes were held by this; none is
no error. Exit code 6: the DAG has ended.`
	c.Flags().StringVar(&reason, "reason", "", "why; is kept in the DAG's history")
	return c
}

func dagResume(a *app) *cobra.Command {
	c := a.holder("resume", "Let a DAG go on that was held", func(ctx context.Context, s *session, id int64) (int64, error) {
		return s.dags.Resume(ctx, s.conn, id)
	})
	c.Long = `Let a DAG go on that was held. It prints how many nodes were; none is no error. Exit code 6: the DAG has ended.`
	return c
}

// holder returns a command that holds or resumes.
func (a *app) holder(verb, short string, do func(ctx context.Context, s *session, id int64) (int64, error)) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:   verb + " DAG",
		Short: short,
		Args:  args(1, "DAG"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, holdingColumns)
			if err != nil {
				return err
			}
			return a.onDAG(c, args[0], func(ctx context.Context, s *session, id int64) error {
				nodes, err := do(ctx, s, id)
				if err != nil {
					return err
				}
				run, err := s.dags.Get(ctx, s.conn, id)
				if err != nil {
					return err
				}
				if run.State.Finished() {
					return output.Conflictf("DAG %d has ended (%s); there is nothing to %s", id, run.State, verb)
				}
				return table.Print(a.screen(), []holding{{run, nodes}})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(holdingColumns)...)
	return c
}

// answered is what became of an answer.
type answered struct {
	Node    string
	Outcome dagsql.Answer
}

var answeredColumns = []output.Column[answered]{
	{Name: "node", Value: func(a answered) any { return a.Node }},
	{Name: "outcome", Value: func(a answered) any { return string(a.Outcome) }},
}

func dagAnswer(a *app) *cobra.Command {
	var o output.Options
	var reason string
	c := &cobra.Command{
		Use:     "answer DAG NODE [JSON|-]",
		Aliases: []string{"complete"},
		Short:   "Answer an external node: it is completed, or fails",
		Long: `Answer an external node (an approval, a callback). It is completed with the JSON as its result, which - reads from the
standard input, or fails with --fail. It wakes a node that sleeps, too.

The first answer counts. Outcomes: completed, failed, early (kept until the node's parents are done). Exit code 6: the
node was finished already.`,
		Example: `  pgq-admin dag answer order/4711 approve '{"by": "eve"}'
  pgq-admin dag answer order/4711 approve --fail "too expensive"`,
		Args: args(2, "DAG", "NODE", "JSON"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, answeredColumns)
			if err != nil {
				return err
			}
			fail := c.Flags().Changed("fail")
			value, err := a.value(args[2:], fail)
			if err != nil {
				return err
			}
			return a.onDAG(c, args[0], func(ctx context.Context, s *session, id int64) error {
				outcome, err := s.answer(ctx, id, args[1], value, fail, reason)
				if err != nil {
					return err
				}
				if outcome == dagsql.AnswerLate {
					return output.Conflictf("node %s of DAG %d was finished already, and stays as it is", output.Clean(args[1]), id)
				}
				return table.Print(a.screen(), []answered{{args[1], outcome}})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(answeredColumns)...)
	c.Flags().StringVar(&reason, "fail", "", "let the node fail, for this `REASON`")
	return c
}

func (s *session) answer(ctx context.Context, id int64, node string, value any, fail bool, reason string) (dagsql.Answer, error) {
	if fail {
		return s.dags.Fail(ctx, s.conn, id, node, reason)
	}
	return s.dags.Complete(ctx, s.conn, id, node, value)
}

// value returns the JSON that is given as an argument or on the standard input; nil for none.
func (a *app) value(args []string, fail bool) (any, error) {
	if len(args) == 0 {
		return nil, nil
	}
	if fail {
		return nil, usagef("an answer is JSON or --fail, not both")
	}
	text := []byte(args[0])
	if args[0] == "-" {
		var err error
		if text, err = readAll(a.in); err != nil {
			return nil, err
		}
	}
	if !json.Valid(text) {
		return nil, usagef("the answer must be JSON, not %s", pgq.Printable(output.Cut(output.Clean(string(text)), 60))).
			WithFix(`a text needs quotes: '"yes"'`)
	}
	return json.RawMessage(text), nil
}
