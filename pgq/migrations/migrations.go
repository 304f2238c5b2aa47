// Package migrations holds the schema of PGQ as goose migrations and applies them.
//
// Tables are versioned by hand. The functions and views are generated from pgq/sql, one file per verb:
// "make migrations" writes 00002_functions.sql. Migrations are never run by a worker on its own: call Up
// on deployment, or use pgq-admin migrate.
//
// Every function takes a schema name; SQL is not templated, the migrations run with the search path set to it.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

//go:generate go run ./generate ../sql 00002_functions.sql

// Files holds the migrations: numbered goose files.
//
//go:embed *.sql
var Files embed.FS

const (
	// DefaultSchema is the schema that is used when none is named.
	DefaultSchema = "pgq"
	// MinServerVersion is the oldest PostgreSQL that works, as in server_version_num.
	MinServerVersion = 150000
	// cancelTimeout bounds the wait for the server to cancel a statement.
	cancelTimeout = 2 * time.Second
	// versionTable is where goose keeps the applied versions, inside the schema.
	versionTable = "schema_migrations"
	// schemaComment is the comment of a schema that the migrations created, and may drop again.
	schemaComment = "PGQ, made by its migrations: a job queue. select name, arguments, meaning from verbs: what is for use."
	// maxSchemaLength keeps the names of NOTIFY channels, of which pgq-events:SCHEMA is the longest, within PostgreSQL's 63 bytes.
	maxSchemaLength = 52
)

// Errors that Up, Down and Status return; match them with errors.Is.
var (
	// ErrForeignSchema means that the schema holds objects of somebody else (Skytools' PgQ, for example,
	// lives in a schema named pgq, too). Choose another schema.
	ErrForeignSchema = errors.New("migrations: the schema holds objects that are not PGQ's")
	// ErrServerVersion means that the server is older than PostgreSQL 15.
	ErrServerVersion = errors.New("migrations: PostgreSQL 15 or later is needed")
	// ErrEncoding means that the encoding of the database is SQL_ASCII: PostgreSQL has bytes there and no characters, so names
	// can neither be checked nor compared with those in JSON.
	ErrEncoding = errors.New("migrations: the encoding of the database must not be SQL_ASCII; make another one: create database NAME encoding 'UTF8' template template0")
	// ErrNotInstalled means that the schema holds no PGQ.
	ErrNotInstalled = errors.New("migrations: PGQ is not installed in the schema")
	// ErrPermission means that the role may not use the schema, so that what it holds cannot be seen.
	ErrPermission = errors.New("migrations: permission denied")
	// ErrSchemaName means that the name of the schema cannot be used.
	ErrSchemaName = errors.New("migrations: the name of the schema must have 1 to 52 bytes, not start with pg_ and be neither public nor information_schema")
	// ErrSchemaRights means that the schema is not that of the migrating role alone: it belongs to somebody else, somebody else may
	// create objects in it, or has. Functions of PGQ have the rights of who migrates, and such a role could get them. The error says what to do.
	ErrSchemaRights = errors.New("migrations: the schema must belong to the role that migrates, and to nobody else")
)

// Options say where to migrate. The zero value is ready to use.
type Options struct {
	// Schema is the schema that holds PGQ's objects; DefaultSchema by default.
	Schema string
	// LockTimeout is how long a statement waits for a lock on an object before the migration is taken back
	// (SQLSTATE 55P03); 5 s by default.
	LockTimeout time.Duration
}

// Applied is one migration and when it was applied.
type Applied struct {
	Version int64
	Name    string
	// At is zero for a migration that was not applied.
	At time.Time
}

// Up creates the schema if need be and applies all migrations that are missing. Any number of processes
// may call it at the same time: one works, the others wait for it and find nothing to do.
// It needs a direct connection (not a transaction pooler) and the right to create the schema.
// The schema's owner must be the migrating role, and nobody else may create objects in it.
// Errors: ErrSchemaName, ErrServerVersion, ErrEncoding, ErrForeignSchema, ErrSchemaRights, ErrPermission, or what the database says; each migration is
// one transaction, so that a failed one leaves nothing behind. A context that ends cancels the statement under way.
func Up(ctx context.Context, databaseURL string, o Options) error {
	return run(ctx, databaseURL, o, func(p *goose.Provider, look *sql.DB) error {
		if err := createSchema(ctx, look, o.schema()); err != nil {
			return err
		}
		_, err := p.Up(ctx)
		return err
	})
}

