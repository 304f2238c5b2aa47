package demo

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// own are the demo's sources, to count where there are no others.
//
//go:embed *.go
var own embed.FS

// source is what the demo counts: directories of Go files.
type source struct {
	files fs.FS
	what  string // in words
}

// findSource looks for the standard library's sources, and takes the demo's own where there are none.
func findSource(ctx context.Context) source {
	if root := goRoot(ctx); root != "" {
		library := filepath.Join(root, "src")
		files := os.DirFS(library)
		if _, err := fs.Stat(files, "fmt/print.go"); err == nil {
			return source{files, "the Go standard library in " + library}
		}
	}
	return source{own, "the demo's own sources, since no Go source tree was found here (go env GOROOT)"}
}

// goRoot returns where Go is installed, "" if it is not.
func goRoot(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return os.Getenv("GOROOT")
	}
	return strings.TrimSpace(string(out))
}

// packagesIn returns the directories that hold Go files, without commands, other people's packages and test data.
func packagesIn(ctx context.Context, files fs.FS) ([]string, error) {
	var packages []string
	err := fs.WalkDir(files, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return cmpError(err, ctx.Err())
		}
		if d.IsDir() {
			name := path.Base(p)
			if p == "cmd" || name == "testdata" || name == "vendor" || p != "." && strings.ContainsAny(name[:1], "._") {
				return fs.SkipDir
			}
			return nil
		}
		if dir := path.Dir(p); strings.HasSuffix(p, ".go") && (len(packages) == 0 || packages[len(packages)-1] != dir) {
			packages = append(packages, dir)
		}
		return nil
	})
	slices.Sort(packages)
	return slices.Compact(packages), err
}

func cmpError(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// Counts are what is in a package.
type Counts struct {
	Package   string `json:"package,omitempty"`
	Files     int    `json:"files"`
	Lines     int    `json:"lines"`
	Functions int    `json:"functions"`
}

// Counted is the result of a job that counts a package.
type Counted struct {
	Counts
	Words map[string]int `json:"words"`
}

// countPackage counts the Go files of a directory.
func countPackage(ctx context.Context, files fs.FS, dir string) (Counted, error) {
	c := Counted{Counts: Counts{Package: dir}, Words: map[string]int{}}
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return c, err
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		if ctx.Err() != nil {
			return c, context.Cause(ctx)
		}
		content, err := fs.ReadFile(files, path.Join(dir, e.Name()))
		if err != nil {
			return c, fmt.Errorf("read a file of package %s: %w", dir, err)
		}
		c.addFile(content)
	}
	return c, nil
}

// minWord is how many letters a sequence of letters must have to count as a word.
const minWord = 3

// addFile counts one file. A function is a declaration at the start of a line, as gofmt leaves it.
func (c *Counted) addFile(content []byte) {
	c.Files++
	c.Lines += bytes.Count(content, []byte("\n"))
	if len(content) > 0 && content[len(content)-1] != '\n' {
		c.Lines++
	}
	c.Functions += bytes.Count(content, []byte("\nfunc "))
	for word := range bytes.FieldsFuncSeq(content, func(r rune) bool { return !unicode.IsLetter(r) }) {
		if len(word) >= minWord && utf8.Valid(word) {
			c.Words[strings.ToLower(string(word))]++
		}
	}
}

// add adds the counts of another package.
func (c *Counts) add(other Counts) {
	c.Files += other.Files
	c.Lines += other.Lines
	c.Functions += other.Functions
}
