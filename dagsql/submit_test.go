package dagsql_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

func TestADAGIsThereIfTheTransactionCommits(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	b.Add("b", step{}).After(b.Add("a", step{}))
	for _, commit := range []bool{false, true} {
		tx, err := h.pool.Begin(h.ctx)
		must(t, err)
		dag, err := h.d.Submit(h.ctx, tx, b)
		must(t, err)
		if !dag.Created {
			t.Error("it was not created")
		}
		nodes, _, err := h.d.Nodes(h.ctx, tx, dag.ID, dagsql.Filter{})
		must(t, err)
		same(t, "nodes within the transaction", len(nodes), 2)
		h.takes()
		if !commit {
			must(t, tx.Rollback(h.ctx))
			h.takes()
			same(t, "rows", one[int](h.bench, "select (select count(*) from pgq.jobs) + (select count(*) from pgq.edges) + (select count(*) from pgq.waiting)"), 0)
			if _, err := h.d.Get(h.ctx, h.pool, dag.ID); !errors.Is(err, pgq.ErrNotFound) {
				t.Error(err)
			}
			continue
		}
		must(t, tx.Commit(h.ctx))
		same(t, "order", h.run(), "[a b]")
	}
}

// Submitters with the same key, half of whom roll back: there is one DAG, which all see whose transaction commits.
func TestAKeyIsSubmittedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	builder := dagsql.New("once", dagsql.Options{Key: "k\u00e9y"})
	builder.Add("b", act{}).After(builder.Add("a", act{}))
	for round := range 3 {
		if round > 0 {
			_, err := b.q.Delete(b.ctx, b.pool, one[int64](b, "select id from pgq.dags"))
			must(t, err)
		}
		const submitters = 8
		ids, created := make([]int64, submitters), make([]bool, submitters)
		var all sync.WaitGroup
		for i := range submitters {
			all.Go(func() {
				err := pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
					dag, err := b.d.Submit(b.ctx, tx, builder)
					if err != nil {
						return err
					}
					if i%2 == 1 {
						return errRollback
					}
					ids[i], created[i] = dag.ID, dag.Created
					return nil
				})
				if err != nil && !errors.Is(err, errRollback) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		creators := 0
		for i := 0; i < submitters; i += 2 {
			same(t, "the DAG of each submitter", ids[i], ids[0])
			if created[i] {
				creators++
			}
		}
		same(t, "creators", creators, 1)
		same(t, "DAGs", one[int](b, "select count(*) from pgq.dags"), 1)
		same(t, "nodes", one[int](b, "select count(*) from pgq.dag_nodes"), 2)
		run, err := b.d.Find(b.ctx, b.pool, "once", "k\u00e9y")
		must(t, err)
		same(t, "what is found", run.ID, ids[0])
		_, err = b.d.Cancel(b.ctx, b.pool, run.ID, dagsql.CancelOptions{})
		must(t, err)
	}
	other := dagsql.New("twice", dagsql.Options{Key: "k\u00e9y"})
	other.Add("a", act{})
	if dag, err := b.d.Submit(b.ctx, b.pool, other); err != nil || !dag.Created {
		t.Error("the same key of another name: ", dag, err)
	}
	if _, err := b.d.Find(b.ctx, b.pool, "once", "key"); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
}

var errRollback = errors.New("rolled back")

