package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Contexts are databases by name, and which of them is the current one:
//
//	current: staging
//	contexts:
//	  staging: {database_url: postgres://app@db.staging/app}
//	  production: {database_url: postgres://app@db/app, schema: jobs}
//
// The file may hold passwords, so nobody else may be able to read it.
type Contexts struct {
	Current string
	Named   map[string]Context

	path string
}

// Context is a database, and the schema in it that holds PGQ; the default if it is empty.
type Context struct {
	DatabaseURL string `yaml:"database_url"`
	Schema      string `yaml:"schema,omitempty"`
}

// ContextsPath returns where the file of contexts is: PGQ_CONTEXTS, or pgq/contexts.yaml in the user's directory of settings; empty
// if there is none.
func ContextsPath() string {
	if path := os.Getenv("PGQ_CONTEXTS"); path != "" {
		return path
	}
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "pgq", "contexts.yaml")
}

// ReadContexts reads a file of contexts; there are none without a file. Errors, that never show what is in it: *[Error], or
// that it cannot be read.
func ReadContexts(path string) (*Contexts, error) {
	c := &Contexts{Named: map[string]Context{}, path: path}
	if path == "" {
		return c, nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("contexts: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, &Error{Where: path, Fix: "chmod 600 " + quoteWord(path),
			Rule: fmt.Sprintf("must not be open to others, since it may hold passwords; its mode is %04o", info.Mode().Perm())}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("contexts: %w", err)
	}
	tree, err := parser.ParseBytes(content, 0)
	if err != nil {
		return nil, syntaxError(path, err)
	}
	for _, doc := range tree.Docs {
		if err := c.read(doc.Body); err != nil {
			return nil, err
		}
	}
	if _, ok := c.Named[c.Current]; c.Current != "" && !ok {
		return nil, &Error{Where: path, Field: "current", Rule: "must be one of the contexts"}
	}
	return c, nil
}

// read takes what the file says.
func (c *Contexts) read(body ast.Node) error {
	f := file{path: c.path}
	entries, ok := entriesOf(body)
	if !ok {
		return &Error{Where: f.where(body), Rule: "must be a map with current and contexts"}
	}
	for _, entry := range entries {
		switch name := nameOf(entry); name {
		case "current":
			if c.Current, ok = scalarOf(entry.Value); !ok {
				return &Error{Where: f.where(entry.Key), Field: name, Rule: "must be the name of a context"}
			}
		case "contexts":
			if err := c.readNamed(f, entry); err != nil {
				return err
			}
		default:
			return unknown(f.where(entry.Key), "setting", name, []string{"current", "contexts"})
		}
	}
	return nil
}

func (c *Contexts) readNamed(f file, in *ast.MappingValueNode) error {
	named, ok := entriesOf(in.Value)
	if !ok {
		return &Error{Where: f.where(in.Key), Field: "contexts", Rule: "must be a map, {staging: {database_url: …}} for example"}
	}
	for _, entry := range named {
		members, ok := entriesOf(entry.Value)
		if !ok {
			return &Error{Where: f.where(entry.Key), Field: "contexts", Rule: "must each be a map with database_url and schema"}
		}
		var context Context
		for _, member := range members {
			value, ok := scalarOf(member.Value)
			if !ok {
				return &Error{Where: f.where(member.Key), Field: nameOf(member), Rule: "must have one value"}
			}
			switch nameOf(member) {
			case "database_url":
				context.DatabaseURL = value
			case "schema":
				context.Schema = value
			default:
				return unknown(f.where(member.Key), "setting", nameOf(member), []string{"database_url", "schema"})
			}
		}
		if rule := context.rule(); rule != "" {
			return &Error{Where: f.where(entry.Key), Rule: rule}
		}
		c.Named[nameOf(entry)] = context
	}
	return nil
}

// rule returns the rule that a context breaks, or "".
func (c Context) rule() string {
	var s Settings
	if rule := setDatabaseURL(&s, c.DatabaseURL); rule != "" {
		return "database_url " + rule
	}
	if c.Schema != "" {
		if rule := setSchema(&s, c.Schema); rule != "" {
			return "schema " + rule
		}
	}
	return ""
}

// Names returns the names in order.
func (c *Contexts) Names() []string { return slices.Sorted(maps.Keys(c.Named)) }

// missing returns the error that there is no such context.
func (c *Contexts) missing(name string) error {
	err := unknown(c.path, "context", name, c.Names())
	err.Fix, err.Unknown = "pgq-admin context list shows the contexts", name
	return err
}

// Use makes a context the current one. *[Error]: there is no such context.
func (c *Contexts) Use(name string) error {
	if _, ok := c.Named[name]; !ok {
		return c.missing(name)
	}
	c.Current = name
	return nil
}

// Set adds or replaces a context. *[Error]: it breaks a rule.
func (c *Contexts) Set(name string, context Context) error {
	if len(name) < 1 || len(name) > maxQueueName || name != printable(name) {
		return &Error{Where: "context", Rule: "must be named with 1 to 128 bytes that can be printed"}
	}
	if rule := context.rule(); rule != "" {
		return &Error{Where: "context " + name, Rule: rule}
	}
	c.Named[name] = context
	return nil
}

// Delete removes a context. *[Error]: there is no such context.
func (c *Contexts) Delete(name string) error {
	if _, ok := c.Named[name]; !ok {
		return c.missing(name)
	}
	delete(c.Named, name)
	if c.Current == name {
		c.Current = ""
	}
	return nil
}

// Write writes the file anew, as one that only its owner can read. Comments in it are lost.
func (c *Contexts) Write() error {
	if c.path == "" {
		return errors.New("contexts: there is no directory for them; name a file with PGQ_CONTEXTS")
	}
	content, err := yaml.Marshal(struct {
		Current  string             `yaml:"current,omitempty"`
		Contexts map[string]Context `yaml:"contexts"`
	}{c.Current, c.Named})
	if err != nil {
		return errors.New("contexts: they cannot be written as YAML")
	}
	dir := filepath.Dir(c.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	f, err := os.CreateTemp(dir, ".contexts.*") // with mode 0600
	if err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // once it has its name there is nothing to remove
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), c.path)
	}
	if err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	return nil
}
