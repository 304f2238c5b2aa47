package dagsql

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pgq-go/queue/pgq"
)

// Problem is a rule that a DAG breaks.
type Problem struct {
	// Node is the name of the node; empty for the DAG itself.
	Node string `json:"node"`
	// Field is the name of the field as in the JSON form: "after".
	Field string `json:"field"`
	// Rule is what it must be.
	Rule string `json:"rule"`
}

// String returns the problem as a sentence.
func (p Problem) String() string {
	if p.Node == "" {
		return p.Field + " " + p.Rule
	}
	return fmt.Sprintf("node %q: %s %s", p.Node, p.Field, p.Rule)
}

// InvalidError says all that is wrong with a DAG that was not submitted, or an extension. Nothing was written. Match
// it with errors.As.
type InvalidError struct {
	Problems []Problem
}

// maxShown is how many problems the text of the error tells.
const maxShown = 10

// Error returns the problems; of many, the first ten.
func (e *InvalidError) Error() string {
	var text strings.Builder
	text.WriteString("pgq: DAG is invalid: ")
	for i, problem := range e.Problems {
		if i == maxShown {
			fmt.Fprintf(&text, "; and %d more", len(e.Problems)-maxShown)
			break
		}
		if i > 0 {
			text.WriteString("; ")
		}
		text.WriteString(problem.String())
	}
	return text.String()
}

// invalid returns the builder's problems and those that the database found as an error, nil if there are none. What
// the builder says of a field of a node counts more than what the database made of it.
func invalid(builder, database []Problem) error {
	problems := builder
	for _, p := range database {
		known := func(own Problem) bool { return own.Node == p.Node && own.Field == p.Field }
		if !slices.ContainsFunc(builder, known) {
			problems = append(problems, p)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &InvalidError{Problems: problems}
}

// wrap turns what the database says into errors of package pgq, and problems of a DAG into an *InvalidError.
func wrap(verb string, err error) error {
	err = pgq.WrapError(verb, err)
	var bad *pgq.ArgumentError
	if errors.As(err, &bad) && bad.Field == "dag" {
		var problems []Problem
		if json.Unmarshal([]byte(bad.Rule), &problems) == nil && len(problems) > 0 {
			return &InvalidError{Problems: problems}
		}
	}
	return err
}
