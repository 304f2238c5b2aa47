package dagsql_test

import (
	"errors"
	"fmt"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

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
