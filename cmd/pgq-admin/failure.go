package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgq-go/queue/cmd/pgq-admin/settings"
	"github.com/pgq-go/queue/internal/pgserver"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
)

const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitFindings     = 4
	exitNoConnection = 8
)

// usageError says that the command was called in a wrong way.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// errFindings means that the command has shown what it found.
var errFindings = errors.New("findings")

// fixes say what to do about errors of the library.
var fixes = []struct {
	err error
	fix string
}{
	{migrations.ErrNotInstalled, "install it with pgq-admin migrate up, or name the schema that has it with --schema"},
	{pgq.ErrNotInstalled, ""}, // its text says it
	{pgq.ErrSchemaVersion, "migrate with the pgq-admin of the version that your workers have: pgq-admin migrate up"},
	{migrations.ErrForeignSchema, "choose another schema with --schema or PGQ_SCHEMA; nothing was changed"},
	{migrations.ErrServerVersion, "nothing was changed; use a newer server"},
	{migrations.ErrSchemaName, "choose another name with --schema or PGQ_SCHEMA"},
}

// explain returns the exit code for an error, and what to print: what went wrong and what to do, no passwords.
func explain(err error) (code int, text string) {
	code, fix := classify(err)
	if errors.Is(err, errFindings) {
		return code, ""
	}
	text = settings.MaskText(err.Error())
	if fix != "" {
		text = strings.TrimRight(text, "\n") + "\n  fix: " + fix
	}
	return code, text
}

func classify(err error) (code int, fix string) {
	var usage *usageError
	var setting *settings.Error
	var connect *pgconn.ConnectError
	var unavailable *pgserver.UnavailableError
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, errFindings):
		return exitFindings, ""
	case errors.As(err, &usage):
		return exitUsage, ""
	case errors.As(err, &setting):
		return exitUsage, "pgq-admin config --help lists all settings and where they may stand"
	case errors.As(err, &unavailable):
		return exitNoConnection, ""
	case errors.As(err, &connect):
		return exitNoConnection, "check host, port, user, password and database in --url or PGQ_DATABASE_URL, and that the server runs"
	case errors.As(err, &pg) && pg.Code == "42501":
		return exitFailed, "the user of the URL lacks a right that this needs; to migrate: grant create on database … to that user"
	}
	for _, f := range fixes {
		if errors.Is(err, f.err) {
			return exitFailed, f.fix
		}
	}
	return exitFailed, ""
}

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }
