package pgserver

import (
	"fmt"
	"os"
)

// The ways of getting a server, as PGQ_POSTGRES and Options.Way name them.
const (
	WayURL      = "url"
	WayLocal    = "local"
	WayDocker   = "docker"
	WayEmbedded = "embedded"
)

const (
	defaultImage       = "postgres:17-alpine"
	defaultEmbeddedURL = "https://repo1.maven.org/maven2"
)

// Options says which server is wanted. The zero value takes everything from the
// environment and else tries every way.
type Options struct {
	// URL is the server to use. Empty: PGQ_DATABASE_URL.
	URL string

	// Way restricts the search to one of the four ways. Empty: PGQ_POSTGRES, and
	// if that is empty as well, all of them in order.
	Way string

	// Private asks for a server that nobody else uses: the URL is not considered.
	Private bool

	// InMemory asks for a private cluster of this machine's programs whose files are in memory, where the system has
	// room for that (Linux, /dev/shm). A database is then made in a third of the time.
	InMemory bool

	// Settings are server settings (postgresql.conf) of a server that is started
	// here. A server that was given keeps its own.
	Settings map[string]string

	// Image is the Docker image. Empty: PGQ_POSTGRES_IMAGE, else postgres:17-alpine.
	Image string

	// EmbeddedURL is the Maven repository that the embedded PostgreSQL is
	// downloaded from. Empty: PGQ_EMBEDDED_POSTGRES_URL, else Maven Central.
	EmbeddedURL string

	// embeddedCache keeps what was downloaded. Empty: in the user's cache directory.
	embeddedCache string
	// programDirs replaces PATH and the usual directories, for tests.
	programDirs []string
	// urlFrom says in messages where URL is from.
	urlFrom string
}

// TestSettings are settings for a cluster whose data nobody will miss: a crash of
// the machine may lose all of it. It has room for many test binaries at once.
func TestSettings() map[string]string {
	return map[string]string{
		"fsync":              "off",
		"synchronous_commit": "off",
		"full_page_writes":   "off",
		"max_connections":    "300",
		"shared_buffers":     "128MB",
		// Each DROP DATABASE asks for a checkpoint; there is nothing to spread out.
		"checkpoint_timeout": "1h",
		"max_wal_size":       "4GB",
	}
}

// fromEnvironment fills what was left empty.
func (o Options) fromEnvironment() Options {
	o.urlFrom = "the given URL"
	if o.URL == "" {
		o.URL, o.urlFrom = os.Getenv("PGQ_DATABASE_URL"), "PGQ_DATABASE_URL"
	}
	if o.Way == "" {
		o.Way = os.Getenv("PGQ_POSTGRES")
	}
	if o.Image == "" {
		o.Image = os.Getenv("PGQ_POSTGRES_IMAGE")
	}
	if o.Image == "" {
		o.Image = defaultImage
	}
	if o.EmbeddedURL == "" {
		o.EmbeddedURL = os.Getenv("PGQ_EMBEDDED_POSTGRES_URL")
	}
	if o.EmbeddedURL == "" {
		o.EmbeddedURL = defaultEmbeddedURL
	}
	return o
}

// ways returns the names of the ways to try, in order.
func (o Options) ways() ([]string, error) {
	switch o.Way {
	case WayLocal, WayDocker, WayEmbedded:
		return []string{o.Way}, nil
	case WayURL:
		if o.Private {
			return nil, fmt.Errorf("pgserver: PGQ_POSTGRES=url cannot give a private server; " +
				"set it to local, docker or embedded, or leave it empty")
		}
		return []string{WayURL}, nil
	case "":
	default:
		return nil, fmt.Errorf("pgserver: PGQ_POSTGRES is %q; it may be url, local, docker or embedded", o.Way)
	}
	if o.Private {
		return []string{WayLocal, WayDocker, WayEmbedded}, nil
	}
	if o.URL != "" {
		return []string{WayURL}, nil
	}
	return []string{WayURL, WayLocal, WayDocker, WayEmbedded}, nil
}
