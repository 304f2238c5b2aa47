package dagsql_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

func TestSubmitJSONTakesWhatJSONReturnsAndTellsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	builder := dagsql.New("etl", dagsql.Options{Key: "a < b & c"})
	builder.Add("load", act{}).After(builder.Add("extract", act{}))
	document, err := builder.JSON()
	if err != nil {
		t.Fatal(err)
	}
	first, err := b.d.SubmitJSON(b.ctx, b.pool, document)
	if err != nil || !first.Created {
		t.Fatalf("%+v, %v", first, err)
	}
	if again := b.submit(builder); again != first.ID {
		t.Errorf("DAG %d was submitted by the builder, want %d", again, first.ID)
	}
	if run, err := b.d.Find(b.ctx, b.pool, "etl", "a < b & c"); err != nil || run.ID != first.ID {
		t.Errorf("found %d, %v", run.ID, err)
	}

	_, err = b.d.SubmitJSON(b.ctx, b.pool, json.RawMessage(`{"name": "", "nodes": [{"name": "a", "kind": "k", "after": ["b"]}]}`))
	var bad *dagsql.InvalidError
	if !errors.As(err, &bad) || len(bad.Problems) != 2 {
		t.Errorf("error is %v, want both problems", err)
	}
	for _, text := range []string{`{`, ``, `{"name": "\u0000"}`} {
		_, err := b.d.SubmitJSON(b.ctx, b.pool, json.RawMessage(text))
		var argument *pgq.ArgumentError
		if !errors.As(err, &argument) || argument.Field != "dag" {
			t.Errorf("%s: error is %v", text, err)
		}
	}
}

func TestGraphAndFiltersOfNodes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	builder := dagsql.New("etl", dagsql.Options{})
	sub := builder.Sub("sub")
	sub.Add("x", act{})
	builder.Add("load", act{}).After(sub, builder.Add("side", act{}).Soft())
	id := b.submit(builder)

	g, err := b.d.Graph(b.ctx, b.pool, id, 100)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range g.Nodes {
		names = append(names, n.Name)
	}
	if !slices.Equal(names, []string{"sub", "sub/x", "load", "side"}) && !slices.Equal(names, []string{"sub", "sub/x", "side", "load"}) || g.More != 0 {
		t.Errorf("nodes are %v and %d more", names, g.More)
	}
	if len(g.Edges) != 2 || g.Edges[0].Soft == g.Edges[1].Soft {
		t.Errorf("edges are %+v", g.Edges)
	}
	if few, err := b.d.Graph(b.ctx, b.pool, id, 1); err != nil || few.More == 0 {
		t.Errorf("%+v, %v", few, err)
	}
	if _, err := b.d.Graph(b.ctx, b.pool, 4711, 1); !errors.Is(err, pgq.ErrNotFound) {
		t.Errorf("error is %v", err)
	}

	top, _, err := b.d.Nodes(b.ctx, b.pool, id, dagsql.Filter{Top: true})
	if err != nil || len(top) != 3 {
		t.Fatalf("%d nodes at the top, %v", len(top), err)
	}
	one, _, err := b.d.Nodes(b.ctx, b.pool, id, dagsql.Filter{IDs: []int64{top[1].ID, id}})
	if err != nil || len(one) != 1 || one[0].Name != top[1].Name {
		t.Errorf("%+v, %v", one, err)
	}
	runs, _, err := b.d.List(b.ctx, b.pool, dagsql.Filter{IDs: []int64{id, top[1].ID}})
	if err != nil || len(runs) != 1 || runs[0].ID != id {
		t.Errorf("%+v, %v", runs, err)
	}
}
