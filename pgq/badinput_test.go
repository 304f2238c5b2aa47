package pgq_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// badInput is one rule and how to break it: in Go, by calling enqueue in SQL, and in the JSON of enqueue_many.
// What cannot be said in one of them is left out there. All must be refused with the same field and rule.
type badInput struct {
	name        string
	field, rule string
	args        pgq.Args
	options     pgq.Options
	sql         string // arguments of enqueue after the kind, or, beginning with "kind =>", with it
	json        string // an element of the array
	state       string // the SQLSTATE where PostgreSQL refuses the value before PGQ sees it; PQ001 else
}

const (
	nameRule    = "must have 1 to 128 characters"
	controlRule = "must not have control characters"
)

var badInputs = []badInput{
	{name: "empty kind", field: "kind", rule: nameRule, args: raw{"", "{}"}, sql: "kind => ''", json: `{"kind": ""}`},
	{name: "no kind", field: "kind", rule: nameRule, sql: "kind => null", json: `{"args": {}}`},
	{name: "over-long kind", field: "kind", rule: nameRule, args: raw{strings.Repeat("ä", 129), "{}"},
		sql: "kind => repeat('ä', 129)", json: `{"kind": "` + strings.Repeat("ä", 129) + `"}`},
	{name: "newline in the kind", field: "kind", rule: controlRule, args: raw{"a\nb", "{}"}, sql: `kind => e'a\nb'`, json: `{"kind": "a\nb"}`},
	{name: "DEL in the kind", field: "kind", rule: controlRule, args: raw{"a\x7fb", "{}"}, sql: `kind => e'a\x7fb'`, json: `{"kind": "a\u007fb"}`},
	{name: "C1 control in the kind", field: "kind", rule: controlRule, args: raw{"a\u0085b", "{}"}, sql: `kind => e'a\u0085b'`, json: `{"kind": "a\u0085b"}`},
	{name: "NUL in the kind", field: "kind", rule: controlRule, args: raw{"a\x00b", "{}"}, json: `{"kind": "a\u0000b"}`, state: "22P05"},
	{name: "invalid UTF-8 in the kind", field: "kind", rule: "must be valid UTF-8", args: raw{"a\xffb", "{}"}},
	{name: "over-long queue", field: "queue", rule: nameRule, options: pgq.Options{Queue: strings.Repeat("q", 129)},
		sql: "queue => repeat('q', 129)", json: `{"kind": "k", "queue": "` + strings.Repeat("q", 129) + `"}`},
	{name: "empty queue", field: "queue", rule: nameRule, sql: "queue => ''", json: `{"kind": "k", "queue": ""}`},
	{name: "no queue", field: "queue", rule: nameRule, sql: "queue => null"},
	{name: "tab in the queue", field: "queue", rule: controlRule, options: pgq.Options{Queue: "a\tb"}, sql: `queue => e'a\tb'`, json: `{"kind": "k", "queue": "a\tb"}`},
	{name: "the queue of defaults", field: "queue", rule: `must not be "*", which stands for the defaults of all queues`,
		options: pgq.Options{Queue: "*"}, sql: "queue => '*'", json: `{"kind": "k", "queue": "*"}`},
	{name: "priority below", field: "priority", rule: "must be 0 to 9", options: pgq.Options{Priority: pgq.Prio(-1)}, sql: "priority => -1", json: `{"kind": "k", "priority": -1}`},
	{name: "priority far below", field: "priority", rule: "must be 0 to 9", options: pgq.Options{Priority: pgq.Prio(-9)}, sql: "priority => -9", json: `{"kind": "k", "priority": -9}`},
	{name: "priority above", field: "priority", rule: "must be 0 to 9", options: pgq.Options{Priority: pgq.Prio(10)}, sql: "priority => 10", json: `{"kind": "k", "priority": 10}`},
	{name: "priority far above", field: "priority", rule: "must be 0 to 9", options: pgq.Options{Priority: pgq.Prio(65536 + 3)}, sql: "priority => 65539", json: `{"kind": "k", "priority": 65539}`},
	{name: "no priority", field: "priority", rule: "must be 0 to 9", sql: "priority => null"},
	{name: "negative delay", field: "delay", rule: "must not be negative", options: pgq.Options{Delay: -time.Second}, sql: "delay => '-1 s'", json: `{"kind": "k", "delay": "-1 s"}`},
	{name: "endless delay", field: "delay", rule: "must be at most 100 years", options: pgq.Options{Delay: 200 * 365 * 24 * time.Hour},
		sql: "delay => '200 years'", json: `{"kind": "k", "delay": "200 years"}`},
	{name: "delay and time", field: "delay", rule: "must not be given together with run_at", options: pgq.Options{Delay: 1, RunAt: time.Now()},
		sql: "delay => '1 s', run_at => now()", json: `{"kind": "k", "delay": "1 s", "run_at": "2030-01-01"}`},
	{name: "infinite time", field: "run_at", rule: "must be in the years 1 to 9999", sql: "run_at => 'infinity'", json: `{"kind": "k", "run_at": "infinity"}`},
	{name: "time before all time", field: "run_at", rule: "must be in the years 1 to 9999", sql: "run_at => '-infinity'", json: `{"kind": "k", "run_at": "-infinity"}`},
	{name: "time beyond the year 9999", field: "run_at", rule: "must be in the years 1 to 9999", options: pgq.Options{RunAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		sql: "run_at => '10000-01-01 00:00+00'", json: `{"kind": "k", "run_at": "10000-01-01 00:00+00"}`},
	{name: "priority that is no number", field: "priority", rule: "cannot be read as integer", json: `{"kind": "k", "priority": "soon"}`},
	{name: "delay that is none", field: "delay", rule: "cannot be read as interval", json: `{"kind": "k", "delay": "later"}`},
	{name: "time that is none", field: "run_at", rule: "cannot be read as timestamptz", json: `{"kind": "k", "run_at": "noon-ish"}`},
	{name: "payload that is not base64", field: "payload", rule: "cannot be read as base64", json: `{"kind": "k", "codec": "c", "payload": "%"}`},
	{name: "tags that are no array", field: "tags", rule: "must be a JSON array", json: `{"kind": "k", "tags": "a"}`},
	{name: "zero attempts", field: "max_attempts", rule: "must be at least 1", sql: "max_attempts => 0", json: `{"kind": "k", "max_attempts": 0}`},
	{name: "negative attempts", field: "max_attempts", rule: "must be at least 1", options: pgq.Options{MaxAttempts: -1}, sql: "max_attempts => -1", json: `{"kind": "k", "max_attempts": -1}`},
	{name: "attempts beyond int32", field: "max_attempts", rule: "must be at most 2147483647", options: pgq.Options{MaxAttempts: math.MaxInt32 + 2}},
	{name: "no timeout at all", field: "timeout", rule: "must be positive", sql: "timeout => '0'", json: `{"kind": "k", "timeout": "0"}`},
	{name: "timeout below the clock's step", field: "timeout", rule: "must be positive", options: pgq.Options{Timeout: time.Nanosecond}},
	{name: "negative timeout", field: "timeout", rule: "must be positive", options: pgq.Options{Timeout: -1}, sql: "timeout => '-1 s'", json: `{"kind": "k", "timeout": "-1 s"}`},
	{name: "endless timeout", field: "timeout", rule: "must be at most 100 years", options: pgq.Options{Timeout: 200 * 365 * 24 * time.Hour}, sql: "timeout => '1000 years'", json: `{"kind": "k", "timeout": "1000 years"}`},
	{name: "no time to live at all", field: "ttl", rule: "must be positive", sql: "ttl => '0'", json: `{"kind": "k", "ttl": "0"}`},
	{name: "time to live below the clock's step", field: "ttl", rule: "must be positive", options: pgq.Options{TTL: time.Nanosecond}},
	{name: "negative time to live", field: "ttl", rule: "must be positive", options: pgq.Options{TTL: -time.Second}, sql: "ttl => '-1 s'", json: `{"kind": "k", "ttl": "-1 s"}`},
	{name: "endless time to live", field: "ttl", rule: "must be at most 100 years", options: pgq.Options{TTL: 200 * 365 * 24 * time.Hour}, sql: "ttl => '200 years'", json: `{"kind": "k", "ttl": "200 years"}`},
	{name: "negative result_ttl", field: "result_ttl", rule: "must not be negative", options: pgq.Options{ResultTTL: -time.Second}, sql: "result_ttl => '-1 s'", json: `{"kind": "k", "result_ttl": "-1 s"}`},
	{name: "endless result_ttl", field: "result_ttl", rule: "must be at most 100 years", options: pgq.Options{ResultTTL: 200 * 365 * 24 * time.Hour}, sql: "result_ttl => '200 years'", json: `{"kind": "k", "result_ttl": "200 years"}`},
	{name: "backoff of another type", field: "backoff", rule: "must have a type: constant, linear, polynomial, exponential or table", options: pgq.Options{Backoff: pgq.Backoff{Base: 1}},
		sql: `backoff => '{"base": 1}'`, json: `{"kind": "k", "backoff": {"base": 1}}`},
	{name: "backoff with a negative base", field: "backoff", rule: "must have a base of 0 to 31536000 seconds", options: pgq.Options{Backoff: pgq.Backoff{Type: pgq.BackoffLinear, Base: -1}},
		sql: `backoff => '{"type": "linear", "base": -1}'`, json: `{"kind": "k", "backoff": {"type": "linear", "base": -1}}`},
	{name: "backoff with a factor below 1", field: "backoff", rule: "must have a factor of 1 to 100", options: pgq.Options{Backoff: pgq.Backoff{Type: pgq.BackoffExponential, Factor: 0.5}},
		sql: `backoff => '{"type": "exponential", "base": 0, "factor": 0.5}'`, json: `{"kind": "k", "backoff": {"type": "exponential", "base": 0, "factor": 0.5}}`},
	{name: "backoff with a factor that is no number", field: "backoff", rule: "must have a factor of 1 to 100", options: pgq.Options{Backoff: pgq.Backoff{Type: pgq.BackoffExponential, Factor: math.NaN()}}},
	{name: "backoff with too much jitter", field: "backoff", rule: "must have a jitter of 0 to 1", options: pgq.Options{Backoff: pgq.Backoff{Type: pgq.BackoffLinear, Jitter: 2}},
		sql: `backoff => '{"type": "linear", "base": 0, "jitter": 2}'`, json: `{"kind": "k", "backoff": {"type": "linear", "base": 0, "jitter": 2}}`},
	{name: "backoff with an unknown field", field: "backoff", rule: `has an unknown field "x"`, sql: `backoff => '{"type": "linear", "base": 0, "x": 2}'`, json: `{"kind": "k", "backoff": {"type": "linear", "base": 0, "x": 2}}`},
	{name: "too many tags", field: "tags", rule: "must be at most 64", options: pgq.Options{Tags: make([]string, 65)},
		sql: "tags => array_fill('t'::text, array[65])", json: `{"kind": "k", "tags": [` + strings.Repeat(`"t",`, 64) + `"t"]}`},
	{name: "NUL in a tag", field: "tags", rule: "must be valid UTF-8 without NUL", options: pgq.Options{Tags: []string{"a\x00"}}},
	{name: "a tag that is null", field: "tags", rule: "must not be null", sql: "tags => '{null}'", json: `{"kind": "k", "tags": [null]}`},
	{name: "metadata that is no object", field: "metadata", rule: "must be a JSON object", sql: "metadata => '[]'", json: `{"kind": "k", "metadata": []}`},
	{name: "metadata with NUL", field: "metadata", rule: "must not contain NUL, which jsonb cannot hold", options: pgq.Options{Metadata: map[string]any{"a": "\x00"}},
		sql: `metadata => '{"a": "\u0000"}'`, json: `{"kind": "k", "metadata": {"a": "\u0000"}}`, state: "22P05"},
	{name: "args with NUL", field: "args", rule: "must not contain NUL, which jsonb cannot hold", args: note{"a\x00"},
		sql: `args => '{"a": "\u0000"}'`, json: `{"kind": "k", "args": {"a": "\u0000"}}`, state: "22P05"},
	{name: "args that are not JSON", field: "args", rule: "must be encodable: *", args: raw{"k", "{"}, sql: "args => '{'", state: "22P02"},
	{name: "args that cannot be encoded", field: "args", rule: "must be encodable: *", args: bad{func() {}}},
	{name: "args over the limit", field: "args", rule: "must be at most 1048576 bytes", args: note{strings.Repeat("x", 1<<20)},
		sql: "args => jsonb_build_object('a', repeat('x', 1048576))", json: `{"kind": "k", "args": "` + strings.Repeat("x", 1<<20) + `"}`},
	{name: "bytes over the limit", field: "args", rule: "must be at most 1048576 bytes", args: note{strings.Repeat("x", 1<<20)}, options: pgq.Options{Codec: plain{}},
		sql: "codec => 'c', payload => convert_to(repeat('x', 1048577), 'utf8')"},
	{name: "a codec without a name", field: "codec", rule: "must not be empty", options: pgq.Options{Codec: plain{name: "-"}},
		sql: `codec => '', payload => '\x'`, json: `{"kind": "k", "codec": "", "payload": ""}`},
	{name: "a codec that fails", field: "args", rule: "must be encodable by codec failing: no luck", options: pgq.Options{Codec: plain{name: "failing"}}},
	{name: "bytes without a codec", field: "payload", rule: "must be given together with its codec", sql: `payload => '\x'`, json: `{"kind": "k", "payload": ""}`},
	{name: "a codec without bytes", field: "payload", rule: "must be given together with its codec", sql: `codec => 'c'`, json: `{"kind": "k", "codec": "c"}`},
	{name: "args and bytes", field: "args", rule: "must not be given together with a payload", sql: `args => '{}', codec => 'c', payload => '\x'`, json: `{"kind": "k", "args": {}, "codec": "c", "payload": ""}`},
}

// bad cannot be encoded.
type bad struct{ F func() }

func (bad) Kind() string { return "bad" }

// plain is a codec that writes text as it is.
type plain struct{ name string }

func (c plain) Name() string {
	switch c.name {
	case "":
		return "plain"
	case "-":
		return ""
	}
	return c.name
}

func (c plain) Encode(value any) ([]byte, error) {
	if c.name == "failing" {
		return nil, errors.New("no luck")
	}
	return []byte(fmt.Sprint(value)), nil
}

func (c plain) Decode(data []byte, into any) error {
	if c.name == "failing" {
		return errors.New("no luck")
	}
	switch into := into.(type) {
	case *note:
		into.Text = strings.Trim(string(data), "{}")
	case *string:
		*into = string(data)
	}
	return nil
}

func TestBadInputIsRefusedAlikeByGoAndSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.session()
	for _, c := range badInputs {
		t.Run(c.name, func(t *testing.T) {
			for _, way := range c.ways(w) {
				err := way.do()
				field, rule, state := refused(err)
				wantState, wantField := "PQ001", way.prefix+c.field
				if way.sql && c.state != "" {
					wantState, wantField, rule = c.state, "", c.rule
				}
				if field != wantField || !matches(rule, c.rule) || way.sql && state != wantState {
					t.Errorf("%s: %v\nwant %s: %s %s", way.name, err, wantState, wantField, c.rule)
				}
			}
			if n := one[int](t, conn, "select (select count(*) from jobs) + (select count(*) from ready) + (select count(*) from scheduled) + (select count(*) from expiries) + (select count(*) from events)"); n != 0 {
				t.Fatalf("%d rows were written", n)
			}
		})
	}
}

