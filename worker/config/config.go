package config

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// Settings are the settings in force.
type Settings struct {
	// DatabaseURL is a URL or the keyword=value words of libpq; empty when none was given. It may hold a
	// password: print [MaskURL] of it.
	DatabaseURL string
	// Schema holds PGQ's objects.
	Schema   string
	LogLevel slog.Level
	// NoNotify is as in pgq.Config.
	NoNotify bool
	// Keys are those of pgq.Encrypt; nil if there are none.
	Keys   *pgq.KeyRing
	Worker Worker
	// Kinds are run by programs: by pgq-admin worker, or by any worker that is given them with [Settings.HandleKinds].
	Kinds []Kind
}

// Worker are the settings of a worker process; see the fields of worker.Config with the same names.
type Worker struct {
	Name         string // empty: host and process id
	Queues       worker.Queues
	Lease        time.Duration
	Heartbeat    time.Duration
	PollInterval time.Duration
	PollOnly     bool
	Grace        time.Duration // 0: no waiting
	Concurrency  int           // that the queues share; 0: each has its own
	Prefetch     int           // 0: none
	NoChores     bool
}

// Error says that a setting is unknown or breaks a rule.
type Error struct {
	// Where the setting stands: "pgq.yaml:3", "PGQ_SCHEMA", "--schema".
	Where string
	// Field is its name as in the file: "worker.lease". Empty when there is no such setting.
	Field string
	// Rule is what it must be, or what else is wrong.
	Rule string
	// Fix is what to do about it; empty if the rule says that.
	Fix string
	// Unknown is the name of the context that does not exist, if that is what is wrong.
	Unknown string
}

// Error returns the place, the field and the rule.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Where + ": " + e.Rule
	}
	return fmt.Sprintf("%s: %s %s", e.Where, e.Field, e.Rule)
}

// Value is one setting in force, for humans.
type Value struct {
	Field  string
	Value  string // the database's URL without its password
	Source string // "default", or where it stands as in [Error]
}

// Loaded are settings and where each is from.
type Loaded struct {
	Settings
	sources map[string]string // by field
}

// Source returns where a field is from.
func (l *Loaded) Source(field string) string {
	if source, ok := l.sources[field]; ok {
		return source
	}
	return fromDefault
}

// Values returns all settings in order.
func (l *Loaded) Values() []Value {
	all := make([]Value, len(fields))
	for i, f := range fields {
		all[i] = Value{Field: f.name, Value: f.get(&l.Settings), Source: l.Source(f.name)}
	}
	return all
}

// Sources are where settings are read from; each may be empty.
type Sources struct {
	// File is the path of a YAML file.
	File string
	// Environ are variables as of os.Environ; those that do not begin with PGQ_ are not looked at.
	Environ []string
	// Flags win over all; the last one of a field over those before it.
	Flags []Flag
	// Contexts is the path of a file of contexts; see [Contexts].
	Contexts string
	// Context is the name of a context that wins over the environment. Empty: the current one of the file, if nothing else gives
	// the database.
	Context string
}

// Flag is a setting given on the command line.
type Flag struct {
	Name  string // as the user knows it: "--url"
	Field string
	Value string
}

// Load reads the settings. Errors: *[Error], or that the file cannot be read.
func Load(s Sources) (*Loaded, error) {
	l := &Loaded{Settings: defaults(), sources: map[string]string{}}
	if s.File != "" {
		if err := l.readFile(s.File, s.Environ); err != nil {
			return nil, err
		}
	}
	if err := l.readEnviron(s.Environ); err != nil {
		return nil, err
	}
	if s.Context != "" {
		if err := l.readContext(s.Contexts, s.Context); err != nil {
			return nil, err
		}
	}
	for _, f := range s.Flags {
		if err := l.set(f.Name, f.Field, f.Value); err != nil {
			return nil, err
		}
	}
	if l.DatabaseURL == "" {
		if err := l.findDatabase(s); err != nil {
			return nil, err
		}
	}
	return l, l.finish()
}

func defaults() Settings {
	return Settings{
		Schema:   pgq.DefaultSchema,
		LogLevel: slog.LevelInfo,
		Worker: Worker{
			Queues:       worker.Queues{pgq.DefaultQueue: {}},
			Lease:        30 * time.Second,
			PollInterval: 2 * time.Second,
			Grace:        30 * time.Second,
			Prefetch:     1000,
		},
	}
}

// set gives a field the value that stands at a place.
func (l *Loaded) set(where, name, value string) error {
	f := fieldNamed(name)
	if f == nil {
		return unknown(where, "setting", name, fieldNames())
	}
	if rule := f.set(&l.Settings, value); rule != "" {
		return &Error{Where: where, Field: name, Rule: rule}
	}
	l.sources[name] = where
	return nil
}

// finish derives what was not given and checks what depends on more than one field.
func (l *Loaded) finish() error {
	w := &l.Worker
	for name, q := range w.Queues {
		if q.Weight > 0 && w.Concurrency == 0 {
			return &Error{Where: l.Source(queuesField), Field: queuesField + "." + name,
				Rule: "must not have a weight without worker.concurrency, which the queues share"}
		}
		setDefault(&q.Concurrency, w.Concurrency)
		setDefault(&q.Concurrency, defaultConcurrency)
		w.Queues[name] = q
	}
	if w.Heartbeat == 0 {
		w.Heartbeat = w.Lease / 6
	}
	if w.Heartbeat > w.Lease/2 {
		where := l.Source("worker.heartbeat")
		if where == fromDefault {
			where = l.Source("worker.lease")
		}
		return &Error{Where: where, Field: "worker.heartbeat",
			Rule: fmt.Sprintf("must be at most half of worker.lease, which is %s; it is %s", w.Lease, w.Heartbeat)}
	}
	return nil
}

// fromDefault is the source of what no source gives.
const fromDefault = "default"
