package worker

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/pgq-go/queue/pgq"
)

// Config holds the settings of a [Worker]. The zero value works the queue "default".
type Config struct {
	// Client holds the schema and codecs; pgq.New(pgq.Config{}) by default.
	Client *pgq.Client
	// Queues to work, by name; {"default": {}} by default.
	Queues Queues
	// Name of the process for humans; host and process id by default.
	Name string
	// Lease is how long after its last heartbeat the worker is declared dead and its jobs are run by others;
	// 30 s by default, at least 1 s.
	Lease time.Duration
	// Heartbeat is how often the worker says that it lives; a sixth of the lease by default.
	Heartbeat time.Duration
	// PollInterval bounds the pauses between looks at an empty queue; 2 s by default. LISTEN makes pickup much
	// faster than that.
	PollInterval time.Duration
	// PollOnly does without LISTEN, for connections through a transaction pooler.
	PollOnly bool
	// Grace is how long Run waits for running handlers once its context has ended; 30 s by default, negative
	// for no waiting.
	Grace time.Duration
	// Prefetch bounds how many jobs a queue claims beyond its free slots, so that quick handlers need not
	// wait for the database; 1,000 by default, negative for none. Slow handlers get none anyway: no more
	// is prefetched than the slots work off in the time of a round trip.
	Prefetch int
	// NoChores leaves promoting, rescuing and pruning to other workers. Somebody has to do them.
	NoChores bool
	// Logger gets what happens; slog.Default() by default. Payloads are never logged.
	Logger *slog.Logger
	// Middleware wraps all handlers, the first one outermost.
	Middleware []Middleware
	// Observe, if not nil, is told of everything for metrics. It is called by many goroutines at the same time
	// and must be quick.
	Observe func(Observation)
}

// Queues are settings by the name of the queue.
type Queues map[string]QueueConfig

// QueueConfig holds the settings of a worker for one queue.
type QueueConfig struct {
	// Concurrency is how many jobs of the queue run at the same time; 10 by default.
	Concurrency int
}

const (
	defaultConcurrency = 10
	maxConcurrency     = 100_000
)

// withDefaults returns the settings completed, or the first rule that they break as *pgq.ArgumentError.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Client, pgq.New(pgq.Config{}))
	setDefault(&c.Logger, slog.Default())
	setDefault(&c.Lease, 30*time.Second)
	setDefault(&c.Heartbeat, c.Lease/6)
	setDefault(&c.PollInterval, 2*time.Second)
	setDefault(&c.Grace, 30*time.Second)
	setDefault(&c.Prefetch, 1000)
	if c.Name == "" {
		host, _ := os.Hostname()
		c.Name = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	if len(c.Queues) == 0 {
		c.Queues = Queues{pgq.DefaultQueue: {}}
	}
	queues := make(Queues, len(c.Queues))
	for name, q := range c.Queues {
		setDefault(&q.Concurrency, defaultConcurrency)
		queues[name] = q
		if name == "" || utf8.RuneCountInString(name) > 128 || name == "*" {
			return c, &pgq.ArgumentError{Field: "Queues", Rule: fmt.Sprintf("must be named with 1 to 128 characters, not %q", name)}
		}
		if q.Concurrency < 1 || q.Concurrency > maxConcurrency {
			return c, &pgq.ArgumentError{Field: fmt.Sprintf("Queues[%q].Concurrency", name), Rule: "must be 1 to 100000"}
		}
	}
	c.Queues = queues
	switch {
	case c.Lease < time.Second:
		return c, &pgq.ArgumentError{Field: "Lease", Rule: "must be at least 1s"}
	case c.Heartbeat < 0 || c.Heartbeat > c.Lease/2:
		return c, &pgq.ArgumentError{Field: "Heartbeat", Rule: "must be positive and at most half of Lease"}
	case c.PollInterval < time.Millisecond:
		return c, &pgq.ArgumentError{Field: "PollInterval", Rule: "must be at least 1ms"}
	case slices.ContainsFunc(c.Middleware, func(m Middleware) bool { return m == nil }):
		return c, &pgq.ArgumentError{Field: "Middleware", Rule: "must not be nil"}
	}
	c.Grace, c.Prefetch = max(c.Grace, 0), max(c.Prefetch, 0)
	return c, nil
}

// setDefault sets what is not set.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
