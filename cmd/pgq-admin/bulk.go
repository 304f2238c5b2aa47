package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// bulkHelp tells how a verb does something with many jobs.
const bulkHelp = `It shows how many jobs fit and the first of them, and asks; without a terminal, --yes must be said. It takes at most --limit jobs
(10,000; 0 for all), in the order of their ids, none that were enqueued after it began, in batches of --batch, each of them a
transaction. Ctrl-C stops it after the batch under way; it tells with which --after to go on. Two operators may do the same
at once: what one has done, the other leaves alone. Each batch writes an event with who, when, why and the filter.

Exit codes: 3 none of the ids exists, 5 done for some and not for others (running, finished, missed: it changed at that moment; or
there are more than the default --limit), 6 for none.`

// stopAfter is how long a batch may go on when the command was interrupted.
const stopAfter = 5 * time.Second

// bulk is how something is to be done with many jobs.
type bulk struct {
	options           output.Options
	limit             int
	after             int64
	batch             int
	yes, dry          bool
	reason, actor     string
	limitIsGiven, ask bool
	ids               []int64 // those that the user named, if any
	change            pgq.Change
	done              map[string][]int64 // by outcome
	next              int64              // 0: there are no more
}

// flags gives a command the flags of a bulk.
func (b *bulk) flags(c *cobra.Command) {
	b.options.Flags(c.Flags())
	c.Flags().IntVar(&b.limit, "limit", 10_000, "at most so `MANY` jobs; 0 for all")
	c.Flags().Int64Var(&b.after, "after", 0, "only jobs behind this `ID`, to go on where it was interrupted")
	c.Flags().IntVar(&b.batch, "batch", 1000, "so `MANY` jobs in a transaction, 1 to 10000")
	c.Flags().BoolVar(&b.yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&b.dry, "dry-run", false, "show what would become of how many, and change nothing")
	c.Flags().StringVar(&b.reason, "reason", "", "why; is kept with the events")
	c.Flags().StringVar(&b.actor, "actor", "", "who, if not the database's user; is kept with the events")
}

// check refuses flags that make no sense.
func (b *bulk) check(c *cobra.Command) error {
	switch {
	case b.limit < 0:
		return usagef("--limit must be at least 0 (no limit), not %d", b.limit)
	case b.after < 0:
		return usagef("--after must be an id, not %d", b.after)
	case b.batch < 1 || b.batch > 10_000:
		return usagef("--batch must be 1 to 10000, not %d", b.batch)
	}
	b.limitIsGiven = c.Flags().Changed("limit")
	return nil
}

// outcomeRow is how many jobs had an outcome, or what became of one that was named.
type outcomeRow struct {
	id      int64
	outcome string
	jobs    int
}

var (
	outcomeColumns = []output.Column[outcomeRow]{
		{Name: "outcome", Value: func(r outcomeRow) any { return r.outcome }},
		{Name: "jobs", Value: func(r outcomeRow) any { return r.jobs }},
	}
	namedColumns = []output.Column[outcomeRow]{
		{Name: "id", Value: func(r outcomeRow) any { return r.id }},
		{Name: "outcome", Value: func(r outcomeRow) any { return r.outcome }},
	}
)

// run does it: what is to be done is in b.change, in words: "cancel".
func (a *app) run(c *cobra.Command, b *bulk, words string) error {
	columns := outcomeColumns
	if b.ids != nil {
		columns = namedColumns
	}
	table, err := output.NewTable(&b.options, columns)
	if err != nil {
		return err
	}
	s, err := a.open(c)
	if err != nil {
		return err
	}
	defer s.close()
	b.change.Reason, b.change.Actor, b.change.Filter.After = b.reason, b.actor, b.after
	if b.ids == nil {
		last, err := s.q.LastID(c.Context(), s.conn)
		if err != nil {
			return err
		}
		b.change.Filter.Before = last + 1
	}
	if !b.yes && !b.dry && (b.ids == nil || b.ask) {
		if none, err := a.show(c.Context(), s, b, words); err != nil || none {
			return err
		}
	}
	b.done = map[string][]int64{}
	failure := a.batches(c.Context(), s, b)
	if b.dry {
		a.note(b.options, "dry run: nothing was changed")
	}
	if failure != nil && len(b.done) == 0 {
		return failure
	}
	if err := table.PrintPage(a.screen(), b.rows(), b.next); err != nil {
		return err
	}
	if failure != nil {
		return failure
	}
	return b.verdict(words)
}

