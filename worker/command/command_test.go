//go:build unix

package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker/command"
)

func TestMain(m *testing.M) {
	command.Main()
	pgtest.Main(m)
}

// deadline is how long a test waits for what must come.
const deadline = 30 * time.Second

// shell is a command that a shell reads.
func shell(script string) command.Command {
	return command.Command{Args: []string{"/bin/sh", "-c", script}}
}

func attempt() *pgq.Attempt {
	return &pgq.Attempt{ID: 7, Kind: "it's a \"kind\"", Queue: "q", Number: 2, MaxAttempts: 3}
}

func TestWhatACommandPrintsIsTheResult(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`echo '{"n": 123456789012345678901234567890.25}'`: `{"n":123456789012345678901234567890.25}`,
		`printf null`:  `null`,
		`printf '"x"'`: `"x"`,
		`:`:            ``,
		`printf ' \n'`: ``,
		`cat >/dev/null; echo "[$JOB_ID, $JOB_ATTEMPT, $JOB_MAX_ATTEMPTS, \"$JOB_QUEUE\"]"`: `[7,2,3,"q"]`,
	} {
		result, err := shell(script).Run(t.Context(), attempt())
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		got := ""
		if result != nil {
			data, err := json.Marshal(result)
			if err != nil {
				t.Fatal(err)
			}
			got = string(data)
		}
		if got != want {
			t.Errorf("%s: result %s, want %s", script, got, want)
		}
	}
}

func TestTheJobIsOneLineOfJSON(t *testing.T) {
	t.Parallel()
	c := shell("cat")
	c.Output = command.Text
	result, err := c.Run(t.Context(), attempt())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":7,"kind":"it's a \"kind\"","queue":"q","attempt":2,"max_attempts":3,"priority":0,` +
		`"created_at":"0001-01-01T00:00:00Z","timeout":null,"tags":null,"metadata":null,"dag_id":null,"args":null}`
	if result != want {
		t.Errorf("got %s\nwant %s", result, want)
	}
}

