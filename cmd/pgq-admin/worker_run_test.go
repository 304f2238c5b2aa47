//go:build unix

package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/internal/pgtest"
)

// writeFile writes a file of a test and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWorkerCheckSaysWhatWouldRun(t *testing.T) {
	t.Parallel()
	good := writeFile(t, "pgq.yaml", `
worker: {queues: {media: {concurrency: 3}}}
kinds:
  thumbnail: {run: [sh, -c, "echo $HOME"], timeout: 90s, output: none}
  "odd kind": {shell: cat, dir: /}
`)
	admin(t, "worker", "--config", good, "--check").want(t, 0, "thumbnail", `sh -c 'echo $HOME'`, "1m30s", "odd kind", "queue media: 3 at a time")
	admin(t, "worker", "--config", good, "--check", "-o", "name").want(t, 0, "thumbnail\nodd kind\n")
	admin(t, "worker", "--config", good).want(t, 2, "no database is given")
	admin(t, "worker").want(t, 2, "kinds must be given", "--config FILE")
	admin(t, "worker", "--config", good+".gone").want(t, 2, "no such file")
	missing := writeFile(t, "pgq.yaml", "kinds:\n  a: {run: [./not-there]}\n  b: {run: [cat], dir: not/there}\n  c: {run: [no-such-program]}\n")
	admin(t, "worker", "--config", missing, "--check").want(t, 4, "not-there: no such file or directory", "dir "+filepath.Dir(missing)+"/not/there: no such file", "executable file not found in $PATH")
	admin(t, "worker", "--config", missing).want(t, 2, "pgq.yaml:2: kind \"a\" cannot run: ")
}

func TestWorkerRefusesAFileThatIsWrongAndNamesTheLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"schema: pgq\n": "kinds must be given",
		"kinds: {}\n":   "pgq.yaml:1: kinds must be a map of kinds",
		"kinds: [a]\n":  "pgq.yaml:1: kinds must be a map of kinds",
		"kinds:\n  a:\n    run: [x]\n    timeot: 1s\n":                   `pgq.yaml:4: kind "a": unknown setting timeot; did you mean timeout?`,
		"kinds:\n  a: {}\n":                                              `pgq.yaml:2: kind "a" must be a map`,
		"kinds:\n  a: run\n":                                             `pgq.yaml:2: kind "a" must be a map`,
		"kinds:\n  a: {timeout: 1s}\n":                                   `pgq.yaml:2: kind "a" must have either run or shell`,
		"kinds:\n  a: {run: [x], shell: y}\n":                            `pgq.yaml:2: kind "a" must have either run or shell`,
		"kinds:\n  a: {run: x y}\n":                                      `pgq.yaml:2: kind "a": run must be a list`,
		"kinds:\n  a: {run: []}\n":                                       `pgq.yaml:2: kind "a": run must be a list`,
		"kinds:\n  a: {run: [[x]]}\n":                                    `pgq.yaml:2: kind "a": run must be a list`,
		"kinds:\n  a:\n    run: [x]\n    timeout: 90\n":                  `pgq.yaml:4: kind "a": timeout must be a duration with its unit, 1m30s for example, not "90"`,
		"kinds:\n  a: {run: [x], timeout: -1s}\n":                        `timeout must be a duration`,
		"kinds:\n  a: {run: [x], max_output: 1GiB}\n":                    `max_output must be 1 to 256MiB, 500KiB for example, not "1GiB"`,
		"kinds:\n  a: {run: [x], max_output: 257MiB}\n":                  `max_output must be 1 to 256MiB`,
		"kinds:\n  a: {run: [x], max_memory: 0}\n":                       `max_memory must be 1 to 1048576GiB, 500MiB for example, not "0"`,
		"kinds:\n  a: {run: [x], max_memory: 99999999GiB}\n":             `max_memory must be 1 to 1048576GiB`,
		"kinds:\n  a: {run: [x], output: xml}\n":                         `output must be json, text or none, not "xml"`,
		"kinds:\n  a: {run: [x], clean_env: maybe}\n":                    `clean_env must be true or false`,
		"kinds:\n  a: {run: [x], env: {A: [1]}}\n":                       `env must be a map of variables and their values; "A" is not`,
		"kinds:\n  a: {run: [x], exit_codes: {fail: [0]}}\n":             `exit_codes must be 1 to 255, not "0"`,
		"kinds:\n  a: {run: [x], exit_codes: {fail: 1}}\n":               `exit_codes must be lists of numbers; fail is not`,
		"kinds:\n  a: {run: [x], exit_codes: {explode: [1]}}\n":          `exit_codes must be for complete, retry, fail, snooze and cancel; "explode" is none of them`,
		"kinds:\n  a: {run: [x], exit_codes: {fail: [1], retry: [1]}}\n": `exit_codes has 1 twice, for fail and for retry`,
		"kinds:\n  a: {run: [x]}\n  a: {run: [y]}\n":                     "pgq.yaml:3: ",
		"kinds:\n  a: {run: [x]\n":                                       "pgq.yaml:",
		"kinds:\n  a: {run: [x]}\nworker: {quues: {}}\n":                 "pgq.yaml:3: unknown setting worker.quues; did you mean worker.queues?",
		"kinds:\n  " + strings.Repeat("k", 129) + ": {run: [x]}\n":       "pgq.yaml:2: kinds must have names of 1 to 128 characters",
		"kinds:\n  a: {run: [\"x\\0y\"]}\n":                              `Args and Env must not contain NUL`,
	} {
		o := call{args: []string{"worker", "--check", "--config", "pgq.yaml"}, dir: filepath.Dir(writeFile(t, "pgq.yaml", text))}.run(t)
		o.want(t, 2, want)
		if t.Failed() {
			t.Fatalf("of the file\n%s", text)
		}
	}
}

