package examples

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgq-go/queue/internal/pgtest"
)

const sqlGuide = "../docs/sql.md"

// The snippets are run one after the other in a database without PGQ, which the first of them installs. A block of text after
// one is what it returns, or the error that it raises; one that is followed by none raises no error.
func TestTheSnippetsOfTheSQLGuideDoWhatItSays(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("no psql in PATH")
	}
	database := pgtest.Empty(t)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	role := "guide_" + strings.ToLower(strings.ReplaceAll(time.Now().UTC().Format("150405.000000"), ".", "_"))
	t.Cleanup(func() {
		for _, statement := range []string{"drop schema if exists pgq cascade", "drop owned by " + role, "drop role " + role} {
			if _, err := conn.Exec(context.Background(), statement); err != nil {
				t.Error(err)
			}
		}
		_ = conn.Close(context.Background())
	})

	all := snippetsOf(t, sqlGuide)
	for i, s := range all {
		// Roles are of the server, which other tests use, too.
		text := strings.ReplaceAll(s.text, "shop;", role+";")
		text = strings.ReplaceAll(text, "'shop'", "'"+role+"'")
		switch s.language {
		case "sh":
			shell(t, database, s)
		case "sql":
			results, err := conn.PgConn().Exec(t.Context(), text).ReadAll()
			output := rows(results)
			if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
				output += pg.Code + ": " + pg.Message + "\n"
			} else if err != nil {
				t.Fatal(err)
			}
			followed := i+1 < len(all) && all[i+1].language == "text"
			if followed && strings.TrimRight(output, "\n") != strings.TrimRight(all[i+1].text, "\n") {
				t.Errorf("%s:%d: the snippet returns\n%s", sqlGuide, s.line, output)
			} else if err != nil && !followed {
				t.Errorf("%s:%d: %v", sqlGuide, s.line, err)
			}
		case "text":
		default:
			t.Errorf("%s:%d: nobody knows how to run %q", sqlGuide, s.line, s.language)
		}
	}
}
