package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// jobID reads the id of a job.
func jobID(word string) (int64, error) {
	id, err := strconv.ParseInt(word, 10, 64)
	if err != nil || id < 1 {
		return 0, usagef("a job is named by its id, not %q", word).WithFix("pgq-admin job list shows the jobs")
	}
	return id, nil
}

// onJob connects and does something with the job that a word names. A job that is not there is an error with a fix.
func (a *app) onJob(c *cobra.Command, word string, do func(ctx context.Context, s *session, id int64) error) error {
	id, err := jobID(word)
	if err != nil {
		return err
	}
	s, err := a.open(c)
	if err != nil {
		return err
	}
	defer s.close()
	err = do(c.Context(), s, id)
	if errors.Is(err, pgq.ErrNotFound) {
		return noJob(id, err)
	}
	return err
}

// noJob is the error that there is no job with an id.
func noJob(id int64, err error) error {
	return (&output.Error{Code: output.ExitNotFound, Text: fmt.Sprintf("there is no job %d", id), Err: err}).
		WithFix("pgq-admin job list shows the jobs; those that ended are deleted when they were kept long enough")
}

// must returns ErrNotFound unless there is such a job.
func (s *session) must(ctx context.Context, id int64) (pgq.JobState, error) {
	states, err := s.q.States(ctx, s.conn, id)
	if err != nil {
		return pgq.JobState{}, err
	}
	state, ok := states[id]
	if !ok {
		return state, fmt.Errorf("%w: job %d", pgq.ErrNotFound, id)
	}
	return state, nil
}

var eventColumns = []output.Column[pgq.Event]{
	{Name: "id", Level: output.Wide, Value: func(e pgq.Event) any {
		if e.ID == 0 {
			return nil
		}
		return e.ID
	}},
	{Name: "at", Value: func(e pgq.Event) any { return e.At }},
	{Name: "type", Value: func(e pgq.Event) any { return string(e.Type) }},
	{Name: "job_id", Value: func(e pgq.Event) any { return e.JobID }},
	{Name: "queue", Value: func(e pgq.Event) any { return e.Queue }},
	{Name: "kind", Value: func(e pgq.Event) any { return e.Kind }},
	{Name: "attempt", Value: func(e pgq.Event) any { return e.Attempt }},
	{Name: "worker_id", Value: func(e pgq.Event) any { return e.WorkerID }},
	{Name: "data", Value: func(e pgq.Event) any { return e.Data }},
}

// historyColumns leave out what is the same for all events of a job.
var historyColumns = func() (columns []output.Column[pgq.Event]) {
	for _, c := range eventColumns {
		if c.Name == "job_id" {
			c.Level = output.Data
		}
		if c.Name != "queue" && c.Name != "kind" {
			columns = append(columns, c)
		}
	}
	return columns
}()

func jobEvents(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:     "events JOB",
		Aliases: []string{"history"},
		Short:   "Show what happened to a job, in order",
		Long: `Show what happened to a job, in order: from when it was enqueued to how it ended. What lay between is there as far as the
event level of its queue has it (pgq-admin queue show).`,
		Example: `  pgq-admin job events 4711
  pgq-admin job events 4711 -o jsonl | jq 'select(.type == "retried") | .data.error'`,
		Args:              args(1, "JOB"),
		ValidArgsFunction: a.offerFirst(newestJobs),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, historyColumns)
			if err != nil {
				return err
			}
			return a.onJob(c, args[0], func(ctx context.Context, s *session, id int64) error {
				events, err := s.q.History(ctx, s.conn, id)
				if err != nil {
					return err
				}
				if len(events) == 0 {
					if _, err := s.must(ctx, id); err != nil {
						return err
					}
				}
				return table.Print(a.screen(), events)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(historyColumns)...)
	return c
}

var reasonOfJobColumns = []output.Column[pgq.Reason]{
	{Name: "reason", Value: func(r pgq.Reason) any { return r.Reason }},
	{Name: "job_id", Value: func(r pgq.Reason) any { return r.JobID }},
	{Name: "detail", Whole: true, Value: func(r pgq.Reason) any { return r.Detail }},
}

