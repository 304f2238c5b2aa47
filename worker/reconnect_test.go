package worker_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// named returns a pool on the same database whose sessions are known by this name.
func (b *bench) named(name string, change func(*pgxpool.Config)) *pgxpool.Pool {
	b.t.Helper()
	config := b.pool.Config().Copy()
	config.ConnConfig.RuntimeParams["application_name"] = name
	if change != nil {
		change(config)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(pool.Close)
	return pool
}

const kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'victim' and datname = current_database()"

func TestEveryLoopReconnects(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pool := b.named("victim", nil)
	saw := &observations{}
	w := b.workerOn(pool, worker.Config{Queues: worker.Queues{"default": {Concurrency: 20}}, Heartbeat: 20 * time.Millisecond,
		PollInterval: 200 * time.Millisecond, Observe: saw.add})
	var ran atomic.Int64
	worker.Handle(w, func(_ context.Context, job *pgq.Job[letter]) error {
		ran.Add(1)
		if job.Args.To%7 == 0 && job.Number == 1 {
			return pgq.RetryAfter(0, fmt.Errorf("once more"))
		}
		return nil
	})
	b.run(w)
	const rounds, each = 25, 40
	for round := range rounds {
		if round%2 == 0 {
			b.enqueueMany(each, pgq.Options{})
		} else {
			for n := range each {
				b.add(letter{To: n}, pgq.Options{Delay: time.Duration(n%2) * 10 * time.Millisecond})
			}
		}
		before := ran.Load()
		b.number(kill)
		b.eventually("handlers run again", func() bool { return ran.Load() > before || b.number(completed) == int64((round+1)*each) })
	}
	b.becomes(rounds*each, completed)
	b.becomes(0, "select count(*) from pgq.running")
	if dead := saw.of("declared_dead"); len(dead) > 0 {
		t.Error("the worker was declared dead: what was left over may have been rescued, not disowned")
	}
	// All loops are at work: the listener holds its gate, heartbeats and chores go on, cancellations arrive.
	b.becomes(1, gates)
	b.eventually("the worker is ready", func() bool { return w.Ready() == nil })
	b.ends(b.add(letter{To: 1}, pgq.Options{Delay: 10 * time.Millisecond}), pgq.Completed, 1)
}

func TestPollingAloneWorksInEveryModeOfTheDriver(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]pgx.QueryExecMode{
		"exec": pgx.QueryExecModeExec, "simple protocol": pgx.QueryExecModeSimpleProtocol, "describe": pgx.QueryExecModeDescribeExec,
		"cache describe": pgx.QueryExecModeCacheDescribe,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.polls(b.named("poller", func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode }))
		})
	}
}

// polls has a worker that only polls do a bit of everything through a pool.
func (b *bench) polls(pool *pgxpool.Pool) {
	t := b.t
	t.Helper()
	started := make(chan struct{})
	w := b.workerOn(pool, worker.Config{PollOnly: true, PollInterval: 50 * time.Millisecond, Heartbeat: 20 * time.Millisecond})
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		worker.Logger(ctx).Info("at it", "to", job.Args.To)
		if err := job.Progress(ctx, 1, 2); err != nil {
			return nil, pgq.Permanent(err)
		}
		switch job.Args.To {
		case 1:
			return receipt{1}, nil
		case 2:
			return nil, pgq.Permanent(fmt.Errorf("broken 'by' \"design\" \\ "))
		case 3:
			close(started)
			<-ctx.Done()
			return nil, ctx.Err()
		case 4:
			if len(b.history(job.ID, "snoozed")) == 0 {
				return nil, pgq.Snooze(time.Millisecond)
			}
		case 5:
			return "done", pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return job.Complete(ctx, tx, receipt{5}) })
		case 6:
			if job.Number == 1 {
				panic("once")
			}
		}
		return nil, nil
	})
	b.run(w)
	options := pgq.Options{Backoff: atOnce, Tags: []string{"a", "b"}, Metadata: map[string]any{"m": 1}, Timeout: time.Hour, TTL: time.Hour}
	ids := make([]int64, 7)
	for n := range ids {
		job, err := b.q.Enqueue(context.Background(), pool, letter{To: n}, options)
		if err != nil {
			t.Fatal(err)
		}
		ids[n] = job.ID
	}
	receive(t, started, "the handler")
	b.cancels(ids[3], "requested")
	b.ends(ids[0], pgq.Completed, 1)
	if job := b.ends(ids[1], pgq.Completed, 1); string(job.Output) != `{"number": 1}` {
		t.Errorf("output is %s", job.Output)
	}
	b.errorHas(b.ends(ids[2], pgq.Failed, 1), `broken 'by' "design" \ `)
	b.ends(ids[3], pgq.Cancelled, 1)
	b.ends(ids[4], pgq.Completed, 1)
	b.ends(ids[5], pgq.Completed, 1)
	b.ends(ids[6], pgq.Completed, 2)
	b.eventually("logs are kept", func() bool { return b.number("select count(distinct job_id) from pgq.logs") == 7 })
}

func TestPollingAloneWorksThroughATransactionPooler(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("SKIPPED: there is no pgbouncer on PATH: ", err)
	}
	pool := pgtest.Pool(t)
	b := onPool(t, pool)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	c := pool.Config().ConnConfig
	password := ""
	if c.Password != "" {
		password = "password=" + c.Password
	}
	settings := strings.NewReplacer("HOST", c.Host, "PORT", strconv.Itoa(int(c.Port)), "USER", c.User, "PASSWORD", password,
		"DATABASE", c.Database, "DIR", dir).Replace(`[databases]
DATABASE = host=HOST port=PORT user=USER PASSWORD
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 16432
unix_socket_dir =
auth_type = any
pool_mode = transaction
`)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	arguments := []string{file}
	if os.Geteuid() == 0 {
		arguments = []string{"-u", "nobody", file}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	process := exec.Command(program, arguments...)
	process.Stderr = b.log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Process.Kill(); _ = process.Wait() })
	address := url.URL{Scheme: "postgres", User: url.UserPassword(c.User, "any"), Host: "127.0.0.1:16432", Path: c.Database}
	config, err := pgxpool.ParseConfig(address.String())
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	through, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(through.Close)
	b.eventually("pgbouncer answers", func() bool { return through.Ping(context.Background()) == nil })
	b.polls(through)
}
