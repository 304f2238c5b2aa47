package dagsql

import (
	"fmt"
	"reflect"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// Options are those of a DAG. The zero value is ready to use.
type Options struct {
	// Key makes submitting idempotent: a DAG of the same name and key is submitted once, for as long as it is kept.
	Key string
	// Queue and Priority are those of its nodes that have none of their own.
	Queue    string
	Priority pgq.Priority
	// Deadline expires the DAG when this much time has passed since it was submitted: what is not finished is cancelled.
	Deadline time.Duration
	// FailFast cancels the rest as soon as it is sure that a failure makes the DAG fail, but for nodes that tidy up (with the
	// rules Done, OneFailed and AllFailed) and what comes after them. Otherwise all is run that still can.
	FailFast bool
	// Output is the full name of the node whose result is the DAG's, if it is in JSON.
	Output string
	// Tags and Metadata are for whoever looks at DAGs; at most 64 tags.
	Tags     []string
	Metadata map[string]any
	// ResultTTL is how long the DAG is kept, with all its nodes, once it is finished; else its queue's retention counts.
	ResultTTL time.Duration
}

// Builder builds a DAG. It touches no database and is not safe for concurrent use. Mistakes do not panic: they are
// reported when the DAG is submitted, all at once. Args are encoded then.
type Builder struct {
	Scope
}

// graph is what is being built.
type graph struct {
	name      string
	options   Options
	extension bool
	nodes     []*Node
	mistakes  []Problem
}

// New returns a builder of a DAG. The name says what kind of DAG it is, like the kind of a job: 1 to 128 characters.
func New(name string, o Options) *Builder {
	return &Builder{Scope{graph: &graph{name: name, options: o}}}
}

// NewExtension returns a builder of nodes that are to be added to a DAG by [Extend] or [Client.Extend].
func NewExtension() *Builder {
	return &Builder{Scope{graph: &graph{extension: true}}}
}

// Existing returns a node of the DAG that is to be extended, by its full name, for After and Before.
func (b *Builder) Existing(name string) *Node {
	n := &Node{graph: b.graph, name: name, role: roleExisting}
	if !b.graph.extension {
		n.mistake("after", "must not be existing nodes: this is no extension of a DAG")
	}
	return n
}

// Scope is where nodes are added: a DAG or a sub-DAG of it.
type Scope struct {
	graph  *graph
	prefix string
}

// Add adds a node that is a job, which a worker's handler for the kind of args runs. A delay counts from when its
// parents are done. Of several options the first that gives something counts, then those of the kind, then the
// DAG's queue and priority.
func (s Scope) Add(name string, args pgq.Args, options ...pgq.Options) *Node {
	n := s.add(name, roleJob)
	n.args, n.options = args, options
	return n
}

// MapOptions are those of a map; the zero value is ready to use.
type MapOptions struct {
	// Path finds the items in the result of the node that is mapped over: SQL's jsonpath, "$[*]" by default.
	Path string
	// As is the member that is added to the args to hold the item. By default the item is all of the args.
	As string
	// Window is how many items may run at a time; all by default.
	Window int
	// Tolerate is how many percent of the items may fail without the map failing.
	Tolerate float64
	// Job are the options of the items, whose delay counts from when they are there.
	Job pgq.Options
}

// mapping is a map's source and options.
type mapping struct {
	over *Node
	MapOptions
}

// Map adds a node that runs a job for each item of the result of another node. The jobs are named "name[0]",
// "name[1]" and so on, and are of the kind of args; what their args are is said by MapOptions.As. The map is completed when
// they are; their results are read by [Items].
func (s Scope) Map(name string, over *Node, args pgq.Args, o MapOptions) *Node {
	n := s.add(name, roleMap)
	n.args, n.options, n.special = args, []pgq.Options{o.Job}, &mapping{over, o}
	switch {
	case over == nil:
		n.mistake("over", "must not be nil")
	case over.graph != n.graph:
		n.mistake("over", fmt.Sprintf("must be a node of the same DAG; %q is not", over.name))
	}
	return n
}

// ExternalOptions are those of an external node.
type ExternalOptions struct {
	// Timeout is how long the node waits for its answer once its parents are done; without limit by default.
	Timeout time.Duration
	// Default is the result when time is out. Without one the node fails then.
	Default any
	// Tags and Metadata are for whoever looks for nodes that wait; at most 64 tags.
	Tags     []string
	Metadata map[string]any
}

// External adds a node that no worker runs: it waits until somebody answers with [Client.Complete] or [Client.Fail],
// be it before its parents are done. Approvals, callbacks and deliveries are such nodes; waiting costs nothing.
func (s Scope) External(name string, o ExternalOptions) *Node {
	n := s.add(name, roleExternal)
	n.special = &o
	return n
}

// Sleep adds a node that is completed this long after its parents are done. It holds no worker.
func (s Scope) Sleep(name string, d time.Duration) *Node {
	n := s.add(name, roleSleep)
	n.delay = d
	return n
}

// Sub adds a sub-DAG, which can be nested to any depth.
func (s Scope) Sub(name string) *Sub {
	n := s.add(name, roleDAG)
	return &Sub{Node: n, Scope: Scope{graph: s.graph, prefix: n.name + "/"}}
}

func (s Scope) add(name string, r role) *Node {
	n := &Node{graph: s.graph, name: s.prefix + name, role: r}
	if !isText(name) {
		n.name = s.prefix + pgq.Printable(name)
		n.mistake("name", notText)
	}
	s.graph.nodes = append(s.graph.nodes, n)
	return n
}

// isNil reports whether args are nil or a nil pointer, whose methods may panic.
func isNil(args pgq.Args) bool {
	if args == nil {
		return true
	}
	v := reflect.ValueOf(args)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
