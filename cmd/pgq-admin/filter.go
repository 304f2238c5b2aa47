package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// filterHelp tells of the flags of a filter.
const filterHelp = `Jobs are chosen by --queue, --kind, --group, --state, --tag, --since, --until, --error, --fingerprint, --arg, --metadata, --worker, --dag:
those that fit all that is given. A flag that is repeated takes any of its values (--tag, --arg and --metadata: all of them). Names may hold
commas, so --queue, --kind, --group and --tag take one each; the others take several with commas between them.

--arg PATH=VALUE compares what args have at a path, customer.id or items[0].sku or "a.b".c: the text VALUE, or the JSON VALUE;
--arg PATH:=JSON compares JSON only. Numbers are compared exactly, however large.
--since and --until take times (2026-11-22, 2026-11-22T10:00:00Z) or how long ago (90s, 2h, 7d).`

// filterFlags are the flags by which lists and verbs choose jobs.
type filterFlags struct {
	queues, kinds, groups, states, tags, fingerprints []string
	args, metadata                                    []string
	workers, dags                                     []int64
	since, until, error                               string
	set                                               *pflag.FlagSet
}

var filterNames = []string{"queue", "kind", "group", "state", "tag", "since", "until", "error", "fingerprint", "arg", "metadata", "worker", "dag"}

// flags gives a command the flags of a filter, but for some.
func (f *filterFlags) flags(of *pflag.FlagSet, without ...string) {
	f.set = of
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	defer flags.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(without, flag.Name) {
			of.AddFlag(flag)
		}
	})
	flags.StringArrayVar(&f.queues, "queue", nil, "jobs of this `QUEUE`")
	flags.StringArrayVar(&f.kinds, "kind", nil, "jobs of this `KIND`")
	flags.StringArrayVar(&f.groups, "group", nil, "jobs of this `GROUP`")
	output.ListFlag(flags, &f.states, "state", nil, "jobs in these `STATES`: waiting, scheduled, ready, running, completed, failed, cancelled, skipped, expired")
	flags.StringArrayVar(&f.tags, "tag", nil, "jobs with this `TAG`")
	flags.StringVar(&f.since, "since", "", "enqueued from this `TIME` on, or since so long: 2h, 7d")
	flags.StringVar(&f.until, "until", "", "enqueued before this `TIME`, or longer ago than: 2h, 7d")
	flags.StringVar(&f.error, "error", "", "jobs whose error holds this `TEXT`")
	output.ListFlag(flags, &f.fingerprints, "fingerprint", nil, "jobs whose error has this `FINGERPRINT` (pgq-admin failures list)")
	flags.StringArrayVar(&f.args, "arg", nil, "jobs whose args have this, `PATH=VALUE` or PATH:=JSON")
	flags.StringArrayVar(&f.metadata, "metadata", nil, "jobs whose metadata have this, `KEY=VALUE` or KEY:=JSON")
	flags.Int64SliceVar(&f.workers, "worker", nil, "jobs that these workers have or had last: `IDS`")
	flags.Int64SliceVar(&f.dags, "dag", nil, "nodes of these DAGs: `IDS`")
	flags.Lookup("worker").DefValue, flags.Lookup("dag").DefValue = "", "" // and not "[]" in the help
}

// given tells whether the user has chosen jobs by any of the flags.
func (f *filterFlags) given() bool {
	for _, name := range filterNames {
		if f.set.Changed(name) {
			return true
		}
	}
	return false
}

// none says that nothing fits; and how several names are given, where commas in one look as if they were meant to be several.
func (f *filterFlags) none(what string) string {
	for _, flag := range []struct {
		name   string
		values []string
	}{{"queue", f.queues}, {"kind", f.kinds}, {"group", f.groups}, {"tag", f.tags}} {
		for _, value := range flag.values {
			if first, rest, ok := strings.Cut(value, ","); ok {
				return fmt.Sprintf("%s; --%[2]s takes one name, which may hold commas; for several: --%[2]s %[3]s --%[2]s %[4]s",
					what, flag.name, quoted(output.Clean(first)), quoted(output.Clean(rest)))
			}
		}
	}
	return what
}

// filter returns the filter that the flags make. *output.Error, a wrong use: a flag cannot be read, or is empty.
func (f *filterFlags) filter() (pgq.Filter, error) {
	now := time.Now()
	filter := pgq.Filter{
		Queues: f.queues, Kinds: f.kinds, Groups: f.groups, Tags: f.tags, Fingerprints: f.fingerprints, Workers: f.workers, DAGs: f.dags, Error: f.error,
	}
	for _, name := range filterNames {
		flag := f.set.Lookup(name)
		if flag != nil && flag.Changed && (flag.Value.String() == "" || flag.Value.String() == "[]" || flag.Value.String() == `[""]`) {
			return filter, usagef("--%s must not be empty; leave it out for any", name)
		}
	}
	var err error
	if filter.States, err = states(f.states, false); err != nil {
		return filter, err
	}
	if filter.Since, err = timeFlag("--since", f.since, now, -1); err != nil {
		return filter, err
	}
	if filter.Until, err = timeFlag("--until", f.until, now, -1); err != nil {
		return filter, err
	}
	for _, arg := range f.args {
		path, err := argPath(arg)
		if err != nil {
			return filter, err
		}
		filter.Paths = append(filter.Paths, path)
	}
	if f.metadata != nil {
		fields, err := assignments("--metadata", f.metadata)
		if err != nil {
			return filter, err
		}
		filter.Metadata, err = json.Marshal(fields)
		if err != nil {
			return filter, err
		}
	}
	return filter, nil
}

