package dagsql

import (
	"fmt"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// role is what a node is; the names are those of the JSON form.
type role string

const (
	roleJob      role = "job"
	roleDAG      role = "dag"
	roleExternal role = "external"
	roleSleep    role = "sleep"
	roleMap      role = "map"
	roleExisting role = "existing" // of the DAG that is extended; not in the JSON form
)

// Node is a node of a DAG that is being built. Its methods return it, so that calls can be chained:
//
//	b.Add("save", SaveArgs{}).After(sentiment, summary.Soft())
type Node struct {
	graph   *graph
	name    string
	role    role
	rule    Rule
	atLeast int
	delay   time.Duration
	args    pgq.Args      // of a job, and of the items of a map
	options []pgq.Options // of the same
	parents []Edge
	special any     // *mapping or *ExternalOptions, as the role says
	output  string  // of a sub-DAG: the node in it whose result is its own
	before  []*Node // existing nodes that wait for this one
}

// Name returns the node's full name, "etl/extract" for a node of a sub-DAG.
func (n *Node) Name() string { return n.name }

func (n *Node) edge() Edge { return Edge{parent: n} }

// Soft returns the dependency on this node that is as good as a success when the node fails or is skipped.
func (n *Node) Soft() Edge { return n.edge().Soft() }

// When returns the dependency on this node under a condition on its result; see [Edge.When].
func (n *Node) When(condition string) Edge { return n.edge().When(condition) }

// Branch returns the dependency on this node under the condition that it chooses the branch; see [Choose].
func (n *Node) Branch(name string) Edge { return n.edge().Branch(name) }

// After makes the node wait for others, by the rule All unless it is given another one. A node has one rule,
// which is for all its parents.
func (n *Node) After(parents ...Parent) *Node {
	for _, parent := range parents {
		if parent == nil {
			n.mistake("after", "must not be nil")
			continue
		}
		e := parent.edge()
		switch {
		case e.parent == nil && e.job == 0:
			n.mistake("after", "must not be nil")
		case e.parent != nil && e.parent.graph != n.graph:
			n.mistake("after", fmt.Sprintf("must be nodes of the same DAG; %q is not", e.parent.name))
		default:
			n.parents = append(n.parents, e)
		}
	}
	return n
}

// AfterAny is After with the rule Any: the first success starts the node.
func (n *Node) AfterAny(parents ...Parent) *Node { return n.After(parents...).Rule(Any) }

// AfterDone is After with the rule Done: the node runs whatever happened.
func (n *Node) AfterDone(parents ...Parent) *Node { return n.After(parents...).Rule(Done) }

// AfterFailure is After with the rule OneFailed: the first failure starts the node.
func (n *Node) AfterFailure(parents ...Parent) *Node { return n.After(parents...).Rule(OneFailed) }

// Rule says which outcomes of its parents let the node run.
func (n *Node) Rule(r Rule) *Node {
	if n.rule != "" && n.rule != r {
		n.mistake("rule", fmt.Sprintf("must be one; %s and %s were given", n.rule, r))
	}
	n.rule = r
	return n
}

// AtLeast makes the node run as soon as k of its parents have succeeded.
func (n *Node) AtLeast(k int) *Node {
	n.atLeast = k
	return n.Rule(atLeast)
}

// Delay starts a job this long after its parents are done, as Delay of its options does, or the items of a map.
func (n *Node) Delay(d time.Duration) *Node {
	if n.role != roleJob && n.role != roleMap {
		n.mistake("delay", "must not be given: the node is no job; put a Sleep before it")
	}
	n.delay = d
	return n
}

// Before makes others wait for this node: nodes of the DAG that is being built or, in an extension, existing ones
// that are still waiting.
func (n *Node) Before(children ...*Node) *Node {
	for _, child := range children {
		switch {
		case child == nil:
			n.mistake("before", "must not be nil")
		case child.graph != n.graph:
			n.mistake("before", fmt.Sprintf("must be nodes of the same DAG; %q is not", child.name))
		case child.role == roleExisting:
			n.before = append(n.before, child)
		default:
			child.After(n)
		}
	}
	return n
}

func (n *Node) mistake(field, rule string) {
	n.graph.mistakes = append(n.graph.mistakes, Problem{Node: n.name, Field: field, Rule: rule})
}
