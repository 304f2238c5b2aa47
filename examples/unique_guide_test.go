package examples

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/internal/pgtest"
)

const uniqueGuide = "../docs/unique.md"

func TestTheSnippetsOfTheGuideToUniqueJobsDoWhatItSays(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile("unique/main.go")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	var output string
	for _, s := range snippetsOf(t, uniqueGuide) {
		switch s.language {
		case "go":
			if !strings.Contains(flush(string(program)), flush(s.text)) {
				t.Errorf("%s:%d: is not in the example:\n%s", uniqueGuide, s.line, s.text)
			}
		case "sql":
			results, err := conn.PgConn().Exec(t.Context(), s.text).ReadAll()
			if err != nil {
				t.Fatalf("%s:%d: %v", uniqueGuide, s.line, err)
			}
			output = rows(results)
		case "text":
			if strings.TrimRight(output, "\n") != strings.TrimRight(s.text, "\n") {
				t.Errorf("%s:%d: the snippet before it returns\n%s", uniqueGuide, s.line, output)
			}
		}
	}
}
