package dagsql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

var (
	fails   = dagsql.Outcome{State: pgq.Failed}
	chooses = func(names ...string) dagsql.Outcome { return dagsql.Outcome{Branch: names} }
)

// outcomes is short for what Simulate takes.
type outcomes = map[string]dagsql.Outcome

// ends fails the test unless a DAG ends in this state and these nodes do; "skipped!" is skipped because of a failure.
func ends(t *testing.T, b *dagsql.Builder, given outcomes, state pgq.State, nodes map[string]string) {
	t.Helper()
	got, err := dagsql.Simulate(b, given)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != state {
		t.Errorf("the DAG is %s, want %s", got.State, state)
	}
	for name, want := range nodes {
		is := string(got.Nodes[name])
		if got.Caused[name] {
			is += "!"
		}
		if is != want {
			t.Errorf("node %q is %s, want %s", name, is, want)
		}
	}
}

// What each rule makes of parents that succeed (o), fail (f) and are skipped (s), and what becomes of the DAG.
func TestEveryRuleDecidesByHowTheParentsEnded(t *testing.T) {
	t.Parallel()
	cases := []struct{ parents, all, any, two, noneFailed, join, done, oneFailed, allFailed, noneSkipped string }{
		{"o", "run", "run", "skip", "run", "run", "run", "skip", "skip", "run"},
		{"f", "skip!", "skip!", "skip!", "skip!", "skip!", "run", "run", "run", "run"},
		{"s", "skip", "skip", "skip", "run", "skip", "run", "skip", "skip", "skip"},
		{"oo", "run", "run", "run", "run", "run", "run", "skip", "skip", "run"},
		{"of", "skip!", "run", "skip!", "skip!", "skip!", "run", "run", "skip", "run"},
		{"os", "skip", "run", "skip", "run", "run", "run", "skip", "skip", "skip"},
		{"ff", "skip!", "skip!", "skip!", "skip!", "skip!", "run", "run", "run", "run"},
		{"fs", "skip!", "skip!", "skip!", "skip!", "skip!", "run", "run", "skip", "skip"},
		{"ss", "skip", "skip", "skip", "run", "skip", "run", "skip", "skip", "skip"},
		{"oof", "skip!", "run", "run", "skip!", "skip!", "run", "run", "skip", "run"},
		{"oos", "skip", "run", "run", "run", "run", "run", "skip", "skip", "skip"},
		{"ofs", "skip!", "run", "skip!", "skip!", "skip!", "run", "run", "skip", "skip"},
	}
	rules := []dagsql.Rule{dagsql.All, dagsql.Any, "two", dagsql.NoneFailed, dagsql.Join, dagsql.Done, dagsql.OneFailed,
		dagsql.AllFailed, dagsql.NoneSkipped}
	for _, c := range cases {
		for i, want := range []string{c.all, c.any, c.two, c.noneFailed, c.join, c.done, c.oneFailed, c.allFailed, c.noneSkipped} {
			t.Run(fmt.Sprintf("%s/%s", c.parents, rules[i]), func(t *testing.T) {
				b, given := dagsql.New("rules", dagsql.Options{}), outcomes{}
				source := b.Add("source", step{})
				child := b.Add("child", step{})
				if rules[i] == "two" {
					child.AtLeast(2)
				} else {
					child.Rule(rules[i])
				}
				for j, how := range c.parents {
					parent := b.Add(fmt.Sprintf("parent%d", j), step{}).After(source)
					switch how {
					case 'f':
						given[parent.Name()] = fails
					case 's':
						parent.After(source.Branch("none"))
					}
					child.After(parent)
				}
				state := pgq.Completed
				tolerates := want == "run" && (rules[i] == dagsql.Any || rules[i] == "two")
				if strings.Contains(c.parents, "f") && !tolerates {
					state = pgq.Failed
				}
				is := map[string]string{"run": "completed", "skip": "skipped", "skip!": "skipped!"}[want]
				ends(t, b, given, state, map[string]string{"child": is})
			})
		}
	}
}

