package migrations_test

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq/migrations"
)

// Whatever reaches a database must be there in each encoding, comments included.
func TestTheMigrationsAreInASCII(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	texts := map[string]string{"the dump": dump(t, 0, "pgq")}
	for _, file := range files {
		text, err := fs.ReadFile(migrations.Files, file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	var functions bytes.Buffer
	if err := migrations.DumpFunctions(&functions, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	texts["the dump of the functions"] = functions.String()
	for name, text := range texts {
		for i, line := range strings.Split(text, "\n") {
			if at := strings.IndexFunc(line, func(r rune) bool { return r > 126 }); at >= 0 {
				t.Errorf("%s, line %d has more than ASCII (write ... for an ellipsis): %s", name, i+1, line)
			}
		}
	}
}

func TestADatabaseInLatin1HasTheSameObjects(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyIn(t, "LATIN1")
	if err := apply(t, connect(t, url), dump(t, 0, "pgq")); err != nil {
		t.Fatal(err)
	}
	up(t, url, "été")
	for _, schema := range []string{"pgq", "été"} {
		if found := drift(t, url, schema); len(found) > 0 {
			t.Errorf("%s: %+v", schema, found)
		}
	}
}

func TestADatabaseWithoutCharactersIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyIn(t, "SQL_ASCII")
	for _, err := range []error{
		migrations.Up(t.Context(), url, migrations.Options{}), migrations.To(t.Context(), url, 1, migrations.Options{}),
	} {
		if !errors.Is(err, migrations.ErrEncoding) {
			t.Error(err)
		}
	}
	var raised *pgconn.PgError
	conn := connect(t, url)
	if err := apply(t, conn, dump(t, 0, "pgq")); !errors.As(err, &raised) || !strings.Contains(raised.Hint, "encoding 'UTF8' template template0") {
		t.Error(err)
	}
	if one[bool](t, conn, "select exists (select from pg_namespace where nspname = 'pgq')") {
		t.Error("something is left")
	}
}
