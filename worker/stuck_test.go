package worker

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

func TestAHandlerThatIgnoresItsContextIsReportedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var seen []Observation
	config, err := Config{
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
		Observe: func(o Observation) { seen = append(seen, o) },
	}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(context.Background(), &Worker{config: config})
	defer e.cancelCalls()
	fine := e.start(waiting{Attempt: &pgq.Attempt{ID: 1}})
	cancelled := e.start(waiting{Attempt: &pgq.Attempt{ID: 2}})
	overdue := e.start(waiting{Attempt: &pgq.Attempt{ID: 3, Timeout: time.Minute}})
	e.reportStuck()
	cancelled.cancel(pgq.ErrCancelRequested)
	e.reportStuck() // notes the time
	if len(seen) > 0 {
		t.Fatalf("reported too early: %+v", seen)
	}
	cancelled.cancelledAt = cancelled.cancelledAt.Add(-2 * stuckAfter)
	overdue.began = overdue.began.Add(-time.Minute - 2*stuckAfter)
	e.reportStuck()
	e.reportStuck()
	if len(seen) != 2 || seen[0].Type != "stuck" || seen[0].JobID+seen[1].JobID != 5 {
		t.Errorf("observed %+v, want jobs 2 and 3 once each", seen)
	}
	if !strings.Contains(log.String(), "job_id=2") || !strings.Contains(log.String(), pgq.ErrCancelRequested.Error()) {
		t.Errorf("log is %q", log.String())
	}
	for _, s := range []*started{fine, cancelled, overdue} {
		s.cancel(nil)
	}
}
