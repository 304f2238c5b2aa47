package main

import "testing"

func TestVerdict(t *testing.T) {
	tx := func(notify string, value float64) row {
		return row{scenario: "enqueue-tx", metric: jobsPerSecond, values: map[string]float64{pgqName: value},
			params: params{{"clients", 16}, {"workers", "busy"}, {"notify", notify}}}
	}
	fan := func(shape string, value float64) row {
		return row{scenario: "dag-fanin", metric: microsecondsPerNode, values: map[string]float64{pgqName: value},
			params: params{{"shape", shape}, {"nodes", 101}, {"pinned", false}}}
	}
	one := func(scenario, metric string, values map[string]float64) []row {
		return []row{{scenario: scenario, metric: metric, values: values}}
	}
	for _, c := range []struct {
		name string
		rows []row // the first is judged
		want string
	}{
		{"ratio met", one("drain", jobsPerSecond, map[string]float64{pgqName: 60, riverName: 10}), "≥ 5x river: met (6.00)"},
		{"ratio missed", one("drain", jobsPerSecond, map[string]float64{pgqName: 49, riverName: 10}), "≥ 5x river: missed (4.90)"},
		{"limit met", one("memory", peakRSSMegabytes, map[string]float64{pgqName: 30}), "< 100: met (30.0)"},
		{"limit missed", one("latency", p99Milliseconds, map[string]float64{pgqName: 16}), "< 15: missed (16.0)"},
		{"peer missing", one("drain", jobsPerSecond, map[string]float64{pgqName: 60}), ""},
		{"PGQ missing", one("memory", peakRSSMegabytes, map[string]float64{riverName: 30}), ""},
		{"no budget", one("drain", p50Milliseconds, map[string]float64{pgqName: 60}), ""},
		{"notify met", []row{tx("on", 95), tx("off", 100)}, "≥ 0.9x notify=off: met (0.95)"},
		{"notify missed", []row{tx("on", 80), tx("off", 100)}, "≥ 0.9x notify=off: missed (0.80)"},
		{"notify without reference", []row{tx("on", 80)}, ""},
		{"as fast as layers", []row{fan("fan-in", 9), fan("layers", 10)}, "≤ 1x layers: met (0.90)"},
		{"slower than layers", []row{fan("fan-in", 11), fan("layers", 10)}, "≤ 1x layers: missed (1.10)"},
		{"layers have no budget among fans", []row{fan("layers", 10)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := verdict(c.rows[0], c.rows); got != c.want {
				t.Errorf("verdict = %q, want %q", got, c.want)
			}
		})
	}
}

func TestEveryBudgetIsOfAScenarioAndAMetric(t *testing.T) {
	for _, b := range budgets {
		if _, ok := units[b.metric]; !ok {
			t.Errorf("unknown metric %q", b.metric)
		}
		if _, err := parseOptions([]string{"-only", b.scenario}, t.Output()); err != nil {
			t.Error(err)
		}
	}
}
