package structure

import (
	"go/ast"
	"testing"
)

// sleeps are the test functions that may call time.Sleep, by file and name, each
// with the reason. A test that waits for something must wait for that thing: a time
// is too short on a busy machine and too long on every other.
var sleeps = map[string]string{}

func TestTestsWaitForConditionsAndNotForTimes(t *testing.T) {
	t.Parallel()
	_, files := repository(t)
	used := map[string]bool{}
	for _, f := range files {
		if !f.test {
			continue
		}
		for _, declaration := range f.syntax.Decls {
			where := f.path
			if function, ok := declaration.(*ast.FuncDecl); ok {
				where += " " + function.Name.Name
			}
			ast.Inspect(declaration, func(n ast.Node) bool {
				if !isTimeSleep(n) {
					return true
				}
				used[where] = true
				if sleeps[where] == "" {
					t.Errorf("%s: time.Sleep; wait for what the test needs, or list it in sleeps as %q with the reason",
						f.set.Position(n.Pos()), where)
				}
				return true
			})
		}
	}
	for where := range sleeps {
		if !used[where] {
			t.Errorf("sleeps lists %q, which does not sleep", where)
		}
	}
}

func isTimeSleep(n ast.Node) bool {
	selector, ok := n.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != "Sleep" {
		return false
	}
	x, ok := selector.X.(*ast.Ident)
	return ok && x.Name == "time"
}
