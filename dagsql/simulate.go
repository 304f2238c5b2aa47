package dagsql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgq-go/queue/pgq"
)

// Outcome says how a node ends in a simulation, should it run. The zero value is completed.
type Outcome struct {
	// State is pgq.Completed, Failed, Cancelled or Expired.
	State pgq.State
	// Branch is what the node chooses; see [Choose].
	Branch []string
	// When says which conditions on the node's result hold, by their text.
	When map[string]bool
}

// Simulation is how a DAG ends.
type Simulation struct {
	// State of the DAG.
	State pgq.State
	// Nodes is how the nodes end, by name.
	Nodes map[string]pgq.State
	// Caused says which nodes are skipped, and which sub-DAGs fail, because something before or in them failed. A node
	// that is skipped without that was skipped by a condition or rule.
	Caused map[string]bool
}

// Simulate says how a DAG ends if its nodes end as given; those that are not given are completed. It needs no database:
// it is for unit tests of a DAG's shape, and says of every rule, soft edge, condition, branch and sub-DAG what
// the database would do. A job outside of the DAG goes by the name "(job 42)". A map is as good as one job.
//
// Time plays no part: nothing times out, nothing is cut short by FailFast, and a node with an eager rule is judged when
// all its parents have ended. *InvalidError: there are mistakes, among them cycles and outcomes of nodes that are not there.
func Simulate(b *Builder, outcomes map[string]Outcome) (Simulation, error) {
	s := &simulator{graph: b.graph, outcomes: outcomes, ends: map[*Node]ending{}, gates: map[*Node]ending{}, open: map[*Node]bool{}}
	s.check()
	if s.problems != nil {
		return Simulation{}, invalid(s.problems, nil)
	}
	result := Simulation{Nodes: make(map[string]pgq.State, len(s.nodes)), Caused: map[string]bool{}}
	for _, n := range s.graph.nodes {
		end := s.end(n)
		result.Nodes[n.name] = end.state
		if end.caused {
			result.Caused[n.name] = true
		}
	}
	result.State = s.together(nil).state
	if s.problems != nil {
		return Simulation{}, invalid(s.problems, nil)
	}
	return result, nil
}

// ending is how a node ended.
type ending struct {
	state  pgq.State
	caused bool // by a failure of another one
}

type simulator struct {
	graph    *graph
	outcomes map[string]Outcome
	nodes    map[string]*Node
	members  map[*Node][]*Node // of sub-DAGs; nil is the DAG
	children map[*Node][]child
	ends     map[*Node]ending
	gates    map[*Node]ending // of sub-DAGs: how what they wait for ended
	path     []*Node          // what is being worked out, each for the one before it
	open     map[*Node]bool   // the same
	problems []Problem
}

// child is an edge seen from the parent.
type child struct {
	node *Node
	soft bool
}

// check looks up who is whose parent and member, and notes what is wrong.
func (s *simulator) check() {
	_, s.problems = s.graph.document(nil)
	if s.graph.extension {
		s.problem("", "name", "must be given: extensions cannot be simulated")
	}
	s.nodes = make(map[string]*Node, len(s.graph.nodes))
	times := make(map[string]int, len(s.graph.nodes))
	for _, n := range s.graph.nodes {
		s.nodes[n.name] = n
		times[n.name]++
	}
	for name, n := range times {
		if n > 1 {
			s.problem(name, "name", fmt.Sprintf("is given to %d nodes", n))
		}
	}
	s.members, s.children = map[*Node][]*Node{}, map[*Node][]child{}
	known := map[string]bool{}
	for _, n := range s.graph.nodes {
		s.members[s.scope(n)] = append(s.members[s.scope(n)], n)
		for _, e := range dependencies(n) {
			known[e.name()] = true
			if e.parent != nil {
				s.children[e.parent] = append(s.children[e.parent], child{n, e.soft})
			}
		}
	}
	for _, n := range s.graph.nodes {
		if n.role == roleDAG && s.members[n] == nil {
			s.problem(n.name, "type", "dag needs nodes inside")
		}
	}
	for name, o := range s.outcomes {
		n := s.nodes[name]
		switch {
		case n == nil && !known[name]:
			s.problem(name, "outcome", "must be that of a node")
		case n != nil && n.role == roleDAG:
			s.problem(name, "outcome", "must not be given: that of a sub-DAG is that of its nodes")
		case !slices.Contains([]pgq.State{"", pgq.Completed, pgq.Failed, pgq.Cancelled, pgq.Expired}, o.State):
			s.problem(name, "outcome", "must be completed, failed, cancelled or expired")
		}
	}
	slices.SortFunc(s.problems, func(a, b Problem) int { return strings.Compare(a.Node, b.Node) })
}

