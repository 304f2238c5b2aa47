package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgq-go/queue/internal/pgtest"
)

// demoTime is how long the demo may take.
const demoTime = 30 * time.Second

// everything lists what a database holds, to be compared before and after.
const everything = `
	select 'schema ' || nspname from pg_namespace where nspname not like 'pg\_%'
	union all select 'relation ' || relnamespace::regnamespace || '.' || relname from pg_class where relnamespace::regnamespace::text !~ '^pg_|^information_'
	union all select 'rows ' || (select count(*) from pgq_demo.precious)
	union all select 'job ' || id from pgq.jobs
	order by 1`

// occupied returns a database that holds PGQ, a job, and a schema with the name that the demo would like.
func occupied(t *testing.T) string {
	t.Helper()
	url := pgtest.Database(t)
	_, err := connect(t, url).Exec(t.Context(), `
		select pgq.enqueue('mail');
		create schema pgq_demo;
		create table pgq_demo.precious as select generate_series(1, 3)`)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func TestDemoLeavesAGivenDatabaseAsItWas(t *testing.T) {
	t.Parallel()
	url := occupied(t)
	conn := connect(t, url)
	before := query(t, conn, everything)
	begin := time.Now()
	report := filepath.Join(t.TempDir(), "new", "directory")
	o := admin(t, "demo", "--url", url, "--workers", "3", "--report", report)
	o.want(t, 0,
		"the server of the given URL",
		"schema pgq_demo_2 holds PGQ, schema pgq_demo_2_app the demo's own table",
		"rollback: neither the row nor the DAG is there",
		"3 workers count ", "completed  packages in ", "completed  count, ", "completed  report in ", "failed     missing in ",
		"count_go/first: completed, ", "most used words: ", "Slowest nodes", "Critical path",
		"failed after 3 attempts", "no/such/package:", "retried    attempt 1", "failed     attempt 3",
		"jobs/s", "wait p50", "10,000 completed in noops", "1 failed in sources",
		"Check: every invariant holds", "README.md", "pgq_demo_2.job_states",
		filepath.Join(report, "dag.mmd"), "https://mermaid.live", filepath.Join(report, "report.md"),
		"everything that the demo made is removed again, but for the report")
	if took := time.Since(begin); took > demoTime {
		t.Errorf("the demo took %s; %s are allowed", took, demoTime)
	}
	if o.stderr != "" || strings.Contains(o.stdout, "\x1b") || strings.Contains(o.stdout, "\r") {
		t.Errorf("stderr %q, or control characters outside of a terminal in\n%s", o.stderr, o.stdout)
	}
	if after := query(t, conn, everything); after != before {
		t.Errorf("the database was\n%s\nand is\n%s", before, after)
	}
	wantNoSessions(t, url)
	picture := read(t, filepath.Join(report, "dag.mmd"))
	if text := read(t, filepath.Join(report, "report.md")); !strings.Contains(text, "```mermaid\n"+picture+"```") || !strings.Contains(text, "| **all** | ") {
		t.Errorf("the report is\n%s", text)
	}
	if !strings.HasPrefix(picture, "flowchart TD\n") || !strings.Contains(picture, ":::failed") {
		t.Errorf("the picture is\n%s", picture)
	}
}

func TestDemoWithoutADatabaseStartsOneAndRemovesIt(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	o := admin(t, "demo", "--report", t.TempDir())
	o.want(t, 0, "PostgreSQL 1", "schema pgq_demo holds PGQ", "bytes of WAL per job", "Check: every invariant holds")
	if took := time.Since(begin); took > demoTime {
		t.Errorf("the demo took %s; %s are allowed", took, demoTime)
	}
	wantNothingLeft(t, o.stdout)
}

func TestDemoWithoutGoSourcesCountsItsOwn(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	o := call{args: []string{"demo", "--url", url, "--report", t.TempDir()}, env: []string{"PATH=" + t.TempDir(), "GOROOT="}}.run(t)
	o.want(t, 0, "the demo's own sources, since no Go source tree was found", "completed  count, 1 of 1\n")
}

func TestDemoKeepsItsSchemasWhenAsked(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	o := call{args: []string{"demo", "--keep", "--report", t.TempDir()}, env: []string{"PGQ_DATABASE_URL=" + url, "PATH=" + t.TempDir(), "GOROOT="}}.run(t)
	o.want(t, 0, "psql ", "drop schema pgq_demo, pgq_demo_app cascade;", "are still there")
	admin(t, "check", "--url", url, "--schema", "pgq_demo").want(t, 0, "all invariants hold")
	if config := connect(t, url).Config(); config.Password != "" {
		o.hides(t, config.Password)
	}
}

func TestTheLinesThatDemoKeepPrintsWorkUntilCtrlC(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("no psql in PATH")
	}
	d := begin(t, "demo", "--keep", "--report", t.TempDir())
	out := d.until(t, "runs until you press Ctrl-C")
	command := regexp.MustCompile(`(?m)^  (.*psql .*)$`).FindStringSubmatch(out)
	statements := regexp.MustCompile(`(?m)^     (select .*;)$`).FindAllStringSubmatch(out, -1)
	if command == nil || len(statements) != 5 {
		t.Fatalf("no psql command or not 5 statements in\n%s", out)
	}
	for _, s := range statements {
		psql := exec.CommandContext(t.Context(), "sh", "-c", command[1]+" -v ON_ERROR_STOP=1 -At -f -")
		psql.Stdin = strings.NewReader(s[1])
		if got, err := psql.CombinedOutput(); err != nil || len(got) == 0 {
			t.Errorf("%s\n%s\n%v: %s", command[1], s[1], err, got)
		}
	}
	if code := d.interrupt(t, syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	wantNothingLeft(t, d.output.String())
}

func TestCtrlCInTheMiddleOfTheDemoCleansUp(t *testing.T) {
	t.Parallel()
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		url := occupied(t)
		conn := connect(t, url)
		before := query(t, conn, everything)
		d := begin(t, "demo", "--url", url)
		d.until(t, "workers count")
		if got := d.interrupt(t, signal); got != code {
			t.Errorf("%s: exit code %d, want %d", signal, got, code)
		}
		if after := query(t, conn, everything); after != before {
			t.Errorf("%s: the database was\n%s\nand is\n%s", signal, before, after)
		}
		wantNoSessions(t, url)
	}
	d := begin(t, "demo")
	out := d.until(t, "workers count")
	if code := d.interrupt(t, syscall.SIGINT); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	wantNothingLeft(t, out)
}

