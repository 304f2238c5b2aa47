//go:build unix

// Command withpg runs a command with a PostgreSQL to use.
//
//	withpg [-private] [-tests] [-setting name=value]… [--] command [argument]…
//
// It finds or starts a server (see package pgserver), runs the command with
// PGQ_DATABASE_URL set to it, passes signals on, ends the server if it started it,
// and exits with the command's code, or 128 plus the number of the signal that
// ended the command. 125 means that there was no server to be had, 126 and 127 that
// the command could not be started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/pgq-go/queue/internal/pgserver"
)

const (
	exitUsage     = 2
	exitNoServer  = 125
	exitNotRun    = 126
	exitNotFound  = 127
	exitSignalled = 128 // plus the signal
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	options, command, err := parse(args)
	if err != nil {
		return exitUsage
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)

	server, code := start(options, signals)
	if server == nil {
		return code
	}
	fmt.Fprintf(os.Stderr, "PostgreSQL %s: %s\n", server.Version, server.Origin)
	code = execute(command, server.URL, signals)
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "withpg:", err)
		return max(code, 1)
	}
	return code
}

func parse(args []string) (pgserver.Options, []string, error) {
	var o pgserver.Options
	set := map[string]string{}
	flags := flag.NewFlagSet("withpg", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: withpg [-private] [-tests] [-setting name=value]… [--] command [argument]…")
		flags.PrintDefaults()
	}
	flags.BoolVar(&o.Private, "private", false, "a server of its own, even if PGQ_DATABASE_URL is set")
	tests := flags.Bool("tests", false, "if a server is started, make it one for tests: quick, in memory if there is room, not crash-safe")
	flags.Func("setting", "`name=value` of a server setting, if a server is started; may be repeated", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return errors.New("want name=value")
		}
		set[name] = value
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, nil, err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return o, nil, errors.New("no command")
	}
	o.Settings = map[string]string{}
	if *tests {
		o.Settings, o.InMemory = pgserver.TestSettings(), true
	}
	for name, value := range set {
		o.Settings[name] = value
	}
	return o, flags.Args(), nil
}

// start returns the server, or nil and the code to exit with. A signal ends the start.
func start(o pgserver.Options, signals <-chan os.Signal) (*pgserver.Server, int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	type result struct {
		server *pgserver.Server
		err    error
	}
	results := make(chan result, 1)
	go func() {
		s, err := pgserver.Start(ctx, o)
		results <- result{s, err}
	}()
	select {
	case r := <-results:
		if r.err != nil {
			fmt.Fprintln(os.Stderr, "withpg:", r.err)
		}
		return r.server, exitNoServer
	case s := <-signals:
		cancel()
		if r := <-results; r.server != nil {
			r.server.Close()
		}
		return nil, exitSignalled + int(s.(syscall.Signal))
	}
}

// execute runs the command in a process group of its own: what the terminal sends
// to ours on Ctrl-C reaches it once, from here.
func execute(command []string, url string, signals <-chan os.Signal) int {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "PGQ_DATABASE_URL="+url)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "withpg:", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return exitNotFound
		}
		return exitNotRun
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = syscall.Kill(-cmd.Process.Pid, s.(syscall.Signal))
		case err := <-ended:
			return exitCode(cmd, err)
		}
	}
}

func exitCode(cmd *exec.Cmd, err error) int {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return exitSignalled + int(status.Signal())
	case cmd.ProcessState.ExitCode() >= 0:
		return cmd.ProcessState.ExitCode()
	default:
		fmt.Fprintln(os.Stderr, "withpg:", err)
		return exitNotRun
	}
}
