package dagsql_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// A handler that extends its DAG and completes its job in one transaction does both or neither.
func TestAnExtensionIsThereIfTheJobIsCompleted(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	list := b.Add("list", step{})
	b.Add("save", step{}).After(list)
	id := h.submit(b)
	h.takes("list")
	for _, commit := range []bool{false, true} {
		more := dagsql.NewExtension()
		part := more.Add("part", step{}).After(more.Existing("list"))
		more.Add("check", step{}).After(part).Before(more.Existing("save"))
		more.External("approve", dagsql.ExternalOptions{})
		tx, err := h.pool.Begin(h.ctx)
		must(t, err)
		ids, err := dagsql.Extend(h.ctx, tx, h.attempt("list"), more)
		must(t, err)
		must(t, h.attempt("list").Complete(h.ctx, tx, mood{1}))
		if !commit {
			must(t, tx.Rollback(h.ctx))
			h.is(id, pgq.Running, "list running", "save waiting")
			continue
		}
		must(t, tx.Commit(h.ctx))
		same(t, "ids", ids, []int64{h.node(id, "part"), h.node(id, "check"), h.node(id, "approve")})
	}
	h.takes("part")
	same(t, "result of an existing node", result[mood](h, "part", "list"), mood{1})
	h.done("part", nil)
	h.takes("check")
	h.done("check", mood{2})
	h.takes("save")
	same(t, "result of an added node", result[mood](h, "save", "check"), mood{2})
	h.done("save", nil)
	h.is(id, pgq.Running, "list completed", "save completed", "part completed", "check completed", "approve waiting")
	_, err := h.d.Complete(h.ctx, h.pool, id, "approve", nil)
	must(t, err)
	h.is(id, pgq.Completed, "list completed", "save completed", "part completed", "check completed", "approve completed")
}

// The real thing: a worker's handler adds nodes, and nodes to these.
func TestADAGGrowsWhileItRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.work(func(w *worker.Worker) {
		worker.Handle(w, func(ctx context.Context, job *pgq.Job[step]) error {
			return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
				if n := job.Args.N; n > 0 {
					more := dagsql.NewExtension()
					for i := range 2 {
						more.Add(fmt.Sprintf("%d-%d-%d", n-1, i, job.ID), step{n - 1}).Before(more.Existing("last"))
					}
					if _, err := dagsql.Extend(ctx, tx, job.Attempt, more); err != nil {
						return err
					}
				}
				return job.Complete(ctx, tx, job.Args.N)
			})
		})
	})
	builder := steps()
	builder.Add("last", act{}).After(builder.Add("root", step{5}))
	id := b.submit(builder)
	same(t, "the DAG", b.ended(id).State, pgq.Completed)
	states := b.states(id)
	same(t, "nodes", len(states), 2+2+4+8+16+32)
	for name, state := range states {
		same(t, name, state, "completed")
	}
}

func TestAnExtensionGoesIntoASubDAG(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	etl := b.Sub("etl").After(b.Add("first", step{}))
	etl.Add("load", step{})
	b.Add("report", step{}).After(etl)
	id := h.submit(b)
	more := dagsql.NewExtension()
	more.Add("etl/check", step{}).After(more.Existing("etl/load"))
	inner := more.Sub("etl/inner").After(more.Existing("etl/load").Soft())
	inner.Add("x", step{})
	_, err := h.d.Extend(h.ctx, h.pool, id, more)
	must(t, err)
	same(t, "order", h.run(), "[first etl/load etl/check etl/inner/x report]")
	h.is(id, pgq.Completed, "first completed", "etl completed", "etl/load completed", "etl/check completed", "etl/inner completed",
		"etl/inner/x completed", "report completed")
}

func TestAnExtensionThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	ended := b.Add("ended", step{})
	running := b.Add("running", step{}).After(ended)
	waiting := b.Add("waiting", step{}).After(running)
	b.Add("later", step{}).After(waiting)
	m := b.Map("map", ended, step{}, dagsql.MapOptions{})
	b.Sub("sub").After(m).Add("x", step{})
	id := h.submit(b)
	h.takes("ended")
	h.done("ended", []int{1})
	h.takes("map[0]", "running")
	cases := []struct {
		name  string
		build func(e *dagsql.Builder)
		want  []string // problems, or one text of an *ArgumentError
	}{
		{"what is there already", func(e *dagsql.Builder) { e.Add("waiting", step{}) }, []string{`node "waiting": name is that of a node that exists already`}},
		{"after nothing", func(e *dagsql.Builder) { e.Add("n", step{}).After(e.Existing("nothing")) },
			[]string{`node "n": after must name nodes of the DAG; "nothing" is none`}},
		{"before nothing", func(e *dagsql.Builder) { e.Add("n", step{}).Before(e.Existing("nothing")) },
			[]string{`node "n": before must name nodes that the DAG has already; "nothing" is none`}},
		{"nothing", func(*dagsql.Builder) {}, []string{"nodes must be 1 to 1000000"}},
		{"in no sub-DAG", func(e *dagsql.Builder) { e.Add("none/n", step{}) }, []string{`node "none/n": name needs a node "none" of type dag`}},
		{"builder's and database's", func(e *dagsql.Builder) { e.Add("n", nil).After(e.Existing("nothing")) }, []string{`node "n": args must not be nil`,
			`node "n": after must name nodes of the DAG; "nothing" is none`}},
		{"before what runs", func(e *dagsql.Builder) { e.Add("n", step{}).Before(e.Existing("running")) },
			[]string{`before must name nodes that still wait for others; "running" does not`}},
		{"before what has ended", func(e *dagsql.Builder) { e.Add("n", step{}).Before(e.Existing("ended")) },
			[]string{`before must name nodes that still wait for others; "ended" does not`}},
		{"before a map under way", func(e *dagsql.Builder) { e.Add("n", step{}).Before(e.Existing("map")) },
			[]string{`before must name nodes that still wait for others; "map" does not`}},
		{"a cycle", func(e *dagsql.Builder) { e.Add("n", step{}).After(e.Existing("later")).Before(e.Existing("waiting")) },
			[]string{`before must not make a cycle: n comes after waiting`}},
		{"a cycle of two", func(e *dagsql.Builder) {
			n := e.Add("n", step{}).After(e.Existing("waiting"))
			e.Add("o", step{}).After(n).Before(e.Existing("waiting"))
		}, []string{`before must not make a cycle: o comes after waiting`}},
	}
	before := h.states(id)
	for _, c := range cases {
		e := dagsql.NewExtension()
		c.build(e)
		_, err := h.d.Extend(h.ctx, h.pool, id, e)
		var bad *pgq.ArgumentError
		if errors.As(err, &bad) {
			same(t, c.name, bad.Field+" "+bad.Rule, c.want[0])
		} else {
			t.Run(c.name, func(t *testing.T) { mistakes(t, err, c.want...) })
		}
		same(t, "nodes after "+c.name, h.states(id), before)
	}
	_, err := h.d.Extend(h.ctx, h.pool, id, steps())
	mistakes(t, err, "name must not be given: build it with NewExtension")
	_, err = h.d.Submit(h.ctx, h.pool, dagsql.NewExtension())
	mistakes(t, err, "name must be given: extensions are not submitted")
	e := dagsql.NewExtension()
	e.Add("n", step{})
	if _, err := h.d.Extend(h.ctx, h.pool, id+1000, e); !errors.Is(err, pgq.ErrNotFound) {
		t.Error("an unknown DAG: ", err)
	}
}

func TestADAGThatEndsIsNotExtended(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	e := dagsql.NewExtension()
	e.Add("n", step{})
	b := steps()
	b.Add("a", step{})
	for _, ends := range []func(id int64){
		func(int64) { h.done("a", nil) },
		func(int64) { h.fails("a") },
		func(id int64) {
			_, err := h.d.Cancel(h.ctx, h.pool, id, dagsql.CancelOptions{}) // a is still running
			must(t, err)
		},
	} {
		id := h.submit(b)
		h.takes("a")
		ends(id)
		_, err := h.d.Extend(h.ctx, h.pool, id, e)
		var bad *pgq.ArgumentError
		if !errors.As(err, &bad) || bad.Field != "dag_id" || bad.Rule != "must be a DAG under way" {
			t.Error(err)
		}
	}
	h.done("a", nil)
}

// The last node ends while a transaction that extends the DAG is under way.
func TestADAGWaitsForAnExtensionUnderWay(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	b := steps()
	b.Add("a", step{})
	id := h.submit(b)
	h.takes("a")
	e := dagsql.NewExtension()
	e.Add("n", step{})
	must(t, pgx.BeginFunc(h.ctx, h.pool, func(tx pgx.Tx) error {
		if _, err := h.d.Extend(h.ctx, tx, id, e); err != nil {
			return err
		}
		h.done("a", nil) // elsewhere; the DAG's row is locked, so that this is left to the chores
		return nil
	}))
	same(t, "the rest", h.run(), "[n]")
	h.is(id, pgq.Completed, "a completed", "n completed")
}
