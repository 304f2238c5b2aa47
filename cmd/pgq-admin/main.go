// Command pgq-admin shows, installs and checks PGQ. It is thin: whatever it does, the library can do.
//
// Exit codes: 0 ok, 1 failed, 2 used in a wrong way (flags, settings), 4 the command found something wrong (check),
// 8 no connection to a database, 130 interrupted (143 by SIGTERM).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

func main() {
	os.Exit(run())
}

// run executes the command of the command line and returns the exit code. The first Ctrl-C ends the command in
// order; the second one ends the process.
func run() int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var by atomic.Pointer[os.Signal]
	go func() {
		s := <-signals
		by.Store(&s)
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		cancel(errInterrupted)
	}()

	err := newRoot(&app{out: os.Stdout, err: os.Stderr, environ: os.Environ()}).ExecuteContext(ctx)
	if s := by.Load(); s != nil && err != nil {
		fmt.Fprintln(os.Stderr, "pgq-admin: interrupted")
		if *s == syscall.SIGTERM {
			return 128 + int(syscall.SIGTERM)
		}
		return exitInterrupted
	}
	if err == nil {
		return exitOK
	}
	code, text := explain(err)
	if text != "" {
		fmt.Fprintln(os.Stderr, "pgq-admin: "+text)
	}
	return code
}

var errInterrupted = errors.New("interrupted")