// dependencies returns the edges to a node's parents; a map waits for its source as well.
func dependencies(n *Node) []Edge {
	m, ok := n.special.(*mapping)
	if !ok || m.over == nil || slices.ContainsFunc(n.parents, func(e Edge) bool { return e.parent == m.over }) {
		return n.parents
	}
	return append(slices.Clip(n.parents), m.over.edge())
}

// scope returns the sub-DAG that a node is in, nil for the DAG itself.
func (s *simulator) scope(n *Node) *Node {
	slash := strings.LastIndexByte(n.name, '/')
	if slash < 0 {
		return nil
	}
	sub := s.nodes[n.name[:slash]]
	if sub == nil || sub.role != roleDAG {
		s.problem(n.name, "name", "must begin with the name of a sub-DAG")
		return nil
	}
	return sub
}

// end returns how a node ends.
func (s *simulator) end(n *Node) ending {
	if end, ok := s.ends[n]; ok {
		return end
	}
	if s.open[n] {
		s.cycle(s.path[slices.Index(s.path, n):])
		return ending{state: pgq.Skipped}
	}
	s.open[n] = true
	s.path = append(s.path, n)
	var end ending
	if n.role == roleDAG {
		end = s.together(n)
	} else if end = s.start(n); end.state == pgq.Completed {
		end = ending{state: s.outcomes[n.name].State}
		if end.state == "" {
			end.state = pgq.Completed
		}
	}
	s.path = s.path[:len(s.path)-1]
	delete(s.open, n)
	s.ends[n] = end
	return end
}

// start returns pgq.Completed if a node runs, or a sub-DAG starts, else how it ends for want of that.
func (s *simulator) start(n *Node) ending {
	edges := dependencies(n)
	var c counts
	inside := false
	for _, e := range edges {
		c.add(s.over(n, e))
		inside = inside || s.isInside(e.parent, s.scope(n))
	}
	rule := n.rule
	if sub := s.scope(n); s.isGated(sub) {
		gate := s.gate(sub) // also of nodes that do not wait for it: they must not come before it either
		if waitsForGate(n, len(edges), inside) {
			c.add(gate)
		}
		if len(edges) == 0 {
			rule = All // of the gate, that is
		}
	}
	if c.meet(rule, n.atLeast) {
		return ending{state: pgq.Completed}
	}
	return ending{state: pgq.Skipped, caused: c.failed > 0 && rule.absorbs()}
}

// waitsForGate reports whether a node waits itself for what the sub-DAG that it is in waits for, since no other node
// of the sub-DAG does so before it.
func waitsForGate(n *Node, parents int, inside bool) bool {
	return !inside && (parents == 0 || n.rule == "" || n.rule == All)
}

// isGated reports whether a sub-DAG, or one around it, waits for anything.
func (s *simulator) isGated(sub *Node) bool {
	return sub != nil && (len(sub.parents) > 0 || s.isGated(s.scope(sub)))
}

// isInside reports whether a node is in a sub-DAG, at any depth.
func (s *simulator) isInside(n, sub *Node) bool {
	return n != nil && sub != nil && strings.HasPrefix(n.name, sub.name+"/")
}

