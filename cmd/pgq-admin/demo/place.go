package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgserver"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker/config"
)

const (
	schemaName = "pgq_demo"
	// applicationName is what pg_stat_activity shows.
	applicationName = "pgq-admin demo"
	cleanupTimeout  = 20 * time.Second
)

// place is where the demo happens: two schemas in some PostgreSQL.
type place struct {
	server          *pgserver.Server
	given           bool // the server was there before us
	origin, version string
	pool            *pgxpool.Pool
	schema          string // of PGQ; empty until it is made
	appSchema       string // of the demo's own table
}

// arrive finds or starts a PostgreSQL and makes the schemas. Should that fail it leaves nothing.
func arrive(ctx context.Context, databaseURL string, workers int) (p *place, err error) {
	server, err := pgserver.Start(ctx, pgserver.Options{URL: databaseURL})
	if err != nil {
		return nil, err
	}
	p = &place{server: server, given: server.URL == databaseURL, origin: server.Origin, version: server.Version}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.leave(false))
			p = nil
		}
	}()
	config, err := pgxpool.ParseConfig(server.URL)
	if err != nil {
		return p, err
	}
	config.MaxConns = int32(4*workers + 4)
	config.ConnConfig.RuntimeParams["application_name"] = applicationName
	config.ConnConfig.RuntimeParams["client_encoding"] = "UTF8"
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return p, err
	}
	if err := p.makeSchemas(ctx); err != nil {
		return p, err
	}
	return p, migrations.Up(ctx, server.URL, migrations.Options{Schema: p.schema})
}

// makeSchemas creates two schemas, in one transaction. Names that exist are never taken: "create schema" fails for
// them, so what is dropped at the end is certainly ours.
func (p *place) makeSchemas(ctx context.Context) error {
	for n := 1; n <= 100; n++ {
		name := schemaName
		if n > 1 {
			name = fmt.Sprintf("%s_%d", schemaName, n)
		}
		err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
			for _, schema := range []string{name, name + "_app"} {
				_, err := tx.Exec(ctx, "create schema "+schema+
					"; comment on schema "+schema+" is 'Made by pgq-admin demo; may be dropped when no demo is running'")
				if err != nil {
					return err
				}
			}
			return nil
		})
		var pg *pgconn.PgError
		switch {
		case err == nil:
			p.schema, p.appSchema = name, name+"_app"
			return nil
		case errors.As(err, &pg) && (pg.Code == "42P06" || pg.Code == "23505"): // it exists, or is made this instant
		default:
			return fmt.Errorf("create schema %s: %w", name, err)
		}
	}
	return fmt.Errorf("the schemas %s, %[1]s_2 … %[1]s_100 all exist already; drop those of demos that are over", schemaName)
}

// leave removes what was made: the schemas, or all of a PostgreSQL that was started. It works also when the demo was
// interrupted.
func (p *place) leave(keep bool) error {
	var err error
	if p.given && p.schema != "" && !keep {
		err = p.dropSchemas()
	}
	if p.pool != nil {
		p.pool.Close()
	}
	return errors.Join(err, p.server.Close())
}

func (p *place) dropSchemas() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	statement := "drop schema if exists " + p.schema + ", " + p.appSchema + " cascade"
	if _, err := p.pool.Exec(ctx, statement); err != nil {
		return fmt.Errorf("clean up: %w; to do it yourself: %s", err, statement)
	}
	return nil
}

// psql returns the command that connects to the demo's database without showing a password, and what removes that
// which makes the command work.
func (p *place) psql(ctx context.Context, given string) (command string, remove func(), err error) {
	if p.given {
		masked := config.MaskURL(given)
		switch given {
		case masked:
			return fmt.Sprintf("psql '%s'", given), func() {}, nil
		case os.Getenv("PGQ_DATABASE_URL"):
			return `psql "$PGQ_DATABASE_URL"`, func() {}, nil
		}
		return fmt.Sprintf("psql '%s'   (with your password)", masked), func() {}, nil
	}
	c := p.pool.Config().ConnConfig
	var sockets, port string
	err = p.pool.QueryRow(ctx, "select current_setting('unix_socket_directories'), current_setting('port')").Scan(&sockets, &port)
	if err != nil {
		return "", nil, err
	}
	// In a container the port is another one.
	directory, _, _ := strings.Cut(sockets, ",")
	if _, err := os.Stat(filepath.Join(directory, ".s.PGSQL."+port)); err == nil && port == strconv.Itoa(int(c.Port)) {
		return fmt.Sprintf("psql -h %s -p %s -U %s %s", directory, port, c.User, c.Database), func() {}, nil
	}
	directory, err = os.MkdirTemp("", "pgq-demo-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(directory) }
	file := filepath.Join(directory, "pgpass")
	line := fmt.Sprintf("*:*:*:*:%s\n", strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(c.Password))
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		remove()
		return "", nil, err
	}
	target := url.URL{Scheme: "postgres", User: url.User(c.User), Host: fmt.Sprintf("%s:%d", c.Host, c.Port), Path: "/" + c.Database}
	return fmt.Sprintf("PGPASSFILE=%s psql %s", file, target.String()), remove, nil
}
