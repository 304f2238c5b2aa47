package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

const limitHelp = `Show, set and operate limits: how many jobs run at a time and start per period, over all workers, and how groups share a queue.

A limit is named by SCOPE and NAME: that of a queue, of a kind in all queues, or of a group (enqueue --group). The name of groups may end
in '*': each group whose name begins so has the limit for itself, unless a longer name fits. docs/flow.md tells more.`

func limitCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "limit", Aliases: []string{"limits"}, Short: "Show, set and operate limits", Long: limitHelp}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(limitList(a), limitShow(a), limitSet(a), limitDelete(a), limitPause(a), limitResume(a))
	return c
}

// limitRow is a limit with how much of it is in use, or a pause, or a group of which jobs wait.
type limitRow struct {
	pgq.LimitState
	pattern   bool       // it stands for groups: nothing is in use of it itself
	updatedAt *time.Time // when the limit of this name was set; nil: none was
}

// positive returns nil for what is not limited.
func positive[N int | int64 | time.Duration](n N) any {
	if n <= 0 {
		return nil
	}
	return n
}

func (r limitRow) state() any {
	if r.pattern {
		return nil
	}
	return r.State
}

// of returns a value that patterns do not have.
func (r limitRow) of(n int64) any {
	if r.pattern || n < 0 {
		return nil
	}
	return n
}

func (r limitRow) waiting() any {
	if r.pattern {
		return nil
	}
	return output.Estimate{Count: r.Waiting, Exact: r.Exact}
}

func (r limitRow) pausedUntil() any {
	if r.PausedUntil.IsZero() {
		return nil
	}
	return r.PausedUntil
}

var limitColumns = []output.Column[limitRow]{
	{Name: "name", Value: func(r limitRow) any { return r.Name }},
	{Name: "scope", Value: func(r limitRow) any { return r.Of }},
	{Name: "state", Value: func(r limitRow) any { return r.state() }},
	{Name: "running", Value: func(r limitRow) any { return r.of(r.Running) }},
	{Name: "max_running", Value: func(r limitRow) any { return positive(r.MaxRunning) }},
	{Name: "tokens", Value: func(r limitRow) any { return r.Tokens }},
	{Name: "rate", Value: func(r limitRow) any { return positive(r.Rate) }},
	{Name: "period", Value: func(r limitRow) any { return positive(r.Period) }},
	{Name: "waiting", Value: func(r limitRow) any { return r.waiting() }},
	{Name: "paused_until", Value: func(r limitRow) any { return r.pausedUntil() }},
	{Name: "burst", Level: output.Wide, Value: func(r limitRow) any { return positive(r.Burst) }},
	{Name: "weight", Level: output.Wide, Value: func(r limitRow) any { return positive(r.Weight) }},
	{Name: "break_after", Level: output.Wide, Value: func(r limitRow) any { return positive(r.BreakAfter) }},
	{Name: "break_within", Level: output.Wide, Value: func(r limitRow) any { return positive(r.BreakWithin) }},
	{Name: "break_for", Level: output.Wide, Value: func(r limitRow) any { return positive(r.BreakFor) }},
	{Name: "breaker", Level: output.Wide, Value: func(r limitRow) any { return orNil(r.Breaker) }},
	{Name: "limit_name", Level: output.Wide, Value: func(r limitRow) any { return orNil(r.LimitName) }},
	{Name: "paused_by", Level: output.Wide, Value: func(r limitRow) any { return orNil(r.PausedBy) }},
	{Name: "pause_reason", Level: output.Wide, Value: func(r limitRow) any { return orNil(r.PauseReason) }},
	{Name: "failures", Level: output.Data, Value: func(r limitRow) any { return r.of(r.Failures) }},
	{Name: "probe_id", Level: output.Data, Value: func(r limitRow) any { return positive(r.ProbeID) }},
	{Name: "updated_at", Level: output.Data, Value: func(r limitRow) any { return r.updatedAt }},
	{Name: "exact", Level: output.Data, Value: func(r limitRow) any {
		if r.pattern {
			return nil
		}
		return r.Exact
	}},
}

// scopes are those of limits.
var scopes = []string{"queue", "kind", "group"}

// limitScope reads SCOPE and NAME. *output.Error: there is no such scope.
func limitScope(words []string) (pgq.Scope, error) {
	if !slices.Contains(scopes, words[0]) {
		return pgq.Scope{}, usagef("SCOPE must be queue, kind or group, not %q", words[0])
	}
	return pgq.Scope{Of: words[0], Name: words[1]}, nil
}

