package main

import (
	"encoding/json"
	"strings"
	"testing"
)

var exampleResults = []result{
	{Scenario: "drain", System: pgqName, Metric: jobsPerSecond, Params: params{{"n", 1000}, {"workers", 20}}, Value: 61234.4, Unit: "jobs/s"},
	{Scenario: "drain", System: riverName, Metric: jobsPerSecond, Params: params{{"n", 1000}, {"workers", 20}}, Value: 12000, Unit: "jobs/s"},
	{Scenario: "memory", System: pgqName, Metric: peakRSSMegabytes, Params: nil, Value: 31.25, Unit: "MB"},
}

func TestJSONIsOneObjectPerLine(t *testing.T) {
	var b strings.Builder
	if err := writeJSON(&b, exampleResults); err != nil {
		t.Fatal(err)
	}
	want := `{"scenario":"drain","system":"pgq","metric":"jobs_per_second","params":{"n":1000,"workers":20},"value":61234.4,"unit":"jobs/s"}
{"scenario":"drain","system":"river","metric":"jobs_per_second","params":{"n":1000,"workers":20},"value":12000,"unit":"jobs/s"}
{"scenario":"memory","system":"pgq","metric":"peak_rss_mb","params":{},"value":31.25,"unit":"MB"}
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	for line := range strings.Lines(b.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := writeTable(&b, exampleResults); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"scenario params metric pgq river floor pgq/river pgq/floor budget",
		"drain n=1000 workers=20 jobs_per_second 61,234 12,000 5.10 ≥ 5x river: met (5.10)",
		"memory peak_rss_mb 31.2 < 100: met (31.2)",
	}
	for i, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		if got := strings.Join(strings.Fields(line), " "); got != want[i] {
			t.Errorf("line %d is %q, want %q", i, got, want[i])
		}
	}
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	if err := writeMarkdown(&b, exampleResults); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4:\n%s", len(lines), b.String())
	}
	for _, line := range lines {
		if got := strings.Count(line, "|"); got != len(header)+1 {
			t.Errorf("%d bars, want %d: %s", got, len(header)+1, line)
		}
	}
	if want := "| drain | n=1000 workers=20 | jobs_per_second | 61,234 | 12,000 |  | 5.10 |  | ≥ 5x river: met (5.10) |"; lines[2] != want {
		t.Errorf("got  %s\nwant %s", lines[2], want)
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0.00", 0.4567: "0.46", 9.87: "9.87", 12.34: "12.3", 123.4: "123", 1234: "1,234", 1234567: "1,234,567", -1234: "-1,234", -123: "-123",
	} {
		if got := number(value); got != want {
			t.Errorf("number(%v) = %q, want %q", value, got, want)
		}
	}
}

func TestParsePeakRSS(t *testing.T) {
	megabytes, err := parsePeakRSS("Name:\tbench\nVmPeak:\t 1234 kB\nVmHWM:\t   28672 kB\nVmRSS:\t 1 kB\n")
	if err != nil || megabytes != 28 {
		t.Errorf("got %v, %v, want 28", megabytes, err)
	}
	if _, err := parsePeakRSS("Name:\tbench\n"); err == nil {
		t.Error("no error without the line")
	}
}
