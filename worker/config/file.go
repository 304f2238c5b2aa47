package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/pgq-go/queue/worker"
)

// readFile sets what a YAML file gives. It reads the syntax tree rather than into a struct, so that each error names
// the line, and so that none shows a line: one of them may hold a password.
func (l *Loaded) readFile(path string, environ []string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("settings file: %w", err)
	}
	tree, err := parser.ParseBytes(content, 0)
	if err != nil {
		return syntaxError(path, err)
	}
	if len(tree.Docs) > 1 {
		return &Error{Where: path, Rule: fmt.Sprintf("must be one YAML document, it has %d", len(tree.Docs))}
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("settings file: %w", err)
	}
	f := file{path: path, dir: filepath.Dir(full), environ: environ, to: l}
	for _, doc := range tree.Docs {
		if err := f.section("", doc.Body); err != nil {
			return err
		}
	}
	return nil
}

func syntaxError(path string, err error) error {
	var at yaml.Error
	if !errors.As(err, &at) {
		return &Error{Where: path, Rule: "is no YAML"}
	}
	where := path
	if token := at.GetToken(); token != nil && token.Position != nil {
		where = fmt.Sprintf("%s:%d", path, token.Position.Line)
	}
	return &Error{Where: where, Rule: "is no YAML: " + MaskText(at.GetMessage())}
}

// file is a settings file that is being read.
type file struct {
	path    string
	dir     string   // what paths in it are relative to
	environ []string // what programs of kinds inherit
	to      *Loaded
}

func (f file) where(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, n.GetToken().Position.Line)
}

// section reads a map of settings whose names begin with prefix.
func (f file) section(prefix string, node ast.Node) error {
	entries, ok := entriesOf(node)
	if !ok {
		return &Error{Where: f.where(node), Rule: strings.TrimSuffix("must be a map of settings "+prefix, " ")}
	}
	for _, entry := range entries {
		name := prefix + nameOf(entry)
		var err error
		switch {
		case name == "worker" || name == "encryption":
			err = f.section(name+".", entry.Value)
		case name == "kinds":
			err = f.kinds(entry)
		case name == queuesField:
			err = f.queues(entry)
		case name == keysField:
			err = f.keys(entry)
		case fieldNamed(name) == nil:
			err = unknown(f.where(entry.Key), "setting", name, append(fieldNames(), "kinds"))
		default:
			err = f.scalar(name, entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f file) scalar(name string, entry *ast.MappingValueNode) error {
	value, ok := scalarOf(entry.Value)
	if !ok {
		return &Error{Where: f.where(entry.Key), Field: name, Rule: "must have one value"}
	}
	return f.to.set(f.where(entry.Key), name, value)
}

// queues reads {mail: {concurrency: 50}}; a queue without settings has the defaults.
func (f file) queues(entry *ast.MappingValueNode) error {
	where := f.where(entry.Key)
	entries, ok := entriesOf(entry.Value)
	if !ok || len(entries) == 0 {
		return &Error{Where: where, Field: queuesField, Rule: "must be a map, {mail: {concurrency: 50}} for example"}
	}
	queues := worker.Queues{}
	for _, queue := range entries {
		name := nameOf(queue)
		if rule := queueNameRule(name); rule != "" {
			return &Error{Where: f.where(queue.Key), Field: queuesField, Rule: rule}
		}
		var err error
		if queues[name], err = f.queue(queue); err != nil {
			return err
		}
	}
	f.to.Worker.Queues = queues
	f.to.sources[queuesField] = where
	return nil
}

func (f file) queue(entry *ast.MappingValueNode) (worker.QueueConfig, error) {
	q := worker.QueueConfig{}
	name := queuesField + "." + nameOf(entry)
	options, ok := entriesOf(entry.Value)
	if !ok {
		return q, &Error{Where: f.where(entry.Key), Field: name, Rule: "must be a map, {concurrency: 50} for example"}
	}
	for _, option := range options {
		key, where := nameOf(option), f.where(option.Key)
		set, known := queueOptions[key]
		if !known {
			return q, unknown(where, "setting", name+"."+key, prefixed(name+".", slices.Sorted(maps.Keys(queueOptions))))
		}
		value, ok := scalarOf(option.Value)
		if !ok {
			return q, &Error{Where: where, Field: name + "." + key, Rule: "must have one value"}
		}
		if rule := set(&q, value); rule != "" {
			return q, &Error{Where: where, Field: name, Rule: fmt.Sprintf("%s, not %q", rule, value)}
		}
	}
	return q, nil
}

func prefixed(prefix string, names []string) []string {
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names
}

// entriesOf returns the entries of a map; nothing at all is an empty one.
func entriesOf(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return nil, true
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// nameOf returns the key of an entry as text, without quotes.
func nameOf(entry *ast.MappingValueNode) string { return entry.Key.GetToken().Value }

// scalarOf returns a single value as text.
func scalarOf(node ast.Node) (string, bool) {
	text, ok := textOf(node)
	if _, block := node.(*ast.LiteralNode); block {
		text = strings.TrimSpace(text)
	}
	return text, ok
}

// textOf is scalarOf for texts whose lines count.
func textOf(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// textsOf returns a list of single values.
func textsOf(node ast.Node) ([]string, bool) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		return nil, false
	}
	texts := make([]string, len(list.Values))
	for i, value := range list.Values {
		if texts[i], ok = textOf(value); !ok {
			return nil, false
		}
	}
	return texts, true
}
