package integration

import (
	"fmt"
	"slices"
	"strings"
)

// verdict is how a node ends.
type verdict struct {
	state  string
	caused bool // skipped or failed because something else failed
	output *output
	items  []deed // of a map that began
	failed int    // items, of these
}

// oracle works out how the nodes of a DAG end by plain recursion over what DAGs mean: there are no
// counters, no order and no time.
type oracle struct {
	plan  *plan
	there map[string]bool // nodes, if it is known which ones have been added
	ends  map[*vertex]verdict
	gates map[*vertex]verdict
}

func newOracle(p *plan, there map[string]bool) *oracle {
	return &oracle{plan: p, there: there, ends: map[*vertex]verdict{}, gates: map[*vertex]verdict{}}
}

// end returns how a node or a job outside ends, one of another DAG as well. A node that is never added ends as "".
func (o *oracle) end(v *vertex) verdict {
	if end, ok := o.ends[v]; ok {
		return end
	}
	end := verdict{state: "completed"}
	switch {
	case v.addedBy != nil && !o.isThere(v):
		end = verdict{}
	case v.kind == "dag":
		end = o.together(v, v.members)
	default:
		if end = o.start(v); end.state == "completed" {
			end = o.run(v)
		}
	}
	o.ends[v] = end
	return end
}

// isThere reports whether a node is added: if the one that does it is completed, as it was at least once.
func (o *oracle) isThere(v *vertex) bool {
	return o.there[v.name] || o.there == nil && o.end(v.addedBy).state == "completed"
}

// run returns how a node ends that is run.
func (o *oracle) run(v *vertex) verdict {
	switch {
	case v.kind == "sleep":
		return verdict{state: "completed"}
	case v.kind == "map":
		return o.mapped(v)
	case v.deed.Cancel && v.kind == "job":
		return verdict{state: "cancelled"}
	case v.deed.Fail:
		return verdict{state: "failed"}
	}
	return verdict{state: "completed", output: v.deed.Output}
}

// mapped returns how a map ends that begins.
func (o *oracle) mapped(v *vertex) verdict {
	source := o.end(v.over).output
	if source == nil {
		return verdict{state: "failed"}
	}
	end := verdict{state: "completed", items: source.List, output: &output{}} // which has neither risk nor list
	for _, item := range source.List {
		if item.Fail {
			end.failed++
		}
	}
	if end.failed > len(source.List)*v.tolerate/100 {
		end.state, end.caused, end.output = "failed", true, nil
	}
	return end
}

// start returns "completed" if a node runs, or a sub-DAG opens, else how it is skipped.
func (o *oracle) start(v *vertex) verdict {
	var c tally
	edges, inside := v.parents(), 0
	for _, e := range edges {
		c.add(o.over(e))
		if v.scope != nil && e.parent.home == v.home && strings.HasPrefix(e.parent.name, v.scope.name+"/") {
			inside++
		}
	}
	rule := v.rule
	if isGated(v.scope) && (len(edges) == 0 || inside == 0 && rule == "") {
		c.add(o.gate(v.scope))
		if len(edges) == 0 {
			rule = ""
		}
	}
	return c.decide(rule, v.atLeast)
}

// isGated reports whether a sub-DAG, or one around it, comes after anything.
func isGated(v *vertex) bool { return v != nil && (len(v.after) > 0 || isGated(v.scope)) }

// gate returns how the hidden node at the start of a sub-DAG ends.
func (o *oracle) gate(v *vertex) verdict {
	end, ok := o.gates[v]
	if !ok {
		end = o.start(v)
		o.gates[v] = end
	}
	return end
}

// together returns how a sub-DAG ends, or with nil the DAG.
func (o *oracle) together(v *vertex, members []*vertex) verdict {
	var c tally
	for _, m := range members {
		if end := o.end(m); !o.isAbsorbed(m) {
			c.add(end)
		}
	}
	end := verdict{state: "completed"}
	if isGated(v) {
		gate := o.gate(v)
		c.add(gate)
		if gate.state == "skipped" {
			end.state = "skipped"
		}
	}
	if c.failed > 0 {
		end.caused = true
		if end.state == "completed" {
			end.state = "failed"
		}
	}
	if end.state == "completed" && v != nil && v.output != nil {
		end.output = o.end(v.output).output
	}
	return end
}

// dag returns how the DAG itself ends.
func (o *oracle) dag() verdict {
	var members []*vertex
	for _, v := range o.plan.vertices {
		if v.scope == nil {
			members = append(members, v)
		}
	}
	return o.together(nil, members)
}

// isAbsorbed reports whether the failure of a node shows in, or does not matter to, a node in the same scope that comes after it.
func (o *oracle) isAbsorbed(parent *vertex) bool {
	return slices.ContainsFunc(o.plan.vertices, func(v *vertex) bool {
		if parent.scope != nil && !strings.HasPrefix(v.name, parent.scope.name+"/") {
			return false
		}
		// A node that is added later takes nothing away from what the DAG waits for.
		if v.addedBy != nil && parent.addedBy != v.addedBy {
			return false
		}
		return slices.ContainsFunc(v.parents(), func(e dependency) bool {
			return e.parent == parent && (e.soft || !slices.Contains([]string{"done", "one_failed", "all_failed", "none_skipped"}, v.rule))
		})
	})
}

// over returns what the end of a parent means over an edge.
func (o *oracle) over(e dependency) verdict {
	of := o
	if e.parent.home != o.plan {
		of = e.parent.home.says
	}
	end := of.end(e.parent)
	switch {
	case end.state == "completed" && e.above > 0 && (end.output == nil || end.output.Risk <= e.above):
		return verdict{state: "skipped"}
	case e.soft:
		return verdict{state: "completed"}
	}
	return end
}

// tally is how many parents ended how.
type tally struct{ ok, failed, skipped int }

func (c *tally) add(end verdict) {
	switch {
	case end.state == "": // was never added
	case end.state == "completed":
		c.ok++
	case end.state == "skipped" && !end.caused:
		c.skipped++
	default:
		c.failed++
	}
}

// decide says whether a rule lets a node run, and if not whether a failure is the cause.
func (c *tally) decide(rule string, atLeast int) verdict {
	all := c.ok + c.failed + c.skipped
	runs, fails := false, c.failed > 0
	switch rule {
	case "":
		runs = c.ok == all
	case "any":
		runs = c.ok > 0
	case "at_least":
		runs = c.ok >= atLeast
	case "none_failed":
		runs = c.failed == 0
	case "join":
		runs = c.failed == 0 && c.ok > 0
	case "done":
		runs = true
	case "one_failed":
		runs, fails = c.failed > 0, false
	case "all_failed":
		runs, fails = c.failed == all, false
	case "none_skipped":
		runs, fails = c.skipped == 0, false
	default:
		panic(fmt.Sprintf("rule %q", rule))
	}
	if runs {
		return verdict{state: "completed"}
	}
	return verdict{state: "skipped", caused: fails}
}
