package worker

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pgq-go/queue/pgq"
)

// Config holds the settings of a [Worker]. The zero value works the queue "default".
type Config struct {
	// Client holds the schema and codecs; pgq.New(pgq.Config{}) by default.
	Client *pgq.Client
	// Queues to work, by name; {"default": {}} by default.
	Queues Queues
	// Concurrency is how many jobs of all queues together run at the same time; 0: each queue has slots of its own. The queues share the
	// slots by their weights; what one does not need, others use.
	Concurrency int
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
	// Concurrency is how many jobs of the queue run at the same time; Config.Concurrency by default, 10 if that is not given.
	Concurrency int
	// Weight is how many slots the queue gets where others get one as long as all have work, 1 to 1000; 1 by default. Only with
	// Config.Concurrency.
	Weight int
}

const (
	defaultConcurrency = 10
	maxConcurrency     = 100_000
	maxWeight          = 1000
	maxName            = 200
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
		var err error
		if queues[name], err = q.withDefaults(name, c.Concurrency); err != nil {
			return c, err
		}
	}
	c.Queues = queues
	switch {
	case c.Concurrency < 0 || c.Concurrency > maxConcurrency:
		return c, &pgq.ArgumentError{Field: "Concurrency", Rule: "must be 0 to 100000"}
	case utf8.RuneCountInString(c.Name) > maxName || !utf8.ValidString(c.Name) || strings.ContainsFunc(c.Name, unicode.IsControl):
		return c, &pgq.ArgumentError{Field: "Name", Rule: "must have 1 to 200 characters, none of them control characters"}
	case c.Lease < time.Second || c.Lease > 24*time.Hour:
		return c, &pgq.ArgumentError{Field: "Lease", Rule: "must be 1s to 24h"}
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

// withDefaults returns the settings of a queue completed, or the first rule that they break. Shared: the slots that the queues share, 0 for none.
func (q QueueConfig) withDefaults(name string, shared int) (QueueConfig, error) {
	switch {
	case name == "" || utf8.RuneCountInString(name) > 128 || name == "*":
		return q, &pgq.ArgumentError{Field: "Queues", Rule: fmt.Sprintf("must be named with 1 to 128 characters, not %q", name)}
	case q.Weight != 0 && shared == 0:
		return q, &pgq.ArgumentError{Field: fmt.Sprintf("Queues[%q].Weight", name), Rule: "must not be given without Concurrency, which the queues share"}
	}
	setDefault(&q.Concurrency, shared)
	setDefault(&q.Concurrency, defaultConcurrency)
	setDefault(&q.Weight, 1)
	switch {
	case q.Concurrency < 1 || q.Concurrency > maxConcurrency:
		return q, &pgq.ArgumentError{Field: fmt.Sprintf("Queues[%q].Concurrency", name), Rule: "must be 1 to 100000"}
	case q.Weight < 1 || q.Weight > maxWeight:
		return q, &pgq.ArgumentError{Field: fmt.Sprintf("Queues[%q].Weight", name), Rule: "must be 1 to 1000"}
	}
	return q, nil
}

// setDefault sets what is not set.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
