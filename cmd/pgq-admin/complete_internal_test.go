package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Whoever adds a flag says what completes it: what it may be, what the database has, files, or nothing.
func TestEveryFlagIsCompletedOrKnownToBeFree(t *testing.T) {
	t.Parallel()
	a := &app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}
	n := 0
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			look(sub)
		}
		c.NonInheritedFlags().VisitAll(func(flag *pflag.Flag) {
			n++
			if _, ok := c.GetFlagCompletionFunc(flag.Name); !ok && flag.Value.Type() != "bool" {
				t.Errorf("%s --%s: add it to the choices, to what is found, or to the free flags (complete.go)", c.CommandPath(), flag.Name)
			}
		})
		if c.ValidArgs == nil && c.ValidArgsFunction == nil && c.HasParent() {
			t.Errorf("%s: nothing completes the arguments", c.CommandPath())
		}
	}
	look(newRoot(a))
	if n < 300 {
		t.Errorf("only %d flags were looked at", n)
	}
}
