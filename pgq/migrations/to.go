package migrations

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// ErrVersion means that there is no such version.
var ErrVersion = errors.New("migrations: there is no such version")

// Step is one migration that is to be applied, or taken back.
type Step struct {
	Version int64
	Name    string
	Down    bool
}

// Latest is the version that Up migrates to.
func Latest() int64 {
	files, _ := fs.Glob(Files, "*.sql") // the pattern is right
	return int64(len(files))
}

// Plan returns what To would do, in order, and changes nothing. Errors: those of To, and ErrForeignSchema and ErrSchemaRights already here.
func Plan(ctx context.Context, databaseURL string, version int64, o Options) ([]Step, error) {
	if err := known(version); err != nil {
		return nil, err
	}
	var steps []Step
	err := run(ctx, databaseURL, o, func(p *goose.Provider, look *sql.DB) error {
		state, err := inspect(ctx, look, o.schema())
		if err != nil {
			return err
		}
		if state.foreign != "" {
			return fmt.Errorf("%w: %s", ErrForeignSchema, state.foreign)
		} else if version > 0 {
			if err := checkRights(ctx, look, o.schema()); err != nil {
				return err
			}
		}
		var at int64
		if state.installed {
			applied, err := versions(ctx, look, o.schema())
			if err != nil {
				return err
			}
			for version := range applied {
				at = max(at, version)
			}
		}
		if at > Latest() {
			return fmt.Errorf("%w: the schema is at version %d, and this program knows those up to %d", ErrVersion, at, Latest())
		}
		sources := p.ListSources()
		for _, s := range sources {
			if at < s.Version && s.Version <= version {
				steps = append(steps, Step{Version: s.Version, Name: s.Path})
			}
		}
		for _, s := range slices.Backward(sources) {
			if version < s.Version && s.Version <= at {
				steps = append(steps, Step{Version: s.Version, Name: s.Path, Down: true})
			}
		}
		return nil
	})
	return steps, err
}

// To applies or takes back migrations until the schema has a version; 0 is Down. What is taken back is lost: the
// functions by going below their version, all jobs by going below that of the tables.
// Errors: ErrVersion and those of Up and Down.
func To(ctx context.Context, databaseURL string, version int64, o Options) error {
	if err := known(version); err != nil {
		return err
	}
	if version == 0 {
		return Down(ctx, databaseURL, o)
	}
	return run(ctx, databaseURL, o, func(p *goose.Provider, look *sql.DB) error {
		if err := createSchema(ctx, look, o.schema()); err != nil {
			return err
		}
		at, err := p.GetDBVersion(ctx)
		if err != nil {
			return err
		}
		if at > version {
			_, err = p.DownTo(ctx, version)
		} else {
			_, err = p.UpTo(ctx, version)
		}
		return err
	})
}

func known(version int64) error {
	if version < 0 || version > Latest() {
		return fmt.Errorf("%w: %d; choose from 0 to %d", ErrVersion, version, Latest())
	}
	return nil
}

// IsLockTimeout tells whether a migration was taken back since it would have waited too long for a lock.
func IsLockTimeout(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03"
}

const defaultLockTimeout = 5 * time.Second

// lockTimeout returns the option as PostgreSQL takes it; less than a millisecond would be without limit.
func (o Options) lockTimeout() string {
	d := o.LockTimeout
	if d <= 0 {
		d = defaultLockTimeout
	}
	return fmt.Sprintf("%dms", max(1, d.Milliseconds()))
}

// timed are the migrations with the lock timeout of the options.
type timed struct{ lockTimeout string }

// timeoutLine is the statement in each migration that says how long to wait for locks.
var timeoutLine = regexp.MustCompile(`(?m)^set local lock_timeout = '[^']*';$`)

// ReadFile returns a migration.
func (t timed) ReadFile(name string) ([]byte, error) {
	text, err := Files.ReadFile(name)
	return timeoutLine.ReplaceAll(text, []byte("set local lock_timeout = '"+t.lockTimeout+"';")), err
}

// ReadDir lists the migrations.
func (t timed) ReadDir(name string) ([]fs.DirEntry, error) { return Files.ReadDir(name) }

// Open opens a migration.
func (t timed) Open(name string) (fs.File, error) {
	f, err := Files.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	text, err := t.ReadFile(name)
	return &timedFile{f, bytes.NewReader(text)}, err
}

// timedFile is an open migration: the file with another text.
type timedFile struct {
	fs.File
	text *bytes.Reader
}

// Read reads the text.
func (f *timedFile) Read(b []byte) (int, error) { return f.text.Read(b) }
