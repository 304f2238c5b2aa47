package structure

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// module is the import path of the repository's root.
const module = "github.com/pgq-go/queue"

// file is one Go file of the repository, of whatever module in it.
type file struct {
	path    string // from the root, with slashes
	dir     string
	test    bool
	lines   int
	imports []string
	syntax  *ast.File
	set     *token.FileSet
}

// repository returns the root and all Go files of the repository.
func repository(t *testing.T) (string, []file) {
	t.Helper()
	found, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(found.files) == 0 {
		t.Fatal("there is not a single Go file")
	}
	return found.root, found.files
}

// tree is what parse found.
type tree struct {
	root  string
	files []file
}

var parsed = sync.OnceValues(parse)

func parse() (tree, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return tree{}, err
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return tree{}, err
	}
	var files []file
	err = walk(root, func(name string) error {
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parseFile(root, name)
		files = append(files, f)
		return err
	})
	return tree{root, files}, err
}

// walk calls do for every file below root, by its path from root with slashes. It
// leaves out what the go command leaves out, too.
func walk(root string, do func(name string) error) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			n := d.Name()
			if p != root && (n[0] == '.' || n[0] == '_' || n == "testdata" || n == "vendor") {
				return filepath.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		return do(filepath.ToSlash(name))
	})
}

func parseFile(root, name string) (file, error) {
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return file{}, err
	}
	f := file{
		path:  name,
		dir:   path.Dir(name),
		test:  strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(content, []byte("\n")),
		set:   token.NewFileSet(),
	}
	if f.syntax, err = parser.ParseFile(f.set, name, content, parser.SkipObjectResolution); err != nil {
		return file{}, err
	}
	for _, spec := range f.syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

// within tells whether the package or directory p is in one of the trees.
func within(p string, trees ...string) bool {
	for _, tree := range trees {
		if p == tree || strings.HasPrefix(p, tree+"/") {
			return true
		}
	}
	return false
}

// ours returns the directory of an imported package of this repository.
func ours(imported string) (dir string, ok bool) {
	return strings.CutPrefix(imported, module+"/")
}

// standard tells whether the package is of the standard library.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
