package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

var (
	dagSeed = flag.Uint64("dag.seed", 0, "seed of the tests with random DAGs; 0 draws one")
	dagSoak = flag.Duration("dag.soak", 0, "for how long the tests with random DAGs go on with new seeds, and whether duels are made in all orders")
)

// seeds calls test with a seed, and with new ones for as long as -dag.soak says.
func seeds(t *testing.T, test func(t *testing.T, seed uint64)) {
	t.Parallel()
	seed := *dagSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	for began := time.Now(); !t.Failed(); seed++ {
		t.Run(fmt.Sprintf("-dag.seed=%d", seed), func(t *testing.T) { test(t, seed) })
		if time.Since(began) >= *dagSoak {
			return
		}
	}
}

// world is a database in which random DAGs run, with what happens to them from outside.
type world struct {
	*system
	ctx      context.Context
	mu       sync.Mutex
	plans    map[int64]*plan  // by the ids of their DAGs
	ran      map[attempts]int // how often handlers in this process ran
	troubled bool             // by more than workers that lose their leases
}

type attempts struct {
	job     int64
	attempt int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return &world{system: newSystem(t), ctx: ctx, plans: map[int64]*plan{}, ran: map[attempts]int{}}
}

// cramped makes what is left to the chores small, so that much is left to them.
func (w *world) cramped() {
	w.t.Helper()
	w.mutate("deliver", "at_once constant integer := 5000", "at_once constant integer := 2")
	w.mutate("expand_map", "integer := 2000", "integer := 2")
	w.mutate("propagate", "told > 5000 or generations > 200", "told > 3 or generations > 2")
}

// handleDeeds lets a worker do what deeds say.
func handleDeeds(w *worker.Worker, pool *pgxpool.Pool, ran func(*pgq.Attempt)) {
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[deed]) (any, error) {
		ran(job.Attempt)
		d := job.Args
		if d.Item != nil {
			d = *d.Item
		}
		switch {
		case d.Flaky && job.Number == 1:
			return nil, pgq.RetryAfter(0, errors.New("flaky"))
		case d.Cancel:
			return nil, pgq.Cancel(errors.New("told to"))
		case d.Fail:
			return nil, pgq.Permanent(errors.New("told to"))
		case d.Extend != nil:
			return nil, extend(ctx, pool, job.Attempt, d)
		case d.Output == nil:
			return nil, nil
		}
		return d.Output, nil
	})
}

// extend adds nodes to the DAG of a job in the transaction that completes it, unless an earlier run of it has.
func extend(ctx context.Context, pool *pgxpool.Pool, job *pgq.Attempt, d deed) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		const sql = `select pgq.dag_extend(j.dag_id, $2) from pgq.jobs j where j.id = $1
			and not exists (select from pgq.jobs n where n.dag_id = j.dag_id and n.name = $2::jsonb -> 'nodes' -> 0 ->> 'name')`
		if _, err := tx.Exec(ctx, sql, job.ID, string(d.Extend)); err != nil {
			return err
		}
		var result any
		if d.Output != nil {
			result = d.Output
		}
		return job.Complete(ctx, tx, result)
	})
}

