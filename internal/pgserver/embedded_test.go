//go:build linux

package pgserver

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pack makes what the repository offers, a jar that holds a txz, of the PostgreSQL
// of this machine.
func pack(t *testing.T) []byte {
	t.Helper()
	bins := withPrograms(searchDirs())
	if len(bins) == 0 {
		t.Skip("SKIPPED: no PostgreSQL programs on this machine to pack as an embedded PostgreSQL")
	}
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("SKIPPED: this machine has no xz to pack an embedded PostgreSQL with")
	}
	bin, share := bins[0], shareDir(t, bins[0])

	// Programs find their data relative to themselves, if all paths end as they do
	// where they were built. What the two have in front can then change.
	prefix := commonPrefix(bin, share)
	var files bytes.Buffer
	a := newArchive(t, &files, prefix)
	a.postgres(bin)
	a.link(prefix+"bin", strings.TrimPrefix(bin, prefix))
	if err := a.w.Close(); err != nil {
		t.Fatal(err)
	}

	xz := exec.Command("xz", "-0", "--stdout")
	xz.Stdin = &files
	txz, err := xz.Output()
	if err != nil {
		t.Fatal("xz:", err)
	}
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	entry, err := z.Create("postgres-linux.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write(txz); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return jar.Bytes()
}

func commonPrefix(a, b string) string {
	for prefix := filepath.Dir(a); ; prefix = filepath.Dir(prefix) {
		if slash := strings.TrimSuffix(prefix, "/") + "/"; strings.HasPrefix(b, slash) {
			return slash
		}
	}
}

func TestEmbeddedIsDownloadedUnpackedAndRun(t *testing.T) {
	t.Parallel()
	jar := pack(t)
	sum := sha256.Sum256(jar)
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/io/zonky/test/postgres/embedded-postgres-binaries-"):
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, ".sha256"):
			w.Write([]byte(hex.EncodeToString(sum[:])))
		default:
			w.Write(jar)
		}
	}))
	defer repository.Close()

	cache := t.TempDir()
	s, err := Start(t.Context(), Options{
		Way:           WayEmbedded,
		Private:       true,
		EmbeddedURL:   repository.URL,
		embeddedCache: cache,
		Settings:      TestSettings(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.Contains(s.Origin, "downloaded from "+repository.URL) {
		t.Errorf("Origin is %q", s.Origin)
	}
	if !strings.HasPrefix(s.cluster.bin, s.cluster.dir.path) {
		t.Errorf("the programs are those of %s", s.cluster.bin)
	}
	library := value[string](t, s.URL, "select setting from pg_config where name = 'PKGLIBDIR'")
	if !strings.HasPrefix(library, s.cluster.dir.path) {
		t.Errorf("the server uses %s, which was not downloaded", library)
	}
	if err := s.Restart(t.Context(), "fast"); err != nil {
		t.Error(err)
	}
	value[int](t, s.URL, "select 1")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.cluster.dir.path); !os.IsNotExist(err) {
		t.Errorf("%s is still there", s.cluster.dir.path)
	}
	if kept, _ := filepath.Glob(filepath.Join(cache, "*.txz")); len(kept) != 1 {
		t.Errorf("the cache holds %v", kept)
	}
}

func TestADownloadWithAWrongChecksumIsRefused(t *testing.T) {
	t.Parallel()
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("something"))
	}))
	defer repository.Close()
	_, err := Start(t.Context(), Options{Way: WayEmbedded, EmbeddedURL: repository.URL, embeddedCache: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "checksums") {
		t.Errorf("got %v", err)
	}
}

func TestADownloadThatStallsEndsWithTheContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	requested := make(chan struct{}, 1)
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requested <- struct{}{}
		<-release
	}))
	defer repository.Close()
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() { <-requested; cancel() }()
	_, err := Start(ctx, Options{Way: WayEmbedded, EmbeddedURL: repository.URL, embeddedCache: t.TempDir()})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
