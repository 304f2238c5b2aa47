package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

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

// wrong returns the error that something at a node breaks a rule.
func (f file) wrong(at ast.Node, format string, args ...any) error {
	return &Error{Where: f.where(at), Rule: fmt.Sprintf(format, args...)}
}

// kinds reads all kinds.
func (f file) kinds(section *ast.MappingValueNode) error {
	entries, ok := entriesOf(section.Value)
	if !ok || len(entries) == 0 {
		return f.wrong(section.Key, `kinds must be a map of kinds, {thumbnail: {run: [./thumbnail.sh]}} for example`)
	}
	kinds := make([]Kind, 0, len(entries))
	for _, entry := range entries {
		k, err := f.kind(entry)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(kinds, func(other Kind) bool { return other.Name == k.Name }) {
			return f.wrong(entry.Key, "kind %q stands there twice", k.Name)
		}
		kinds = append(kinds, k)
	}
	f.to.Kinds = kinds
	return nil
}

// kind reads one kind.
func (f file) kind(entry *ast.MappingValueNode) (Kind, error) {
	k := Kind{Name: nameOf(entry), Where: f.where(entry.Key)}
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
	known := slices.Sorted(maps.Keys(optionSetters))
	err := unknown(f.where(option.Key), "setting", nameOf(option), known)
	err.Rule = fmt.Sprintf("kind %q: %s", kind, err.Rule)
	return err
}