// work runs a worker with few slots until the test ends.
func (w *world) work(pool *pgxpool.Pool, slots int) {
	w.t.Helper()
	one := worker.New(pool, worker.Config{
		Queues: worker.Queues{"default": {Concurrency: slots}}, Lease: time.Second, Prefetch: slots,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	handleDeeds(one, pool, func(a *pgq.Attempt) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ran[attempts{a.ID, a.Number}]++
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- one.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
}

// submit enqueues the jobs outside of a plan and submits it, and gives the answers that come early.
func (w *world) submit(p *plan) error {
	for _, v := range p.outside {
		if err := w.pool.QueryRow(w.ctx, "select pgq.enqueue('deed', $1)", marshal(w.t, v.deed)).Scan(&v.id); err != nil {
			return err
		}
	}
	document := p.document(w.t)
	if err := w.pool.QueryRow(w.ctx, "select dag_id from pgq.dag_submit($1)", document).Scan(&p.id); err != nil {
		return fmt.Errorf("%w\n%s", err, document)
	}
	w.mu.Lock()
	w.plans[p.id] = p
	w.mu.Unlock()
	for _, v := range p.vertices {
		if v.answer == "early" {
			if err := w.answer(p.id, v); err != nil {
				return err
			}
		}
	}
	return w.learn(p)
}

// learn reads the ids of nodes, for those who come after them.
func (w *world) learn(p *plan) error {
	rows, err := w.pool.Query(w.ctx, "select id, name from pgq.jobs where dag_id = $1", p.id)
	if err != nil {
		return err
	}
	var id int64
	var name string
	_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		if v := p.named[name]; v != nil {
			v.id = id
		}
		return nil
	})
	return err
}

func (w *world) answer(dag int64, v *vertex) error {
	if v.deed.Fail {
		_, err := w.pool.Exec(w.ctx, "select pgq.dag_fail($1, $2, 'no')", dag, v.name)
		return err
	}
	_, err := w.pool.Exec(w.ctx, "select pgq.dag_complete($1, $2, $3)", dag, v.name, v.deed.Output)
	return err
}

// turn lets time pass for what waits for it, and answers what waits for answers. It returns how many jobs have not ended.
func (w *world) turn() (left int, err error) {
	rows, err := w.pool.Query(w.ctx, "select j.id, j.dag_id, j.name, j.role from pgq.waiting w join pgq.jobs j on j.id = w.job_id where w.role = 'signal'")
	if err != nil {
		return 0, err
	}
	type node struct {
		ID, DAG    int64
		Name, Role string
	}
	open, err := pgx.CollectRows(rows, pgx.RowToStructByPos[node])
	if err != nil {
		return 0, err
	}
	var late []int64
	for _, n := range open {
		w.mu.Lock()
		p := w.plans[n.DAG]
		w.mu.Unlock()
		if p == nil {
			continue
		} else if v := p.named[n.Name]; n.Role == "sleep" || v.answer == "never" {
			late = append(late, n.ID)
		} else if err := w.answer(n.DAG, v); err != nil {
			return 0, err
		}
	}
	for _, sql := range []string{
		`with late as (update pgq.jobs set expires_at = now() - interval '1 second' where id = any($1) returning id)
			update pgq.expiries e set expires_at = now() - interval '1 second' from late l where e.job_id = l.id`,
		"update pgq.scheduled set run_at = now() where run_at > now() + interval '1 hour' and $1::bigint[] is not null",
		"select pgq.expire(), pgq.promote() where $1::bigint[] is not null",
	} {
		if late == nil {
			late = []int64{}
		}
		if _, err := w.pool.Exec(w.ctx, sql, late); err != nil {
			return 0, err
		}
	}
	err = w.pool.QueryRow(w.ctx, "select (select count(*) from pgq.jobs) - (select count(*) from pgq.results)").Scan(&left)
	return left, err
}

// settle lets time pass until all jobs have ended.
func (w *world) settle() {
	w.t.Helper()
	left := -1
	var err error
	if !wait(func() bool { left, err = w.turn(); return left == 0 || err != nil }) || err != nil {
		w.t.Fatalf("%d jobs do not end: %v\n%s", left, err, w.unended())
	}
}

// unended describes the jobs that have not ended.
func (w *world) unended() string {
	rows, err := w.pool.Query(context.Background(), `
		select format('%s %s of DAG %s (%s) is %s: %s', s.id, s.name, s.dag_id, s.kind, s.state, w)
		from pgq.job_states s left join pgq.waiting w on w.job_id = s.id
		where s.state in ('waiting', 'ready', 'scheduled', 'running')
		union all select format('frontier: %s', f) from pgq.frontier f
		union all select format('broken invariant: %s', c) from pgq.check_invariants() c
		limit 100`)
	if err != nil {
		return err.Error()
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return fmt.Sprint(strings.Join(lines, "\n"), err)
}

// What the database makes of random DAGs is what plain recursion says, whoever runs them in whatever order.
func TestRandomDAGsEndAsTheOracleSays(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		for _, cramped := range []bool{false, true} {
			t.Run(fmt.Sprintf("cramped=%v", cramped), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				if cramped {
					w.cramped()
				}
				shared := connect(t, w.url)
				for _, slots := range []int{1, 2, 3, 5} {
					w.work(shared, slots)
				}
				var all sync.WaitGroup
				for i := range uint64(3) {
					all.Go(func() {
						var earlier []*plan
						for j := range uint64(12) {
							p := newPlan(rand.New(rand.NewPCG(seed, 1000*i+j)), earlier[max(0, len(earlier)-2):], true)
							if err := w.submit(p); err != nil {
								t.Errorf("submit: %v", err)
								return
							}
							earlier = append(earlier, p)
						}
					})
				}
				all.Wait()
				if !t.Failed() {
					w.settle()
					w.judge()
				}
			})
		}
	})
}
