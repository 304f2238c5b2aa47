package dagsql_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// What the documentation of the package shows.
type (
	FetchArgs struct {
		URL string `json:"url"`
	}
	SentimentArgs struct{}
	SummaryArgs   struct{}
	SaveArgs      struct{}
	ThumbArgs     struct {
		Key string `json:"key"`
	}
	Mood  struct{ Score float64 }
	Saved struct{ Text string }
)

func (FetchArgs) Kind() string     { return "fetch-website" }
func (SentimentArgs) Kind() string { return "sentiment" }
func (SummaryArgs) Kind() string   { return "summary" }
func (SaveArgs) Kind() string      { return "save" }
func (ThumbArgs) Kind() string     { return "thumb" }

// A website is fetched, two jobs look at it, one more saves what they say. The summary may fail.
func Example() {
	whileWorking(func(w *worker.Worker) {
		worker.HandleResult(w, func(_ context.Context, job *pgq.Job[FetchArgs]) (string, error) {
			return "the text of " + job.Args.URL, nil
		})
		worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[SentimentArgs]) (Mood, error) {
			text, err := dagsql.Result[string](ctx, job.Attempt, "website")
			return Mood{Score: float64(len(text))}, err
		})
		worker.Handle(w, func(context.Context, *pgq.Job[SummaryArgs]) error {
			return pgq.Permanent(errors.New("too long"))
		})
		worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[SaveArgs]) (Saved, error) {
			mood, err := dagsql.Result[Mood](ctx, job.Attempt, "sentiment")
			if err != nil {
				return Saved{}, err
			}
			text, ok, err := dagsql.Maybe[string](ctx, job.Attempt, "summary") // false: it failed or was skipped
			return Saved{Text: fmt.Sprintf("score %g, summary %q (%t)", mood.Score, text, ok)}, err
		})
	}, func(ctx context.Context, pool *pgxpool.Pool, d *dagsql.Client) {
		host := "example.com"
		b := dagsql.New("analyze-website", dagsql.Options{Key: "site:" + host, Deadline: 10 * time.Minute, Output: "save"})
		site := b.Add("website", FetchArgs{URL: "https://" + host}, pgq.Options{MaxAttempts: 3})
		sentiment := b.Add("sentiment", SentimentArgs{}).After(site)
		summary := b.Add("summary", SummaryArgs{}).After(site)
		b.Add("save", SaveArgs{}).After(sentiment, summary.Soft()) // the summary may fail

		tx, _ := pool.Begin(ctx) // the application's own transaction
		dag, _ := d.Submit(ctx, tx, b)
		_ = tx.Commit(ctx)

		show(ctx, d, pool, dag.ID)
		saved, _ := dagsql.Output[Saved](ctx, d, pool, dag.ID, "save")
		fmt.Println(saved.Text)
	})
	// Output:
	// website: completed
	// sentiment: completed
	// summary: failed
	// save: completed
	// the DAG: completed
	// score 31, summary "" (false)
}

// More than jobs: a map, an answer from outside, a sleep and a sub-DAG.
func ExampleScope() {
	b := dagsql.New("gallery", dagsql.Options{})
	list := b.Add("list", FetchArgs{})
	thumbs := b.Map("thumbs", list, ThumbArgs{}, dagsql.MapOptions{Path: "$.keys[*]", As: "key", Window: 100, Tolerate: 2.5})
	ok := b.External("approve", dagsql.ExternalOptions{Timeout: 24 * time.Hour}).After(thumbs)
	later := b.Sleep("cooldown", time.Hour).After(ok)
	etl := b.Sub("etl").After(later).Output("load")
	extract := etl.Add("extract", FetchArgs{}) // its full name is etl/extract
	etl.Add("load", SaveArgs{}).After(extract)
	fmt.Print(b.Mermaid(dagsql.Style{Plain: true, Direction: "LR"}))
	// Output:
	// flowchart LR
	//     n0["list"]
	//     n1[["thumbs"]]
	//     n2{{"approve"}}
	//     n3(["cooldown"])
	//     subgraph n4["etl"]
	//         n5["extract"]
	//         n6["load"]
	//     end
	//     n0 --> n1
	//     n1 --> n2
	//     n2 --> n3
	//     n3 --> n4
	//     n5 --> n6
}

// A unit test of a DAG's shape needs no database: what happens if the summary fails?
func ExampleSimulate() {
	b := dagsql.New("analyze-website", dagsql.Options{})
	site := b.Add("website", step{})
	sentiment := b.Add("sentiment", step{}).After(site)
	summary := b.Add("summary", step{}).After(site)
	b.Add("save", step{}).After(sentiment, summary.Soft())

	end, _ := dagsql.Simulate(b, map[string]dagsql.Outcome{"summary": {State: pgq.Failed}})
	fmt.Println(end.Nodes["save"], end.State)
	end, _ = dagsql.Simulate(b, map[string]dagsql.Outcome{"website": {State: pgq.Failed}})
	fmt.Println(end.Nodes["save"], end.State)
	// Output:
	// completed completed
	// skipped failed
}

// A DAG can be drawn before it is submitted.
func ExampleBuilder_Mermaid() {
	b := dagsql.New("analyze-website", dagsql.Options{})
	site := b.Add("website", step{})
	summary := b.Add("summary", step{}).After(site)
	b.Add("save", step{}).After(site, summary.Soft())
	fmt.Print(b.Mermaid(dagsql.Style{Plain: true}))
	// Output:
	// flowchart TD
	//     n0["website"]
	//     n1["summary"]
	//     n2["save"]
	//     n0 --> n1
	//     n0 --> n2
	//     n1 -.-> n2
}

// Everything that is wrong is reported at once.
func ExampleInvalidError() {
	b := dagsql.New("analyze-website", dagsql.Options{})
	site := b.Add("website", nil)
	b.Add("save", step{}, pgq.Options{Priority: pgq.Prio(10)}).After(site, nil)

	_, err := b.JSON()
	var bad *dagsql.InvalidError
	if errors.As(err, &bad) {
		for _, problem := range bad.Problems {
			fmt.Println(problem)
		}
	}
	// Output:
	// node "save": after must not be nil
	// node "website": args must not be nil
	// node "save": priority must be 0 to 9
}
