package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

func consumerCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use: "consumer", Aliases: []string{"consumers"}, Short: "Show, set and operate consumers of events",
		Long: `Show, set and operate consumers: readers of the events whose positions the database keeps. The events that they have not read are
kept for them, for as long as their keep says.`,
	}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(consumerList(a), consumerShow(a), consumerSet(a), consumerReset(a), consumerDelete(a), consumerRead(a))
	return c
}

var consumerColumns = []output.Column[pgq.ConsumerState]{
	{Name: "name", Value: func(s pgq.ConsumerState) any { return s.Name }},
	{Name: "state", Value: func(s pgq.ConsumerState) any { return s.State }},
	{Name: "behind", Value: func(s pgq.ConsumerState) any {
		return output.Estimate{Count: int64(s.Behind), Exact: s.Exact, AtLeast: true}
	}},
	{Name: "lag", Value: func(s pgq.ConsumerState) any { return s.Lag }},
	{Name: "handled", Value: func(s pgq.ConsumerState) any { return s.Handled }},
	{Name: "failures", Value: func(s pgq.ConsumerState) any { return s.Failures }},
	{Name: "read_at", Value: func(s pgq.ConsumerState) any { return s.ReadAt }},
	{Name: "lost_at", Value: func(s pgq.ConsumerState) any { return s.LostAt }},
	{Name: "error", Value: func(s pgq.ConsumerState) any { return s.Error }},
	{Name: "queues", Level: output.Wide, Value: func(s pgq.ConsumerState) any { return s.Queues }},
	{Name: "types", Level: output.Wide, Value: func(s pgq.ConsumerState) any { return words(s.Types) }},
	{Name: "skipped", Level: output.Wide, Value: func(s pgq.ConsumerState) any { return s.Skipped }},
	{Name: "retry_at", Level: output.Wide, Value: func(s pgq.ConsumerState) any { return s.RetryAt }},
	{Name: "leased_by", Level: output.Wide, Value: func(s pgq.ConsumerState) any { return s.LeasedBy }},
	{Name: "leased_until", Level: output.Wide, Value: func(s pgq.ConsumerState) any { return s.LeasedUntil }},
	{Name: "keep", Level: output.Wide, Value: func(s pgq.ConsumerState) any { return s.Keep }},
	{Name: "position_id", Level: output.Wide, Value: func(s pgq.ConsumerState) any { return s.PositionID }},
	{Name: "exact", Level: output.Data, Value: func(s pgq.ConsumerState) any { return s.Exact }},
	{Name: "created_at", Level: output.Data, Value: func(s pgq.ConsumerState) any { return s.CreatedAt }},
	{Name: "updated_at", Level: output.Data, Value: func(s pgq.ConsumerState) any { return s.UpdatedAt }},
}

func words(types []pgq.EventType) []string {
	var all []string
	for _, t := range types {
		all = append(all, string(t))
	}
	return all
}

// onConsumer connects and does something with the consumer of a name.
func (a *app) onConsumer(c *cobra.Command, do func(ctx context.Context, s *session) error) error {
	return a.onFound(c, "pgq-admin consumer list shows the consumers", do)
}

func consumerNames(ctx context.Context, s *session) ([]string, error) {
	states, err := s.q.ConsumerStates(ctx, s.conn)
	var names []string
	for _, state := range states[:min(len(states), completionSize)] {
		names = append(names, state.Name+"\t"+state.State)
	}
	return names, err
}

func consumerList(a *app) *cobra.Command {
	var o output.Options
	var w watching
	var p namedPage
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List consumers: where they are and how far behind",
		Long: `List consumers: where they are and how far behind. What they have yet to read is counted among 10,000 events: ≥ before the number says that
there are more; -o json has "exact": false then.`,
		Example: "  pgq-admin consumer list --sort lag\n  pgq-admin consumer list -o json | jq '.items[] | select(.behind > 1000)'",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, consumerColumns)
			if err != nil {
				return err
			}
			if err := errors.Join(w.check(), p.check()); err != nil {
				return err
			}
			return a.onConsumer(c, func(ctx context.Context, s *session) error {
				return w.show(ctx, a.screen(), func(screen output.Screen) error {
					states, err := s.q.ConsumerStates(ctx, s.conn)
					if err != nil {
						return err
					}
					return showPage(screen, table, p.page, states, func(s pgq.ConsumerState) bool { return s.Name > p.after },
						func(s pgq.ConsumerState) string { return s.Name }, w.noter(a, screen, o), "consumers")
				})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(consumerColumns)...)
	w.flags(c.Flags(), watchEvery)
	p.flags(c.Flags(), 1000, "consumers after this `NAME`")
	return c
}

func consumerShow(a *app) *cobra.Command {
	return consumerChange(a, &cobra.Command{Use: "show NAME", Aliases: []string{"describe", "get"}, Short: "Show a consumer"},
		func(context.Context, *session, string) error { return nil })
}

