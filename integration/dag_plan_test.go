package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// plan is a DAG drawn at random, and how each of its nodes ends should it run.
type plan struct {
	random   *rand.Rand
	vertices []*vertex          // as the document has them
	outside  []*vertex          // jobs that stand alone
	earlier  []*vertex          // nodes of DAGs that were submitted before
	named    map[string]*vertex // all but those of other DAGs
	id       int64              // of the DAG, once it is submitted
	extends  bool               // nodes may add nodes
	says     *oracle
}

// vertex is a node, or a job outside.
type vertex struct {
	name      string
	kind      string // job, dag, map, external, sleep
	scope     *vertex
	members   []*vertex
	after     []dependency
	rule      string
	atLeast   int
	deed      deed    // what a job does, an external node is answered, an item of a map does if its source does not say
	over      *vertex // of a map
	as        bool
	window    int
	tolerate  int
	delayed   bool
	output    *vertex // of a sub-DAG: whose output is its own
	answer    string  // of an external node: early, late, never; "never" with a default if its deed does not fail
	adds      []*vertex
	addedBy   *vertex
	home      *plan
	isOutside bool
	id        int64 // once it is there
}

// dependency is an edge from a parent.
type dependency struct {
	parent *vertex
	soft   bool
	above  int // the condition "$.risk > above"; 0 for none
}

// deed is the job of these tests: what its handler does.
type deed struct {
	Fail   bool            `json:"fail,omitempty"`   // for good
	Cancel bool            `json:"cancel,omitempty"` // by itself
	Flaky  bool            `json:"flaky,omitempty"`  // fails its first attempt
	Output *output         `json:"output,omitempty"`
	Extend json.RawMessage `json:"extend,omitempty"` // the nodes it adds to its DAG as it completes
	Item   *deed           `json:"item,omitempty"`
}

func (deed) Kind() string { return "deed" }

// output is the result of a deed. Maps are over List.
type output struct {
	Risk int    `json:"risk,omitempty"`
	List []deed `json:"list,omitempty"`
}

func (p *plan) draw(n int) int { return p.random.IntN(n) }

// oneIn is true once in n times.
func (p *plan) oneIn(n int) bool { return p.random.IntN(n) == 0 }

// newPlan draws a DAG of 2 to 60 nodes. Nodes of earlier ones may be parents of its own.
func newPlan(random *rand.Rand, earlier []*plan, extends bool) *plan {
	p := &plan{random: random, named: map[string]*vertex{}, extends: extends}
	p.says = newOracle(p, nil)
	for _, other := range earlier {
		for _, v := range other.vertices {
			if v.addedBy == nil {
				p.earlier = append(p.earlier, v)
			}
		}
	}
	for i := range p.draw(3) {
		p.outside = append(p.outside, &vertex{name: fmt.Sprintf("outside %d", i), kind: "job", deed: p.deed(), home: p, isOutside: true})
	}
	n := 2 + p.draw(18)
	if p.oneIn(4) {
		n = 2 + p.draw(59)
	}
	scopes := []*vertex{nil}
	for i := range n {
		if v := p.vertex(scopes[p.draw(len(scopes))], i, i < n-1); v.kind == "dag" {
			scopes = append(scopes, v)
		}
	}
	for i, scope := range scopes[1:] {
		if len(scope.members) == 0 {
			p.vertex(scope, n+i, false)
		}
		if of := scope.members[p.draw(len(scope.members))]; of.addedBy == nil && p.oneIn(2) {
			scope.output = of
		}
	}
	return p
}

// vertex draws a node.
func (p *plan) vertex(scope *vertex, i int, maySub bool) *vertex {
	v := &vertex{name: fmt.Sprintf("n%d", i), kind: "job", scope: scope, deed: p.deed(), home: p}
	if scope != nil {
		v.name = scope.name + "/" + v.name
		scope.members = append(scope.members, v)
	}
	switch kind := p.draw(20); {
	case kind < 3 && maySub:
		v.kind = "dag"
	case kind < 6 && len(p.vertices) > 0:
		over := p.vertices[p.draw(len(p.vertices))]
		if over.addedBy == nil && over.allowed(v) {
			v.kind, v.over, v.window, v.tolerate, v.as = "map", over, p.draw(4), p.draw(3)*30, p.oneIn(2)
		}
	case kind == 6:
		v.kind, v.answer = "external", []string{"early", "late", "never"}[p.draw(3)]
		v.deed.Cancel = false
		if v.deed.Output == nil && v.answer == "never" {
			v.deed.Output = &output{Risk: 2}
		}
	case kind == 7:
		v.kind = "sleep"
	case kind == 8:
		v.delayed = true
	case kind == 9 && p.extends:
		p.adds(v)
	}
	p.parents(v)
	p.vertices = append(p.vertices, v)
	p.named[v.name] = v
	for _, added := range v.adds {
		p.vertices = append(p.vertices, added)
		p.named[added.name] = added
	}
	return v
}

