package examples

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
	"github.com/pgq-go/queue/worker/config"
)

func TestTheSnippetsOfTheGuidesDoWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, g := range []guide{
		{file: dagsGuide, sources: []string{"*/main.go", "../dagsql/example*_test.go"}, handle: handleDAGs},
		{file: "../docs/handlers.md", sources: []string{"steps/main.go", "bulk/main.go", "isolated/main.go", "callbacks/main.go"}, handle: handleOrders},
		{file: "../docs/batches.md", sources: []string{"batches/main.go"}},
		{file: "../docs/events.md", sources: []string{"events/main.go"}},
		{file: "../docs/schedules.md", sources: []string{"schedules/main.go"}},
		{file: "../docs/codecs.md", sources: []string{"encrypted/main.go"}, program: "encrypted"},
		{file: configurationGuide, sources: []string{"../worker/config/example_test.go"}},
		{file: "../docs/unique.md", sources: []string{"unique/main.go"}},
		{file: "../docs/flow.md", sources: []string{"sequence/main.go", "limits/main.go", "ageing/main.go"}},
		{file: "../docs/roles.md", roles: []string{"shop", "mailer", "support", "metabase", "acme_reports", "acme_worker"}},
		{file: "../docs/sql.md", roles: []string{"shop"}, rolesMade: true, database: pgtest.Empty}, // its first snippet installs PGQ
	} {
		t.Run(g.file[len("../docs/"):], func(t *testing.T) {
			t.Parallel()
			g.follow(t)
		})
	}
}

const configurationGuide = "../docs/configuration.md"

func TestTheGuideToConfigurationListsAllSettings(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(configurationGuide)
	if err != nil {
		t.Fatal(err)
	}
	names, variables := config.Names()
	for i, name := range names {
		if !strings.Contains(string(content), fmt.Sprintf("\n| `%s` | `%s` | ", name, variables[i])) {
			t.Errorf("%s has no row for %s and %s", configurationGuide, name, variables[i])
		}
	}
}

// handleDAGs lets a worker work on the kinds of the guide to DAGs.
func handleDAGs(w *worker.Worker) {
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
}

// handleOrders lets a worker work on the kinds of the guide to handlers.
func handleOrders(w *worker.Worker) {
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
}
