package command

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// child is a process that runs for an attempt, with its pipes.
type child struct {
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process has ended and its group is killed
	err     error         // of waiting for it; valid once ended is closed
	tooLong <-chan struct{}

	stdout       *printed
	stderr       *lines
	pipes        [3]*os.File // our ends
	write, reads sync.WaitGroup
}

// start starts the program and feeds it.
func (c Command) start(ctx context.Context, input []byte) (*child, error) {
	if c.Dir != "" {
		if _, err := os.Stat(c.Dir); err != nil { // else the program would be said not to be there
			return nil, err
		}
	}
	p := &child{cmd: exec.Command(c.Args[0], c.Args[1:]...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.SysProcAttr = c.Dir, c.Env, attributes()
	theirs, err := p.openPipes()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	err = p.begin()
	closeAll(theirs[:])
	if err != nil {
		closeAll(p.pipes[:])
		return nil, err
	}
	p.stdout = newPrinted(c.MaxOutput, c.Output == None)
	p.tooLong = p.stdout.exceeded
	p.stderr = &lines{log: func(line string) { c.Log(ctx, line) }}
	p.write.Go(func() {
		_, _ = p.pipes[0].Write(input) // a program need not read it
		_ = p.pipes[0].Close()
	})
	p.reads.Go(func() { _, _ = io.Copy(p.stdout, p.pipes[1]) })
	p.reads.Go(func() {
		_, _ = io.Copy(p.stderr, p.pipes[2])
		p.stderr.end()
	})
	return p, nil
}

// openPipes opens the pipes and returns the child's ends.
func (p *child) openPipes() (theirs [3]*os.File, err error) {
	for i := range p.pipes {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(p.pipes[:])
			closeAll(theirs[:])
			return theirs, err
		}
		p.pipes[i], theirs[i] = r, w
		if i == 0 {
			p.pipes[i], theirs[i] = w, r
		}
	}
	return theirs, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// begin starts the process in a goroutine that waits for it.
func (p *child) begin() error {
	started := make(chan error)
	go func() {
		defer keepThread()()
		prepareGuard()
		err := p.cmd.Start()
		if err == nil { // until then the child dies with us, but what it has started already would not
			watch(p.cmd.Process.Pid)
		}
		started <- err
		if err != nil {
			return
		}
		var exit *exec.ExitError
		if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
			p.err = err
		}
		killGroup(p.cmd.Process)
		unwatch(p.cmd.Process.Pid)
		close(p.ended)
	}()
	return <-started
}

// terminate asks the group to end.
func (p *child) terminate() { terminateGroup(p.cmd.Process) }

// lingering is how long pipes may stay open that somebody holds who has left the group.
const lingering = time.Second

// finish kills what still runs and waits until all that it wrote is read.
func (p *child) finish() {
	select {
	case <-p.ended:
	default:
		killGroup(p.cmd.Process)
		<-p.ended
	}
	read := make(chan struct{})
	go func() {
		p.reads.Wait()
		close(read)
	}()
	timer := time.NewTimer(lingering)
	defer timer.Stop()
	select {
	case <-read:
	case <-timer.C:
	}
	closeAll(p.pipes[:]) // ends whoever still reads or writes
	<-read
	p.write.Wait()
}

// lastWords returns the end of the standard error, to be appended to an error.
func (p *child) lastWords() string {
	if words := p.stderr.last(); words != "" {
		return ": " + words
	}
	return ""
}
