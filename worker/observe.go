package worker

import "time"

// Observation is something that happened in a worker.
type Observation struct {
	// Type: claimed, completed, failed (the attempt), snoozed, suspended, cancelled, released, lease_lost, stuck of
	// attempts; declared_dead and reconnected of the worker.
	Type    string
	JobID   int64
	Queue   string
	Kind    string
	Attempt int
	// Wait is from claim to start, Run from start to return, of attempts that were started.
	Wait, Run time.Duration
	Err       error
}

// observe tells the hook, if there is one.
func (w *Worker) observe(o Observation) {
	if w.config.Observe != nil {
		w.config.Observe(o)
	}
}
