package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && childCommands[os.Args[1]] != nil {
		err = runChild(ctx, os.Args[1:], os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures what the arguments ask for. Progress goes to stderr, results to stdout; the results that there are are
// written even if some measurements failed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o, stderr)
	if err != nil {
		return err
	}
	samples, measureErr := b.measure(ctx)
	if err := b.close(ctx); err != nil {
		measureErr = errors.Join(measureErr, err)
	}
	return errors.Join(measureErr, write(o, b.about, summarize(samples), stdout))
}

// write puts the results where the options want them.
func write(o options, about string, results []result, stdout io.Writer) error {
	if o.jsonFile == "-" {
		return writeJSON(stdout, results)
	}
	if o.jsonFile != "" {
		file, err := os.Create(o.jsonFile)
		if err != nil {
			return err
		}
		if err := errors.Join(writeJSON(file, results), file.Close()); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "%s\n\n", about)
	if o.markdown {
		return writeMarkdown(stdout, results)
	}
	return writeTable(stdout, results)
}
