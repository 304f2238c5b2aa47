package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/pgq"
)

// jobVerb is a command that does something with jobs.
type jobVerb struct {
	name, short, long, example string
	arguments                  []string // before the ids, in words
	verb                       pgq.Verb
	asks                       bool        // also for jobs that are named
	usual, may                 []pgq.State // those of jobs that filters choose: unless --state says others, and at all
	// flags gives the command flags of its own.
	flags func(c *cobra.Command, change *pgq.Change)
	// prepare reads the arguments and flags of its own.
	prepare func(c *cobra.Command, arguments []string, change *pgq.Change) error
}

// States of jobs with which verbs can do something.
var (
	endedStates      = []pgq.State{pgq.Completed, pgq.Failed, pgq.Cancelled, pgq.Skipped, pgq.Expired}
	queuedStates     = []pgq.State{pgq.Waiting, pgq.Scheduled, pgq.Ready} // waiting: also for its turn, which is as good as ready
	unfinishedStates = append(slices.Clone(queuedStates), pgq.Running)
)

// jobChanges are the commands that do something with jobs.
func jobChanges(a *app) []*cobra.Command {
	var commands []*cobra.Command
	for _, v := range []jobVerb{retryVerb(), cancelVerb, deleteVerb, moveVerb, rescheduleVerb(), priorityVerb} {
		commands = append(commands, jobChange(a, v))
	}
	return commands
}

// retryVerb returns the verb with flags of its own.
func retryVerb() jobVerb {
	var startAt string
	return jobVerb{
		name: "retry", short: "Run jobs again", verb: pgq.VerbRetry, usual: []pgq.State{pgq.Failed}, may: append(slices.Clone(endedStates), pgq.Scheduled),
		long: `Run jobs again now: finished ones, whatever their state, with at least one attempt more, and scheduled ones without waiting
for their time. A node of a DAG takes along what was skipped for it. Filters choose failed ones (dead letters), unless --state says others;
where ids name jobs that have completed it asks.
With --rate, so many per second: they are scheduled one after the other.`,
		example: `  pgq-admin job retry 12 13
  pgq-admin job retry --state failed --kind send_mail --error timeout --rate 50 --reason "mail server is back"`,
		flags:   func(c *cobra.Command, change *pgq.Change) { rateFlags(c, change, &startAt) },
		prepare: func(c *cobra.Command, _ []string, change *pgq.Change) error { return readRate(c, change, startAt) },
	}
}

var cancelVerb = jobVerb{
	name: "cancel", short: "Cancel jobs", verb: pgq.VerbCancel, usual: unfinishedStates, may: unfinishedStates,
	long: `Cancel jobs. Those that run are told to stop (outcome requested), and end as cancelled unless they complete first. A DAG is
cancelled with all its nodes; what waits for a cancelled job takes it as a failure.`,
	example: `  pgq-admin job cancel 12 --reason "wrong input"
  pgq-admin job cancel --queue mail --kind newsletter --state ready,scheduled --dry-run`,
}

var deleteVerb = jobVerb{
	name: "delete", short: "Delete jobs with all that is known of them", verb: pgq.VerbDelete, asks: true, usual: endedStates, may: append(slices.Clone(endedStates), queuedStates...),
	long: `Delete jobs with all that is known of them, unless they run. Nodes of DAGs are deleted with their DAG only. Filters choose jobs that
have ended, unless --state says others.`,
	example: `  pgq-admin job delete 12 --yes
  pgq-admin job delete --state completed --until 30d --limit 0`,
}

var moveVerb = jobVerb{
	name: "move", short: "Move jobs to another queue", verb: pgq.VerbMove, usual: queuedStates, may: queuedStates, arguments: []string{"QUEUE"},
	long: `Move jobs that are ready or scheduled to another queue: there they come behind those that are ready; scheduled ones keep
their time.`,
	example: `  pgq-admin job move bulk 12 13
  pgq-admin job move bulk --queue mail --kind newsletter --state ready,scheduled`,
	prepare: func(_ *cobra.Command, arguments []string, change *pgq.Change) error {
		change.Queue = arguments[0]
		return nil
	},
}

// rescheduleVerb returns the verb with a flag of its own.
func rescheduleVerb() jobVerb {
	var at string
	return jobVerb{
		name: "reschedule", short: "Let jobs run at another time", verb: pgq.VerbReschedule, usual: queuedStates, may: queuedStates,
		long: `Let jobs that are ready or scheduled run at another time; a time that is past makes them ready.`,
		example: `  pgq-admin job reschedule 12 --at 2026-12-01T08:00:00Z
  pgq-admin job reschedule --queue reports --state ready --at 2h`,
		flags: func(c *cobra.Command, _ *pgq.Change) {
			c.Flags().StringVar(&at, "at", "", "when: a `TIME` (2026-12-01T08:00:00Z), or in how long (5m, 2h)")
		},
		prepare: func(_ *cobra.Command, _ []string, change *pgq.Change) (err error) {
			if at == "" {
				return usagef("--at must say when: a time, or in how long (5m, 2h)")
			}
			change.RunAt, err = timeFlag("--at", at, time.Now(), 1)
			return err
		},
	}
}

