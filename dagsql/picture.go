package dagsql

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/pgq-go/queue/pgq"
)

// Theme is a set of colors for pictures of DAGs: one for each state of a node.
type Theme string

// The themes.
const (
	DefaultTheme     Theme = "default"
	BlueProfessional Theme = "blue_professional"
	Dark             Theme = "dark"
	Pastel           Theme = "pastel"
	HighContrast     Theme = "high_contrast"
	Grayscale        Theme = "grayscale"
)

// Style says how a picture of a DAG looks. The zero value is ready to use.
type Style struct {
	// Theme is DefaultTheme by default.
	Theme Theme
	// Direction is TD (top down, the default), TB, BT, LR or RL.
	Direction string
	// MaxNodes is how many nodes are shown, 1 to 10,000; 500 by default. A note tells how many others there are.
	MaxNodes int
	// Plain leaves states and colors out.
	Plain bool
}

// filled returns the style with the defaults in place of what is not given.
func (s Style) filled() Style {
	s.Theme, s.Direction = cmp.Or(s.Theme, DefaultTheme), cmp.Or(s.Direction, "TD")
	s.MaxNodes = cmp.Or(s.MaxNodes, 500)
	return s
}

// Mermaid returns a picture of a DAG and the states of its nodes as a Mermaid flowchart. The ids of nodes stay the same.
// Errors: pgq.ErrNotFound, *pgq.ArgumentError for a style that is none.
func (c *Client) Mermaid(ctx context.Context, db pgq.DB, id int64, s Style) (string, error) {
	return c.picture(ctx, db, "dag_mermaid", id, s)
}

// DOT returns a picture of a DAG and the states of its nodes in the language of Graphviz; as Mermaid does.
func (c *Client) DOT(ctx context.Context, db pgq.DB, id int64, s Style) (string, error) {
	return c.picture(ctx, db, "dag_dot", id, s)
}

func (c *Client) picture(ctx context.Context, db pgq.DB, function string, id int64, s Style) (string, error) {
	s = s.filled()
	var text string
	err := db.QueryRow(ctx, c.q.From("*", function+"($1, $2, $3, $4, $5)"), id, string(s.Theme), !s.Plain, s.Direction, s.MaxNodes).Scan(&text)
	return text, wrap("draw the DAG", err)
}

// picture is what Mermaid and DOT show of a DAG that is being built: what dag_graph_json says of one that was submitted.
type picture struct {
	style Style
	boxes []box
	edges []arrow
	more  int // nodes that are not shown
}

// box is a node, or a job outside of the DAG. Sub-DAGs are followed by what is in them.
type box struct {
	id, label, rule string
	role            role
	depth           int
	first, last     string // ids of nodes in a sub-DAG; empty if none is shown
}

// arrow is an edge between boxes.
type arrow struct {
	from, to  *box
	soft      bool
	condition string
}

// colors are those of a node that waits, as dag_theme has them.
type colors struct{ fill, stroke, text string }

var waitingColors = map[Theme]colors{
	DefaultTheme:     {"#f2f4f7", "#98a2b3", "#1d2939"},
	BlueProfessional: {"#eaf2fb", "#7a9cc6", "#0b2c57"},
	Dark:             {"#30363d", "#6e7681", "#f0f6fc"},
	Pastel:           {"#f7f5f0", "#cfc8bb", "#4a4a55"},
	HighContrast:     {"#ffffff", "#000000", "#000000"},
	Grayscale:        {"#ffffff", "#9a9a9a", "#000000"},
}

// colors returns the theme's; those of the default for one that is none.
func (p *picture) colors() colors {
	if c, ok := waitingColors[p.style.Theme]; ok {
		return c
	}
	return waitingColors[DefaultTheme]
}

// plan returns the picture of what is being built.
func (g *graph) plan(s Style) *picture {
	s = s.filled()
	if !slices.Contains([]string{"TD", "TB", "BT", "LR", "RL"}, s.Direction) {
		s.Direction = "TD"
	}
	l := layout{graph: g, picture: &picture{style: s}, subs: map[string]int{}, shown: map[int]int{}, members: map[int][]int{}}
	l.choose()
	l.jobs()
	l.place(-1, 0)
	l.arrows()
	l.picture.more = len(g.nodes) - len(l.shown)
	return l.picture
}

