package dagsql_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/dagsql"
)

// landscape is a DAG with a bit of everything.
func landscape() *dagsql.Builder {
	b := dagsql.New("landscape", dagsql.Options{})
	site := b.Add("website", step{})
	etl := b.Sub("etl").After(site, dagsql.Job(42).Soft())
	extract := etl.Add("extract", step{})
	inner := etl.Sub("inner").After(extract)
	inner.Add(`l"oad <b>`, step{})
	b.Sub("empty").AfterDone(site)
	thumbs := b.Map("thumbs", site, step{}, dagsql.MapOptions{})
	approve := b.External("approve", dagsql.ExternalOptions{}).After(etl, site.When(`$.risk > 0.8`))
	b.Add("save", step{}).After(b.Sleep("cool & down", time.Hour).After(approve.Soft()), thumbs).AtLeast(2)
	return b
}

// draws fails the test unless the picture is this one.
func draws(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("the picture is\n%s\nwant\n%s", got, want)
	}
}

func TestABuilderDrawsItselfInMermaid(t *testing.T) {
	t.Parallel()
	draws(t, landscape().Mermaid(dagsql.Style{Theme: dagsql.Dark, Direction: "LR"}), `
flowchart LR
    j42["job 42"]:::waiting
    n0["website"]:::waiting
    subgraph n1["etl"]
        n2["extract"]:::waiting
        subgraph n3["inner"]
            n4["l#34;oad #60;b#62;"]:::waiting
        end
    end
    subgraph n5["empty<br/>done"]
        n5x["..."]
    end
    n6[["thumbs"]]:::waiting
    n7{{"approve"}}:::waiting
    n8["save<br/>at least 2"]:::waiting
    n9(["cool #38; down"]):::waiting
    j42 -.-> n1
    n0 --> n1
    n0 --> n5
    n0 --> n6
    n0 -->|"#36;#46;risk #62; 0.8"| n7
    n1 --> n7
    n2 --> n3
    n6 --> n8
    n7 -.-> n9
    n9 --> n8
    classDef waiting fill:#30363d,stroke:#6e7681,color:#f0f6fc
    style n1 fill:none,stroke:#6e7681,stroke-width:2px
    style n3 fill:none,stroke:#6e7681,stroke-width:2px
    style n5 fill:none,stroke:#6e7681,stroke-width:2px
`)
}

func TestABuilderDrawsItselfInDOT(t *testing.T) {
	t.Parallel()
	draws(t, landscape().DOT(dagsql.Style{Plain: true}), `
digraph dag {
    graph [compound=true, rankdir=TB, fontname="Helvetica"];
    node [shape=box, fontname="Helvetica"];
    edge [fontname="Helvetica", fontsize=10];
    j42 [label="job 42"];
    n0 [label="website"];
    subgraph cluster_n1 {
        label="etl";
        n2 [label="extract"];
        subgraph cluster_n3 {
            label="inner";
            n4 [label="l\"oad <b>"];
        }
    }
    subgraph cluster_n5 {
        label="empty\ndone";
        n5x [label="...", shape=plaintext];
    }
    n6 [label="thumbs", peripheries=2];
    n7 [label="approve", shape=hexagon];
    n8 [label="save\nat least 2"];
    n9 [label="cool &amp; down", style="rounded"];
    j42 -> n2 [lhead=cluster_n1, style=dashed];
    n0 -> n2 [lhead=cluster_n1];
    n0 -> n5x [lhead=cluster_n5];
    n0 -> n6;
    n0 -> n7 [label="$.risk > 0.8"];
    n4 -> n7 [ltail=cluster_n1];
    n2 -> n4 [lhead=cluster_n3];
    n6 -> n8;
    n7 -> n9 [style=dashed];
    n9 -> n8;
}
`)
}

func TestALargePictureShowsTheFirstNodes(t *testing.T) {
	t.Parallel()
	draws(t, landscape().Mermaid(dagsql.Style{MaxNodes: 3, Plain: true}), `
flowchart TD
    j42["job 42"]
    n0["website"]
    subgraph n1["etl"]
        n2["extract"]
    end
    more["... and 7 more"]
    j42 -.-> n1
    n0 --> n1
`)
}

func TestAnUnknownStyleIsTheDefault(t *testing.T) {
	t.Parallel()
	b := landscape()
	unknown := dagsql.Style{Theme: "x", Direction: "sideways"}
	if b.Mermaid(unknown) != b.Mermaid(dagsql.Style{}) || b.DOT(unknown) != b.DOT(dagsql.Style{}) {
		t.Error("an unknown style is not as good as none")
	}
}

func TestAnEmptyPictureIsOne(t *testing.T) {
	t.Parallel()
	b := dagsql.New("nothing", dagsql.Options{})
	draws(t, b.Mermaid(dagsql.Style{}), "flowchart TD\n")
}

// A DAG looks the same before and after it is submitted.
func TestTheDatabaseDrawsWhatTheBuilderDraws(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	seed := rand.Uint64()
	draw := func(builder *dagsql.Builder) {
		tx, err := b.pool.Begin(b.ctx)
		must(t, err)
		defer func() { must(t, tx.Rollback(b.ctx)) }()
		dag, err := b.d.Submit(b.ctx, tx, builder)
		var bad *dagsql.InvalidError
		if errors.As(err, &bad) {
			return // a cycle
		}
		must(t, err)
		for _, s := range []dagsql.Style{{Plain: true}, {Plain: true, Direction: "RL", MaxNodes: 4}} {
			mermaid, err := b.d.Mermaid(b.ctx, tx, dag.ID, s)
			must(t, err)
			draws(t, builder.Mermaid(s), mermaid)
			dot, err := b.d.DOT(b.ctx, tx, dag.ID, s)
			must(t, err)
			draws(t, builder.DOT(s), dot)
		}
	}
	for i := range 20 {
		g := generator{r: rand.New(rand.NewPCG(seed, uint64(i))), outcomes: outcomes{}, plain: true}
		if draw(g.dag()); t.Failed() {
			t.Fatal("seed ", seed)
		}
	}

	// With colors as well, when all nodes wait.
	builder := dagsql.New("all sorts", dagsql.Options{})
	start := builder.External("start #1", dagsql.ExternalOptions{})
	sub := builder.Sub(`s"u'b`).After(start)
	sub.Add("direction <TD>", step{})
	sub.Map("%%map", start, step{}, dagsql.MapOptions{})
	builder.Sleep("nap & more", time.Hour).After(sub.Soft(), start.When(`($."risk" > 0.8)`))
	draw(builder)
	id := b.submit(builder)
	for _, theme := range []dagsql.Theme{"", dagsql.DefaultTheme, dagsql.BlueProfessional, dagsql.Dark, dagsql.Pastel, dagsql.HighContrast, dagsql.Grayscale} {
		for _, style := range []dagsql.Style{{Theme: theme}, {Theme: theme, Direction: "LR"}} {
			mermaid, err := b.d.Mermaid(b.ctx, b.pool, id, style)
			must(t, err)
			draws(t, builder.Mermaid(style), mermaid)
			dot, err := b.d.DOT(b.ctx, b.pool, id, style)
			must(t, err)
			draws(t, builder.DOT(style), dot)
		}
	}
}