// adds lets a node add some that come after it.
func (p *plan) adds(v *vertex) {
	for i := range 1 + p.draw(3) {
		added := &vertex{name: fmt.Sprintf("%s+%d", v.name, i), kind: "job", scope: v.scope, deed: p.deed(), home: p, addedBy: v}
		if v.scope != nil {
			v.scope.members = append(v.scope.members, added)
		}
		added.after = []dependency{{parent: v}}
		if i > 0 && p.oneIn(2) {
			added.after = append(added.after, dependency{parent: v.adds[i-1], soft: p.oneIn(3)})
		}
		v.adds = append(v.adds, added)
	}
}

// deed draws what a job does.
func (p *plan) deed() deed {
	d := deed{Fail: p.oneIn(5), Cancel: p.oneIn(25), Flaky: p.oneIn(10)}
	if !p.oneIn(8) {
		d.Output = &output{Risk: 1 + p.draw(5)}
		for range p.draw(4) * p.draw(4) {
			d.Output.List = append(d.Output.List, deed{Fail: p.oneIn(6), Flaky: p.oneIn(10)})
		}
	}
	return d
}

// parents draws what a node comes after, and its rule.
func (p *plan) parents(v *vertex) {
	given := map[*vertex]bool{}
	add := func(parent *vertex) {
		if given[parent] || parent.addedBy != nil || parent.home == p && !parent.allowed(v) {
			return
		}
		given[parent] = true
		l := dependency{parent: parent, soft: p.oneIn(6)}
		if p.oneIn(5) {
			l.above = 1 + p.draw(4)
		}
		v.after = append(v.after, l)
	}
	for range min(len(p.vertices), p.draw(5)) {
		add(p.vertices[p.draw(len(p.vertices))])
	}
	if len(p.outside) > 0 && p.oneIn(6) {
		add(p.outside[p.draw(len(p.outside))])
	}
	if len(p.earlier) > 0 && p.oneIn(10) {
		add(p.earlier[p.draw(len(p.earlier))])
	}
	n := len(v.after)
	if v.over != nil && !given[v.over] {
		n++
	}
	switch {
	case n == 0 && p.oneIn(4):
		v.rule = []string{"none_failed", "done", "none_skipped"}[p.draw(3)]
	case n > 0 && p.oneIn(2):
		v.rule = []string{"any", "none_failed", "join", "done", "one_failed", "all_failed", "none_skipped", "at_least"}[p.draw(8)]
		if v.rule == "at_least" {
			v.atLeast = 1 + p.draw(n)
		}
	}
}

// allowed reports whether a node may come after this one: not if it is inside, or around it, or before it.
func (v *vertex) allowed(child *vertex) bool {
	return v != child && !strings.HasPrefix(child.name, v.name+"/") && !strings.HasPrefix(v.name, child.name+"/") && !v.waitsFor(child, map[*vertex]bool{})
}

// waitsFor reports whether a node waits for another one, directly or not. What a sub-DAG waits for, all in it does.
func (v *vertex) waitsFor(other *vertex, seen map[*vertex]bool) bool {
	if v == other {
		return true
	}
	if seen[v] || v.home != other.home {
		return false
	}
	seen[v] = true
	for _, m := range v.members {
		if m.waitsFor(other, seen) {
			return true
		}
	}
	for at := v; at != nil; at = at.scope {
		for _, parent := range at.parents() {
			if parent.parent.waitsFor(other, seen) {
				return true
			}
		}
	}
	return false
}

// parents are the edges to a node; a map comes after what it is over.
func (v *vertex) parents() []dependency {
	if v.over == nil {
		return v.after
	}
	for _, l := range v.after {
		if l.parent == v.over {
			return v.after
		}
	}
	return append(v.after[:len(v.after):len(v.after)], dependency{parent: v.over})
}
