package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// Job is a job as a function in a child process sees it.
type Job[A any] struct {
	ID          int64
	Kind        string
	Queue       string
	Attempt     int
	MaxAttempts int
	Priority    int
	CreatedAt   time.Time
	Tags        []string
	Metadata    json.RawMessage
	DAGID       int64 // 0: of none
	// Args are what was enqueued. They are left as they are where a codec encoded them as Payload.
	Args    A
	Codec   string
	Payload []byte
}

// functionVariable names the function in the environment of a child process.
const functionVariable = "PGQ_FUNCTION"

// functions are what child processes can run.
var functions struct {
	mu     sync.Mutex
	byName map[string]func(ctx context.Context, input []byte) (any, error)
	ready  bool // Main was called
}

// Function returns a command that runs fn in a child process of this same program, so that what crashes, leaks or cannot be
// stopped harms nothing else. fn answers as other handlers do: nil, an error, pgq.Snooze, pgq.Cancel, pgq.Permanent or pgq.RetryAfter; steps and
// other calls that need the worker's database are not at hand. What it prints goes to the log of the job.
//
//	var resize = command.Function("resize", func(ctx context.Context, job command.Job[Image]) (Size, error) { … })
//
//	func main() {
//		command.Main() // before anything else
//		…
//		resize.Timeout, resize.MaxMemory = time.Minute, 512<<20
//		worker.HandleCommand(w, "resize", resize)
//
// Call it while the program starts, before [Main], in every process of it alike: names are how a child process finds the function.
// A second function of one name panics.
func Function[A, R any](name string, fn func(ctx context.Context, job Job[A]) (R, error)) Command {
	functions.mu.Lock()
	defer functions.mu.Unlock()
	if functions.byName == nil {
		functions.byName = map[string]func(context.Context, []byte) (any, error){}
	}
	if functions.byName[name] != nil {
		panic(fmt.Sprintf("command: second function %q", name))
	}
	functions.byName[name] = func(ctx context.Context, line []byte) (any, error) {
		job, err := readJob[A](line)
		if err != nil {
			return nil, pgq.Permanent(err)
		}
		return fn(ctx, job)
	}
	return Command{function: name}
}

// readJob reads what inputOf wrote.
func readJob[A any](line []byte) (Job[A], error) {
	var in input
	if err := json.Unmarshal(line, &in); err != nil {
		return Job[A]{}, fmt.Errorf("job could not be read: %w", err)
	}
	job := Job[A]{
		ID: in.ID, Kind: in.Kind, Queue: in.Queue, Attempt: in.Attempt, MaxAttempts: in.MaxAttempts, Priority: in.Priority,
		CreatedAt: in.CreatedAt, Tags: in.Tags, Metadata: in.Metadata, Payload: in.Payload,
	}
	if in.DAGID != nil {
		job.DAGID = *in.DAGID
	}
	if in.Codec != nil {
		job.Codec = *in.Codec
	} else if len(in.Args) > 0 {
		if err := json.Unmarshal(in.Args, &job.Args); err != nil {
			return job, fmt.Errorf("args of job %d: %w", in.ID, err)
		}
	}
	return job, nil
}

// Main runs the function of a child process and ends the process. In any other process it does nothing but note that there is a
// function of main which calls it: without, a child would be a second instance of the whole program.
func Main() {
	name, isChild := os.LookupEnv(functionVariable)
	functions.mu.Lock()
	functions.ready = true
	fn := functions.byName[name]
	functions.mu.Unlock()
	if !isChild {
		return
	}
	if fn == nil {
		fmt.Fprintf(os.Stderr, "command: there is no function %q: it must be made before Main is called\n", name)
		os.Exit(1)
	}
	_ = os.Unsetenv(functionVariable) // what it starts is no such child
	answer := os.Stdout
	os.Stdout = os.Stderr // what is printed is no answer
	os.Exit(serve(fn, os.Stdin, answer))
}

// serve runs a function once and returns the exit code that says how it ended.
func serve(fn func(context.Context, []byte) (any, error), stdin io.Reader, answer io.Writer) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	result, err := call(ctx, fn, stdin)
	if err == nil {
		var line []byte
		if line, err = json.Marshal(result); err == nil {
			_, err = answer.Write(append(line, '\n'))
		}
	}
	if err == nil {
		return 0
	}
	code, said := exitOf(err)
	line, _ := json.Marshal(said)
	_, _ = answer.Write(line)
	return code
}

// call reads the job and calls the function; a panic is an error, and its stack goes to the log.
func call(ctx context.Context, fn func(context.Context, []byte) (any, error), stdin io.Reader) (result any, err error) {
	line, err := io.ReadAll(stdin)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "panic: %v\n%s", r, debug.Stack())
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return fn(ctx, line)
}

// exitOf returns the exit code and the answer for what a function returned, as [DefaultExits] reads them.
func exitOf(err error) (code int, answer map[string]any) {
	answer = map[string]any{"error": err.Error()}
	var snooze *pgq.SnoozeError
	var cancel *pgq.CancelError
	var permanent *pgq.PermanentError
	var retry *pgq.RetryError
	switch {
	case errors.As(err, &snooze):
		answer["delay"] = snooze.Delay.String()
		return 75, answer
	case errors.As(err, &cancel):
		answer["error"] = strings.TrimPrefix(cancel.Error(), "cancelled: ")
		return 80, answer
	case errors.As(err, &permanent):
		return 65, answer
	case errors.As(err, &retry):
		answer["delay"] = max(retry.Delay, 0).String()
	}
	return 1, answer
}

// asChild turns a function into the program that runs it: the one that runs now, whatever has taken its place on disk since.
func (c Command) asChild() (Command, error) {
	program, err := self()
	if err != nil {
		return c, fmt.Errorf("the program of this process is not known: %w", err)
	}
	c.Args = []string{program}
	c.Env = append(c.Env[:len(c.Env):len(c.Env)], functionVariable+"="+c.function)
	return c, nil
}

// checkFunction returns the rule that a function breaks, as *pgq.ArgumentError.
func (c Command) checkFunction() error {
	functions.mu.Lock()
	defer functions.mu.Unlock()
	switch {
	case !functions.ready:
		return &pgq.ArgumentError{Field: "function", Rule: "needs command.Main to be called at the beginning of main, before the worker is made"}
	case len(c.Args) != 0 || len(c.Exits) != 0 || c.Output != "":
		return &pgq.ArgumentError{Field: "function", Rule: "must not be given Args, Exits or an Output of its own"}
	}
	return nil
}
