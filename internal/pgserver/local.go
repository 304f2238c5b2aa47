package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// usualDirs are where packages put the PostgreSQL programs outside of PATH. Each
// pattern's matches are taken newest first.
var usualDirs = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/usr/local/pgsql/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// startLocal runs a private cluster of the first programs that are new enough and
// that work.
func startLocal(ctx context.Context, o Options) (*Server, error) {
	dirs := o.programDirs
	if dirs == nil {
		dirs = searchDirs()
	}
	bins := withPrograms(dirs)
	if len(bins) == 0 {
		return nil, errors.New("no PostgreSQL programs (postgres, initdb) in PATH or in the usual directories, " +
			usualDirs[0] + " for example")
	}
	var failed []error
	for _, bin := range bins {
		s, err := startPrograms(ctx, bin, o)
		if err == nil {
			return s, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

// startPrograms runs a private cluster of the programs in bin.
func startPrograms(ctx context.Context, bin string, o Options) (*Server, error) {
	v, err := programVersion(ctx, bin)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bin, err)
	}
	if err := v.check(bin); err != nil {
		return nil, err
	}
	dir, err := newDirectory(o.InMemory)
	if err != nil {
		return nil, err
	}
	s, err := startCluster(ctx, bin, dir, o.Settings)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bin, errors.Join(err, dir.remove()))
	}
	s.Origin = fmt.Sprintf("private cluster of %s in %s", bin, dir.path)
	return s, nil
}

// searchDirs lists the directories of PATH and the usual ones, best first.
func searchDirs() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range usualDirs {
		dirs = append(dirs, newestFirst(pattern)...)
	}
	return dirs
}

// withPrograms returns the directories that hold a server and initdb, with links
// resolved, each once.
func withPrograms(dirs []string) []string {
	var bins []string
	for _, dir := range dirs {
		postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil {
			continue
		}
		bin, err := filepath.Abs(filepath.Dir(postgres))
		if err != nil || slices.Contains(bins, bin) {
			continue
		}
		if info, err := os.Stat(filepath.Join(bin, "initdb")); err == nil && !info.IsDir() {
			bins = append(bins, bin)
		}
	}
	return bins
}

var numberPattern = regexp.MustCompile(`\d+`)

// newestFirst expands a pattern and orders the matches by the version number that
// stands for its star: 17 before 9.6, and what has no number last.
func newestFirst(pattern string) []string {
	before, _, _ := strings.Cut(pattern, "*")
	major := func(path string) int {
		n, err := strconv.Atoi(numberPattern.FindString(strings.TrimPrefix(path, before)))
		if err != nil {
			return -1
		}
		return n
	}
	matches, _ := filepath.Glob(pattern) // the only error is a malformed pattern
	slices.SortFunc(matches, func(a, b string) int {
		return cmp.Or(cmp.Compare(major(b), major(a)), cmp.Compare(a, b))
	})
	return matches
}
