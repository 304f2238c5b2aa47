package examples

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
)

// workers are the examples of workers that are not written in Go, by the prefix of their kinds, and how to start them.
var workers = map[string]struct {
	kinds string
	start func(t *testing.T) []string
}{
	"python-worker": {"python_", func(t *testing.T) []string { return []string{python(t), "python-worker/worker.py"} }},
	"shell-worker": {"shell_", func(t *testing.T) []string {
		for _, program := range []string{"bash", "psql"} {
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("NOT TESTED: examples/shell-worker needs %s: %v", program, err)
			}
		}
		return []string{"shell-worker/worker.sh"}
	}},
}

// python returns an interpreter that has psycopg2.
func python(t *testing.T) string {
	t.Helper()
	var tried strings.Builder
	for _, program := range []string{"python3", "/usr/bin/python3"} {
		out, err := exec.Command(program, "-c", "import psycopg2").CombinedOutput()
		if err == nil {
			return program
		}
		fmt.Fprintf(&tried, "%s: %v %s\n", program, err, out)
	}
	t.Skipf("NOT TESTED: examples/python-worker needs Python with psycopg2 (Debian: apt-get install python3-psycopg2)\n%s", tried.String())
	return ""
}

// site is a database and the workers of one example on it.
type site struct {
	*testing.T
	url     string
	pool    *pgxpool.Pool
	kinds   string
	command []string
}

// process is a running worker.
type process struct {
	cmd *exec.Cmd
	log *book
}

// book keeps what a worker says.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (s *site) start() *process {
	s.Helper()
	cmd := command(s.T, s.url, s.command[0])
	cmd.Args = append(cmd.Args, s.command[1:]...)
	cmd.Env = append(cmd.Env, "WORKER_LEASE=4", "PYTHONDONTWRITEBYTECODE=1")
	p := &process{cmd, &book{}}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if s.Failed() {
			s.Logf("what the worker said:\n%s", p.log)
		}
	})
	return p
}

// ends ends a worker in order.
func (s *site) ends(p *process) {
	s.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		s.Errorf("the worker ended with %v", err)
	}
}

func (s *site) enqueue(kind string, args any, options string) (id int64) {
	s.Helper()
	data, err := json.Marshal(args)
	if err != nil {
		s.Fatal(err)
	}
	if err := s.pool.QueryRow(s.Context(), "select pgq.enqueue($1, $2"+options+")", s.kinds+kind, string(data)).Scan(&id); err != nil {
		s.Fatal(err)
	}
	return id
}

func (s *site) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.pool.Exec(s.Context(), sql, args...); err != nil {
		s.Fatal(err)
	}
}

// becomes waits until a query returns this text.
func (s *site) becomes(want, sql string, args ...any) {
	s.Helper()
	limit := time.After(45 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var got string
		if err := s.pool.QueryRow(s.Context(), "select coalesce(("+sql+")::text, '')", args...).Scan(&got); err != nil {
			s.Fatalf("%s: %v", sql, err)
		}
		if got == want {
			return
		}
		select {
		case <-limit:
			s.Fatalf("%s is %q, never became %q", sql, got, want)
		case <-tick.C:
		}
	}
}

const state = "select state || ' ' || attempt from pgq.job_states where id = $1"

func TestEachWorkerWithoutGoRunsJobsToTheirEnds(t *testing.T) {
	t.Parallel()
	onEachWorker(t, func(s *site) {
		flag := filepath.Join(s.TempDir(), "been")
		p := s.start()
		flaky := s.enqueue("flaky", map[string]string{"why": "'; drop table pgq.jobs; -- $(id) `id` \\' %s :'x'"}, "")
		refused := s.enqueue("refuse", 1, "")
		unknown := s.enqueue("nobody_knows", 1, "")
		s.becomes("completed 2", state, flaky)
		s.becomes("failed 1", state, refused)
		s.becomes("1", "select count(*) from pgq.results where job_id = $1 and error like '%it will never work'", refused)
		if s.kinds == "python_" {
			later := s.enqueue("later", map[string]string{"flag": flag}, ", max_attempts => 1")
			s.becomes("completed 1", state, later)
			greet := s.enqueue("greet", map[string]string{"name": "\u202e'\"\\ \n é"}, "")
			s.becomes("1", `select count(*) from pgq.job_details where id = $1 and output = jsonb_build_object('hello', args -> 'name', 'attempt', 1)`, greet)
			s.becomes("greeting", "select message from pgq.logs where job_id = $1", greet)
		} else {
			echo := s.enqueue("echo", map[string]any{"name": "\u202e'\"\\ \n é $(id) `id` :'x' %s", "n": json.Number("12345678901234567890123")}, "")
			s.becomes("1", `select count(*) from pgq.job_details where id = $1 and output -> 'args' = args`, echo)
			s.becomes("echoing", "select message from pgq.logs where job_id = $1", echo)
			big := s.enqueue("echo", strings.Repeat("x", 300_000), "")
			s.becomes("300000", `select length(output ->> 'args') from pgq.job_details where id = $1`, big)
		}
		s.becomes("ready 0", state, unknown)
		s.ends(p)
		s.becomes("0", "select count(*) from pgq.workers where dead_at is null")
	})
}

func TestAnyWorkerTakesOverFromOneThatWasKilled(t *testing.T) {
	t.Parallel()
	onEachWorker(t, func(s *site) {
		victim := s.start()
		id := s.enqueue("hold", map[string]int{"seconds": 3600}, "")
		s.becomes("running 1", state, id)
		if err := victim.cmd.Process.Kill(); err != nil {
			s.Fatal(err)
		}
		_ = victim.cmd.Wait() // it was killed
		heir := s.start()
		s.becomes("running 2", state, id)
		s.exec("select pgq.cancel(array[$1::bigint])", id)
		s.becomes("cancelled 2", state, id)
		s.becomes("1", "select count(*) from pgq.workers where dead_at is null")
		s.ends(heir)
	})
}

func TestAWorkerThatWasDeclaredDeadRegistersAnew(t *testing.T) {
	t.Parallel()
	onEachWorker(t, func(s *site) {
		p := s.start()
		id := s.enqueue("hold", map[string]int{"seconds": 3600}, ", max_attempts => 1")
		s.becomes("running 1", state, id)
		s.exec("with silent as (update pgq.workers set heartbeat_at = '-infinity' returning id) select pgq.rescue() from silent")
		s.becomes("failed 1", state, id)
		after := s.enqueue("flaky", map[string]int{}, "")
		s.becomes("completed 2", state, after)
		s.exec("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name in ('psql', '')")
		after = s.enqueue("flaky", map[string]int{}, "")
		s.becomes("completed 2", state, after)
		s.ends(p)
	})
}

// onEachWorker runs a test on each example, each with a database of its own, whose invariants hold at the end.
func onEachWorker(t *testing.T, test func(s *site)) {
	for name, w := range workers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &site{T: t, kinds: w.kinds, command: w.start(t), url: pgtest.Database(t)}
			config, err := pgxpool.ParseConfig(s.url)
			if err != nil {
				t.Fatal(err)
			}
			config.ConnConfig.RuntimeParams["application_name"] = "test"
			if s.pool, err = pgxpool.NewWithConfig(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.pool.Close)
			test(s)
			found, err := pgq.New(pgq.Config{}).Check(context.Background(), s.pool)
			if err != nil || len(found) > 0 {
				t.Errorf("broken invariants: %v %v", found, err)
			}
			if left, _ := os.ReadDir("python-worker"); name == "python-worker" && len(left) != 1 {
				t.Errorf("files are left beside the worker: %v", left)
			}
		})
	}
}
