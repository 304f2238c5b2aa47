// Package source turns the SQL files of the functions and views into one goose migration.
package source

import (
	"fmt"
	"io/fs"
	"regexp"
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

var created = regexp.MustCompile(`(?m)^create (function|view) (\w+)`)

// object is one file: a function or a view.
type object struct {
	kind, name, text string
}

// Migration returns the goose migration that creates the objects of the .sql files in dir: functions
// in the order of their names, then views, which may call them. The Down part drops them.
// Every file must start with a comment and create exactly one function or view, named like the file.
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
		objects = append(objects, object{kind: found[0][1], name: found[0][2], text: string(text)})
	}
	sort.SliceStable(objects, func(i, j int) bool { return rank(objects[i], objects) < rank(objects[j], objects) })
	return objects, nil
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
