package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The metrics, as in the results.
const (
	jobsPerSecond    = "jobs_per_second"
	p50Milliseconds  = "p50_ms"
	p99Milliseconds  = "p99_ms"
	maxMilliseconds  = "max_ms"
	walBytesPerJob   = "wal_bytes_per_job"
	queriesPerSecond = "queries_per_second"
	peakRSSMegabytes = "peak_rss_mb"
	pinnedRatio      = "pinned_ratio"

	submitMilliseconds     = "submit_ms"
	microsecondsPerNode    = "us_per_node"
	firstChildMilliseconds = "first_child_ms"
	lastChildMilliseconds  = "last_child_ms"

	readMilliseconds   = "read_ms"
	finishMilliseconds = "finish_ms"
	eventsPerSecond    = "events_per_second"
)

// units has the unit of every metric.
var units = map[string]string{
	jobsPerSecond:    "jobs/s",
	p50Milliseconds:  "ms",
	p99Milliseconds:  "ms",
	maxMilliseconds:  "ms",
	walBytesPerJob:   "bytes",
	queriesPerSecond: "queries/s",
	peakRSSMegabytes: "MB",
	pinnedRatio:      "x",

	submitMilliseconds:     "ms",
	microsecondsPerNode:    "µs",
	firstChildMilliseconds: "ms",
	lastChildMilliseconds:  "ms",

	readMilliseconds:   "ms",
	finishMilliseconds: "ms",
	eventsPerSecond:    "events/s",
}

// A param is one of the circumstances of a measurement.
type param struct {
	key   string
	value any
}

// params are the circumstances of a measurement, in the order in which they are shown. As JSON they are one object.
type params []param

// String returns the params as they stand in the table: "clients=16 workers=busy".
func (p params) String() string {
	words := make([]string, len(p))
	for i, param := range p {
		words[i] = fmt.Sprintf("%s=%v", param.key, param.value)
	}
	return strings.Join(words, " ")
}

// MarshalJSON writes the params as one object, in their order.
func (p params) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, param := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(param.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(param.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// contain reports whether all of the others are among p.
func (p params) contain(others params) bool {
	for _, other := range others {
		if !slices.Contains(p, other) {
			return false
		}
	}
	return true
}

// with returns p and one more param.
func (p params) with(key string, value any) params {
	return append(slices.Clone(p), param{key, value})
}

// A sample is one figure of one run.
type sample struct {
	scenario string
	system   string
	variant  string
	metric   string
	params   params
	value    float64
}

// A result is the median of the samples that differ in nothing but their run.
type result struct {
	Scenario string  `json:"scenario"`
	System   string  `json:"system"`
	Metric   string  `json:"metric"`
	Params   params  `json:"params"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`

	variant string
}

// summarize returns the medians, in the order of each one's first sample. Of several variants of a system only the best
// is left; its name is added to the params then.
func summarize(samples []sample) []result {
	var (
		results []result
		values  [][]float64
	)
	for _, s := range samples {
		i := slices.IndexFunc(results, func(r result) bool {
			return r.Scenario == s.scenario && r.System == s.system && r.variant == s.variant && r.Metric == s.metric &&
				slices.Equal(r.Params, s.params)
		})
		if i < 0 {
			i = len(results)
			results = append(results, result{Scenario: s.scenario, System: s.system, Metric: s.metric, Params: s.params,
				Unit: units[s.metric], variant: s.variant})
			values = append(values, nil)
		}
		values[i] = append(values[i], s.value)
	}
	for i := range results {
		results[i].Value = median(values[i])
	}
	return bestVariants(results)
}

// bestVariants drops the results of every variant but the best one.
func bestVariants(results []result) []result {
	var best []result
	for _, r := range results {
		i := slices.IndexFunc(best, func(b result) bool {
			return b.Scenario == r.Scenario && b.System == r.System && b.Metric == r.Metric && slices.Equal(b.Params, r.Params)
		})
		switch {
		case i < 0:
			best = append(best, r)
		case better(r.Metric, r.Value, best[i].Value):
			best[i] = r
		}
	}
	for i := range best {
		if best[i].variant != "" {
			best[i].Params = best[i].Params.with("variant", best[i].variant)
		}
	}
	return best
}

// better reports whether a is the better figure of the metric.
func better(metric string, a, b float64) bool {
	if metric == jobsPerSecond || metric == pinnedRatio {
		return a > b
	}
	return a < b
}

// A row is what the systems reached under the same circumstances.
type row struct {
	scenario string
	metric   string
	params   params
	values   map[string]float64 // by name of the system
}

// rows puts the results of the systems side by side. A floor's figure stands in every row whose params contain the
// floor's, because the floor has no workers that could be busy or asleep.
func rows(results []result) []row {
	var (
		rows   []row
		floors []result
	)
	for _, r := range results {
		if r.System == floorName {
			floors = append(floors, r)
			continue
		}
		p := r.Params
		if r.variant != "" {
			p = slices.DeleteFunc(slices.Clone(p), func(p param) bool { return p.key == "variant" })
		}
		i := slices.IndexFunc(rows, func(row row) bool {
			return row.scenario == r.Scenario && row.metric == r.Metric && slices.Equal(row.params, p)
		})
		if i < 0 {
			i = len(rows)
			rows = append(rows, row{scenario: r.Scenario, metric: r.Metric, params: p, values: map[string]float64{}})
		}
		rows[i].values[r.System] = r.Value
	}
	for _, f := range floors {
		used := false
		for _, row := range rows {
			if row.scenario == f.Scenario && row.metric == f.Metric && row.params.contain(f.Params) {
				row.values[floorName] = f.Value
				used = true
			}
		}
		if !used {
			rows = append(rows, row{scenario: f.Scenario, metric: f.Metric, params: f.Params,
				values: map[string]float64{floorName: f.Value}})
		}
	}
	return rows
}

// ratio returns a system's figure divided by another's, and whether both are there.
func (r row) ratio(system, other string) (float64, bool) {
	a, okA := r.values[system]
	b, okB := r.values[other]
	if !okA || !okB || b == 0 {
		return 0, false
	}
	return a / b, true
}

// median returns the middle of the values, or the mean of the two in the middle. It is 0 if there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile returns the smallest value that at least p percent of the values do not exceed. It is 0 if there are none.
func percentile(values []float64, p int) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}
