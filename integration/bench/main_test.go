package main

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// The child processes of a measurement are the program that measures, here the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && childCommands[os.Args[1]] != nil {
		if err := runChild(context.Background(), os.Args[1:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
