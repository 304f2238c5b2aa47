package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/internal/pgserver"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker/config"
)

// errFindings means that the command has shown what it found.
var errFindings = errors.New("findings")

// What to do where PGQ is not in the schema, or is in another version than ours.
const (
	installFix = "install it with pgq-admin migrate up, or name the schema that has it with --schema"
	olderFix   = "pgq-admin migrate up, then restart workers of older versions"
	newerFix   = "use a newer pgq-admin, of the version that your workers have"
)

// fixes say what to do about errors of the library, and with which code to exit.
var fixes = []struct {
	err  error
	code int
	fix  string
}{
	{migrations.ErrNotInstalled, output.ExitConflict, installFix},
	{pgq.ErrNotInstalled, output.ExitConflict, installFix},
	{pgq.ErrSchemaVersion, output.ExitConflict, olderFix},
	{migrations.ErrPermission, output.ExitFailed, "connect as that owner to migrate, and to look, let it say: pgq-admin grant reader ROLE"},
	{migrations.ErrForeignSchema, output.ExitFailed, "choose another schema with --schema or PGQ_SCHEMA; nothing was changed"},
	{migrations.ErrSchemaRights, output.ExitFailed, "nothing was migrated; all functions have the rights of who migrates, so let the schema be that role's alone: docs/roles.md"},
	{migrations.ErrServerVersion, output.ExitFailed, "nothing was changed; use a newer server"},
	{migrations.ErrEncoding, output.ExitFailed, "nothing was changed; PGQ needs a database whose encoding knows characters, UTF8 best"},
	{migrations.ErrVersion, output.ExitConflict, "nothing was changed; use a newer pgq-admin"},
	{migrations.ErrSchemaName, output.ExitFailed, "choose another name with --schema or PGQ_SCHEMA"},
	{pgq.ErrNotFound, output.ExitNotFound, ""},
	{pgq.ErrPermission, output.ExitFailed, "an owner of the schema can allow it: pgq-admin grant --help; pgq-admin grants shows who may do what"},
	{pgq.ErrBusy, output.ExitConflict, "nothing was changed; try again"},
	{pgq.ErrUnknownCodec, output.ExitFailed, "if it is encrypted give its key in encryption.keys; pgq-admin config --help"},
	{pgq.ErrUnknownKey, output.ExitFailed, "give it in encryption.keys; pgq-admin config --help"},
	{pgq.ErrQueueFull, output.ExitConflict, "nothing was enqueued; wait, or raise the queue's max_depth"},
}

// explain returns what to print of an error and the code to exit with: what went wrong and what to do, no passwords.
func explain(err error) output.Failure {
	f := classify(err)
	f.Message = config.MaskText(f.Message)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		f.SQLState = pg.Code
	}
	return f
}

func classify(err error) output.Failure {
	f := output.Failure{Code: output.ExitFailed, Message: err.Error()}
	var own *output.Error
	var setting *config.Error
	var connect *pgconn.ConnectError
	var unavailable *pgserver.UnavailableError
	var pg *pgconn.PgError
	var argument *pgq.ArgumentError
	var invalid *dagsql.InvalidError
	switch {
	case errors.Is(err, errFindings):
		f.Code, f.Message = output.ExitFindings, ""
	case errors.As(err, &own):
		f.Code, f.Fix = own.Code, own.Fix
	case errors.As(err, &setting):
		f.Code, f.Fix = output.ExitUsage, cmp.Or(setting.Fix, "pgq-admin config --help lists all settings and where they may stand")
		if setting.Fix == "" && setting.Field == "database_url" {
			f.Fix = "correct " + setting.Where + ": postgres://user@host:5432/database, for example"
		}
		if setting.Unknown != "" {
			f.Code = output.ExitNotFound
		}
	case errors.As(err, &unavailable):
		f.Code = output.ExitNoConnection
	case errors.As(err, &connect):
		f.Code, f.Message = output.ExitNoConnection, strings.Replace(f.Message, connect.Error(), connectText(connect), 1)
		f.Fix = "check host, port, user, password and database in --url or PGQ_DATABASE_URL, and that the server runs"
	case errors.As(err, &pg) && pg.Code == "42501":
		f.Fix = "the user of the URL lacks a right that this needs; to migrate: grant create on database … to that user"
	case errors.As(err, &pg) && pg.Code == "25006":
		f.Fix = "nothing was changed: the server is a standby, or the session or database is read-only; name the primary with --url or PGQ_DATABASE_URL"
	case unwritten(err):
		f.Fix = "nobody knows of the output, but what was asked may have been done: look before you repeat it"
	case errors.As(err, &invalid):
		return wrongDAG(invalid)
	case errors.As(err, &argument):
		f.Code, f.Message = output.ExitUsage, strings.TrimPrefix(argument.Error(), "pgq: ")
	default:
		for _, known := range fixes {
			if errors.Is(err, known.err) {
				f.Code, f.Fix = known.code, known.fix
				f.Message = strings.TrimPrefix(f.Message, pgq.ErrNotFound.Error()+": ")
				break
			}
		}
	}
	return ofSchema(err, f)
}

