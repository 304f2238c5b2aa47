package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker/config"
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

func eventTypeNames() []string {
	var names []string
	for _, t := range pgq.EventTypes() {
		names = append(names, string(t))
	}
	return names
}

// fingerprints returns those of the failures, each with the error.
func fingerprints(ctx context.Context, s *session) ([]string, error) {
	groups, err := s.q.Failures(ctx, s.conn, pgq.FailureFilter{Limit: completionSize, LookAt: 1000})
	var words []string
	for _, g := range groups {
		words = append(words, cobra.CompletionWithDesc(g.Fingerprint, output.Cut(output.Clean(g.Error), 60)))
	}
	return words, err
}

// newestTags returns the tags of the newest jobs.
func newestTags(ctx context.Context, s *session) ([]string, error) {
	jobs, _, err := s.q.List(ctx, s.conn, pgq.Filter{Limit: 10 * completionSize})
	var tags []string
	for _, j := range jobs {
		tags = append(tags, j.Tags...)
	}
	slices.Sort(tags)
	return slices.Compact(tags), err
}

// newestDAGs returns the ids of the newest DAGs, batches among them, each with what it is.
func newestDAGs(ctx context.Context, s *session) ([]string, error) {
	runs, _, err := s.dags.List(ctx, s.conn, dagsql.Filter{Limit: completionSize})
	var words []string
	for _, r := range runs {
		words = append(words, cobra.CompletionWithDesc(strconv.FormatInt(r.ID, 10), r.Name+" "+string(r.State)))
	}
	return words, err
}

