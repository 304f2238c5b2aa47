package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgq-go/queue/worker"
)

const (
	defaultConcurrency = 10
	maxConcurrency     = 100_000
	maxWeight          = 1000
	maxQueueName       = 128
	maxWorkerName      = 128
	maxSchemaName      = 52
)

// field is one setting: how it is called, what it is for, and how it is read and shown. set returns the rule that a value breaks, or "".
type field struct {
	name string
	help string
	set  func(s *Settings, value string) (rule string)
	get  func(s *Settings) string
}

// env returns the variable that gives the setting.
func (f *field) env() string { return "PGQ_" + strings.ToUpper(strings.ReplaceAll(f.name, ".", "_")) }

// queuesField is the field that is a map in the file.
const queuesField = "worker.queues"

// fields are all settings, in the order in which they are shown.
var fields = []field{
	{"database_url", "the database; without a password, which may stand in PGPASSWORD or a password file",
		setDatabaseURL, func(s *Settings) string { return MaskURL(s.DatabaseURL) }},
	{"schema", "the schema that holds PGQ", setSchema, func(s *Settings) string { return s.Schema }},
	{"log_level", "debug, info, warn or error", setLogLevel, func(s *Settings) string { return strings.ToLower(s.LogLevel.String()) }},
	boolean("no_notify", "true: enqueueing sends no NOTIFY; workers find jobs by polling", func(s *Settings) *bool { return &s.NoNotify }),
	{keysField, "keys of 32 bytes that decrypt payloads, in base64 or as a file; the first one encrypts",
		setKeys, func(s *Settings) string { return keyList(s.Keys) }},
	{"worker.name", "of the process, for people; host and process id if it is empty", setWorkerName, func(s *Settings) string { return s.Worker.Name }},
	{queuesField, "what to work, and how many jobs of each at the same time",
		setQueues, func(s *Settings) string { return queueList(s.Worker.Queues) }},
	{"worker.concurrency", "how many jobs of all queues together run at the same time, shared by the weights of the queues; 0: each queue has its own slots",
		setShared, func(s *Settings) string { return strconv.Itoa(s.Worker.Concurrency) }},
	duration("worker.lease", "after its last heartbeat a worker is declared dead and others run its jobs", time.Second, 24*time.Hour,
		func(s *Settings) *time.Duration { return &s.Worker.Lease }),
	duration("worker.heartbeat", "how often it says that it lives; a sixth of the lease unless given", time.Millisecond, 0,
		func(s *Settings) *time.Duration { return &s.Worker.Heartbeat }),
	duration("worker.poll_interval", "bounds the pauses between looks at an empty queue", time.Millisecond, 0,
		func(s *Settings) *time.Duration { return &s.Worker.PollInterval }),
	boolean("worker.poll_only", "true: no LISTEN, for connections through a transaction pooler", func(s *Settings) *bool { return &s.Worker.PollOnly }),
	duration("worker.grace", "how long running handlers may go on when the worker stops; 0s: not at all", 0, 0,
		func(s *Settings) *time.Duration { return &s.Worker.Grace }),
	{"worker.prefetch", "how many jobs to claim beyond the free slots, at the most; 0: none",
		setPrefetch, func(s *Settings) string { return strconv.Itoa(s.Worker.Prefetch) }},
	boolean("worker.no_chores", "true: leaves promoting, rescuing and pruning to other workers", func(s *Settings) *bool { return &s.Worker.NoChores }),
}

