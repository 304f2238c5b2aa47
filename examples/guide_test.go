package examples

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

const guide = "../docs/dags.md"

// snippet is a fenced block of the guide.
type snippet struct {
	line     int
	language string
	text     string
}

// snippets returns the fenced blocks of the guide.
func snippets(t *testing.T) []snippet {
	t.Helper()
	return snippetsOf(t, guide)
}

// snippetsOf returns the fenced blocks of a guide.
func snippetsOf(t *testing.T, guide string) []snippet {
	t.Helper()
	content, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	var all []snippet
	inside := false
	for i, line := range strings.Split(string(content), "\n") {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && inside:
			inside = false
		case fence:
			inside = true
			all = append(all, snippet{line: i + 1, language: language})
		case inside:
			all[len(all)-1].text += line + "\n"
		}
	}
	if len(all) == 0 {
		t.Fatal("the guide has no snippets")
	}
	return all
}

func TestEachGoSnippetOfTheGuideIsPartOfAnExample(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	for _, pattern := range []string{"*/main.go", "../dagsql/example*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources.WriteString(flush(string(content)))
		}
	}
	for _, s := range snippets(t) {
		if s.language == "go" && !strings.Contains(sources.String(), flush(s.text)) {
			t.Errorf("%s:%d: is in no example:\n%s", guide, s.line, s.text)
		}
	}
}

// flush returns a text without indents and empty lines.
func flush(text string) string {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines.WriteString("\n" + line)
		}
	}
	return lines.String() + "\n"
}

// The snippets in SQL are run one after the other, while a worker works on what they submit; a block after them is what
// they return. Those for the shell are run in between.
func TestTheSnippetsOfTheGuideDoWhatItSays(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	work(t, pool)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })

	var output string
	for _, s := range snippets(t) {
		switch s.language {
		case "sql":
			results, err := conn.PgConn().Exec(t.Context(), s.text).ReadAll()
			if err != nil {
				t.Fatalf("%s:%d: %v", guide, s.line, err)
			}
			output = rows(results)
			settle(t, pool)
		case "text", "mermaid":
			if got := strings.TrimSpace(output); got != strings.TrimSpace(s.text) {
				t.Errorf("%s:%d: the snippet before it returns\n%s", guide, s.line, got)
			}
		case "sh":
			shell(t, database, s)
		}
	}
}

// work runs a worker for the kinds of the guide until the test ends.
func work(t *testing.T, pool *pgxpool.Pool) {
	w := worker.New(pool, worker.Config{Logger: slog.New(slog.DiscardHandler)})
	returns := func(result any) worker.Handler {
		return func(context.Context, *pgq.Attempt) (any, error) { return result, nil }
	}
	worker.HandleKind(w, "extract", returns([]string{"ada ", " grace", "", "edsger"}))
	worker.HandleKind(w, "clean", returns([]string{"ada", "grace", "edsger"}))
	worker.HandleKind(w, "load", returns(3))
	worker.HandleKind(w, "describe", func(context.Context, *pgq.Attempt) (any, error) {
		return nil, pgq.Permanent(errors.New("the model is not there"))
	})
	worker.HandleKind(w, "flaky", func(_ context.Context, job *pgq.Attempt) (any, error) {
		if job.Number == 1 {
			return nil, pgq.Permanent(errors.New("the disk is full"))
		}
		return nil, nil
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// settle waits until nothing can go on.
func settle(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for busy := true; busy; <-tick.C {
		err := pool.QueryRow(ctx, `select exists (select from pgq.ready) or exists (select from pgq.running)
			or exists (select from pgq.scheduled) or exists (select from pgq.frontier)`).Scan(&busy)
		if err != nil {
			t.Fatal("waiting for the worker: ", err)
		}
	}
}

// rows returns the results of statements, a line per row.
func rows(results []*pgconn.Result) string {
	var text strings.Builder
	for _, result := range results {
		for _, row := range result.Rows {
			var values []string
			for _, value := range row {
				values = append(values, string(value))
			}
			text.WriteString(strings.TrimRight(strings.Join(values, " | "), " ") + "\n")
		}
	}
	return text.String()
}

// shell runs each line with pgq-admin in PATH.
func shell(t *testing.T, database string, s snippet) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", dir+"/", "../cmd/pgq-admin").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e")
	cmd.Stdin = strings.NewReader(s.text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PGQ_DATABASE_URL="+database, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s:%d: %v\n%s", guide, s.line, err, out)
	}
}

// The tables of the JSON document name the fields that dag_problems knows, and the types of nodes that have them.
func TestTheGuideKnowsEveryFieldOfTheDocument(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	found, err := pool.Query(t.Context(), "select field, types from pgq.dag_problems_fields()")
	if err != nil {
		t.Fatal(err)
	}
	node := map[string]string{"name": "all", "after": "all", "before": "all"}
	document := []string{"name", "nodes", "deadline"}
	var field string
	var types []string
	_, err = pgx.ForEachRow(found, []any{&field, &types}, func() error {
		if i := slices.Index(types, "document"); i >= 0 {
			if field != "kind" && field != "ttl" { // which stand for name and deadline
				document = append(document, field)
			}
			types = slices.Delete(types, i, i+1)
		}
		if node[field] = strings.Join(types, ", "); len(types) == 5 {
			node[field] = "all"
		} else if len(types) == 0 {
			delete(node, field)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(content), "### The DAG\n")
	ofDAG, text, _ := strings.Cut(text, "### A node\n")
	ofNode, _, _ := strings.Cut(text, "A parent in `after`")
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]*) \\|")
	var listed []string
	for _, m := range row.FindAllStringSubmatch(ofDAG, -1) {
		listed = append(listed, m[1])
	}
	slices.Sort(listed)
	slices.Sort(document)
	if !slices.Equal(listed, document) {
		t.Errorf("of the DAG the guide lists\n%v, want\n%v", listed, document)
	}
	inGuide := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(ofNode, -1) {
		inGuide[m[1]] = m[2]
	}
	if got, want := fmt.Sprint(inGuide), fmt.Sprint(node); got != want {
		t.Errorf("of a node the guide lists\n%v, want\n%v", got, want)
	}
}
