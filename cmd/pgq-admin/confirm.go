package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
)

// confirm asks whether to do something that cannot be undone. Where nobody can be asked, it has to be said beforehand.
func (a *app) confirm(ctx context.Context, what string) error {
	if !output.IsTerminal(a.in) || !output.IsTerminal(a.err) {
		return usagef("this would %s; nothing was changed", what).WithFix("say --yes if you mean it, or --dry-run to see what it does")
	}
	fmt.Fprintf(a.err, "%s? [y/N] ", what)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case word := <-answer:
		if word == "y" || word == "yes" {
			return nil
		}
		return &output.Error{Code: output.ExitFailed, Text: "not confirmed; nothing was changed"}
	}
}
