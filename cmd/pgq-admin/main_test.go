package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/internal/pgtest"
)

var (
	// program is the path of pgq-admin, built once.
	program string
	// alive is closed when this process ends, and not before.
	alive io.Closer
)

func TestMain(m *testing.M) {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pgtest.Main(m)
}

// build makes the program in a directory that is removed when this process ends, however it does: that closes the
// pipe which the shell reads from.
func build() error {
	dir, err := os.MkdirTemp("", "pgq-admin-test-")
	if err != nil {
		return err
	}
	remover := exec.Command("sh", "-c", `cat >/dev/null; rm -rf "$0"`, dir)
	if alive, err = remover.StdinPipe(); err != nil {
		return err
	}
	if err := remover.Start(); err != nil {
		return err
	}
	program = filepath.Join(dir, "pgq-admin")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// call is one run of the program.
type call struct {
	args  []string
	stdin string
	env   []string // besides those of this process that are not PGQ_…; "NAME=" removes one
	dir   string
}

// outcome is how a run ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// command prepares a run whose environment holds no settings but those of the call.
func (c call) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, c.args...)
	cmd.Dir = c.dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") { // PGQ_… and libpq's
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "PGQ_CONTEXTS="+filepath.Join(filepath.Dir(program), "no-contexts.yaml"))
	cmd.Env = append(cmd.Env, c.env...)
	return cmd
}

// run runs the program to its end.
func (c call) run(t *testing.T) outcome {
	t.Helper()
	cmd := c.command(t.Context())
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// admin runs the program with arguments.
func admin(t *testing.T, args ...string) outcome {
	t.Helper()
	return call{args: args}.run(t)
}

// want checks the exit code and that the output, both streams, holds some texts.
func (o outcome) want(t *testing.T, code int, texts ...string) outcome {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", o.code, code, o.stdout, o.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(o.stdout+o.stderr, text) {
			t.Errorf("output lacks %q\nstdout:\n%s\nstderr:\n%s", text, o.stdout, o.stderr)
		}
	}
	return o
}

// hides checks that a text is in neither stream.
func (o outcome) hides(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(o.stdout+o.stderr, text) {
		t.Errorf("output shows %q\nstdout:\n%s\nstderr:\n%s", text, o.stdout, o.stderr)
	}
}

// connect opens a connection for the length of the test.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// query returns the first column of all rows as text, one per line.
func query(t *testing.T, conn *pgx.Conn, sql string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
