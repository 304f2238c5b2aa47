package pgserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// superuser of every server that is started here.
const superuser = "postgres"

// stopModes are pg_ctl's modes of shutting down and the signals they stand for.
var stopModes = map[string]syscall.Signal{
	"smart":     syscall.SIGTERM,
	"fast":      syscall.SIGINT,
	"immediate": syscall.SIGQUIT,
}

// maxSocketPath is what a Unix socket's path may take on every system.
const maxSocketPath = 100

// cluster is a PostgreSQL data directory with a server process of our own.
type cluster struct {
	bin      string // directory of the programs
	dir      *directory
	port     int
	password string
	settings map[string]string

	// mu is held while the server is being stopped or started.
	mu      sync.Mutex
	process *process // the last one; nil before the first start
	closed  bool
}

// startCluster makes a data directory below dir and starts a server on it. When it
// fails nothing runs any more; dir is left to the caller.
func startCluster(ctx context.Context, bin string, dir *directory, settings map[string]string) (*Server, error) {
	c := &cluster{bin: bin, dir: dir, password: rand.Text(), settings: settings}
	if err := c.init(ctx); err != nil {
		return nil, err
	}
	v, err := c.firstStart(ctx)
	if err != nil {
		return nil, errors.Join(err, c.kill())
	}
	return &Server{
		URL:     c.url(),
		Version: v.text,
		cluster: c,
		close:   closeOnce(c.close),
	}, nil
}

// init runs initdb. Bytewise order and UTF-8 do not depend on the machine.
func (c *cluster) init(ctx context.Context) error {
	verifier, err := scramVerifier(c.password)
	if err != nil {
		return err
	}
	passwordFile := filepath.Join(c.dir.cluster, "password")
	if err := c.dir.writeFile(passwordFile, verifier); err != nil {
		return err
	}
	defer os.Remove(passwordFile)

	var output bytes.Buffer
	initdb := c.command("initdb",
		"--pgdata="+c.data(),
		"--username="+superuser,
		"--pwfile="+passwordFile,
		"--auth-local=trust", // only the owner reaches the socket's directory
		"--auth-host=scram-sha-256",
		"--encoding=UTF8",
		"--locale=C",
		"--no-sync",
	)
	initdb.Stdout, initdb.Stderr = &output, &output
	initdb.SysProcAttr = childAttributes(c.dir.account, syscall.SIGKILL)
	p, err := startProcess(initdb)
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.signalGroup(syscall.SIGKILL)
		<-p.done
		return fmt.Errorf("initdb: %w", context.Cause(ctx))
	}
	if p.err != nil {
		return fmt.Errorf("initdb: %w\n%s", p.err, lastLines(output.String(), 5))
	}
	return nil
}

// firstStart looks for a port. Somebody may take it between the look and the start.
func (c *cluster) firstStart(ctx context.Context) (version, error) {
	var err error
	for range 5 {
		if c.port, err = freePort(); err != nil {
			return version{}, err
		}
		var v version
		if v, err = c.startLocked(ctx); err == nil {
			return v, nil
		}
		if !strings.Contains(err.Error(), "Address already in use") {
			break
		}
	}
	return version{}, err
}

func (c *cluster) start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("pgserver: the cluster is closed")
	}
	if c.process.running() {
		return errors.New("pgserver: the cluster is running")
	}
	_, err := c.startLocked(ctx)
	return err
}

// startLocked starts the server and waits until it answers. The caller holds mu.
func (c *cluster) startLocked(ctx context.Context) (version, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	logFile, err := c.dir.openLog()
	if err != nil {
		return version{}, err
	}
	defer logFile.Close()
	logged, err := logFile.Seek(0, 2)
	if err != nil {
		return version{}, err
	}

	postgres := c.command("postgres", c.arguments()...)
	postgres.Stdout, postgres.Stderr = logFile, logFile
	// SIGQUIT is PostgreSQL's immediate shutdown: it takes its children along.
	postgres.SysProcAttr = childAttributes(c.dir.account, syscall.SIGQUIT)
	if c.process, err = startProcess(postgres); err != nil {
		return version{}, fmt.Errorf("postgres: %w", err)
	}
	v, err := await(ctx, c.url(), c.process.done, func() error {
		return fmt.Errorf("postgres ended: %w", c.process.err)
	})
	if err != nil {
		return version{}, fmt.Errorf("%w\n%s", errors.Join(err, c.kill()), lastLines(c.dir.readLog(logged), 8))
	}
	return v, nil
}

func (c *cluster) stop(ctx context.Context, mode string) error {
	signal, ok := stopModes[mode]
	if !ok {
		return fmt.Errorf("pgserver: unknown mode %q; it may be smart, fast or immediate", mode)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.process.running() {
		return nil
	}
	c.process.signal(signal)
	select {
	case <-c.process.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pgserver: stopping (%s): %w", mode, context.Cause(ctx))
	}
}

// close ends the server without ceremony, as nobody will read its data again.
func (c *cluster) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return errors.Join(c.kill(), c.dir.remove())
}

// kill ends the server: as a crash if it listens to that, else by the kernel.
func (c *cluster) kill() error {
	if !c.process.running() {
		return nil
	}
	c.process.signal(syscall.SIGQUIT)
	select {
	case <-c.process.done:
		return nil
	case <-time.After(10 * time.Second):
	}
	c.process.signal(syscall.SIGKILL)
	select {
	case <-c.process.done:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("pgserver: postgres does not end, not even by SIGKILL")
	}
}

func (c *cluster) data() string { return filepath.Join(c.dir.cluster, "data") }

func (c *cluster) url() string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, c.password),
		Host:     "127.0.0.1:" + strconv.Itoa(c.port),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// arguments of the server program: what a private cluster must have comes last and wins.
func (c *cluster) arguments() []string {
	args := []string{"-D", c.data()}
	for _, name := range slices.Sorted(maps.Keys(c.settings)) {
		args = append(args, "-c", name+"="+c.settings[name])
	}
	sockets := c.dir.cluster
	if len(filepath.Join(sockets, ".s.PGSQL.65535.lock")) > maxSocketPath {
		sockets = ""
	}
	return append(args,
		"-c", "listen_addresses=127.0.0.1",
		"-c", "port="+strconv.Itoa(c.port),
		"-c", "unix_socket_directories="+sockets,
		"-c", "logging_collector=off",
		"-c", "log_destination=stderr",
	)
}

// command prepares a PostgreSQL program. Its working directory is one that its
// user can enter; settings of libpq in our environment are not for it.
func (c *cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, program), args...)
	cmd.Dir = c.dir.cluster
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") && !strings.HasPrefix(v, "LC_") && !strings.HasPrefix(v, "LANG") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	return cmd
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