func fieldNamed(name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

func fieldNames() []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

// duration is a field that is a duration.
func duration(name, help string, least, most time.Duration, of func(*Settings) *time.Duration) field {
	set := func(s *Settings, value string) string {
		d, err := time.ParseDuration(value)
		switch {
		case err != nil:
			return fmt.Sprintf("must be a duration with its unit, 1m30s for example, not %q", value)
		case d < least && least == 0:
			return fmt.Sprintf("must not be negative, it is %s", d)
		case d < least:
			return fmt.Sprintf("must be at least %s, not %s", least, d)
		case most > 0 && d > most:
			return fmt.Sprintf("must be at most %s, not %s", most, d)
		}
		*of(s) = d
		return ""
	}
	return field{name, help, set, func(s *Settings) string { return of(s).String() }}
}

// boolean is a field that is true or false.
func boolean(name, help string, of func(*Settings) *bool) field {
	set := func(s *Settings, value string) string {
		if value != "true" && value != "false" {
			return fmt.Sprintf("must be true or false, not %q", value)
		}
		*of(s) = value == "true"
		return ""
	}
	return field{name, help, set, func(s *Settings) string { return strconv.FormatBool(*of(s)) }}
}

// setDatabaseURL never shows the value, nor what the parser says of it: it may hold a password.
func setDatabaseURL(s *Settings, value string) string {
	if value == "" {
		return "must not be empty"
	}
	parsed, err := pgconn.ParseConfig(value)
	if cause := errors.Unwrap(err); cause != nil && (strings.HasPrefix(cause.Error(), "unable to find service") || strings.HasPrefix(cause.Error(), "failed to read service file")) {
		return "must name a service that is in the service file (PGSERVICEFILE, or .pg_service.conf in the home directory)"
	}
	if rule := urlRule(value, err); rule != "" {
		return rule
	}
	if err != nil || strings.Contains(parsed.Host, "@") { // an @ in the password: what follows it would be shown as the host
		return "must be a URL (postgres://user:password@host:5432/database, special characters of the password " +
			"as %XX) or words (host=… user=… dbname=…) that PostgreSQL's clients understand"
	}
	s.DatabaseURL = value
	return ""
}

// urlRules are what a part of a database's URL must be, by what the parser says when it is not.
var urlRules = []struct{ says, rule string }{
	{": invalid port", "must have a port of 1 to 65535; and special characters of a password must be %XX, since a / ends it"},
	{"(sslmode is invalid)", "must have an sslmode of disable, allow, prefer, require, verify-ca or verify-full"},
	{": invalid connect_timeout", "must have a connect_timeout in whole seconds"},
	{": failed to configure TLS", "must have sslrootcert, sslcert and sslkey that are files which can be read and hold what they should"},
	{": failed to parse as URL (invalid percent-encoded token", "must have a percent sign only before two hexadecimal digits; one that is meant is %25"},
	{": unknown target_session_attrs", "must have target_session_attrs of any, read-write, read-only, primary, standby or prefer-standby"},
	{": unknown channel_binding", "must have a channel_binding of disable, prefer or require"},
}

// urlRule returns the rule that a part of a URL breaks, "" if that cannot be told. What the parser says is not shown, nor looked at where a password
// may be in it: it begins with the URL.
func urlRule(value string, err error) string {
	if err == nil {
		return ""
	}
	_, says, _ := strings.Cut(err.Error(), "`: ")
	for _, r := range urlRules {
		if strings.Contains(": "+says, r.says) && !strings.Contains(value, "`") {
			return r.rule
		}
	}
	return ""
}

func setSchema(s *Settings, value string) string {
	switch {
	case value == "" || len(value) > maxSchemaName:
		return fmt.Sprintf("must have 1 to %d bytes, it has %d", maxSchemaName, len(value))
	case strings.HasPrefix(value, "pg_"):
		return "must not begin with pg_, which PostgreSQL keeps for itself"
	case !isText(value):
		return "must be valid UTF-8 without NUL"
	}
	s.Schema = value
	return ""
}

func isText(value string) bool { return utf8.ValidString(value) && !strings.ContainsRune(value, 0) }

func setLogLevel(s *Settings, value string) string {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[strings.ToLower(value)]
	if !ok {
		return fmt.Sprintf("must be debug, info, warn or error, not %q", value)
	}
	s.LogLevel = level
	return ""
}

func setWorkerName(s *Settings, value string) string {
	if utf8.RuneCountInString(value) > maxWorkerName || value != printable(value) {
		return fmt.Sprintf("must have at most %d characters that can be printed", maxWorkerName)
	}
	s.Worker.Name = value
	return ""
}

func setShared(s *Settings, value string) string {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > maxConcurrency {
		return fmt.Sprintf("must be a number from 0 to %d, not %q", maxConcurrency, value)
	}
	s.Worker.Concurrency = n
	return ""
}

func setPrefetch(s *Settings, value string) string {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return fmt.Sprintf("must be a number from 0 on, not %q", value)
	}
	s.Worker.Prefetch = n
	return ""
}

// setQueues reads "default=10,mail=50:3": how many jobs at a time, and the weight. A queue without numbers has the defaults.
func setQueues(s *Settings, value string) string {
	queues := worker.Queues{}
	for _, item := range strings.Split(value, ",") {
		name, numbers := strings.TrimSpace(item), ""
		if i := strings.LastIndex(name, "="); i >= 0 {
			name, numbers = strings.TrimSpace(name[:i]), strings.TrimSpace(name[i+1:])
			if numbers == "" {
				return fmt.Sprintf("must have a number after the = of %q", name)
			}
		}
		if _, twice := queues[name]; twice {
			return fmt.Sprintf("must name each queue once, not %q twice", name)
		}
		if rule := queueNameRule(name); rule != "" {
			return rule
		}
		var q worker.QueueConfig
		number, weight, weighs := strings.Cut(numbers, ":")
		if number != "" {
			if rule := setConcurrency(&q, number); rule != "" {
				return fmt.Sprintf("%s; that of %q is %q", rule, name, number)
			}
		}
		if weighs {
			if rule := setWeight(&q, weight); rule != "" {
				return fmt.Sprintf("%s; that of %q is %q", rule, name, weight)
			}
		}
		queues[name] = q
	}
	s.Worker.Queues = queues
	return ""
}

func queueNameRule(name string) string {
	if n := utf8.RuneCountInString(name); n < 1 || n > maxQueueName || name == "*" {
		return fmt.Sprintf("must be named with 1 to %d characters and not *, %q is not", maxQueueName, name)
	}
	return ""
}

// queueOptions are what the file says of a queue.
var queueOptions = map[string]func(q *worker.QueueConfig, value string) (rule string){
	"concurrency": setConcurrency,
	"weight":      setWeight,
}

func setConcurrency(q *worker.QueueConfig, value string) string {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxConcurrency {
		return fmt.Sprintf("must have a concurrency of 1 to %d", maxConcurrency)
	}
	q.Concurrency = n
	return ""
}

func setWeight(q *worker.QueueConfig, value string) string {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxWeight {
		return fmt.Sprintf("must have a weight of 1 to %d", maxWeight)
	}
	q.Weight = n
	return ""
}

// queueList returns queues as in PGQ_WORKER_QUEUES.
func queueList(queues worker.Queues) string {
	list := make([]string, 0, len(queues))
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		item := fmt.Sprintf("%s=%d", name, queues[name].Concurrency)
		if queues[name].Weight > 0 {
			item += fmt.Sprintf(":%d", queues[name].Weight)
		}
		list = append(list, item)
	}
	return strings.Join(list, ",")
}
