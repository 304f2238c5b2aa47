package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

const (
	completionTime = 2 * time.Second
	completionSize = 50
)

// offer makes shells complete a word by what the database has. Whatever goes wrong they offer nothing, soon and in silence.
func (a *app) offer(find func(ctx context.Context, s *session) ([]string, error)) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		c.SetContext(ctx)
		s, err := a.open(c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer s.close()
		words, err := find(ctx, s)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for i, word := range words {
			name, about, described := strings.Cut(word, "\t")
			words[i] = output.Clean(name)
			if described {
				words[i] += "\t" + output.Clean(about)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// offerFirst is offer for commands with one argument.
func (a *app) offerFirst(find func(ctx context.Context, s *session) ([]string, error)) cobra.CompletionFunc {
	offer := a.offer(find)
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offer(c, args, word)
	}
}

func queueNames(ctx context.Context, s *session) ([]string, error) {
	queues, err := s.q.QueueStates(ctx, s.conn)
	names := make([]string, len(queues))
	for i, q := range queues {
		names[i] = q.Queue
	}
	return names, err
}

func kindNames(ctx context.Context, s *session) ([]string, error) { return s.q.Kinds(ctx, s.conn) }

// newestJobs returns the ids of the newest jobs, each with what it is.
func newestJobs(ctx context.Context, s *session) ([]string, error) {
	jobs, _, err := s.q.List(ctx, s.conn, pgq.Filter{Limit: completionSize})
	words := make([]string, len(jobs))
	for i, j := range jobs {
		words[i] = cobra.CompletionWithDesc(strconv.FormatInt(j.ID, 10), j.Kind+" "+string(j.State))
	}
	return words, err
}

func workerIDs(ctx context.Context, s *session) ([]string, error) {
	workers, err := s.q.WorkerStates(ctx, s.conn)
	words := make([]string, len(workers))
	for i, w := range workers {
		words[i] = cobra.CompletionWithDesc(strconv.FormatInt(w.ID, 10), w.Name+" "+w.State)
	}
	return words, err
}

// completeNames makes shells complete the flags --queue, --kind, --group, --state and --worker of a command, where it has them.
func (a *app) completeNames(c *cobra.Command) {
	for flag, find := range map[string]cobra.CompletionFunc{
		"queue": a.offer(queueNames), "kind": a.offer(kindNames), "group": a.offer(groupNames), "worker": a.offer(workerIDs),
		"state": cobra.FixedCompletions([]string{"waiting", "scheduled", "ready", "running", "completed", "failed", "cancelled", "skipped", "expired"},
			cobra.ShellCompDirectiveNoFileComp),
	} {
		if c.Flags().Lookup(flag) != nil {
			_ = c.RegisterFlagCompletionFunc(flag, find) // it fails only if it was done before
		}
	}
}
