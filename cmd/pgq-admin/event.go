package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker/config"
)

func eventCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "event", Aliases: []string{"events"}, Short: "Show what happens to jobs, queues and workers"}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(eventTail(a), eventWait(a), eventTypes(a))
	return c
}

func eventTail(a *app) *cobra.Command {
	var o output.Options
	var f pgq.EventFilter
	var w eventFlags
	var follow bool
	var limit int
	c := &cobra.Command{
		Use:   "tail",
		Short: "Show the latest events, and with --follow all that follow",
		Long: `Show the latest events that were kept, oldest first. Which are kept is said by the event level of each queue (pgq-admin queue
show): by default all but those of the usual way.

--follow goes on with all that happens from then on, of the usual way, too: while somebody follows, every verb writes its events
whatever the level, which costs time and room. It is meant for watching at moderate rates. Of what was written before it looks at the
latest 100,000 events, unless --job is given.

-o table has a line of its own for each event, of which much data is cut; -o wide, or --columns, has columns.

pgq-admin event types lists the types.`,
		Example: `  pgq-admin event tail --follow --queue mail
  pgq-admin event tail --type failed --limit 5
  pgq-admin event tail -f -o jsonl | jq 'select(.type == "failed") | .data.error'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 0 || limit > maxPage {
				return usagef("--limit must be 0 to %d, not %d", maxPage, limit)
			}
			if err := w.check(&f); err != nil {
				return err
			}
			table, err := output.NewTable(&o, eventColumns)
			if err != nil {
				return err
			}
			if follow {
				if err := o.CheckStream("--follow"); err != nil {
					return err
				}
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			t := eventTailer{a: a, format: o.Format, inLines: o.InLines(), table: table, stream: table.Stream(a.screen())}
			n, err := t.latest(c.Context(), s, &f, limit)
			if err != nil {
				return err
			}
			if follow {
				return t.follow(c, s, f)
			}
			if n == 0 {
				a.note(o, "no events")
			}
			return t.stream.Close()
		},
	}
	o.Flags(c.Flags(), output.Names(eventColumns)...)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with all that happens until Ctrl-C")
	c.Flags().IntVar(&limit, "limit", 20, "show the latest `N` events first; 0 for none")
	w.flags(c, &f)
	w.timeFlags(c)
	return c
}

// eventFlags are the flags by which commands choose events.
type eventFlags struct {
	types        []string
	since, until string
}

// flags gives a command the flags that choose events.
func (e *eventFlags) flags(c *cobra.Command, f *pgq.EventFilter) {
	c.Flags().StringArrayVar(&f.Queues, "queue", nil, "events of this `QUEUE`; may be repeated")
	c.Flags().StringArrayVar(&f.Kinds, "kind", nil, "events of jobs of this `KIND`; may be repeated")
	c.Flags().Int64SliceVar(&f.JobIDs, "job", nil, "events of these jobs, `IDS`")
	e.typeFlag(c)
}

func (e *eventFlags) typeFlag(c *cobra.Command) {
	output.ListFlag(c.Flags(), &e.types, "type", nil, "events of these `TYPES`: failed,retried")
}

// timeFlags gives a command those that choose by time.
func (e *eventFlags) timeFlags(c *cobra.Command) {
	c.Flags().StringVar(&e.since, "since", "", "what happened from this `TIME` on, or since so long: 2h, 7d")
	c.Flags().StringVar(&e.until, "until", "", "what happened before this `TIME`, or longer ago than: 2h, 7d")
}

// check puts types and times into the filter and refuses what no event can have.
func (e *eventFlags) check(f *pgq.EventFilter) (err error) {
	now := time.Now()
	if f.Since, err = timeFlag("--since", e.since, now, -1); err != nil {
		return err
	}
	if f.Until, err = timeFlag("--until", e.until, now, -1); err != nil {
		return err
	}
	for _, id := range f.JobIDs {
		if id < 1 {
			return usagef("--job must be the id of a job, not %d", id)
		}
	}
	var known []string
	for _, t := range pgq.EventTypes() {
		known = append(known, string(t))
	}
	for _, word := range e.types {
		if !slices.Contains(known, word) {
			hint := "choose from " + strings.Join(known, ", ")
			if nearest := config.Nearest(word, known); nearest != "" {
				hint = "did you mean " + nearest + "?"
			}
			return usagef("--type: there is no event %q; %s", word, hint)
		}
		f.Types = append(f.Types, pgq.EventType(word))
	}
	return nil
}

// eventTailer prints events.
type eventTailer struct {
	a       *app
	format  output.Format
	inLines bool // of their own, and not in a table
	table   *output.Table[pgq.Event]
	stream  *output.Stream[pgq.Event]
}

// latest prints the latest events, returns how many, and lets the filter begin behind them.
func (t *eventTailer) latest(ctx context.Context, s *session, f *pgq.EventFilter, limit int) (int, error) {
	newest, err := s.q.LatestEvents(ctx, s.conn, pgq.EventFilter{}, 1)
	if err != nil {
		return 0, err
	}
	if len(newest) == 1 {
		f.After = newest[0].ID
	}
	if limit == 0 {
		return 0, nil
	}
	events, err := s.q.LatestEvents(ctx, s.conn, *f, limit)
	if err != nil {
		return 0, err
	}
	for _, e := range events {
		f.After = max(f.After, e.ID)
	}
	return len(events), t.print(t.table.Sorted(events)...)
}

// pool returns a pool of connections like that of the session, to be closed after use.
func (s *session) pool(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(s.conn.Config().ConnString())
	if err != nil {
		return nil, err
	}
	config.ConnConfig, config.MaxConns, config.MinConns = s.conn.Config(), 3, 0
	return pgxpool.NewWithConfig(ctx, config)
}

// follow prints what happens until the context ends.
func (t *eventTailer) follow(c *cobra.Command, s *session, f pgq.EventFilter) error {
	pool, err := s.pool(c.Context())
	if err != nil {
		return err
	}
	defer pool.Close()
	if t.format.ForPeople() && t.a.screen().Terminal {
		fmt.Fprintln(t.a.err, "following; Ctrl-C ends it")
	}
	err = s.q.Subscribe(c.Context(), pool, f, func(e pgq.Event) error {
		return t.print(e)
	})
	if errors.Is(err, context.Canceled) && c.Context().Err() != nil {
		return context.Cause(c.Context())
	}
	return err
}

func (t *eventTailer) print(events ...pgq.Event) error {
	if !t.inLines {
		return t.stream.Add(events)
	}
	for _, e := range events {
		if err := t.printLine(e); err != nil {
			return err
		}
	}
	return nil
}

// maxData is how much of an event's data is shown in its line.
const maxData = 200

func (t *eventTailer) printLine(e pgq.Event) error {
	screen := t.a.screen()
	width, _ := screen.Size()
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s", e.At.UTC().Format("2006-01-02T15:04:05.000Z"), output.Clean(string(e.Type)))
	if e.JobID != nil {
		fmt.Fprintf(&text, " job %d", *e.JobID)
	}
	if e.Kind != nil {
		text.WriteString(" " + output.Clean(*e.Kind))
	}
	if e.Queue != nil {
		text.WriteString(" in " + output.Clean(*e.Queue))
	}
	if e.Attempt != nil && *e.Attempt > 0 {
		fmt.Fprintf(&text, " attempt %d", *e.Attempt)
	}
	if e.WorkerID != nil {
		fmt.Fprintf(&text, " worker %d", *e.WorkerID)
	}
	if len(e.Data) > 0 {
		text.WriteString(" " + output.Cut(output.Clean(string(e.Data)), maxData))
	}
	line := output.Cut(text.String(), width)
	_, err := fmt.Fprintln(screen, screen.Paint(eventColour(e.Type), line))
	return err
}

func eventColour(t pgq.EventType) output.Colour {
	switch t {
	case pgq.EventFailed:
		return output.Red
	case pgq.EventRetried, pgq.EventCancelled, pgq.EventExpired, pgq.EventPaused:
		return output.Yellow
	case pgq.EventCompleted:
		return output.Green
	case pgq.EventEnqueued, pgq.EventClaimed:
		return output.Faint
	}
	return ""
}
