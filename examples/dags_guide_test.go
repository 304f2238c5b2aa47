package examples

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/internal/pgtest"
)

const dagsGuide = "../docs/dags.md"

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
	content, err := os.ReadFile(dagsGuide)
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
