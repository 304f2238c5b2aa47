package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/internal/pgtest"
)

func TestAnInterruptedStatementEndsOnTheServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lock := connect(t, s.url)
	query(t, lock, "begin")
	query(t, lock, "lock table pgq.job_states") // a view, and the tables below it
	watch := connect(t, s.url)
	for _, c := range []struct {
		line, env, name string
		signal          syscall.Signal
		code            int
	}{
		{"check", "", "pgq-admin check", syscall.SIGINT, 130},
		{"job list -o json", "", "pgq-admin job list", syscall.SIGTERM, 143},
		{"queue list", "PGAPPNAME=mine", "mine", syscall.SIGHUP, 129},
		{"migrate to 1 --yes --lock-timeout 1h", "", "pgq-admin migrate to", syscall.SIGINT, 130},
	} {
		p := s.adminCall(c.line)
		if c.env != "" {
			p.env = append(p.env, c.env)
		}
		cmd := p.command(t.Context())
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		of := fmt.Sprintf("from pg_stat_activity where datname = current_database() and application_name = '%s' and state = 'active'", c.name)
		becomes(t, watch, "1", "select count(*)::text "+of+" and wait_event_type = 'Lock'")
		if err := cmd.Process.Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != c.code {
			t.Errorf("%s: exit code %d, want %d", c.line, cmd.ProcessState.ExitCode(), c.code)
		}
		if left := query(t, watch, "select query "+of); left != "" {
			t.Errorf("%s runs on: %s", c.line, left)
		}
		if strings.Contains(c.line, "json") {
			outcome{c.code, "", stderr.String()}.want(t, c.code, `{"code":143,"reason":"interrupted","message":"interrupted"}`)
		}
	}
	query(t, lock, "rollback")
	s.admin("check").want(t, 0, "all invariants hold")
}

func TestTheSecondSignalDoesNotWaitForTheServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	config := connect(t, s.url).Config()
	if config.Host[0] == '/' {
		t.Skip("the server is reached by a Unix socket")
	}
	lock := connect(t, s.url)
	query(t, lock, "begin")
	query(t, lock, "lock table pgq.jobs")
	// What stands between takes the request to cancel, and does not pass it on.
	between, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = between.Close() })
	cancelled := make(chan net.Conn, 1)
	go func() {
		client, err := between.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", net.JoinHostPort(config.Host, fmt.Sprint(config.Port)))
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(server, client) }()
		go func() { _, _ = io.Copy(client, server) }()
		if second, err := between.Accept(); err == nil {
			cancelled <- second
		}
	}()
	address := url.URL{Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: between.Addr().String(),
		Path: config.Database, RawQuery: "sslmode=disable"}
	cmd := call{args: []string{"check", "--url", address.String()}}.command(t.Context())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	becomes(t, connect(t, s.url), "1", "select count(*)::text from pg_stat_activity where datname = current_database()"+
		" and application_name = 'pgq-admin check' and wait_event_type = 'Lock'")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	client := <-cancelled
	defer client.Close() //nolint:errcheck // nothing was written
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %s, and not by the second signal", cmd.ProcessState)
	}
}

func TestAPasswordFileThatOthersCanReadIsNotUsed(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	config, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	password := config.Password
	if password == "" {
		password = "Hidd3n"
	}
	file := filepath.Join(t.TempDir(), "pass words")
	write(t, file, "*:*:*:*:"+password+"\n")
	with, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	without := *with
	without.User = url.User(config.User)
	inURL := without
	inURL.RawQuery += "&passfile=" + url.PathEscape(file)
	words := fmt.Sprintf("host=%s port=%d user=%s dbname=%s passfile='%s'", config.Host, config.Port, config.User, config.Database, file)
	with.User = url.UserPassword(config.User, password)
	check := func(address string, env ...string) outcome {
		return call{args: []string{"check"}, env: append(env, "PGQ_DATABASE_URL="+address)}.run(t)
	}
	const warning = "is not used, since others can read it; its mode is 0644"
	if err := os.Chmod(file, 0o644); err != nil { //nolint:gosec // which is what is wrong
		t.Fatal(err)
	}
	for _, o := range []outcome{check(without.String(), "PGPASSFILE="+file), check(inURL.String()), check(words)} {
		if o.code != 8 { // of a server that asks for passwords
			o.want(t, 0)
		}
		o.want(t, o.code, warning, "fix: chmod 600 '"+file+"'")
		if strings.Count(o.stderr, warning) != 1 {
			t.Errorf("it is told more than once:\n%s", o.stderr)
		}
		o.hides(t, "*:*")
	}
	check(with.String(), "PGPASSFILE="+file).hides(t, warning)
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []outcome{check(without.String(), "PGPASSFILE="+file), check(inURL.String()), check(words)} {
		o.want(t, 0)
		o.hides(t, warning)
	}
}

func TestAServerThatNeverAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	address := fmt.Sprintf("postgres://app@%s/app?sslmode=disable", silent.Addr())
	for _, c := range []call{
		{args: []string{"status", "--url", address}}, // after ten seconds
		{args: []string{"status", "--url", address + "&connect_timeout=1"}},
		{args: []string{"migrate", "status", "--url", address}, env: []string{"PGCONNECT_TIMEOUT=1"}},
	} {
		c.run(t).want(t, 8, "failed to connect to", "timeout", "fix: check host")
	}
}

func TestAnAttemptThatFailedIsToldOnce(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	config := connect(t, address).Config()
	if config.Host[0] == '/' {
		t.Skip("the server is reached by a Unix socket, which has no TLS")
	}
	o := admin(t, "check", "--url", fmt.Sprintf("postgres://%s:%s@%s:%d/no_database", config.User, config.Password, config.Host, config.Port))
	o.want(t, 8, `database "no_database" does not exist`)
	o.hides(t, "TLS")
	o = admin(t, "check", "--url", "postgres://app@127.0.0.1:1/app")
	o.want(t, 8, "connection refused")
	if strings.Count(o.stderr, "refused") != 1 {
		t.Errorf("it is told more than once:\n%s", o.stderr)
	}
}
