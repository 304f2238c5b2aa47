package command

import (
	"context"
	"strings"
	"testing"
)

// Without Main a child process would be a second worker, whose children would be workers, and so on.
func TestAFunctionIsRefusedWhenMainWasNotCalled(t *testing.T) {
	functions.ready = false
	defer func() { functions.ready = true }()
	c := Function("never", func(context.Context, Job[int]) (int, error) { return 0, nil })
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "needs command.Main to be called") {
		t.Errorf("Check: %v", err)
	}
}