func dagNames(ctx context.Context, s *session) ([]string, error) {
	runs, _, err := s.dags.List(ctx, s.conn, dagsql.Filter{Limit: 10 * completionSize})
	var names []string
	for _, r := range runs {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

func zoneNames(ctx context.Context, s *session) ([]string, error) {
	rows, err := s.conn.Query(ctx, "select name from pg_timezone_names where name !~ '^(posix|right)/' order by 1")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// jobStates, runStates and sequenceStates are those of jobs, of DAGs and batches, and of sequences.
var (
	jobStates      = []string{"waiting", "scheduled", "ready", "running", "completed", "failed", "cancelled", "skipped", "expired"}
	runStates      = []string{"running", "held", "completed", "failed", "cancelled", "expired", "skipped"}
	sequenceStates = []string{"active", "stopped", "skipping", "handing over"}
)

// choices are what flags may be, by their name, or by command and name where several have others of it.
var choices = map[string][]string{
	"state": jobStates, "dag list --state": runStates, "batch list --state": runStates, "sequence list --state": sequenceStates,
	"type": eventTypeNames(), "severity": {string(pgq.Critical), string(pgq.Warning), string(pgq.Info)}, "scope": scopes, "by": {"kind", "queue"},
	"log-level": {"debug", "info", "warn", "error"}, "ids": {"keep", "new"}, "to": {"now", "beginning"}, "consumer set --start-at": {"now", "beginning"},
	"mode": {"failed", "downstream", "from", "all"}, "format": {"jsonl", "csv", "parquet"}, "dag export --format": {"mermaid", "dot", "json"},
	"theme":     {"default", "blue_professional", "dark", "pastel", "high_contrast", "grayscale"},
	"direction": {"TD", "TB", "BT", "LR", "RL"}, "on-failure": {"stop", "skip", "continue"}, "missed": {"skip", "once", "all"},
	"overlap": {"allow", "skip", "queue", "cancel"}, "priority": priorities,
}

var priorities = strings.Split("0 1 2 3 4 5 6 7 8 9", " ")

// Flags that nothing is offered for: texts, and numbers, times and durations that are read as texts. And those that are files.
var (
	freeFlags = strings.Fields(`actor after arg args at break-after break-for break-within burst callback delay ends-at error fail for max-running metadata
		older-than options param period rate reason result-ttl schema sequence since skip spec start-at starts-at tenant timeout ttl unique-key until url
		weight nodes name`)
	fileFlags = strings.Fields("config file report from")
)

// found are what the database has to offer for flags and arguments, by what these are called.
func (a *app) found() map[string]cobra.CompletionFunc {
	return map[string]cobra.CompletionFunc{
		"queue": a.offer(queueNames), "kind": a.offer(kindNames), "group": a.offer(groupNames), "worker": a.offer(workerIDs), "job": a.offer(newestJobs),
		"dag": a.offer(newestDAGs), "fingerprint": a.offer(fingerprints), "tag": a.offer(newestTags), "zone": a.offer(zoneNames),
		"id": a.offer(newestJobs), "batch": a.offer(newestDAGs), "dag list --name": a.offer(dagNames), "batch list --name": a.offer(dagNames),
		"version": fixed(migrationVersions()), "priority": fixed(priorities), "name=value": queueSettings, "set": settings,
	}
}

func migrationVersions() []string {
	var all []string
	for version := range migrations.Latest() + 1 {
		all = append(all, strconv.FormatInt(version, 10))
	}
	return all
}

// fixed offers words.
func fixed(words []string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// settings offers the names of all settings.
func settings(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names, _ := config.Names()
	return assigned(names)
}

// queueSettings offers the names of those of queues.
func queueSettings(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return assigned(slices.Sorted(maps.Keys(queueSettingNames)))
}

// assigned offers names with what follows them.
func assigned(names []string) ([]string, cobra.ShellCompDirective) {
	words := make([]string, len(names))
	for i, name := range names {
		words[i] = name + "="
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// inList offers words for the last part of a list.
func inList(find cobra.CompletionFunc) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		words, directive := find(c, args, word)
		return output.Parts(word, words), directive
	}
}

// complete makes shells complete the flags and arguments of a command and of all below it.
func (a *app) complete(c *cobra.Command) {
	for _, sub := range c.Commands() {
		a.complete(sub)
	}
	c.NonInheritedFlags().VisitAll(func(flag *pflag.Flag) {
		if find := a.completion(c, flag); find != nil {
			_ = c.RegisterFlagCompletionFunc(flag.Name, find) // it fails only if it was done before
		}
	})
	if c.ValidArgsFunction == nil && c.ValidArgs == nil {
		c.ValidArgsFunction = a.completeArgs(c)
	}
}

// completion returns what completes a flag; nil if nobody has said what it is.
func (a *app) completion(c *cobra.Command, flag *pflag.Flag) cobra.CompletionFunc {
	_, path, _ := strings.Cut(c.CommandPath(), " ")
	path += " --" + flag.Name
	if own, ok := flag.Value.(interface{ Choices(string) []string }); ok {
		if words := own.Choices(""); len(words) > 0 {
			return func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
				return own.Choices(word), cobra.ShellCompDirectiveNoFileComp
			}
		}
	}
	isList := strings.HasSuffix(flag.Value.Type(), "Slice") // and not an Array
	for _, name := range []string{path, flag.Name} {
		find := a.found()[name]
		if words, ok := choices[name]; ok {
			find = fixed(words)
		}
		switch {
		case find != nil && isList:
			return inList(find)
		case find != nil:
			return find
		}
	}
	switch {
	case slices.Contains(fileFlags, flag.Name) && flag.Value.Type() == "string":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	case slices.Contains(freeFlags, flag.Name), slices.Contains([]string{"int", "int64", "float64", "duration", "bool"}, flag.Value.Type()):
		return fixed(nil)
	}
	return nil
}

// completeArgs completes arguments by what the usage calls them: QUEUE, [ID…], FILE.
func (a *app) completeArgs(c *cobra.Command) cobra.CompletionFunc {
	var names []string
	for _, word := range strings.Fields(c.Use)[1:] {
		names = append(names, strings.ToLower(strings.Trim(word, "[]")))
	}
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(names) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		last := names[len(names)-1]
		name := last
		switch {
		case len(args) < len(names):
			name = names[len(args)]
		case !strings.HasSuffix(last, "…"):
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		name = strings.TrimSuffix(name, "…")
		switch find := a.found()[name]; {
		case find != nil:
			return find(c, args, word)
		case name == "file" || name == "file|-" || name == "dir":
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}
