package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

var logColumns = []output.Column[pgq.LogLine]{
	{Name: "id", Level: output.Data, Value: func(l pgq.LogLine) any { return l.ID }},
	{Name: "at", Value: func(l pgq.LogLine) any { return l.At }},
	{Name: "attempt", Value: func(l pgq.LogLine) any { return l.Attempt }},
	{Name: "level", Value: func(l pgq.LogLine) any { return l.Level }},
	{Name: "message", Value: func(l pgq.LogLine) any { return l.Message }},
	{Name: "attrs", Value: func(l pgq.LogLine) any { return l.Attrs }},
}

func jobLogs(a *app) *cobra.Command {
	var o output.Options
	var follow bool
	var attempt int
	var interval time.Duration
	c := &cobra.Command{
		Use:   "logs JOB",
		Short: "Show what the handlers of a job logged",
		Long: `Show what the handlers of a job logged with the logger of the job, oldest first, also while it runs. --follow goes on until
the job has ended. -o table has a line of its own for each, with all of the message; -o wide, or --columns, has columns.`,
		Example: `  pgq-admin job logs 4711 --follow
  pgq-admin job logs 4711 -o jsonl | jq 'select(.level == "ERROR")'`,
		Args:              args(1, "JOB"),
		ValidArgsFunction: a.offerFirst(newestJobs),
		RunE: func(c *cobra.Command, args []string) error {
			if interval < 10*time.Millisecond {
				return usagef("--interval must be at least 10ms, not %s", interval)
			}
			if attempt < 0 {
				return usagef("--attempt must be a number of an attempt, not %d", attempt)
			}
			table, err := output.NewTable(&o, logColumns)
			if err != nil {
				return err
			}
			if follow {
				if err := o.CheckStream("--follow"); err != nil {
					return err
				}
			}
			return a.onJob(c, args[0], func(ctx context.Context, s *session, id int64) error {
				t := logTail{a: a, s: s, job: id, inLines: o.InLines(), stream: table.Stream(a.screen()), attempt: attempt}
				if !follow {
					if _, err := t.more(ctx); err != nil {
						return err
					}
					if t.after == 0 {
						a.note(o, "job %d has logged nothing", id)
					}
					return t.stream.Close()
				}
				return output.Repeat(ctx, interval, func() (bool, error) { return t.more(ctx) })
			})
		},
	}
	o.StreamFlags(c.Flags(), output.Names(logColumns)...)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the job has ended")
	c.Flags().IntVar(&attempt, "attempt", 0, "only lines of attempt `N`")
	durationVar(c.Flags(), &interval, "interval", 500*time.Millisecond, "`TIME` between two looks with --follow")
	return c
}

// logTail prints the log lines of a job as they come.
type logTail struct {
	a       *app
	s       *session
	job     int64
	inLines bool // of their own, and not in a table
	stream  *output.Stream[pgq.LogLine]
	attempt int
	after   int64 // the last line that was printed
}

// more prints what has come since the last call, and reports whether the job has ended.
func (t *logTail) more(ctx context.Context) (ended bool, err error) {
	state, err := t.s.must(ctx, t.job) // first: what is logged before the end is there when the end is
	if err != nil {
		return false, err
	}
	for {
		lines, err := t.s.q.Logs(ctx, t.s.conn, t.job, t.after)
		if err != nil {
			return false, err
		}
		if len(lines) == 0 {
			return state.State.Finished(), nil
		}
		t.after = lines[len(lines)-1].ID
		if err := t.print(lines); err != nil {
			return false, err
		}
	}
}

func (t *logTail) print(lines []pgq.LogLine) error {
	kept := lines[:0]
	for _, l := range lines {
		if t.attempt == 0 || l.Attempt == t.attempt {
			kept = append(kept, l)
		}
	}
	if !t.inLines {
		return t.stream.Add(kept)
	}
	screen := t.a.screen()
	var text strings.Builder
	for _, l := range kept {
		fmt.Fprintf(&text, "%s %d %s %s", l.At.UTC().Format("2006-01-02T15:04:05.000Z"), l.Attempt,
			screen.Paint(levelColour(l.Level), fmt.Sprintf("%-5s", output.Clean(l.Level))), output.Clean(l.Message))
		if attrs := output.Clean(string(l.Attrs)); attrs != "" && attrs != "{}" && attrs != "null" {
			text.WriteString("  " + screen.Paint(output.Faint, attrs))
		}
		text.WriteString("\n")
	}
	_, err := screen.Write([]byte(text.String()))
	return err
}

func levelColour(level string) output.Colour {
	switch {
	case strings.HasPrefix(level, "ERROR"):
		return output.Red
	case strings.HasPrefix(level, "WARN"):
		return output.Yellow
	case strings.HasPrefix(level, "DEBUG"):
		return output.Faint
	}
	return ""
}
