package main_test

import (
	"encoding/json"
	"testing"

	"github.com/pgq-go/queue/internal/pgtest"
)

func TestBenchMeasuresInASchemaThatItRemoves(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := connect(t, url)
	const schemas = "select nspname::text from pg_namespace where nspname like 'pgq%' order by 1"
	admin(t, "bench", "--url", url).want(t, 2, "create a schema in database", "nothing was changed", "fix: say --yes if you mean it")
	admin(t, "bench", "--url", url, "--yes", "--jobs", "0").want(t, 2, "--jobs must be 1 to")
	admin(t, "bench", "--url", url, "--yes", "--concurrency", "9999999").want(t, 2, "--concurrency must be 1 to")
	if _, err := conn.Exec(t.Context(), "create schema pgq_bench"); err != nil {
		t.Fatal(err)
	}
	o := admin(t, "bench", "--url", url, "--yes", "--jobs", "500", "--concurrency", "10", "-o", "json")
	o.want(t, 0)
	var page struct {
		Items []struct {
			Measure string
			Value   float64
		}
	}
	if err := json.Unmarshal([]byte(o.stdout), &page); err != nil {
		t.Fatalf("%v\n%s", err, o.stdout)
	}
	found := map[string]bool{}
	for _, item := range page.Items {
		found[item.Measure] = item.Value > 0
	}
	for _, measure := range []string{"round-trip", "enqueue-p50", "enqueue-p99", "enqueue-bulk", "drain", "latency-p50", "latency-p99"} {
		if !found[measure] {
			t.Errorf("%s was not measured:\n%s", measure, o.stdout)
		}
	}
	if left := query(t, conn, schemas); left != "pgq_bench" {
		t.Errorf("schemas %q are left, want the one that was there", left)
	}
}
