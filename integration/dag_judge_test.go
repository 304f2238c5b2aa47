package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ended is a job that has ended, as the database has it.
type ended struct {
	DAG, ID int64
	Name    string
	State   string
	Attempt int
	Caused  bool
	Output  *output
	Lost    int // leases
	Error   string
}

// judge compares how all DAGs have ended with what their oracles say, and checks what must be so of all jobs.
func (w *world) judge() {
	w.t.Helper()
	w.check()
	w.is(0, "deadlocks", deadlocks)
	w.is(0, "causes that did not fail themselves", `select count(*) from pgq.results f left join pgq.results c on c.job_id = f.cause_id
		where f.cause_id is not null and (c.state is null or c.state not in ('failed', 'cancelled', 'expired'))`)
	w.is(0, "jobs that did not succeed for no reason", "select count(*) from pgq.results where state <> 'completed' and coalesce(error, '') = ''")
	w.is(0, "rows of the frontier", "select count(*) from pgq.frontier")
	w.is(0, "results of nodes that ran without their attempt being counted", `select count(*) from pgq.results f join pgq.jobs j on j.id = f.job_id
		where j.role is null and f.state in ('completed', 'failed') and f.attempt < 1`)
	for run, times := range w.ran {
		if times > 1 {
			w.t.Errorf("attempt %d of job %d ran %d times", run.attempt, run.job, times)
		}
	}
	jobs := w.ended()
	oracles := map[int64]*oracle{}
	for id, p := range w.plans {
		oracles[id] = p.says
		if w.troubled {
			oracles[id] = newOracle(p, there(jobs[id]))
		}
	}
	for id, p := range w.plans { // forks have plans that belong to others
		if id == p.id {
			p.says = oracles[id]
		}
	}
	nodes := 0
	for _, id := range slices.Sorted(maps.Keys(w.plans)) {
		p := w.plans[id]
		wrong := oracles[id].compare(jobs[id], !w.troubled)
		nodes += len(jobs[id])
		if len(wrong) > 0 {
			w.t.Errorf("DAG %d:\n%s\n%s", id, strings.Join(wrong, "\n"), p.document(w.t))
			return
		}
	}
	w.t.Logf("%d nodes of %d DAGs", nodes, len(w.plans))
}

// ended reads all jobs by their DAG and name; the DAG's own has none.
func (w *world) ended() map[int64]map[string]ended {
	w.t.Helper()
	rows, err := w.pool.Query(w.ctx, `
		select coalesce(j.dag_id, j.id), j.id, coalesce(j.name, ''), f.state, f.attempt, f.cause_id is not null, f.output, coalesce(e.lost, 0), coalesce(f.error, '')
		from pgq.jobs j
		join pgq.results f on f.job_id = j.id
		left join (select job_id, count(*) as lost from pgq.events where data ? 'lease_lost' group by job_id) e on e.job_id = j.id`)
	if err != nil {
		w.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ended])
	if err != nil {
		w.t.Fatal(err)
	}
	jobs := map[int64]map[string]ended{}
	for _, j := range all {
		if jobs[j.DAG] == nil {
			jobs[j.DAG] = map[string]ended{}
		}
		jobs[j.DAG][j.Name] = j
	}
	return jobs
}

func there(jobs map[string]ended) map[string]bool {
	names := map[string]bool{}
	for name := range jobs {
		names[name] = true
	}
	return names
}

// compare returns where a DAG differs from what its oracle says; on demand also how often its nodes ran.
func (o *oracle) compare(jobs map[string]ended, attempts bool) []string {
	var wrong []string
	expected := 1
	expect := func(name string, want verdict) ended {
		got, ok := jobs[name]
		switch {
		case want.state == "" && !ok:
			return got
		case got.State != want.state || got.Caused != (want.caused && want.state != "completed"):
			wrong = append(wrong, fmt.Sprintf("%q is %q (caused: %v, %s), want %q (%v)", name, got.State, got.Caused, got.Error, want.state, want.caused))
		}
		expected++
		return got
	}
	expected--
	expect("", o.dag())
	for _, v := range o.plan.vertices {
		want := o.end(v)
		got := expect(v.name, want)
		if v.kind == "dag" && isGated(v) {
			expect(v.name+"/(start)", o.gate(v))
		}
		if v.kind == "map" && want.items != nil {
			n, text := v.compareItems(jobs, want, attempts)
			expected += n
			wrong = append(wrong, text...)
		}
		if attempts && v.kind == "job" && got.State == want.state && got.State != "" {
			wrong = append(wrong, got.compareAttempts(v.deed)...)
		}
		if a, b := text(got.Output), text(want.output); v.kind != "map" && (v.kind != "dag" || v.output != nil && v.output.kind != "map") && a != b {
			wrong = append(wrong, fmt.Sprintf("%q has the result %s, want %s", v.name, a, b))
		}
	}
	if len(jobs) != expected {
		wrong = append(wrong, fmt.Sprintf("it has %d nodes, want %d: %v", len(jobs), expected, slices.Sorted(maps.Keys(jobs))))
	}
	return wrong
}

func text(o *output) string {
	data, _ := json.Marshal(o)
	return string(data)
}

// compareAttempts returns how often a job ran that should not have: more than once only if it failed or its lease was lost.
func (j ended) compareAttempts(d deed) []string {
	want := 1
	switch {
	case j.State == "skipped":
		want = 0
	case d.Flaky:
		want = 2
	}
	if j.Attempt != want && j.Lost == 0 {
		return []string{fmt.Sprintf("%q had %d attempts, want %d", j.Name, j.Attempt, want)}
	}
	return nil
}

// compareItems compares the items of a map that began. Of one that fails those that did not start by then are skipped, or not
// there; which ones these are depends.
func (v *vertex) compareItems(jobs map[string]ended, want verdict, attempts bool) (n int, wrong []string) {
	failed, missing := 0, 0
	for i, d := range want.items {
		name := fmt.Sprintf("%s[%d]", v.name, i)
		j, ok := jobs[name]
		if !ok {
			missing++
			continue
		}
		n++
		state := "completed"
		if d.Fail {
			state = "failed"
		}
		switch {
		case missing > 0:
			wrong = append(wrong, fmt.Sprintf("%q is there, an item before it is not", name))
		case j.State == "skipped" && want.state == "failed" && !j.Caused:
			d = deed{}
		case j.State != state:
			wrong = append(wrong, fmt.Sprintf("%q is %s, want %s", name, j.State, state))
		case d.Fail:
			failed++
		}
		if attempts {
			wrong = append(wrong, j.compareAttempts(d)...)
		}
	}
	if missing > 0 && want.state != "failed" {
		wrong = append(wrong, fmt.Sprintf("%d items of %q are missing", missing, v.name))
	}
	if want.state == "failed" && failed <= len(want.items)*v.tolerate/100 {
		wrong = append(wrong, fmt.Sprintf("%q failed, but only %d of its items did", v.name, failed))
	}
	return n, wrong
}
