package structure

import (
	"slices"
	"strings"
	"testing"
)

// arrows says what the code of a package, tests aside, may import of this
// repository. The most specific directory counts; one that is not listed may import
// anything but cmd.
var arrows = []struct {
	of    string
	may   []string
	third []string // and of others; nil: anything that owners does not forbid
}{
	{of: "pgq", may: []string{"pgq/sql"}, third: []string{"github.com/jackc/pgx/v5"}},
	{of: "pgq/migrations", may: []string{"pgq/sql"}, third: []string{"github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"}},
	{of: "dagsql", may: []string{"pgq"}, third: []string{"github.com/jackc/pgx/v5"}},
	{of: "worker", may: []string{"pgq"}},                  // and not dagsql, nor dagsql it
	{of: "worker/config", may: []string{"pgq", "worker"}}, // and YAML, which stays away from those who do not import it
	{of: "internal/pgserver", may: []string{"internal/pgserver"}},
	{of: "internal/pgtest", may: []string{"internal/pgserver", "pgq/migrations"}},
	{of: "cmd", may: []string{"pgq", "dagsql", "worker", "internal", "cmd"}},
}

// owners are the only places, tests included, that may import a dependency, which can
// then be replaced in one place and stays away from users who do not need it.
var owners = map[string][]string{
	"github.com/pressly/goose/v3":                 {"pgq/migrations"},
	"github.com/lmittmann/tint":                   {"cmd"},
	"github.com/spf13/cobra":                      {"cmd"},
	"github.com/parquet-go/parquet-go":            {"cmd"},
	"github.com/schollz/progressbar/v3":           {"cmd"},
	"github.com/goccy/go-yaml":                    {"cmd", "worker/config"},
	"go.yaml.in/yaml":                             {"cmd", "worker/config"},
	"gopkg.in/yaml.v3":                            {"cmd", "worker/config"},
	"github.com/testcontainers/testcontainers-go": {"internal/pgserver", "integration"},
	"github.com/moby/moby":                        {"internal/pgserver", "integration"},
	"github.com/fergusstrange/embedded-postgres":  {"internal/pgserver", "integration"},
	"go.uber.org/goleak":                          {"internal/pgtest", testsOnly},
	"github.com/robfig/cron/v3":                   {"integration"},
	"pgregory.net/rapid":                          {testsOnly},
	"testing":                                     {"internal/pgtest", testsOnly},
	"github.com/stretchr/testify":                 {},
	module + "/internal/pgtest":                   {testsOnly},
	module + "/internal/pgserver":                 {"cmd", "internal/pgserver", "internal/pgtest", "integration", testsOnly},
}

// testsOnly as an owner stands for all test files.
const testsOnly = "*_test.go"

// libraries are what users import. Nothing that they reach may be more than this.
var (
	libraries      = []string{"pgq", "dagsql", "worker"}
	librariesDoNot = []string{"internal/pgserver", "internal/pgtest", "pgq/migrations", "cmd", "integration"}
)

func TestImportsFollowTheArrows(t *testing.T) {
	t.Parallel()
	_, files := repository(t)
	for _, f := range files {
		if f.test || within(f.dir, "integration") {
			continue
		}
		rule := -1
		for i, r := range arrows {
			if within(f.dir, r.of) && (rule < 0 || len(r.of) > len(arrows[rule].of)) {
				rule = i
			}
		}
		for _, imported := range f.imports {
			dir, our := ours(imported)
			switch {
			case rule < 0:
				if our && within(dir, "cmd") {
					t.Errorf("%s imports %s: nothing imports a command", f.path, imported)
				}
			case our && !mayImport(arrows[rule].of, arrows[rule].may, dir):
				t.Errorf("%s imports %s: of this repository, %s may import %v", f.path, imported, arrows[rule].of, arrows[rule].may)
			case !our && !standard(imported) && arrows[rule].third != nil && !within(imported, arrows[rule].third...):
				t.Errorf("%s imports %s: of others, %s may import %v", f.path, imported, arrows[rule].of, arrows[rule].third)
			}
		}
	}
}

// mayImport tells whether a package of the tree may import the one in dir. The
// packages in internal are for all, but for those that only tests and commands need.
func mayImport(tree string, may []string, dir string) bool {
	forAll := within(dir, "internal") && !within(dir, "internal/pgserver", "internal/pgtest")
	return forAll || within(dir, may...) || within(dir, tree) && tree != "pgq"
}

func TestADependencyIsImportedByItsOwnerOnly(t *testing.T) {
	t.Parallel()
	_, files := repository(t)
	for _, f := range files {
		for _, imported := range f.imports {
			for dependency, allowed := range owners {
				if !within(imported, dependency) || within(f.dir, allowed...) {
					continue
				}
				if f.test && slices.Contains(allowed, testsOnly) {
					continue
				}
				t.Errorf("%s imports %s: only %v may", f.path, imported, allowed)
			}
		}
	}
}

func TestLibrariesReachNothingThatUsersShouldNotHave(t *testing.T) {
	t.Parallel()
	_, files := repository(t)
	imports := map[string][]string{} // by directory, tests aside
	for _, f := range files {
		if f.test {
			continue
		}
		for _, imported := range f.imports {
			if dir, our := ours(imported); our {
				imports[f.dir] = append(imports[f.dir], dir)
			}
		}
	}
	var visit func(dir string, chain []string)
	seen := map[string]bool{}
	visit = func(dir string, chain []string) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		chain = append(chain, dir)
		if within(dir, librariesDoNot...) {
			t.Errorf("%s: users of a library would have it all", strings.Join(chain, " → "))
		}
		for _, next := range imports[dir] {
			visit(next, chain)
		}
	}
	for _, library := range libraries {
		visit(library, nil)
	}
}
