package dagsql

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pgq-go/queue/pgq"
)

// Parent is what a node can wait for: a *[Node], a *[Sub], or an [Edge] to one.
type Parent interface {
	edge() Edge
}

// Edge is a dependency of a node: on a node of the DAG, or on any job.
type Edge struct {
	parent     *Node
	job        int64
	soft       bool
	conditions []string // all must hold
}

func (e Edge) edge() Edge { return e }

// Job is the dependency on a job of any kind, which may be a DAG or a node of another DAG.
func Job(id int64) Edge { return Edge{job: id} }

// Soft returns the same edge, but for which it is as good as a success when the parent fails or is skipped.
func (e Edge) Soft() Edge {
	e.soft = true
	return e
}

// When returns the same edge with a condition on the parent's result: a predicate in SQL's jsonpath, such as
// `$.risk > 0.8`. If it does not hold, the parent counts as skipped for this child, over a soft edge too; several
// conditions must all hold. Only results in JSON can meet one.
func (e Edge) When(condition string) Edge {
	e.conditions = append(slices.Clip(e.conditions), condition)
	return e
}

// condition returns the conditions as one; empty for none.
func (e Edge) condition() string {
	if len(e.conditions) < 2 {
		return strings.Join(e.conditions, "")
	}
	return "(" + strings.Join(e.conditions, ") && (") + ")"
}

// Branch returns the same edge with the condition that the parent's handler has chosen the branch; see [Choose].
func (e Edge) Branch(name string) Edge { return e.When(isBranch(name)) }

// isBranch returns the condition that a branch was chosen. JSON's quoting is jsonpath's.
func isBranch(name string) string { return branchIs + quoted(name) }

const branchIs = "$.branch == "

// Choice is a result that says which branches of the DAG go on.
type Choice struct {
	Branch []string `json:"branch"`
}

// Codec has it stored as JSON, which SQL reads, whatever the codec of the client.
func (Choice) Codec() pgq.Codec { return pgq.JSON }

// Choose returns the result of a handler that decides which branches go on: the children over edges made by
// [Node.Branch] with one of these names run, the others are skipped. Without names, all are skipped. A result that
// says more embeds [Choice].
func Choose(branches ...string) Choice {
	if branches == nil {
		branches = []string{}
	}
	return Choice{Branch: branches}
}

// name returns the parent's name, or what stands for a job.
func (e Edge) name() string {
	if e.parent != nil {
		return e.parent.name
	}
	return jobName(e.job)
}

// jobName stands for a job outside the DAG where nodes are named; no node can have it.
func jobName(id int64) string { return "(job " + strconv.FormatInt(id, 10) + ")" }
