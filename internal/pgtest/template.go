package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq/migrations"
)

const (
	templatePrefix = "pgq_template_"

	// templateLock is the advisory lock, in the maintenance database, of whoever
	// makes a template: "pgqtmpl" in ASCII.
	templateLock = 0x7067_7174_6d70_6c
)

// template is a migrated database to clone.
type template struct {
	name  string
	build func(ctx context.Context, url string) error
}

// makeTemplate returns the name of the migrated database. Test binaries with the
// same migrations share it.
func (s *shared) makeTemplate() (string, error) {
	version, err := hash(migrations.Files)
	if err != nil {
		return "", err
	}
	t := template{
		name: templatePrefix + version,
		build: func(ctx context.Context, url string) error {
			return migrations.Up(ctx, url, migrations.Options{})
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := t.make(ctx, s.server.URL); err != nil {
		return "", fmt.Errorf("template %s: %w", t.name, err)
	}
	return t.name, nil
}

// hash stands for all files and their names.
func hash(files fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		fmt.Fprintf(h, "%s %d\n%s\n", path, len(content), content)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:12], err
}

// make builds the template on the server unless it is there. Who comes while
// another builds it waits. A database of that name is complete: it gets it last.
func (t template) make(ctx context.Context, server string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // gives the lock back
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", templateLock); err != nil {
		return err
	}
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", t.name).Scan(&exists); err != nil || exists {
		return err
	}

	removeOld(ctx, conn)
	unfinished := t.name + "_unfinished"
	address, err := withDatabase(server, unfinished)
	if err != nil {
		return err
	}
	run := func(sql string) {
		if err == nil {
			_, err = conn.Exec(ctx, sql)
		}
	}
	run("drop database if exists " + quote(unfinished) + " with (force)") // of one who died over it
	run("create database " + quote(unfinished) + " template template0")
	if err == nil {
		if err = t.build(ctx, address); err != nil {
			_, dropped := conn.Exec(ctx, "drop database "+quote(unfinished)+" with (force)")
			return errors.Join(err, dropped)
		}
	}
	// No session may be on a database while it is cloned.
	run("alter database " + quote(unfinished) + " allow_connections false")
	run("alter database " + quote(unfinished) + " rename to " + quote(t.name))
	return err
}

// removeOld drops what test binaries left on a server that is not theirs a week ago:
// databases of tests that were killed, templates of other migrations. It is a
// courtesy; what cannot be dropped or dated stays.
func removeOld(ctx context.Context, conn *pgx.Conn) {
	rows, err := conn.Query(ctx, `
		select datname
		from pg_database
		where (starts_with(datname, $1) or starts_with(datname, $2))
		and (pg_stat_file('base/' || oid || '/PG_VERSION', true)).modification < now() - interval '7 days'`,
		databasePrefix, templatePrefix)
	if err != nil {
		return
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return
	}
	for _, name := range names {
		_, _ = conn.Exec(ctx, "drop database if exists "+quote(name)+" with (force)")
	}
}
