package config

import (
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// ClientConfig returns the settings as package pgq takes them. What code sets wins. With keys the client can read what is encrypted
// of pgq.JSON, pgq.Raw and pgq.Binary; what it encrypts is for code to say: [Settings.Keys], pgq.Encrypt.
func (l *Loaded) ClientConfig(code pgq.Config) pgq.Config {
	setDefault(&code.Schema, l.Schema)
	setDefault(&code.NoNotify, l.NoNotify)
	if l.Keys != nil {
		known := []pgq.Codec{pgq.Encrypt(pgq.JSON, l.Keys), pgq.Encrypt(pgq.Raw, l.Keys), pgq.Encrypt(pgq.Binary, l.Keys)}
		code.Codecs = append(known, code.Codecs...) // of those with one name the last one counts
	}
	return code
}

// WorkerConfig returns the settings as package worker takes them. What code sets wins; its zero values are not set, and so false
// cannot take back a true. Without a Client in code there is one with the settings of [Loaded.ClientConfig].
func (l *Loaded) WorkerConfig(code worker.Config) worker.Config {
	c, w := code, l.Worker
	if c.Client == nil {
		c.Client = pgq.New(l.ClientConfig(pgq.Config{}))
	}
	if len(c.Queues) == 0 {
		c.Queues = w.Queues
	}
	if c.Lease == 0 || l.Source("worker.heartbeat") != fromDefault {
		setDefault(&c.Heartbeat, w.Heartbeat)
	}
	setDefault(&c.Name, w.Name)
	setDefault(&c.Lease, w.Lease)
	setDefault(&c.PollInterval, w.PollInterval)
	setDefault(&c.PollOnly, w.PollOnly)
	setDefault(&c.Grace, orNone(w.Grace))
	setDefault(&c.Concurrency, w.Concurrency)
	setDefault(&c.Prefetch, orNone(w.Prefetch))
	setDefault(&c.NoChores, w.NoChores)
	return c
}

// HandleKinds lets a worker run the kinds of the file by their programs.
func (s *Settings) HandleKinds(w *worker.Worker) {
	for _, k := range s.Kinds {
		worker.HandleCommand(w, k.Name, k.Command)
	}
}

// orNone returns what means none to package worker, where 0 means the default.
func orNone[T ~int | ~int64](n T) T {
	if n == 0 {
		return -1
	}
	return n
}

// setDefault sets what is not set.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