// way is one way to enqueue.
type way struct {
	name, prefix string
	sql          bool
	do           func() error
}

func (c badInput) ways(w *world) []way {
	var ways []way
	ctx := w.Context()
	if c.sql != "" {
		call := c.sql
		if !strings.HasPrefix(call, "kind =>") {
			call = "kind => 'k', " + call
		}
		ways = append(ways, way{name: "enqueue in SQL", sql: true, do: func() error {
			_, err := w.pool.Exec(ctx, "select pgq.enqueue("+call+")")
			return err
		}})
	}
	if c.json != "" {
		ways = append(ways, way{name: "enqueue_many in SQL", prefix: "jobs[1].", sql: true, do: func() error {
			_, err := w.pool.Exec(ctx, "select pgq.enqueue_many($1::text::jsonb)", `[{"kind": "k"}, `+c.json+`]`)
			return err
		}})
	}
	if c.args == nil && c.options.Queue == "" && fmt.Sprint(c.options) == fmt.Sprint(pgq.Options{}) {
		return ways
	}
	item := pgq.Item{Args: c.args, Options: c.options}
	if item.Args == nil {
		item.Args = note{}
	}
	many := func(n int) func() error {
		items := make([]pgq.Item, n)
		for i := range items {
			items[i].Args = note{}
		}
		items[1] = item
		return func() error {
			_, err := w.q.EnqueueMany(ctx, w.pool, items)
			return err
		}
	}
	return append(ways,
		way{name: "Enqueue", do: func() error { _, err := w.q.Enqueue(ctx, w.pool, item.Args, item.Options); return err }},
		way{name: "EnqueueMany by JSON", prefix: "jobs[1].", do: many(2)},
		way{name: "EnqueueMany by COPY", prefix: "jobs[1].", do: many(300)},
	)
}

