package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

var workerColumns = []output.Column[pgq.WorkerState]{
	{Name: "id", Value: func(w pgq.WorkerState) any { return w.ID }},
	{Name: "name", Value: func(w pgq.WorkerState) any { return w.Name }},
	{Name: "state", Value: func(w pgq.WorkerState) any { return w.State }},
	{Name: "running", Value: func(w pgq.WorkerState) any { return w.Running }},
	{Name: "heartbeat", Value: func(w pgq.WorkerState) any { return max(0, w.HeartbeatAge) }},
	{Name: "lease", Value: func(w pgq.WorkerState) any { return w.Lease }},
	{Name: "started_at", Value: func(w pgq.WorkerState) any { return w.StartedAt }},
	{Name: "heartbeat_at", Level: output.Data, Value: func(w pgq.WorkerState) any { return w.HeartbeatAt }},
	{Name: "dead_at", Level: output.Wide, Value: func(w pgq.WorkerState) any { return w.DeadAt }},
	{Name: "oldest_claimed_at", Level: output.Wide, Value: func(w pgq.WorkerState) any { return w.OldestClaimedAt }},
	{Name: "kinds", Level: output.Wide, Value: func(w pgq.WorkerState) any { return w.Kinds }},
	{Name: "queues", Value: func(w pgq.WorkerState) any { return w.Queues }},
}

var runningColumns = []output.Column[pgq.RunningJob]{
	{Name: "id", Value: func(r pgq.RunningJob) any { return r.JobID }},
	{Name: "queue", Value: func(r pgq.RunningJob) any { return r.Queue }},
	{Name: "kind", Value: func(r pgq.RunningJob) any { return r.Kind }},
	{Name: "attempt", Value: func(r pgq.RunningJob) any { return r.Attempt }},
	{Name: "duration", Value: func(r pgq.RunningJob) any { return r.Duration }},
	{Name: "progress", Value: func(r pgq.RunningJob) any { return progressOf(r) }},
	{Name: "worker_id", Value: func(r pgq.RunningJob) any { return r.WorkerID }},
	{Name: "worker", Value: func(r pgq.RunningJob) any { return r.Worker }},
	{Name: "worker_alive", Level: output.Data, Value: func(r pgq.RunningJob) any { return r.WorkerAlive }},
	{Name: "claimed_at", Level: output.Wide, Value: func(r pgq.RunningJob) any { return r.ClaimedAt }},
	{Name: "cancel_requested_at", Level: output.Wide, Value: func(r pgq.RunningJob) any { return r.CancelRequestedAt }},
	{Name: "dag_id", Level: output.Wide, Value: func(r pgq.RunningJob) any { return r.DAGID }},
	{Name: "name", Level: output.Wide, Value: func(r pgq.RunningJob) any { return r.Name }},
}

// progressOf returns the fraction that is done; nil where nobody knows.
func progressOf(r pgq.RunningJob) any {
	if r.Done == nil || r.Total == nil || *r.Total <= 0 {
		return nil
	}
	return output.Fraction(float64(*r.Done) / float64(*r.Total))
}

func workerList(a *app) *cobra.Command {
	var o output.Options
	var w watching
	var p page
	var after int64
	var dead bool
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List worker processes: whether they live, what they serve, how much they run",
		Long: `List worker processes. state is alive; silent, when no heartbeat came within the lease, so that it is about to be declared
dead; or dead, with --dead, whose jobs were given to others. heartbeat is how long ago the last one was. A name is host and process id
unless the worker was given another one.`,
		Example: `  pgq-admin worker list --sort -heartbeat
  pgq-admin worker list -o wide`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, workerColumns)
			if err != nil {
				return err
			}
			if err := errors.Join(w.check(), p.check()); err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			return w.show(c.Context(), a.screen(), func(screen output.Screen) error {
				all, err := s.q.WorkerStates(c.Context(), s.conn)
				if err != nil {
					return err
				}
				shown, more := cut(p, all, func(one pgq.WorkerState) bool { return one.ID > after && (dead || one.DeadAt == nil) })
				if len(shown) == 0 {
					w.note(a, screen, o, "no workers")
				}
				if !more {
					return table.Print(screen, shown)
				}
				last := shown[len(shown)-1].ID
				if err := table.PrintPage(screen, shown, last); err != nil {
					return err
				}
				w.note(a, screen, o, "next page: --after %d", last)
				return nil
			})
		},
	}
	o.Flags(c.Flags(), output.Names(workerColumns)...)
	w.flags(c.Flags(), watchEvery)
	p.flags(c.Flags(), 1000)
	c.Flags().Int64Var(&after, "after", 0, "only workers after this `ID`")
	c.Flags().BoolVar(&dead, "dead", false, "those that were declared dead, too")
	return c
}

