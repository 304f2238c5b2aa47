//go:build linux

package main_test

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pgq-go/queue/internal/pgtest"
)

// peak runs the program and returns how much memory it took, in MB.
func peak(t *testing.T, args ...string) int64 {
	t.Helper()
	cmd := call{args: args}.command(context.WithoutCancel(t.Context()))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss / 1024
}

func TestExportAndImportTakeNoMoreMemoryForMoreJobs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it exports and imports 13,000 large jobs")
	}
	url, dir := pgtest.Database(t), t.TempDir()
	conn := connect(t, url)
	fill := func(n int) {
		t.Helper()
		_, err := conn.Exec(t.Context(), `with new as (
				insert into pgq.jobs (queue, kind, args) select 'default', 'mail', jsonb_build_object('text', repeat('x', 9000)) from generate_series(1, $1::int) returning id)
			insert into pgq.results (job_id, queue, state, attempt, output) select id, 'default', 'completed', 1, '{"sent": true}' from new`, n)
		if err != nil {
			t.Fatal(err)
		}
	}
	// 13,000 lines of an export are 120 MB: whoever keeps them is found out.
	used := map[string][]int64{}
	for round, n := range []int{700, 12_300} {
		fill(n)
		schema := fmt.Sprintf("round_%d", round)
		for _, format := range []string{"jsonl", "parquet"} {
			file := filepath.Join(dir, schema+"."+format)
			used[format] = append(used[format], peak(t, "export", "jobs", "--url", url, "--file", file))
		}
		admin(t, "migrate", "up", "--url", url, "--schema", schema).want(t, 0)
		used["import"] = append(used["import"], peak(t, "import", filepath.Join(dir, schema+".jsonl"), "--url", url, "--schema", schema))
		admin(t, "migrate", "up", "--url", url, "--schema", schema+"_p").want(t, 0)
		used["import of parquet"] = append(used["import of parquet"], peak(t, "import", filepath.Join(dir, schema+".parquet"), "--url", url, "--schema", schema+"_p"))
	}
	for what, mb := range used {
		t.Logf("%s: %d MB for 700 jobs, %d MB for 13,000", what, mb[0], mb[1])
		if mb[1] > mb[0]*2+20 {
			t.Errorf("%s takes %d MB for 700 jobs and %d MB for 13,000", what, mb[0], mb[1])
		}
	}
}