// show shows what fits and asks whether to go on; none: nothing fits.
func (a *app) show(ctx context.Context, s *session, b *bulk, words string) (none bool, err error) {
	bound := b.limit
	if bound == 0 {
		bound = 1_000_000
	}
	n, err := s.q.CountUpTo(ctx, s.conn, b.change.Filter, bound+1)
	if err != nil {
		return false, err
	}
	if n == 0 && b.ids == nil {
		a.note(b.options, "no job fits; nothing was changed")
		return true, nil
	}
	ids, _, err := s.q.Select(ctx, s.conn, b.change.Filter, 5, false)
	if err != nil {
		return false, err
	}
	sample, _, err := s.q.List(ctx, s.conn, pgq.Filter{IDs: ids, Limit: 5})
	if err != nil {
		return false, err
	}
	slices.Reverse(sample)
	count := fmt.Sprint(n)
	if n > bound {
		count = fmt.Sprintf("the first %d of more than %d", bound, bound)
		if b.limit == 0 {
			count = fmt.Sprintf("more than %d", bound)
		}
	}
	shown, err := output.NewTable(&output.Options{Format: output.FormatTable}, jobColumns)
	if err != nil {
		return false, err
	}
	for _, line := range shown.Lines(output.NewScreen(a.err), sample) {
		fmt.Fprintln(a.err, line)
	}
	if n > len(sample) {
		fmt.Fprintln(a.err, "…")
	}
	noun := "jobs"
	if n == 1 {
		noun = "job"
	}
	return false, a.confirm(ctx, fmt.Sprintf("%s %s %s%s", words, count, noun, b.target()))
}

// target returns what the jobs are to be given, for the question whether it is meant.
func (b *bulk) target() string {
	switch {
	case b.change.Queue != "":
		return " to queue " + output.Clean(b.change.Queue)
	case b.change.Priority != nil:
		return fmt.Sprintf(" to priority %d", *b.change.Priority)
	}
	return ""
}

// batches does batch after batch, until there are no more, the limit is reached, or the command is interrupted.
func (a *app) batches(ctx context.Context, s *session, b *bulk) error {
	left := b.limit
	screen := output.NewScreen(a.err)
	progress := screen.Terminal && b.options.Format.ForPeople()
	change := b.change
	for {
		began := time.Now()
		change.Batch = b.batch
		if b.limit > 0 {
			change.Batch = min(change.Batch, left)
		}
		if ctx.Err() != nil {
			return b.stopped(context.Cause(ctx), change)
		}
		done, err := b.one(ctx, s, change)
		if err != nil {
			return b.stopped(err, change)
		}
		for outcome, ids := range done.IDs {
			b.done[outcome] = append(b.done[outcome], ids...)
			left -= len(ids)
		}
		b.next = done.Next
		if progress && (done.Next != 0 || b.total() > b.batch) {
			fmt.Fprintf(a.err, "\r\x1b[K%d jobs, up to id %d", b.total(), done.Next)
			if done.Next == 0 {
				fmt.Fprint(a.err, "\r\x1b[K")
			}
		}
		if done.Next == 0 || b.limit > 0 && left <= 0 {
			return nil
		}
		change.Filter.After = done.Next
		if change.Verb == pgq.VerbDelete {
			b.pace(ctx, len(done.IDs["deleted"]), time.Since(began))
			continue
		}
		change.StartAt = done.StartAt
	}
}

// pace waits, after a batch that deleted so many jobs and took so long, until the rate allows the next one.
func (b *bulk) pace(ctx context.Context, deleted int, took time.Duration) {
	if b.change.Rate == 0 || b.dry {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(float64(deleted)/b.change.Rate*float64(time.Second)) - took):
	}
}

