package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// viewRepeats is how often a view is read; the median counts.
const viewRepeats = 7

// viewQueries are how the views are meant to be asked, and counts, which has the same promise. Views of jobs and DAGs are asked for
// the latest or for some, the others for all they have.
var viewQueries = []struct{ view, query string }{
	{"queue_states", "select * from pgq.queue_states"},
	{"running_jobs", "select * from pgq.running_jobs order by duration desc limit 100"},
	{"worker_states", "select * from pgq.worker_states"},
	{"throughput", "select * from pgq.throughput"},
	{"failures", "select * from pgq.failures"},
	{"health", "select * from pgq.health"},
	{"counts", "select * from pgq.counts()"},
	{"job_states", "select * from pgq.job_states order by id desc limit 100"},
	{"job_details", "select * from pgq.job_details order by id desc limit 100"},
	{"dags", "select * from pgq.dags order by id desc limit 50"},
	{"dag_nodes", "select * from pgq.dag_nodes where dag_id = (select max(id) - 1000 from pgq.dags)"},
	{"dag_blockers", "select * from pgq.dag_blockers where dag_id = (select max(id) - 1000 from pgq.dags) limit 100"},
	{"schedule_states", "select * from pgq.schedule_states order by next_at limit 100"},
	{"sequence_states", "select * from pgq.sequence_states order by key limit 100"},
	{"limit_states", "select * from pgq.limit_states where scope = 'group' and name = 'g700'"},
	{"list_limits", "select * from pgq.list_limits(at_most => 100)"},
	{"consumer_states", "select * from pgq.consumer_states"},
}

// viewsCells returns the cell that fills a database and reads the views.
func viewsCells(b *bench) []cell {
	if !b.has(pgqName) {
		return nil
	}
	p := params{{"jobs", b.pacing.viewJobs}}
	return []cell{{label(newPGQ(), p), func(ctx context.Context) (samples []sample, err error) {
		db, err := b.fresh(ctx, newPGQ())
		if err != nil {
			return nil, err
		}
		defer db.closeInto(ctx, &err)
		if err := db.fill(ctx, b.pacing.viewJobs); err != nil {
			return nil, err
		}
		for _, q := range viewQueries {
			took, err := db.read(ctx, q.query)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", q.view, err)
			}
			samples = append(samples, sample{system: pgqName, metric: readMilliseconds, params: params{{"view", q.view}}.with("jobs", b.pacing.viewJobs),
				value: milliseconds(took)})
		}
		return samples, nil
	}}}
}