func TestWhatEndsAParentOtherThanCompletedIsAFailure(t *testing.T) {
	t.Parallel()
	for _, state := range []pgq.State{pgq.Failed, pgq.Cancelled, pgq.Expired} {
		b := dagsql.New("chain", dagsql.Options{})
		a := b.Add("a", step{})
		b.Add("c", step{}).After(b.Add("b", step{}).After(a))
		ends(t, b, outcomes{"a": {State: state}}, pgq.Failed,
			map[string]string{"a": string(state), "b": "skipped!", "c": "skipped!"})
	}
}

func TestASoftEdgeTurnsAFailureOrSkipIntoASuccess(t *testing.T) {
	t.Parallel()
	b := dagsql.New("soft", dagsql.Options{})
	a := b.Add("a", step{})
	skipped := b.Add("skipped", step{}).After(a.Branch("other"))
	failed := b.Add("failed", step{}).After(a)
	b.Add("save", step{}).After(failed.Soft(), skipped.Soft())
	b.Add("conditional", step{}).After(a.Soft().Branch("other"))
	ends(t, b, outcomes{"failed": fails}, pgq.Completed,
		map[string]string{"skipped": "skipped", "save": "completed", "conditional": "skipped"})
	ends(t, b, outcomes{"a": fails}, pgq.Completed,
		map[string]string{"skipped": "skipped!", "failed": "skipped!", "save": "completed", "conditional": "completed"})
}

func TestBranchesMeetAgainAtAJoin(t *testing.T) {
	t.Parallel()
	b := dagsql.New("branches", dagsql.Options{})
	route := b.Add("route", step{})
	high := b.Add("high", step{}).After(route.Branch("high"))
	low := b.Add("low", step{}).After(route.Branch("low"))
	b.Add("join", step{}).After(high, low).Rule(dagsql.Join)
	ends(t, b, outcomes{"route": chooses("high")}, pgq.Completed,
		map[string]string{"high": "completed", "low": "skipped", "join": "completed"})
	ends(t, b, outcomes{"route": chooses("high", "low")}, pgq.Completed,
		map[string]string{"high": "completed", "low": "completed", "join": "completed"})
	ends(t, b, outcomes{"route": chooses()}, pgq.Completed,
		map[string]string{"high": "skipped", "low": "skipped", "join": "skipped"})
	ends(t, b, outcomes{"route": chooses("high"), "high": fails}, pgq.Failed, map[string]string{"join": "skipped!"})
}

func TestConditionsHoldAsTheOutcomeSays(t *testing.T) {
	t.Parallel()
	b := dagsql.New("conditions", dagsql.Options{})
	score := b.Add("score", step{})
	b.Add("check", step{}).After(score.When(`$.risk > 0.8`), dagsql.Job(7).When(`$.on`))
	_, err := dagsql.Simulate(b, nil)
	mistakes(t, err, `node "check": when must be decided: the outcome of "score" does not say whether $.risk > 0.8`,
		`node "check": when must be decided: the outcome of "(job 7)" does not say whether $.on`)
	on := dagsql.Outcome{When: map[string]bool{`$.on`: true}}
	for holds, want := range map[bool]string{true: "completed", false: "skipped"} {
		ends(t, b, outcomes{"score": {When: map[string]bool{`$.risk > 0.8`: holds}}, "(job 7)": on}, pgq.Completed, map[string]string{"check": want})
	}
	ends(t, b, outcomes{"score": fails, "(job 7)": fails}, pgq.Failed, map[string]string{"check": "skipped!"})
}

