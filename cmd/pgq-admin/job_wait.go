package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

var endColumns = []output.Column[pgq.JobState]{
	{Name: "id", Value: func(s pgq.JobState) any { return s.ID }},
	{Name: "kind", Value: func(s pgq.JobState) any { return s.Kind }},
	{Name: "state", Value: func(s pgq.JobState) any { return s.State }},
	{Name: "error", Value: func(s pgq.JobState) any { return s.Error }},
}

func jobWait(a *app) *cobra.Command {
	var o output.Options
	var timeout, interval time.Duration
	c := &cobra.Command{
		Use:   "wait JOB…",
		Short: "Wait until jobs have ended",
		Long: `Wait until jobs have ended, and show how.

Exit codes: 0 all were completed, 1 some ended in another way, 3 there is no such job (any more), 7 the time of --timeout was
out.`,
		Example: `  pgq-admin job wait 4711 4712 --timeout 5m && echo done
  pgq-admin job wait $(pgq-admin enqueue report -o name)`,
		Args:              someJobs,
		ValidArgsFunction: a.offer(newestJobs),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("timeout") && timeout <= 0 {
				return usagef("--timeout must be more than 0, not %s; without it there is no limit", timeout)
			}
			if interval < 10*time.Millisecond {
				return usagef("--interval must be at least 10ms, not %s", interval)
			}
			table, err := output.NewTable(&o, endColumns)
			if err != nil {
				return err
			}
			w := &waiter{a: a, table: table, format: o.Format, timeout: timeout, interval: interval}
			for _, word := range args {
				id, err := jobID(word)
				if err != nil {
					return err
				}
				if !slices.Contains(w.ids, id) {
					w.ids = append(w.ids, id)
				}
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			return w.run(c.Context(), s)
		},
	}
	o.Flags(c.Flags(), output.Names(endColumns)...)
	durationVar(c.Flags(), &timeout, "timeout", 0, "how long to wait: `30s`; without limit by default")
	durationVar(c.Flags(), &interval, "interval", 250*time.Millisecond, "`TIME` between two looks")
	return c
}

// someJobs refuses a call without ids.
func someJobs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return misused(c, "%s needs the ids of jobs", c.CommandPath())
	}
	return nil
}

// waiter waits for jobs.
type waiter struct {
	a                 *app
	table             *output.Table[pgq.JobState]
	format            output.Format
	timeout, interval time.Duration
	ids               []int64
	ended             map[int64]pgq.JobState
}

func (w *waiter) run(ctx context.Context, s *session) error {
	w.ended = map[int64]pgq.JobState{}
	if err := w.look(ctx, s); err != nil { // once for sure, however short the time is
		return err
	}
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, w.timeout, &output.Error{Code: output.ExitTimeout})
		defer cancel()
	}
	live := w.a.screen().Terminal && w.format.ForPeople()
	err := output.Repeat(ctx, w.interval, func() (bool, error) {
		before := len(w.ended)
		if len(w.ended) < len(w.ids) {
			if err := w.look(ctx, s); err != nil {
				return false, err
			}
		}
		if live && before > 0 && len(w.ended) > before && len(w.ended) < len(w.ids) {
			fmt.Fprintf(w.a.err, "%d of %d jobs have ended\n", len(w.ended), len(w.ids))
		}
		return len(w.ended) == len(w.ids), nil
	})
	return w.verdict(err)
}

// look notes which jobs have ended.
func (w *waiter) look(ctx context.Context, s *session) error {
	var open []int64
	for _, id := range w.ids {
		if _, ok := w.ended[id]; !ok {
			open = append(open, id)
		}
	}
	states, err := s.q.States(ctx, s.conn, open...)
	if err != nil {
		return err
	}
	for _, id := range open {
		state, ok := states[id]
		switch {
		case !ok:
			return noJob(id, pgq.ErrNotFound)
		case state.State.Finished():
			w.ended[id] = state
		}
	}
	return nil
}

// verdict prints how jobs ended and says what that means.
func (w *waiter) verdict(err error) error {
	var ends []pgq.JobState
	var open int64
	bad := 0
	for _, id := range w.ids {
		end, ok := w.ended[id]
		switch {
		case !ok && open == 0:
			open = id
		case ok:
			ends = append(ends, end)
			if end.State != pgq.Completed {
				bad++
			}
		}
	}
	if len(ends) > 0 || !w.format.ForPeople() {
		if err := w.table.Print(w.a.screen(), ends); err != nil {
			return err
		}
	}
	if own, ok := err.(*output.Error); ok && own.Code == output.ExitTimeout && own.Text == "" {
		own.Text = fmt.Sprintf("%d of %d jobs have not ended within %s", len(w.ids)-len(ends), len(w.ids), w.timeout)
		return own.WithFix("they go on; pgq-admin job explain %d says why it has not ended", open)
	}
	if err != nil {
		return err
	}
	if bad > 0 {
		return (&output.Error{Code: output.ExitFailed, Text: fmt.Sprintf("%d of %d jobs were not completed", bad, len(w.ids))}).
			WithFix("pgq-admin job errors ID shows why; pgq-admin job retry ID runs a job again")
	}
	return nil
}
