package pgq_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

const diamondAsMermaid = `flowchart TD
    n0["a"]:::completed
    n1["b"]:::running
    n2["c"]:::ready
    n3["d"]:::waiting
    n0 --> n1
    n0 --> n2
    n1 --> n3
    n2 -.-> n3
    classDef waiting fill:#f2f4f7,stroke:#98a2b3,color:#1d2939
    classDef ready fill:#fef0c7,stroke:#f79009,color:#1d2939
    classDef running fill:#b2ddff,stroke:#1570ef,color:#1d2939
    classDef completed fill:#a6f4c5,stroke:#039855,color:#1d2939
`

const etlAsMermaid = `flowchart LR
    n0["list"]
    n1[["thumbs"]]
    subgraph n2["sub"]
        n3["extract"]
        n4["load"]
    end
    n5{{"approve"}}
    n6(["nap<br/>at least 1"])
    n0 --> n1
    n0 --> n2
    n0 -->|"#40;#36;#91;0#93; #61;#61; 1#41;"| n5
    n1 --> n6
    n2 --> n5
    n3 --> n4
    n5 --> n6
`

const etlAsDot = `digraph dag {
    graph [compound=true, rankdir=LR, fontname="Helvetica"];
    node [shape=box, fontname="Helvetica"];
    edge [fontname="Helvetica", fontsize=10];
    n0 [label="list"];
    n1 [label="thumbs", peripheries=2];
    subgraph cluster_n2 {
        label="sub";
        n3 [label="extract"];
        n4 [label="load"];
    }
    n5 [label="approve", shape=hexagon];
    n6 [label="nap\nat least 1", style="rounded"];
    n0 -> n1;
    n0 -> n3 [lhead=cluster_n2];
    n0 -> n5 [label="($[0] == 1)"];
    n1 -> n6;
    n4 -> n5 [ltail=cluster_n2];
    n3 -> n4;
    n5 -> n6;
}
`

func TestDagPictures(t *testing.T) {
	t.Parallel()
	listed := etl + "select count(*) from claim(1, '{q}', '{1}'); select complete(1, '{2}', '{1}', '{\"[1, 2, 3]\"}'); " + ran("10")
	verbTest(t, []verbCase{
		{name: "items", given: listed, call: "select dag_mermaid(1)", want: `*n1[[""thumbs (1/3)""]]:::waiting*n2[""sub""]*style n2 fill:none,stroke:#98a2b3,stroke-width:2px*`},
		{name: "items when all are done", given: listed + ran("11,12"), call: "select dag_dot(1)", want: `*thumbs (3/3)*`},
		{name: "a node that is held", given: diamond + "select dag_hold(1)", call: "select dag_mermaid(1)", want: `*]:::held*classDef held *`},
		{name: "a job that is not of the DAG", given: `select enqueue('a'); select dag_submit('{"name": "z", "nodes": [{"name": "n", "kind": "x", "after": [{"job": 1}]}]}')`,
			call: "select dag_mermaid(2, colored => false)", want: `("flowchart TD*j1[""a 1""]*n0[""n""]*j1 --> n0*`},
		{name: "more nodes", given: diamond, call: "select dag_mermaid(1, colored => false, max_nodes => 2)",
			want: "(\"flowchart TD\n    n0[\"\"a\"\"]\n    n1[\"\"b\"\"]\n    more[\"\"... and 2 more\"\"]\n    n0 --> n1\n\")"},
		{name: "an unknown theme", given: diamond, call: "select dag_mermaid(1, 'pink')", want: "PQ001 theme must be default, blue_professional, *"},
		{name: "no theme", given: diamond, call: "select dag_dot(1, null)", want: "PQ001 theme must be default, blue_professional, *"},
		{name: "an unknown direction", given: diamond, call: "select dag_mermaid(1, direction => 'up')", want: "PQ001 direction must be TD, TB, BT, LR or RL"},
		{name: "too many nodes", given: diamond, call: "select dag_dot(1, max_nodes => 10001)", want: "PQ001 max_nodes must be 1 to 10000"},
		{name: "no DAG", call: "select dag_mermaid(1)", want: "PQ004 there is no DAG 1"},
		{name: "themes have all states", call: "select count(*), count(distinct state), bool_and(fill ~ '^#[0-9a-f]{6}$' and stroke ~ '^#[0-9a-f]{6}$' and color ~ '^#[0-9a-f]{6}$') " +
			"from unnest('{default,blue_professional,dark,pastel,high_contrast,grayscale}'::text[]) t, dag_theme(t)", want: "(66,11,t)"},
	})

	w := newWorld(t)
	conn := w.session()
	given(t, conn, "select register_worker('one', '{}', '{}'); "+diamond+ran("2")+"select count(*) from claim(1, '{default}', '{1}')")
	same(t, one[string](t, conn, "select dag_mermaid(1)"), diamondAsMermaid)
	given(t, conn, strings.ReplaceAll(etl, `"name": "etl"`, `"name": "other"`))
	id := one[int64](t, conn, "select max(id) from dags")
	same(t, one[string](t, conn, "select dag_mermaid($1, colored => false, direction => 'LR')", id), etlAsMermaid)
	same(t, one[string](t, conn, "select dag_dot($1, colored => false, direction => 'LR')", id), etlAsDot)
	given(t, conn, "select dag_cancel(id) from dags")
	given(t, conn, "select give_up(1, array_agg(job_id), array_agg(attempt)) from running")
}

