//go:build unix

package command_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker/command"
)

// play is what the function of these tests is told to do.
type play struct {
	What string `json:"what"`
	N    uint64 `json:"n"`
}

var errPlay = errors.New("broken toy")

var player = command.Function("play", func(ctx context.Context, job command.Job[play]) (any, error) {
	switch job.Args.What {
	case "answer":
		fmt.Println("not an answer")
		return map[string]any{"n": job.Args.N, "job": job.ID, "attempt": job.Attempt, "queue": job.Queue}, nil
	case "nothing":
		return nil, nil
	case "fail":
		return nil, errPlay
	case "panic":
		panic("the bear is lost")
	case "exit":
		os.Exit(0)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		<-ctx.Done()
	case "permanent":
		return nil, pgq.Permanent(errPlay)
	case "snooze":
		return nil, pgq.Snooze(90 * time.Second)
	case "cancel":
		return nil, pgq.Cancel(errPlay)
	case "later":
		return nil, pgq.RetryAfter(time.Minute, errPlay)
	case "": // of an attempt that no database holds
		fmt.Println("waits")
		<-ctx.Done()
		return nil, ctx.Err()
	case "hoard":
		var all []byte
		for ctx.Err() == nil {
			all = append(all, make([]byte, 1<<20)...)
			for i := range all {
				all[i] = 1
			}
		}
	case "start a program":
		out, err := exec.Command("/bin/sh", "-c", `echo "${PGQ_FUNCTION:-unset}"`).Output()
		return string(out), err
	case "unspeakable":
		return func() {}, nil
	}
	return nil, nil
})

// run runs the function of these tests on a worker and returns how the job ended.
func runPlay(t *testing.T, c command.Command, args string) string {
	t.Helper()
	s := newSystem(t, map[string]command.Command{"play": c})
	return s.ends(s.enqueue("play", args, pgq.Options{MaxAttempts: 1}))
}

func TestAFunctionRunsInAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		`{"what": "answer", "n": 18446744073709551615}`: `completed 1 {"n": 18446744073709551615, "job": 1, "queue": "default", "attempt": 1}`,
		`{"what": "nothing"}`:                           `completed 1`,
		`{"what": "start a program"}`:                   `completed 1 "unset\n"`,
		`{"what": "fail"}`:                              `failed 1 broken toy`,
		`{"what": "panic"}`:                             `failed 1 panic: the bear is lost`,
		`{"what": "exit"}`:                              `failed 1 function ended the process and did not return`,
		`{"what": "kill"}`:                              `failed 1 command was killed by signal 9 (killed)`,
		`{"what": "permanent"}`:                         `failed 1 broken toy`,
		`{"what": "cancel"}`:                            `cancelled 1 cancelled: broken toy`,
		`{"what": "unspeakable"}`:                       `failed 1 json: unsupported type: func()`,
		`{"what": 5}`:                                   `failed 1 args of job 1: json: cannot unmarshal number into Go struct field play.what of type string`,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			if got := runPlay(t, player, args); !strings.HasPrefix(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestAFunctionAnswersAsOtherHandlersDo(t *testing.T) {
	t.Parallel()
	s := newSystem(t, map[string]command.Command{"play": player})
	for what, wait := range map[string]time.Duration{"snooze": 90 * time.Second, "later": time.Minute} {
		id := s.enqueue("play", fmt.Sprintf(`{"what": %q}`, what), pgq.Options{})
		var delay float64
		eventually(t, what+": the job is scheduled", func() bool {
			return s.pool.QueryRow(context.Background(), "select extract(epoch from run_at - now())::float8 from pgq.scheduled where job_id = $1", id).Scan(&delay) == nil
		})
		if delay > wait.Seconds() || delay < wait.Seconds()-20 {
			t.Errorf("%s: again in %.0f s, want %s", what, delay, wait)
		}
	}
}

func TestAFunctionThatIsStoppedHasItsContextCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := player
	c.Log = func(_ context.Context, line string) {
		if line == "waits" {
			cancel()
		}
	}
	_, err := c.Run(ctx, attempt())
	if err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("got %v", err)
	}
}

func TestAFunctionThatTakesTooMuchMemoryIsKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		c := player
		c.MaxMemory = 1
		if err := c.Check(); err == nil {
			t.Error("a limit that nobody keeps was accepted")
		}
		return
	}
	c := player
	c.MaxMemory = 150 << 20
	if got := runPlay(t, c, `{"what": "hoard"}`); !strings.HasPrefix(got, "failed 1 command had more than 157286400 bytes of memory and was killed") {
		t.Errorf("got %q", got)
	}
	program := shell(`a=x; while :; do a="$a$a"; done`) // a program, and what it has started, together
	program.Args[2] = "(" + program.Args[2] + ")"
	program.MaxMemory = 100 << 20
	if _, err := program.Run(t.Context(), attempt()); err == nil || !strings.Contains(err.Error(), "command had more than 104857600 bytes of memory") {
		t.Errorf("got %v", err)
	}
	c.MaxMemory = 1 << 30
	var runs sync.WaitGroup
	for range 5 { // several at once, none of which is too large
		runs.Go(func() {
			program := shell("sleep 0.3; echo 1")
			program.MaxMemory = 100 << 20
			if _, err := program.Run(context.Background(), attempt()); err != nil {
				t.Error(err)
			}
		})
	}
	runs.Wait()
}

func TestFunctionsThatCannotBeRunAreRefused(t *testing.T) {
	t.Parallel()
	withArgs, negative := player, player
	withArgs.Args = []string{"true"}
	negative.MaxMemory = -1
	for _, c := range []command.Command{withArgs, negative} {
		var bad *pgq.ArgumentError
		if err := c.Check(); !errors.As(err, &bad) {
			t.Errorf("got %v, want an ArgumentError", err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a second function of one name was taken")
		}
	}()
	command.Function("play", func(context.Context, command.Job[play]) (any, error) { return nil, nil })
}