// layout places nodes, which go by their place among all nodes; -1 is the DAG itself, and -2 a job outside of it.
type layout struct {
	graph   *graph
	picture *picture
	subs    map[string]int // sub-DAGs by name
	shown   map[int]int    // nodes that are shown, and the sub-DAG they are in
	members map[int][]int  // of sub-DAGs, as far as shown
	boxOf   map[*Node]int  // where in picture.boxes nodes are
	outside map[int64]int  // and jobs
}

// choose chooses the first nodes, and the sub-DAGs in which they are.
func (l *layout) choose() {
	for i, n := range l.graph.nodes {
		if n.role == roleDAG {
			l.subs[n.name] = i
		}
	}
	for i := range l.graph.nodes {
		for at := i; at >= 0 && i < l.picture.style.MaxNodes; at = l.shown[at] {
			if _, ok := l.shown[at]; ok {
				break
			}
			scope := l.scope(at)
			l.shown[at] = scope
			l.members[scope] = append(l.members[scope], at)
		}
	}
}

// scope returns the innermost sub-DAG that a node is in.
func (l *layout) scope(at int) int {
	name := l.graph.nodes[at].name
	for slash := strings.LastIndexByte(name, '/'); slash >= 0; slash = strings.LastIndexByte(name[:slash], '/') {
		if sub, ok := l.subs[name[:slash]]; ok {
			return sub
		}
	}
	return -1
}

// jobs adds boxes for jobs outside of the DAG, in the order of their ids.
func (l *layout) jobs() {
	var ids []int64
	for at := range l.shown {
		for _, e := range l.graph.nodes[at].parents {
			if e.parent == nil {
				ids = append(ids, e.job)
			}
		}
	}
	slices.Sort(ids)
	l.outside, l.boxOf = map[int64]int{}, map[*Node]int{}
	for _, id := range slices.Compact(ids) {
		l.outside[id] = len(l.picture.boxes)
		l.picture.boxes = append(l.picture.boxes, box{id: "j" + strconv.FormatInt(id, 10), label: "job " + strconv.FormatInt(id, 10)})
	}
}

// place adds boxes for what is in a sub-DAG. It returns the first and last node in it that is no sub-DAG; -1 for none.
func (l *layout) place(sub, depth int) (first, last int) {
	first, last = -1, -1
	members := l.members[sub]
	slices.Sort(members)
	for _, at := range members {
		n := l.graph.nodes[at]
		index := len(l.picture.boxes)
		l.boxOf[n] = index
		l.picture.boxes = append(l.picture.boxes, box{
			id: boxID(at), label: n.name[strings.LastIndexByte(n.name, '/')+1:], rule: n.ruleText(), role: n.role, depth: depth})
		from, to := at, at
		if n.role == roleDAG {
			if from, to = l.place(at, depth+1); from < 0 {
				continue
			}
			b := &l.picture.boxes[index]
			b.first, b.last = boxID(from), boxID(to)
		}
		if first < 0 {
			first = from
		}
		first, last = min(first, from), max(last, to)
	}
	return first, last
}

func boxID(at int) string { return "n" + strconv.Itoa(at) }

// ruleText returns the rule in words; empty for all.
func (n *Node) ruleText() string {
	switch n.rule {
	case "", All:
		return ""
	case atLeast:
		return "at least " + strconv.Itoa(n.atLeast)
	}
	return strings.ReplaceAll(string(n.rule), "_", " ")
}

// arrows adds the edges between boxes, in the order of those.
func (l *layout) arrows() {
	type key struct {
		from, to  int
		condition string
	}
	soft := map[key]bool{}
	for at := range l.shown {
		n := l.graph.nodes[at]
		for _, e := range dependencies(n) {
			from, ok := l.boxOf[e.parent]
			if e.parent == nil {
				from, ok = l.outside[e.job]
			}
			if !ok {
				continue
			}
			k := key{from, l.boxOf[n], e.condition()}
			known, seen := soft[k]
			soft[k] = e.soft && (known || !seen)
		}
	}
	for k, s := range soft {
		l.picture.edges = append(l.picture.edges, arrow{&l.picture.boxes[k.from], &l.picture.boxes[k.to], s, k.condition})
	}
	slices.SortFunc(l.picture.edges, func(a, b arrow) int {
		return cmp.Or(compareIDs(a.from.id, b.from.id), compareIDs(a.to.id, b.to.id), cmp.Compare(a.condition, b.condition))
	})
}

// compareIDs orders ids of boxes: jobs, then nodes, each by number.
func compareIDs(a, b string) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}
