package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// limitFlags are the settings of limit set, as the user wrote them.
type limitFlags struct {
	maxRunning, rate, period, burst, weight string
	breakAfter, breakWithin, breakFor       string
}

func limitSet(a *app) *cobra.Command {
	var o output.Options
	var f limitFlags
	var by operator
	var dry bool
	c := &cobra.Command{
		Use:     "set SCOPE NAME",
		Aliases: []string{"create", "update"},
		Short:   "Set how many jobs of a queue, a kind or a group run at a time and start per period",
		Long: `Set how many jobs of a queue, a kind or a group run at a time and start per period. What is not given stays as it is; none takes a
setting away, and the limit goes with its last one. It counts for what starts from now on.

` + limitHelp,
		Example: `  pgq-admin limit set group 'customer/*' --max-running 5
  pgq-admin limit set kind send_sms --rate 100 --period 1m --burst 20
  pgq-admin limit set group customer/7 --weight 3
  pgq-admin limit set kind send_sms --break-after 10 --break-within 1m --break-for 30s
  pgq-admin limit set kind send_sms --rate none`,
		Args:              args(2, "SCOPE", "NAME"),
		ValidArgsFunction: a.offerLimits(),
		RunE: func(c *cobra.Command, words []string) error {
			table, err := output.NewTable(&o, limitColumns)
			if err != nil {
				return err
			}
			settings, err := f.document(c)
			if err != nil {
				return err
			}
			return a.onLimit(c, words, func(ctx context.Context, s *session, of pgq.Scope) error {
				var row limitRow
				err := try(ctx, s.conn, dry, func(tx pgx.Tx) (err error) {
					if err = by.client(s).SetLimitJSON(ctx, tx, of, settings); err == nil {
						row, _, err = s.limitRow(ctx, tx, of)
					}
					return err
				})
				if err != nil {
					return err
				}
				if dry {
					a.note(o, "dry run: nothing was changed")
				}
				if row.updatedAt == nil {
					a.note(o, "%s has no limit of its own", output.Clean(of.String()))
				}
				return table.Print(a.screen(), []limitRow{row})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(limitColumns)...)
	f.add(c)
	by.flags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "look whether it can be set, and change nothing")
	return c
}

func (f *limitFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.maxRunning, "max-running", "", "so many jobs run at a time at the most: `N` or none")
	flags.StringVar(&f.rate, "rate", "", "so many jobs start per period: `N` or none")
	flags.StringVar(&f.period, "period", "", "the `DURATION` that rate is for: 1s (the default), 1m, 24h")
	flags.StringVar(&f.burst, "burst", "", "so many jobs may start at once after a rest: `N` or none, which is as many as rate says")
	flags.StringVar(&f.weight, "weight", "", "for groups: so many turns where others get one, `N` or none, which is one")
	flags.StringVar(&f.breakAfter, "break-after", "", "circuit breaker: opens after so many failed attempts, `N` or none")
	flags.StringVar(&f.breakWithin, "break-within", "", "those in this `DURATION`; 1m by default")
	flags.StringVar(&f.breakFor, "break-for", "", "none starts for this `DURATION`, then one, the probe; 30s by default")
}

// document returns the settings that were given, as set_limit takes them.
func (f *limitFlags) document(c *cobra.Command) (json.RawMessage, error) {
	settings := map[string]any{}
	for _, flag := range []struct{ name, field, text string }{
		{"max-running", "max_running", f.maxRunning}, {"rate", "rate", f.rate}, {"burst", "burst", f.burst}, {"weight", "weight", f.weight},
		{"break-after", "break_after", f.breakAfter},
	} {
		if !c.Flags().Changed(flag.name) {
			continue
		}
		if flag.text == "none" {
			settings[flag.field] = nil
			continue
		}
		n, err := strconv.ParseInt(flag.text, 10, 32)
		if err != nil {
			return nil, usagef("--%s must be a whole number or none, not %q", flag.name, flag.text)
		}
		settings[flag.field] = n
	}
	for _, flag := range []struct{ name, field, text string }{
		{"period", "period", f.period}, {"break-within", "break_within", f.breakWithin}, {"break-for", "break_for", f.breakFor},
	} {
		if !c.Flags().Changed(flag.name) {
			continue
		}
		d, err := parseDuration(flag.text)
		if err != nil {
			return nil, usagef("--%s %s", flag.name, err)
		}
		settings[flag.field] = fmt.Sprintf("%.6f seconds", d.Seconds())
	}
	if len(settings) == 0 {
		return nil, usagef("nothing is to be set; give --max-running, --rate, --weight, --break-after or what goes with them").
			WithFix("pgq-admin limit show SCOPE NAME shows a limit, limit delete takes it away")
	}
	return json.Marshal(settings)
}

func limitDelete(a *app) *cobra.Command {
	var yes, dry bool
	var by operator
	c := &cobra.Command{
		Use:     "delete SCOPE NAME",
		Aliases: []string{"rm"},
		Short:   "Take a limit away: what waited for it starts",
		Long: `Take a limit away: what waited for it starts. A pause stays (limit resume ends it). It asks first; without a terminal, --yes must be
said.`,
		Example:           "  pgq-admin limit delete kind send_sms --yes",
		Args:              args(2, "SCOPE", "NAME"),
		ValidArgsFunction: a.offerLimits(),
		RunE: func(c *cobra.Command, words []string) error {
			return a.onLimit(c, words, func(ctx context.Context, s *session, of pgq.Scope) error {
				row, _, err := s.limitRow(ctx, s.conn, of)
				if err != nil {
					return err
				}
				if row.updatedAt == nil {
					return noLimit("%s has no limit of its own", of)
				}
				name := output.Clean(of.String())
				if !yes && !dry {
					if err := a.confirm(ctx, "take the limit of "+name+" away"); err != nil {
						return err
					}
				}
				if dry {
					a.note(output.Options{}, "dry run: nothing was changed")
					return nil
				}
				if _, err := by.client(s).DeleteLimit(ctx, s.conn, of); err != nil {
					return err
				}
				a.note(output.Options{}, "took the limit of %s away", name)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&dry, "dry-run", false, "look whether it is there, and change nothing")
	by.flags(c)
	return c
}

func limitPause(a *app) *cobra.Command {
	var o output.Options
	var span string
	var by operator
	c := &cobra.Command{
		Use:   "pause SCOPE NAME --for DURATION",
		Short: "Keep jobs of a queue, a kind or a group from starting for a time",
		Long: `Keep jobs of a queue, a kind or a group from starting for a time, whether they have a limit or not; those that run go on. A longer pause
stays. It is what handlers do when a foreign service asks to be left alone (pgq.RetryAfterAll). queue pause has no end of its own.`,
		Example:           `  pgq-admin limit pause kind send_sms --for 10m --reason "the provider throttles"`,
		Args:              args(2, "SCOPE", "NAME"),
		ValidArgsFunction: a.offerLimits(),
		RunE: func(c *cobra.Command, words []string) error {
			table, err := output.NewTable(&o, limitColumns)
			if err != nil {
				return err
			}
			if span == "" {
				return misused(c, "%s needs --for DURATION", c.CommandPath())
			}
			d, err := parseDuration(span)
			if err != nil {
				return usagef("--for %s", err)
			}
			return a.onLimit(c, words, func(ctx context.Context, s *session, of pgq.Scope) error {
				if err := by.client(s).PauseLimit(ctx, s.conn, of, d, ""); err != nil {
					return err
				}
				row, _, err := s.limitRow(ctx, s.conn, of)
				if err != nil {
					return err
				}
				return table.Print(a.screen(), []limitRow{row})
			})
		},
	}
	o.Flags(c.Flags(), output.Names(limitColumns)...)
	c.Flags().StringVar(&span, "for", "", "for this `DURATION`: 90s, 10m, 2h, 1d")
	by.flags(c)
	return c
}

func limitResume(a *app) *cobra.Command {
	var by operator
	c := &cobra.Command{
		Use:   "resume SCOPE NAME",
		Short: "End a pause of a queue, a kind or a group",
		Long: `End a pause of a queue, a kind or a group (limit pause, pgq.RetryAfterAll). Queues that queue pause has paused are resumed by
queue resume.`,
		Example:           "  pgq-admin limit resume kind send_sms",
		Args:              args(2, "SCOPE", "NAME"),
		ValidArgsFunction: a.offerLimits(),
		RunE: func(c *cobra.Command, words []string) error {
			return a.onLimit(c, words, func(ctx context.Context, s *session, of pgq.Scope) error {
				found, err := by.client(s).ResumeLimit(ctx, s.conn, of)
				if err != nil {
					return err
				}
				if !found {
					return noLimit("%s is not paused", of)
				}
				a.note(output.Options{}, "resumed %s", output.Clean(of.String()))
				return nil
			})
		},
	}
	by.flags(c)
	return c
}