// argPath reads PATH=VALUE or PATH:=JSON.
func argPath(text string) (pgq.PathFilter, error) {
	wrong := usagef(`--arg takes PATH=VALUE or PATH:=JSON, customer.id=7 for example, not %q`, text)
	var p pgq.PathFilter
	rest := text
	for {
		step := ""
		switch end := strings.IndexAny(rest, ".[=:"); {
		case strings.HasPrefix(rest, `"`):
			quoted, err := quotedStep(rest)
			if err != nil || json.Unmarshal([]byte(quoted), &step) != nil {
				return p, wrong
			}
			rest = rest[len(quoted):]
		case strings.HasPrefix(rest, "["):
			index, after, ok := strings.Cut(rest[1:], "]")
			if _, err := strconv.Atoi(index); err != nil || !ok {
				return p, wrong
			}
			step, rest = index, after
		case end > 0:
			step, rest = rest[:end], rest[end:]
		default:
			return p, wrong
		}
		p.Path = append(p.Path, step)
		switch {
		case strings.HasPrefix(rest, ":="):
			value := json.RawMessage(rest[2:])
			if !json.Valid(value) {
				return p, usagef("--arg: %q is no JSON; a text is given as PATH=TEXT", rest[2:])
			}
			p.In = append(p.In, value)
			return p, nil
		case strings.HasPrefix(rest, "="):
			value, err := json.Marshal(rest[1:])
			if err != nil {
				return p, err
			}
			p.In = append(p.In, value)
			if json.Valid([]byte(rest[1:])) {
				p.In = append(p.In, json.RawMessage(rest[1:]))
			}
			return p, nil
		case strings.HasPrefix(rest, "."):
			rest = rest[1:]
		case !strings.HasPrefix(rest, "["):
			return p, wrong
		}
	}
}

// quotedStep returns the JSON string that a text begins with.
func quotedStep(text string) (string, error) {
	var raw json.RawMessage
	err := json.NewDecoder(strings.NewReader(text)).Decode(&raw)
	return string(raw), err
}

// assignments reads KEY=VALUE and KEY:=JSON: the members of an object.
func assignments(flag string, texts []string) (map[string]json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" || key == ":" {
			return nil, usagef("%s takes KEY=TEXT or KEY:=JSON, not %q", flag, text)
		}
		if name, isJSON := strings.CutSuffix(key, ":"); isJSON {
			if !json.Valid([]byte(value)) {
				return nil, usagef("%s %s: %q is no JSON; a text is given as %s=TEXT", flag, name, value, name)
			}
			key = name
			members[key] = json.RawMessage(value)
		} else {
			encoded, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			members[key] = encoded
		}
	}
	return members, nil
}

// timeFlag reads a time, or a duration that is counted from now in a direction, 1 or -1; the zero time for "".
func timeFlag(flag, text string, now time.Time, direction int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := parseDuration(text); err == nil {
		return now.Add(time.Duration(direction) * d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usagef("%s %s, not %q", flag, timeRule, text)
}

// parseDuration reads a duration that is not negative: as Go does, and days and weeks: 90s, 1h30m, 7d, 2w.
func parseDuration(text string) (time.Duration, error) {
	d, rule := readDuration(text)
	if rule != "" {
		return 0, usagef("%s, not %q", rule, text)
	}
	return d, nil
}

// isDuration tells of durations as Go has them, also of those that are too long for it.
var isDuration = regexp.MustCompile(`^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`)

// readDuration does it, and returns the rule that the text breaks, if any.
func readDuration(text string) (sum time.Duration, rule string) {
	rest := text
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		if number, after, ok := strings.Cut(rest, unit.name); ok {
			n, err := strconv.ParseUint(number, 10, 16)
			switch {
			case errors.Is(err, strconv.ErrRange) || err == nil && time.Duration(n) > maxDuration/unit.size:
				return 0, longRule
			case err != nil:
				return 0, durationRule
			}
			sum += time.Duration(n) * unit.size
			rest = after
		}
	}
	if rest == "" && rest != text {
		return sum, ""
	}
	d, err := time.ParseDuration(rest)
	switch {
	case err != nil && isDuration.MatchString(rest) || err == nil && sum+d > maxDuration:
		return 0, longRule
	case err != nil || d < 0:
		return 0, durationRule
	}
	return sum + d, ""
}
