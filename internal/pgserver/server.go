package pgserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// startTimeout bounds how long a started server may take to answer.
const startTimeout = 60 * time.Second

// ErrNotPrivate is returned by the methods that stop and start a server when the
// server is not a private cluster: it was given by URL, or runs in a container.
var ErrNotPrivate = errors.New("pgserver: only a private cluster can be stopped and started")

// Server is a PostgreSQL that answered. Its fields do not change. Its methods may
// be called concurrently.
type Server struct {
	// URL connects as superuser (or as the user of the given URL) to the
	// maintenance database.
	URL string

	// Origin says in words where the server is from.
	Origin string

	// Version is the server's version, "17.5" for example.
	Version string

	cluster *cluster // nil when the server is not a private cluster
	close   func() error
}

// Start finds or starts a server; see the package comment for the order. The
// caller must Close it.
//
// Errors: *UnavailableError when no way led to a server, which lists all that
// were tried; errors.As finds a *VersionError in it when a server was too old.
func Start(ctx context.Context, o Options) (*Server, error) {
	o = o.fromEnvironment()
	ways, err := o.ways()
	if err != nil {
		return nil, err
	}
	var failed UnavailableError
	for _, way := range ways {
		s, err := startOne(ctx, way, o)
		if err == nil {
			return s, nil
		}
		failed.Attempts = append(failed.Attempts, Attempt{Way: way, Err: err})
		if ctx.Err() != nil {
			break
		}
	}
	return nil, &failed
}

func startOne(ctx context.Context, way string, o Options) (*Server, error) {
	switch way {
	case WayURL:
		return startURL(ctx, o)
	case WayLocal:
		return startLocal(ctx, o)
	case WayDocker:
		return startDocker(ctx, o)
	default:
		return startEmbedded(ctx, o)
	}
}

// Close ends a server that was started here and removes all it left on disk. A
// server that was given by URL is left alone. Later calls return what the first did.
func (s *Server) Close() error { return s.close() }

// Stop stops a private cluster. The mode is one of pg_ctl's: "smart" waits for
// clients to leave, "fast" ends their sessions, "immediate" is a crash without the
// processes having a say. It returns when the server is gone, or with ctx's error,
// in which case it may yet end later. To stop what is stopped does nothing.
//
// Errors: ErrNotPrivate.
func (s *Server) Stop(ctx context.Context, mode string) error {
	if s.cluster == nil {
		return ErrNotPrivate
	}
	return s.cluster.stop(ctx, mode)
}

// Start starts a stopped private cluster again, with the same data, settings, port
// and URL, and returns when it answers.
//
// Errors: ErrNotPrivate.
func (s *Server) Start(ctx context.Context) error {
	if s.cluster == nil {
		return ErrNotPrivate
	}
	return s.cluster.start(ctx)
}

// Restart is Stop followed by Start.
func (s *Server) Restart(ctx context.Context, mode string) error {
	if err := s.Stop(ctx, mode); err != nil {
		return err
	}
	return s.Start(ctx)
}

// startURL takes the server that was given.
func startURL(ctx context.Context, o Options) (*Server, error) {
	if o.URL == "" {
		return nil, errors.New("PGQ_DATABASE_URL is not set")
	}
	config, err := pgconn.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.urlFrom, err)
	}
	where := fmt.Sprintf("the server of %s (%s, port %d, database %s)", o.urlFrom, config.Host, config.Port, config.Database)

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	version, err := ask(ctx, o.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if err := version.check(where); err != nil {
		return nil, err
	}
	return &Server{
		URL:     o.URL,
		Origin:  where,
		Version: version.text,
		close:   func() error { return nil },
	}, nil
}

// closeOnce makes a function that ends something safe to call again.
func closeOnce(f func() error) func() error { return sync.OnceValue(f) }
