package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgserver"
)

// privateSettings are those of a private cluster: durable, as in production, and without checkpoints in the middle of a measurement.
var privateSettings = map[string]string{
	"fsync":              "on",
	"synchronous_commit": "on",
	"full_page_writes":   "on",
	"shared_buffers":     "512MB",
	"max_wal_size":       "8GB",
	"checkpoint_timeout": "30min",
	"max_connections":    "200",
}

// server is the PostgreSQL server under test. Everything that bench creates there has names with one prefix of its own.
type server struct {
	config *pgxpool.Config
	given  bool // by URL, else it is a private cluster
	stop   func() error
	prefix string

	// url is where it is, for child processes.
	url string

	// admin is connected to a database of its own, so that no query of bench's counts as one of a system's.
	admin *pgxpool.Pool

	// owner is the connection that the admin database was created over.
	owner *pgx.Conn

	// statements is whether pg_stat_statements can be asked.
	statements bool

	templates map[string]string // migrated database to clone, by name of the system
	databases atomic.Int64      // created so far, for their names
}

func startServer(ctx context.Context, address string) (*server, error) {
	found, err := find(ctx, address)
	if err != nil {
		return nil, err
	}
	s := &server{url: found.URL, given: address != "", stop: found.Close, prefix: "pgq_bench_" + strings.ToLower(rand.Text()[:8]), templates: map[string]string{}}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// find returns the server of the URL, or a private cluster with pg_stat_statements if it is installed.
func find(ctx context.Context, address string) (*pgserver.Server, error) {
	if address != "" {
		return pgserver.Start(ctx, pgserver.Options{URL: address, Way: pgserver.WayURL})
	}
	settings := maps.Clone(privateSettings)
	settings["shared_preload_libraries"] = "pg_stat_statements"
	found, err := pgserver.Start(ctx, pgserver.Options{Private: true, Settings: settings})
	if err != nil {
		found, err = pgserver.Start(ctx, pgserver.Options{Private: true, Settings: privateSettings})
	}
	return found, err
}

func (s *server) connect(ctx context.Context) error {
	var err error
	if s.config, err = pgxpool.ParseConfig(s.url); err != nil {
		return err
	}
	if s.owner, err = pgx.ConnectConfig(ctx, s.config.ConnConfig.Copy()); err != nil {
		return err
	}
	name := s.prefix + "_admin"
	if _, err := s.owner.Exec(ctx, "create database "+name); err != nil {
		return fmt.Errorf("creating databases must be allowed: %w", err)
	}
	if s.admin, err = pgxpool.NewWithConfig(ctx, s.poolConfig(name, minConns)); err != nil {
		return err
	}
	_, err = s.admin.Exec(ctx, "create extension pg_stat_statements")
	if err == nil {
		_, err = s.admin.Exec(ctx, "select from pg_stat_statements limit 1")
	}
	s.statements = err == nil
	return nil
}

// close drops what was created and stops a private cluster.
func (s *server) close(ctx context.Context) error {
	var errs []error
	for _, name := range s.templates {
		errs = append(errs, s.drop(ctx, name))
	}
	if s.admin != nil {
		s.admin.Close()
	}
	if s.owner != nil {
		_, err := s.owner.Exec(ctx, "drop database if exists "+s.prefix+"_admin")
		errs = append(errs, err, s.owner.Close(ctx))
	}
	return errors.Join(append(errs, s.stop())...)
}

// drop drops one of the databases that were created here, even if the context has ended.
func (s *server) drop(ctx context.Context, name string) error {
	_, err := s.admin.Exec(context.WithoutCancel(ctx), fmt.Sprintf("drop database if exists %s with (force)", name))
	return err
}

// databaseURL returns the URL, or the keywords and values that libpq takes as well, with another database.
func databaseURL(server, database string) string {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		return server + " dbname=" + database
	}
	query := u.Query()
	query.Del("dbname")
	query.Del("database")
	u.Path, u.RawQuery = "/"+database, query.Encode()
	return u.String()
}

// poolConfig returns the configuration of a pool of conns connections to the database.
func (s *server) poolConfig(name string, conns int) *pgxpool.Config {
	config := s.config.Copy()
	config.ConnConfig.Database = name
	config.MaxConns = int32(conns)
	return config
}

// describe says in one line which server this is and how durable its commits are.
func (s *server) describe(ctx context.Context) (string, error) {
	var version, fsync, synchronousCommit, sharedBuffers string
	origin := "private cluster"
	if s.given {
		origin = "given server"
	}
	err := s.admin.QueryRow(ctx, `
		select current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'),
		       current_setting('shared_buffers')`).Scan(&version, &fsync, &synchronousCommit, &sharedBuffers)
	return fmt.Sprintf("PostgreSQL %s (%s), fsync=%s, synchronous_commit=%s, shared_buffers=%s",
		version, origin, fsync, synchronousCommit, sharedBuffers), err
}

// checkpoint writes a checkpoint, so that none that is due falls into the next measurement. A user who may not has to
// live with that.
func (s *server) checkpoint(ctx context.Context) { _, _ = s.admin.Exec(ctx, "checkpoint") }

// walPosition returns how many bytes of WAL there have ever been.
func (s *server) walPosition(ctx context.Context) (int64, error) {
	var bytes int64
	err := s.admin.QueryRow(ctx, "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint").Scan(&bytes)
	return bytes, err
}

// template returns the name of a database that the system has migrated, and that nobody is connected to.
func (s *server) template(ctx context.Context, sys system) (string, error) {
	if name, ok := s.templates[sys.name()]; ok {
		return name, nil
	}
	name := s.prefix + "_" + sys.name()
	if _, err := s.admin.Exec(ctx, "create database "+name); err != nil {
		return "", err
	}
	if err := sys.migrate(ctx, databaseURL(s.url, name)); err != nil {
		return "", errors.Join(fmt.Errorf("migrate: %w", err), s.drop(ctx, name))
	}
	s.templates[sys.name()] = name
	return name, nil
}
