package dagsql_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// website is a DAG fetch -> parse, images -> save with a map and a sub-DAG.
func website(key string) *dagsql.Builder {
	b := dagsql.New("website", dagsql.Options{
		Key: key, Queue: "default", Priority: pgq.Prio(3), Deadline: time.Hour, FailFast: true, Output: "save", Tags: []string{"t"}, Metadata: map[string]any{"by": "eve"}})
	fetch := b.Add("fetch", step{}, pgq.Options{MaxAttempts: 4})
	parse := b.Sub("parse").After(fetch)
	text := parse.Add("text", act{})
	parse.Add("links", step{}).After(text)
	images := b.Map("images", fetch, step{}, dagsql.MapOptions{})
	b.Add("save", step{}).After(parse, images.Soft()).Rule(dagsql.NoneFailed)
	return b
}

// websiteRan runs one; times are in seconds since it was submitted.
func (h *hand) websiteRan() int64 {
	h.t.Helper()
	id := h.submit(website("k"))
	h.takes("fetch")
	h.done("fetch", []string{"a", "b"})
	h.run()
	for node, times := range map[string][2]int{"fetch": {2, 10}, "parse/text": {10, 20}, "parse/links": {25, 30}, "images[0]": {10, 15}, "images[1]": {10, 24},
		"save": {31, 40}, "parse": {30, 30}, "parse/(start)": {10, 10}, "images": {24, 24}} {
		_, err := h.pool.Exec(h.ctx, `update pgq.results f set claimed_at = case when $3::int < $4 then d.created_at + make_interval(secs => $3) end,
			finished_at = d.created_at + make_interval(secs => $4::int) from pgq.jobs d where d.id = $1 and f.job_id = $2`, id, h.node(id, node), times[0], times[1])
		must(h.t, err)
	}
	return id
}