// A failure counts unless a node shows it or makes up for it.
func TestADAGFailsIfAFailureIsNotAbsorbed(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		add  func(b *dagsql.Builder, failed *dagsql.Node)
		want pgq.State
	}{
		{"nobody waits", func(*dagsql.Builder, *dagsql.Node) {}, pgq.Failed},
		{"all shows it", func(b *dagsql.Builder, f *dagsql.Node) { b.Add("x", step{}).After(f) }, pgq.Failed},
		{"done tidies up", func(b *dagsql.Builder, f *dagsql.Node) { b.Add("x", step{}).AfterDone(f) }, pgq.Failed},
		{"one_failed tidies up", func(b *dagsql.Builder, f *dagsql.Node) { b.Add("x", step{}).AfterFailure(f) }, pgq.Failed},
		{"all_failed tidies up", func(b *dagsql.Builder, f *dagsql.Node) { b.Add("x", step{}).After(f).Rule(dagsql.AllFailed) }, pgq.Failed},
		{"soft", func(b *dagsql.Builder, f *dagsql.Node) { b.Add("x", step{}).After(f.Soft()) }, pgq.Completed},
		{"soft and done", func(b *dagsql.Builder, f *dagsql.Node) {
			b.Add("x", step{}).After(f.Soft())
			b.Add("y", step{}).AfterDone(f)
		}, pgq.Completed},
		{"soft and all", func(b *dagsql.Builder, f *dagsql.Node) {
			b.Add("x", step{}).After(f.Soft())
			b.Add("y", step{}).After(f)
		}, pgq.Failed},
		{"any with another", func(b *dagsql.Builder, f *dagsql.Node) { b.Add("x", step{}).AfterAny(f, b.Add("y", step{})) }, pgq.Completed},
		{"any alone", func(b *dagsql.Builder, f *dagsql.Node) { b.Add("x", step{}).AfterAny(f) }, pgq.Failed},
		{"soft inside a sub-DAG", func(b *dagsql.Builder, f *dagsql.Node) { b.Sub("s").Add("x", step{}).After(f.Soft()) }, pgq.Completed},
		{"a sub-DAG made soft", func(b *dagsql.Builder, f *dagsql.Node) {
			s := b.Sub("s").After(f)
			s.Add("x", step{})
			b.Add("y", step{}).After(s.Soft())
		}, pgq.Completed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := dagsql.New("absorb", dagsql.Options{})
			c.add(b, b.Add("failed", step{}))
			ends(t, b, outcomes{"failed": fails}, c.want, nil)
		})
	}
}

func TestASubDAGIsANode(t *testing.T) {
	t.Parallel()
	b := dagsql.New("subs", dagsql.Options{})
	route := b.Add("route", step{})
	etl := b.Sub("etl").After(route.Branch("etl"))
	extract := etl.Add("extract", step{})
	inner := etl.Sub("inner")
	inner.Add("first", step{})
	etl.Add("load", step{}).After(extract)
	etl.Add("report", step{}).AfterDone(extract)
	b.Add("after", step{}).After(etl)
	go1 := func(more outcomes) outcomes {
		given := outcomes{"route": chooses("etl")}
		for name, o := range more {
			given[name] = o
		}
		return given
	}
	ends(t, b, go1(nil), pgq.Completed, map[string]string{
		"etl": "completed", "etl/inner": "completed", "etl/inner/first": "completed", "after": "completed"})
	ends(t, b, go1(outcomes{"etl/extract": fails}), pgq.Failed, map[string]string{
		"etl": "failed!", "etl/load": "skipped!", "etl/report": "completed", "etl/inner": "completed", "after": "skipped!"})
	ends(t, b, go1(outcomes{"etl/inner/first": fails}), pgq.Failed, map[string]string{
		"etl/inner": "failed!", "etl": "failed!", "after": "skipped!"})
	ends(t, b, outcomes{"route": chooses("other")}, pgq.Completed, map[string]string{
		"etl": "skipped", "etl/extract": "skipped", "etl/inner": "skipped", "etl/inner/first": "skipped", "etl/load": "skipped", "after": "skipped"})
	ends(t, b, outcomes{"route": fails}, pgq.Failed, map[string]string{
		"etl": "skipped!", "etl/extract": "skipped!", "etl/inner": "skipped!", "after": "skipped!"})
}

// A node of a sub-DAG that waits, by a rule of its own, for nodes outside only does not wait for what the sub-DAG waits for.
func TestASubDAGIsSkippedWhateverRunsInIt(t *testing.T) {
	t.Parallel()
	b := dagsql.New("subs", dagsql.Options{})
	route, other := b.Add("route", step{}), b.Add("other", step{})
	sub := b.Sub("sub").After(route.Branch("sub"))
	sub.Add("report", step{}).AfterDone(other)
	sub.Add("x", step{}).After(other)
	sub.Add("y", step{}).Rule(dagsql.Done)
	b.Add("after", step{}).After(sub).Rule(dagsql.NoneFailed)
	ends(t, b, outcomes{"route": chooses("sub")}, pgq.Completed, map[string]string{
		"sub": "completed", "sub/report": "completed", "sub/x": "completed", "sub/y": "completed", "after": "completed"})
	ends(t, b, nil, pgq.Completed, map[string]string{
		"sub": "skipped", "sub/report": "completed", "sub/x": "skipped", "sub/y": "skipped", "after": "completed"})
	ends(t, b, outcomes{"sub/report": fails}, pgq.Failed, map[string]string{
		"sub": "skipped!", "sub/report": "failed", "sub/x": "skipped", "sub/y": "skipped", "after": "skipped!"})
	ends(t, b, outcomes{"route": fails}, pgq.Failed, map[string]string{
		"sub": "skipped!", "sub/report": "completed", "sub/x": "skipped!", "sub/y": "skipped!", "after": "skipped!"})
}

