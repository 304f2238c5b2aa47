package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The parts of documents that the duels below share.
const (
	asking   = `{"name": "a", "kind": "k"}, {"name": "x", "type": "external", "after": ["a"]}, {"name": "c", "kind": "k", "after": ["x"]}`
	mortal   = `{"name": "x", "type": "external", "timeout": "1 day"}, {"name": "c", "kind": "k", "after": ["x"], "rule": "none_failed"}`
	default5 = `{"name": "x", "type": "external", "timeout": "1 day", "default": 5}, {"name": "c", "kind": "k", "after": ["x"]}`
	windowed = `{"name": "a", "kind": "k"}, {"name": "m", "type": "map", "kind": "k", "over": "a", "window": 1}, {"name": "c", "kind": "k", "after": ["m"]}`

	afterBoth = `select dag_id from dag_submit(format('{"name": "other", "nodes": [{"name": "x", "kind": "k"}, {"name": "n", "kind": "k", "after": ["x", {"job": %s}]}]}', plain())::jsonb)`

	overdueX   = `select overdue(node($1, 'x'))`
	overdueC   = `select overdue(node($1, 'c'))`
	overdueDAG = `select overdue($1)`
	answer     = `select dag_complete($1, 'x', '1')`
	refuse     = `select dag_fail($1, 'x')`
	item0      = `select done($2, '{m[0]}')`
)

// Duels with what comes too late or too early: answers, times that have passed, and maps that grow.
var lateDuels = []duel{
	{name: "an answer comes, the time for it is over", dag: mortal, before: sql(overdueX), a: sql(answer), b: sql(expire),
		want: states("x", "completed failed", "c", "completed skipped", "DAG", "completed failed")},
	{name: "an answer comes, the default is taken", dag: default5, before: sql(overdueX), a: sql(answer), b: sql(expire),
		want: states("x", "completed", "c", "completed", "DAG", "completed")},
	{name: "two answers come", dag: mortal, a: sql(answer), b: sql(refuse), want: states("x", "completed failed")},
	{name: "an answer comes, its node is reached", dag: asking, before: sql(take), a: sql(doneA), b: sql(refuse),
		want: states("a", "completed", "x", "failed", "c", "skipped", "DAG", "failed")},
	{name: "an answer comes, its node is skipped", dag: asking, before: sql(take), a: sql(failsA), b: sql(answer),
		want: states("x", "skipped", "c", "skipped", "DAG", "failed")},
	{name: "an answer comes, its node is cancelled", dag: asking, before: sql(take, doneA), a: sql(answer), b: sql(`select dag_cancel($1, '{x}')`),
		want: states("x", "completed cancelled", "c", "completed skipped")},
	{name: "an answer comes, what was before it is retried", dag: asking, before: sql(take, doneA), a: sql(refuse), b: sql(`select dag_retry($1, 'from', '{a}')`),
		want: states("a", "completed", "x", "failed completed")},
	{name: "an answer comes, the DAG is held", dag: asking, before: sql(take, doneA), a: sql(answer), b: sql(hold), want: states("c", "completed", "DAG", "completed")},
	{name: "a parent finishes, the child expires", dag: join2, before: sql(take, doneB, overdueC), a: sql(doneA), b: sql(expire),
		want: states("a", "completed", "c", "expired", "DAG", "failed")},
	{name: "a parent finishes early, the child expires", dag: join2, before: sql(take, overdueC), a: sql(doneA), b: sql(expire),
		want: states("b", "completed", "c", "expired", "DAG", "failed")},
	{name: "a parent finishes, another one expires", dag: `{"name": "a", "kind": "k"}, {"name": "b", "kind": "k", "queue": "other"}, {"name": "c", "kind": "k", "after": ["a", "b"]}`,
		before: sql(take, `select overdue(node($1, 'b'))`), a: sql(doneA), b: sql(expire), want: states("b", "expired", "c", "skipped", "DAG", "failed")},
	{name: "the last node finishes, the DAG's deadline passes", dag: join2, before: sql(take, doneA, doneB, take, overdueDAG),
		a: sql(`select done($2, '{c}')`), b: sql(expire), want: states("c", "completed cancelled", "DAG", "completed expired")},
	{name: "a parent finishes, the DAG's deadline passes", dag: join2, before: sql(take, doneB, overdueDAG), a: sql(doneA), b: sql(expire),
		want: states("DAG", "expired")},
	{name: "the deadline passes, a failed node is retried", dag: join2, before: sql(take, failsA, overdueDAG), a: sql(retry), b: sql(expire)},
	{name: "a finished job is retried, a DAG comes after it", dag: `{"name": "a", "kind": "k"}`, before: sql(`select enqueue('plain')`, take, `select done($2, '{plain}')`),
		a: sql(`select retry(array[plain()])`), b: sql(afterBoth), refused: "PQ006"},
	{name: "a node finishes, it is retried", dag: join2, before: sql(take, doneB), a: sql(doneA), b: sql(`select retry(array[node($1, 'a')])`),
		want: states("a", "completed", "c", "completed", "DAG", "completed")},
	{name: "a node that failed finishes again, it is retried", dag: join2, before: sql(take, doneB, failsA, retry, take), a: sql(failsA), b: sql(`select retry(array[node($1, 'a')])`),
		want: states("a", "failed completed")},
	{name: "a map grows, its DAG is cancelled", dag: mapping, before: sql(take, doneA), small: true, a: sql(frontier), b: sql(cancel),
		want: states("m", "cancelled", "c", "cancelled", "DAG", "cancelled")},
	{name: "a map grows, it is cancelled", dag: mapping, before: sql(take, doneA), small: true, a: sql(frontier), b: sql(`select dag_cancel($1, '{m}')`),
		want: states("m", "cancelled", "c", "skipped", "DAG", "failed")},
	{name: "a map grows, an item finishes", dag: mapping, before: sql(take, doneA, take), small: true, a: sql(frontier), b: sql(item0),
		want: states("m[4]", "completed", "m", "completed", "c", "completed", "DAG", "completed")},
	{name: "a map grows, an item that failed is retried", dag: mapping, before: sql(take, doneA, take, `select fails($2, '{m[0]}')`), small: true,
		a: sql(frontier), b: sql(retry)},
	{name: "a map grows, it is held", dag: mapping, before: sql(take, doneA), small: true, a: sql(frontier), b: sql(hold),
		want: states("m[4]", "completed", "m", "completed", "c", "completed", "DAG", "completed")},
	{name: "a map begins, its DAG is cancelled", dag: mapping, before: sql(take), small: true, a: sql(doneA), b: sql(cancel),
		want: states("a", "completed cancelled", "DAG", "cancelled")},
	{name: "an item makes room for the next one, which is cancelled", dag: windowed, before: sql(take, doneA, take), a: sql(item0), b: sql(`select dag_cancel($1, '{m[1]}')`),
		want: states("m[1]", "cancelled", "m[4]", "skipped completed", "m", "failed", "DAG", "failed")},
	{name: "an item makes room for the next one, the DAG is cancelled", dag: windowed, before: sql(take, doneA, take), a: sql(item0), b: sql(cancel),
		want: states("DAG", "cancelled")},
	{name: "an item makes room for the next one, the DAG is held", dag: windowed, before: sql(take, doneA, take), a: sql(item0), b: sql(hold),
		want: states("m[4]", "completed", "m", "completed", "DAG", "completed")},
	{name: "the two last items finish", dag: mapping, before: sql(take, `select done($2, '{a}', '[1, 2]')`, take), a: sql(item0), b: sql(`select done($2, '{m[1]}')`),
		want: states("m", "completed", "c", "completed", "DAG", "completed")},
}