// Down removes everything that Up created, jobs included; the schema, too, if Up created that and nothing else is in it.
// Errors: ErrNotInstalled and those of Up.
func Down(ctx context.Context, databaseURL string, o Options) error {
	return run(ctx, databaseURL, o, func(p *goose.Provider, look *sql.DB) error {
		if err := requireInstalled(ctx, look, o.schema()); err != nil {
			return err
		}
		if _, err := p.DownTo(ctx, 0); err != nil {
			return err
		}
		return dropSchema(ctx, look, o.schema())
	})
}

// Status returns all migrations in order, applied or not. Errors: ErrNotInstalled and those of Up.
func Status(ctx context.Context, databaseURL string, o Options) ([]Applied, error) {
	var all []Applied
	err := run(ctx, databaseURL, o, func(p *goose.Provider, look *sql.DB) error {
		if err := requireInstalled(ctx, look, o.schema()); err != nil {
			return err
		}
		applied, err := versions(ctx, look, o.schema())
		for _, s := range p.ListSources() {
			all = append(all, Applied{Version: s.Version, Name: s.Path, At: applied[s.Version]})
		}
		return err
	})
	return all, err
}

// schema returns the schema's name, or the default.
func (o Options) schema() string {
	if o.Schema == "" {
		return DefaultSchema
	}
	return o.Schema
}

// checkSchema returns ErrSchemaName for a name that cannot be used.
func (o Options) checkSchema() error {
	if s := o.schema(); len(s) > maxSchemaLength || strings.HasPrefix(s, "pg_") || s == "public" || s == "information_schema" {
		return fmt.Errorf("%w, not %q", ErrSchemaName, s)
	}
	return nil
}

// run calls do with a provider whose connections have the schema, and nothing else, as search path, and with connections that have none: these look
// at the schema before it is known to be the migrating role's alone, and find no function that somebody else has put there.
func run(ctx context.Context, databaseURL string, o Options, do func(p *goose.Provider, look *sql.DB) error) error {
	schema := o.schema()
	if err := o.checkSchema(); err != nil {
		return err
	}
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	nameApplication(config)
	config.RuntimeParams["client_encoding"] = "UTF8"
	config.RuntimeParams["lock_timeout"] = o.lockTimeout()
	config.OnNotice = nil
	var opened connections
	// What is said while connecting is not converted to the database's encoding, so the name of the schema comes after that.
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		opened.add(conn)
		_, err := conn.Exec(ctx, "select set_config('search_path', $1, false)", pgx.Identifier{schema}.Sanitize()+", pg_temp")
		return err
	}))
	config = config.Copy()
	config.RuntimeParams["search_path"] = "pg_catalog, pg_temp"
	config.RuntimeParams["row_security"] = "off"
	look := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(_ context.Context, conn *pgx.Conn) error {
		opened.add(conn)
		return nil
	}))
	defer opened.wait()
	defer db.Close()   //nolint:errcheck // nothing is left to be written
	defer look.Close() //nolint:errcheck // the same

	if err := requireServer(ctx, look); err != nil {
		return err
	}
	provider, err := newProvider(db, o)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if err := do(provider, look); err != nil {
		return fmt.Errorf("migrations: schema %s: %w", schema, err)
	}
	return nil
}

// nameApplication names connections, unless the URL or the environment does.
func nameApplication(config *pgx.ConnConfig) {
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "pgq migrations"
	}
}

// connections are all that were opened.
type connections struct {
	mu  sync.Mutex
	all []*pgx.Conn
}

func (c *connections) add(conn *pgx.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, conn)
}

// wait waits until the server knows that they are closed: a statement that a context has interrupted is cancelled there, or would run on.
func (c *connections) wait() {
	deadline := time.After(cancelTimeout)
	for _, conn := range c.all {
		select {
		case <-conn.PgConn().CleanupDone():
		case <-deadline:
			return
		}
	}
}

// newProvider returns a goose provider that keeps its versions in the schema and lets one process work at a time.
func newProvider(db *sql.DB, o Options) (*goose.Provider, error) {
	store, err := database.NewStore(database.DialectPostgres, versionTable)
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectCustom, db, timed{o.lockTimeout()},
		goose.WithStore(store), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
}

// requireServer returns ErrServerVersion for a server that is too old, and ErrEncoding for a database without characters.
func requireServer(ctx context.Context, db *sql.DB) error {
	var number int
	var version, encoding string
	err := db.QueryRowContext(ctx,
		"select current_setting('server_version_num')::int, current_setting('server_version'), current_setting('server_encoding')").Scan(&number, &version, &encoding)
	if err != nil {
		return fmt.Errorf("migrations: connect: %w", err)
	}
	if number < MinServerVersion {
		return fmt.Errorf("%w; this is PostgreSQL %s", ErrServerVersion, version)
	}
	if encoding == "SQL_ASCII" {
		return ErrEncoding
	}
	return nil
}