// What happens in a sub-DAG is dealt with there, whoever outside of it waits for the node that failed.
func TestAFailureInASubDAGIsNotAbsorbedOutsideOfIt(t *testing.T) {
	t.Parallel()
	b := dagsql.New("scopes", dagsql.Options{})
	etl := b.Sub("etl")
	extract := etl.Add("extract", step{})
	b.Add("outside", step{}).After(extract.Soft())
	b.Add("after", step{}).After(etl.Soft())
	ends(t, b, outcomes{"etl/extract": fails}, pgq.Completed, map[string]string{
		"etl": "failed!", "outside": "completed", "after": "completed"})
}

func TestMapsExternalNodesAndJobsEndAsGiven(t *testing.T) {
	t.Parallel()
	b := dagsql.New("others", dagsql.Options{})
	list := b.Add("list", step{})
	thumbs := b.Map("thumbs", list, step{}, dagsql.MapOptions{})
	approve := b.External("approve", dagsql.ExternalOptions{}).After(b.Sleep("sleep", 1), thumbs)
	b.Add("last", step{}).After(approve, dagsql.Job(7))
	for _, name := range []string{"list", "thumbs", "approve", "(job 7)"} {
		ends(t, b, outcomes{name: fails}, pgq.Failed, map[string]string{"last": "skipped!"})
	}
	ends(t, b, nil, pgq.Completed, map[string]string{"last": "completed", "sleep": "completed"})
}

func TestSimulateRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	b := dagsql.New("wrong", dagsql.Options{})
	b.Sub("sub")
	b.Sub("empty")
	b.Add("sub", step{})
	b.Add("none/x", step{})
	_, err := dagsql.Simulate(b, outcomes{"unknown": fails, "none/x": {State: pgq.Running}})
	mistakes(t, err, `node "empty": type dag needs nodes inside`, `node "none/x": name must begin with the name of a sub-DAG`,
		`node "none/x": outcome must be completed, failed, cancelled or expired`,
		`node "sub": name is given to 2 nodes`, `node "sub": type dag needs nodes inside`, `node "unknown": outcome must be that of a node`)

	b = dagsql.New("wrong", dagsql.Options{})
	sub := b.Sub("sub")
	x := sub.Add("x", step{})
	_, err = dagsql.Simulate(b, outcomes{"sub": fails})
	mistakes(t, err, `node "sub": outcome must not be given: that of a sub-DAG is that of its nodes`)
	sub.After(b.Add("y", step{}).After(x))
	_, err = dagsql.Simulate(b, nil)
	mistakes(t, err, `node "y": after is in a cycle: y -> sub -> sub/x -> y`)

	_, err = dagsql.Simulate(dagsql.NewExtension(), nil)
	mistakes(t, err, "name must be given: extensions cannot be simulated")
}

func TestCyclesAreFoundWithTheirPath(t *testing.T) {
	t.Parallel()
	b := dagsql.New("cycle", dagsql.Options{})
	a := b.Add("a", step{})
	a.After(b.Add("c", step{}).After(b.Add("b", step{}).After(a)))
	_, err := dagsql.Simulate(b, nil)
	mistakes(t, err, `node "b": after is in a cycle: b -> c -> a -> b`)
}

func TestALongChainIsSimulatedQuickly(t *testing.T) {
	t.Parallel()
	b := dagsql.New("chain", dagsql.Options{})
	last := b.Add("0", step{})
	const n = 100_000
	for i := range n {
		last = b.Add(fmt.Sprint(i+1), step{}).After(last)
	}
	ends(t, b, outcomes{"0": fails}, pgq.Failed, map[string]string{fmt.Sprint(n): "skipped!"})
}
