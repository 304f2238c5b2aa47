package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pgq-go/queue/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// outputs are regular expressions, one per line that an example prints, in order.
var outputs = map[string][]string{
	"hello": {
		`the order and its job are committed`,
		`sending the receipt of order 1, attempt 1`,
		`the receipt is R-00001`,
	},
	"transactional": {
		`attempt 1: deposited, but it breaks before the commit`,
		`attempt 2: deposited, completing the job in the same transaction`,
		`completed; the balance is 10`,
	},
	"progress": {
		`watcher: 5 of 1000 rows are done, it says "exported a row"; cancelling`,
		`worker: stopping because pgq: cancellation of the job was requested`,
		`watcher: the job is cancelled`,
	},
	"batch": {
		`before: 10000 ready`,
		`after: 9999 completed`,
		`after: 1 failed`,
		`the square of 99 is 9801`,
	},
}

func TestEachExampleInGoRunsAndPrintsWhatItSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "./...").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, want := range outputs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(dir, name)
			database := pgtest.Empty(t)
			wantLines(t, run(t, database, program), want)

			out, err := command(t, "", program).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "set PGQ_DATABASE_URL") {
				t.Errorf("without a database: %v, %s", err, out)
			}
			if name == "transactional" || name == "batch" {
				return
			}
			run(t, database, program) // again, with what is there
		})
	}
}

func TestTheExampleInSQLRunsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("no psql in PATH")
	}
	database := pgtest.Database(t)
	want := []string{
		`schema pgq is at version \d+`,
		`the jobs, one row each:`,
		`welcome\|ready\|\{"customer": 1\}`,
		`report\|scheduled\|\{"month": 5\}`,
		`claimed a job, attempt 1`,
		`completed 1 job`,
		`report: cancelled`,
		`afterwards:`,
		`welcome\|completed`,
		`report\|cancelled`,
	}
	for range 2 {
		wantLines(t, run(t, database, "sql/run.sh"), want)
	}
	if out, err := command(t, "", "sql/run.sh").CombinedOutput(); err == nil || !strings.Contains(string(out), "set PGQ_DATABASE_URL") {
		t.Errorf("without a database: %v, %s", err, out)
	}
}

func TestEveryFolderIsAnExampleThatIsTested(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, tested := outputs[e.Name()]; e.IsDir() && !tested && e.Name() != "sql" {
			t.Errorf("%s is not tested", e.Name())
		}
	}
}

func command(t *testing.T, database, program string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PGQ_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	if database != "" {
		cmd.Env = append(cmd.Env, "PGQ_DATABASE_URL="+database)
	}
	return cmd
}

// run returns what a program prints; the log of the worker goes to stderr.
func run(t *testing.T, database, program string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := command(t, database, program)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\nstdout:\n%s\nstderr:\n%s", program, err, out, stderr.String())
	}
	return string(out)
}

func wantLines(t *testing.T, output string, patterns []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if len(lines) != len(patterns) {
		t.Errorf("%d lines, want %d:\n%s", len(lines), len(patterns), output)
		return
	}
	for i, pattern := range patterns {
		if !regexp.MustCompile("^" + pattern + "$").MatchString(lines[i]) {
			t.Errorf("line %d is %q, want %q", i+1, lines[i], pattern)
		}
	}
}