// createSchema creates the schema, or makes sure that one which is there is ours or empty, and nobody else's.
func createSchema(ctx context.Context, db *sql.DB, schema string) error {
	state, err := inspect(ctx, db, schema)
	switch {
	case err != nil:
		return err
	case state.foreign != "":
		return fmt.Errorf("%w: %s", ErrForeignSchema, state.foreign)
	case state.exists:
		return checkRights(ctx, db, schema)
	}
	if err = makeSchema(ctx, db, pgx.Identifier{schema}.Sanitize()); err != nil {
		// It fails for those who create it in the same instant, but for one.
		if again, inspectErr := inspect(ctx, db, schema); inspectErr != nil || !again.exists {
			return err
		}
	}
	return checkRights(ctx, db, schema) // default privileges can give others rights on new schemas
}

// makeSchema creates a schema and notes that it did.
func makeSchema(ctx context.Context, db *sql.DB, quoted string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // of nothing once it was committed
	for _, statement := range []string{"create schema " + quoted, "comment on schema " + quoted + " is '" + schemaComment + "'"} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// requireInstalled returns ErrNotInstalled unless the schema holds PGQ.
func requireInstalled(ctx context.Context, db *sql.DB, schema string) error {
	state, err := inspect(ctx, db, schema)
	if err == nil && !state.installed {
		return ErrNotInstalled
	}
	return err
}

// versions returns the migrations that are applied, and when they were; in goose's table the last row of each counts.
func versions(ctx context.Context, db *sql.DB, schema string) (map[int64]time.Time, error) {
	rows, err := db.QueryContext(ctx, "select version_id, is_applied, tstamp from "+pgx.Identifier{schema, versionTable}.Sanitize()+" where version_id > 0 order by id")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // it was only read
	applied := map[int64]time.Time{}
	for rows.Next() {
		var version int64
		var isApplied bool
		var at time.Time
		if err := rows.Scan(&version, &isApplied, &at); err != nil {
			return nil, err
		}
		if delete(applied, version); isApplied {
			applied[version] = at
		}
	}
	return applied, rows.Err()
}

// dropSchema drops goose's table, and the schema if the migrations created it and nothing else is in it; else only their comment on it.
func dropSchema(ctx context.Context, db *sql.DB, schema string) error {
	quoted := pgx.Identifier{schema}.Sanitize()
	if _, err := db.ExecContext(ctx, "drop table if exists "+quoted+"."+versionTable); err != nil {
		return err
	}
	state, err := inspect(ctx, db, schema)
	if err != nil || !state.ours {
		return err
	}
	if state.foreign == "" {
		_, err = db.ExecContext(ctx, "drop schema "+quoted)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "2BP01" { // others have something else in it: operators, collations ...
			return err
		}
	}
	_, err = db.ExecContext(ctx, "comment on schema "+quoted+" is null")
	return err
}

// schemaState is what a schema holds.
type schemaState struct {
	exists, installed bool
	// ours: the migrations created it.
	ours bool
	// foreign names an object in a schema without our version table.
	foreign string
}

// inspect returns what a schema holds. ErrPermission: the role may not use it, and would take it for empty.
func inspect(ctx context.Context, db *sql.DB, schema string) (schemaState, error) {
	const query = `
		select n.oid is not null,
		       t.oid is not null,
		       coalesce(obj_description(n.oid, 'pg_namespace') = '` + schemaComment + `', false),
		       case when not has_schema_privilege(n.oid, 'usage')
		            then format('role %s may not use schema %s, which role %s owns', current_user, n.nspname, pg_get_userbyid(n.nspowner)) else '' end,
		       coalesce(case when t.oid is null then coalesce(
		           (select c.relname::text from pg_class c where c.relnamespace = n.oid limit 1),
		           (select p.proname::text from pg_proc p where p.pronamespace = n.oid limit 1),
		           (select y.typname::text from pg_type y where y.typnamespace = n.oid limit 1)) end, '')
		from (select $1::text as name) s
		left join pg_namespace n on n.nspname = s.name
		left join pg_class t on t.relnamespace = n.oid and t.relname = '` + versionTable + `' and t.relkind = 'r'
			and exists (select from pg_attribute a where a.attrelid = t.oid and a.attname = 'version_id') -- others have tables of that name`
	var s schemaState
	var denied string
	err := db.QueryRowContext(ctx, query, schema).Scan(&s.exists, &s.installed, &s.ours, &denied, &s.foreign)
	if err == nil && denied != "" {
		err = fmt.Errorf("%w: %s", ErrPermission, denied)
	}
	return s, err
}
