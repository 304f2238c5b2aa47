//go:build unix

package command_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
	"github.com/pgq-go/queue/worker/command"
)

// job is one of any kind, whose args are JSON as it is.
type job struct {
	kind string
	args string
}

func (j job) Kind() string                 { return j.kind }
func (j job) MarshalJSON() ([]byte, error) { return []byte(j.args), nil }

// system is a database and a worker that runs commands.
type system struct {
	*testing.T
	pool *pgxpool.Pool
	q    *pgq.Client
	stop func()
}

func newSystem(t *testing.T, commands map[string]command.Command) *system {
	t.Helper()
	s := &system{T: t, pool: pgtest.Pool(t), q: pgq.New(pgq.Config{})}
	w := worker.New(s.pool, worker.Config{Logger: slog.New(slog.DiscardHandler), Grace: -1})
	for kind, c := range commands {
		worker.HandleCommand(w, kind, c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err, first := <-ended; first {
			if err != nil {
				t.Error(err)
			}
			close(ended)
		}
	}
	t.Cleanup(s.stop)
	return s
}

func (s *system) enqueue(kind, args string, o pgq.Options) int64 {
	s.Helper()
	added, err := s.q.Enqueue(context.Background(), s.pool, job{kind, args}, o)
	if err != nil {
		s.Fatal(err)
	}
	return added.ID
}

// ends waits until a job has ended and returns its state, output and error in one text.
func (s *system) ends(id int64) string {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if _, err := s.q.AwaitFinished(ctx, s.pool, id); err != nil {
		s.Fatal(err)
	}
	return s.read("select concat_ws(' ', state, attempt, output, error) from pgq.job_details where id = $1", id)
}

func (s *system) read(sql string, args ...any) (text string) {
	s.Helper()
	if err := s.pool.QueryRow(context.Background(), sql, args...).Scan(&text); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
	return text
}

func TestArgsAndResultsSurviveTheWayThroughACommand(t *testing.T) {
	t.Parallel()
	s := newSystem(t, map[string]command.Command{
		"echo":  shell(`cat`),
		"talk":  shell(`printf 'one\ntwo\n' >&2; exit 1`),
		"noted": {Args: []string{"/bin/sh", "-c", `echo "$1"`, "sh", `"$(id); '`}, Output: command.Text},
	})
	const args = `{"n": 12345678901234567890123, "text": "'; drop table jobs; -- \" $(id) <&> \u202e é"}`
	got := s.ends(s.enqueue("echo", args, pgq.Options{Tags: []string{"a", "b"}}))
	for _, part := range []string{"completed 1", `"n": 12345678901234567890123`, `drop table jobs; -- \" $(id) <&> `, `"tags": ["a", "b"]`} {
		if !strings.Contains(got, part) {
			t.Errorf("%s lacks %s", got, part)
		}
	}
	var id int64
	if err := s.pool.QueryRow(t.Context(), `select pgq.enqueue('echo', codec => 'c', payload => '\x00ff')`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	if got := s.ends(id); !strings.Contains(got, `"codec": "c"`) || !strings.Contains(got, `"payload": "AP8="`) {
		t.Errorf("args of a codec are base64: %s", got)
	}
	if got, want := s.ends(s.enqueue("noted", `1`, pgq.Options{})), `completed 1 "\"$(id); '"`; got != want {
		t.Errorf("an argument: %s, want %s", got, want)
	}
	talked := s.enqueue("talk", `1`, pgq.Options{MaxAttempts: 1})
	if got := s.ends(talked); got != "failed 1 exit code 1: one\ntwo" {
		t.Errorf("a failure: %s", got)
	}
	eventually(t, "the log has what it said", func() bool {
		return s.read("select coalesce(string_agg(message, ',' order by id), '') from pgq.logs where job_id = $1", talked) == "one,two"
	})
}

func TestACommandGetsEncryptedArgsInTheClearIfTheWorkerHasTheKey(t *testing.T) {
	t.Parallel()
	codecs := map[string]pgq.Codec{}
	for name, secret := range map[string]string{"key": "0123456789abcdef0123456789abcdef", "other": "fedcba9876543210fedcba9876543210"} {
		key, err := pgq.NewKey(name, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		ring, err := pgq.NewKeyRing(key)
		if err != nil {
			t.Fatal(err)
		}
		codecs[name] = pgq.Encrypt(pgq.JSON, ring)
	}
	s := &system{T: t, pool: pgtest.Pool(t)}
	for _, c := range []struct {
		client pgq.Config
		want   string // of the output, or the error
	}{
		{pgq.Config{Codecs: []pgq.Codec{codecs["key"]}}, `"args":{"n":12345678901234567890123}`},
		{pgq.Config{}, `"codec":"aes256gcm+json","payload":"AQNrZXk`},
		{pgq.Config{Codecs: []pgq.Codec{codecs["other"]}}, `key is not in the key ring: "key"; it has other`},
	} {
		s.q = pgq.New(c.client)
		s.enqueue("echo", `{"n": 12345678901234567890123}`, pgq.Options{Codec: codecs["key"]})
		worker, err := s.q.Register(t.Context(), s.pool, pgq.Registration{Name: "w", Queues: []string{"default"}, Lease: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		claimed, err := s.q.Claim(t.Context(), s.pool, pgq.ClaimRequest{WorkerID: worker, Queues: []string{"default"}, Limits: []int32{1}, Kinds: []string{"echo"}})
		if err != nil || len(claimed) != 1 {
			t.Fatal(claimed, err)
		}
		result, err := shell(`cat`).Run(t.Context(), claimed[0])
		if got := fmt.Sprintf("%s %v", result, err); !strings.Contains(got, c.want) {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestASnoozedAttemptOfACommandDoesNotCount(t *testing.T) {
	t.Parallel()
	been := filepath.Join(t.TempDir(), "been")
	s := newSystem(t, map[string]command.Command{
		"put": shell(`if [ -e '` + been + `' ]; then echo 1; else : >'` + been + `'; echo '{"delay": 0}'; exit 75; fi`),
	})
	if got := s.ends(s.enqueue("put", `1`, pgq.Options{MaxAttempts: 1})); got != "completed 1 1" {
		t.Errorf("snoozed, then done: %s", got)
	}
}

func TestCancellingAJobEndsItsCommand(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	s := newSystem(t, map[string]command.Command{"hold": shell(`sleep 600 & echo $! $$ >'` + pids + `'; wait`)})
	id := s.enqueue("hold", `1`, pgq.Options{})
	waitFor(t, pids)
	if _, err := s.q.Cancel(t.Context(), s.pool, "not needed", id); err != nil {
		t.Fatal(err)
	}
	if got := s.ends(id); !strings.HasPrefix(got, "cancelled 1 ") {
		t.Errorf("cancelled: %s", got)
	}
	wantGone(t, pids)
}

func TestAWorkerThatStopsGivesTheJobsOfItsCommandsBack(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	s := newSystem(t, map[string]command.Command{"hold": shell(`sleep 600 & echo $! $$ >'` + pids + `'; wait`)})
	id := s.enqueue("hold", `1`, pgq.Options{})
	waitFor(t, pids)
	s.stop()
	wantGone(t, pids)
	if got := s.read("select state || attempt from pgq.job_states where id = $1", id); got != "ready0" {
		t.Errorf("the job is %s", got)
	}
}

// helper makes this test binary a process that runs a command until it is killed.
const helper = "PGQ_TEST_COMMAND_HELPER"

func TestNoCommandOutlivesAProcessThatIsKilled(t *testing.T) {
	t.Parallel()
	if script := os.Getenv(helper); script != "" {
		_, err := shell(script).Run(t.Context(), attempt())
		t.Fatal("the command should not have ended: ", err)
	}
	pids := filepath.Join(t.TempDir(), "pids")
	// A child of a child, which the system does not tell of the death of its grandparent, and which ignores signals.
	// It starts that one when our process has surely been told that it has begun.
	script := fmt.Sprintf(`trap '' TERM HUP; sleep 1; (sleep 600 & echo $! >>'%s.new'; wait) & echo $! $$ >>'%s.new'
		while [ "$(wc -w <'%s.new')" -lt 3 ]; do sleep 0.01; done; mv '%s.new' '%s'; wait`, pids, pids, pids, pids, pids)
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoCommandOutlivesAProcessThatIsKilled$")
	cmd.Env = append(os.Environ(), helper+"="+script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	written := waitFor(t, pids)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if len(strings.Fields(written)) != 3 {
		t.Fatalf("process ids: %q", written)
	}
	wantGone(t, pids)
}

// eventually waits until what is said comes true.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(deadline)
	for !holds() {
		select {
		case <-limit:
			t.Fatalf("never came true: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestRunRefusesACommandThatBreaksARule(t *testing.T) {
	t.Parallel()
	w := worker.New(pgtest.Pool(t), worker.Config{})
	worker.HandleCommand(w, "empty", command.Command{})
	worker.HandleCommand(w, "", shell(":"))
	err := w.Run(t.Context())
	for _, want := range []string{`command of "empty"`, "Args must begin with a program", "kind must not be empty"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
}

func TestManyCommandsRunAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := newSystem(t, map[string]command.Command{"echo": shell(`cat >/dev/null; echo "$JOB_ID"; echo a line >&2`)})
	const jobs = 100
	if _, err := s.pool.Exec(t.Context(), "select pgq.enqueue_many(jsonb_agg('{\"kind\": \"echo\"}'::jsonb)) from generate_series(1, $1)", jobs); err != nil {
		t.Fatal(err)
	}
	eventually(t, "each job has the result that is its own", func() bool {
		return s.read("select count(*)::text from pgq.job_details where state = 'completed' and output = to_jsonb(id)") == fmt.Sprint(jobs)
	})
}
