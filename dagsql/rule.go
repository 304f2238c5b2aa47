package dagsql

// Rule says which outcomes of its parents let a node run. A parent that failed, was cancelled, expired, or was
// skipped because of such a failure counts as failed; one that was skipped by a condition or rule as skipped.
type Rule string

// The rules. A node is decided when all its parents are finished; the eager ones start it as soon as they may, and
// skip it when all are finished and they could not.
//
// A failure of the parents of an All, NoneFailed or Join node shows in the node, which is skipped then; that of
// the parents of an Any or AtLeast node is made up for. A failure that is neither shown nor made up for by any node
// fails the DAG: Done, OneFailed, AllFailed and NoneSkipped nodes tidy up after it and change nothing about it.
const (
	All         Rule = "all"          // all succeeded; the rule of nodes that are given none
	Any         Rule = "any"          // one succeeded; eager
	NoneFailed  Rule = "none_failed"  // all succeeded or were skipped
	Join        Rule = "join"         // none failed and at least one succeeded: the end of branches
	Done        Rule = "done"         // whatever happened
	OneFailed   Rule = "one_failed"   // one failed; eager
	AllFailed   Rule = "all_failed"   // all failed
	NoneSkipped Rule = "none_skipped" // none was skipped by a condition or rule

	atLeast Rule = "at_least" // so many succeeded; eager; Node.AtLeast
)

// absorbs reports whether a failure of a parent shows in a node with this rule, or is made up for by it.
func (r Rule) absorbs() bool {
	return r != Done && r != OneFailed && r != AllFailed && r != NoneSkipped
}
