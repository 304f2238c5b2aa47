package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"
)

func TestOptionsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-only", "drain,swim"}, `-only: unknown scenario "swim"; there are enqueue-bulk,`},
		{[]string{"-systems", "pgq,oban"}, `-systems: unknown system "oban"; there are pgq, river, floor`},
		{[]string{"-systems", ""}, "-systems: must name at least one"},
		{[]string{"-runs", "0"}, "-runs: must be at least 1, got 0"},
		{[]string{"-n", "0"}, "-n: must be at least 1, got 0"},
		{[]string{"-n", "-5"}, "-n: must be at least 1, got -5"},
		{[]string{"-n", "many"}, `invalid value "many" for flag -n`},
		{[]string{"-conns", "1"}, "-conns: must be at least 4, got 1"},
		{[]string{"-duration", "-1s"}, "-duration: must be positive, got -1s"},
		{[]string{"-duration", "0"}, "-duration: must be positive, got 0s"},
		{[]string{"-markdown", "-json", "-"}, "both want standard output"},
		{[]string{"drain"}, `unexpected argument "drain"`},
		{[]string{"-fast"}, "not defined: -fast"},
		{[]string{"-runs", "0", "-n", "0"}, "-n: must be at least 1, got 0\n-runs:"},
	} {
		_, err := parseOptions(c.args, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q", c.args, err, c.want)
		}
	}
}

func TestOptionsThatAreNotGiven(t *testing.T) {
	t.Setenv("PGQ_DATABASE_URL", "postgres://there")
	full, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if full.runs != 3 || full.n != 100_000 || full.url != "postgres://there" || len(full.systems) != len(systemNames) || len(full.scenarios) != 0 {
		t.Errorf("got %+v", full)
	}
	short, err := parseOptions([]string{"-short", "-runs", "5", "-url", "postgres://here"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if short.runs != 5 || short.n >= full.n || short.duration >= full.duration || short.pacing != shortPacing || short.url != "postgres://here" {
		t.Errorf("got %+v", short)
	}
}

func TestOptionsThatAreGiven(t *testing.T) {
	o, err := parseOptions([]string{"-only", "drain,idle", "-systems", "river", "-duration", "10m", "-n", "7"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(o.scenarios, " ") != "drain idle" || strings.Join(o.systems, " ") != "river" || o.duration != 10*time.Minute || o.n != 7 {
		t.Errorf("got %+v", o)
	}
}

func TestHelpNamesTheScenarios(t *testing.T) {
	var help strings.Builder
	_, err := parseOptions([]string{"-help"}, &help)
	if !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("error %v, want flag.ErrHelp", err)
	}
	for _, name := range scenarioNames() {
		if !strings.Contains(help.String(), name) {
			t.Errorf("%s is missing in\n%s", name, help.String())
		}
	}
}
