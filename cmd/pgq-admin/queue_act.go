package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker/config"
)

// queueChanges are the commands that do something with queues.
func queueChanges(a *app) []*cobra.Command {
	return []*cobra.Command{queuePause(a), queueResume(a), queueDrain(a), queuePurge(a), queueSet(a)}
}

// onQueue connects, does something with a queue, and says what was done.
func (a *app) onQueue(c *cobra.Command, do func(ctx context.Context, s *session) (done string, err error)) error {
	var done string
	err := a.onFound(c, "pgq-admin queue list shows the queues", func(ctx context.Context, s *session) (err error) {
		done, err = do(ctx, s)
		return err
	})
	if err == nil {
		_, err = fmt.Fprintln(a.out, done)
	}
	return err
}

func queuePause(a *app) *cobra.Command {
	var by operator
	c := &cobra.Command{
		Use:   "pause QUEUE",
		Short: "Keep jobs of a queue from being started",
		Long: `Keep jobs of a queue from being started; those that run go on, and new ones may be enqueued. A queue that is paused already
stays so, with the new reason and who gave it, if there is one. A queue that does not exist yet begins to be, paused.`,
		Example: `  pgq-admin queue pause mail --reason "mail server is down" --actor ann`,
		Args:    args(1, "QUEUE"),
		RunE: func(c *cobra.Command, words []string) error {
			return a.onQueue(c, func(ctx context.Context, s *session) (string, error) {
				name := output.Clean(words[0])
				was, err := s.q.Queue(ctx, s.conn, words[0])
				if err != nil && !errors.Is(err, pgq.ErrNotFound) {
					return "", err
				}
				isNew := err != nil && errors.Is(s.mustHaveQueue(ctx, words[0]), pgq.ErrNotFound)
				if err := by.client(s).PauseQueue(ctx, s.conn, words[0], ""); err != nil || was.PausedAt == nil {
					if isNew {
						name += ", a new queue: nothing was enqueued there yet"
					}
					return "paused " + name, err
				}
				now, err := s.q.Queue(ctx, s.conn, words[0])
				if err != nil || now.PausedAt == nil {
					return "paused " + name, err
				}
				return fmt.Sprintf("%s was paused already, it is %s", name, pauseText(*now.PausedAt, now.PausedBy, now.PauseReason)), nil
			})
		},
	}
	by.flags(c)
	c.ValidArgsFunction = a.offerFirst(queueNames)
	return c
}

func queueResume(a *app) *cobra.Command {
	var by operator
	c := &cobra.Command{
		Use:     "resume QUEUE",
		Short:   "Let jobs of a paused queue be started again",
		Example: `  pgq-admin queue resume mail`,
		Args:    args(1, "QUEUE"),
		RunE: func(c *cobra.Command, words []string) error {
			return a.onQueue(c, func(ctx context.Context, s *session) (string, error) {
				was, err := s.q.Queue(ctx, s.conn, words[0])
				if err == nil || errors.Is(err, pgq.ErrNotFound) {
					err = by.client(s).ResumeQueue(ctx, s.conn, words[0])
				}
				if err == nil && was.PausedAt == nil {
					return output.Clean(words[0]) + " was not paused", nil
				}
				return "resumed " + output.Clean(words[0]), err
			})
		},
	}
	by.flags(c)
	c.ValidArgsFunction = a.offerFirst(queueNames)
	return c
}

const drainHelp = `Wait until nothing of a queue is ready, due or running. Nothing is refused meanwhile: whoever enqueues goes on, and drain sees
those jobs out as well. Jobs that are scheduled for later, or wait for other jobs, are not waited for; they are told of.

With --pause the queue is paused first, so that it takes only until what runs has ended: before a deployment, for example.
Exit codes: 3 there is no such queue; 6 the queue is paused and has jobs, so that waiting is in vain; 7 --timeout is out.`

// mustHaveQueue returns ErrNotFound, with a fix, unless there is such a queue. ErrPermission: the role may not see queues.
func (s *session) mustHaveQueue(ctx context.Context, name string) error {
	_, err := s.q.QueueState(ctx, s.conn, name)
	if errors.Is(err, pgq.ErrNotFound) {
		return noQueue(name, err)
	}
	return err
}

func noQueue(name string, err error) error {
	return (&output.Error{Code: output.ExitNotFound, Text: fmt.Sprintf("there is no queue %q", name), Err: err}).
		WithFix("pgq-admin queue list shows the queues; a queue begins to be with its first job, worker or setting")
}

