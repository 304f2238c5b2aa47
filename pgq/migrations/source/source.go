// Package source turns the SQL files of the functions and views into one goose migration.
package source

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// header opens the generated migration.
const header = `-- Code generated from pgq/sql by "make migrations". DO NOT EDIT.
--
-- The functions and views. Replaces nothing but them, takes locks on nothing else; workers that run the
-- functions meanwhile finish the call they are in.

-- +goose Up
set local lock_timeout = '5s';
set local check_function_bodies = off;
`

var (
	created = regexp.MustCompile(`(?m)^create (function|view) (\w+)`)
	roles   = regexp.MustCompile(`(?m)^-- roles: (.*)$`)
)

// Classes of database roles that the header of a file may name: "-- roles: worker, operator". Two are parts of readers: those
// that may see payloads, and those of some tenants. A file without the line is internal; one that names Owner is for
// owners of the schema, who may call everything.
var classes = []string{"producer", "worker", "operator", "reader", "payloads", "tenant"}

// Owner is what the header of a file names that is called from outside, but by owners of the schema only.
const Owner = "owner"

// pinned is what a function must be that others than owners may call: it works with the owner's rights, and nothing but the
// schema is looked at for names.
const pinned = "security definer set search_path from current"

// object is one file: a function or a view.
type object struct {
	kind, name, text string
	classes          []string
}

// Migration returns the goose migration that creates the objects of the .sql files in dir: functions
// in the order of their names, then views, which may call them. The Down part drops them.
// Every file must start with a comment and create exactly one function or view, named like the file. Its header says for which
// classes of database roles it is; that goes to the table rights.
func Migration(dir fs.FS) (string, error) {
	objects, err := read(dir)
	if err != nil {
		return "", err
	}
	var up, down strings.Builder
	up.WriteString(header)
	down.WriteString("\n-- +goose Down\n")
	for _, o := range objects {
		fmt.Fprintf(&up, "\n-- +goose StatementBegin\n%s\n-- +goose StatementEnd\n", strings.TrimSpace(o.text))
	}
	up.WriteString(rights(objects))
	for i := len(objects) - 1; i >= 0; i-- {
		fmt.Fprintf(&down, "drop %s %s;\n", objects[i].kind, objects[i].name)
	}
	return up.String() + down.String(), nil
}

// read returns the objects in the order in which they are created.
func read(dir fs.FS) ([]object, error) {
	files, err := fs.Glob(dir, "*.sql")
	if err != nil {
		return nil, err
	}
	objects := make([]object, 0, len(files))
	for _, file := range files {
		text, err := fs.ReadFile(dir, file)
		if err != nil {
			return nil, err
		}
		found := created.FindAllStringSubmatch(string(text), -1)
		switch {
		case !strings.HasPrefix(string(text), "-- "):
			return nil, fmt.Errorf("%s: does not start with a comment", file)
		case len(found) != 1:
			return nil, fmt.Errorf("%s: creates %d functions and views, not one", file, len(found))
		case found[0][2]+".sql" != file:
			return nil, fmt.Errorf("%s: creates %s", file, found[0][2])
		}
		o := object{kind: found[0][1], name: found[0][2], text: string(text)}
		if o.classes, err = granted(o); err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	sort.SliceStable(objects, func(i, j int) bool { return rank(objects[i], objects) < rank(objects[j], objects) })
	return objects, nil
}

// granted returns for which classes an object is: those that its header names but for Owner.
func granted(o object) ([]string, error) {
	line := roles.FindStringSubmatch(o.text)
	if line == nil || line[1] == Owner {
		return nil, nil
	}
	named := strings.Split(line[1], ", ")
	for _, class := range named {
		if !slices.Contains(classes, class) {
			return nil, fmt.Errorf("%s.sql: roles: %q is none of %s, %s", o.name, class, strings.Join(classes, ", "), Owner)
		}
	}
	// A trigger has the rights of whoever changes the row.
	if o.kind == "function" && !strings.Contains(o.text, pinned) && !strings.Contains(o.text, "returns trigger") {
		return nil, fmt.Errorf("%s.sql: is for others than owners and not %q", o.name, pinned)
	}
	return named, nil
}

// rights returns the statements that write the table rights and make the rights in PostgreSQL follow.
func rights(objects []object) string {
	var rows []string
	for _, o := range objects {
		for _, class := range o.classes {
			rows = append(rows, fmt.Sprintf("    ('%s', '%s')", o.name, class))
		}
	}
	sort.Strings(rows)
	text := "\n-- For whom they are, from the headers of their files.\ndelete from rights;\n"
	if len(rows) > 0 {
		text += "insert into rights (object, class) values\n" + strings.Join(rows, ",\n") + ";\n"
	}
	return text + "do $$ begin perform apply_grants(); end $$;\n" // which shows no rows
}

// rank orders objects by what must be there before them: functions, whose bodies are not looked at when
// they are created, come first, then views by how many other views they select from, then functions that
// return the rows of a view.
func rank(o object, all []object) int {
	rank := 0
	if o.kind == "view" {
		rank = 1
	}
	for _, other := range all {
		switch {
		case other.kind != "view" || other.name == o.name:
		case o.kind == "view" && strings.Contains(o.text, other.name):
			rank++
		case o.kind == "function" && strings.Contains(o.text, "returns setof "+other.name):
			rank = len(all)
		}
	}
	return rank
}
