package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

func eventWait(a *app) *cobra.Command {
	var o output.Options
	var f pgq.EventFilter
	var w eventFlags
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "wait",
		Short: "Wait for an event, and show it",
		Long: `Wait for an event that fits, and show it: the first that is written from now on. With --job it may have happened to that job before,
with --after it is the first behind the event of that id. While it waits every verb writes its events, whatever the level of the queue.

Exit codes: 0 there is one, 7 the time of --timeout was out.`,
		Example: `  pgq-admin event wait --type failed --queue mail --timeout 1h && page-somebody
  pgq-admin event wait --job 4711 --type completed,failed,cancelled -o jsonl`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("timeout") && timeout <= 0 {
				return usagef("--timeout must be more than 0, not %s; without it there is no limit", timeout)
			}
			if f.After < 0 {
				return usagef("--after must be the id of an event, not %d", f.After)
			}
			if err := w.check(&f); err != nil {
				return err
			}
			table, err := output.NewTable(&o, eventColumns)
			if err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			e, err := s.waitEvent(c.Context(), f, timeout)
			if err != nil {
				return err
			}
			return table.Print(a.screen(), []pgq.Event{e})
		},
	}
	o.Flags(c.Flags(), output.Names(eventColumns)...)
	durationVar(c.Flags(), &timeout, "timeout", 0, "how long to wait: `30s`; without limit by default")
	c.Flags().Int64Var(&f.After, "after", 0, "events behind this `ID`, old ones, too")
	w.flags(c, &f)
	return c
}

// waitEvent waits for an event for so long; 0: without limit.
func (s *session) waitEvent(ctx context.Context, f pgq.EventFilter, timeout time.Duration) (pgq.Event, error) {
	pool, err := s.pool(ctx)
	if err != nil {
		return pgq.Event{}, err
	}
	defer pool.Close()
	limited := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	e, err := s.q.WaitEvent(limited, pool, f)
	if ctx.Err() != nil {
		return e, context.Cause(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return e, &output.Error{Code: output.ExitTimeout, Text: fmt.Sprintf("no such event within %s", timeout), Err: err}
	}
	return e, err
}

var eventTypeColumns = []output.Column[pgq.EventTypeInfo]{
	{Name: "type", Value: func(t pgq.EventTypeInfo) any { return string(t.Type) }},
	{Name: "usual", Value: func(t pgq.EventTypeInfo) any { return t.Usual }},
	{Name: "meaning", Value: func(t pgq.EventTypeInfo) any { return t.Meaning }},
}

func eventTypes(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:   "types",
		Short: "List the types of events",
		Long: `List the types of events. Those that are usual are written for queues of level all, or while somebody follows; the others for queues of
level changes, too. Behind the colon is what the data of an event say.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, eventTypeColumns)
			if err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			types, err := s.q.EventTypeInfos(c.Context(), s.conn)
			if err != nil {
				return err
			}
			return table.Print(a.screen(), types)
		},
	}
	o.Flags(c.Flags(), output.Names(eventTypeColumns)...)
	return c
}
