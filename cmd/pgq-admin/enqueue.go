package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
)

const enqueueHelp = `Enqueue a job, or many.

Args are given as -P name=TEXT or -P name:=JSON, members of an object, or as --args JSON (--args - reads the standard input);
-P sets members of the object that --args gives. Numbers are kept as they are written, however large.

--from FILE enqueues a job per line, JSON objects: {"kind": "send_mail", "args": {"to": 1}, "queue": "mail", …} with the fields
of enqueue in SQL (kind, args, queue, priority, delay, run_at, max_attempts, timeout, backoff, tags, metadata, ttl, result_ttl,
unique, group, sequence, on_failure, callbacks); --from - reads the standard input. KIND and flags say what lines leave out. The file is streamed in
transactions of --batch lines; errors name the line, and say with which --skip to go on. With --all-or-nothing it is one transaction.

-o name prints only the ids. Exit codes: 2 a field breaks a rule, 5 some lines of a file were enqueued, 6 the queue is full.`

// enqueueing is what the flags of enqueue say.
type enqueueing struct {
	options                   output.Options
	params, metadata, tags    []string
	callbacks                 []string
	args, from, at            string
	delay, timeout, ttl, keep string
	queue, group, uniqueKey   string
	sequence, onFailure       string
	priority, maxAttempts     int
	batch                     int
	skip                      int64
	whole                     bool
}

// enqueuedRow is a job that was enqueued.
type enqueuedRow struct {
	id      int64
	outcome string
	line    *int64
}

var enqueuedColumns = []output.Column[enqueuedRow]{
	{Name: "id", Value: func(r enqueuedRow) any { return r.id }},
	{Name: "outcome", Value: func(r enqueuedRow) any { return r.outcome }},
	{Name: "line", Level: output.Data, Value: func(r enqueuedRow) any { return r.line }},
}

func enqueueCommand(a *app) *cobra.Command {
	var e enqueueing
	c := &cobra.Command{
		Use:   "enqueue [KIND]",
		Short: "Enqueue jobs",
		Long:  enqueueHelp,
		Example: `  pgq-admin enqueue send_mail -P to=ann@example.com -P order:=42 --queue mail --delay 5m
  pgq-admin enqueue report --args '{"month": "2026-11"}' --at 2026-12-01T06:00:00Z -o name
  zcat jobs.jsonl.gz | pgq-admin enqueue --from - --queue import
  pgq-admin enqueue charge -P order:=42 --callback on_success=ship --callback 'on_failure={"kind": "alarm", "priority": 0}'
  pgq-admin job wait $(pgq-admin enqueue tidy -o name)`,
		Args: func(c *cobra.Command, given []string) error {
			if len(given) == 0 && e.from == "" {
				return misused(c, "%s needs KIND, or --from", c.CommandPath())
			}
			return args(0, "KIND")(c, given)
		},
		RunE: func(c *cobra.Command, words []string) error {
			table, err := output.NewTable(&e.options, enqueuedColumns)
			if err != nil {
				return err
			}
			if err := e.check(c); err != nil {
				return err
			}
			job, err := e.job(a.in, c, words)
			if err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			if e.from != "" {
				return a.enqueueLines(c.Context(), s, &e, table, job)
			}
			return a.enqueueOne(c.Context(), s, table, job)
		},
	}
	e.flags(c)
	a.schemaFlag(c.Flags())
	return c
}

