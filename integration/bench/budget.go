package main

import "fmt"

// A budget is what PGQ's design promises for one of the figures. It is printed beside the figure and never asserted.
type budget struct {
	scenario string
	metric   string
	where    params // only rows whose params contain these
	text     string
	limit    float64
	atLeast  bool // the figure must reach the limit, else it must stay below it

	// of returns the figure that is judged, if it was measured.
	of func(r row, all []row) (float64, bool)
}

// budgets are those of the design that these scenarios can judge.
var budgets = []budget{
	{scenario: "enqueue-bulk", metric: jobsPerSecond, text: "≥ 0.6x floor", limit: 0.6, atLeast: true, of: timesOf(floorName)},
	{scenario: "enqueue-unique", metric: jobsPerSecond, where: params{{"unique", "key"}},
		text: "≥ 0.6x unique=none", limit: 0.6, atLeast: true, of: timesOther("unique", "none")},
	{scenario: "enqueue-unique", metric: jobsPerSecond, where: params{{"unique", "args"}},
		text: "≥ 0.6x unique=none", limit: 0.6, atLeast: true, of: timesOther("unique", "none")},
	{scenario: "enqueue-tx", metric: jobsPerSecond, where: params{{"workers", "busy"}, {"notify", "on"}},
		text: "≥ 0.9x notify=off", limit: 0.9, atLeast: true, of: timesOther("notify", "off")},
	{scenario: "drain", metric: jobsPerSecond, text: "≥ 5x river", limit: 5, atLeast: true, of: timesOf(riverName)},
	{scenario: "drain", metric: walBytesPerJob, text: "≤ 1024", limit: 1024, of: figure},
	{scenario: "latency", metric: p50Milliseconds, text: "< 3", limit: 3, of: figure},
	{scenario: "latency", metric: p99Milliseconds, text: "< 15", limit: 15, of: figure},
	{scenario: "sequence", metric: p50Milliseconds, where: params{{"sequences", 1}}, text: "< 5", limit: 5, of: figure},
	{scenario: "schedules", metric: maxMilliseconds, text: "< 5,000", limit: 5_000, of: figure},
	{scenario: "pinned-xmin", metric: pinnedRatio, text: "≥ 0.9", limit: 0.9, atLeast: true, of: figure},
	{scenario: "idle", metric: queriesPerSecond, text: "≤ 2", limit: 2, of: figure},
	{scenario: "memory", metric: peakRSSMegabytes, text: "< 100", limit: 100, of: figure},
	{scenario: "dag-submit", metric: submitMilliseconds, where: params{{"nodes", 1_000}}, text: "< 50", limit: 50, of: figure},
	{scenario: "dag-submit", metric: submitMilliseconds, where: params{{"nodes", 100_000}}, text: "< 5,000", limit: 5_000, of: figure},
	{scenario: "dag-submit", metric: peakRSSMegabytes, text: "< 200", limit: 200, of: figure},
	{scenario: "dag-fanout", metric: microsecondsPerNode, where: params{{"shape", "fan-out"}, {"pinned", false}},
		text: "≤ 1x layers", limit: 1, of: timesOther("shape", "layers")},
	{scenario: "dag-fanin", metric: microsecondsPerNode, where: params{{"shape", "fan-in"}, {"pinned", false}},
		text: "≤ 1x layers", limit: 1, of: timesOther("shape", "layers")},
	{scenario: "dag-layers", metric: microsecondsPerNode, where: params{{"pinned", false}},
		text: "≤ 1.5x floor", limit: 1.5, of: timesOf(floorName)},
	{scenario: "dag-skip", metric: microsecondsPerNode, where: params{{"pinned", false}},
		text: "< 50 (100,000 in 5 s)", limit: 50, of: figure},
	{scenario: "backlog", metric: jobsPerSecond, text: "≥ 0.95x backlog=0", limit: 0.95, atLeast: true, of: timesOther("backlog", 0)},
	{scenario: "fairness", metric: finishMilliseconds, text: "≤ 2x others=0", limit: 2, of: timesOther("others", 0)},
	{scenario: "views", metric: readMilliseconds, text: "< 100", limit: 100, of: figure},
	{scenario: "dag-chain", metric: pinnedRatio, text: "≥ 0.8", limit: 0.8, atLeast: true, of: figure},
	{scenario: "dag-fanout", metric: pinnedRatio, text: "≥ 0.8", limit: 0.8, atLeast: true, of: figure},
	{scenario: "dag-fanin", metric: pinnedRatio, text: "≥ 0.8", limit: 0.8, atLeast: true, of: figure},
	{scenario: "dag-layers", metric: pinnedRatio, text: "≥ 0.8", limit: 0.8, atLeast: true, of: figure},
	{scenario: "dag-skip", metric: pinnedRatio, text: "≥ 0.8", limit: 0.8, atLeast: true, of: figure},
}

// verdict says what the budget of a row is and whether it is met: "≥ 5x river: met (6.30)". It is empty if the row has
// no budget or PGQ was not measured.
func verdict(r row, all []row) string {
	for _, b := range budgets {
		if b.scenario != r.scenario || b.metric != r.metric || !r.params.contain(b.where) {
			continue
		}
		value, ok := b.of(r, all)
		if !ok {
			return ""
		}
		word := "missed"
		if b.met(value) {
			word = "met"
		}
		return fmt.Sprintf("%s: %s (%s)", b.text, word, number(value))
	}
	return ""
}

func (b budget) met(value float64) bool {
	if b.atLeast {
		return value >= b.limit
	}
	return value <= b.limit
}

// figure judges PGQ's figure itself.
func figure(r row, _ []row) (float64, bool) {
	value, ok := r.values[pgqName]
	return value, ok
}

// timesOf judges PGQ's figure divided by the other system's.
func timesOf(other string) func(row, []row) (float64, bool) {
	return func(r row, _ []row) (float64, bool) { return r.ratio(pgqName, other) }
}

// timesOther judges PGQ's figure divided by its own in the row that differs in this param alone.
func timesOther(key string, value any) func(row, []row) (float64, bool) {
	return func(r row, all []row) (float64, bool) {
		for _, other := range all {
			if other.scenario != r.scenario || other.metric != r.metric || !other.params.contain(params{{key, value}}) {
				continue
			}
			same := len(other.params) == len(r.params)
			for _, p := range other.params {
				same = same && (p.key == key || r.params.contain(params{p}))
			}
			if !same {
				continue
			}
			reference := row{values: map[string]float64{pgqName: r.values[pgqName], "reference": other.values[pgqName]}}
			return reference.ratio(pgqName, "reference")
		}
		return 0, false
	}
}
