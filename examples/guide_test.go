package examples

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/worker"
	"github.com/pgq-go/queue/worker/config"
)

// guide is a page of the documentation with snippets that are tested.
//
// Snippets in Go are part of one of the sources. Settings in YAML can be loaded. Snippets in SQL and for the shell are run one after the other in one database. A block
// of text or a picture after one in SQL is what it returns, or the error that it raises; one that is followed by none raises no error.
type guide struct {
	file      string
	sources   []string                        // patterns of files
	program   string                          // an example that is run first
	handle    func(*worker.Worker)            // if not nil, a worker runs, and after each snippet in SQL there is nothing left to do
	roles     []string                        // in the snippets. They are of the server, which other tests use, too: there they have other names
	rolesMade bool                            // by a snippet, and not before
	database  func(t testing.TB) (url string) // pgtest.Database if nil
}

// snippet is a fenced block of a guide.
type snippet struct {
	guide    string
	line     int
	language string
	text     string
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
			all = append(all, snippet{guide: guide, line: i + 1, language: language})
		case inside:
			all[len(all)-1].text += line + "\n"
		}
	}
	if len(all) == 0 {
		t.Fatal("the guide has no snippets")
	}
	return all
}

// follow does what the guide says, from top to bottom.
func (g guide) follow(t *testing.T) {
	if g.database == nil {
		g.database = pgtest.Database
	}
	database := g.database(t)
	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if g.program != "" {
		run(t, database, filepath.Join(programs(t), g.program))
	}
	own := g.ownRoles(t, pool)
	g.work(t, pool)
	sources := g.source(t)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })

	var output string
	all := snippetsOf(t, g.file)
	for i, s := range all {
		s.text = own(s.text)
		shows := i+1 < len(all) && (all[i+1].language == "text" || all[i+1].language == "mermaid")
		switch s.language {
		case "go":
			if !strings.Contains(sources, flush(s.text)) {
				t.Errorf("%s:%d: is in no example:\n%s", s.guide, s.line, s.text)
			}
		case "sql":
			if output, err = query(t, conn, s.text); err != nil && !shows {
				t.Fatalf("%s:%d: %v", s.guide, s.line, err)
			}
			g.settle(t, pool)
		case "yaml":
			load(t, s)
		case "sh":
			shell(t, database, s)
		case "text", "mermaid":
			if strings.TrimRight(output, "\n") != strings.TrimRight(s.text, "\n") {
				t.Errorf("%s:%d: the snippet before it returns\n%s", s.guide, s.line, output)
			}
		default:
			t.Errorf("%s:%d: nobody knows how to run %q", s.guide, s.line, s.language)
		}
	}
}

// ownRoles returns what puts names of this test's own in the place of the guide's roles. They go when the test ends.
func (g guide) ownRoles(t *testing.T, pool *pgxpool.Pool) func(string) string {
	t.Helper()
	if g.roles == nil {
		return func(text string) string { return text }
	}
	prefix := "guide_" + strings.ReplaceAll(time.Now().UTC().Format("150405.000000"), ".", "_") + "_"
	do := func(statement string) {
		if _, err := pool.Exec(context.Background(), statement); err != nil {
			t.Error(err)
		}
	}
	for _, role := range g.roles {
		if !g.rolesMade {
			do("create role " + prefix + role)
		}
		t.Cleanup(func() {
			do("drop owned by " + prefix + role)
			do("drop role " + prefix + role)
		})
	}
	t.Cleanup(func() { do("drop schema if exists pgq cascade") })
	word := regexp.MustCompile(`\b(` + strings.Join(g.roles, "|") + `)\b`)
	return func(text string) string { return word.ReplaceAllString(text, prefix+"$1") }
}

// load reads a settings file.
func load(t *testing.T, s snippet) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pgq.yaml")
	if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(config.Sources{File: file}); err != nil {
		t.Errorf("%s:%d: %v", s.guide, s.line, err)
	}
}

// work runs the worker of the guide until the test ends.
func (g guide) work(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	if g.handle == nil {
		return
	}
	w := worker.New(pool, worker.Config{Logger: slog.New(slog.DiscardHandler)})
	g.handle(w)
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

// source returns the examples in Go without indents and empty lines.
func (g guide) source(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range g.sources {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(flush(string(content)))
		}
	}
	return all.String()
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

// settle waits until the worker, if there is one, has nothing to do but to wait for times and signals.
func (g guide) settle(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	if g.handle == nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for busy := true; busy; <-tick.C {
		err := pool.QueryRow(ctx, `select exists (select from pgq.ready) or exists (select from pgq.running) or exists (select from pgq.frontier)
			or exists (select from pgq.scheduled where run_at < now() + interval '1 hour')`).Scan(&busy)
		if err != nil {
			t.Fatal("waiting for the worker: ", err)
		}
	}
}

// query returns what statements return, a line per row, and the error that the last one raises.
func query(t *testing.T, conn *pgx.Conn, statements string) (string, error) {
	t.Helper()
	results, err := conn.PgConn().Exec(t.Context(), statements).ReadAll()
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
	var raised *pgconn.PgError
	if errors.As(err, &raised) {
		text.WriteString(raised.Code + ": " + raised.Message + "\n")
	}
	return text.String(), err
}

// shell runs each line with pgq-admin and the worker in bash in PATH.
func shell(t *testing.T, database string, s snippet) {
	t.Helper()
	dir := programs(t)
	worker, err := filepath.Abs("shell-worker")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e")
	cmd.Stdin = strings.NewReader(s.text)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PGQ_DATABASE_URL="+database, "PATH="+strings.Join([]string{dir, worker, os.Getenv("PATH")}, string(os.PathListSeparator)))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s:%d: %v\n%s", s.guide, s.line, err, out)
	}
}
