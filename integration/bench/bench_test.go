package main

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"
)

// The harness, from flags to results, on a real server. The figures do not matter.
func TestRunMeasuresEverySystem(t *testing.T) {
	var stdout strings.Builder
	args := []string{"-only", "enqueue-bulk,drain", "-n", "300", "-runs", "2", "-json", "-"}
	if err := run(t.Context(), args, &stdout, t.Output()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	lines := bufio.NewScanner(strings.NewReader(stdout.String()))
	for lines.Scan() {
		var r struct {
			Scenario, System, Metric, Unit string
			Params                         map[string]any
			Value                          float64
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		if r.Value <= 0 || r.Unit != units[r.Metric] || r.Params["n"] != 300.0 {
			t.Errorf("odd result: %s", lines.Text())
		}
		seen[r.Scenario+" "+r.System+" "+r.Metric]++
	}
	for _, want := range []string{
		"enqueue-bulk pgq jobs_per_second", "enqueue-bulk river jobs_per_second", "enqueue-bulk floor jobs_per_second",
		"drain pgq jobs_per_second", "drain river jobs_per_second",
		"drain pgq wal_bytes_per_job", "drain river wal_bytes_per_job",
	} {
		if seen[want] != 1 {
			t.Errorf("%d results of %s, want 1; all: %v", seen[want], want, seen)
		}
		delete(seen, want)
	}
	if len(seen) > 0 {
		t.Errorf("more results than expected: %v", seen)
	}
}

func TestRunMeasuresDAGsOfEverySystem(t *testing.T) {
	o, err := parseOptions([]string{"-only", "dag-submit,dag-fanout,dag-skip", "-runs", "1"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	o.pacing.fewNodes, o.pacing.manyNodes = 100, 300
	b, err := newBench(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer b.close(t.Context())
	samples, err := b.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range samples {
		if s.value <= 0 || units[s.metric] == "" {
			t.Errorf("odd sample: %+v", s)
		}
		seen[s.scenario+" "+s.system] = true
	}
	for _, name := range o.scenarios {
		if !seen[name+" "+pgqName] || seen[name+" "+riverName] == (name == "dag-skip") || seen[name+" "+floorName] == (name == "dag-submit") {
			t.Errorf("%s is not measured as it should be: %v", name, seen)
		}
	}
}

func TestAMeasurementThatFailsIsAnError(t *testing.T) {
	var stdout strings.Builder
	err := run(t.Context(), []string{"-url", "postgres://127.0.0.1:1/none", "-only", "drain"}, &stdout, t.Output())
	if err == nil {
		t.Fatal("no error without a server")
	}
}

func TestRunReadsTheViews(t *testing.T) {
	o, err := parseOptions([]string{"-only", "views", "-runs", "1"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	o.pacing.viewJobs = 40_000
	b, err := newBench(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer b.close(t.Context())
	samples, err := b.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != len(viewQueries) {
		t.Errorf("%d samples of %d views", len(samples), len(viewQueries))
	}
	for _, s := range samples {
		if s.value <= 0 || s.metric != readMilliseconds {
			t.Errorf("odd sample: %+v", s)
		}
	}
}

func TestRunFiresSchedules(t *testing.T) {
	o, err := parseOptions([]string{"-only", "schedules", "-runs", "1"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	o.pacing.schedules = 50
	b, err := newBench(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer b.close(t.Context())
	samples, err := b.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != 2 || samples[0].metric != p50Milliseconds || samples[1].metric != maxMilliseconds || samples[0].value < 0 || samples[1].value < samples[0].value {
		t.Errorf("odd samples: %+v", samples)
	}
}
