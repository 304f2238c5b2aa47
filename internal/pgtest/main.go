package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/pgq-go/queue/internal/pgserver"
)

// timeout bounds each thing that is asked of the server on behalf of a test.
const timeout = 2 * time.Minute

// shared is the server of this test binary.
type shared struct {
	server   *pgserver.Server
	admin    *pgxpool.Pool // on the maintenance database
	template func() (string, error)
}

// start finds or starts the server when the first test asks.
var start = sync.OnceValues(func() (*shared, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	server, err := pgserver.Start(ctx, pgserver.Options{Settings: pgserver.TestSettings(), InMemory: true})
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(server.URL)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	config.MaxConns = 4
	admin, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	s := &shared{server: server, admin: admin}
	s.template = sync.OnceValues(s.makeTemplate)
	started = s
	return s, nil
})

// started is what start returned, nil if no test has asked.
var started *shared

// Main runs the tests of a package and exits: with the tests' code, or with 1 if
// they passed but goroutines are left over. Call it from TestMain.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for those who have something to do before they exit with the code.
func Run(m *testing.M) (code int) {
	code = m.Run()
	err := stop()
	if err == nil && code == 0 { // a test that failed may well have left some
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	if code != 0 && started != nil {
		fmt.Fprintf(os.Stderr, "pgtest: with PostgreSQL %s, %s\n", started.server.Version, started.server.Origin)
	}
	return code
}

// stop ends the server if this process started it.
func stop() error {
	if started == nil {
		return nil
	}
	started.admin.Close()
	return started.server.Close()
}

// get returns the server, or fails the test.
func get(t testing.TB) *shared {
	t.Helper()
	s, err := start()
	if err != nil {
		t.Fatal("pgtest: ", err)
	}
	return s
}
