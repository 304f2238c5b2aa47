package dagsql

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pgq-go/queue/pgq"
)

// JSON returns the document that dag_submit takes, or dag_extend for an extension. *InvalidError: there are mistakes
// that need no database to be seen.
func (b *Builder) JSON() (json.RawMessage, error) {
	data, problems := b.graph.document(nil)
	if err := invalid(problems, nil); err != nil {
		return nil, err
	}
	return data, nil
}

// document returns the JSON form and the builder's mistakes. What cannot be written is left out of it, so that the
// database can still look for the others. The codec encodes args that name none; nil is JSON.
func (g *graph) document(codec pgq.Codec) ([]byte, []Problem) {
	d := document{codec: codec, data: make([]byte, 0, 256+128*len(g.nodes)), problems: append([]Problem(nil), g.mistakes...)}
	d.open('{')
	if !g.extension {
		d.dag(g)
	}
	d.name("nodes")
	d.open('[')
	for _, n := range g.nodes {
		d.element()
		d.node(n)
	}
	d.close(']')
	d.close('}')
	return d.data, d.problems
}

// document is JSON that is being written: one buffer, since there may be 100,000 nodes.
type document struct {
	codec    pgq.Codec
	data     []byte
	of       string // the node that is being written
	problems []Problem
}

func (d *document) dag(g *graph) {
	o := g.options
	d.validText("name", g.name)
	d.optionalText("key", o.Key)
	d.optionalText("queue", o.Queue)
	if o.Priority != 0 {
		d.number("priority", int64(o.Priority.Int()))
	}
	d.interval("deadline", o.Deadline)
	if o.FailFast {
		d.text("on_failure", "cancel")
	}
	d.optionalText("output", o.Output)
	d.labels(o.Tags, o.Metadata)
	d.interval("result_ttl", o.ResultTTL)
}

func (d *document) node(n *Node) {
	d.of = n.name
	d.open('{')
	d.text("name", n.name)
	if n.role != roleJob {
		d.text("type", string(n.role))
	}
	switch n.role {
	case roleJob, roleMap:
		d.job(n)
	case roleSleep:
		d.interval("delay", n.delay)
	case roleExternal:
		o := n.special.(*ExternalOptions)
		d.interval("timeout", o.Timeout)
		if o.Default != nil {
			d.value("default", o.Default)
		}
		d.labels(o.Tags, o.Metadata)
	case roleDAG:
		d.optionalText("output", n.output)
	}
	if m, ok := n.special.(*mapping); ok {
		d.mapping(n, m)
	}
	if len(n.parents) > 0 {
		d.name("after")
		d.open('[')
		for _, e := range n.parents {
			d.element()
			d.edge(e)
		}
		d.close(']')
	}
	d.optionalText("rule", string(n.rule))
	if n.rule == atLeast {
		d.number("at_least", int64(n.atLeast))
	}
	if n.before != nil {
		d.name("before")
		d.open('[')
		for _, child := range n.before {
			d.element()
			d.data = pgq.AppendText(d.data, child.name)
		}
		d.close(']')
	}
	d.close('}')
}

// job writes the kind, args and options. A kind stands in for one that cannot be written.
func (d *document) job(n *Node) {
	written := len(d.data)
	if isNil(n.args) {
		d.problem("args", "must not be nil")
	} else {
		o := pgq.JobOptions(n.args, n.options...)
		if n.delay != 0 {
			o.Delay, o.RunAt = n.delay, time.Time{}
		}
		if !o.RunAt.IsZero() {
			d.problem("run_at", "must not be given for a node: it runs after its parents, or a delay after that")
			o.RunAt = time.Time{}
		}
		args := n.args
		if m, ok := n.special.(*mapping); ok && m.As == "" {
			args = kind(args.Kind())
		} else if !ok && o.Codec == nil {
			o.Codec = d.codec
		}
		d.element()
		data, err := pgq.AppendJob(d.data, args, o)
		if err == nil {
			d.data = data
			return
		}
		d.refused(err)
	}
	d.data = d.data[:written]
	d.text("kind", "?")
}

