package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker/config"
)

const pruneHelp = `Delete finished jobs by hand. Workers do that all the time, for jobs that were kept for as long as their queue says
(keep_completed, keep_failed …); without --older-than this does the same, now. With --older-than it deletes jobs that ended
longer ago than that, whatever their queue says; failed ones, which are the dead letters, only if --state names them.

It works in batches, each of which is a transaction. When it is interrupted it says how far it came; call it again to go on.`

// pruning is a run of prune.
type pruning struct {
	app       *app
	olderThan string
	states    []string
	limit     int64
	batch     int
	dry, yes  bool
	p         pgq.Prune
}

func pruneCommand(a *app) *cobra.Command {
	p := &pruning{app: a}
	c := &cobra.Command{
		Use:   "prune",
		Short: "Delete finished jobs that are old",
		Long:  pruneHelp,
		Example: `  pgq-admin prune --older-than 7d --dry-run
  pgq-admin prune --older-than 90d --state failed --queue mail --yes`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.run(c) },
	}
	a.schemaFlag(c.Flags())
	flags := c.Flags()
	flags.StringVar(&p.olderThan, "older-than", "", "jobs that ended so `LONG` ago: 12h, 30d")
	output.ListFlag(flags, &p.states, "state", []string{"completed", "cancelled", "skipped", "expired"}, "jobs that ended in one of these `STATES`")
	flags.StringArrayVar(&p.p.Queues, "queue", nil, "only jobs of this `QUEUE`; may be repeated")
	flags.Int64Var(&p.limit, "limit", 0, "delete `N` jobs at most; 0 for all")
	flags.IntVar(&p.batch, "batch", 1000, "delete `N` jobs per transaction")
	flags.BoolVar(&p.dry, "dry-run", false, "only count them")
	flags.BoolVar(&p.yes, "yes", false, "do not ask")
	return c
}

func (p *pruning) run(c *cobra.Command) error {
	if err := p.check(c); err != nil {
		return err
	}
	s, err := p.app.open(c)
	if err != nil {
		return err
	}
	defer s.close()
	ctx := c.Context()
	if p.olderThan == "" {
		return p.loop(ctx, func() (int, int64, error) {
			n, err := s.q.PruneKept(ctx, s.conn, p.batch)
			return n, int64(n), err // until there is nothing more
		})
	}
	var done int64
	step := func() (n int, next int64, err error) {
		p.p.Limit = p.batch
		if p.limit > 0 {
			p.p.Limit = int(min(int64(p.batch), p.limit-done))
		}
		n, next, err = s.q.Prune(ctx, s.conn, p.p)
		p.p.After, done = next, done+int64(n)
		return n, next, err
	}
	p.p.Try = p.dry
	if !p.yes && !p.dry {
		if err := p.app.confirm(ctx, fmt.Sprintf("delete %s jobs that ended more than %s ago", strings.Join(p.states, ", "), p.olderThan)); err != nil {
			return err
		}
	}
	return p.loop(ctx, step)
}

// check checks the flags.
func (p *pruning) check(c *cobra.Command) error {
	if p.batch < 1 || p.batch > 10_000 {
		return usagef("--batch must be 1 to 10000, not %d", p.batch)
	}
	if p.limit < 0 {
		return usagef("--limit must not be negative; 0 is without limit")
	}
	if p.olderThan == "" {
		for _, name := range []string{"state", "queue", "limit", "dry-run"} {
			if c.Flags().Changed(name) {
				return usagef("--%s needs --older-than; without, queues say what is kept for how long", name)
			}
		}
		return nil
	}
	age, err := parseDuration(p.olderThan)
	if err != nil {
		return usagef("--older-than %s", err)
	}
	p.p.OlderThan = age
	terminal := []string{"completed", "failed", "cancelled", "skipped", "expired"}
	p.p.States = nil
	for _, state := range p.states {
		if !pgq.State(state).Finished() {
			hint := "choose from " + strings.Join(terminal, ", ")
			if nearest := config.Nearest(state, terminal); nearest != "" {
				hint = "did you mean " + nearest + "?"
			}
			return usagef("--state: jobs do not end in %q; %s", state, hint)
		}
		p.p.States = append(p.p.States, pgq.State(state))
	}
	return nil
}

// loop takes steps until nothing is left, and says how many jobs there were.
func (p *pruning) loop(ctx context.Context, step func() (int, int64, error)) error {
	var all int64
	did := "deleted"
	if p.dry {
		did = "would delete"
	}
	for {
		n, next, err := step()
		if err != nil && (errors.Is(err, context.Canceled) || ctx.Err() != nil) {
			fmt.Fprintf(p.app.err, "%s %d jobs before it was interrupted; the same command goes on\n", did, all)
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		all += int64(n)
		if next == 0 || p.limit > 0 && all >= p.limit {
			break
		}
		if screen := output.NewScreen(p.app.err); screen.Terminal {
			fmt.Fprintf(screen, "\r%s %d jobs …", did, all)
		}
	}
	if screen := output.NewScreen(p.app.err); screen.Terminal {
		fmt.Fprint(screen, "\r\x1b[K")
	}
	_, err := fmt.Fprintf(p.app.out, "%s %d jobs\n", did, all)
	return err
}
