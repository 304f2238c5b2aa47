package dagsql

import (
	"fmt"
	"strings"
)

// DOT returns a picture of the DAG in the language of Graphviz; as Mermaid does. Sub-DAGs are clusters. The theme Dark comes
// with a dark page.
func (b *Builder) DOT(s Style) string {
	p := b.graph.plan(s)
	rank, page, ink := p.style.Direction, "", ""
	if rank == "TD" {
		rank = "TB"
	}
	if p.style.Theme == Dark && !p.style.Plain {
		page, ink = `, bgcolor="#0d1117", fontcolor="#f0f6fc"`, `, color="#8b949e", fontcolor="#8b949e"`
	}
	lines := outline{
		"digraph dag {",
		"    graph [compound=true, rankdir=" + rank + `, fontname="Helvetica"` + page + "];",
		`    node [shape=box, fontname="Helvetica"];`,
		`    edge [fontname="Helvetica", fontsize=10` + ink + "];",
	}
	lines.boxes(p, "}", func(o *outline, b box) {
		o.add(b.depth+1, "subgraph cluster_"+b.id+" {")
		o.add(b.depth+2, dotLabel(b)+";")
		if !p.style.Plain {
			o.add(b.depth+2, `color="`+p.colors().stroke+`"; penwidth=2;`)
		}
		if b.first == "" {
			o.add(b.depth+2, b.id+`x [label="...", shape=plaintext];`)
		}
	}, func(o *outline, b box) {
		o.add(b.depth+1, b.id+" ["+dotLabel(b)+p.dotLook(b.role)+"];")
	})
	if p.more > 0 {
		lines.add(1, fmt.Sprintf(`more [label="... and %d more", style=dashed];`, p.more))
	}
	for _, e := range p.edges {
		lines.add(1, dotEdge(e)+";")
	}
	return strings.Join(append(lines, "}"), "\n") + "\n"
}

func dotLabel(b box) string {
	return `label="` + dotText(b.label) + prefixed(`\n`, b.rule) + `"`
}

// dotLook returns the shape and colors of a node.
func (p *picture) dotLook(r role) string {
	var look strings.Builder
	switch r {
	case roleExternal:
		look.WriteString(", shape=hexagon")
	case roleMap:
		look.WriteString(", peripheries=2")
	}
	var styles []string
	if r == roleSleep {
		styles = append(styles, "rounded")
	}
	if !p.style.Plain {
		styles = append(styles, "filled")
	}
	if styles != nil {
		look.WriteString(`, style="` + strings.Join(styles, ",") + `"`)
	}
	if !p.style.Plain {
		c := p.colors()
		fmt.Fprintf(&look, `, fillcolor="%s", color="%s", fontcolor="%s"`, c.fill, c.stroke, c.text)
	}
	return look.String()
}

// dotEdge returns an edge. From or to a cluster it goes from or to a node in it and is clipped at its border.
func dotEdge(e arrow) string {
	from, to := e.from.id, e.to.id
	var attributes []string
	if e.from.role == roleDAG {
		from = e.from.inside(e.from.last)
		attributes = append(attributes, "ltail=cluster_"+e.from.id)
	}
	if e.to.role == roleDAG {
		to = e.to.inside(e.to.first)
		attributes = append(attributes, "lhead=cluster_"+e.to.id)
	}
	if e.soft {
		attributes = append(attributes, "style=dashed")
	}
	if e.condition != "" {
		attributes = append(attributes, `label="`+dotText(e.condition)+`"`)
	}
	if attributes == nil {
		return from + " -> " + to
	}
	return from + " -> " + to + " [" + strings.Join(attributes, ", ") + "]"
}

// inside returns the node, or what stands in a sub-DAG of which none is shown.
func (b *box) inside(node string) string {
	if node == "" {
		return b.id + "x"
	}
	return node
}

// dotText returns a text as it must stand between quotes in DOT; as dag_graph_dot_text does.
func dotText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `&`, `&amp;`).Replace(s)
}
