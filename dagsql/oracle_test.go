package dagsql_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// What the database decides of DAGs with all rules, edges and nested sub-DAGs is what Simulate says.
func TestTheDatabaseDecidesAsTheSimulationDoes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.work(nil)
	seed := rand.Uint64()
	type submitted struct {
		id      int64
		builder *dagsql.Builder
		want    dagsql.Simulation
	}
	var all []submitted
	for i := range 100 {
		g := generator{r: rand.New(rand.NewPCG(seed, uint64(i))), outcomes: outcomes{}}
		builder := g.dag()
		want, err := dagsql.Simulate(builder, g.outcomes)
		if err != nil { // cycles through sub-DAGs
			var bad *dagsql.InvalidError
			if _, refused := b.d.Submit(b.ctx, b.pool, builder); !errors.As(refused, &bad) || !strings.Contains(refused.Error(), "cycle") {
				t.Fatalf("seed %d, DAG %d: the database says %v, the simulation %v", seed, i, refused, err)
			}
			continue
		}
		all = append(all, submitted{b.submit(builder), builder, want})
	}
	nodes := 0
	for i, dag := range all {
		run := b.ended(dag.id)
		wrong := run.State != dag.want.State
		got := b.states(dag.id)
		text := ""
		for name, state := range dag.want.Nodes {
			want := string(state)
			if dag.want.Caused[name] {
				want += "!"
			}
			if got[name] != want {
				wrong = true
				text += fmt.Sprintf("node %q is %s, simulated %s\n", name, got[name], want)
			}
			nodes++
		}
		if wrong {
			document, _ := dag.builder.JSON()
			t.Fatalf("seed %d, DAG %d is %s, simulated %s\n%s%s", seed, i, run.State, dag.want.State, text, document)
		}
	}
	t.Logf("seed %d: %d nodes of %d DAGs", seed, nodes, len(all))
}

// generator makes DAGs at random.
type generator struct {
	r        *rand.Rand
	names    []*dagsql.Node
	scopes   []dagsql.Scope
	outcomes outcomes
	plain    bool // without conditions, which the database writes in another way
}

func (g *generator) dag() *dagsql.Builder {
	b := dagsql.New("random", dagsql.Options{})
	g.scopes = []dagsql.Scope{b.Scope}
	for i := range 2 + g.r.IntN(14) {
		g.node(g.scopes[g.r.IntN(len(g.scopes))], i)
	}
	for i, scope := range g.scopes[1:] { // none may be empty
		g.node(scope, 100+i)
	}
	return b
}

// rules are those of a node that has parents.
var rules = []dagsql.Rule{dagsql.All, dagsql.Any, dagsql.NoneFailed, dagsql.Join, dagsql.Done, dagsql.OneFailed,
	dagsql.AllFailed, dagsql.NoneSkipped}

func (g *generator) node(scope dagsql.Scope, i int) {
	name := fmt.Sprintf("n%d", i)
	var n *dagsql.Node
	switch kind := g.r.IntN(10); {
	case kind < 2 && i < 100:
		sub := scope.Sub(name)
		g.scopes = append(g.scopes, sub.Scope)
		n = sub.Node
	default:
		a := act{Fail: g.r.IntN(4) == 0}
		for _, branch := range []string{"a", "b"} {
			if g.r.IntN(2) == 0 {
				a.Branch = append(a.Branch, branch)
			}
		}
		n = scope.Add(name, a)
		outcome := dagsql.Outcome{Branch: a.Branch}
		if a.Fail {
			outcome.State = pgq.Failed
		}
		g.outcomes[n.Name()] = outcome
	}
	g.parents(n)
	g.names = append(g.names, n)
}

// parents makes a node wait for some of those before it, unless that is a cycle.
func (g *generator) parents(n *dagsql.Node) {
	given := 0
	for _, at := range g.r.Perm(len(g.names))[:g.r.IntN(min(len(g.names), 4)+1)] {
		parent := g.names[at]
		if isWithin(n.Name(), parent.Name()) {
			continue
		}
		_, isJob := g.outcomes[parent.Name()]
		switch how := g.r.IntN(6); {
		case how == 0:
			n.After(parent.Soft())
		case how == 1 && isJob && !g.plain:
			n.After(parent.Branch("a"))
		case how == 2 && isJob && !g.plain:
			n.After(parent.Branch("b").Soft())
		default:
			n.After(parent)
		}
		given++
	}
	if given == 0 && g.r.IntN(4) == 0 { // of those that need no parents
		n.Rule([]dagsql.Rule{dagsql.NoneFailed, dagsql.Done, dagsql.NoneSkipped}[g.r.IntN(3)])
	} else if given > 0 && g.r.IntN(2) == 0 {
		n.Rule(rules[g.r.IntN(len(rules))])
	} else if given > 1 && g.r.IntN(3) == 0 {
		n.AtLeast(1 + g.r.IntN(given))
	}
}

// isWithin reports whether a node is in a sub-DAG.
func isWithin(name, sub string) bool {
	return len(name) > len(sub) && name[:len(sub)+1] == sub+"/"
}
