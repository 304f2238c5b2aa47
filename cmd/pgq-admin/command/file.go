package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/cmd/pgq-admin/settings"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker/command"
)

// Kind is a kind of jobs and the command that runs it.
type Kind struct {
	Name    string
	Where   string // it stands: "pgq.yaml:3"
	Command command.Command
	Shell   bool // Command.Args[2] is read by a shell
}

// maxKind is how long the name of a kind may be.
const maxKind = 128

// Load reads the kinds of a file, in its order. Environ is what commands inherit. *output.Error, with the line: what is
// wrong with the file.
func Load(path string, environ []string) ([]Kind, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, output.Usagef("%s", err)
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseBytes(content, 0)
	if err != nil {
		return nil, syntaxError(path, err)
	}
	f := file{path: path, dir: filepath.Dir(full), environ: environ}
	for _, doc := range tree.Docs {
		entries, _ := entriesOf(doc.Body)
		for _, entry := range entries {
			if nameOf(entry) == "kinds" {
				return f.kinds(entry)
			}
		}
	}
	return nil, output.Usagef("%s: kinds must be given", path).WithFix("say which programs run which kinds; pgq-admin worker --help has an example")
}

func syntaxError(path string, err error) error {
	where, rule := path, "is no YAML"
	var at yaml.Error
	if errors.As(err, &at) {
		rule += ": " + at.GetMessage()
		if token := at.GetToken(); token != nil && token.Position != nil {
			where = fmt.Sprintf("%s:%d", path, token.Position.Line)
		}
	}
	return output.Usagef("%s: %s", where, rule)
}

// file is a file that is being read.
type file struct {
	path    string
	dir     string
	environ []string
}

// wrong returns the error that something at a node breaks a rule.
func (f file) wrong(at ast.Node, format string, args ...any) error {
	line := 0
	if token := at.GetToken(); token != nil && token.Position != nil {
		line = token.Position.Line
	}
	return output.Usagef("%s:%d: %s", f.path, line, fmt.Sprintf(format, args...)).
		WithFix("pgq-admin worker --help lists what may stand there")
}

func (f file) kinds(section *ast.MappingValueNode) ([]Kind, error) {
	entries, ok := entriesOf(section.Value)
	if !ok || len(entries) == 0 {
		return nil, f.wrong(section.Key, `kinds must be a map of kinds, {thumbnail: {run: [./thumbnail.sh]}} for example`)
	}
	kinds := make([]Kind, 0, len(entries))
	for _, entry := range entries {
		k, err := f.kind(entry)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(kinds, func(other Kind) bool { return other.Name == k.Name }) {
			return nil, f.wrong(entry.Key, "kind %q stands there twice", k.Name)
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}

// kind reads one kind.
func (f file) kind(entry *ast.MappingValueNode) (Kind, error) {
	k := Kind{Name: nameOf(entry), Where: fmt.Sprintf("%s:%d", f.path, entry.Key.GetToken().Position.Line)}
	if k.Name == "" || utf8.RuneCountInString(k.Name) > maxKind {
		return k, f.wrong(entry.Key, "kinds must have names of 1 to %d characters", maxKind)
	}
	options, ok := entriesOf(entry.Value)
	if !ok || len(options) == 0 {
		return k, f.wrong(entry.Key, "kind %q must be a map, {run: [./thumbnail.sh]} for example", k.Name)
	}
	r := reading{file: f, kind: &k, environment: map[string]string{}}
	for _, option := range options {
		set, known := optionSetters[nameOf(option)]
		if !known {
			return k, f.unknown(option, k.Name)
		}
		if rule := set(&r, option.Value); rule != "" {
			return k, f.wrong(option.Key, "kind %q: %s %s", k.Name, nameOf(option), rule)
		}
	}
	if r.given != 1 {
		return k, f.wrong(entry.Key, "kind %q must have either run or shell", k.Name)
	}
	r.finish()
	var broken *pgq.ArgumentError
	if err := k.Command.Check(); errors.As(err, &broken) {
		return k, f.wrong(entry.Key, "kind %q: %s %s", k.Name, broken.Field, broken.Rule)
	} else if err != nil {
		return k, err
	}
	return k, nil
}

func (f file) unknown(option *ast.MappingValueNode, kind string) error {
	names := make([]string, 0, len(optionSetters))
	for name := range optionSetters {
		names = append(names, name)
	}
	slices.Sort(names)
	hint := "known are " + strings.Join(names, ", ")
	if nearest := settings.Nearest(nameOf(option), names); nearest != "" {
		hint = "did you mean " + nearest + "?"
	}
	return f.wrong(option.Key, "kind %q: unknown setting %s; %s", kind, nameOf(option), hint)
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

// textOf returns a single value as text.
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
