package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// embeddedVersion is what is downloaded.
const embeddedVersion = embeddedpostgres.V17

// embeddedTimeout bounds the download and the unpacking together.
const embeddedTimeout = 5 * time.Minute

// startEmbedded downloads PostgreSQL, unless an earlier start did, and runs a
// private cluster of it.
func startEmbedded(ctx context.Context, o Options) (*Server, error) {
	dir, err := newDirectory(false)
	if err != nil {
		return nil, err
	}
	s, err := startDownloaded(ctx, o, dir)
	if err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	s.Origin = fmt.Sprintf("private cluster of PostgreSQL %s downloaded from %s in %s", s.Version, o.EmbeddedURL, dir.path)
	return s, nil
}

func startDownloaded(ctx context.Context, o Options, dir *directory) (*Server, error) {
	programs, err := unpackEmbedded(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(programs, "bin")
	v, err := programVersion(ctx, bin)
	if err != nil {
		return nil, fmt.Errorf("the download from %s: %w", o.EmbeddedURL, err)
	}
	if err := v.check("the download from " + o.EmbeddedURL); err != nil {
		return nil, err
	}
	return startCluster(ctx, bin, dir, o.Settings)
}

// unpackEmbedded downloads and unpacks into dir and returns where bin, lib and
// share are. The library knows no contexts: when ctx ends first it goes on in the
// background, to no effect.
func unpackEmbedded(ctx context.Context, o Options, dir *directory) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, embeddedTimeout)
	defer cancel()
	cache := o.embeddedCache
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(base, "pgq", "embedded-postgres")
	}
	unpacked := make(chan error, 1)
	programs := filepath.Join(dir.path, "programs")
	go func() { unpacked <- unpackOnly(o.EmbeddedURL, cache, programs, dir.path) }()
	select {
	case err := <-unpacked:
		if err != nil {
			return "", fmt.Errorf("download from %s: %w", o.EmbeddedURL, err)
		}
		return programs, nil
	case <-ctx.Done():
		return "", fmt.Errorf("download from %s: %w", o.EmbeddedURL, context.Cause(ctx))
	}
}

// unpacking is held by the one start of the library at a time in this process.
var unpacking sync.Mutex

// unpackOnly makes the library download and unpack, but not run, PostgreSQL. It has
// no call for that, so its Start is made to fail right after: the data directory it
// is given can be neither cleaned nor made. Its servers would refuse to run as
// root and would outlive us.
func unpackOnly(repository, cache, programs, scratch string) error {
	unpacking.Lock()
	defer unpacking.Unlock()
	defer http.DefaultClient.CloseIdleConnections()
	defer removeLibraryLogs(time.Now())

	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	notADirectory := filepath.Join(scratch, "owner")
	stopped := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(embeddedVersion).
		BinaryRepositoryURL(repository).
		CachePath(cache).
		BinariesPath(programs).
		RuntimePath(filepath.Join(scratch, "runtime")).
		DataPath(filepath.Join(notADirectory, "data")).
		Port(0). // it only looks whether the port is free
		Logger(io.Discard),
	).Start()
	if stopped == nil || !strings.Contains(stopped.Error(), notADirectory) {
		return fmt.Errorf("embedded-postgres: %w", stopped)
	}
	return os.Chmod(programs, 0o755)
}

// removeLibraryLogs removes the empty log that the library leaves for each start.
func removeLibraryLogs(since time.Time) {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), "embedded_postgres_log*"))
	for _, path := range paths {
		info, err := os.Stat(path)
		if err == nil && info.Size() == 0 && info.ModTime().After(since.Add(-time.Second)) {
			_ = os.Remove(path)
		}
	}
}