func TestGetFindAndAwaitReturnADAG(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submit(website("monday"))
	check := func(run dagsql.Run, err error, want string) {
		t.Helper()
		must(t, err)
		got := fmt.Sprintln(run.ID, run.Name, *run.Key, run.Queue, run.Priority, run.State, run.FinishedAt != nil, run.Deadline.Sub(run.CreatedAt), run.FailFast,
			*run.Output, run.ForkedFrom != nil, run.Tags, string(run.Metadata), deref(run.Error), deref(run.CauseID))
		same(t, "DAG", got, want+"\n")
	}
	common := fmt.Sprintf("%d website monday default 3 ", id)
	run, err := h.d.Get(h.ctx, h.pool, id)
	check(run, err, common+`running false 1h0m0s true save false [t] {"by": "eve"} <nil> <nil>`)
	run, err = h.d.Find(h.ctx, h.pool, "website", "monday")
	check(run, err, common+`running false 1h0m0s true save false [t] {"by": "eve"} <nil> <nil>`)
	h.takes("fetch")
	h.fails("fetch")
	run, err = h.d.Await(h.ctx, h.pool, id)
	check(run, err, common+fmt.Sprintf(`failed true 1h0m0s true save false [t] {"by": "eve"} fetch failed %d`, h.node(id, "fetch")))
	nodeID := h.node(id, "fetch")
	for what, find := range map[string]func() error{
		"Get":     func() error { _, err := h.d.Get(h.ctx, h.pool, nodeID); return err },
		"Find":    func() error { _, err := h.d.Find(h.ctx, h.pool, "website", "tuesday"); return err },
		"Await":   func() error { _, err := h.d.Await(h.ctx, h.pool, id+1000); return err },
		"await":   func() error { _, err := h.d.Await(h.ctx, h.pool, nodeID); return err },
		"Graph":   func() error { _, err := h.d.Graph(h.ctx, h.pool, nodeID, 10); return err },
		"Levels":  func() error { _, err := h.d.Levels(h.ctx, h.pool, nodeID); return err },
		"Slowest": func() error { _, err := h.d.Slowest(h.ctx, h.pool, nodeID, 1); return err },
		"path":    func() error { _, err := h.d.CriticalPath(h.ctx, h.pool, nodeID); return err },
		"far":     func() error { _, err := h.d.Progress(h.ctx, h.pool, nodeID); return err },
		"why":     func() error { _, err := h.d.Explain(h.ctx, h.pool, nodeID, ""); return err },
		"whyNode": func() error { _, err := h.d.Explain(h.ctx, h.pool, id, "nothing"); return err },
		"Mermaid": func() error { _, err := h.d.Mermaid(h.ctx, h.pool, nodeID, dagsql.Style{}); return err },
	} {
		if err := find(); !errors.Is(err, pgq.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var bad *pgq.ArgumentError
	if _, err := h.d.DOT(h.ctx, h.pool, id, dagsql.Style{Theme: "pink"}); !errors.As(err, &bad) || bad.Field != "theme" {
		t.Error(err)
	}
}

func TestDAGsAndNodesAreListedInPages(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	var ids []int64
	for i := range 5 {
		ids = append(ids, h.submit(website(fmt.Sprint(i))))
	}
	_, err := h.d.Hold(h.ctx, h.pool, ids[1], "")
	must(t, err)
	_, err = h.d.Cancel(h.ctx, h.pool, ids[2], dagsql.CancelOptions{})
	must(t, err)
	list := func(f dagsql.Filter) (listed []int64, next int64) {
		runs, next, err := h.d.List(h.ctx, h.pool, f)
		must(t, err)
		for _, run := range runs {
			listed = append(listed, run.ID)
		}
		return listed, next
	}
	for _, c := range []struct {
		f    dagsql.Filter
		want []int64
		next int64
	}{
		{dagsql.Filter{}, []int64{ids[4], ids[3], ids[2], ids[1], ids[0]}, 0},
		{dagsql.Filter{Limit: 2}, []int64{ids[4], ids[3]}, ids[3]},
		{dagsql.Filter{Limit: 2, From: ids[3]}, []int64{ids[2], ids[1]}, ids[1]},
		{dagsql.Filter{Limit: 2, From: ids[1]}, []int64{ids[0]}, 0},
		{dagsql.Filter{States: []pgq.State{dagsql.Held, pgq.Cancelled}}, []int64{ids[2], ids[1]}, 0},
		{dagsql.Filter{Names: []string{"website", "x"}, IDs: ids[:2]}, []int64{ids[1], ids[0]}, 0},
		{dagsql.Filter{Names: []string{"x"}}, nil, 0},
	} {
		got, next := list(c.f)
		same(t, fmt.Sprintf("%+v", c.f), got, c.want)
		same(t, fmt.Sprintf("cursor of %+v", c.f), next, c.next)
	}
	for _, id := range ids {
		_, err = h.d.Cancel(h.ctx, h.pool, id, dagsql.CancelOptions{})
		must(t, err)
	}

	id := h.websiteRan()
	nodes := func(f dagsql.Filter) (names []string, next int64) {
		nodes, next, err := h.d.Nodes(h.ctx, h.pool, id, f)
		must(t, err)
		for _, n := range nodes {
			names = append(names, n.Name)
		}
		return names, next
	}
	for _, c := range []struct {
		f    dagsql.Filter
		want string
		next int64
	}{
		{dagsql.Filter{}, "[fetch parse parse/text parse/links images save images[0] images[1]]", 0},
		{dagsql.Filter{Top: true}, "[fetch parse images save]", 0},
		{dagsql.Filter{Limit: 3}, "[fetch parse parse/text]", h.node(id, "parse/text")},
		{dagsql.Filter{From: h.node(id, "images")}, "[save images[0] images[1]]", 0},
		{dagsql.Filter{Names: []string{"save", "fetch"}}, "[fetch save]", 0},
		{dagsql.Filter{IDs: []int64{h.node(id, "save"), ids[0]}}, "[save]", 0},
		{dagsql.Filter{States: []pgq.State{pgq.Failed}}, "[]", 0},
	} {
		got, next := nodes(c.f)
		same(t, fmt.Sprintf("%+v", c.f), got, c.want)
		same(t, fmt.Sprintf("cursor of %+v", c.f), next, c.next)
	}
}

func TestNodesAreDescribed(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submit(website("k"))
	h.takes("fetch")
	describe := func(name string) string {
		nodes, _, err := h.d.Nodes(h.ctx, h.pool, id, dagsql.Filter{Names: []string{name}})
		must(t, err)
		n := nodes[0]
		return fmt.Sprintf("scope %q role %q kind %s queue %s %s attempt %d of %v claimed %t finished %t rule %s parents %v %v %v %v held %t error %v cause %v",
			n.Scope, n.Role, n.Kind, n.Queue, n.State, n.Attempt, deref(n.MaxAttempts), n.ClaimedAt != nil && n.WorkerID != nil, n.FinishedAt != nil, n.Rule,
			deref(n.Pending), deref(n.OK), deref(n.Failed), deref(n.Skipped), n.Held, deref(n.Error), deref(n.Cause))
	}
	none := "parents <nil> <nil> <nil> <nil> held false error <nil> cause <nil>"
	same(t, "fetch", describe("fetch"), `scope "" role "" kind step queue default running attempt 1 of 4 claimed true finished false rule all `+none)
	same(t, "parse", describe("parse"), `scope "" role "dag" kind dag queue default waiting attempt 0 of <nil> claimed false finished false rule all parents 2 0 0 0 held false error <nil> cause <nil>`)
	same(t, "images", describe("images"), `scope "" role "map" kind map queue default waiting attempt 0 of <nil> claimed false finished false rule all parents 1 0 0 0 held false error <nil> cause <nil>`)
	same(t, "save", describe("save"), `scope "" role "" kind step queue default waiting attempt 0 of <nil> claimed false finished false rule none_failed parents 2 0 0 0 held false error <nil> cause <nil>`)
	h.fails("fetch")
	same(t, "fetch", describe("fetch"), `scope "" role "" kind step queue default failed attempt 1 of 4 claimed true finished true rule all parents <nil> <nil> <nil> <nil> held false error told to cause <nil>`)
	same(t, "links", describe("parse/links"), `scope "parse" role "" kind step queue default skipped attempt 0 of <nil> claimed false finished true rule all parents <nil> <nil> <nil> <nil> held false error fetch failed cause fetch`)
}

func TestProgressPathSlowestAndLevelsOfADAGThatRan(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.websiteRan()
	path, err := h.d.CriticalPath(h.ctx, h.pool, id)
	must(t, err)
	var steps []string
	for _, n := range path {
		steps = append(steps, fmt.Sprintf("%d %s waited %s ran %s %.2f", n.Position, n.Name, n.Waited, n.Ran, n.Share))
		same(t, "id of "+n.Name, n.ID, h.node(id, n.Name))
	}
	same(t, "critical path", strings.Join(steps, "\n"), "1 fetch waited 2s ran 8s 0.25\n2 parse/text waited 0s ran 10s 0.25\n"+
		"3 parse/links waited 5s ran 5s 0.25\n4 save waited 1s ran 9s 0.25")
	slowest, err := h.d.Slowest(h.ctx, h.pool, id, 3)
	must(t, err)
	steps = nil
	for _, n := range slowest {
		steps = append(steps, fmt.Sprintf("%s %s %s %d %v %s", n.Name, n.Kind, n.State, n.Attempt, *n.WorkerID == h.worker, n.Ran))
	}
	same(t, "slowest", strings.Join(steps, "\n"), "images[1] step completed 1 true 14s\nparse/text act completed 1 true 10s\nsave step completed 1 true 9s")
	levels, err := h.d.Levels(h.ctx, h.pool, id)
	must(t, err)
	same(t, "levels", levels, "[{fetch 0} {parse/text 1} {images 1} {parse/links 2} {parse 3} {save 3}]")
	progress, err := h.d.Progress(h.ctx, h.pool, id)
	must(t, err)
	progress.Elapsed = 0
	same(t, "progress", fmt.Sprintf("%+v", progress), fmt.Sprintf("{Total:6 Waiting:0 Scheduled:0 Ready:0 Running:0 Completed:6 Failed:0 Cancelled:0 "+
		"Expired:0 Skipped:0 Fraction:1 Elapsed:0s Remaining:%v}", progress.Remaining))
	same(t, "remaining", *progress.Remaining, "0s")

	// The next run is judged by this one.
	next := h.submit(website("next"))
	h.takes("fetch")
	progress, err = h.d.Progress(h.ctx, h.pool, next)
	must(t, err)
	if progress.Running != 1 || progress.Waiting != 3 || progress.Remaining == nil || *progress.Remaining <= 0 {
		t.Errorf("progress of the next run is %+v", progress)
	}
}

func TestExplainSaysWhyANodeDoesNotRun(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.submit(website("k"))
	h.takes("fetch")
	reasons := func(node string) string {
		why, err := h.d.Explain(h.ctx, h.pool, id, node)
		must(t, err)
		var all []string
		for _, r := range why {
			text := r.Reason
			if r.JobID != nil {
				text += " " + h.names([]int64{*r.JobID})[0]
			}
			if r.Detail == "" {
				t.Errorf("reason %s has no detail", r.Reason)
			}
			all = append(all, text)
		}
		return strings.Join(all, ", ")
	}
	for node, want := range map[string]string{
		"":      "parents DAG, parent save, blocked fetch",
		"fetch": "running fetch",
		"save":  "parents save, parent parse, parent images, blocked fetch",
	} {
		same(t, "why "+node, reasons(node), want)
	}
	h.fails("fetch")
	same(t, "why save", reasons("save"), "skipped save, cause fetch")
}

func TestTheGraphIsThatOfThePictures(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	id := h.websiteRan()
	graph, err := h.d.Graph(h.ctx, h.pool, id, 500)
	must(t, err)
	var lines []string
	for _, n := range graph.Nodes {
		lines = append(lines, fmt.Sprintf("%s %s %q %s %q %s %d %s%s %v/%v", n.ID, n.Label, n.Role, n.Kind, n.Rule, n.State, n.Depth, n.First, n.Last, deref(n.Done), deref(n.Total)))
		same(t, "job of "+n.Name, n.JobID, h.node(id, n.Name))
	}
	for _, e := range graph.Edges {
		lines = append(lines, fmt.Sprintf("%s %s %t", e.From, e.To, e.Soft))
	}
	same(t, "graph", strings.Join(lines, "\n"), `n0 fetch "" step "" completed 0  <nil>/<nil>
n1 parse "dag" dag "" completed 0 n2n3 <nil>/<nil>
n2 text "" act "" completed 1  <nil>/<nil>
n3 links "" step "" completed 1  <nil>/<nil>
n4 images "map" map "" completed 0  2/2
n5 save "" step "none_failed" completed 0  <nil>/<nil>
n0 n1 false
n0 n4 false
n1 n5 false
n2 n3 false
n4 n5 true`)
	graph, err = h.d.Graph(h.ctx, h.pool, id, 2)
	must(t, err)
	same(t, "more", graph.More, 4)
}
