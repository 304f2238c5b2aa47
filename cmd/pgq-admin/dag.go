package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker/config"
)

const dagHelp = `Show, submit and operate DAGs: jobs that wait for each other.

A DAG is named by its id, or by its name and key: 12, etl/monday. Nodes are named as in the DAG: extract, etl/load,
thumbs[7]; where several nodes may be given, * stands for any characters: --nodes 'trial-*',extract.

-o table and wide are for people. -o json, jsonl, yaml and csv are for programs: times are RFC 3339 in UTC, durations seconds.
-o name prints only the ids of DAGs, or the names of nodes: pgq-admin dag watch $(pgq-admin dag submit etl.json -o name)`

func dagCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "dag", Aliases: []string{"dags"}, Short: "Show, submit and operate DAGs", Long: dagHelp}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(dagList(a), dagShow(a), dagWatch(a), dagExplain(a), dagExport(a), dagSubmit(a),
		dagCancel(a), dagRetry(a), dagFork(a), dagHold(a), dagResume(a), dagAnswer(a))
	return c
}

// onDAG connects and does something with the DAG that the first argument names.
func (a *app) onDAG(c *cobra.Command, name string, do func(ctx context.Context, s *session, id int64) error) error {
	ctx := c.Context()
	s, err := a.open(c)
	if err != nil {
		return err
	}
	defer s.close()
	id, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	err = do(ctx, s, id)
	if !errors.Is(err, pgq.ErrNotFound) {
		return err
	}
	lost := &output.Error{Code: output.ExitNotFound, Text: strings.TrimPrefix(err.Error(), pgq.ErrNotFound.Error()+": "), Err: err}
	if _, err := s.dags.Get(ctx, s.conn, id); errors.Is(err, pgq.ErrNotFound) {
		lost.Text = fmt.Sprintf("there is no DAG %d", id)
		return lost.WithFix("pgq-admin dag list shows the DAGs")
	}
	return lost.WithFix("pgq-admin dag show %d --items -o name lists the nodes", id)
}

// find returns the id of the DAG that the user means. The name and the key may both hold slashes.
func (s *session) find(ctx context.Context, name string) (int64, error) {
	if id, err := strconv.ParseInt(name, 10, 64); err == nil && id > 0 {
		return id, nil
	}
	if !strings.Contains(name, "/") {
		return 0, usagef("a DAG is named by its id or by NAME/KEY, not %q", name).
			WithFix("pgq-admin dag list --name %s shows those of that name", quoted(name))
	}
	for i := range name {
		if name[i] != '/' {
			continue
		}
		run, err := s.dags.Find(ctx, s.conn, name[:i], name[i+1:])
		if err == nil || !errors.Is(err, pgq.ErrNotFound) {
			return run.ID, err
		}
	}
	return 0, (&output.Error{Code: output.ExitNotFound, Text: fmt.Sprintf("there is no DAG %q", name)}).
		WithFix("pgq-admin dag list shows the DAGs")
}

// quoted returns a word for the shell.
func quoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// args returns what checks the number of arguments, which are called like this.
func args(least int, names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		switch {
		case len(given) < least:
			return misused(c, "%s needs %s", c.CommandPath(), names[len(given)])
		case len(given) > len(names):
			return misused(c, "%s takes %s, not also %q", c.CommandPath(), strings.Join(names, " "), given[len(names)])
		}
		return nil
	}
}

// states checks words that shall be states of DAGs or nodes.
func states(words []string, held bool) ([]pgq.State, error) {
	known := []string{"waiting", "scheduled", "ready", "running", "completed", "failed", "cancelled", "expired", "skipped"}
	if held {
		known = append([]string{"running", "held"}, known[4:]...)
	}
	var all []pgq.State
	for _, word := range words {
		found := false
		for _, k := range known {
			found = found || k == word
		}
		if !found {
			hint := "choose from " + strings.Join(known, ", ")
			if nearest := config.Nearest(word, known); nearest != "" {
				hint = "did you mean " + nearest + "?"
			}
			return nil, usagef("--state: there is no state %q; %s", word, hint)
		}
		all = append(all, pgq.State(word))
	}
	return all, nil
}

// try does something in a transaction, and takes it back if it is only to be tried.
func try(ctx context.Context, conn *pgx.Conn, dry bool, do func(tx pgx.Tx) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after a commit it does nothing
	if err := do(tx); err != nil || dry {
		return err
	}
	return tx.Commit(ctx)
}

// note tells people something besides the output.
func (a *app) note(o output.Options, format string, args ...any) {
	if o.Format.ForPeople() {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}
