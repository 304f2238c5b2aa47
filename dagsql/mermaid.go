package dagsql

import (
	"fmt"
	"strings"
)

// Mermaid returns a picture of the DAG as a Mermaid flowchart, as the database draws it when it is submitted. All its
// nodes have the color of those that wait; of an unknown theme or direction it is the default.
func (b *Builder) Mermaid(s Style) string {
	p := b.graph.plan(s)
	lines := outline{"flowchart " + p.style.Direction}
	lines.boxes(p, "end", func(o *outline, b box) {
		title := `["` + mermaidText(b.label) + prefixed("<br/>", b.rule) + `"]`
		o.add(b.depth+1, "subgraph "+b.id+title)
		if b.first == "" {
			o.add(b.depth+2, b.id+`x["..."]`)
		}
	}, func(o *outline, b box) {
		open, closing := "[", "]"
		switch b.role {
		case roleExternal:
			open, closing = "{{", "}}"
		case roleMap:
			open, closing = "[[", "]]"
		case roleSleep:
			open, closing = "([", "])"
		}
		line := b.id + open + `"` + mermaidText(b.label) + prefixed("<br/>", b.rule) + `"` + closing
		if !p.style.Plain {
			line += ":::waiting"
		}
		o.add(b.depth+1, line)
	})
	if p.more > 0 {
		lines.add(1, fmt.Sprintf(`more["... and %d more"]`, p.more))
	}
	for _, e := range p.edges {
		line := "-->"
		if e.soft {
			line = "-.->"
		}
		if e.condition != "" {
			line += `|"` + mermaidText(e.condition) + `"|`
		}
		lines.add(1, e.from.id+" "+line+" "+e.to.id)
	}
	if !p.style.Plain {
		lines.mermaidColors(p)
	}
	return strings.Join(lines, "\n") + "\n"
}

// mermaidColors adds the look of what there is.
func (o *outline) mermaidColors(p *picture) {
	c := p.colors()
	for _, b := range p.boxes {
		if b.role != roleDAG {
			o.add(1, "classDef waiting fill:"+c.fill+",stroke:"+c.stroke+",color:"+c.text)
			break
		}
	}
	for _, b := range p.boxes {
		if b.role == roleDAG {
			o.add(1, "style "+b.id+" fill:none,stroke:"+c.stroke+",stroke-width:2px")
		}
	}
}

// outline is lines of text with indents.
type outline []string

func (o *outline) add(depth int, line string) {
	*o = append(*o, strings.Repeat("    ", depth)+line)
}

// boxes adds boxes and closes sub-DAGs behind what is in them.
func (o *outline) boxes(p *picture, end string, sub, node func(*outline, box)) {
	depth := 0
	for _, b := range p.boxes {
		for ; depth > b.depth; depth-- {
			o.add(depth, end)
		}
		if b.role == roleDAG {
			sub(o, b)
			depth++
		} else {
			node(o, b)
		}
	}
	for ; depth > 0; depth-- {
		o.add(depth, end)
	}
}

// prefixed returns the prefix and the text; nothing without a text.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// mermaidText returns a text as it must stand between quotes in a Mermaid flowchart. What Mermaid might take for more than
// text becomes a character reference: quotes, HTML, Markdown, comments, and the word "direction", for which its lexer looks
// at whole lines. dag_graph_mermaid_text does the same.
func mermaidText(s string) string {
	var text strings.Builder
	before, runes := ' ', []rune(s)
	for i, r := range runes {
		joins := strings.ContainsRune("-_.", r) && isWord(before) && (i+1 == len(runes) || runes[i+1] != ' ')
		if isWord(r) || strings.ContainsRune(" /,", r) || joins || r > 160 && !strings.ContainsRune("ﬂ¶\u2028\u2029", r) {
			text.WriteRune(r)
		} else {
			fmt.Fprintf(&text, "#%d;", r)
		}
		before = r
	}
	return strings.ReplaceAll(text.String(), "direction", "d#105;rection")
}

// isWord reports whether r is a letter or digit of ASCII.
func isWord(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
