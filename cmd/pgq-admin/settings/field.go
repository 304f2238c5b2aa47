package settings

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	defaultConcurrency = 10
	maxConcurrency     = 100_000
	maxQueueName       = 128
	maxSchemaName      = 48
)

// field is one setting: how it is called, read and shown. set returns the rule that a value breaks, or "".
type field struct {
	name string
	env  string
	set  func(s *Settings, value string) (rule string)
	get  func(s *Settings) string
}

// fields are all settings, in the order in which they are shown.
var fields = []field{
	{"database_url", "PGQ_DATABASE_URL", setDatabaseURL, func(s *Settings) string { return MaskURL(s.DatabaseURL) }},
	{"schema", "PGQ_SCHEMA", setSchema, func(s *Settings) string { return s.Schema }},
	{"log_level", "PGQ_LOG_LEVEL", setLogLevel, func(s *Settings) string { return strings.ToLower(s.LogLevel.String()) }},
	{queuesField, "PGQ_WORKER_QUEUES", setQueues, func(s *Settings) string { return queueList(s.Worker.Queues) }},
	duration("worker.lease", time.Second, func(s *Settings) *time.Duration { return &s.Worker.Lease }),
	duration("worker.heartbeat", time.Millisecond, func(s *Settings) *time.Duration { return &s.Worker.Heartbeat }),
	duration("worker.poll_interval", time.Millisecond, func(s *Settings) *time.Duration { return &s.Worker.PollInterval }),
	{"worker.poll_only", "PGQ_WORKER_POLL_ONLY", setPollOnly, func(s *Settings) string { return strconv.FormatBool(s.Worker.PollOnly) }},
	duration("worker.grace", 0, func(s *Settings) *time.Duration { return &s.Worker.Grace }),
	{"worker.prefetch", "PGQ_WORKER_PREFETCH", setPrefetch, func(s *Settings) string { return strconv.Itoa(s.Worker.Prefetch) }},
}

// queuesField is the field that is a map in the file.
const queuesField = "worker.queues"

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
func duration(name string, least time.Duration, of func(*Settings) *time.Duration) field {
	set := func(s *Settings, value string) string {
		d, err := time.ParseDuration(value)
		switch {
		case err != nil:
			return fmt.Sprintf("must be a duration with its unit, 1m30s for example, not %q", value)
		case d < least && least == 0:
			return fmt.Sprintf("must not be negative, it is %s", d)
		case d < least:
			return fmt.Sprintf("must be at least %s, not %s", least, d)
		}
		*of(s) = d
		return ""
	}
	env := "PGQ_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
	return field{name, env, set, func(s *Settings) string { return of(s).String() }}
}

// setDatabaseURL never shows the value, nor what the parser says of it: it may hold a password.
func setDatabaseURL(s *Settings, value string) string {
	if value == "" {
		return "must not be empty"
	}
	parsed, err := pgconn.ParseConfig(value)
	if err != nil || strings.Contains(parsed.Host, "@") { // an @ in the password: what follows it would be shown as the host
		return "must be a URL (postgres://user:password@host:5432/database, special characters of the password " +
			"as %XX) or words (host=… user=… dbname=…) that PostgreSQL's clients understand"
	}
	s.DatabaseURL = value
	return ""
}

func setSchema(s *Settings, value string) string {
	switch {
	case value == "" || len(value) > maxSchemaName:
		return fmt.Sprintf("must have 1 to %d bytes, it has %d", maxSchemaName, len(value))
	case strings.HasPrefix(value, "pg_"):
		return "must not begin with pg_, which PostgreSQL keeps for itself"
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return "must be valid UTF-8 without NUL"
	}
	s.Schema = value
	return ""
}

func setLogLevel(s *Settings, value string) string {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[strings.ToLower(value)]
	if !ok {
		return fmt.Sprintf("must be debug, info, warn or error, not %q", value)
	}
	s.LogLevel = level
	return ""
}

func setPollOnly(s *Settings, value string) string {
	switch value {
	case "true":
		s.Worker.PollOnly = true
	case "false":
		s.Worker.PollOnly = false
	default:
		return fmt.Sprintf("must be true or false, not %q", value)
	}
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

// setQueues reads "default=10,mail=50"; a queue without number has the default concurrency.
func setQueues(s *Settings, value string) string {
	queues := map[string]int{}
	for _, item := range strings.Split(value, ",") {
		name, number := strings.TrimSpace(item), strconv.Itoa(defaultConcurrency)
		if i := strings.LastIndex(name, "="); i >= 0 {
			name, number = strings.TrimSpace(name[:i]), strings.TrimSpace(name[i+1:])
		}
		if _, twice := queues[name]; twice {
			return fmt.Sprintf("must name each queue once, not %q twice", name)
		}
		if rule := addQueue(queues, name, number); rule != "" {
			return rule
		}
	}
	s.Worker.Queues = queues
	return ""
}

// addQueue returns the rule that a queue breaks, or "".
func addQueue(queues map[string]int, name, concurrency string) string {
	if n := utf8.RuneCountInString(name); n < 1 || n > maxQueueName || name == "*" {
		return fmt.Sprintf("must be named with 1 to %d characters and not *, %q is not", maxQueueName, name)
	}
	n, err := strconv.Atoi(concurrency)
	if err != nil || n < 1 || n > maxConcurrency {
		return fmt.Sprintf("must have a concurrency of 1 to %d; that of %q is %q", maxConcurrency, name, concurrency)
	}
	queues[name] = n
	return ""
}