// workerProcess is a running pgq-admin worker.
type workerProcess struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	log bytes.Buffer
}

func (w *workerProcess) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func startWorker(t *testing.T, url, file string) *workerProcess {
	t.Helper()
	w := &workerProcess{}
	w.cmd = call{args: []string{"worker", "--config", file}, env: []string{"PGQ_DATABASE_URL=" + url, "PGPASSWORD=Hidd3n", "SEEN=yes"}}.command(t.Context())
	w.cmd.Stderr, w.cmd.Stdout = w, w
	w.cmd.WaitDelay = time.Second
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.cmd.ProcessState == nil {
			_ = w.cmd.Process.Kill()
			_ = w.cmd.Wait()
		}
		if t.Failed() {
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Logf("what the worker said:\n%s", w.log.String())
		}
	})
	return w
}

// becomes waits until a query returns this text.
func becomes(t *testing.T, conn *pgx.Conn, want, sql string) {
	t.Helper()
	limit := time.After(45 * time.Second)
	for got := query(t, conn, sql); got != want; got = query(t, conn, sql) {
		select {
		case <-limit:
			t.Fatalf("%s is %q, never became %q", sql, got, want)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestWorkerRunsProgramsAndLeavesNoneWhenItIsKilled(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	file := writeFile(t, "pgq.yaml", `
worker: {lease: 2s, grace: 0s, queues: {default: {concurrency: 4}}}
kinds:
  add:
    shell: sed -n 's/.*"args":\[\([0-9]*\),\([0-9]*\)\].*/\1 + \2/p' | { read -r sum; echo $(($sum)); }
  seen: {shell: 'echo "$SEEN ${PGPASSWORD-none} ${PGQ_DATABASE_URL-none} $PWD"', output: text}
  passed: {run: [printenv, PGPASSWORD], pass_env: [PGPASSWORD], output: text}
  early: {shell: "exit 0", env: {A: b}}
  hold: {shell: 'sleep 600 & echo $! $$ > pids.new; mv pids.new "pids$JOB_ATTEMPT"; wait'}
`)
	dir := filepath.Dir(file)
	w := startWorker(t, url, file)
	if _, err := conn.Exec(t.Context(), `select pgq.enqueue('add', '[40,2]'), pgq.enqueue('seen'), pgq.enqueue('passed')`); err != nil {
		t.Fatal(err)
	}
	becomes(t, conn, "42\n\"yes none none "+dir+"\"\n\"Hidd3n\"", "select output::text from pgq.job_details where state = 'completed' order by id")
	// Args that are more than a pipe holds, to programs that do not read them: the worker must survive that.
	if _, err := conn.Exec(t.Context(), `select pgq.enqueue('early', to_jsonb(repeat('x', 200000))) from generate_series(1, 20)`); err != nil {
		t.Fatal(err)
	}
	becomes(t, conn, "20", "select count(*)::text from pgq.job_states where kind = 'early' and state = 'completed'")

	if _, err := conn.Exec(t.Context(), `select pgq.enqueue('hold')`); err != nil {
		t.Fatal(err)
	}
	first := fileOf(t, filepath.Join(dir, "pids1"))
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = w.cmd.Wait() // it was killed
	gone(t, first)
	heir := startWorker(t, url, file)
	second := fileOf(t, filepath.Join(dir, "pids2"))
	if err := heir.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := heir.cmd.Wait(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	gone(t, second)
	becomes(t, conn, "ready 1", "select state || ' ' || attempt from pgq.job_states where kind = 'hold'")
	admin(t, "check", "--url", url).want(t, 0)
}

// fileOf waits for a file and returns the process ids in it.
func fileOf(t *testing.T, path string) (pids []int) {
	t.Helper()
	limit := time.After(45 * time.Second)
	for {
		data, err := os.ReadFile(path)
		if err == nil {
			for _, word := range strings.Fields(string(data)) {
				pid, err := strconv.Atoi(word)
				if err != nil {
					t.Fatal(err)
				}
				pids = append(pids, pid)
			}
			return pids
		}
		select {
		case <-limit:
			t.Fatalf("%s was not written", path)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// gone waits until processes are dead, or zombies that nobody waits for.
func gone(t *testing.T, pids []int) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for _, pid := range pids {
		for syscall.Kill(pid, 0) == nil {
			if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
				break
			}
			select {
			case <-limit:
				t.Fatalf("process %d still runs", pid)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}