// kind is args that say no more than their kind.
type kind string

func (k kind) Kind() string               { return string(k) }
func (kind) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func isJSON(codec pgq.Codec) bool { return codec == nil || codec == pgq.JSON }

func (d *document) mapping(n *Node, m *mapping) {
	if !isNil(n.args) && !isJSON(pgq.JobOptions(n.args, n.options...).Codec) {
		d.problem("codec", "must not be given: the items of a map are JSON")
	}
	if m.over != nil {
		d.text("over", m.over.name)
	}
	d.optionalText("path", m.Path)
	d.optionalText("as", m.As)
	if m.Window != 0 {
		d.number("window", int64(m.Window))
	}
	if m.Tolerate != 0 {
		d.value("tolerate", m.Tolerate)
	}
}

// edge writes a dependency: the name of the parent if that says all.
func (d *document) edge(e Edge) {
	if e.parent != nil && !e.soft && e.conditions == nil {
		d.data = pgq.AppendText(d.data, e.parent.name)
		return
	}
	d.open('{')
	if e.parent != nil {
		d.text("node", e.parent.name)
	} else {
		d.number("job", e.job)
	}
	if e.soft {
		d.name("soft")
		d.data = append(d.data, "true"...)
	}
	if e.conditions != nil {
		d.validText("when", e.condition())
	}
	d.close('}')
}

func (d *document) open(brace byte)  { d.data = append(d.data, brace) }
func (d *document) close(brace byte) { d.data = append(d.data, brace) }

// element separates what follows from what was written before it in the same object or array.
func (d *document) element() {
	if last := d.data[len(d.data)-1]; last != '{' && last != '[' {
		d.data = append(d.data, ',')
	}
}

func (d *document) name(name string) {
	d.element()
	d.data = append(pgq.AppendText(d.data, name), ':')
}

func (d *document) text(name, value string) {
	d.name(name)
	d.data = pgq.AppendText(d.data, value)
}

func (d *document) optionalText(name, value string) {
	if value != "" {
		d.validText(name, value)
	}
}

// validText writes text that comes from outside, or refuses what jsonb cannot hold.
func (d *document) validText(name, value string) {
	if isText(value) {
		d.text(name, value)
	} else {
		d.problem(name, notText)
	}
}

// labels writes tags and metadata.
func (d *document) labels(tags []string, metadata map[string]any) {
	if slices.ContainsFunc(tags, func(tag string) bool { return !isText(tag) }) {
		d.problem("tags", notText)
	} else if tags != nil {
		d.name("tags")
		d.data = pgq.AppendTexts(d.data, tags)
	}
	if metadata != nil {
		d.value("metadata", metadata)
	}
}

func (d *document) number(name string, value int64) {
	d.name(name)
	d.data = strconv.AppendInt(d.data, value, 10)
}

func (d *document) interval(name string, value time.Duration) {
	if value != 0 {
		d.name(name)
		d.data = pgq.AppendInterval(d.data, value)
	}
}

func (d *document) value(name string, value any) {
	data, err := pgq.EncodeJSON(name, value)
	if err != nil {
		d.refused(err)
		return
	}
	d.name(name)
	d.data = append(d.data, data...)
}

func (d *document) problem(field, rule string) {
	d.problems = append(d.problems, Problem{Node: d.of, Field: field, Rule: rule})
}

func (d *document) refused(err error) {
	field, rule := "args", err.Error()
	var bad *pgq.ArgumentError
	if errors.As(err, &bad) {
		field, rule = bad.Field, bad.Rule
	}
	d.problem(field, rule)
}

// quoted returns a string in JSON's quotes.
func quoted(s string) string { return string(pgq.AppendText(nil, s)) }

const notText = "must be valid UTF-8 without NUL"

// isText reports whether jsonb can hold the string.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
