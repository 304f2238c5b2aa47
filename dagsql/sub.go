package dagsql

// Sub is a sub-DAG that is being built: a node that is completed when the nodes added to it are. It fails when a
// failure among them is not made up for. Its nodes are named "sub/node" and wait for what it waits for; the nodes that
// wait for it wait for them all. (A node in it that has a rule other than All and waits for nodes outside of it only,
// waits for just these. The sub-DAG is skipped when what it waits for says so, whatever such a node does.)
type Sub struct {
	*Node
	Scope
}

// Output makes the result of a node in the sub-DAG that of the sub-DAG. The name is the one that the node was added by:
// "load" for "etl/load". Only results in JSON are taken over.
func (s *Sub) Output(node string) *Sub {
	s.output = node
	return s
}

func (s *Sub) edge() Edge {
	if s == nil {
		return Edge{}
	}
	return s.Node.edge()
}

// After is that of [Node], as are the following.
func (s *Sub) After(parents ...Parent) *Sub { s.Node.After(parents...); return s }

// AfterAny is After with the rule Any.
func (s *Sub) AfterAny(parents ...Parent) *Sub { s.Node.AfterAny(parents...); return s }

// AfterDone is After with the rule Done.
func (s *Sub) AfterDone(parents ...Parent) *Sub { s.Node.AfterDone(parents...); return s }

// AfterFailure is After with the rule OneFailed.
func (s *Sub) AfterFailure(parents ...Parent) *Sub { s.Node.AfterFailure(parents...); return s }

// Rule says which outcomes of its parents let the sub-DAG run.
func (s *Sub) Rule(r Rule) *Sub { s.Node.Rule(r); return s }

// AtLeast makes the sub-DAG run as soon as k of its parents have succeeded.
func (s *Sub) AtLeast(k int) *Sub { s.Node.AtLeast(k); return s }

// Before makes nodes wait for the sub-DAG.
func (s *Sub) Before(children ...*Node) *Sub { s.Node.Before(children...); return s }