func TestAllDuelsWithWhatIsLateEndWell(t *testing.T) {
	t.Parallel()
	fightAll(t, lateDuels)
}

// TestTheLastParentsFinishAtTheSameInstant lets ten sessions each finish one of the last parents of some children,
// all in transactions that commit together.
func TestTheLastParentsFinishAtTheSameInstant(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ctx := t.Context()
	s.exec(strings.ReplaceAll(stage, "create function ", "create function public."))
	const finishers, rounds = 10, 8
	conns := make([]*pgx.Conn, finishers)
	for i := range conns {
		conns[i] = connection(t, s.pool)
	}
	for round := range rounds {
		worker := s.number("select clear()")
		var nodes, parents []string
		for i := range finishers {
			parents = append(parents, fmt.Sprintf(`"p%d"`, i))
			nodes = append(nodes, fmt.Sprintf(`{"name": "p%d", "kind": "k"}`, i))
		}
		for i, rule := range []string{"all", "any", "join", "done"} {
			nodes = append(nodes, fmt.Sprintf(`{"name": "c%d", "kind": "k", "rule": %q, "after": [%s]}`, i, rule, strings.Join(parents, ", ")))
		}
		dag := s.number("select dag_id from pgq.dag_submit($1)", fmt.Sprintf(`{"name": "hot", "nodes": [%s]}`, strings.Join(nodes, ", ")))
		s.is(finishers, "leases", "select take($1)", worker)
		s.exec("select pgq.heartbeat($1)", worker)
		var all, ready sync.WaitGroup
		ready.Add(finishers)
		for i, conn := range conns {
			all.Go(func() {
				if err := finishTogether(ctx, conn, &ready, worker, fmt.Sprintf("p%d", i), round); err != nil {
					t.Errorf("finisher %d: %v", i, err)
				}
			})
		}
		all.Wait()
		s.check()
		for n := int64(1); n > 0; {
			n = s.number("select drain($1)", worker)
		}
		s.is(int64(finishers+5), fmt.Sprintf("round %d: completed jobs", round), completed+" and coalesce(dag_id, job_id) = $1", dag)
	}
	if t.Failed() {
		return
	}
	s.is(0, "deadlocks", deadlocks)
}

// finishTogether finishes a node in a transaction that commits when all others have finished theirs, which
// therefore must not wait for each other. In some rounds each commits at once.
func finishTogether(ctx context.Context, conn *pgx.Conn, ready *sync.WaitGroup, worker int64, node string, round int) error {
	together := round%2 == 0
	if !together {
		ready.Done()
		ready.Wait()
	}
	tx, err := conn.Begin(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, "select done($1, array[$2])", worker, node)
	}
	if together {
		ready.Done()
		ready.Wait()
	}
	if err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// connection opens a connection of its own to the pool's database.
func connection(t *testing.T, pool *pgxpool.Pool) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// deadlocks counts the deadlocks of the database since it was created.
const deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