// Names that mean something to Mermaid, to Graphviz or to HTML are just names in pictures.
func TestDagPicturesRenderAnyName(t *testing.T) {
	t.Parallel()
	names := []string{
		`"quoted" 'twice'`, "<b>bold</b> &amp; <br/>", "a # b ; c #35; #quot;", "%% no comment", "%%{init: {'theme': 'x'}}%%", "|pipe| {curly} <angle>", `back\slash \n \l \"`,
		"end", "graph", "subgraph x", "class a b", "style:a#b;", "classDef x fill:#f00;", "wind direction TB", "click n0 href", "`code`", "**bold** _under_ ~~x~~", "1. first", "- dash", "+ plus",
		"_under", "$$x^2$$", "@{ shape: cloud }", "n0@{x}", "漢字 ünïcødé 🚀 עברית", "ﬂ°°35¶ß", "line\u2028separator", "--> x", ":::failed", "]]", " leading", "v1.2-rc_3", "]:::x",
	}
	type object = map[string]any
	nodes := []object{{"name": "first", "kind": "k"}}
	for i, name := range names {
		if strings.ContainsAny(name, "[]()") {
			name = strings.NewReplacer("[", "{", "]", "}", "(", "{", ")", "}").Replace(name)
		}
		if strings.Contains(name, "/") {
			name = strings.ReplaceAll(name, "/", "|")
		}
		name = strings.TrimSpace(name)
		names[i] = name
		nodes = append(nodes,
			object{"name": name, "kind": "k", "after": []object{{"node": "first", "when": `$."a\"b" like_regex "^<x>#%%"`}}},
			object{"name": name + " sub", "type": "dag", "after": []string{name}},
			object{"name": name + " sub/" + name, "kind": "k"},
			object{"name": name + " sub/inner", "type": "dag", "after": []string{name + " sub/" + name}},
			object{"name": name + " sub/inner/" + name, "type": "external"})
	}
	spec, err := json.Marshal(object{"name": "names", "nodes": nodes})
	must(t, err)
	conn := newWorld(t).session()
	id := one[int64](t, conn, "select dag_id from dag_submit($1)", string(spec))
	for _, most := range []int{500, 3, 4, 9} {
		for _, theme := range []string{"default", "dark"} {
			mermaid := one[string](t, conn, "select dag_mermaid($1, $2, max_nodes => $3)", id, theme, most)
			labels := parseMermaid(t, mermaid)
			renderDot(t, one[string](t, conn, "select dag_dot($1, $2, max_nodes => $3)", id, theme, most), names[:min(len(names), most/5)])
			for _, name := range names {
				if most == 500 && !slices.Contains(labels, name) {
					t.Errorf("Mermaid lacks %q", name)
				}
			}
			if t.Failed() {
				t.Fatal(mermaid)
			}
		}
	}
}

