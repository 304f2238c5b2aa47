// Package dagview shows DAGs: as they are at one instant, and as they change.
package dagview

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// DB is what views are read from: a pool or a connection.
type DB interface {
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

// Options say what of a DAG is shown.
type Options struct {
	// Items shows nodes of sub-DAGs and items of maps, too.
	Items bool
	// States and Nodes choose nodes by state and name; all by default.
	States []pgq.State
	Nodes  []string
}

// View is a DAG at one instant.
type View struct {
	Run      dagsql.Run
	Progress dagsql.Progress
	// Nodes by level, those of sub-DAGs and items of maps behind these.
	Nodes []Node
	// Slowest and Path are the slowest nodes and the critical path of a DAG that has ended.
	Slowest []dagsql.SlowNode
	Path    []dagsql.PathNode
}

// Node is a node of a view.
type Node struct {
	dagsql.NodeInfo
	Level int
	// After are the nodes that it waits for, as far as the picture of the DAG has them.
	After []string
	// Done and Total count the items of a map or the nodes of a sub-DAG; nil as long as nobody knows.
	Done, Total *int
}

const (
	pageSize    = 10_000 // of nodes
	graphNodes  = 1_000  // for which edges and counts are shown: it costs more than they are worth beyond
	slowestSize = 5
)

// Load reads a DAG, all of it in one snapshot. pgq.ErrNotFound: there is no such DAG.
func Load(ctx context.Context, d *dagsql.Client, db DB, id int64, o Options) (*View, error) {
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it has changed nothing
	v := &View{}
	if v.Run, err = d.Get(ctx, tx, id); err != nil {
		return nil, err
	}
	if v.Progress, err = d.Progress(ctx, tx, id); err != nil {
		return nil, err
	}
	if err := v.readNodes(ctx, d, tx, o); err != nil {
		return nil, err
	}
	if v.Run.State.Finished() {
		if v.Slowest, err = d.Slowest(ctx, tx, id, slowestSize); err != nil {
			return nil, err
		}
		v.Path, err = d.CriticalPath(ctx, tx, id)
	}
	return v, err
}

func (v *View) readNodes(ctx context.Context, d *dagsql.Client, tx pgx.Tx, o Options) error {
	f := dagsql.Filter{States: o.States, Names: o.Nodes, Top: !o.Items && o.Nodes == nil, Limit: pageSize}
	for next := int64(-1); next != 0; f.From = next {
		var page []dagsql.NodeInfo
		var err error
		if page, next, err = d.Nodes(ctx, tx, v.Run.ID, f); err != nil {
			return err
		}
		for _, n := range page {
			if n.Held && n.State == pgq.Waiting {
				n.State = dagsql.Held
			}
			v.Nodes = append(v.Nodes, Node{NodeInfo: n})
		}
	}
	levels, err := d.Levels(ctx, tx, v.Run.ID)
	if err != nil {
		return err
	}
	graph, err := d.Graph(ctx, tx, v.Run.ID, graphNodes)
	if err != nil {
		return err
	}
	v.order(levels)
	v.link(graph)
	return nil
}

// order sets levels and sorts the nodes by them. A sub-DAG begins where its first node does.
func (v *View) order(levels []dagsql.Level) {
	level := make(map[string]int, len(levels))
	for _, l := range levels {
		level[l.Name] = l.Level
	}
	for _, l := range levels {
		for scope := parent(l.Name); scope != ""; scope = parent(scope) {
			level[scope] = min(level[scope], l.Level)
		}
	}
	place := make(map[string][]int64, len(v.Nodes))
	var placeOf func(name string, id int64) []int64
	ids := make(map[string]int64, len(v.Nodes))
	for _, n := range v.Nodes {
		ids[n.Name] = n.ID
	}
	// The place of a node is that of what it is in, and then its own: level and id.
	placeOf = func(name string, id int64) []int64 {
		if p, ok := place[name]; ok {
			return p
		}
		var p []int64
		if in := parent(name); in != "" {
			p = slices.Clone(placeOf(in, ids[in]))
		}
		p = append(p, int64(level[name]), id)
		place[name] = p
		return p
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		in := n.Name
		if isItem(in) {
			in = parent(in)
		}
		n.Level = level[in]
		placeOf(n.Name, n.ID)
	}
	slices.SortStableFunc(v.Nodes, func(a, b Node) int {
		return cmp.Or(slices.Compare(place[a.Name], place[b.Name]), cmp.Compare(a.ID, b.ID))
	})
}

// parent returns the map that an item is of, or the sub-DAG that a node is in; "" for none.
func parent(name string) string {
	if isItem(name) {
		return name[:strings.LastIndexByte(name, '[')]
	}
	return name[:max(0, strings.LastIndexByte(name, '/'))]
}

// isItem reports whether a name is that of an item of a map: no other name has brackets.
func isItem(name string) bool { return strings.HasSuffix(name, "]") }

// link tells nodes what they wait for, and counts what is in maps and sub-DAGs.
func (v *View) link(g dagsql.Graph) {
	byID := make(map[string]*dagsql.GraphNode, len(g.Nodes))
	done, total := map[string]int{}, map[string]int{}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		byID[n.ID] = n
		if n.Role == "dag" {
			continue
		}
		for scope := parent(n.Name); scope != ""; scope = parent(scope) {
			total[scope]++
			if n.State.Finished() {
				done[scope]++
			}
		}
	}
	after := map[string][]string{}
	for _, e := range g.Edges {
		from, to := byID[e.From], byID[e.To]
		if from != nil && to != nil {
			after[to.Name] = append(after[to.Name], cmp.Or(from.Name, from.Label))
		}
	}
	maps := map[string]*dagsql.GraphNode{}
	for i := range g.Nodes {
		maps[g.Nodes[i].Name] = &g.Nodes[i]
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		n.After = after[n.Name]
		switch {
		case n.Role == "map" && maps[n.Name] != nil:
			n.Done, n.Total = maps[n.Name].Done, maps[n.Name].Total
		case n.Role == "dag" && g.More == 0:
			d, t := done[n.Name], total[n.Name]
			n.Done, n.Total = &d, &t
		}
	}
}