var priorityVerb = jobVerb{
	name: "set-priority", short: "Give jobs another priority", verb: pgq.VerbSetPriority, usual: queuedStates, may: queuedStates, arguments: []string{"PRIORITY"},
	long: `Give jobs that are ready or scheduled another priority, 0 (the soonest) to 9. Ready ones come behind those that have it
already.`,
	example: `  pgq-admin job set-priority 0 12 13
  pgq-admin job set-priority 9 --queue mail --kind newsletter --state ready`,
	prepare: func(_ *cobra.Command, arguments []string, change *pgq.Change) error {
		if len(arguments[0]) != 1 || arguments[0] < "0" || arguments[0] > "9" {
			return usagef("the priority must be 0 to 9, not %q", arguments[0])
		}
		priority := int(arguments[0][0] - '0')
		change.Priority = &priority
		return nil
	},
}

// jobChange returns the command of a verb: for jobs that are named, or that fit a filter.
func jobChange(a *app, v jobVerb) *cobra.Command {
	var f filterFlags
	b := &bulk{ask: v.asks, change: pgq.Change{Verb: v.verb}}
	c := &cobra.Command{
		Use:     strings.Join(append(append([]string{v.name}, v.arguments...), "[ID…]"), " "),
		Short:   v.short,
		Long:    v.long + "\n\nJobs are named by their ids, or chosen.\n\n" + filterHelp + "\n\n" + bulkHelp,
		Example: v.example,
		RunE: func(c *cobra.Command, arguments []string) error {
			if len(arguments) < len(v.arguments) {
				return misused(c, "%s needs %s", c.CommandPath(), v.arguments[len(arguments)])
			}
			if err := b.check(c); err != nil {
				return err
			}
			if v.prepare != nil {
				if err := v.prepare(c, arguments, &b.change); err != nil {
					return err
				}
			}
			if err := chooseJobs(c, b, &f, arguments[len(v.arguments):]); err != nil {
				return err
			}
			if err := v.choose(b); err != nil {
				return err
			}
			return a.run(c, b, strings.ReplaceAll(v.name, "-", " "))
		},
	}
	b.flags(c)
	f.flags(c.Flags())
	if v.flags != nil {
		v.flags(c, &b.change)
	}
	return c
}

// choose narrows a filter to jobs with which the verb can do something. *output.Error, a wrong use: --state names others.
func (v jobVerb) choose(b *bulk) error {
	f := &b.change.Filter
	if b.ids != nil {
		return nil
	}
	if f.States == nil {
		f.States = v.usual
	}
	for _, state := range f.States {
		if !slices.Contains(v.may, state) {
			return usagef("--state: %s cannot do anything with jobs that are %s; with %s it can", v.name, state, strings.Join(wordsOf(v.may), ", "))
		}
	}
	return nil
}

func wordsOf(states []pgq.State) (words []string) {
	for _, state := range states {
		words = append(words, string(state))
	}
	return words
}

// chooseJobs makes the filter of a bulk of ids or flags.
func chooseJobs(c *cobra.Command, b *bulk, f *filterFlags, words []string) error {
	switch {
	case len(words) > 0 && f.given():
		return usagef("give either ids or flags that choose jobs, not both")
	case len(words) == 0 && !f.given():
		return misused(c, "which jobs? give ids, or flags that choose them (--queue, --state …)")
	}
	filter, err := f.filter()
	if err != nil {
		return err
	}
	for _, word := range words {
		id, err := jobID(word)
		if err != nil {
			return err
		}
		b.ids = append(b.ids, id)
	}
	filter.IDs = b.ids
	b.change.Filter, b.none = filter, f.none("no job fits")
	return nil
}

// rateFlags gives a command --rate and --start-at.
func rateFlags(c *cobra.Command, change *pgq.Change, startAt *string) {
	rateFlag(c, change)
	c.Flags().StringVar(startAt, "start-at", "", "with --rate: the first one at this `TIME`, or in so long; now by default")
}

func rateFlag(c *cobra.Command, change *pgq.Change) {
	c.Flags().Float64Var(&change.Rate, "rate", 0, "so `MANY` jobs per second; all at once by default")
}

func readRate(c *cobra.Command, change *pgq.Change, startAt string) (err error) {
	if c.Flags().Changed("rate") && !(change.Rate >= 0.001 && change.Rate <= 1e6) {
		return usagef("--rate must be 0.001 to 1000000 per second")
	}
	if startAt != "" && change.Rate == 0 {
		return usagef("--start-at needs --rate; to run jobs at another time: pgq-admin job reschedule")
	}
	change.StartAt, err = timeFlag("--start-at", startAt, time.Now(), 1)
	return err
}