func workerShow(a *app) *cobra.Command {
	var o output.Options
	var limit int
	c := &cobra.Command{
		Use:     "show WORKER",
		Aliases: []string{"describe", "get"},
		Short:   "Show a worker and the jobs that it runs, longest first",
		Long: `Show a worker, named by its id: what it serves, when it was last heard of, and the jobs that it runs, longest first.

-o json and yaml have {"worker": …, "running": …}; -o jsonl, csv and name the running jobs.`,
		Example: `  pgq-admin worker show 3
  pgq-admin worker show 3 -o name | xargs -n 1 pgq-admin job show`,
		Args:              args(1, "WORKER"),
		ValidArgsFunction: a.offerFirst(workerIDs),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, runningColumns)
			if err != nil {
				return err
			}
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || id < 1 {
				return usagef("a worker is named by its id, not %q", args[0]).WithFix("pgq-admin worker list shows the workers")
			}
			if err := checkLimit(limit); err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			return a.showWorker(c.Context(), s, o, table, id, limit)
		},
	}
	o.Flags(c.Flags(), output.Names(runningColumns)...)
	c.Flags().IntVar(&limit, "limit", 200, "`N` running jobs at most")
	return c
}

func (a *app) showWorker(ctx context.Context, s *session, o output.Options, table *output.Table[pgq.RunningJob], id int64, limit int) error {
	workers, err := s.q.WorkerStates(ctx, s.conn, id)
	if err != nil {
		return err
	}
	if len(workers) == 0 {
		return (&output.Error{Code: output.ExitNotFound, Text: fmt.Sprintf("there is no worker %d", id)}).
			WithFix("pgq-admin worker list --dead shows the workers; one that has stopped in order is forgotten")
	}
	running, err := s.q.RunningJobs(ctx, s.conn, id, limit)
	if err != nil {
		return err
	}
	worker, screen := workers[0], a.screen()
	if o.Format == output.FormatJSON || o.Format == output.FormatYAML {
		about, err := output.Objects(workerColumns, worker)
		if err != nil {
			return err
		}
		jobs, err := table.Objects(table.Sorted(running))
		if err != nil {
			return err
		}
		return output.Document(screen, o.Format, struct {
			Worker  json.RawMessage   `json:"worker"`
			Running []json.RawMessage `json:"running"`
		}{about[0], jobs})
	}
	if !o.Format.ForPeople() {
		return table.Print(screen, running)
	}
	lines := workerHead(screen, worker)
	if len(running) > 0 {
		lines = append(append(lines, ""), table.Lines(screen, table.Sorted(running))...)
	}
	if more := worker.Running - int64(len(running)); more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more (--limit)", more))
	}
	_, err = screen.Write([]byte(strings.Join(lines, "\n") + "\n"))
	return err
}

// workerHead are lines about a worker, for people.
func workerHead(s output.Screen, w pgq.WorkerState) []string {
	width, _ := s.Size()
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	facts := [][2]string{
		{"queues", strings.Join(w.Queues, ", ")},
		{"kinds", strings.Join(w.Kinds, ", ")},
		{"started", at(w.StartedAt)},
		{"heartbeat", fmt.Sprintf("%s ago, lease %s", output.Brief(max(0, w.HeartbeatAge)), output.Brief(w.Lease))},
	}
	if w.DeadAt != nil {
		facts = append(facts, [2]string{"dead since", at(*w.DeadAt)})
	}
	facts = append(facts, [2]string{"running", output.Count(w.Running, "job")})
	lines := []string{s.Paint(output.Bold, fmt.Sprintf("Worker %d %s: ", w.ID, output.Clean(w.Name))) + s.Paint(workerColour(w.State), w.State)}
	for _, f := range facts {
		lines = append(lines, output.Cut(fmt.Sprintf("%-10s %s", f[0], output.Clean(f[1])), width))
	}
	return lines
}

func workerColour(state string) output.Colour {
	switch state {
	case "alive":
		return output.Green
	case "silent":
		return output.Yellow
	}
	return output.Red
}
