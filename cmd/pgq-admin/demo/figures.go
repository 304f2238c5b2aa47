package demo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// meter collects what happens in this process, by its clock.
type meter struct {
	mu    sync.Mutex
	asked map[int64]time.Time        // when a job was about to be enqueued
	began map[string][]start         // first attempts, by queue
	runs  map[string][]time.Duration // of handlers that succeeded, by queue
	list  time.Time                  // when the packages were listed, for which those that count them wait

	enqueued, drained time.Duration // of the burst
	wal               int64         // bytes that the burst has written
}

// start is when the handler of a job was called.
type start struct {
	job int64
	at  time.Time
}

// ask notes since when jobs wait.
func (m *meter) ask(at time.Time, jobs ...int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked == nil {
		m.asked = map[int64]time.Time{}
	}
	for _, id := range jobs {
		m.asked[id] = at
	}
}

// noteList notes that the packages were listed.
func (m *meter) noteList() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = time.Now()
}

// noteStart is middleware.
func (m *meter) noteStart(next worker.Handler) worker.Handler {
	return func(ctx context.Context, a *pgq.Attempt) (any, error) {
		if a.Number == 1 {
			m.mu.Lock()
			if m.began == nil {
				m.began = map[string][]start{}
			}
			m.began[a.Queue] = append(m.began[a.Queue], start{a.ID, time.Now()})
			m.mu.Unlock()
		}
		return next(ctx, a)
	}
}

// observe is told of all that happens in a worker.
func (m *meter) observe(o worker.Observation) {
	if o.Type != "completed" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs == nil {
		m.runs = map[string][]time.Duration{}
	}
	m.runs[o.Queue] = append(m.runs[o.Queue], o.Run)
}

// waits returns how long the jobs of a queue waited for their first attempt.
func (m *meter) waits(queue string) []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	waits := make([]time.Duration, 0, len(m.began[queue]))
	for _, s := range m.began[queue] {
		asked, ok := m.asked[s.job]
		if !ok {
			asked = m.list
		}
		waits = append(waits, s.at.Sub(asked))
	}
	return waits
}

// figures shows how the queue did.
func (d *demo) figures(ctx context.Context) error {
	d.head("The queue's figures")
	table := numbers(d.Screen)
	fmt.Fprintf(table, "  %s\tjobs\tjobs/s\twait p50\tp99\trun p50\tp99\t\n", left("queue", 32))
	for _, row := range []struct {
		queue, what string
		jobs        int
		took        time.Duration
	}{
		{sources, "mapped over a list", d.summary.Packages + 1, d.counted},
		{pings, "one by one, idle queue", pingJobs, 0},
		{noops, "no-op, all at once", noopJobs, d.meter.drained},
	} {
		p50, p99 := quantiles(d.meter.waits(row.queue))
		rate := "-"
		if row.took > 0 {
			rate = thousands(int(float64(row.jobs) / row.took.Seconds()))
		}
		run50, run99 := quantiles(d.meter.runs[row.queue])
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", left(row.queue+": "+row.what, 32), thousands(row.jobs), rate,
			brief(p50), brief(p99), brief(run50), brief(run99))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	d.say("wait: from enqueue, or the end of the list, to start; run: of the handler")
	wal := ""
	if !d.given { // else others write as well
		wal = fmt.Sprintf(", %s bytes of WAL per job from enqueue to result", thousands(d.meter.wal/noopJobs))
	}
	d.say("%s no-op jobs were enqueued in %s%s", thousands(noopJobs), brief(d.meter.enqueued), wal)
	return d.states(ctx)
}

// states shows where the jobs are now.
func (d *demo) states(ctx context.Context) error {
	counts, err := d.q.Counts(ctx, d.pool)
	if err != nil {
		return err
	}
	line := ""
	for _, c := range counts {
		if line != "" {
			line += ", "
		}
		line += fmt.Sprintf("%s %s in %s", thousands(c.Jobs), c.State, c.Queue)
	}
	d.say("states: %s", line)
	var retried int
	err = d.pool.QueryRow(ctx, "select count(*) from "+d.schema+".events where type = 'retried'").Scan(&retried)
	d.say("%d attempts failed and were retried", retried)
	return err
}

// walPosition returns how many bytes of WAL were ever written.
func (d *demo) walPosition(ctx context.Context) (position int64, err error) {
	err = d.pool.QueryRow(ctx, "select (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&position)
	return position, err
}

// quantiles returns the median and the 99th percentile.
func quantiles(all []time.Duration) (p50, p99 time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}
