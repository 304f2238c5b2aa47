package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// options is what the command line asks for.
type options struct {
	scenarios []string // empty means all
	systems   []string
	n         int
	runs      int
	conns     int
	duration  time.Duration
	short     bool
	jsonFile  string
	markdown  bool
	url       string

	pacing pacing
}

// pacing is how long the scenarios that run for a time run for, and how large DAGs are, so that the whole ends in minutes.
type pacing struct {
	txWarmUp    time.Duration
	txWindow    time.Duration
	latencyJobs int
	idleSettle  time.Duration
	idleWindow  time.Duration

	// The sizes of DAGs, in nodes.
	chainNodes, fewNodes, nodes, manyNodes int

	// viewJobs is how many jobs there are when views are read.
	viewJobs int

	// backlogJobs is how many jobs wait behind a limit.
	backlogJobs int

	// schedules is how many schedules are due at the same time.
	schedules int
}

var (
	fullPacing = pacing{
		txWarmUp:    300 * time.Millisecond,
		txWindow:    2 * time.Second,
		latencyJobs: 400,
		idleSettle:  10 * time.Second,
		idleWindow:  15 * time.Second,
		chainNodes:  2_000,
		fewNodes:    1_000,
		nodes:       10_000,
		manyNodes:   100_000,
		viewJobs:    10_000_000,
		backlogJobs: 1_000_000,
		schedules:   10_000,
	}
	shortPacing = pacing{
		txWarmUp:    200 * time.Millisecond,
		txWindow:    time.Second,
		latencyJobs: 150,
		idleSettle:  5 * time.Second,
		idleWindow:  10 * time.Second,
		chainNodes:  500,
		fewNodes:    1_000,
		nodes:       3_000,
		manyNodes:   20_000,
		viewJobs:    1_000_000,
		backlogJobs: 100_000,
		schedules:   10_000,
	}
)

// parseOptions reads the command line. It returns [flag.ErrHelp] when help was asked for and written.
func parseOptions(args []string, output io.Writer) (options, error) {
	var (
		o             options
		only, systems string
	)
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&only, "only", "", "comma-separated `scenarios` to run (default all: "+strings.Join(scenarioNames(), ", ")+")")
	flags.StringVar(&systems, "systems", strings.Join(systemNames, ","), "comma-separated `systems` to measure")
	flags.IntVar(&o.n, "n", 0, "number of `jobs` to enqueue and drain (default 100,000; 10,000 with -short)")
	flags.IntVar(&o.runs, "runs", 0, "measure everything this `often` and take the medians (default 3; 1 with -short)")
	flags.IntVar(&o.conns, "conns", 10, "`size` of the connection pool of each system's workers")
	flags.DurationVar(&o.duration, "duration", 0, "how long a measurement of pinned-xmin lasts (default 10s; 4s with -short)")
	flags.BoolVar(&o.short, "short", false, "end within two minutes, with rougher figures")
	flags.StringVar(&o.jsonFile, "json", "", "write one JSON object per figure to `file`; - means standard output, in place of the table")
	flags.BoolVar(&o.markdown, "markdown", false, "write the table as Markdown")
	flags.StringVar(&o.url, "url", os.Getenv("PGQ_DATABASE_URL"), "`URL` of a PostgreSQL server (default PGQ_DATABASE_URL, else a private cluster)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.scenarios, o.systems = split(only), split(systems)
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	o.setDefaults(given)
	return o, o.validate()
}

// setDefaults fills in what was not given on the command line.
func (o *options) setDefaults(given map[string]bool) {
	n, runs, duration := 100_000, 3, 10*time.Second
	o.pacing = fullPacing
	if o.short {
		n, runs, duration = 10_000, 1, 4*time.Second
		o.pacing = shortPacing
	}
	if !given["n"] {
		o.n = n
	}
	if !given["runs"] {
		o.runs = runs
	}
	if !given["duration"] {
		o.duration = duration
	}
}

// validate returns all that is wrong with the options.
func (o *options) validate() error {
	var errs []error
	for _, name := range o.scenarios {
		if !slices.Contains(scenarioNames(), name) {
			errs = append(errs, fmt.Errorf("-only: unknown scenario %q; there are %s", name, strings.Join(scenarioNames(), ", ")))
		}
	}
	for _, name := range o.systems {
		if !slices.Contains(systemNames, name) {
			errs = append(errs, fmt.Errorf("-systems: unknown system %q; there are %s", name, strings.Join(systemNames, ", ")))
		}
	}
	if len(o.systems) == 0 {
		errs = append(errs, errors.New("-systems: must name at least one system"))
	}
	if o.n < 1 {
		errs = append(errs, fmt.Errorf("-n: must be at least 1, got %d", o.n))
	}
	if o.runs < 1 {
		errs = append(errs, fmt.Errorf("-runs: must be at least 1, got %d", o.runs))
	}
	if o.conns < minConns {
		errs = append(errs, fmt.Errorf("-conns: must be at least %d, got %d", minConns, o.conns))
	}
	if o.duration <= 0 {
		errs = append(errs, fmt.Errorf("-duration: must be positive, got %s", o.duration))
	}
	if o.markdown && o.jsonFile == "-" {
		errs = append(errs, errors.New("-markdown and -json - both want standard output"))
	}
	return errors.Join(errs...)
}

func split(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ","), func(s string) bool { return s == "" })
}
