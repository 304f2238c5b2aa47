package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// trouble is what happens to random DAGs while worker processes run them.
type trouble struct {
	*world
	random *rand.Rand
	conn   *pgx.Conn
	done   []string // what was done, for the log
	acted  int      // how much of that was not refused
}

// verbs of trouble, by how often they are drawn. $1 is a DAG, $2 one of its nodes, items included, $3 that node's name.
var verbsOfTrouble = []string{
	"select pgq.dag_retry($1)",
	"select pgq.dag_retry($1, 'all')",
	"select pgq.dag_retry($1, 'downstream')",
	"select pgq.dag_retry($1, 'from', array[$3])",
	"select pgq.dag_retry($1, 'failed', array[$3])",
	"select pgq.dag_cancel($1)",
	"select pgq.dag_cancel($1, array[$3])",
	"select pgq.dag_cancel($1, array[$3])",
	"select pgq.dag_cancel($1, array[$3], true)",
	"select pgq.cancel(array[$2::bigint])",
	"select pgq.retry(array[$2::bigint])",
	"select pgq.retry(array[$1::bigint])",
	"select pgq.dag_hold($1)",
	"select pgq.dag_resume($1)",
	"select pgq.dag_resume($1)",
	"select pgq.dag_fork($1, array[$3])",
	"select pgq.propagate_frontier()",
	"select pgq.do_chores()",
	check, check,
}

// check is no trouble: no invariant may be broken at any time.
const check = "select coalesce(max(c::text), '') from pgq.check_invariants() c"

// act does something to some DAG.
func (m *trouble) act(ctx context.Context) error {
	var dag, node int64
	var name string
	err := m.conn.QueryRow(ctx, `select dag_id, id, name from pgq.jobs where dag_id is not null and role is distinct from 'gate'
		offset floor($1::float8 * (select count(*) from pgq.jobs where dag_id is not null and role is distinct from 'gate')) limit 1`,
		m.random.Float64()).Scan(&dag, &node, &name)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	} else if err != nil {
		return err
	}
	verb := verbsOfTrouble[m.random.IntN(len(verbsOfTrouble))]
	m.done = append(m.done, fmt.Sprintf("%s %s with %d, %d, %q", time.Now().Format("05.000000"), verb, dag, node, name))
	var result string
	defer func() { m.done = append(m.done, fmt.Sprintf("%s: %q %v", time.Now().Format("05.000000"), result, err)) }()
	err = m.conn.QueryRow(ctx, "select r::text from (select $1::bigint, $2::bigint, $3::text) p, lateral ("+verb+") s(r)", dag, node, name).Scan(&result)
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && slices.Contains([]string{"PQ001", "PQ004", "PQ006"}, pg.Code), errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return fmt.Errorf("%s: %w", verb, err)
	case verb == check && result != "":
		return fmt.Errorf("broken invariant: %s", result)
	case strings.Contains(verb, "dag_fork"):
		m.acted++
		var fork int64
		_, _ = fmt.Sscan(result, &fork)
		m.mu.Lock()
		m.plans[fork] = m.plans[dag]
		m.mu.Unlock()
	default:
		m.acted++
	}
	return nil
}

// processes are worker processes that are killed and stopped while others work.
type processes struct {
	*world
	random *rand.Rand
	all    []*process
}

const troubleLease = time.Second

func (w *processes) start() *process {
	p := w.worker(w.url, 1+w.random.IntN(4), troubleLease)
	w.all = append(w.all, p)
	return p
}

// hurt kills a process and starts another one, and stops one past its lease.
func (w *processes) hurt(until func() bool) {
	victim, sleeper := w.start(), w.start()
	for !until() {
		w.becomesPossible("select count(*) from pgq.workers")
		victim.kill()
		victim = w.start()
		sleeper.signal(syscall.SIGSTOP)
		stopped := time.Now()
		wait(func() bool { return until() || time.Since(stopped) > troubleLease*3/2 })
		sleeper.signal(syscall.SIGCONT)
	}
}

// becomesPossible waits until there is something to kill: processes that work.
func (w *processes) becomesPossible(sql string) {
	wait(func() bool {
		var n int
		err := w.pool.QueryRow(w.ctx, sql).Scan(&n)
		return err != nil || n >= 3
	})
}

// Whatever is done to DAGs and to those who run them, all of them end and no invariant breaks. And when all of them are run
// once more, in peace, they end as plain recursion says.
func TestRandomDAGsSurviveTrouble(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		w := newWorld(t)
		w.troubled = true
		if seed%2 == 0 {
			w.cramped()
		}
		w.work(connect(t, w.url), 2)
		var stopped atomic.Bool
		end := time.AfterFunc(3*time.Second, func() { stopped.Store(true) })
		defer end.Stop()
		makers := w.makeTrouble(seed, stopped.Load)
		(&processes{world: w, random: rand.New(rand.NewPCG(seed, 7))}).hurt(stopped.Load)
		for _, m := range makers() {
			t.Logf("trouble was made %d times, %d times with effect", len(m.done)/2, m.acted)
			defer func() {
				if t.Failed() {
					t.Logf("one made trouble by:\n%s", strings.Join(m.done, "\n"))
				}
			}()
		}
		w.peace()
		if t.Failed() {
			return
		}
		for _, id := range slices.Sorted(maps.Keys(w.plans)) {
			w.exec("select pgq.dag_retry($1, 'all')", id)
		}
		w.settle()
		w.judge()
	})
}

// makeTrouble submits DAGs, and does this and that to them until it is told to stop. The answer waits for the end.
func (w *world) makeTrouble(seed uint64, until func() bool) func() []*trouble {
	var all sync.WaitGroup
	var makers []*trouble
	all.Go(func() {
		var earlier []*plan
		for i := uint64(0); i < 12 && !until(); i++ {
			p := newPlan(rand.New(rand.NewPCG(seed, 10_000+i)), earlier[max(0, len(earlier)-2):], true)
			if err := w.submit(p); err != nil {
				w.t.Errorf("submit: %v", err)
				return
			}
			earlier = append(earlier, p)
		}
		for !until() {
			if _, err := w.turn(); err != nil {
				w.t.Errorf("turn: %v", err)
				return
			}
		}
	})
	for i := range uint64(2) {
		m := &trouble{world: w, random: rand.New(rand.NewPCG(seed, i)), conn: connection(w.t, w.pool)}
		makers = append(makers, m)
		all.Go(func() {
			for !until() {
				if err := m.act(w.ctx); err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	return func() []*trouble { all.Wait(); return makers }
}

// peace lets all that is held go on, and waits for the end of everything.
func (w *world) peace() {
	w.t.Helper()
	w.exec("select pgq.dag_resume(id) from pgq.jobs where role = 'dag' and dag_id is null")
	w.settle()
	w.check()
	w.is(0, "deadlocks", deadlocks)
}
