package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// scheduleFlags are those of schedule set.
type scheduleFlags struct {
	kind, args, options, queue, dag, zone string
	jitter                                time.Duration
	from, until                           string
	maxRuns                               int64
	missed, overlap                       string
	missedLimit                           int
	dry                                   bool
}

func scheduleSet(a *app) *cobra.Command {
	var o output.Options
	var f scheduleFlags
	c := &cobra.Command{
		Use:     "set NAME SPEC",
		Aliases: []string{"create", "update"},
		Short:   "Create a schedule, or change the one of this name",
		Long: `Create a schedule, or make the one of this name be as it is said here, all of it: what is not given goes back to its default. It
goes on where it was unless its times change; runs that it had, and a pause, stay.

` + scheduleHelp,
		Example: `  pgq-admin schedule set report '30 7 * * MON-FRI' --zone Europe/Berlin --kind send_report --args '{"to": 1}' --queue mail
  pgq-admin schedule set sync 'every 15 minutes' --kind sync --overlap skip --missed skip
  pgq-admin schedule set etl @daily --dag etl.json --dry-run`,
		Args: args(2, "NAME", "SPEC"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, scheduleColumns)
			if err != nil {
				return err
			}
			document, err := a.schedule(c, &f, args[0], args[1])
			if err != nil {
				return err
			}
			return a.onSchedule(c, func(ctx context.Context, s *session) error {
				var outcome pgq.ScheduleOutcome
				var state pgq.ScheduleState
				err := try(ctx, s.conn, f.dry, func(tx pgx.Tx) (err error) {
					if outcome, err = s.q.SetScheduleJSON(ctx, tx, document); err == nil {
						state, err = s.q.Schedule(ctx, tx, args[0])
					}
					return err
				})
				if err != nil {
					return err
				}
				if f.dry {
					a.note(o, "dry run: the schedule would be %s; nothing was written", outcome.Outcome)
				} else {
					a.note(o, "%s", outcome.Outcome)
				}
				if state.NextAt == nil {
					a.note(o, "it is never due again")
				}
				return table.Print(a.screen(), []pgq.ScheduleState{state})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(scheduleColumns)...)
	f.add(c)
	return c
}

func (f *scheduleFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.kind, "kind", "", "`KIND` of the job")
	flags.StringVar(&f.args, "args", "", "`JSON` args of the job")
	flags.StringVar(&f.queue, "queue", "", "`QUEUE` of the job")
	flags.StringVar(&f.options, "options", "", "other options of the job as `JSON`: {\"max_attempts\": 3}")
	flags.StringVar(&f.dag, "dag", "", "in place of a job a DAG: JSON or YAML `FILE`, as for dag submit, without key")
	flags.StringVar(&f.zone, "zone", "UTC", "time `ZONE` whose clocks count: Europe/Berlin")
	durationVar(flags, &f.jitter, "jitter", 0, "fire up to this much later: `30s`")
	flags.StringVar(&f.from, "starts-at", "", "not due before this `TIME`: 2030-01-31T18:00:00Z")
	flags.StringVar(&f.until, "ends-at", "", "not due after this `TIME`")
	flags.Int64Var(&f.maxRuns, "max-runs", 0, "end after `N` runs")
	flags.StringVar(&f.missed, "missed", "once", "times that nobody could fire: skip, once or all")
	flags.IntVar(&f.missedLimit, "missed-limit", 100, "with --missed all, the last `N` of them")
	flags.StringVar(&f.overlap, "overlap", "allow", "when an earlier run has not ended: allow, skip, queue or cancel")
	flags.BoolVar(&f.dry, "dry-run", false, "look whether it can be set, and write nothing")
}

// schedule returns the schedule of the flags in its JSON form.
func (a *app) schedule(c *cobra.Command, f *scheduleFlags, name, spec string) (json.RawMessage, error) {
	document := map[string]any{"name": name, "spec": spec, "zone": f.zone, "jitter": f.jitter.String(), "missed": f.missed,
		"missed_limit": f.missedLimit, "overlap": f.overlap}
	given := c.Flags().Changed
	options := map[string]json.RawMessage{}
	if given("options") {
		if err := json.Unmarshal([]byte(f.options), &options); err != nil {
			return nil, usagef("--options must be a JSON object: %s", err)
		}
	}
	if given("queue") {
		options["queue"], _ = json.Marshal(f.queue) // a string can always be encoded
	}
	if len(options) > 0 {
		document["options"] = options
	}
	if given("kind") {
		document["kind"] = f.kind
	}
	if given("args") {
		if !json.Valid([]byte(f.args)) {
			return nil, usagef("--args must be JSON, not %q", f.args)
		}
		document["args"] = json.RawMessage(f.args)
	}
	if given("dag") {
		dag, err := a.document(f.dag)
		if err != nil {
			return nil, err
		}
		document["dag"] = dag
	}
	for name, text := range map[string]string{"starts-at": f.from, "ends-at": f.until} {
		at, err := timeFlag("--"+name, text, time.Now(), 1)
		if err != nil {
			return nil, err
		}
		if !at.IsZero() {
			document[strings.ReplaceAll(name, "-", "_")] = at
		}
	}
	if given("max-runs") {
		document["max_runs"] = f.maxRuns
	}
	return pgq.EncodeJSON("schedule", document)
}