func TestOutputThatIsNotWhatWasSaidIsAClearError(t *testing.T) {
	t.Parallel()
	text, none := shell(`printf 'two\nlines\n'; printf '{' >&2`), shell(`printf '\377 no JSON'`)
	text.Output, none.Output = command.Text, command.None
	if result, err := text.Run(t.Context(), attempt()); err != nil || result != "two\nlines" {
		t.Errorf("text: %q, %v", result, err)
	}
	if result, err := none.Run(t.Context(), attempt()); err != nil || result != nil {
		t.Errorf("none: %q, %v", result, err)
	}
	for script, want := range map[string]string{
		`echo hello`:     `output is not one JSON value: invalid character 'h' looking for beginning of value; it begins with "hello"`,
		`echo '1 2'`:     `output is not one JSON value: invalid character '2' after top-level value`,
		`printf '{"a":'`: `unexpected end of JSON input`,
		`printf '\377'`:  `output is not UTF-8; it begins with "\xff"`,
		`awk 'BEGIN { for (i = 0; i < 20000; i++) printf "[" }'`: `exceeded max depth`,
	} {
		if _, err := shell(script).Run(t.Context(), attempt()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
	}
}

func TestExitCodesSayHowTheAttemptEnds(t *testing.T) {
	t.Parallel()
	verdict := func(err error) string {
		var snooze *pgq.SnoozeError
		var cancel *pgq.CancelError
		var permanent *pgq.PermanentError
		var retry *pgq.RetryError
		switch {
		case err == nil:
			return "complete"
		case errors.As(err, &snooze):
			return "snooze " + snooze.Delay.String()
		case errors.As(err, &cancel):
			return "cancel " + cancel.Err.Error()
		case errors.As(err, &permanent):
			return "fail " + permanent.Error()
		case errors.As(err, &retry):
			return fmt.Sprintf("retry after %s %s", retry.Delay, retry.Error())
		}
		return "retry " + err.Error()
	}
	for script, want := range map[string]string{
		`exit 0`:                                "complete",
		`exit 1`:                                "retry exit code 1",
		`echo first >&2; echo last >&2; exit 3`: "retry exit code 3: first\nlast",
		`exit 65`:                               "fail exit code 65",
		`exit 75`:                               "snooze 1m0s",
		`echo '{"delay": "90m"}'; exit 75`:      "snooze 1h30m0s",
		`echo '{"delay": 2.5}'; exit 75`:        "snooze 2.5s",
		`echo '{"delay": 0, "error": "x"}'; exit 1`:      "retry after 0s x",
		`echo '{"delay": null, "more": 1}'; exit 1`:      "retry exit code 1",
		`echo '{"error": "no such user"}'; exit 65`:      "fail no such user",
		`echo '{"error": "done already"}'; exit 80`:      "cancel done already",
		`echo no JSON; exit 80`:                          "cancel exit code 80",
		`echo '[1]'; exit 75`:                            "snooze 1m0s",
		`echo '{"delay": "5 min"}'; exit 75`:             `retry exit code 75 (snooze), but the member delay of its output must be 0 to 10 years, in seconds or like "1h30m", not "\"5 min\""`,
		`echo '{"delay": -1}'; exit 75`:                  `retry exit code 75 (snooze), but the member delay of its output must be 0 to 10 years, in seconds or like "1h30m", not "-1"`,
		`echo '{"delay": 1e300}'; exit 75`:               `retry exit code 75 (snooze), but the member delay of its output must be 0 to 10 years, in seconds or like "1h30m", not "1e300"`,
		`echo '{"error": 1}'; exit 65`:                   `retry exit code 65 (fail), but the member error of its output must be a string`,
		`kill -KILL $$`:                                  "retry command was killed by signal 9 (killed)",
		`echo why >&2; kill -ABRT $$`:                    "retry command was killed by signal 6 (aborted): why",
		`printf '\033[31mred\a\342\200\256' >&2; exit 1`: "retry exit code 1: [31mred \uFFFD",
	} {
		_, err := shell(script).Run(t.Context(), attempt())
		if got := verdict(err); got != want {
			t.Errorf("%s:\n got %s\nwant %s", script, got, want)
		}
	}
	own := map[int]command.Exit{1: command.Fail, 65: command.Retry, 2: command.Complete, 3: command.Snooze}
	for code, want := range map[int]string{1: "fail exit code 1", 65: "retry exit code 65", 2: "complete", 3: "snooze 5s", 75: "snooze 5s"} {
		c := shell("exit " + strconv.Itoa(code))
		c.Exits, c.SnoozeFor = own, 5*time.Second
		_, err := c.Run(t.Context(), attempt())
		if got := verdict(err); got != want {
			t.Errorf("exit %d: %s, want %s", code, got, want)
		}
	}
}

func TestACommandThatCannotBeStartedIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]command.Command{
		"no such file or directory": {Args: []string{"/nowhere/to/be/found"}},
		"not found in $PATH":        {Args: []string{"no-program-of-that-name"}},
		"stat /nowhere":             {Args: []string{"true"}, Dir: "/nowhere"},
		"Args must begin":           {},
		"Exits must be for codes":   {Args: []string{"true"}, Exits: map[int]command.Exit{0: command.Fail}},
		"must not contain NUL":      {Args: []string{"true", "\x00"}},
	} {
		if _, err := c.Run(t.Context(), attempt()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestNeitherOutputNorLogGrowsWithoutBounds(t *testing.T) {
	t.Parallel()
	c := shell("yes")
	c.MaxOutput = 1000
	if _, err := c.Run(t.Context(), attempt()); err == nil || !strings.Contains(err.Error(), "printed more than 1000 bytes and was killed") {
		t.Errorf("yes: %v", err)
	}
	c = shell("yes | head -c 100000")
	c.MaxOutput, c.Output = 1000, command.None
	if _, err := c.Run(t.Context(), attempt()); err != nil {
		t.Errorf("what does not matter may be long: %v", err)
	}
	var mu sync.Mutex
	var logged []string
	c = shell(`yes | head -n 3000 >&2; awk 'BEGIN { for (i = 0; i < 20000; i++) printf "x" }' >&2; exit 1`)
	c.Log = func(_ context.Context, line string) {
		mu.Lock()
		defer mu.Unlock()
		logged = append(logged, line)
	}
	_, err := c.Run(t.Context(), attempt())
	if err == nil || len(err.Error()) > 5000 || !strings.HasSuffix(err.Error(), "xxx") {
		t.Errorf("the error has %d bytes: %.100v", len(err.Error()), err)
	}
	if n := len(logged); n != 1001 || logged[n-1] != "2003 more lines were dropped" {
		t.Errorf("%d lines, the last one %q", n, logged[n-1])
	}
}

func TestACommandNeedNotReadAJobNorEndItsChildren(t *testing.T) {
	t.Parallel()
	job := attempt()
	job.Metadata = json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
	if _, err := shell("exit 0").Run(t.Context(), job); err != nil {
		t.Error(err)
	}
	pids := filepath.Join(t.TempDir(), "pids")
	begin := time.Now()
	result, err := shell(`sleep 600 & echo $! >'`+pids+`'; echo 1`).Run(t.Context(), job)
	if err != nil || fmt.Sprintf("%s", result) != "1" {
		t.Errorf("%s, %v", result, err)
	}
	wantGone(t, pids)
	if time.Since(begin) > deadline {
		t.Error("it waited for what was left in the background")
	}
}

func TestATimeoutEndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	c := shell(`trap '' TERM; sleep 600 & echo $! $$ >'` + pids + `'; wait; wait; sleep 600`)
	c.Timeout, c.KillAfter = 300*time.Millisecond, 100*time.Millisecond
	_, err := c.Run(t.Context(), attempt())
	if !errors.Is(err, pgq.ErrTimeout) || !strings.Contains(err.Error(), "after 300ms") || !strings.Contains(err.Error(), "signal 9") {
		t.Errorf("%v", err)
	}
	wantGone(t, pids)
}

func TestACommandMayEndInOrderWhenItIsStopped(t *testing.T) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		waitFor(t, ready)
		cancel(pgq.ErrShutdown)
	}()
	result, err := shell(`trap 'echo 42; exit 0' TERM; echo >'`+ready+`'; while :; do sleep 0.01; done`).Run(ctx, attempt())
	if err != nil || fmt.Sprintf("%s", result) != "42" {
		t.Errorf("%s, %v", result, err)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	ctx, cancel = context.WithCancelCause(t.Context())
	go func() {
		waitFor(t, kept)
		cancel(pgq.ErrLeaseLost)
	}()
	c := shell(`trap 'exit 0' TERM; echo >'` + kept + `'; while :; do sleep 0.01; done`)
	c.KillAfter = time.Hour
	if _, err := c.Run(ctx, attempt()); err == nil || !strings.Contains(err.Error(), "signal 9") {
		t.Errorf("without a lease it is killed at once: %v", err)
	}
}

// waitFor waits until a file has something in it, and returns that.
func waitFor(t *testing.T, path string) string {
	t.Helper()
	limit := time.After(deadline)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if data, err := os.ReadFile(path); err == nil && len(data) > 0 {
			return string(data)
		}
		select {
		case <-limit:
			t.Errorf("%s was not written", path)
			return ""
		case <-tick.C:
		}
	}
}

// wantGone waits until the processes whose ids are in a file are dead.
func wantGone(t *testing.T, path string) {
	t.Helper()
	pids := strings.Fields(waitFor(t, path))
	if len(pids) == 0 {
		t.Fatal("no process ids")
	}
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		limit := time.After(deadline)
		for alive(pid) {
			select {
			case <-limit:
				t.Fatalf("process %d still runs", pid)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// alive tells of a process that is there and no zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) || !haveProc()
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

func haveProc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}