// isPattern reports whether a name stands for many groups.
func isPattern(of pgq.Scope) bool { return of.Of == "group" && strings.HasSuffix(of.Name, "*") }

// onLimit connects and does something with what two words name.
func (a *app) onLimit(c *cobra.Command, words []string, do func(ctx context.Context, s *session, of pgq.Scope) error) error {
	of, err := limitScope(words)
	if err != nil {
		return err
	}
	s, err := a.open(c)
	if err != nil {
		return err
	}
	defer s.close()
	return do(c.Context(), s, of)
}

// noLimit is the error that nothing is known of a queue, kind or group.
func noLimit(format string, of pgq.Scope) error {
	return (&output.Error{Code: output.ExitNotFound, Text: fmt.Sprintf(format, of.Of+" "+quoted(output.Clean(of.Name)))}).
		WithFix("pgq-admin limit list shows the limits and pauses")
}

// limitRows returns a page of limits, patterns included, pauses, and groups of which jobs wait, by scope and name.
func (s *session) limitRows(ctx context.Context, db pgq.DB, page pgq.LimitPage) ([]limitRow, error) {
	states, err := s.q.LimitStates(ctx, db, page)
	if err != nil {
		return nil, err
	}
	set, err := s.q.Limits(ctx, db)
	if err != nil {
		return nil, err
	}
	setAt := map[pgq.Scope]*time.Time{}
	var rows []limitRow
	for _, l := range set {
		setAt[l.Scope] = &l.UpdatedAt
		if isPattern(l.Scope) && !page.WithoutRoom && (page.Of == "" || page.Of == l.Of) && compareScopes(l.Scope, page.After) > 0 {
			rows = append(rows, patternRow(l))
		}
	}
	for _, state := range states {
		rows = append(rows, limitRow{LimitState: state, updatedAt: setAt[state.Scope]})
	}
	slices.SortFunc(rows, func(a, b limitRow) int { return compareScopes(a.Scope, b.Scope) })
	return rows[:min(len(rows), page.Limit)], nil
}

// groupsOf returns the groups that have the limit with a name that stands for many, by name, so many at most.
func (s *session) groupsOf(ctx context.Context, db pgq.DB, pattern string, atMost int) (rows []limitRow, err error) {
	prefix := strings.TrimRight(pattern, "*")
	page := pgq.LimitPage{Of: "group", After: pgq.OfGroup(prefix), Limit: 1000}
	first, err := s.q.LimitState(ctx, db, page.After)
	if err != nil {
		return nil, err
	}
	if first.LimitName == pattern && (first.Waiting > 0 || first.Running > 0) {
		rows = append(rows, limitRow{LimitState: first})
	}
	for {
		states, err := s.q.LimitStates(ctx, db, page)
		if err != nil {
			return nil, err
		}
		for _, state := range states {
			if !strings.HasPrefix(state.Name, prefix) || len(rows) == atMost {
				return rows, nil
			}
			if state.LimitName == pattern {
				rows = append(rows, limitRow{LimitState: state})
			}
		}
		if len(states) < page.Limit {
			return rows, nil
		}
		page.After = states[len(states)-1].Scope
	}
}

func patternRow(l pgq.SetLimits) limitRow {
	return limitRow{LimitState: pgq.LimitState{Scope: l.Scope, Limit: l.Limit, LimitName: l.Name}, pattern: true, updatedAt: &l.UpdatedAt}
}

func compareScopes(a, b pgq.Scope) int {
	return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Name, b.Name))
}

// limitCursor reads --after of limits.
func limitCursor(text string) (pgq.Scope, error) {
	of, name, ok := strings.Cut(text, "/")
	if text != "" && (!ok || !slices.Contains(scopes, of)) {
		return pgq.Scope{}, usagef("--after must be SCOPE/NAME, kind/send_sms for example, not %q", text)
	}
	return pgq.Scope{Of: of, Name: name}, nil
}

// limitRow returns what is known of one queue, kind or group, or of a pattern; found is false where nothing limits it, and none of its jobs waits.
func (s *session) limitRow(ctx context.Context, db pgq.DB, of pgq.Scope) (row limitRow, found bool, err error) {
	set, err := s.q.Limits(ctx, db)
	if err != nil {
		return row, false, err
	}
	for _, l := range set {
		if l.Scope == of && isPattern(of) {
			return patternRow(l), true, nil
		} else if l.Scope == of {
			row.updatedAt = &l.UpdatedAt
		}
	}
	if isPattern(of) {
		return limitRow{LimitState: pgq.LimitState{Scope: of}, pattern: true}, false, nil
	}
	row.LimitState, err = s.q.LimitState(ctx, db, of)
	return row, row.LimitName != "" || row.Waiting > 0 || !row.PausedUntil.IsZero(), err
}

