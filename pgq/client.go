package pgq

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DefaultSchema is the schema that holds PGQ's objects unless another one is configured.
const DefaultSchema = "pgq"

// DefaultQueue is the queue of jobs that name none.
const DefaultQueue = "default"

// SchemaVersion is the version of the schema that this library works with: that of its last migration.
const SchemaVersion = 2

// Config holds the settings of a [Client]. The zero value is ready to use.
type Config struct {
	// Schema holds PGQ's objects; DefaultSchema by default.
	Schema string
	// Codec encodes args, results, results of steps and cursors that say nothing else; [JSON] by default. What is handed over as JSON
	// (EnqueueJSON, documents of DAGs and schedules, items of maps, signals) is stored as JSON.
	Codec Codec
	// Codecs can read the args and results that other clients wrote with them, besides [JSON], [Raw], [Binary] and Codec.
	Codecs []Codec
	// NoNotify leaves it to the polling of workers to find what is enqueued: enqueueing sends no NOTIFY. Nodes of DAGs
	// that become ready still wake workers that sleep.
	NoNotify bool
}

// Client enqueues, inspects and steers jobs. It holds settings and no connection, costs nothing, and is safe
// for concurrent use.
type Client struct {
	schema string // quoted
	config Config
	codecs map[string]Codec
	actor  string // see By
	reason string
}

// New returns a client.
func New(c Config) *Client {
	if c.Schema == "" {
		c.Schema = DefaultSchema
	}
	client := &Client{schema: pgx.Identifier{c.Schema}.Sanitize(), config: c, codecs: map[string]Codec{}}
	for _, codec := range append([]Codec{JSON, Raw, Binary, c.Codec}, c.Codecs...) {
		if codec == nil {
			continue
		}
		client.codecs[codec.Name()] = codec
	}
	return client
}

// By returns a client like this one whose operators' verbs (Cancel, Retry, Change, SetQueue, PauseQueue, SetLimit …) say who does something and why: it is
// kept with the events of jobs, queues and limits. Without, or for "", it is the database's user who does it, for no reason that is given.
func (c *Client) By(actor, reason string) *Client {
	by := *c
	by.actor, by.reason = Printable(actor), Printable(reason)
	return &by
}

// why returns a reason, that of By where none is given.
func (c *Client) why(reason string) string { return cmp.Or(Printable(reason), c.reason) }

// Schema returns the name of the schema that the client works in.
func (c *Client) Schema() string { return c.config.Schema }

// Channel returns the name of the NOTIFY channel of the workers, as channel() does in SQL.
func (c *Client) Channel() string { return "pgq:" + c.config.Schema }

// CheckVersion returns nil when the schema has the version that this library works with, ErrNotInstalled when
// PGQ is not there, a *[VersionError], an ErrSchemaVersion, when it is older, newer or half-migrated, and an [ArgumentError] for
// client_encoding when that is not UTF8.
func (c *Client) CheckVersion(ctx context.Context, db DB) error {
	var version, applied int64
	var encoding string
	err := db.QueryRow(ctx, "select coalesce(max(version_id), 0), count(*) filter (where version_id > 0), pg_client_encoding()::text from "+
		c.schema+".schema_migrations where is_applied").Scan(&version, &applied, &encoding)
	var pg *pgconn.PgError
	switch isPg := errors.As(err, &pg); {
	case isPg && pg.Code == "42703": // others have tables of that name
		return fmt.Errorf("%w: %s.schema_migrations is not PGQ's", ErrNotInstalled, c.schema)
	case isPg && (pg.Code == "42P01" || pg.Code == "3F000"):
		return fmt.Errorf("%w: schema %s", ErrNotInstalled, c.config.Schema)
	case err != nil:
		return wrap("read the version of the schema", err)
	case version != SchemaVersion || applied != SchemaVersion:
		return &VersionError{Schema: c.config.Schema, Version: version, Applied: applied}
	}
	if encoding != "UTF8" {
		return errGarbled
	}
	return nil
}

// errGarbled is said of connections that would store text as something else: strings of Go are UTF-8, and pgx leaves it to the
// database which encoding it takes them for.
var errGarbled = &ArgumentError{Field: "client_encoding", Rule: "must be UTF8: add client_encoding=UTF8 to the database's URL, " +
	`or RuntimeParams["client_encoding"] = "UTF8" to the pool's ConnConfig`}

// adding is from of a function that adds jobs and returns rows. Where text would be garbled PostgreSQL does not call it, and there are none.
func (c *Client) adding(columns, call string) string {
	return c.from(columns, call) + " where pg_client_encoding() = 'UTF8'"
}

// wrapAdding is wrap of such a call.
func wrapAdding(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errGarbled
	}
	return wrap("enqueue", err)
}

// from returns the statement that calls a function of the schema: "select COLUMNS from schema.CALL".
func (c *Client) from(columns, call string) string {
	return "select " + columns + " from " + c.schema + "." + call
}