// refused returns what an error says of the field and its rule, in Go or in SQL.
func refused(err error) (field, rule, state string) {
	var argument *pgq.ArgumentError
	if errors.As(err, &argument) {
		return argument.Field, argument.Rule, ""
	}
	text := refusal(err)
	state, rest, _ := strings.Cut(text, " ")
	if state != "PQ001" {
		return "", rest, state
	}
	field, rule, _ = strings.Cut(rest, " ")
	return field, rule, state
}

func TestNoArgsAtAllAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.q.Enqueue(t.Context(), w.pool, nil, pgq.Options{})
	if field, rule, _ := refused(err); field != "args" || rule != "must not be nil" {
		t.Error(err)
	}
}

func TestWhatJSONAllowsAndPostgreSQLDoesNotIsRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, args := range map[string]string{
		"half a surrogate pair": `"\ud800"`,
		"a number without end":  `1e999999`,
		"a deep nest":           strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
	} {
		for _, n := range []int{1, 2, 300} {
			items := make([]pgq.Item, n)
			for i := range items {
				items[i].Args = raw{"k", args}
			}
			_, err := w.q.EnqueueMany(t.Context(), w.pool, items)
			if name == "a deep nest" && err == nil {
				break // the stack is deep enough
			}
			if field, _, _ := refused(err); field != "args" {
				t.Errorf("%s, %d jobs: %v", name, n, err)
			}
		}
	}
	if name := "nothing"; one[int](t, w.pool, "select count(*) from pgq.jobs where args::text not like '[[[[%'") != 0 {
		t.Error(name, "should have been written")
	}
}