// read returns the median of the times that a query takes over a connection with PostgreSQL's settings. Error: it returns nothing.
func (d *database) read(ctx context.Context, query string) (time.Duration, error) {
	var times []time.Duration
	for range viewRepeats {
		start := time.Now()
		rows, err := d.pool.Query(ctx, query)
		if err != nil {
			return 0, err
		}
		found := false
		for rows.Next() {
			found = true
		}
		if err := rows.Err(); err != nil {
			return 0, err
		}
		if !found {
			return 0, errors.New("there are no rows, so that nothing is measured")
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// fillStatements make a database with as many jobs as the temporary table size says, of 20 queues as it might look after a day: three quarters have ended over the
// last 24 hours, an eighth are ready as runs and a little less singly, 2,000 run on 20 workers of which two are dead, a twentieth is
// scheduled, a twentieth are nodes of DAGs of 1,000 in which each waits for the one before, a hundredth waits in 1,000 groups and 5,000 sequences. There
// are 1,000 schedules, and five consumers with 100,000 events to read.
var fillStatements = []string{
	"set search_path = pgq",
	`insert into queues (name) select 'q' || i from generate_series(10, 29) i`,
	`insert into workers (name, queues, kinds, lease, dead_at)
	 select 'w' || i, array(select name from queues where name <> '*'), '{bench}', '1 day', case when i > 18 then now() end from generate_series(1, 20) i`,
	`insert into jobs (id, queue, kind, created_at, args)
	 select i, 'q' || 10 + i / 100 % 20, 'bench', now() - interval '1 day' * (n - i) / n, jsonb_build_object('num', i)
	 from size, generate_series(1, n) i where i <= 0.95 * n`,
	`insert into jobs (id, queue, kind, created_at, role, spec, dag_id, name, rule)
	 select i, 'q10', case i % 1000 when 0 then 'bench_dag' else 'bench' end, now() - interval '1 day' * (n - i) / n,
	        case i % 1000 when 0 then 'dag' end, case i % 1000 when 0 then '{}'::jsonb end,
	        case when i % 1000 > 0 then i - i % 1000 end, case when i % 1000 > 0 then 'n' || i % 1000 end, case when i % 1000 > 0 then 'all' end
	 from size, generate_series(1, n) i where i > 0.95 * n`,
	`select setval('jobs_id_seq', 2 * n) from size`,
	`insert into results (job_id, queue, state, attempt, worker_id, claimed_at, finished_at, error)
	 select id, queue, case when id % 50 = 0 then 'failed' when id % 97 = 0 then 'cancelled' else 'completed' end, 1, 1 + id % 18,
	        now() - interval '1 day' * (0.75 * n - id) / (0.75 * n) - interval '1 s', now() - interval '1 day' * (0.75 * n - id) / (0.75 * n),
	        case when id % 50 = 0 then 'no answer after ' || id % 7000 || ' ms' when id % 97 = 0 then 'cancelled' end
	 from size, jobs where id <= 0.75 * n`,
	`insert into running (job_id, queue, attempt, worker_id, claimed_at)
	 select id, queue, 1, 1 + id % 20, now() - interval '1 s' * (id % 60) from size, jobs where id > 0.75 * n and id <= 0.75 * n + 2000`,
	`insert into progress (job_id, attempt, done, total) select job_id, 1, 1, 2 from running`,
	`insert into ready (queue, priority, seq, job_id, size, kind)
	 select queue, 5, min(id), min(id), count(*), kind from size, jobs where id > 0.75 * n + 2000 and id <= 0.875 * n group by queue, kind, id / 100`,
	`insert into ready (queue, priority, seq, job_id, kind)
	 select queue, 5, n + id, id, kind from size, jobs where id > 0.875 * n and id <= 0.89 * n`,
	`insert into waiting (job_id, queue, role, pending, need_ok, need_failed, max_failed, max_skipped, group_name, kind, priority, seq)
	 select id, 'q11', 'turn', 1, 0, 0, 0, 0, 'g' || id % 1000, kind, priority, id from size, jobs where id > 0.89 * n and id <= 0.895 * n`,
	`insert into backlogs (queue, group_name, kind, priority, turn) select distinct queue, group_name, kind, priority, 0 from waiting where role = 'turn'`,
	"select set_limit('group', '*', max_running => 10), set_limit('kind', 'bench', max_running => 10000), set_limit('queue', 'q11', max_running => 10000)",
	`insert into sequences (key, job_id) select 's' || id % (n / 2000), id from size, jobs where id > 0.895 * n and id <= 0.8955 * n`,
	`insert into ready (queue, priority, seq, job_id, kind)
	 select j.queue, j.priority, n + j.id, j.id, j.kind from size, sequences s join jobs j on j.id = s.job_id`,
	`insert into waiting (job_id, queue, pending, need_ok, need_failed, max_failed, max_skipped, sequence)
	 select id, queue, 1, 0, 0, 0, 0, 's' || id % (n / 2000) from size, jobs where id > 0.8955 * n and id <= 0.9 * n`,
	"select count(*) from generate_series(1, 1000) i, set_schedule('s' || i, 'every 1 h', kind => 'bench')",
	"select count(set_consumer('c' || i, start_at => 'beginning')) from generate_series(1, 5) i",
	"insert into events (job_id, queue, type) select i, 'q10', 'completed' from generate_series(1, 100000) i",
	`insert into scheduled (job_id, queue, run_at)
	 select id, queue, now() + interval '1 hour' + interval '1 s' * (id % 86400) from size, jobs where id > 0.9 * n and id <= 0.95 * n`,
	`insert into edges (parent_id, child_id) select id - 1, id from size, jobs where id > 0.95 * n and id % 1000 > 1 and dag_id is not null`,
	`insert into waiting (job_id, queue, role, pending, need_ok, need_failed, max_failed, max_skipped)
	 select id, queue, role, 1, 1, 0, 0, 0 from size, jobs where id > 0.95 * n and id % 1000 <> 1`,
	`insert into ready (queue, priority, seq, job_id, kind)
	 select queue, priority, id, id, kind from size, jobs where id > 0.95 * n and id % 1000 = 1`,
	"vacuum analyze",
}

// fill fills the database with so many jobs.
func (d *database) fill(ctx context.Context, jobs int) error {
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	size := fmt.Sprintf("set synchronous_commit = off; create temp table size as select %d as n", jobs)
	for _, statement := range append([]string{size}, fillStatements...) {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%.60s …: %w", statement, err)
		}
	}
	return nil
}
