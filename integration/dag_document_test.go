package integration

import (
	"encoding/json"
	"fmt"
	"testing"
)

// document is the plan as dag_submit takes it. Jobs outside must have been enqueued by then.
func (p *plan) document(t *testing.T) string {
	t.Helper()
	var nodes []map[string]any
	for _, v := range p.vertices {
		if v.addedBy == nil {
			nodes = append(nodes, v.document(t))
		}
	}
	return marshal(t, map[string]any{"name": "random", "nodes": nodes})
}

func (v *vertex) document(t *testing.T) map[string]any {
	t.Helper()
	node := map[string]any{"name": v.name, "type": v.kind}
	var after []any
	for _, l := range v.after {
		edge := map[string]any{}
		switch {
		case l.parent.home != v.home, l.parent.isOutside:
			edge["job"] = l.parent.id
		default:
			edge["node"] = l.parent.name
		}
		if l.soft {
			edge["soft"] = true
		}
		if l.above > 0 {
			edge["when"] = fmt.Sprintf("$.risk > %d", l.above)
		}
		after = append(after, edge)
	}
	if after != nil {
		node["after"] = after
	}
	if v.rule != "" {
		node["rule"] = v.rule
	}
	if v.atLeast > 0 {
		node["at_least"] = v.atLeast
	}
	switch v.kind {
	case "job":
		v.job(t, node)
	case "map":
		node["kind"], node["over"], node["path"], node["tolerate"] = "deed", v.over.name, "$.list[*]", v.tolerate
		if v.window > 0 {
			node["window"] = v.window
		}
		if v.as {
			node["as"] = "item"
		}
	case "external":
		if v.answer == "never" {
			node["timeout"] = "1 day"
			if !v.deed.Fail {
				node["default"] = v.deed.Output
			}
		}
	case "sleep":
		node["delay"] = "1 day"
	case "dag":
		if v.output != nil {
			node["output"] = v.output.name[len(v.name)+1:]
		}
	}
	return node
}

// job fills in what a handler runs.
func (v *vertex) job(t *testing.T, node map[string]any) {
	t.Helper()
	d := v.deed
	if v.adds != nil {
		var nodes []map[string]any
		for _, added := range v.adds {
			nodes = append(nodes, added.document(t))
		}
		d.Extend = json.RawMessage(marshal(t, map[string]any{"nodes": nodes}))
	}
	node["kind"], node["args"] = "deed", d
	if v.delayed {
		node["delay"] = "1 day"
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
