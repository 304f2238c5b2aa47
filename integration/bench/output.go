package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// header names the columns of the table.
var header = []string{"scenario", "params", "metric", "pgq", "river", "floor", "pgq/river", "pgq/floor", "budget"}

// writeJSON writes one object per result and line.
func writeJSON(w io.Writer, results []result) error {
	encoder := json.NewEncoder(w)
	for _, r := range results {
		if err := encoder.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes the results for a terminal.
func writeTable(w io.Writer, results []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, line := range lines(results) {
		fmt.Fprintln(t, strings.Join(line, "\t"))
	}
	return t.Flush()
}

// writeMarkdown writes the results as a table for the README.
func writeMarkdown(w io.Writer, results []result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n", strings.Join(header, " | "))
	fmt.Fprintf(&b, "|---|---|---%s|---|\n", strings.Repeat("|---:", len(header)-4))
	for _, line := range lines(results) {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// lines returns the cells of the table.
func lines(results []result) [][]string {
	var (
		all   = rows(results)
		lines [][]string
	)
	for _, r := range all {
		line := []string{r.scenario, r.params.String(), r.metric}
		for _, system := range []string{pgqName, riverName, floorName} {
			value, ok := r.values[system]
			line = append(line, optional(value, ok))
		}
		for _, other := range []string{riverName, floorName} {
			value, ok := r.ratio(pgqName, other)
			line = append(line, optional(value, ok && r.metric != pinnedRatio))
		}
		lines = append(lines, append(line, verdict(r, all)))
	}
	return lines
}

func optional(value float64, ok bool) string {
	if !ok {
		return ""
	}
	return number(value)
}

// number writes a figure with three digits, or with all digits before the point, in groups of three.
func number(value float64) string {
	switch size := math.Abs(value); {
	case size < 10:
		return fmt.Sprintf("%.2f", value)
	case size < 100:
		return fmt.Sprintf("%.1f", value)
	}
	digits := fmt.Sprintf("%.0f", value)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
