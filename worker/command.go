package worker

import (
	"context"
	"fmt"

	"github.com/pgq-go/queue/worker/command"
)

// HandleCommand runs a program for each job of a kind: see package command. Lines of its standard error go to the log of
// the job (see [Logger]) unless c.Log takes them. Call it before Run, which refuses a command that breaks a rule.
func HandleCommand(w *Worker, kind string, c command.Command) {
	if err := c.Check(); err != nil {
		w.problems = append(w.problems, fmt.Errorf("worker: command of %q: %w", kind, err))
		return
	}
	if c.Log == nil {
		c.Log = func(ctx context.Context, line string) { Logger(ctx).InfoContext(ctx, line) }
	}
	w.register(kind, c.Run)
}