func given(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

const (
	mermaidID    = `[nj]\d+x?|more`
	mermaidLabel = `"((?:[^"#<>&` + "`" + `\\%:;{}|]|#\d+;|<br/>)+)"`
)

var (
	mermaidNode     = regexp.MustCompile(`^ +(` + mermaidID + `)(?:\[` + mermaidLabel + `\]|\{\{` + mermaidLabel + `\}\}|\[\[` + mermaidLabel + `\]\]|\(\[` + mermaidLabel + `\]\))(?::::([a-z]+))?$`)
	mermaidSubgraph = regexp.MustCompile(`^ +subgraph (` + mermaidID + `)\[` + mermaidLabel + `\]$`)
	mermaidEdge     = regexp.MustCompile(`^    (` + mermaidID + `) (?:-->|-\.->)(?:\|` + mermaidLabel + `\|)? (` + mermaidID + `)$`)
	mermaidClass    = regexp.MustCompile(`^    classDef ([a-z]+) fill:#[0-9a-f]{6},stroke:#[0-9a-f]{6},color:#[0-9a-f]{6}$`)
	mermaidStyle    = regexp.MustCompile(`^    style (n\d+) fill:none,stroke:#[0-9a-f]{6},stroke-width:2px$`)
	mermaidTraps    = regexp.MustCompile(`direction\s+(TB|BT|RL|LR|TD)|"` + "`" + `|^\s*%%|%%\{|style.*:\S*#.*;`)
	mermaidCode     = regexp.MustCompile(`#(\d+);`)
)

// parseMermaid reads a flowchart as strictly as it is written and returns the labels of its nodes: every line must be
// understood, ids be unique, ends of edges and classes be declared, subgraphs be closed and not be empty, and no
// edge may lead from inside a subgraph to itself, which Mermaid refuses.
func parseMermaid(t *testing.T, text string) (labels []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if !regexp.MustCompile(`^flowchart (TD|TB|BT|LR|RL)$`).MatchString(lines[0]) {
		t.Errorf("begins with %s", lines[0])
	}
	inside := map[string][]string{} // the subgraphs that a node or subgraph is in
	filled, used, defined := map[string]bool{}, map[string]bool{}, map[string]bool{}
	var open []string
	declare := func(id string) {
		if _, twice := inside[id]; twice {
			t.Errorf("%s is declared twice", id)
		}
		inside[id] = slices.Clone(open)
		if len(open) > 0 {
			filled[open[len(open)-1]] = true
		}
	}
	for _, line := range lines[1:] {
		if mermaidTraps.MatchString(line) {
			t.Errorf("Mermaid would take this for something else: %s", line)
		}
		if m := mermaidNode.FindStringSubmatch(line); m != nil {
			declare(m[1])
			labels = append(labels, decodeMermaid(m[2]+m[3]+m[4]+m[5]))
			used[m[6]] = true
		} else if m := mermaidSubgraph.FindStringSubmatch(line); m != nil {
			declare(m[1])
			open = append(open, m[1])
		} else if strings.TrimSpace(line) == "end" && len(open) > 0 {
			if !filled[open[len(open)-1]] {
				t.Errorf("subgraph %s is empty", open[len(open)-1])
			}
			open = open[:len(open)-1]
		} else if m := mermaidEdge.FindStringSubmatch(line); m != nil {
			from, known := inside[m[1]]
			to, alsoKnown := inside[m[3]]
			if !known || !alsoKnown || slices.Contains(from, m[3]) || slices.Contains(to, m[1]) {
				t.Errorf("an edge that cannot be drawn: %s", line)
			}
		} else if m := mermaidClass.FindStringSubmatch(line); m != nil {
			defined[m[1]] = true
		} else if m := mermaidStyle.FindStringSubmatch(line); m == nil || inside[m[1]] == nil && !filled[m[1]] {
			t.Errorf("not understood: %s", line)
		}
	}
	delete(used, "")
	for class := range used {
		if !defined[class] {
			t.Errorf("class %s is not defined", class)
		}
	}
	if len(open) > 0 {
		t.Errorf("subgraphs %v are not closed", open)
	}
	return labels
}

// decodeMermaid resolves character references.
func decodeMermaid(label string) string {
	return mermaidCode.ReplaceAllStringFunc(label, func(code string) string {
		n, _ := strconv.Atoi(code[1 : len(code)-1])
		return string(rune(n))
	})
}

// renderDot draws a graph with Graphviz, which must not complain, and looks for the labels in the picture; without
// Graphviz it only looks at the structure.
func renderDot(t *testing.T, text string, labels []string) {
	t.Helper()
	statement := regexp.MustCompile(`^ *(?:digraph dag \{|\}|(?:graph|node|edge) \[.*\];|subgraph cluster_n\d+ \{|label="(?:[^"\\]|\\.)*";|color="#\w+"; penwidth=2;` +
		`|(?:n\d+x?|j\d+|more) \[.*\];|(?:n\d+x?|j\d+) -> (?:n\d+x?|j\d+)(?: \[.*\])?;)$`)
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if !statement.MatchString(line) {
			t.Errorf("not understood: %s", line)
		}
	}
	dot, err := exec.LookPath("dot")
	if err != nil {
		t.Log("dot of Graphviz is not there: only the structure was checked")
		return
	}
	command := exec.CommandContext(t.Context(), dot, "-Tsvg")
	command.Stdin = strings.NewReader(text)
	var svg, complaints bytes.Buffer
	command.Stdout, command.Stderr = &svg, &complaints
	if err := command.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("dot: %v %s\n%s", err, complaints.String(), text)
	}
	drawn := strings.ReplaceAll(html.UnescapeString(svg.String()), "\u00a0", " ")
	for _, label := range labels {
		if !strings.Contains(drawn, fmt.Sprintf(">%s</text>", label)) {
			t.Errorf("the picture lacks %q", label)
		}
	}
}
