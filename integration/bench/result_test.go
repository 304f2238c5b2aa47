package main

import (
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 4}, 4},
		{[]float64{1, 100, 3, 2}, 2.5},
	} {
		before := slices.Clone(c.values)
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
		if !slices.Equal(c.values, before) {
			t.Errorf("median changed its argument from %v to %v", before, c.values)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, c := range []struct {
		values []float64
		p      int
		want   float64
	}{
		{nil, 50, 0},
		{[]float64{3}, 99, 3},
		{[]float64{3, 1}, 50, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred, 0, 1},
	} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile(%d values, %d) = %v, want %v", len(c.values), c.p, got, c.want)
		}
	}
}

func TestSummarizeTakesTheMedianOfEachFigure(t *testing.T) {
	of := func(system string, clients int, value float64) sample {
		return sample{scenario: "enqueue-tx", system: system, metric: jobsPerSecond, params: params{{"clients", clients}}, value: value}
	}
	results := summarize([]sample{
		of(pgqName, 16, 30), of(riverName, 16, 3), of(pgqName, 64, 300),
		of(pgqName, 16, 10), of(riverName, 16, 1), of(pgqName, 64, 100),
		of(pgqName, 16, 20), of(riverName, 16, 2), of(pgqName, 64, 200),
	})
	want := []float64{20, 2, 200}
	if len(results) != len(want) {
		t.Fatalf("%d results, want %d: %v", len(results), len(want), results)
	}
	for i, r := range results {
		if r.Value != want[i] || r.Unit != "jobs/s" {
			t.Errorf("result %d is %v %s, want %v jobs/s", i, r.Value, r.Unit, want[i])
		}
	}
}

func TestSummarizeKeepsTheBestVariantOnly(t *testing.T) {
	p := params{{"n", 5}}
	results := summarize([]sample{
		{scenario: "enqueue-bulk", system: riverName, variant: "batches", metric: jobsPerSecond, params: p, value: 10},
		{scenario: "enqueue-bulk", system: riverName, variant: "one call", metric: jobsPerSecond, params: p, value: 20},
		{scenario: "enqueue-bulk", system: pgqName, metric: jobsPerSecond, params: p, value: 40},
	})
	if len(results) != 2 || results[0].Value != 20 || results[0].Params.String() != "n=5 variant=one call" {
		t.Fatalf("got %v", results)
	}
	side := rows(results)
	if len(side) != 1 {
		t.Fatalf("the variant must not take a row of its own: %v", side)
	}
	if ratio, ok := side[0].ratio(pgqName, riverName); !ok || ratio != 2 {
		t.Errorf("ratio = %v, %v, want 2", ratio, ok)
	}
}

func TestTheSmallerFigureIsBetterUnlessItCountsJobs(t *testing.T) {
	for metric := range units {
		want := metric == jobsPerSecond || metric == pinnedRatio
		if got := better(metric, 2, 1); got != want {
			t.Errorf("better(%s, 2, 1) = %v, want %v", metric, got, want)
		}
	}
}

func TestTheFloorStandsInEveryRowThatContainsItsParams(t *testing.T) {
	busy := params{{"clients", 16}, {"workers", "busy"}}
	all := rows([]result{
		{Scenario: "enqueue-tx", System: floorName, Metric: jobsPerSecond, Params: params{{"clients", 16}}, Value: 50},
		{Scenario: "enqueue-tx", System: floorName, Metric: jobsPerSecond, Params: params{{"clients", 64}}, Value: 60},
		{Scenario: "enqueue-tx", System: pgqName, Metric: jobsPerSecond, Params: busy, Value: 40},
	})
	if len(all) != 2 {
		t.Fatalf("%d rows, want one of PGQ with the floor and one of the other floor alone: %v", len(all), all)
	}
	if ratio, ok := all[0].ratio(pgqName, floorName); !ok || ratio != 0.8 {
		t.Errorf("ratio = %v, %v, want 0.8", ratio, ok)
	}
	if _, ok := all[1].ratio(pgqName, floorName); ok {
		t.Error("a row without PGQ has a ratio")
	}
}

func TestNoRatioToZero(t *testing.T) {
	r := row{values: map[string]float64{pgqName: 1, riverName: 0}}
	if ratio, ok := r.ratio(pgqName, riverName); ok {
		t.Errorf("ratio = %v", ratio)
	}
}
