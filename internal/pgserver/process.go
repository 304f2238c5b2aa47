package pgserver

import (
	"os/exec"
	"runtime"
	"syscall"
)

// process is a child that does not outlive us, as far as the system helps.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the child has ended
	err  error         // how it ended, valid once done is closed
}

// startProcess starts cmd.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux ends the child when the thread that forked it ends, and not only
		// when the process does. This keeps the thread for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()

		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// running is false for a nil process.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends s; that the process has just ended is not worth an error.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }
