package worker

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Ready returns nil when the worker is at work: registered, with a heartbeat younger than its lease, and not
// stopping; else why not. For readiness probes.
func (w *Worker) Ready() error {
	e := w.engine.Load()
	if e == nil {
		return errors.New("worker: not started")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping {
		return errors.New("worker: stopping")
	}
	if age := time.Since(e.beat); age > w.config.Lease {
		return fmt.Errorf("worker: last heartbeat %s ago, longer than the lease of %s", age.Round(time.Second), w.config.Lease)
	}
	return nil
}

// Live returns nil unless the worker is beyond help and should be restarted: its loops are stuck although its
// lease ended ten times over. A database that is away is no reason. For liveness probes.
func (w *Worker) Live() error {
	e := w.engine.Load()
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if age := time.Since(e.tried); age > 10*w.config.Lease {
		return fmt.Errorf("worker: no heartbeat was tried for %s", age.Round(time.Second))
	}
	return nil
}

// Health serves GET /livez and /readyz: 200, or 503 with the reason.
func (w *Worker) Health() http.Handler {
	mux := http.NewServeMux()
	probe := func(check func() error) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			if err := check(); err != nil {
				http.Error(rw, err.Error(), http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintln(rw, "ok") //nolint:errcheck // the prober is gone
		}
	}
	mux.Handle("GET /livez", probe(w.Live))
	mux.Handle("GET /readyz", probe(w.Ready))
	return mux
}