func queueDrain(a *app) *cobra.Command {
	var pause bool
	var by operator
	var timeout string
	c := &cobra.Command{
		Use:   "drain QUEUE",
		Short: "Wait until a queue has nothing more to do",
		Long:  drainHelp,
		Example: `  pgq-admin queue drain mail --timeout 10m
  pgq-admin queue drain mail --pause --reason deployment && ./deploy && pgq-admin queue resume mail`,
		Args: args(1, "QUEUE"),
		RunE: func(c *cobra.Command, words []string) error {
			ctx := c.Context()
			if timeout != "" {
				d, err := parseDuration(timeout)
				if err != nil {
					return usagef("--timeout %s", err)
				}
				limit, cancel := context.WithTimeoutCause(ctx, d, errTimeIsOut)
				defer cancel()
				ctx = limit
			}
			if (by.reason != "" || by.actor != "") && !pause {
				return usagef("--reason and --actor need --pause")
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			if err := s.mustHaveQueue(ctx, words[0]); err != nil && !errors.Is(err, pgq.ErrPermission) {
				return err
			}
			if pause {
				if err := by.client(s).PauseQueue(c.Context(), s.conn, words[0], ""); err != nil {
					return err
				}
			}
			return a.drain(ctx, s, words[0], pause)
		},
	}
	c.Flags().BoolVar(&pause, "pause", false, "pause the queue, and wait only for what runs")
	c.Flags().StringVar(&by.reason, "reason", "", "with --pause: why")
	c.Flags().StringVar(&by.actor, "actor", "", "with --pause: who, if not the database's user")
	c.Flags().StringVar(&timeout, "timeout", "", "wait at most this `DURATION`; for as long as it takes by default")
	c.ValidArgsFunction = a.offerFirst(queueNames)
	return c
}

var errTimeIsOut = &output.Error{Code: output.ExitTimeout, Text: "time is out"}

// drain waits until nothing of a queue can run, or runs if it is paused.
func (a *app) drain(ctx context.Context, s *session, queue string, paused bool) error {
	screen := output.NewScreen(a.err)
	var work pgq.QueueWork
	err := output.Repeat(ctx, 250*time.Millisecond, func() (bool, error) {
		var err error
		if work, err = s.q.QueueWork(context.WithoutCancel(ctx), s.conn, queue); err != nil {
			return false, err
		}
		if screen.Terminal {
			fmt.Fprintf(a.err, "\r\x1b[K%d running, %d ready, %d due", work.Running, work.Ready, work.Due)
		}
		if paused || work.Paused && work.Ready+work.Due > 0 && work.Running == 0 {
			return work.Running == 0, nil
		}
		return work.Running+work.Ready+work.Due == 0, nil
	})
	if screen.Terminal {
		fmt.Fprint(a.err, "\r\x1b[K")
	}
	left := fmt.Sprintf("%d running, %d ready, %d due, %d for later, %d waiting for other jobs", work.Running, work.Ready, work.Due, work.Later, work.Waiting)
	name := output.Clean(queue)
	switch {
	case err == errTimeIsOut: //nolint:errorlint // the cause itself
		return &output.Error{Code: output.ExitTimeout, Text: fmt.Sprintf("time is out; queue %s still has %s", name, left)}
	case err != nil:
		return err
	case !paused && work.Paused && work.Ready+work.Due > 0:
		return output.Conflictf("queue %s is paused; it has %s", name, left).WithFix("pgq-admin queue resume %s, or drain it with --pause", quoted(queue))
	}
	_, err = fmt.Fprintf(a.out, "drained %s: %s\n", name, left)
	return err
}

func queuePurge(a *app) *cobra.Command {
	b := &bulk{change: pgq.Change{Verb: pgq.VerbDelete}}
	var wanted []string
	c := &cobra.Command{
		Use:   "purge QUEUE",
		Short: "Delete all jobs of a queue that do not run",
		Long: `Delete all jobs of a queue with all that is known of them, finished ones too, but those that run and the nodes of DAGs, which
go with their DAG. The queue, its settings and whoever enqueues stay.

` + bulkHelp,
		Example: `  pgq-admin queue purge test --yes --limit 0
  pgq-admin queue purge mail --state ready,scheduled --reason "sent twice"`,
		Args: args(1, "QUEUE"),
		RunE: func(c *cobra.Command, words []string) error {
			if err := b.check(c); err != nil {
				return err
			}
			chosen, err := states(wanted, false)
			if err != nil {
				return err
			}
			if slices.Contains(chosen, pgq.Running) {
				return usagef("jobs that run are not purged; pgq-admin job cancel --queue %s --state running stops them", quoted(words[0]))
			}
			b.change.Filter = pgq.Filter{Queues: words[:1], States: chosen}
			if c.Flags().Changed("state") && len(chosen) == 0 {
				return usagef("--state must not be empty; leave it out for any")
			}
			if chosen == nil {
				b.change.Filter.States = append(slices.Clone(endedStates), queuedStates...)
			}
			b.absent = func(ctx context.Context, s *session) error { return s.mustHaveQueue(ctx, words[0]) }
			return a.run(c, b, "delete")
		},
	}
	b.flags(c)
	output.ListFlag(c.Flags(), &wanted, "state", nil, "only jobs in these `STATES`")
	c.ValidArgsFunction = a.offerFirst(queueNames)
	return c
}

// queueSettingNames are those that a queue may have, with what their values are.
var queueSettingNames = map[string]string{
	"max_depth": "number", "warn_depth": "number", "max_args_bytes": "number", "max_attempts": "number", "timeout": "duration",
	"backoff": "JSON", "keep_completed": "duration", "keep_failed": "duration", "keep_cancelled": "duration",
	"keep_expired": "duration", "events": "word", "age_every": "duration",
}

func queueSet(a *app) *cobra.Command {
	var by operator
	c := &cobra.Command{
		Use:   "set QUEUE NAME=VALUE…",
		Short: "Set settings of a queue",
		Long: `Set settings of a queue, which begins to be with that; of '*': the defaults of all queues. NAME=default puts a setting back to
the default. All or nothing.

  max_depth, warn_depth        how many jobs may wait: more are refused, or warned of
  max_args_bytes               the largest args
  max_attempts, timeout        of jobs that say nothing else
  backoff                      JSON: {"type": "exponential", "base": 1, "cap": 3600, "jitter": 0.1}
  keep_completed, keep_failed, keep_cancelled, keep_expired
                               for how long jobs are kept that have ended: 12h, 30d
  events                       none, changes or all
  age_every                    a job counts as one priority sooner for each such time that it has waited: 10m`,
		Example: `  pgq-admin queue set mail max_depth=10000 keep_completed=7d
  pgq-admin queue set mail max_depth=default
  pgq-admin queue set '*' keep_failed=90d`,
		Args: func(c *cobra.Command, words []string) error {
			if len(words) < 2 {
				return misused(c, "%s needs QUEUE and NAME=VALUE", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, words []string) error {
			values, resets, err := queueAssignments(words[1:])
			if err != nil {
				return err
			}
			return a.onQueue(c, func(ctx context.Context, s *session) (string, error) {
				return "set " + output.Clean(strings.Join(words[1:], " ")), try(ctx, s.conn, false, func(tx pgx.Tx) error {
					if err := by.client(s).SetQueueJSON(ctx, tx, words[0], values); err != nil || resets == nil {
						return err
					}
					return by.client(s).ResetQueue(ctx, tx, words[0], resets...)
				})
			})
		},
	}
	by.flags(c)
	return c
}

// queueAssignments reads NAME=VALUE: an object of settings, and those to be put back to the default.
func queueAssignments(words []string) (values json.RawMessage, resets []string, err error) {
	members := map[string]any{}
	for _, word := range words {
		name, text, ok := strings.Cut(word, "=")
		kind, known := queueSettingNames[name]
		if !known || !ok || text == "" {
			var names []string
			for known := range queueSettingNames {
				names = append(names, known)
			}
			slices.Sort(names)
			if nearest := config.Nearest(name, names); ok && !known && nearest != "" {
				return nil, nil, usagef("a queue has no setting %q; did you mean %s?", name, nearest)
			}
			if ok && !known {
				return nil, nil, usagef("a queue has no setting %q", name).WithFix("settings are %s", strings.Join(names, ", "))
			}
			return nil, nil, usagef("%q is no NAME=VALUE; settings are %s", word, strings.Join(names, ", "))
		}
		if text == "default" {
			resets = append(resets, name)
			continue
		}
		switch kind {
		case "number":
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, nil, usagef("%s must be a whole number, not %q", name, text)
			}
			members[name] = n
		case "duration":
			d, err := parseDuration(text)
			if err != nil {
				return nil, nil, usagef("%s %s", name, err)
			}
			members[name] = fmt.Sprintf("%.6f seconds", d.Seconds())
		case "JSON":
			if !json.Valid([]byte(text)) {
				return nil, nil, usagef("%s must be JSON, not %q", name, text)
			}
			members[name] = json.RawMessage(text)
		default:
			members[name] = text
		}
	}
	values, err = json.Marshal(members)
	return values, resets, err
}