func (e *enqueueing) flags(c *cobra.Command) {
	flags := c.Flags()
	e.options.Flags(flags, output.Names(enqueuedColumns)...)
	flags.StringArrayVarP(&e.params, "param", "P", nil, "a member of the args, `NAME=TEXT` or NAME:=JSON; may be repeated")
	flags.StringVar(&e.args, "args", "", "the args: `JSON`, or - for the standard input")
	flags.StringVar(&e.from, "from", "", "a `FILE` with a job per line, or - for the standard input")
	flags.StringVar(&e.queue, "queue", "", "the `QUEUE`; default by default")
	flags.StringVar(&e.group, "group", "", "the `GROUP` whose limits and turns it shares, customer/7 for example: see pgq-admin limit --help")
	flags.StringVar(&e.uniqueKey, "unique-key", "", "not if an unfinished job has this `KEY`: its id is printed then, with outcome existing")
	flags.IntVar(&e.priority, "priority", 5, "0 (the soonest) to 9")
	flags.StringVar(&e.delay, "delay", "", "run it after this `DURATION`: 90s, 5m, 2h, 7d")
	flags.StringVar(&e.at, "at", "", "run it at this `TIME`: 2026-12-01T06:00:00Z")
	flags.StringArrayVar(&e.tags, "tag", nil, "a `TAG`; may be repeated")
	flags.StringArrayVar(&e.metadata, "metadata", nil, "metadata, `KEY=TEXT` or KEY:=JSON; may be repeated")
	flags.IntVar(&e.maxAttempts, "max-attempts", 0, "try it so `OFTEN` at the most; as the queue says by default")
	flags.StringVar(&e.timeout, "timeout", "", "an attempt may take this `DURATION`")
	flags.StringVar(&e.ttl, "ttl", "", "it expires unless it was started within this `DURATION`")
	flags.StringVar(&e.keep, "result-ttl", "", "it is kept for this `DURATION` when it has ended; as the queue says by default")
	flags.StringVar(&e.sequence, "sequence", "", "it runs after those that were enqueued with the same `KEY` before")
	flags.StringVar(&e.onFailure, "on-failure", "", "what becomes of those behind it in its sequence if it fails: stop (the default), skip or continue")
	flags.StringArrayVar(&e.callbacks, "callback", nil, "enqueue another job when this one succeeds, fails or is retried: on_success, on_failure or on_retry, =KIND or =`JSON`; may be repeated")
	flags.IntVar(&e.batch, "batch", 1000, "with --from: so `MANY` lines in a transaction, 1 to 10000")
	flags.Int64Var(&e.skip, "skip", 0, "with --from: leave out the first `LINES`")
	flags.BoolVar(&e.whole, "all-or-nothing", false, "with --from: all lines in one transaction")
}

// check refuses flags that make no sense together.
func (e *enqueueing) check(c *cobra.Command) error {
	switch {
	case e.batch < 1 || e.batch > 10_000:
		return usagef("--batch must be 1 to 10000, not %d", e.batch)
	case e.skip < 0:
		return usagef("--skip must be at least 0, not %d", e.skip)
	case e.from == "-" && e.args == "-":
		return usagef("--from - and --args - cannot both read the standard input")
	case e.from != "" && c.Flags().Changed("unique-key"):
		return usagef("--unique-key is for one job; with --from each line has its own: {\"unique\": {\"key\": …}}")
	case e.at != "" && e.delay != "":
		return usagef("give either --at or --delay")
	}
	for _, name := range []string{"batch", "skip", "all-or-nothing"} {
		if c.Flags().Changed(name) && e.from == "" {
			return usagef("--%s needs --from", name)
		}
	}
	return nil
}

