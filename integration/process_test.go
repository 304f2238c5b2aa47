package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// A test binary that finds these in its environment is a worker process.
const (
	workerURL         = "PGQ_TEST_WORKER_URL"
	workerConcurrency = "PGQ_TEST_WORKER_CONCURRENCY"
	workerLease       = "PGQ_TEST_WORKER_LEASE"
)

// workerMain is the main function of a worker process: it works until SIGTERM, or until its standard input, which
// the test holds, is closed.
func workerMain(url string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		stop()
	}()
	concurrency, _ := strconv.Atoi(os.Getenv(workerConcurrency))
	lease, _ := time.ParseDuration(os.Getenv(workerLease))
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	config.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer pool.Close()
	w := newWorker(pool, worker.Config{
		Queues: worker.Queues{"default": {Concurrency: concurrency}}, Lease: lease, Grace: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err := w.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// newWorker returns a worker for errands and deeds.
func newWorker(pool *pgxpool.Pool, c worker.Config) *worker.Worker {
	w := worker.New(pool, c)
	handleDeeds(w, pool, func(*pgq.Attempt) {})
	handleJourneys(w, pool)
	handleBatches(w, pool)
	handleTurns(w, pool)
	handleCrates(w, pool)
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[errand]) error {
		note := func(what string) error {
			_, err := pool.Exec(context.WithoutCancel(ctx), "insert into effects values ($1, $2, $3, $4)", job.ID, job.Number, os.Getpid(), what)
			return err
		}
		switch job.Args.What {
		case "hold once": // until killed, on the first attempt
			if job.Number > 1 {
				return note("ran again")
			}
			if err := note("holds"); err != nil {
				return err
			}
			<-ctx.Done()
			return errors.Join(note(context.Cause(ctx).Error()), ctx.Err())
		case "ignore once": // goes on, and says it is done, when its lease was lost
			if job.Number > 1 {
				return note("ran again")
			}
			if err := note("holds"); err != nil {
				return err
			}
			<-ctx.Done()
			return note(context.Cause(ctx).Error())
		case "call": // a service that is down until effects say that it is up
			var up bool
			if err := pool.QueryRow(ctx, "select exists (select from effects where what = 'up')").Scan(&up); err != nil {
				return err
			}
			if !up {
				return errors.Join(note("refused"), errors.New("the service is down"))
			}
			return note("answered")
		case "note":
			return note("ran")
		}
		return nil
	})
	return w
}

// process is a worker process.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended
	asked sync.Once     // to end
	mu    sync.Mutex
	log   bytes.Buffer
}

// Write takes what the process logs.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) logged(part string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(p.log.String(), part)
}

// worker starts a worker process. The end of the test ends it.
func (s *system) worker(url string, concurrency int, lease time.Duration) *process {
	s.t.Helper()
	return s.process(workerURL+"="+url, workerConcurrency+"="+strconv.Itoa(concurrency), workerLease+"="+lease.String())
}

// process starts this test binary with variables in its environment. The end of the test ends it.
func (s *system) process(environment ...string) *process {
	s.t.Helper()
	p := &process{t: s.t, done: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.Stderr = p
	stdin, err := p.cmd.StdinPipe() // closed when this process dies, however it dies
	if err != nil {
		s.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	s.t.Cleanup(func() {
		_ = stdin.Close()
		p.signal(syscall.SIGCONT)
		p.terminate()
		select {
		case <-p.done:
		case <-time.After(deadline):
			s.t.Errorf("worker process %d does not end", p.cmd.Process.Pid)
			p.kill()
		}
		if p.mu.Lock(); s.t.Failed() {
			s.t.Logf("worker process %d logged:\n%s", p.cmd.Process.Pid, p.log.String()[:min(p.log.Len(), 20_000)])
		}
		p.mu.Unlock()
	})
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill is SIGKILL.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// terminate is SIGTERM, once: a second one would not wait.
func (p *process) terminate() { p.asked.Do(func() { p.signal(syscall.SIGTERM) }) }

// ends asks the process to stop, as an operator does, and waits until it has.
func (p *process) ends() {
	p.t.Helper()
	p.terminate()
	select {
	case <-p.done:
	case <-time.After(deadline):
		p.t.Fatalf("worker process %d does not end", p.pid())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("worker process %d ended with code %d", p.pid(), code)
	}
}
