package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

func statusCommand(a *app) *cobra.Command {
	var o output.Options
	var w watching
	c := &cobra.Command{
		Use:   "status",
		Short: "Show on one screen how everything is: queues, workers, chores, the database",
		Long: `Show on one screen how everything is: queues with depth, age of the oldest job that may be claimed, throughput and failures
of the last 5 minutes; workers that live, are silent or were lost; when the chores were done last; the database's size, oldest
transaction, connections and NOTIFY queue; limits that are full, and pauses. What needs a look is coloured.

A number with ~ before it is an estimate. -o json, jsonl and yaml have {"at": …, "queues": …, "workers": …, "chores": …,
"limits": …, "database": …}; csv and name the queues. pgq-admin doctor says what to do about what is wrong.`,
		Example: `  pgq-admin status --watch
  pgq-admin status --sort -oldest
  pgq-admin status -o json | jq '.queues[] | select(.oldest > 60) | .queue'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, queueColumns)
			if err != nil {
				return err
			}
			if err := w.check(); err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			return w.show(c.Context(), a.screen(), func(screen output.Screen) error {
				now, err := s.overview(c.Context())
				if err != nil {
					return err
				}
				switch o.Format {
				case output.FormatJSON, output.FormatJSONL, output.FormatYAML:
					return now.document(screen, o.Format, table)
				case output.FormatCSV, output.FormatName:
					return table.Print(screen, now.queues)
				}
				return now.print(screen, table)
			})
		},
	}
	a.schemaFlag(c.Flags())
	o.Flags(c.Flags(), output.Names(queueColumns)...)
	w.flags(c.Flags(), watchEvery)
	return c
}

// shownWorkers is how many workers the status lists; of more it shows those that need a look.
const shownWorkers = 10

// print shows the overview to people.
func (o overview) print(s output.Screen, table *output.Table[queueRow]) error {
	lines := o.lines(s)
	if len(o.queues) > 0 {
		lines = append(append(lines, ""), table.Lines(s, table.Sorted(o.queues))...)
	}
	shown := o.workers
	if len(shown) > shownWorkers {
		shown = nil
		for _, w := range o.workers {
			if w.State != "alive" && len(shown) < shownWorkers {
				shown = append(shown, w)
			}
		}
	}
	if len(shown) > 0 {
		lines = append(append(lines, ""), output.Lines[pgq.WorkerState](s, workerColumns, shown)...)
	}
	_, err := s.Write([]byte(strings.Join(lines, "\n") + "\n"))
	return err
}