func consumerSet(a *app) *cobra.Command {
	var consumer pgq.Consumer
	var start string
	var w eventFlags
	c := consumerChange(a, &cobra.Command{
		Use:   "set NAME",
		Short: "Create a consumer, or set which events it gets",
		Long: `Create a consumer, or set which events it gets and for how long they are kept for it; what is not given is put to its default. The
position of one that exists stays: see pgq-admin consumer reset.`,
		Example: "  pgq-admin consumer set audit --type failed,cancelled --queue mail --start-at beginning",
	}, func(ctx context.Context, s *session, name string) error {
		var f pgq.EventFilter
		if err := w.check(&f); err != nil {
			return err
		}
		consumer.Name, consumer.Types, consumer.StartAt = name, f.Types, pgq.EventStart(start)
		_, err := s.q.SetConsumer(ctx, s.conn, consumer)
		return err
	})
	c.Flags().StringArrayVar(&consumer.Queues, "queue", nil, "events of this `QUEUE`; may be repeated; all by default")
	c.Flags().StringVar(&start, "start-at", "now", "where a new one begins: now, beginning, or behind the event of an `ID`")
	c.Flags().DurationVar(&consumer.Keep, "keep", 7*24*time.Hour, "for how long events that it has not read are kept for it: `168h`")
	w.typeFlag(c)
	return c
}

func consumerReset(a *app) *cobra.Command {
	var to string
	c := consumerChange(a, &cobra.Command{
		Use:   "reset NAME --to now|beginning|ID",
		Short: "Put the position of a consumer elsewhere",
		Long: `Put the position of a consumer to now (what is there is not read any more), to the beginning (the oldest event that is kept), or behind
the event of an id, which must have been written: later ones up to it would never be read. Whoever has a batch of it loses it.`,
		Example: "  pgq-admin consumer reset audit --to beginning",
	}, func(ctx context.Context, s *session, name string) error {
		if to == "" {
			return usagef("--to must be given: now, beginning, or the id of an event")
		}
		return s.q.ResetConsumer(ctx, s.conn, name, pgq.EventStart(to))
	})
	c.Flags().StringVar(&to, "to", "", "`now`, beginning, or the id of an event")
	return c
}

// consumerChange completes a command that does something with a consumer and shows it.
func consumerChange(a *app, c *cobra.Command, do func(ctx context.Context, s *session, name string) error) *cobra.Command {
	var o output.Options
	c.Args, c.ValidArgsFunction = args(1, "NAME"), a.offerFirst(consumerNames)
	c.RunE = func(c *cobra.Command, args []string) error {
		table, err := output.NewTable(&o, consumerColumns)
		if err != nil {
			return err
		}
		return a.onConsumer(c, func(ctx context.Context, s *session) error {
			if err := do(ctx, s, args[0]); err != nil {
				return err
			}
			state, err := s.q.ConsumerState(ctx, s.conn, args[0])
			if err != nil {
				return err
			}
			return table.Print(a.screen(), []pgq.ConsumerState{state})
		})
	}
	o.Flags(c.Flags(), output.Names(consumerColumns)...)
	return c
}

func consumerDelete(a *app) *cobra.Command {
	var yes, dry bool
	c := &cobra.Command{
		Use:               "delete NAME",
		Aliases:           []string{"rm"},
		Short:             "Delete a consumer and its position; events are not kept for it any more",
		Long:              "Delete a consumer and its position; events are not kept for it any more. It asks first; without a terminal, --yes must be said.",
		Args:              args(1, "NAME"),
		ValidArgsFunction: a.offerFirst(consumerNames),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onConsumer(c, func(ctx context.Context, s *session) error {
				if _, err := s.q.ConsumerState(ctx, s.conn, args[0]); err != nil {
					return err
				}
				if !yes && !dry {
					if err := a.confirm(ctx, "delete consumer "+output.Clean(args[0])); err != nil {
						return err
					}
				}
				err := try(ctx, s.conn, dry, func(tx pgx.Tx) error { return s.q.DeleteConsumer(ctx, tx, args[0]) })
				if err == nil && dry {
					a.note(output.Options{}, "dry run: nothing was changed")
				} else if err == nil {
					a.note(output.Options{}, "deleted consumer %s", output.Clean(args[0]))
				}
				return err
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&dry, "dry-run", false, "look whether it is there, and change nothing")
	return c
}

func consumerRead(a *app) *cobra.Command {
	var limit int
	var o output.Options
	c := &cobra.Command{
		Use:   "read NAME",
		Short: "Print the next events of a consumer and move its position behind them",
		Long: `Print the next events of a consumer, in one batch, and move its position behind them once they are written: at least once, should the
command or what reads its output break. Nothing: there is nothing new, or another process has a batch.`,
		Example:           "  pgq-admin consumer read audit --limit 1000 -o jsonl >> audit.jsonl",
		Args:              args(1, "NAME"),
		ValidArgsFunction: a.offerFirst(consumerNames),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, eventColumns)
			if err != nil {
				return err
			}
			if err := checkLimit(limit); err != nil {
				return err
			}
			return a.onConsumer(c, func(ctx context.Context, s *session) error {
				return pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
					events, err := s.q.ConsumeEvents(ctx, tx, args[0], limit)
					if err != nil {
						return err
					}
					if len(events) == 0 {
						a.note(o, "no events")
					}
					return table.Print(a.screen(), events)
				})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(eventColumns)...)
	c.Flags().IntVar(&limit, "limit", 100, "`N` events at most")
	return c
}
