package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

const sequenceHelp = `Show sequences, and let stopped ones go on. Jobs that were enqueued with the same sequence run one after the other.

A sequence is shown while a job of it is unfinished or has stopped it. States: active; stopped: its head, the job that is its turn, failed
for good; skipping: the jobs behind a failed one are being skipped; handing over: the next one is looked for, which takes a moment.`

func sequenceCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "sequence", Aliases: []string{"sequences", "seq"}, Short: "Show sequences, and let stopped ones go on", Long: sequenceHelp}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(sequenceList(a), sequenceShow(a), sequenceResume(a))
	return c
}

var sequenceColumns = []output.Column[pgq.SequenceState]{
	{Name: "key", Value: func(s pgq.SequenceState) any { return s.Key }},
	{Name: "state", Value: func(s pgq.SequenceState) any { return s.State }},
	{Name: "waiting", Value: func(s pgq.SequenceState) any { return output.Estimate{Count: s.Waiting, Exact: s.Exact} }},
	{Name: "job_id", Value: func(s pgq.SequenceState) any { return s.JobID }},
	{Name: "kind", Value: func(s pgq.SequenceState) any { return s.Kind }},
	{Name: "job_state", Value: func(s pgq.SequenceState) any { return s.JobState }},
	{Name: "stopped_at", Value: func(s pgq.SequenceState) any { return s.StoppedAt }},
	{Name: "error", Value: func(s pgq.SequenceState) any { return s.Error }},
	{Name: "queue", Level: output.Wide, Value: func(s pgq.SequenceState) any { return s.Queue }},
	{Name: "cause_id", Level: output.Wide, Value: func(s pgq.SequenceState) any { return s.CauseID }},
	{Name: "exact", Level: output.Data, Value: func(s pgq.SequenceState) any { return s.Exact }},
}

// onSequence connects and does something with a sequence.
func (a *app) onSequence(c *cobra.Command, do func(ctx context.Context, s *session) error) error {
	return a.onFound(c, "pgq-admin sequence list shows those that have some", do)
}

func sequenceKeys(ctx context.Context, s *session) ([]string, error) {
	sequences, err := s.q.Sequences(ctx, s.conn, "", "", completionSize)
	keys := make([]string, len(sequences))
	for i, sequence := range sequences {
		keys[i] = sequence.Key + "\t" + sequence.State
	}
	return keys, err
}

func sequenceList(a *app) *cobra.Command {
	var o output.Options
	var w watching
	var p namedPage
	var state string
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List sequences with unfinished jobs by key",
		Example: "  pgq-admin sequence list --state stopped\n  pgq-admin sequence list --sort waiting -o wide",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, sequenceColumns)
			if err != nil {
				return err
			}
			if err := errors.Join(w.check(), p.check()); err != nil {
				return err
			}
			return a.onSequence(c, func(ctx context.Context, s *session) error {
				return w.show(ctx, a.screen(), func(screen output.Screen) error {
					sequences, err := s.q.Sequences(ctx, s.conn, state, p.after, p.ahead())
					if err != nil {
						return err
					}
					return showPage(screen, table, p.page, sequences, always[pgq.SequenceState],
						func(s pgq.SequenceState) string { return s.Key }, w.noter(a, screen, o), "sequences")
				})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(sequenceColumns)...)
	w.flags(c.Flags(), watchEvery)
	c.Flags().StringVar(&state, "state", "", "only in this `STATE`: active, stopped, skipping or \"handing over\"")
	p.flags(c.Flags(), 1000, "sequences after this `KEY`")
	return c
}

func sequenceShow(a *app) *cobra.Command {
	var o output.Options
	var limit int
	c := &cobra.Command{
		Use:     "show KEY",
		Aliases: []string{"describe", "get"},
		Short:   "Show a sequence and the jobs that are in line",
		Long: `Show a sequence, its head, and the jobs that wait behind that, in the order in which they run. -o json and yaml have all of it:
sequence, jobs; the other formats have the jobs. pgq-admin job explain says why the head does not run.`,
		Example:           "  pgq-admin sequence show order/7 --limit 5",
		Args:              args(1, "KEY"),
		ValidArgsFunction: a.offerFirst(sequenceKeys),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, jobColumns)
			if err != nil {
				return err
			}
			if err := checkLimit(limit); err != nil {
				return err
			}
			return a.onSequence(c, func(ctx context.Context, s *session) error {
				sequence, err := s.q.Sequence(ctx, s.conn, args[0])
				if err != nil {
					return err
				}
				jobs, err := s.q.SequenceLine(ctx, s.conn, args[0], 0, limit)
				if err != nil {
					return err
				}
				return a.showSequence(o, table, sequence, jobs)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(jobColumns)...)
	c.Flags().IntVar(&limit, "limit", 20, "`N` jobs at most")
	return c
}

// showSequence prints a sequence: to people what it is, then a table of its jobs.
func (a *app) showSequence(o output.Options, table *output.Table[*pgq.JobInfo], sequence pgq.SequenceState, jobs []*pgq.JobInfo) error {
	screen := a.screen()
	switch {
	case o.Format == output.FormatJSON || o.Format == output.FormatYAML:
		all, err := output.NewTable(&output.Options{Format: output.FormatJSON}, sequenceColumns)
		if err != nil {
			return err
		}
		object, err := all.Objects([]pgq.SequenceState{sequence})
		if err != nil {
			return err
		}
		items, err := table.Objects(table.Sorted(jobs))
		if err != nil {
			return err
		}
		return output.Document(screen, o.Format, struct {
			Sequence json.RawMessage   `json:"sequence"`
			Jobs     []json.RawMessage `json:"jobs"`
		}{object[0], items})
	case o.Format.ForPeople():
		head, err := output.NewTable(&output.Options{Format: output.FormatWide}, sequenceColumns)
		if err != nil {
			return err
		}
		text := strings.Join(head.Lines(screen, []pgq.SequenceState{sequence}), "\n") + "\n\n"
		if _, err := screen.Write([]byte(text)); err != nil {
			return err
		}
	}
	return table.Print(screen, jobs)
}

func sequenceResume(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "resume KEY",
		Short: "Let a stopped sequence go on without the job that failed",
		Long: `Let a sequence go on that a failed job has stopped, without that job: the next one in line is made ready. To go on with the
failed job, retry it (pgq-admin job retry). A sequence that is not stopped is left as it is.`,
		Example:           "  pgq-admin sequence resume order/7",
		Args:              args(1, "KEY"),
		ValidArgsFunction: a.offerFirst(sequenceKeys),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onSequence(c, func(ctx context.Context, s *session) error {
				before, err := s.q.Sequence(ctx, s.conn, args[0])
				if err != nil {
					return err
				}
				next, err := s.q.ResumeSequence(ctx, s.conn, args[0])
				if err != nil {
					return err
				}
				name := output.Clean(args[0])
				switch {
				case before.State != pgq.SequenceStopped:
					a.note(output.Options{}, "sequence %s is %s: nothing was changed", name, before.State)
				case next == nil:
					a.note(output.Options{}, "sequence %s has gone on: no job waits", name)
				default:
					a.note(output.Options{}, "sequence %s goes on with job %d", name, *next)
				}
				return nil
			})
		},
	}
	return c
}
