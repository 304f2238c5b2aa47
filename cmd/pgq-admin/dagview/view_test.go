package dagview

import (
	"slices"
	"testing"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

func TestNodesAreInTheOrderOfTheirLevelsWithWhatIsInThemBehind(t *testing.T) {
	t.Parallel()
	v := &View{}
	names := []string{"last", "etl", "etl/inner", "etl/inner/x", "etl/load", "first", "map", "map[0]", "map[1]", "map[10]"}
	for i, name := range names {
		v.Nodes = append(v.Nodes, Node{NodeInfo: dagsql.NodeInfo{ID: int64(i + 1), Name: name}})
	}
	v.order([]dagsql.Level{
		{Name: "first", Level: 0}, {Name: "map", Level: 1}, {Name: "etl/inner/x", Level: 1}, {Name: "etl/load", Level: 2},
		{Name: "etl/inner", Level: 2}, {Name: "etl", Level: 3}, {Name: "last", Level: 3},
	})
	var got []string
	for _, n := range v.Nodes {
		got = append(got, n.Name)
	}
	want := []string{"first", "etl", "etl/inner", "etl/inner/x", "etl/load", "map", "map[0]", "map[1]", "map[10]", "last"}
	if !slices.Equal(got, want) {
		t.Errorf("order is %v, want %v", got, want)
	}
	if v.Nodes[1].Level != 1 || v.Nodes[7].Level != 1 {
		t.Errorf("levels of %+v", v.Nodes)
	}
}

func TestEdgesAndCountsComeFromTheGraph(t *testing.T) {
	t.Parallel()
	one, three := 1, 3
	v := &View{Nodes: []Node{
		{NodeInfo: dagsql.NodeInfo{Name: "etl", Role: "dag"}},
		{NodeInfo: dagsql.NodeInfo{Name: "map", Role: "map"}},
	}}
	v.link(dagsql.Graph{
		Nodes: []dagsql.GraphNode{
			{ID: "j7", Label: "other 7"},
			{ID: "n0", Name: "etl", Role: "dag"},
			{ID: "n1", Name: "etl/inner", Role: "dag"},
			{ID: "n2", Name: "etl/inner/x", State: pgq.Completed},
			{ID: "n3", Name: "etl/y", State: pgq.Running},
			{ID: "n4", Name: "map", Role: "map", Done: &one, Total: &three},
		},
		Edges: []dagsql.GraphEdge{{From: "j7", To: "n0"}, {From: "n0", To: "n4"}, {From: "n9", To: "n4"}},
	})
	etl, m := v.Nodes[0], v.Nodes[1]
	if etl.items() != "1/2" || m.items() != "1/3" || !slices.Equal(etl.After, []string{"other 7"}) || !slices.Equal(m.After, []string{"etl"}) {
		t.Errorf("%v %v, %v %v", etl.items(), etl.After, m.items(), m.After)
	}
}

func TestATerminalThatIsTooSmallShowsWhatHasNotEnded(t *testing.T) {
	t.Parallel()
	var nodes []Node
	for i, state := range []pgq.State{pgq.Completed, pgq.Failed, pgq.Completed, pgq.Running, pgq.Waiting, pgq.Waiting} {
		nodes = append(nodes, Node{NodeInfo: dagsql.NodeInfo{ID: int64(i), State: state}})
	}
	for n, want := range map[int][]int64{5: {1, 2, 3, 4, 5}, 4: {1, 3, 4, 5}, 2: {1, 3}} {
		var got []int64
		for _, node := range liveliest(nodes, n) {
			got = append(got, node.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("of %d: %v, want %v", n, got, want)
		}
	}
}