func limitList(a *app) *cobra.Command {
	var o output.Options
	var w watching
	var scope string
	var full bool
	var p namedPage
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List limits with what is in use of them, pauses, and groups of which jobs wait",
		Long: `List limits with what is in use of them, pauses, and groups of which jobs wait for their turn. Jobs start while fewer than
max_running run and there is a token: tokens come back at rate per period. waiting is counted up to 10,000, or fewer in large pages.

State: free; full, no other job may start now; paused; broken, its circuit breaker is not closed. Names that end in '*' stand for many groups, which are listed by themselves.`,
		Example: "  pgq-admin limit list --full --watch\n  pgq-admin limit list --scope group --sort -waiting",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, limitColumns)
			if err != nil {
				return err
			}
			if err := p.check(); err != nil {
				return err
			}
			from, err := limitCursor(p.after)
			if err != nil {
				return err
			}
			if scope != "" && !slices.Contains(scopes, scope) {
				return usagef("--scope must be queue, kind or group, not %q", scope)
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
				rows, err := s.limitRows(c.Context(), s.conn, pgq.LimitPage{Of: scope, After: from, Limit: p.ahead(), WithoutRoom: full})
				if err != nil {
					return err
				}
				return showPage(screen, table, p.page, rows, always[limitRow], func(r limitRow) string { return r.Of + "/" + r.Name },
					w.noter(a, screen, o), "limits")
			})
		},
	}
	o.Flags(c.Flags(), output.Names(limitColumns)...)
	w.flags(c.Flags(), watchEvery)
	c.Flags().StringVar(&scope, "scope", "", "only of this `SCOPE`: queue, kind or group")
	c.Flags().BoolVar(&full, "full", false, "only those of which no job may start now")
	p.flags(c.Flags(), 1000, "limits after this `SCOPE/NAME`")
	return c
}

// shownGroups is how many groups that have the limit of a name with '*' are shown with it.
const shownGroups = 1000

func limitShow(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:     "show SCOPE NAME",
		Aliases: []string{"describe", "get"},
		Short:   "Show what limits a queue, a kind or a group, and how much of it is in use",
		Long: `Show what limits a queue, a kind or a group, and how much of it is in use; limit_name is the name with which the limit was set. Of a
name that ends in '*' the groups that have the limit now are shown, too, 1,000 at most.`,
		Example:           "  pgq-admin limit show kind send_sms\n  pgq-admin limit show group 'customer/*'",
		Args:              args(2, "SCOPE", "NAME"),
		ValidArgsFunction: a.offerLimits(),
		RunE: func(c *cobra.Command, words []string) error {
			table, err := output.NewTable(&o, limitColumns)
			if err != nil {
				return err
			}
			return a.onLimit(c, words, func(ctx context.Context, s *session, of pgq.Scope) error {
				row, found, err := s.limitRow(ctx, s.conn, of)
				if err != nil {
					return err
				}
				if !found {
					return noLimit("nothing limits %s, and none of its jobs waits for its turn", of)
				}
				rows := []limitRow{row}
				if row.pattern {
					groups, err := s.groupsOf(ctx, s.conn, of.Name, shownGroups)
					if err != nil {
						return err
					}
					rows = append(rows, groups...)
					if len(groups) == shownGroups {
						a.note(o, "there may be more groups: pgq-admin limit list --scope group --after %s", quoted("group/"+groups[shownGroups-1].Name))
					}
				}
				return table.Print(a.screen(), table.Sorted(rows))
			})
		},
	}
	o.Flags(c.Flags(), output.Names(limitColumns)...)
	return c
}

// offerLimits makes shells complete SCOPE, and the NAME of a queue, kind or group.
func (a *app) offerLimits() cobra.CompletionFunc {
	find := map[string]cobra.CompletionFunc{"queue": a.offer(queueNames), "kind": a.offer(kindNames), "group": a.offer(groupNames)}
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return scopes, cobra.ShellCompDirectiveNoFileComp
		case len(args) == 1 && find[args[0]] != nil:
			return find[args[0]](c, args, word)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// groupNames returns the groups that have a limit, a pause or waiting jobs, and the patterns that were set.
func groupNames(ctx context.Context, s *session) ([]string, error) {
	rows, err := s.limitRows(ctx, s.conn, pgq.LimitPage{Of: "group", Limit: completionSize})
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
	}
	return names, err
}
