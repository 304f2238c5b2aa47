package main

import (
	"cmp"
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
(10,000; 0 for all) besides those that it has to leave as they are, in the order of their ids, none that were enqueued after it began,
in batches of --batch, each of them a transaction. Ctrl-C stops it after the batch under way, a second one rolls that back; it tells
with which --after to go on. Two operators may do the same at once: what one has done, the other leaves alone. Each batch writes an
event with who, when, why and the filter.

-o name prints the ids of the jobs that it was done with.

Exit codes: 3 none of the ids exists (nor the queue or the failure that is named), 5 done for some and not for others (running, finished, missed: it changed at that moment; or
there are more than the default --limit), 6 for none.`

// bulk is how something is to be done with many jobs.
type bulk struct {
	options           output.Options
	limit             int
	after             int64
	batch             int
	yes, dry          bool
	reason, actor     string
	limitIsGiven, ask bool
	none              string  // what to say when no job fits
	ids               []int64 // those that the user named, if any
	change            pgq.Change
	done              map[string][]int64 // by outcome
	next              int64              // 0: there are no more
	nextStart         time.Time          // with a rate: when the next one is to run
	reach             reach              // how many fit, where that was counted
	// absent returns the error that what was named is not there, where no job fits; nil for filters.
	absent func(ctx context.Context, s *session) error
}

// flags gives a command the flags of a bulk.
func (b *bulk) flags(c *cobra.Command) {
	b.options.Flags(c.Flags(), "id", "outcome", "jobs")
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
	if none, err := a.prepare(c.Context(), s, b, words); err != nil || none {
		return err
	}
	b.done = map[string][]int64{}
	failure := a.batches(c.Context(), s, b, words)
	if b.dry {
		a.note(b.options, "dry run: nothing was changed")
	}
	if failure == nil && len(b.done) == 0 && b.absent != nil {
		failure = b.absent(c.Context(), s)
	}
	if failure != nil && len(b.done) == 0 {
		return failure
	}
	if failure == nil && b.ids == nil && len(b.done) == 0 && b.options.Format.ForPeople() {
		b.noteNone(a)
		return nil
	}
	if err := b.print(a.screen(), table); err != nil {
		return err
	}
	if failure != nil {
		return failure
	}
	return a.verdict(b, words)
}

// noteNone says that there was nothing to be done.
func (b *bulk) noteNone(a *app) {
	a.note(b.options, "%s; nothing was changed", cmp.Or(b.none, "no job fits"))
}

// print prints what became of the jobs; -o name the ids of those with which it was done.
func (b *bulk) print(s output.Screen, table *output.Table[outcomeRow]) error {
	if b.options.Format != output.FormatName {
		return table.PrintPage(s, b.rows(), b.next)
	}
	var rows []outcomeRow
	for outcome, ids := range b.done {
		if !refused(b.change.Verb, outcome) {
			for _, id := range ids {
				rows = append(rows, outcomeRow{id: id, outcome: outcome})
			}
		}
	}
	slices.SortFunc(rows, func(x, y outcomeRow) int { return cmp.Compare(x.id, y.id) })
	names, err := output.NewTable(&output.Options{Format: output.FormatName}, namedColumns)
	if err != nil {
		return err
	}
	return names.Print(s, rows)
}

// prepare counts the jobs where somebody wants to know how many they are, and asks whether to go on; none: nothing fits.
func (a *app) prepare(ctx context.Context, s *session, b *bulk, words string) (none bool, err error) {
	if b.ids != nil && b.change.Verb == pgq.VerbRetry && !b.yes && !b.dry {
		return false, a.askOfCompleted(ctx, s, b)
	}
	asks := !b.yes && !b.dry && (b.ids == nil || b.ask)
	watched := b.options.Format.ForPeople() && (b.dry || output.NewScreen(a.err).Terminal)
	if !asks && !(watched && b.ids == nil) {
		return false, nil
	}
	if b.reach, err = s.reach(ctx, b.change.Filter, countUpTo, countFor); err != nil {
		return false, err
	}
	if b.reach.jobs == 0 && b.reach.exact && b.ids == nil {
		if b.absent != nil {
			if err := b.absent(ctx, s); err != nil {
				return true, err
			}
		}
		b.noteNone(a)
		return true, nil
	}
	if !asks && !b.dry {
		return false, nil
	}
	if err := a.sample(ctx, s, b.change.Filter, b.reach); err != nil {
		return false, err
	}
	what := fmt.Sprintf("%s %s%s", words, b.reach.text(b.limit), b.target())
	if b.dry {
		a.note(b.options, "would %s", what)
		return false, nil
	}
	return false, a.confirm(ctx, what)
}

// askOfCompleted asks whether jobs that were named, and have completed, are to run once more.
func (a *app) askOfCompleted(ctx context.Context, s *session, b *bulk) (err error) {
	completed := pgq.Filter{IDs: b.ids, States: []pgq.State{pgq.Completed}}
	if b.reach, err = s.reach(ctx, completed, countUpTo, countFor); err != nil || b.reach.jobs == 0 {
		return err
	}
	if err := a.sample(ctx, s, completed, b.reach); err != nil {
		return err
	}
	return a.confirm(ctx, fmt.Sprintf("run again %s that completed", b.reach.text(0)))
}

// sample shows the first jobs that fit.
func (a *app) sample(ctx context.Context, s *session, f pgq.Filter, of reach) error {
	ids, _, err := s.q.Select(ctx, s.conn, f, 5, false)
	if err != nil {
		return err
	}
	return a.showSample(ctx, s, ids, of.jobs)
}

// showSample shows jobs, and whether there are more.
func (a *app) showSample(ctx context.Context, s *session, ids []int64, all int) error {
	sample, _, err := s.q.List(ctx, s.conn, pgq.Filter{IDs: ids, Limit: 5})
	if err != nil {
		return err
	}
	slices.Reverse(sample)
	shown, err := output.NewTable(&output.Options{Format: output.FormatTable}, jobColumns)
	if err != nil {
		return err
	}
	for _, line := range shown.Lines(output.NewScreen(a.err), sample) {
		fmt.Fprintln(a.err, line)
	}
	if all > len(sample) {
		fmt.Fprintln(a.err, "…")
	}
	return nil
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
func (a *app) batches(ctx context.Context, s *session, b *bulk, words string) error {
	left := b.limit
	progress := output.NewProgress(output.NewScreen(a.err), b.options, words, "jobs", b.reach.total(b.limit))
	defer progress.End()
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
		done, err := a.batch(ctx, s, b, change)
		if err != nil {
			return b.stopped(err, change)
		}
		for outcome, ids := range done.IDs {
			b.done[outcome] = append(b.done[outcome], ids...)
			if b.ids != nil || counts(change.Verb, outcome) {
				left -= len(ids)
			}
		}
		b.next, b.nextStart = done.Next, done.StartAt
		if done.Next == 0 {
			return nil
		}
		progress.Add(done.Jobs())
		change.Filter.After = done.Next
		if b.limit > 0 && left <= 0 {
			return b.lookBehind(ctx, s, change.Filter)
		}
		if change.Verb == pgq.VerbDelete {
			b.pace(ctx, len(done.IDs["deleted"]), time.Since(began))
			continue
		}
		change.StartAt = done.StartAt
	}
}

// lookBehind sees whether there is a job behind the limit at all: only then it was stopped by it.
func (b *bulk) lookBehind(ctx context.Context, s *session, behind pgq.Filter) error {
	more, err := s.reach(ctx, behind, 1, countFor)
	if err == nil && more.exact && more.jobs == 0 {
		b.next = 0
	}
	return err
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

// batch does one batch. It is tried again while others hold what it wants.
func (a *app) batch(ctx context.Context, s *session, b *bulk, change pgq.Change) (done pgq.Changed, err error) {
	for round := 1; ; round++ {
		err = a.step(ctx, s, b.options, b.dry, func(ctx context.Context, tx pgx.Tx) error {
			done, err = s.q.Change(ctx, tx, change)
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
	if b.total() == 0 {
		return err
	}
	f := explain(err)
	text := fmt.Sprintf("%s; %s done before that", strings.TrimRight(f.Message, "\n"), were(b.total(), "job"))
	return (&output.Error{Code: f.Code, Text: text, Err: err}).WithFix("the same with %s goes on", goesOn(change.Filter.After, change.StartAt))
}

// goesOn returns the flags with which the same command goes on.
func goesOn(after int64, startAt time.Time) string {
	if startAt.IsZero() {
		return fmt.Sprintf("--after %d", after)
	}
	return fmt.Sprintf("--after %d --start-at %s", after, startAt.UTC().Format(time.RFC3339))
}

// were returns "1 job was" or "2 jobs were".
func were(n int, one string) string {
	if n == 1 {
		return output.Count(n, one) + " was"
	}
	return output.Count(n, one) + " were"
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

// counts tells whether an outcome uses up the limit: jobs that are left as they are do not.
func counts(verb pgq.Verb, outcome string) bool {
	return !refused(verb, outcome) && outcome != "unchanged"
}

// look says how to see why jobs were left as they are.
func (b *bulk) look() string {
	if b.ids == nil {
		return "pgq-admin job list with the same flags shows them and their states"
	}
	for _, row := range b.rows() {
		if refused(b.change.Verb, row.outcome) && row.outcome != "not_found" {
			return fmt.Sprintf("pgq-admin job show %d shows in which state it is, and why", row.id)
		}
	}
	return "pgq-admin job list shows the jobs; those that ended are deleted when they were kept long enough"
}

// verdict returns an error unless all was done.
func (a *app) verdict(b *bulk, words string) error {
	total, refusals, missing := 0, map[string]int{}, 0
	for _, row := range b.rows() {
		n := max(1, row.jobs)
		total += n
		if refused(b.change.Verb, row.outcome) {
			refusals[row.outcome] += n
			missing += n
		}
	}
	var why, text []string
	for _, outcome := range slices.Sorted(maps.Keys(refusals)) {
		why = append(why, fmt.Sprintf("%d %s", refusals[outcome], strings.ReplaceAll(outcome, "_", " ")))
	}
	stopped, nextStart := b.next != 0 && b.ids == nil, b.nextStart
	if b.change.Verb == pgq.VerbDelete {
		nextStart = time.Time{} // when to begin, not what to say
	}
	switch {
	case missing > 0 && missing == total && refusals["not_found"] == total:
		return (&output.Error{Code: output.ExitNotFound, Text: "there is no such job"}).
			WithFix("pgq-admin job list shows the jobs; those that ended are deleted when they were kept long enough")
	case missing > 0 && missing == total && !stopped:
		return output.Conflictf("cannot %s: %s; nothing was changed", words, strings.Join(why, ", ")).WithFix("%s", b.look())
	case missing > 0:
		text = append(text, fmt.Sprintf("%d of %d jobs were left as they are: %s", missing, total, strings.Join(why, ", ")))
	}
	if stopped && !b.limitIsGiven {
		text = append(text, fmt.Sprintf("stopped after %s, the default of --limit", output.Count(b.limit, "job")))
	} else if stopped {
		a.note(b.options, "stopped after %s, as --limit says; there are more: the same with %s goes on", output.Count(b.limit, "job"), goesOn(b.next, nextStart))
	}
	if text == nil {
		return nil
	}
	failure := &output.Error{Code: output.ExitPartly, Text: strings.Join(text, "; ")}
	if stopped && !b.limitIsGiven {
		return failure.WithFix("the same with %s goes on; --limit 0 takes all", goesOn(b.next, nextStart))
	}
	return failure.WithFix("%s", b.look())
}
