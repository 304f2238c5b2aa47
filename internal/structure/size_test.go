package structure

import (
	"go/ast"
	"testing"
)

// Limits in lines: of a file and of a function. A test's may tell a longer story.
const (
	maxFile         = 500
	maxFunction     = 70
	maxTestFile     = 700
	maxTestFunction = 120
)

func TestFilesAndFunctionsAreSmall(t *testing.T) {
	t.Parallel()
	_, files := repository(t)
	for _, f := range files {
		fileLimit, functionLimit := maxFile, maxFunction
		if f.test {
			fileLimit, functionLimit = maxTestFile, maxTestFunction
		}
		if f.lines > fileLimit {
			t.Errorf("%s has %d lines; %d are allowed", f.path, f.lines, fileLimit)
		}
		for _, declaration := range f.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			from, to := f.set.Position(function.Pos()).Line, f.set.Position(function.End()).Line
			if lines := to - from + 1; lines > functionLimit {
				t.Errorf("%s:%d: %s has %d lines; %d are allowed", f.path, from, function.Name.Name, lines, functionLimit)
			}
		}
	}
}

func TestNoPackageIsADrawerForOddsAndEnds(t *testing.T) {
	t.Parallel()
	_, files := repository(t)
	for _, f := range files {
		switch f.syntax.Name.Name {
		case "util", "utils", "common", "helper", "helpers", "misc", "types":
			t.Errorf("%s: package %s says nothing", f.path, f.syntax.Name.Name)
		}
	}
}
