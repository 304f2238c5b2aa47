package dagsql_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// mapOver is a DAG list -> map -> sum.
func mapOver(args pgq.Args, o dagsql.MapOptions) *dagsql.Builder {
	b := steps()
	b.Add("sum", step{}).AfterDone(b.Map("map", b.Add("list", step{}), args, o))
	return b
}

func TestAMapRunsAJobForEachItem(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	for _, c := range []struct {
		name   string
		o      dagsql.MapOptions
		list   any
		args   []string // of the items
		result string   // of the map
	}{
		{"an array", dagsql.MapOptions{}, []int{3, 4}, []string{"3", "4"}, `{"items": 2, "failed": 0}`},
		{"members", dagsql.MapOptions{Path: "$.keys[*] ? (@ > 3)"}, map[string]any{"keys": []int{3, 4, 5}}, []string{"4", "5"}, `{"items": 2, "failed": 0}`},
		{"added to args", dagsql.MapOptions{As: "key"}, []string{"a"}, []string{`{"n": 7, "key": "a"}`}, `{"items": 1, "failed": 0}`},
		{"instead of args", dagsql.MapOptions{As: "n"}, []any{nil, 1}, []string{`{"n": null}`, `{"n": 1}`}, `{"items": 2, "failed": 0}`},
		{"nothing", dagsql.MapOptions{}, []int{}, nil, `{"items": 0, "failed": 0}`},
		{"nothing that fits", dagsql.MapOptions{Path: "$.other[*]"}, map[string]any{"keys": []int{3}}, nil, `{"items": 0, "failed": 0}`},
		{"not an array", dagsql.MapOptions{}, 3, []string{"3"}, `{"items": 1, "failed": 0}`}, // which jsonpath takes for an array of one
	} {
		id := h.submit(mapOver(step{7}, c.o))
		h.takes("list")
		h.done("list", c.list)
		items := []string{}
		for i := range c.args {
			items = append(items, fmt.Sprintf("map[%d]", i))
		}
		if len(items) > 0 {
			h.takes(items...)
		}
		for i, want := range c.args {
			var args json.RawMessage
			must(t, h.attempt(items[i]).DecodeArgs(&args))
			same(t, c.name, string(args), want)
			same(t, c.name, h.attempt(items[i]).Kind, "step")
			h.done(items[i], nil)
		}
		h.takes("sum")
		parents, err := dagsql.Upstream(h.ctx, h.attempt("sum"))
		must(t, err)
		same(t, c.name, string(parents[0].Output), c.result)
		h.done("sum", nil)
		same(t, c.name, h.states(id)["map"], "completed")
	}
}

func TestAMapOverWhatIsNoListFails(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	for name, c := range map[string]struct {
		path  string
		list  any
		error string
	}{
		"no result":           {"", nil, "list has no result in JSON"},
		"a result of a codec": {"", sealed{"x"}, "list has no result in JSON"},
		"a path that raises":  {"strict $.keys[*]", map[string]any{"other": 1}, "items of list: JSON object does not contain key \"keys\""},
	} {
		id := h.submit(mapOver(step{}, dagsql.MapOptions{Path: c.path}))
		h.takes("list")
		h.done("list", c.list)
		h.takes("sum")
		h.done("sum", nil)
		h.is(id, pgq.Failed, "list completed", "map failed", "sum completed")
		nodes, _, err := h.d.Nodes(h.ctx, h.pool, id, dagsql.Filter{Names: []string{"map"}})
		must(t, err)
		same(t, name, *nodes[0].Error, c.error)
		// With a list, a retry from there mends it.
		_, err = h.d.Retry(h.ctx, h.pool, id, dagsql.RetryFrom, "list")
		must(t, err)
		h.takes("list")
		h.done("list", map[string]any{"keys": []int{1}})
		h.run()
		h.is(id, pgq.Completed, "list completed", "map completed", "map[0] completed", "sum completed")
	}
}

func TestAWindowLimitsHowManyItemsRun(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submit(mapOver(step{}, dagsql.MapOptions{Window: 2}))
	h.takes("list")
	h.done("list", []int{0, 1, 2, 3, 4})
	h.takes("map[0]", "map[1]")
	h.takes()
	h.done("map[1]", nil)
	h.takes("map[2]")
	h.fails("map[0]")
	// One failure is one too many: the others are skipped, and the map waits for what runs.
	h.takes()
	h.run()
	h.is(id, pgq.Running, "list completed", "map waiting", "map[0] failed", "map[1] completed", "map[2] running", "map[3] skipped", "map[4] skipped", "sum waiting")
	h.done("map[2]", nil)
	same(t, "the rest", h.run(), "[sum]")
	h.is(id, pgq.Failed, "list completed", "map failed!", "map[0] failed", "map[1] completed", "map[2] completed", "map[3] skipped", "map[4] skipped", "sum completed")
	_, err := h.d.Retry(h.ctx, h.pool, id, dagsql.RetryFailed)
	must(t, err)
	same(t, "the retry", strings.Join(h.run(), " "), "map[0] map[3] map[4]")
	h.is(id, pgq.Completed, "list completed", "map completed", "map[0] completed", "map[1] completed", "map[2] completed", "map[3] completed", "map[4] completed", "sum completed")
}

func TestAMapToleratesSomeFailures(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	list := make([]int, 40)
	for failures, want := range map[int]string{1: "completed", 2: "failed!"} { // 2.5 % of 40 is one
		id := h.submit(mapOver(step{}, dagsql.MapOptions{Tolerate: 2.5}))
		h.takes("list")
		h.done("list", list)
		h.take()
		for i := range list {
			if i < failures {
				h.fails(fmt.Sprintf("map[%d]", i))
			} else {
				h.done(fmt.Sprintf("map[%d]", i), nil)
			}
		}
		h.takes("sum")
		if want == "completed" {
			same(t, "the map's result", result[map[string]int](h, "sum", "map"), "map[failed:1 items:40]")
		}
		h.done("sum", nil)
		same(t, fmt.Sprint(failures, " failures"), h.states(id)["map"], want)
		run, err := h.d.Get(h.ctx, h.pool, id)
		must(t, err)
		same(t, fmt.Sprint(failures, " failures"), run.State, strings.TrimSuffix(want, "!"))
	}
}

// More items than are added at a time: the chores add the rest.
func TestALargeMapIsExpandedInPortions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.work(nil)
	const n = 4500
	builder := steps()
	list := builder.External("list", dagsql.ExternalOptions{})
	builder.Add("sum", act{}).After(builder.Map("map", list, act{}, dagsql.MapOptions{Path: "$[*]", As: "x"}))
	id := b.submit(builder)
	_, err := b.d.Complete(b.ctx, b.pool, id, "list", make([]int, n))
	must(t, err)
	same(t, "the DAG", b.ended(id).State, pgq.Completed)
	same(t, "items", len(b.states(id)), n+3)
}
