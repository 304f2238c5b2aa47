//go:build unix

package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asWithpg makes the test binary be withpg itself.
const asWithpg = "WITHPG_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asWithpg) != "" {
		os.Unsetenv(asWithpg)
		main()
	}
	os.Exit(m.Run())
}

// withpg prepares a run of withpg.
func withpg(t *testing.T, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(binary, args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PGQ_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, asWithpg+"=1")
	stderr = &bytes.Buffer{}
	cmd.Stderr = stderr
	return cmd, stderr
}

func code(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode()
	}
	return -1
}

// clusterDir is where the server of the run was, according to what it said.
func clusterDir(t *testing.T, stderr string) string {
	t.Helper()
	_, dir, ok := strings.Cut(strings.SplitN(stderr, "\n", 2)[0], " in /")
	if !ok {
		t.Fatalf("it did not say where the server is: %q", stderr)
	}
	return "/" + dir
}

func TestTheCommandHasTheURLAndItsCodeIsPassedOn(t *testing.T) {
	t.Parallel()
	cmd, stderr := withpg(t, "-private", "-tests", "-setting", "max_connections=18", "--",
		"sh", "-c", `echo "$PGQ_DATABASE_URL"; exit 7`)
	out, err := cmd.Output()
	if code(err) != 7 {
		t.Errorf("exit code %d: %s", code(err), stderr)
	}
	if !strings.HasPrefix(string(out), "postgres://") {
		t.Errorf("PGQ_DATABASE_URL is %q", out)
	}
	if dir := clusterDir(t, stderr.String()); exists(dir) {
		t.Errorf("%s is still there", dir)
	}
}

func TestSignalsReachTheCommandAndTheServerIsEndedAfterwards(t *testing.T) {
	t.Parallel()
	for signal, want := range map[syscall.Signal]int{syscall.SIGTERM: 3, syscall.SIGINT: 4} {
		cmd, stderr := withpg(t, "-private", "-tests",
			"sh", "-c", `trap 'exit 3' TERM; trap 'exit 4' INT; echo ready; while :; do read line; done`)
		stdin, err := cmd.StdinPipe() // stays open, so that read waits
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
			t.Fatalf("got %q", line)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		stdin.Close()
		if code(err) != want {
			t.Errorf("%v: exit code %d, want %d", signal, code(err), want)
		}
		if dir := clusterDir(t, stderr.String()); exists(dir) {
			t.Errorf("%s is still there", dir)
		}
	}
}

func TestACommandKilledByASignalGives128PlusItsNumber(t *testing.T) {
	t.Parallel()
	cmd, _ := withpg(t, "-private", "-tests", "sh", "-c", "kill -KILL $$")
	if got := code(cmd.Run()); got != 128+9 {
		t.Errorf("exit code %d", got)
	}
}

func TestWhatCannotRunSaysWhy(t *testing.T) {
	t.Parallel()
	notExecutable := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notExecutable, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		env  string
		code int
		says string
	}{
		{args: nil, code: exitUsage, says: "usage: withpg"},
		{args: []string{"-setting", "fsync", "true"}, code: exitUsage, says: "want name=value"},
		{args: []string{"true"}, env: "PGQ_POSTGRES=sqlite", code: exitNoServer, says: "sqlite"},
		{args: []string{"-private", "-tests", "no-such-command"}, code: exitNotFound, says: "no-such-command"},
		{args: []string{"-private", "-tests", notExecutable}, code: exitNotRun, says: "permission denied"},
	} {
		cmd, stderr := withpg(t, c.args...)
		cmd.Env = append(cmd.Env, c.env)
		if got := code(cmd.Run()); got != c.code || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%v: exit code %d, says %s", c.args, got, stderr)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