// job returns the fields that argument and flags give.
func (e *enqueueing) job(in io.Reader, c *cobra.Command, words []string) (map[string]json.RawMessage, error) {
	job := map[string]json.RawMessage{}
	put := func(name string, value any) {
		data, err := json.Marshal(value)
		if err == nil { // strings and numbers
			job[name] = data
		}
	}
	if len(words) > 0 {
		put("kind", words[0])
	}
	for name, text := range map[string]string{"delay": e.delay, "timeout": e.timeout, "ttl": e.ttl, "result-ttl": e.keep} {
		if text == "" {
			continue
		}
		d, err := parseDuration(text)
		if err != nil {
			return nil, usagef("--%s %s", name, err)
		}
		if name == "result-ttl" {
			name = "result_ttl"
		}
		put(name, fmt.Sprintf("%.6f seconds", d.Seconds()))
	}
	at, err := timeFlag("--at", e.at, time.Now(), 1)
	if err != nil {
		return nil, err
	}
	if !at.IsZero() {
		put("run_at", at)
	}
	changed := c.Flags().Changed
	for name, value := range map[string]any{"queue": e.queue, "priority": e.priority, "max-attempts": e.maxAttempts,
		"group": e.group, "sequence": e.sequence, "on-failure": e.onFailure} {
		if changed(name) {
			put(strings.ReplaceAll(name, "-", "_"), value)
		}
	}
	if changed("unique-key") {
		put("unique", map[string]string{"key": e.uniqueKey})
	}
	if e.callbacks != nil {
		callbacks, err := callbacksOf(e.callbacks)
		if err != nil {
			return nil, err
		}
		put("callbacks", callbacks)
	}
	if e.tags != nil {
		put("tags", e.tags)
	}
	if e.metadata != nil {
		members, err := assignments("--metadata", e.metadata)
		if err != nil {
			return nil, err
		}
		put("metadata", members)
	}
	value, err := e.argsValue(in)
	if value != nil {
		job["args"] = value
	}
	return job, err
}

// callbacksOf reads EVENT=KIND and EVENT=JSON. Which events there are, and what a callback may have, the database says.
func callbacksOf(words []string) (map[string]json.RawMessage, error) {
	callbacks := map[string]json.RawMessage{}
	for _, word := range words {
		event, text, ok := strings.Cut(word, "=")
		if _, twice := callbacks[event]; twice {
			return nil, usagef("--callback %s is given twice", event)
		}
		job := json.RawMessage(text)
		switch {
		case !ok || event == "" || text == "":
			return nil, usagef("--callback must be EVENT=KIND or EVENT=JSON, not %q", word)
		case !strings.HasPrefix(text, "{"):
			job, _ = json.Marshal(map[string]string{"kind": text}) // a string
		case !json.Valid(job):
			return nil, usagef("--callback %s is no JSON", event)
		}
		callbacks[event] = job
	}
	return callbacks, nil
}

// argsValue returns the args; nil when none are given.
func (e *enqueueing) argsValue(in io.Reader) (json.RawMessage, error) {
	var value json.RawMessage
	switch {
	case e.args == "-":
		text, err := readAll(in)
		if err != nil {
			return nil, err
		}
		value = text
	case e.args != "":
		value = json.RawMessage(e.args)
	}
	if value != nil {
		var any json.RawMessage
		if err := json.Unmarshal(value, &any); err != nil {
			return nil, usagef("--args is no JSON: %s", err)
		}
		if !utf8.Valid(value) {
			return nil, usagef("--args must be valid UTF-8")
		}
	}
	if e.params == nil {
		return value, nil
	}
	members, err := assignments("-P", e.params)
	if err != nil {
		return nil, err
	}
	if value != nil {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(value, &object); err != nil || object == nil {
			return nil, usagef("-P sets members of the args, which must be a JSON object then")
		}
		for name, member := range members {
			object[name] = member
		}
		members = object
	}
	return json.Marshal(members)
}

// enqueueOne enqueues a job.
func (a *app) enqueueOne(ctx context.Context, s *session, table *output.Table[enqueuedRow], job map[string]json.RawMessage) error {
	data, err := json.Marshal(job)
	if err != nil {
		return err
	}
	added, err := s.q.EnqueueJSON(ctx, s.conn, []json.RawMessage{data})
	if err != nil {
		return ofLine(err, nil)
	}
	rows := make([]enqueuedRow, len(added))
	for i, job := range added {
		rows[i] = enqueuedRow{id: job.JobID, outcome: job.Outcome}
	}
	return table.Print(a.screen(), rows)
}