// gate returns how the wait of a sub-DAG ends.
func (s *simulator) gate(sub *Node) ending {
	end, ok := s.gates[sub]
	if !ok {
		s.path = append(s.path, sub)
		end = s.start(sub)
		s.path = s.path[:len(s.path)-1]
		s.gates[sub] = end
	}
	return end
}

// together returns how a sub-DAG ends, or the DAG: it is skipped if what it waits for says so, whatever nodes in it did that
// do not wait for that, and fails if a failure in it was neither shown nor made up for.
func (s *simulator) together(sub *Node) ending {
	var c counts
	for _, n := range s.members[sub] {
		end := s.end(n)
		if !s.isAbsorbed(n, sub) {
			c.add(end)
		}
	}
	state := pgq.Completed
	started := ending{state: pgq.Completed}
	if s.isGated(sub) {
		started = s.gate(sub)
		c.add(started)
	}
	switch {
	case started.state == pgq.Skipped:
		state = pgq.Skipped
	case c.failed > 0:
		state = pgq.Failed
	}
	return ending{state: state, caused: c.failed > 0}
}

// isAbsorbed reports whether a failure of a node is shown or made up for by a node that waits for it in the same scope.
func (s *simulator) isAbsorbed(n, scope *Node) bool {
	return slices.ContainsFunc(s.children[n], func(c child) bool {
		here := scope == nil || s.isInside(c.node, scope)
		return here && (c.soft || c.node.rule.absorbs())
	})
}

// over returns what the end of a parent means to a node that an edge leads to.
func (s *simulator) over(n *Node, e Edge) ending {
	var end ending
	if e.parent != nil {
		end = s.end(e.parent)
	} else if end.state = s.outcomes[e.name()].State; end.state == "" {
		end.state = pgq.Completed
	}
	switch {
	case end.state == pgq.Completed && !s.holds(n, e):
		return ending{state: pgq.Skipped}
	case e.soft:
		return ending{state: pgq.Completed}
	}
	return end
}

// holds reports whether the conditions of an edge hold.
func (s *simulator) holds(n *Node, e Edge) bool {
	all := true
	for _, condition := range e.conditions {
		o := s.outcomes[e.name()]
		holds, known := o.When[condition]
		if !known && strings.HasPrefix(condition, branchIs) {
			holds, known = slices.ContainsFunc(o.Branch, func(name string) bool { return isBranch(name) == condition }), true
		}
		if !known {
			s.problem(n.name, "when", fmt.Sprintf("must be decided: the outcome of %q does not say whether %s", e.name(), condition))
		}
		all = all && holds
	}
	return all
}

// counts is how many parents ended how.
type counts struct{ ok, failed, skipped int }

func (c *counts) add(end ending) {
	switch {
	case end.state == pgq.Completed:
		c.ok++
	case end.state == pgq.Skipped && !end.caused:
		c.skipped++
	default:
		c.failed++
	}
}

// meet reports whether a rule lets a node run.
func (c *counts) meet(rule Rule, least int) bool {
	switch rule {
	case Any:
		return c.ok > 0
	case atLeast:
		return c.ok >= least
	case NoneFailed:
		return c.failed == 0
	case Join:
		return c.failed == 0 && c.ok > 0
	case Done:
		return true
	case OneFailed:
		return c.failed > 0
	case AllFailed:
		return c.ok == 0 && c.skipped == 0
	case NoneSkipped:
		return c.skipped == 0
	}
	return c.failed == 0 && c.skipped == 0
}

func (s *simulator) cycle(nodes []*Node) {
	names := make([]string, 0, len(nodes)+1)
	for i := len(nodes) - 1; i >= 0; i-- {
		names = append(names, nodes[i].name)
	}
	names = slices.Compact(append(names, names[0]))
	s.problem(names[0], "after", "is in a cycle: "+strings.Join(names, " -> "))
}

func (s *simulator) problem(node, field, rule string) {
	p := Problem{Node: node, Field: field, Rule: rule}
	if !slices.Contains(s.problems, p) {
		s.problems = append(s.problems, p)
	}
}