// one does one batch. It is tried again while others hold what it wants; when the command is interrupted it may end.
func (b *bulk) one(ctx context.Context, s *session, change pgq.Change) (done pgq.Changed, err error) {
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-whole.Done():
		case <-time.After(stopAfter):
			cancel()
		}
	})
	defer stop()
	for round := 1; ; round++ {
		err = try(whole, s.conn, b.dry, func(tx pgx.Tx) error {
			done, err = s.q.Change(whole, tx, change)
			return err
		})
		if err == nil || round == 5 || ctx.Err() != nil || !inTheWay(err) {
			return done, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(round*round) * 50 * time.Millisecond):
		}
	}
}

// inTheWay tells whether another transaction was, so that to try again may help.
func inTheWay(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, pgq.ErrBusy) || errors.As(err, &pg) && slices.Contains([]string{"40P01", "40001", "55P03"}, pg.Code)
}

// stopped adds to an error how far it came, and how to go on.
func (b *bulk) stopped(err error, change pgq.Change) error {
	if errors.Is(err, context.Canceled) { // in the middle of a batch
		err = fmt.Errorf("%w; it is unknown whether the batch under way was done", errInterrupted)
	}
	if b.total() == 0 {
		return err
	}
	f := explain(err)
	text := fmt.Sprintf("%s; %d jobs were done with", strings.TrimRight(f.Message, "\n"), b.total())
	fix := fmt.Sprintf("the same with --after %d goes on", change.Filter.After)
	if !change.StartAt.IsZero() {
		fix = fmt.Sprintf("the same with --after %d --start-at %s goes on", change.Filter.After, change.StartAt.UTC().Format(time.RFC3339))
	}
	return (&output.Error{Code: f.Code, Text: text, Err: err}).WithFix("%s", fix)
}

func (b *bulk) total() int {
	n := 0
	for _, ids := range b.done {
		n += len(ids)
	}
	return n
}

// rows are what is shown: a row per outcome, or per job that was named.
func (b *bulk) rows() []outcomeRow {
	var rows []outcomeRow
	if b.ids == nil {
		for _, outcome := range slices.Sorted(maps.Keys(b.done)) {
			rows = append(rows, outcomeRow{outcome: outcome, jobs: len(b.done[outcome])})
		}
		return rows
	}
	became := map[int64]string{}
	for outcome, ids := range b.done {
		for _, id := range ids {
			became[id] = outcome
		}
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(b.ids))) {
		outcome, ok := became[id]
		if !ok {
			outcome = "not_found"
		}
		rows = append(rows, outcomeRow{id: id, outcome: outcome})
	}
	return rows
}

// refused tells whether an outcome of a verb is that nothing was done.
func refused(verb pgq.Verb, outcome string) bool {
	switch outcome {
	case "not_found", "missed", "finished", "node", "running":
		return true
	case "waiting": // a node that is retried waits for others
		return verb != pgq.VerbRetry
	}
	return false
}

// verdict returns an error unless all was done.
func (b *bulk) verdict(words string) error {
	total, refusals, missing := 0, map[string]int{}, 0
	for _, row := range b.rows() {
		n := max(1, row.jobs)
		total += n
		if refused(b.change.Verb, row.outcome) {
			refusals[row.outcome] += n
			missing += n
		}
	}
	var why []string
	for _, outcome := range slices.Sorted(maps.Keys(refusals)) {
		why = append(why, fmt.Sprintf("%d %s", refusals[outcome], strings.ReplaceAll(outcome, "_", " ")))
	}
	switch {
	case missing > 0 && missing == total && refusals["not_found"] == total:
		return (&output.Error{Code: output.ExitNotFound, Text: "there is no such job"}).
			WithFix("pgq-admin job list shows the jobs; those that ended are deleted when they were kept long enough")
	case missing > 0 && missing == total:
		return output.Conflictf("cannot %s: %s; nothing was changed", words, strings.Join(why, ", "))
	case missing > 0:
		return &output.Error{Code: output.ExitPartly, Text: fmt.Sprintf("%d of %d jobs were left as they are: %s", missing, total, strings.Join(why, ", "))}
	case b.next != 0 && !b.limitIsGiven && b.ids == nil:
		return (&output.Error{Code: output.ExitPartly, Text: fmt.Sprintf("stopped after %d jobs, the default of --limit", total)}).
			WithFix("the same with --after %d goes on; --limit 0 takes all", b.next)
	}
	return nil
}
