//go:build linux

package pgserver

import (
	"archive/tar"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// archive is a tar file of parts of this machine, each under its own path, from
// which the prefix is taken away.
type archive struct {
	t      *testing.T
	w      *tar.Writer
	prefix string
	has    map[string]bool
}

func newArchive(t *testing.T, w io.Writer, prefix string) *archive {
	return &archive{t: t, w: tar.NewWriter(w), prefix: prefix, has: map[string]bool{}}
}

// shareDir is where the programs in bin look for their data.
func shareDir(t *testing.T, bin string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(bin, "pg_config"), "--sharedir").Output()
	if err != nil {
		t.Fatal("pg_config --sharedir:", err)
	}
	return strings.TrimSpace(string(out))
}

// postgres adds what a server needs, and returns the paths of its binaries.
func (a *archive) postgres(bin string) []string {
	a.t.Helper()
	binaries := []string{filepath.Join(bin, "postgres"), filepath.Join(bin, "initdb")}
	for _, module := range []string{"plpgsql", "dict_snowball", "pg_stat_statements"} {
		binaries = append(binaries, filepath.Join(filepath.Dir(bin), "lib", module+".so"))
	}
	for _, path := range binaries {
		a.copy(path)
	}
	a.tree(shareDir(a.t, bin))
	return binaries
}

// libraries adds what the program or module loads.
func (a *archive) libraries(path string) {
	a.t.Helper()
	out, _ := exec.Command("ldd", path).Output() // fails for programs that load nothing
	for _, m := range libraryPattern.FindAllStringSubmatch(string(out), -1) {
		a.copy(m[1])
	}
}

var libraryPattern = regexp.MustCompile(`(/[^ ]+) \(0x`)

// tree adds a directory, without documentation and translations.
func (a *archive) tree(dir string) {
	a.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"man", "doc", "locale", "contrib"}, d.Name()) {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			a.copy(path)
		}
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
}

// copy adds one file with its content, under this path even if it is a link.
func (a *archive) copy(path string) {
	a.t.Helper()
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return // a link to something that is not installed
	}
	content, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	a.file(path, info.Mode().Perm(), string(content))
}

func (a *archive) file(path string, mode fs.FileMode, content string) {
	a.add(tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: int64(mode), Size: int64(len(content))}, content)
}

func (a *archive) dir(path string, mode int64) {
	a.add(tar.Header{Name: path, Typeflag: tar.TypeDir, Mode: mode}, "")
}

func (a *archive) link(path, target string) {
	if path != target {
		a.add(tar.Header{Name: path, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}, "")
	}
}

func (a *archive) add(h tar.Header, content string) {
	a.t.Helper()
	if a.has[h.Name] {
		return
	}
	a.has[h.Name] = true
	h.Name = strings.TrimPrefix(h.Name, a.prefix)
	if err := a.w.WriteHeader(&h); err != nil {
		a.t.Fatal(err)
	}
	if _, err := io.WriteString(a.w, content); err != nil {
		a.t.Fatal(err)
	}
}
