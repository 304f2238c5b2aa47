package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker/config"
)

const pruneHelp = `Delete finished jobs by hand. Workers do that all the time, for jobs that were kept for as long as their queue says
(keep_completed, keep_failed …); without --older-than this does the same, now. With --older-than it deletes jobs that ended
longer ago than that, whatever their queue says; failed ones, which are the dead letters, only if --state names them.

It shows how many jobs there are, with --older-than also the first of them, and asks; without a terminal, --yes must be said. It takes
about --limit jobs at the most (10,000; 0 for all), in batches of --batch, each of them a transaction that writes an event with who,
when and why. Ctrl-C stops it after the batch under way, a second one rolls that back; the same command goes on.

Exit code: 5 there are more than the default --limit.`

// pruning is a run of prune.
type pruning struct {
	app          *app
	options      output.Options
	by           operator
	olderThan    string
	states       []string
	limit        int
	limitIsGiven bool
	batch        int
	dry, yes     bool
	p            pgq.Prune
	done         int
	more         bool // it stopped at the limit
}

func pruneCommand(a *app) *cobra.Command {
	p := &pruning{app: a}
	c := &cobra.Command{
		Use:   "prune",
		Short: "Delete finished jobs that are old",
		Long:  pruneHelp,
		Example: `  pgq-admin prune --older-than 7d --dry-run
  pgq-admin prune --older-than 90d --state failed --queue mail --yes --limit 0 --reason "disk is full"`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.run(c) },
	}
	a.schemaFlag(c.Flags())
	flags := c.Flags()
	p.options.Flags(flags, output.Names(outcomeColumns)...)
	flags.StringVar(&p.olderThan, "older-than", "", "jobs that ended so `LONG` ago: 12h, 30d")
	output.ListFlag(flags, &p.states, "state", []string{"completed", "cancelled", "skipped", "expired"}, "jobs that ended in one of these `STATES`")
	flags.StringArrayVar(&p.p.Queues, "queue", nil, "only jobs of this `QUEUE`; may be repeated")
	flags.IntVar(&p.limit, "limit", 10_000, "delete about `N` jobs at most; 0 for all")
	flags.IntVar(&p.batch, "batch", 1000, "delete `N` jobs per transaction")
	flags.BoolVar(&p.dry, "dry-run", false, "only count them")
	flags.BoolVar(&p.yes, "yes", false, "do not ask")
	p.by.flags(c)
	return c
}

func (p *pruning) run(c *cobra.Command) error {
	if err := p.check(c); err != nil {
		return err
	}
	table, err := output.NewTable(&p.options, outcomeColumns)
	if err != nil {
		return err
	}
	s, err := p.app.open(c)
	if err != nil {
		return err
	}
	defer s.close()
	var all reach
	if p.dry || !p.yes || p.olderThan != "" && p.options.Format.ForPeople() && output.NewScreen(p.app.err).Terminal {
		if all, err = p.look(c.Context(), s); err != nil {
			return err
		}
	}
	if p.dry {
		n := all.jobs
		if p.limit > 0 && n > p.limit {
			p.app.note(p.options, "would delete %s", all.text(p.limit))
			n = p.limit
		}
		return p.print(table, n)
	}
	if !p.yes {
		if all.exact && all.jobs == 0 {
			p.app.note(p.options, "there is nothing to delete")
			return nil
		}
		if err := p.app.confirm(c.Context(), fmt.Sprintf("delete %s %s", all.text(p.limit), p.which())); err != nil {
			return err
		}
	}
	failure := p.loop(c.Context(), s, all)
	if failure != nil && p.done == 0 {
		return failure
	}
	if err := p.print(table, p.done); err != nil || failure != nil {
		return cmp.Or(err, failure)
	}
	switch {
	case p.more && !p.limitIsGiven:
		return (&output.Error{Code: output.ExitPartly, Text: fmt.Sprintf("stopped after %s, the default of --limit is %d", output.Count(p.done, "job"), p.limit)}).
			WithFix("the same again goes on; --limit 0 takes all")
	case p.more:
		p.app.note(p.options, "stopped at --limit; the same again goes on")
	}
	return nil
}