// ofSchema words what is said of a schema without PGQ, or with another version of it.
func ofSchema(err error, f output.Failure) output.Failure {
	var version *pgq.VersionError
	if errors.As(err, &version) {
		f.Message = versionText(version)
		if version.Version > pgq.SchemaVersion {
			f.Fix = newerFix
		}
	}
	f.Message = strings.NewReplacer(pgq.ErrNotInstalled.Error()+": schema ", "PGQ is not installed in schema ",
		pgq.ErrNotInstalled.Error(), "PGQ is not installed", migrations.ErrVersion.Error()+": the schema is", "it is").Replace(f.Message)
	if told, of, twice := strings.Cut(f.Message, ": migrations: "); twice { // who calls it, and what it says itself
		f.Message = strings.TrimPrefix(told, "migrations: ") + ": " + of
	}
	return f
}

func versionText(v *pgq.VersionError) string {
	text := fmt.Sprintf("schema %s has version %d, and this pgq-admin works with version %d", v.Schema, v.Version, pgq.SchemaVersion)
	if v.Applied != v.Version && v.Version <= pgq.SchemaVersion {
		text += fmt.Sprintf("; %d of its migrations were applied", v.Applied)
	}
	return text
}

// wrongDAG lists all that is wrong with a document.
func wrongDAG(err *dagsql.InvalidError) output.Failure {
	f := output.Failure{Code: output.ExitUsage, Message: "the DAG is invalid; nothing was written"}
	for _, p := range err.Problems {
		f.Problems = append(f.Problems, output.Problem{Node: p.Node, Field: p.Field, Rule: p.Rule})
	}
	return f
}

// nobodyReads tells whether the output could not be written since whoever read it has gone.
func nobodyReads(err error) bool {
	var file *fs.PathError // of the network it is another one
	return errors.As(err, &file) && errors.Is(err, syscall.EPIPE)
}

// unwritten tells whether the standard output could not be written: a full device, for example.
func unwritten(err error) bool {
	var file *fs.PathError
	return errors.As(err, &file) && file.Op == "write" && file.Path == os.Stdout.Name()
}

// openInput opens a file that a command is to read. *output.Error, a wrong use: there is none, or it is a directory.
func openInput(name string) (*os.File, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, usagef("%s", err)
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, errors.Join(usagef("%s is a directory, and no file", name), file.Close())
	}
	return file, nil
}

// readFile reads a document from a file.
func readFile(name string) ([]byte, error) {
	file, err := openInput(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it is only read
	return readAll(file)
}

// maxInput is how many bytes are read of one document.
const maxInput = 64 << 20

// readAll reads a document that may be endless.
func readAll(in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(text) > maxInput {
		return nil, usagef("the input has more than %d bytes", maxInput)
	}
	return text, err
}

func usagef(format string, args ...any) *output.Error { return output.Usagef(format, args...) }
