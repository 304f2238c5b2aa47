package examples

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

const handlersGuide = "../docs/handlers.md"

func TestEachGoSnippetOfTheGuideToHandlersIsPartOfAnExample(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	for _, name := range []string{"steps", "bulk"} {
		content, err := os.ReadFile(filepath.Join(name, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		sources.WriteString(flush(string(content)))
	}
	for _, s := range snippetsOf(t, handlersGuide) {
		if s.language == "go" && !strings.Contains(sources.String(), flush(s.text)) {
			t.Errorf("%s:%d: is in no example:\n%s", handlersGuide, s.line, s.text)
		}
	}
}

// The snippets in SQL are run one after the other; a worker does what can be done after each of them.
func TestTheSnippetsOfTheGuideToHandlersDoWhatItSays(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	runHandlers(t, pool)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	var output string
	for _, s := range snippetsOf(t, handlersGuide) {
		switch s.language {
		case "sql":
			results, err := conn.PgConn().Exec(t.Context(), s.text).ReadAll()
			if err != nil {
				t.Fatalf("%s:%d: %v", handlersGuide, s.line, err)
			}
			output = rows(results)
			rest(t, pool)
		case "text":
			if strings.TrimRight(output, "\n") != strings.TrimRight(s.text, "\n") {
				t.Errorf("%s:%d: the snippet before it returns\n%s", handlersGuide, s.line, output)
			}
		}
	}
}

// runHandlers runs a worker for the kinds of the guide until the test ends.
func runHandlers(t *testing.T, pool *pgxpool.Pool) {
	w := worker.New(pool, worker.Config{Logger: slog.New(slog.DiscardHandler)})
	worker.HandleKind(w, "order", func(ctx context.Context, _ *pgq.Attempt) (any, error) {
		_, err := pgq.Step(ctx, "charge", func(context.Context) (string, error) { return "charge-7", nil })
		if err == nil {
			_, err = pgq.WaitFor[map[string]string](ctx, "approval", 0)
		}
		return nil, err
	})
	worker.HandleKind(w, "flaky", func(_ context.Context, job *pgq.Attempt) (any, error) {
		err := fmt.Errorf("order %d not found", 4710+job.Number)
		if job.Number > 1 {
			return nil, pgq.Permanent(err)
		}
		return nil, err
	})
	for _, kind := range []string{"thank", "apologise"} {
		worker.HandleKind(w, kind, func(context.Context, *pgq.Attempt) (any, error) { return nil, nil })
	}
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

// rest waits until nothing is left to do but to wait for times and signals.
func rest(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for busy := true; busy; <-tick.C {
		err := pool.QueryRow(ctx, `select exists (select from pgq.ready) or exists (select from pgq.running) or exists (select from pgq.frontier)
			or exists (select from pgq.scheduled where run_at < now() + interval '1 hour')`).Scan(&busy)
		if err != nil {
			t.Fatal(errors.Join(errors.New("waiting for the worker"), err))
		}
	}
}