// All that the package does goes through database/sql as well.
func TestADAGJoinsATransactionOfDatabaseSQL(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	db := stdlib.OpenDB(*h.pool.Config().ConnConfig)
	defer func() { must(t, db.Close()) }()
	b := dagsql.New("sql", dagsql.Options{Key: "k", Deadline: time.Hour, Tags: []string{"t"}, Metadata: map[string]any{"a": 1}})
	list := b.Add("list", step{})
	b.Add("sum", step{}).After(b.Map("map", list, step{}, dagsql.MapOptions{}), b.External("approve", dagsql.ExternalOptions{}))
	for _, commit := range []bool{false, true} {
		tx, err := db.BeginTx(h.ctx, nil)
		must(t, err)
		dag, err := h.d.Submit(h.ctx, pgq.FromSQL(tx), b)
		must(t, err)
		more := dagsql.NewExtension()
		more.Add("more", step{}).After(more.Existing("list"))
		_, err = h.d.Extend(h.ctx, pgq.FromSQL(tx), dag.ID, more)
		must(t, err)
		if !commit {
			must(t, tx.Rollback())
			continue
		}
		must(t, tx.Commit())
		h.throughSQL(pgq.FromSQL(db), dag.ID)
	}
	b = steps()
	b.Add("a", nil).After(dagsql.Job(1 << 50))
	_, err := h.d.Submit(h.ctx, pgq.FromSQL(db), b)
	mistakes(t, err, `node "a": args must not be nil`, fmt.Sprintf(`node "a": after job %d does not exist`, 1<<50))
}

// throughSQL does everything with the DAG.
func (h *hand) throughSQL(db pgq.DB, id int64) {
	t := h.t
	n, err := h.d.Hold(h.ctx, db, id, "")
	must(t, err)
	same(t, "held", n, 5)
	_, err = h.d.Resume(h.ctx, db, id)
	must(t, err)
	h.takes("list")
	h.done("list", []int{1, 2})
	h.take()
	h.done("map[0]", 7)
	h.fails("map[1]")
	h.done("more", nil)
	answer, err := h.d.Complete(h.ctx, db, id, "approve", "yes")
	must(t, err)
	same(t, "answer", answer, "completed")
	run, err := h.d.Get(h.ctx, db, id)
	must(t, err)
	if run.State != pgq.Failed || *run.Key != "k" || run.Deadline == nil || len(run.Tags) != 1 || run.CauseID == nil {
		t.Errorf("the DAG is %+v", run)
	}
	reset, err := h.d.Retry(h.ctx, db, id, dagsql.RetryFailed)
	must(t, err)
	same(t, "reset", h.names(reset), "[DAG map map[1] sum]")
	h.takes("map[1]")
	h.done("map[1]", 8)
	h.takes("sum")
	h.done("sum", "sum")
	run, err = h.d.Await(h.ctx, db, id)
	must(t, err)
	same(t, "state", run.State, pgq.Completed)
	var items []int
	for item, err := range dagsql.Outputs[int](h.ctx, h.d, db, id, "map") {
		must(t, err)
		items = append(items, item.Value)
	}
	same(t, "items", items, "[7 8]")
	out, err := dagsql.Output[string](h.ctx, h.d, db, id, "approve")
	must(t, err)
	same(t, "answer", out, "yes")
	fork, err := h.d.Fork(h.ctx, db, id, "sum")
	must(t, err)
	outcomes, err := h.d.Cancel(h.ctx, db, fork, dagsql.CancelOptions{Nodes: []string{"s*"}})
	must(t, err)
	same(t, "cancelled", len(outcomes), 1)

	runs, _, err := h.d.List(h.ctx, db, dagsql.Filter{Names: []string{"sql"}, States: []pgq.State{pgq.Completed}})
	must(t, err)
	same(t, "listed", len(runs), 1)
	nodes, _, err := h.d.Nodes(h.ctx, db, id, dagsql.Filter{Names: []string{"sum", "map"}})
	must(t, err)
	same(t, "nodes", len(nodes), 2)
	progress, err := h.d.Progress(h.ctx, db, id)
	must(t, err)
	if progress.Fraction != 1 || progress.Completed != 5 {
		t.Errorf("progress is %+v", progress)
	}
	path, err := h.d.CriticalPath(h.ctx, db, id)
	must(t, err)
	slow, err := h.d.Slowest(h.ctx, db, id, 3)
	must(t, err)
	levels, err := h.d.Levels(h.ctx, db, id)
	must(t, err)
	why, err := h.d.Explain(h.ctx, db, fork, "sum")
	must(t, err)
	graph, err := h.d.Graph(h.ctx, db, id, 10)
	must(t, err)
	if len(path) < 2 || len(slow) != 3 || len(levels) != 5 || why[0].Reason != "cancelled" || len(graph.Nodes) != 5 {
		t.Errorf("path %v, slowest %v, levels %v, why %v, graph %v", path, slow, levels, why, graph)
	}
	for _, draw := range []func() (string, error){
		func() (string, error) { return h.d.Mermaid(h.ctx, db, id, dagsql.Style{}) },
		func() (string, error) { return h.d.DOT(h.ctx, db, id, dagsql.Style{}) },
	} {
		if picture, err := draw(); err != nil || !strings.Contains(picture, "approve") {
			t.Error(picture, err)
		}
	}
}

func TestWhatIsWrongIsToldAtOnceAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	builder := dagsql.New("wrong", dagsql.Options{Output: "nowhere", Priority: pgq.Prio(12)})
	a := builder.Add("a", nil)
	builder.Add("a", step{}, pgq.Options{MaxAttempts: -1}).AfterAny()
	builder.Add("b", step{}).After(a.When("$.x"), builder.Add("c", step{}, pgq.Options{RunAt: time.Now()}))
	builder.Sub("sub")
	_, err := b.d.Submit(b.ctx, b.pool, builder)
	mistakes(t, err,
		`node "a": args must not be nil`,
		`node "a": max_attempts must be at least 1`,
		`node "c": run_at must not be given for a node: it runs after its parents, or a delay after that`,
		`priority must be 0 to 9`,
		`output must name a node of the DAG; "nowhere" is none`,
		`node "a": name is given to 2 nodes`,
		`node "a": rule any needs nodes in after`,
		`node "b": when must be a predicate, for example $.flag == true, in "a"`,
		`node "sub": type dag needs nodes inside, with names like "sub/a"`)
	same(t, "jobs", one[int](b, "select count(*) from pgq.jobs"), 0)

	_, err = b.d.SubmitJSON(b.ctx, b.pool, json.RawMessage(`{"name": "x", "nodes": [{"name": "a", "kind": "k", "colour": 1}], "x": 1}`))
	mistakes(t, err, "x is not a field of a DAG", `node "a": colour is not a field of a node`)
}

func TestDAGsOfASchemaThatIsNotInstalledAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := dagsql.NewClient(pgq.New(pgq.Config{Schema: "elsewhere"}))
	builder := steps()
	builder.Add("a", step{})
	if _, err := d.Submit(b.ctx, b.pool, builder); !errors.Is(err, pgq.ErrNotInstalled) {
		t.Error(err)
	}
	if _, err := d.Progress(b.ctx, b.pool, 1); !errors.Is(err, pgq.ErrNotInstalled) {
		t.Error(err)
	}
}

// 100,000 nodes are built and submitted with little memory. (Not parallel: it measures what the process allocates.)
func TestALargeDAGIsSubmitted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds; -short")
	}
	b := newBench(t)
	const layers, width = 1000, 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	builder := dagsql.New("large", dagsql.Options{})
	var above, layer []dagsql.Parent
	for l := range layers {
		for w := range width {
			n := builder.Add("layer-"+strconv.Itoa(l)+"-"+strconv.Itoa(w), step{w})
			if l > 0 {
				n.After(above[w])
			}
			layer = append(layer, n)
		}
		above, layer = layer, nil
	}
	started := time.Now()
	id := b.submit(builder)
	took := time.Since(started)
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
	t.Logf("%d nodes submitted in %s; %d MB allocated in all", layers*width, took, allocated)
	if allocated > 200 {
		t.Errorf("building and submitting %d nodes allocated %d MB", layers*width, allocated)
	}
	progress, err := b.d.Progress(b.ctx, b.pool, id)
	must(t, err)
	same(t, "nodes that wait, and that are ready", []int64{progress.Waiting, progress.Ready}, []int{99_900, 100})
}