// which says which jobs it is about.
func (p *pruning) which() string {
	if p.olderThan == "" {
		return "that were kept for as long as their queues say"
	}
	return fmt.Sprintf("that ended as %s more than %s ago", strings.Join(p.states, ", "), p.olderThan)
}

// look counts the jobs, up to a number and for some time, and shows the first of them.
func (p *pruning) look(ctx context.Context, s *session) (all reach, err error) {
	if p.olderThan == "" { // by doing it, and taking it back
		err = try(ctx, s.conn, true, func(tx pgx.Tx) error {
			all.jobs, err = s.q.PruneKept(ctx, tx, 10_000)
			return err
		})
		all.exact = all.jobs < 10_000
		return all, err
	}
	q := p.p
	q.Try, q.Limit = true, 10_000
	var sample []int64
	for until := time.Now().Add(countFor); all.jobs < countUpTo && time.Now().Before(until); {
		ids, next, err := s.q.PruneIDs(ctx, s.conn, q)
		if err != nil {
			return all, err
		}
		all.jobs += len(ids)
		sample = append(sample, ids[:min(len(ids), 5-len(sample))]...)
		if q.After = next; next == 0 {
			all.exact = true
			break
		}
	}
	if all.jobs > 0 && (!p.yes || p.dry) && p.options.Format.ForPeople() {
		return all, p.app.showSample(ctx, s, sample, all.jobs)
	}
	return all, nil
}

// loop deletes batch after batch, until nothing is left, the limit is reached, or the command is interrupted.
func (p *pruning) loop(ctx context.Context, s *session, all reach) error {
	progress := output.NewProgress(output.NewScreen(p.app.err), p.options, "prune", "jobs", all.total(p.limit))
	defer progress.End()
	q := p.by.client(s)
	for {
		if ctx.Err() != nil {
			return p.stopped(context.Cause(ctx))
		}
		size := p.batch
		if p.limit > 0 {
			size = min(size, p.limit-p.done)
		}
		var n int
		var next int64
		err := p.app.step(ctx, s, p.options, false, func(ctx context.Context, tx pgx.Tx) (err error) {
			if p.olderThan == "" {
				n, err = q.PruneKept(ctx, tx, size)
				next = int64(n) // until there is nothing more
				return err
			}
			p.p.Limit = size
			n, next, err = q.Prune(ctx, tx, p.p)
			return err
		})
		if err != nil {
			return p.stopped(err)
		}
		p.p.After, p.done = next, p.done+n
		if next == 0 {
			return nil
		}
		progress.Add(int64(n))
		if p.limit > 0 && p.done >= p.limit {
			p.more = true
			return nil
		}
	}
}

// stopped adds to an error how far it came.
func (p *pruning) stopped(err error) error {
	if p.done == 0 {
		return err
	}
	f := explain(err)
	return (&output.Error{Code: f.Code, Text: fmt.Sprintf("%s; %s deleted", f.Message, were(p.done, "job")), Err: err}).WithFix("the same command goes on")
}

// print says how many jobs were deleted, or would be.
func (p *pruning) print(table *output.Table[outcomeRow], n int) error {
	if !p.options.Format.ForPeople() {
		return table.Print(p.app.screen(), []outcomeRow{{outcome: "deleted", jobs: n}})
	}
	did := "deleted"
	if p.dry {
		did = "would delete"
	}
	_, err := fmt.Fprintf(p.app.out, "%s %d jobs\n", did, n)
	return err
}

// check checks the flags.
func (p *pruning) check(c *cobra.Command) error {
	p.limitIsGiven = c.Flags().Changed("limit")
	if p.batch < 1 || p.batch > 10_000 {
		return usagef("--batch must be 1 to 10000, not %d", p.batch)
	}
	if p.limit < 0 {
		return usagef("--limit must not be negative; 0 is without limit")
	}
	if p.olderThan == "" {
		for _, name := range []string{"state", "queue"} {
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
	p.p.States = nil
	for _, state := range p.states {
		if !pgq.State(state).Finished() {
			terminal := wordsOf(endedStates)
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