func TestDemoCleansUpWhenNobodyReadsItsOutputAnyMore(t *testing.T) {
	t.Parallel()
	url := occupied(t)
	conn := connect(t, url)
	before := query(t, conn, everything)
	d := begin(t, "demo", "--url", url)
	d.until(t, "schema pgq_demo_2")
	if err := d.stdout.Close(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait() // its exit code is what we look at
	if code := d.cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGPIPE) {
		t.Errorf("exit code %d, want that of SIGPIPE", code)
	}
	if after := query(t, conn, everything); after != before {
		t.Errorf("the database was\n%s\nand is\n%s", before, after)
	}
}

// running is a demo that runs.
type running struct {
	cmd    *exec.Cmd
	stdout io.Closer
	lines  *bufio.Scanner
	output bytes.Buffer
}

// begin starts the program. It is killed at the end of the test if it still runs.
func begin(t *testing.T, args ...string) *running {
	t.Helper()
	d := &running{cmd: call{args: args}.command(context.Background())}
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.stdout, d.lines = stdout, bufio.NewScanner(stdout)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			_ = d.cmd.Process.Kill()
			_ = d.cmd.Wait()
		}
	})
	return d
}

// until reads lines up to one with the text, and returns all of them.
func (d *running) until(t *testing.T, text string) string {
	t.Helper()
	for d.lines.Scan() {
		fmt.Fprintln(&d.output, d.lines.Text())
		if strings.Contains(d.lines.Text(), text) {
			return d.output.String()
		}
	}
	t.Fatalf("no %q in\n%s", text, d.output.String())
	return ""
}

// interrupt sends a signal and returns the exit code.
func (d *running) interrupt(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := d.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	for d.lines.Scan() {
		fmt.Fprintln(&d.output, d.lines.Text())
	}
	_ = d.cmd.Wait() // its exit code is what we look at
	return d.cmd.ProcessState.ExitCode()
}

// wantNoSessions checks that no session of the demo is left, waiting for those that are just ending.
func wantNoSessions(t *testing.T, url string) {
	t.Helper()
	conn := connect(t, url)
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := query(t, conn, "select state || ': ' || query from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name like 'pgq%'")
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("sessions are left:\n%s", left)
		}
	}
}

// wantNothingLeft checks that the private cluster which the output names has no process and no directory any more.
func wantNothingLeft(t *testing.T, output string) {
	t.Helper()
	m := regexp.MustCompile(`private cluster of \S+ in (\S+)`).FindStringSubmatch(output)
	if m == nil {
		t.Logf("not a private cluster, so there is no directory to look for:\n%s", output)
		return
	}
	if _, err := os.Stat(m[1]); !os.IsNotExist(err) {
		t.Errorf("%s is left (%v)", m[1], err)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range processes {
		if line, err := os.ReadFile(p); err == nil && bytes.Contains(line, []byte(m[1])) {
			t.Errorf("a process is left: %s: %s", p, bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
}
