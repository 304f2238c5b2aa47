// Command pgq-admin shows, installs and checks PGQ. It is thin: whatever it does, the library can do.
//
// Exit codes: 0 ok, 1 failed (or a DAG that was watched has), 2 used in a wrong way (flags, settings, input), 3 there is no
// such thing, 4 the command found something wrong (check), 5 done for some and not for others, 6 not possible in this state,
// 7 waited until time was out, 8 no connection to a database, 128 and the number of the signal that ended it (130 for
// Ctrl-C, 141 when nobody reads the output any more).
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
)

func main() {
	os.Exit(run())
}

// run executes the command of the command line and returns the exit code. The first signal ends the command in order,
// the second one ends the process, or what the command is in the middle of (see interruption); then the third one does.
func run() int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// SIGPIPE comes for sockets of databases, too, so it ends nothing: who writes to a pipe that nobody reads gets an error. It is
	// taken and not ignored, which programs that we run would inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	var by atomic.Int64
	stop := &interruption{again: make(chan struct{})}
	go func() {
		s, _ := (<-signals).(syscall.Signal)
		by.Store(int64(s))
		reset := func() { signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) }
		inSteps := stop.inSteps.Load()
		if !inSteps {
			reset() // before anybody can see that the command ends: the next signal is the second one
		}
		cancel(errInterrupted)
		if inSteps {
			<-signals
			close(stop.again)
			reset()
		}
	}()

	root := newRoot(&app{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(), stop: stop})
	help := &checkedWriter{Writer: os.Stdout}
	root.SetOut(help)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = help.err
	}
	if err == nil {
		return output.ExitOK
	}
	if nobodyReads(err) {
		return 128 + int(syscall.SIGPIPE)
	}
	s := by.Load()
	if s != 0 && errors.Is(err, context.Canceled) {
		err = errInterrupted // in the middle of a query
	}
	f := explain(err)
	if s != 0 && errors.Is(err, errInterrupted) {
		f.Code = 128 + int(s)
	}
	if f.Message != "" {
		f.Print(os.Stderr, "pgq-admin", output.WantsJSON(os.Args[1:]))
	}
	return f.Code
}

// checkedWriter keeps the first error of those who print help and do not look at errors.
type checkedWriter struct {
	io.Writer
	err error
}

func (w *checkedWriter) Write(text []byte) (int, error) {
	n, err := w.Writer.Write(text)
	if w.err == nil {
		w.err = err
	}
	return n, err
}
