package integration

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// run runs a worker in this process, through this URL. It returns what it logs, and a function that stops it.
func (s *system) run(url string, c worker.Config) (log *logbook, stop func()) {
	s.t.Helper()
	log = &logbook{}
	c.Logger = slog.New(slog.NewTextHandler(log, nil))
	if c.Grace == 0 {
		c.Grace = deadline
	}
	w := newWorker(connect(s.t, url), c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				s.t.Errorf("Run: %v", err)
			}
		case <-time.After(2 * deadline):
			s.t.Error("Run does not return")
		}
		if s.t.Failed() {
			s.t.Log("the worker logged:\n", log)
		}
	})
	s.t.Cleanup(stop)
	eventually(s.t, "the worker is ready", func() bool { return w.Ready() == nil || len(ended) > 0 })
	return log, stop
}

// logbook keeps what a worker logs.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestAnEnqueueIsAllOrNothingWhenTheConnectionBreaksDuringItsCommit(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	p, url := proxied(t, s.url)
	pool := connect(t, url)
	ctx := context.Background()
	const rounds, each = 30, 5
	known := 0
	for round := range rounds {
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			for range each {
				job, err := s.q.Enqueue(ctx, tx, errand{"note"}, pgq.Options{})
				if err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, "insert into effects values ($1, 0, 0, 'order')", job.ID); err != nil {
					return err
				}
			}
			switch round % 3 {
			case 0:
				p.cutAfter("commit")
			case 1: // the backend is killed just before
				s.exec("select pg_terminate_backend($1::int)", tx.Conn().PgConn().PID())
			}
			return nil
		})
		if err == nil {
			known++
		}
	}
	if p.cuts != rounds/3 || known != rounds/3 {
		t.Errorf("%d connections were cut and %d commits confirmed, want %d", p.cuts, known, rounds/3)
	}
	s.run(s.url, worker.Config{})
	// A server that has got the commit makes it, whether its answer arrives or not.
	s.becomes(2*rounds/3*each, completed)
	s.is(2*rounds/3*each, "orders with a job that ran", "select count(*) from effects o join effects r using (job_id) where o.what = 'order' and r.what = 'ran'")
	s.is(0, "orders or jobs without the other", `select count(*) from (select job_id from effects where what = 'order') o
		full join pgq.jobs j on j.id = o.job_id where j.id is null or o.job_id is null`)
}

func TestNothingIsLostOrDoneTwiceWhenTheAnswersToAWorkerAreLost(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	p, url := proxied(t, s.url)
	url += "&default_query_exec_mode=exec" // each message names its function, and has it executed
	log, stop := s.run(url, worker.Config{Queues: worker.Queues{"default": {Concurrency: 20}}, PollOnly: true, PollInterval: 20 * time.Millisecond})
	jobs := 0
	for round := range 24 {
		p.cutAfter([]string{"claim(", "complete(", "disown("}[round%3])
		s.enqueue(20, "quick", pgq.Options{})
		jobs += 20
		if round%3 < 2 {
			eventually(t, "an answer is lost", p.hasCut)
		}
		s.becomes(int64(jobs), completed)
	}
	s.becomes(0, leased)
	s.is(int64(jobs), "jobs", "select count(*) from pgq.jobs")
	stop()
	if strings.Contains(log.String(), "lease was lost") {
		t.Error("the worker says that leases were lost; only answers were")
	}
	s.is(0, "jobs that failed an attempt", "select count(*) from pgq.results where state <> 'completed'")
}

func TestAWorkerRecoversFromHalfOpenConnections(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	p, url := proxied(t, s.url)
	log, _ := s.run(url, worker.Config{Queues: worker.Queues{"default": {Concurrency: 5}}, Lease: lease})
	s.enqueue(20, "quick", pgq.Options{})
	s.becomes(20, completed)
	p.swallow()
	begin := time.Now()
	s.enqueue(20, "quick", pgq.Options{})
	s.becomes(40, completed)
	t.Logf("recovered after %s", time.Since(begin))
	s.becomes(0, leased)
	if log.String() == "" {
		t.Error("nothing was logged")
	}
	p.breakAll() // the rest are dead: spare the worker the wait
}

func TestAWorkerStopsInTimeThoughItsDatabaseIsAway(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	p, url := proxied(t, s.url)
	_, stop := s.run(url, worker.Config{Queues: worker.Queues{"default": {Concurrency: 100}}, Lease: lease, Grace: -1})
	s.enqueue(100, "hold once", pgq.Options{})
	s.becomes(100, leased)
	p.takeDown()
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	s.run(s.url, worker.Config{Lease: lease, Queues: worker.Queues{"default": {Concurrency: 100}}})
	s.becomes(100, completed)
}