func TestArgsAreMeasuredAlikeOnEveryWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Two bytes a number as text, twelve in PostgreSQL's own form.
	numbers := raw{"k", "[" + strings.Repeat("1,", 200_000) + "1]"}
	_, single := w.q.Enqueue(t.Context(), w.pool, numbers, pgq.Options{})
	for _, n := range []int{2, 300} {
		items := make([]pgq.Item, n)
		for i := range items {
			items[i].Args = note{}
		}
		items[1].Args = numbers
		_, many := w.q.EnqueueMany(t.Context(), w.pool, items)
		if (single == nil) != (many == nil) {
			t.Errorf("Enqueue says %v, EnqueueMany of %d says %v", single, n, many)
		}
	}
}

func TestStrangeNamesSurvive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker := w.worker("x")
	for i, name := range []string{
		`'; drop table jobs; --`, `"quoted"`, `100%`, `%s %I %L`, `back\slash`, `$1`, "\u202eright to left", "ünï · 名前 · 🐘", "a b", "{a,b}", "NULL", "null", "*x", "e\u0301",
	} {
		args := raw{name, `{"n": ` + fmt.Sprint(i) + `}`}
		o := pgq.Options{Queue: name, Tags: []string{name, ""}, Metadata: map[string]any{name: name}}
		many, err := w.q.EnqueueMany(t.Context(), w.pool, []pgq.Item{{Args: args, Options: o}})
		must(t, err)
		copied := make([]pgq.Item, 200)
		for j := range copied {
			copied[j] = pgq.Item{Args: args, Options: o}
		}
		bulk, err := w.q.EnqueueMany(t.Context(), w.pool, copied)
		must(t, err)
		want := append([]int64{w.enqueue(args, o), many[0]}, bulk...)
		for _, id := range want[:3] {
			job := w.get(id)
			var metadata map[string]string
			must(t, json.Unmarshal(job.Metadata, &metadata))
			if job.Kind != name || job.Queue != name || len(job.Tags) != 2 || job.Tags[0] != name || metadata[name] != name {
				t.Errorf("%q came back as %q %q %q %q", name, job.Kind, job.Queue, job.Tags, metadata)
			}
		}
		if got := len(w.claim(worker, name, 1000)); got != len(want) {
			t.Errorf("%d of %d jobs of queue %q were claimed", got, len(want), name)
		}
		must(t, w.q.PauseQueue(t.Context(), w.pool, name, name))
		must(t, w.q.ResumeQueue(t.Context(), w.pool, name))
	}
}
