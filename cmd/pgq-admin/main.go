// Command pgq-admin shows, installs and checks PGQ. It is thin: whatever it does, the library can do.
//
// Exit codes: 0 ok, 1 failed, 2 used in a wrong way (flags, settings), 4 the command found something wrong (check),
// 8 no connection to a database, 128 and the number of the signal that ended it (130 for Ctrl-C).
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

// run executes the command of the command line and returns the exit code. The first signal ends the command in order,
// the second one ends the process; nobody reading the output any more (SIGPIPE) counts as a signal.
func run() int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	var by atomic.Int64
	go func() {
		s, _ := (<-signals).(syscall.Signal)
		by.Store(int64(s))
		// Not SIGPIPE: it would end the process at its next word, in the middle of cleaning up.
		signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		cancel(errInterrupted)
	}()

	err := newRoot(&app{out: os.Stdout, err: os.Stderr, environ: os.Environ()}).ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if s := by.Load(); s != 0 && errors.Is(err, errInterrupted) {
		_, text := explain(err)
		fmt.Fprintln(os.Stderr, "pgq-admin: "+text)
		return 128 + int(s)
	}
	code, text := explain(err)
	if text != "" {
		fmt.Fprintln(os.Stderr, "pgq-admin: "+text)
	}
	return code
}

var errInterrupted = errors.New("interrupted")
