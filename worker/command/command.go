package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// Command is a program that is run for each attempt of a job, or a function of this one (see [Function]). Only Args has to be given.
type Command struct {
	// Args are the program and its arguments.
	Args []string
	// Dir is where it runs; the directory of this process by default.
	Dir string
	// Env is its environment, "NAME=value", to which JOB_ID and so on are added; nil: that of this process, which may
	// hold secrets.
	Env []string
	// Timeout is how long it may run, besides the timeout of the job; 0 without limit.
	Timeout time.Duration
	// KillAfter is how long after SIGTERM it gets SIGKILL; 2 s by default. At most 4 s when the worker stops, which
	// does not wait for longer.
	KillAfter time.Duration
	// MaxMemory is how many bytes of memory it may have, with all that it starts, before it is killed: resident ones that are not shared,
	// looked at ten times a second. 0 without limit. On Linux only.
	MaxMemory int64
	// MaxOutput is how many bytes it may print; 1 MiB by default.
	MaxOutput int
	// Output says what that is; JSON by default.
	Output Output
	// Exits says what exit codes mean, before [DefaultExits]. 0 is always Complete.
	Exits map[int]Exit
	// SnoozeFor is for how long it snoozes if it does not say so; 1 min by default.
	SnoozeFor time.Duration
	// Log gets the lines of its standard error, cleaned of control characters; nil: nobody reads them.
	Log func(ctx context.Context, line string)

	function string // of this program, in place of Args
}

// Output is what a program prints.
type Output string

// The outputs.
const (
	JSON Output = "json" // one value, or nothing; the zero value means this
	Text Output = "text" // text, whose result is a string without the last line break
	None Output = "none" // nothing that matters
)

// Exit is what an exit code means.
type Exit string

// The exits.
const (
	Complete Exit = "complete"
	Retry    Exit = "retry"
	Fail     Exit = "fail"
	Snooze   Exit = "snooze"
	Cancel   Exit = "cancel"
)

// DefaultExits says what exit codes mean unless [Command.Exits] says something else: 0 Complete, 65 Fail, 75 Snooze,
// 80 Cancel, all others Retry.
func DefaultExits(code int) Exit {
	switch code {
	case 0:
		return Complete
	case 65:
		return Fail
	case 75:
		return Snooze
	case 80:
		return Cancel
	}
	return Retry
}

const (
	defaultKillAfter = 2 * time.Second
	// maxKillAfter is the longest wait when the worker stops: one second less than its patience.
	maxKillAfter     = 4 * time.Second
	defaultMaxOutput = 1 << 20
	highestMaxOutput = 256 << 20
	defaultSnooze    = time.Minute
)

// Check returns the first rule that the command breaks, as *pgq.ArgumentError.
func (c Command) Check() error {
	rule := func(field, rule string) error { return &pgq.ArgumentError{Field: field, Rule: rule} }
	switch {
	case c.function != "" && c.checkFunction() != nil:
		return c.checkFunction()
	case c.function == "" && (len(c.Args) == 0 || c.Args[0] == ""):
		return rule("Args", "must begin with a program")
	case c.Timeout < 0:
		return rule("Timeout", "must not be negative")
	case c.KillAfter < 0:
		return rule("KillAfter", "must not be negative")
	case c.SnoozeFor < 0:
		return rule("SnoozeFor", "must not be negative")
	case c.MaxMemory < 0:
		return rule("MaxMemory", "must not be negative")
	case c.MaxMemory > 0 && !canLimitMemory:
		return rule("MaxMemory", "must not be given but on Linux")
	case c.MaxOutput < 0 || c.MaxOutput > highestMaxOutput:
		return rule("MaxOutput", fmt.Sprintf("must be 0 (1 MiB) to %d bytes", highestMaxOutput))
	case c.Output != "" && c.Output != JSON && c.Output != Text && c.Output != None:
		return rule("Output", "must be json, text or none")
	}
	for _, text := range append(c.Args[:len(c.Args):len(c.Args)], c.Env...) {
		if strings.Contains(text, "\x00") {
			return rule("Args and Env", "must not contain NUL")
		}
	}
	for code, exit := range c.Exits {
		switch exit {
		case Complete, Retry, Fail, Snooze, Cancel:
		default:
			return rule("Exits", fmt.Sprintf("must be complete, retry, fail, snooze or cancel, not %q", exit))
		}
		if code < 0 || code > 255 || code == 0 && exit != Complete {
			return rule("Exits", fmt.Sprintf("must be for codes 1 to 255, not %d; 0 is always complete", code))
		}
	}
	return nil
}

func (c Command) withDefaults() Command {
	if c.KillAfter == 0 {
		c.KillAfter = defaultKillAfter
	}
	if c.MaxOutput == 0 {
		c.MaxOutput = defaultMaxOutput
	}
	if c.SnoozeFor == 0 {
		c.SnoozeFor = defaultSnooze
	}
	if c.Output == "" {
		c.Output = JSON
	}
	if c.Env == nil {
		c.Env = os.Environ()
	}
	if c.Log == nil {
		c.Log = func(context.Context, string) {}
	}
	return c
}

// Run runs the program for an attempt; it is a worker.Handler. It returns when the program has ended and its process group
// is killed, in any case.
func (c Command) Run(ctx context.Context, job *pgq.Attempt) (any, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	input, err := inputOf(job)
	if err != nil {
		return nil, err
	}
	c.Env = append(c.Env[:len(c.Env):len(c.Env)], "JOB_ID="+strconv.FormatInt(job.ID, 10), "JOB_KIND="+job.Kind,
		"JOB_QUEUE="+job.Queue, "JOB_ATTEMPT="+strconv.Itoa(job.Number), "JOB_MAX_ATTEMPTS="+strconv.Itoa(job.MaxAttempts))
	if c.function != "" {
		if c, err = c.asChild(); err != nil {
			return nil, err
		}
	}
	limited := ctx
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, c.Timeout, pgq.ErrTimeout)
		defer cancel()
	}
	p, err := c.start(ctx, input)
	if err != nil {
		return nil, fmt.Errorf("command could not be started: %w", err)
	}
	var tooLarge <-chan struct{}
	if c.MaxMemory > 0 {
		var forget func()
		tooLarge, forget = limitMemory(p.cmd.Process.Pid, c.MaxMemory)
		defer forget()
	}
	stopped, large := false, false
	select {
	case <-p.ended:
	case <-p.tooLong:
	case <-tooLarge:
		large = true
	case <-limited.Done():
		stopped = true
		c.stop(limited, p)
	}
	p.finish()
	if large {
		return nil, fmt.Errorf("command had more than %d bytes of memory and was killed%s", c.MaxMemory, p.lastWords())
	}
	if p.stdout.tooLong() {
		return nil, fmt.Errorf("command printed more than %d bytes and was killed%s", c.MaxOutput, p.lastWords())
	}
	result, err := c.judge(p)
	if err != nil && stopped && ctx.Err() == nil { // the engine knows only of ends of its own context
		err = fmt.Errorf("%w after %s: %w", pgq.ErrTimeout, c.Timeout, err)
	}
	return result, err
}

// stop ends the group of a child in order: at once when nobody wants its work any more.
func (c Command) stop(ctx context.Context, p *child) {
	patience := c.KillAfter
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, pgq.ErrLeaseLost):
		return
	case errors.Is(cause, pgq.ErrShutdown):
		patience = min(patience, maxKillAfter)
	}
	p.terminate()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
	}
}