func jobExplain(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:     "explain JOB",
		Aliases: []string{"why"},
		Short:   "Say why a job does not run, or how it ended",
		Long: `Say why a job does not run, the most decisive reason first: its queue is paused, its time has not come, it waits for parents
(and what these wait for in the end), no worker serves its queue or knows its kind, jobs are ahead of it, all slots are taken.`,
		Example:           `  pgq-admin job explain 4711`,
		Args:              args(1, "JOB"),
		ValidArgsFunction: a.offerFirst(newestJobs),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, reasonOfJobColumns)
			if err != nil {
				return err
			}
			return a.onJob(c, args[0], func(ctx context.Context, s *session, id int64) error {
				reasons, err := s.q.Explain(ctx, s.conn, id)
				if err != nil {
					return err
				}
				return table.Print(a.screen(), reasons)
			})
		},
	}
	o.Flags(c.Flags(), output.Names(reasonOfJobColumns)...)
	return c
}

var attemptErrorColumns = []output.Column[pgq.AttemptError]{
	{Name: "attempt", Value: func(e pgq.AttemptError) any { return e.Attempt }},
	{Name: "at", Value: func(e pgq.AttemptError) any { return e.At }},
	{Name: "type", Value: func(e pgq.AttemptError) any { return e.Type }},
	{Name: "worker_id", Level: output.Wide, Value: func(e pgq.AttemptError) any { return e.WorkerID }},
	{Name: "run_at", Level: output.Wide, Value: func(e pgq.AttemptError) any { return e.RunAt }},
	{Name: "error", Value: func(e pgq.AttemptError) any { return e.Error }},
	{Name: "stack", Level: output.Data, Value: func(e pgq.AttemptError) any {
		if e.Stack == "" {
			return nil
		}
		return e.Stack
	}},
}

func jobErrors(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:   "errors JOB",
		Short: "Show how each attempt of a job failed, with the stack of panics",
		Long: `Show how each attempt of a job failed: the whole error, and the stack where it was a panic. -o wide has one line per attempt
instead. Where the event level of the queue is none, only the last error is known.`,
		Example: `  pgq-admin job errors 4711
  pgq-admin job errors 4711 -o json | jq -r '.items[-1].stack'`,
		Args:              args(1, "JOB"),
		ValidArgsFunction: a.offerFirst(newestJobs),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, attemptErrorColumns)
			if err != nil {
				return err
			}
			inFull := o.Format == output.FormatTable && o.Columns == nil
			return a.onJob(c, args[0], func(ctx context.Context, s *session, id int64) error {
				if _, err := s.must(ctx, id); err != nil {
					return err
				}
				found, err := s.q.Errors(ctx, s.conn, id)
				if err != nil {
					return err
				}
				if len(found) == 0 {
					a.note(o, "job %d has no errors", id)
				}
				if !inFull {
					return table.Print(a.screen(), found)
				}
				return printErrors(a.screen(), table.Sorted(found))
			})
		},
	}
	o.Flags(c.Flags(), output.Names(attemptErrorColumns)...)
	return c
}

// printErrors prints errors with all of their lines.
func printErrors(s output.Screen, found []pgq.AttemptError) error {
	var text strings.Builder
	for i, e := range found {
		if i > 0 {
			text.WriteString("\n")
		}
		head := fmt.Sprintf("attempt %d %s at %s", e.Attempt, e.Type, e.At.UTC().Format(time.RFC3339))
		if e.WorkerID != nil {
			head += fmt.Sprintf(" on worker %d", *e.WorkerID)
		}
		if e.RunAt != nil {
			head += ", to run again at " + e.RunAt.UTC().Format(time.RFC3339)
		}
		text.WriteString(s.Paint(output.Bold, output.Clean(head)) + "\n")
		for _, part := range []string{e.Error, e.Stack} {
			for _, line := range output.CleanLines(part) {
				text.WriteString("  " + line + "\n")
			}
		}
	}
	_, err := s.Write([]byte(text.String()))
	return err
}
