package dagsql_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// Fetch asks for a text; Count counts the words of the text before it; Report comes at the end.
type (
	Fetch struct {
		From string `json:"from"`
	}
	Count  struct{}
	Report struct{}
)

func (Fetch) Kind() string  { return "fetch" }
func (Count) Kind() string  { return "count" }
func (Report) Kind() string { return "report" }

// whileWorking calls do while a worker runs with these handlers.
func whileWorking(handle func(*worker.Worker), do func(context.Context, *pgxpool.Pool, *dagsql.Client)) {
	pgtest.Example(func(pool *pgxpool.Pool) {
		ctx, stop := context.WithCancel(context.Background())
		w := worker.New(pool, worker.Config{Logger: slog.New(slog.DiscardHandler)})
		handle(w)
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		do(ctx, pool, dagsql.NewClient(pgq.New(pgq.Config{})))
		stop()
		<-ended
	})
}

// show waits until a DAG has ended and prints how it and its nodes ended.
func show(ctx context.Context, d *dagsql.Client, pool *pgxpool.Pool, id int64) {
	end, err := d.Await(ctx, pool, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	nodes, _, _ := d.Nodes(ctx, pool, id, dagsql.Filter{})
	for _, n := range nodes {
		fmt.Printf("%s: %s\n", n.Name, n.State)
	}
	fmt.Println("the DAG:", end.State)
}

// fetch is a handler that fails for good if there is nothing at this place.
func fetch(_ context.Context, job *pgq.Job[Fetch]) (string, error) {
	if job.Args.From == "nowhere" {
		return "", pgq.Permanent(errors.New("nothing is there"))
	}
	return "hello from " + job.Args.From, nil
}

// Many jobs side by side, and one that reads the results of all of them.
func ExampleResults() {
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, fetch)
		worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Count]) (words int, err error) {
			for text, err := range dagsql.Results[string](ctx, job.Attempt) { // in the order in which they were added
				if err != nil {
					return 0, err
				}
				fmt.Printf("%s: %s\n", text.Name, text.Value)
				words += len(strings.Fields(text.Value))
			}
			return words, nil
		})
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("words", dagsql.Options{})
		count := b.Add("count", Count{})
		for n := range 3 {
			count.After(b.Add(fmt.Sprintf("fetch-%d", n), Fetch{From: fmt.Sprintf("page %d", n)}))
		}
		dag, _ := d.Submit(ctx, pool, b)
		_, _ = d.Await(ctx, pool, dag.ID)
		words, err := dagsql.Output[int](ctx, d, pool, dag.ID, "count")
		fmt.Println(words, err)
	})
	// Output:
	// fetch-0: hello from page 0
	// fetch-1: hello from page 1
	// fetch-2: hello from page 2
	// 12 <nil>
}

// The first source that answers is enough. The other one may fail, or be slow: the report does not wait for it.
func ExampleNode_AfterAny() {
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, fetch)
		worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Report]) (string, error) {
			for text, err := range dagsql.Results[string](ctx, job.Attempt) {
				if err != nil || text.State == pgq.Completed {
					return text.Value, err
				}
			}
			return "", errors.New("no source has answered")
		})
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("any", dagsql.Options{})
		mirror := b.Add("mirror", Fetch{From: "nowhere"})
		origin := b.Add("origin", Fetch{From: "afar"})
		b.Add("report", Report{}).AfterAny(mirror, origin)

		dag, _ := d.Submit(ctx, pool, b)
		show(ctx, d, pool, dag.ID)
		text, _ := dagsql.Output[string](ctx, d, pool, dag.ID, "report")
		fmt.Println(text)
	})
	// Output:
	// mirror: failed
	// origin: completed
	// report: completed
	// the DAG: completed
	// hello from afar
}

// Done runs whatever happened, but it does not make up for the failure: the DAG fails.
func ExampleNode_AfterDone() {
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, fetch)
		worker.HandleResult(w, func(context.Context, *pgq.Job[Count]) (int, error) { return 0, nil })
		worker.Handle(w, func(ctx context.Context, job *pgq.Job[Report]) error {
			parents, err := dagsql.Upstream(ctx, job.Attempt)
			for _, p := range parents {
				fmt.Printf("cleaning up: %s was %s because %s\n", p.Name, p.State, p.Error)
			}
			return err
		})
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("cleanup", dagsql.Options{})
		text := b.Add("text", Fetch{From: "nowhere"})
		count := b.Add("count", Count{}).After(text)
		b.Add("cleanup", Report{}).AfterDone(count)

		dag, _ := d.Submit(ctx, pool, b)
		show(ctx, d, pool, dag.ID)
	})
	// Output:
	// cleaning up: count was skipped because text failed
	// text: failed
	// count: skipped
	// cleanup: completed
	// the DAG: failed
}

// A handler chooses which branch goes on; a node with the rule Join runs after whichever did.
func ExampleChoose() {
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, func(_ context.Context, job *pgq.Job[Fetch]) (dagsql.Choice, error) {
			return dagsql.Choose("long"), nil
		})
		worker.HandleResult(w, func(context.Context, *pgq.Job[Count]) (int, error) { return 0, nil })
		worker.Handle(w, func(context.Context, *pgq.Job[Report]) error { return nil })
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("branches", dagsql.Options{})
		route := b.Add("route", Fetch{From: "a book"})
		short := b.Add("short", Count{}).After(route.Branch("short"))
		long := b.Add("long", Count{}).After(route.Branch("long"))
		b.Add("report", Report{}).After(short, long).Rule(dagsql.Join)

		dag, _ := d.Submit(ctx, pool, b)
		show(ctx, d, pool, dag.ID)
	})
	// Output:
	// route: completed
	// short: skipped
	// long: completed
	// report: completed
	// the DAG: completed
}

// A node depends on what another one returned.
func ExampleNode_When() {
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, func(context.Context, *pgq.Job[Count]) (map[string]float64, error) {
			return map[string]float64{"risk": 0.3}, nil
		})
		worker.Handle(w, func(context.Context, *pgq.Job[Report]) error { return nil })
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		b := dagsql.New("risk", dagsql.Options{})
		score := b.Add("score", Count{})
		b.Add("accept", Report{}).After(score.When(`$.risk < 0.5`))
		alarm := b.Add("alarm", Report{}).After(score.When(`$.risk >= 0.5`))
		b.Add("call", Report{}).After(alarm) // skipped as well

		dag, _ := d.Submit(ctx, pool, b)
		show(ctx, d, pool, dag.ID)
	})
	// Output:
	// score: completed
	// accept: completed
	// alarm: skipped
	// call: skipped
	// the DAG: completed
}

// Two of three are enough.
func ExampleNode_AtLeast() {
	b := dagsql.New("quorum", dagsql.Options{})
	x, y, z := b.Add("x", Count{}), b.Add("y", Count{}), b.Add("z", Count{})
	b.Add("report", Report{}).After(x, y, z).AtLeast(2)

	failed := dagsql.Outcome{State: pgq.Failed}
	end, _ := dagsql.Simulate(b, map[string]dagsql.Outcome{"x": failed})
	fmt.Println("one failed:", end.Nodes["report"], end.State)
	end, _ = dagsql.Simulate(b, map[string]dagsql.Outcome{"x": failed, "y": failed})
	fmt.Println("two failed:", end.Nodes["report"], end.State)
	// Output:
	// one failed: completed completed
	// two failed: skipped failed
}
