package integration

import (
	"fmt"
	"slices"
	"testing"
)

// edit replaces a part of a function of the schema.
type edit struct{ function, old, new string }

// dagMutants are the engine of DAGs, broken on purpose, each with a duel that must end badly then.
var dagMutants = []struct {
	name, duel string
	edits      []edit
}{
	{"news for a child that is locked are dropped", "the last two parents finish",
		[]edit{{"deliver", "if judged.locked < cardinality(news.children) then", "if false then"}}},
	{"news for a child that is locked are dropped", "the last two leaves finish",
		[]edit{{"deliver", "if judged.locked < cardinality(news.children) then", "if false then"}}},
	{"parents of a new DAG may finish unseen", "a job finishes, a DAG comes after it",
		[]edit{{"dag_add", "array(select pin(outer_ids))", "'{}'"}}},
	{"parents of a new node may finish unseen", "a parent finishes, a child of it is added",
		[]edit{{"dag_add", "array(select pin(outer_ids))", "'{}'"}}},
	{"children are told by what the finishing statement saw", "a job finishes, a DAG comes after it", []edit{
		{"complete", "done bigint[];\n", "done bigint[];\n    seen constant text := set_config('duel.snapshot', pg_current_snapshot()::text, true);\n"},
		{"deliver", "where parent_id = f.job_id and child_id", `where parent_id = f.job_id and (coalesce(current_setting('duel.snapshot', true), '') = ''
			or pg_visible_in_snapshot(edges.xmin::text::xid8, current_setting('duel.snapshot')::pg_snapshot)) and child_id`}}},
	{"nobody waits for the parents of what is cancelled", "a parent finishes early, the child is cancelled",
		[]edit{{"cancel", "perform keep_waited(found_at.ids);", ""}}},
	{"nobody waits for the parents of what expires", "a parent finishes early, the child expires",
		[]edit{{"expire", "perform keep_waited(array(select w.job_id from waiting w where w.job_id = any(late) and w.attempt = 0));", ""}}},
	{"the frontier moves while it is counted", "the chores tell children, another DAG comes after the parent",
		[]edit{{"pin", "perform pin_frontier(job_ids);\n            return;", "return;"}}},
	{"a map that is cancelled grows", "a map grows, its DAG is cancelled",
		[]edit{{"end_dags", "where m.job_id = b.job_id and b.missing > 0", "where false"}}},
	{"the early answer is forgotten", "an answer comes, its node is reached",
		[]edit{{"open_external", "if found then", "if false then"}}},
	{"an answer does not look who else answers", "two answers come",
		[]edit{{"answer_node", "where w.job_id = answer_node.job_id for update", "where w.job_id = answer_node.job_id"}}},
}

func TestTheDuelsCatchMutants(t *testing.T) {
	t.Parallel()
	named := map[string]duel{}
	for _, d := range slices.Concat(finishingDuels, growingDuels, lateDuels) {
		if _, ok := named[d.name]; ok {
			t.Errorf("two duels are called %q", d.name)
		}
		named[d.name] = d
	}
	for _, mutant := range dagMutants {
		t.Run(mutant.name+": "+mutant.duel, func(t *testing.T) {
			t.Parallel()
			duel, ok := named[mutant.duel]
			if !ok {
				t.Fatal("there is no such duel")
			}
			d := newDueller(t, duel.small)
			for _, e := range mutant.edits {
				mutate(t, d.control, e.function, e.old, e.new)
			}
			var reports []string
			d.report = func(format string, args ...any) { reports = append(reports, fmt.Sprintf(format, args...)) }
			for _, schedule := range orders(len(duel.a), len(duel.b)) {
				d.fight(duel, schedule)
			}
			if len(reports) == 0 {
				t.Fatal("no order of the steps caught it")
			}
			t.Logf("caught by %d of %d orders: %s", len(reports), d.count, reports[0])
		})
	}
}
