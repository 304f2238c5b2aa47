package pgq_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// dagProblem is a row of dag_problems; Node is nil for the DAG itself.
type dagProblem struct {
	Node  *string `json:"node"`
	Field string  `json:"field"`
	Rule  string  `json:"rule"`
}

func (p dagProblem) String() string {
	if p.Node == nil {
		return p.Field + " " + p.Rule
	}
	return *p.Node + ": " + p.Field + " " + p.Rule
}

// dagProblemCase is a document and everything that is wrong with it.
type dagProblemCase struct {
	name string
	// spec is the document; one that begins with a bracket is the nodes of a document with a name.
	spec string
	want []string
}

func (c dagProblemCase) document() string {
	if strings.HasPrefix(c.spec, "[") {
		return `{"name": "d", "nodes": ` + c.spec + `}`
	}
	return c.spec
}

// problemsOf returns what dag_problems says, "node: field rule".
func problemsOf(t *testing.T, tx pgx.Tx, document string, dag *int64) []dagProblem {
	t.Helper()
	rows, err := tx.Query(t.Context(), "select node, field, rule from dag_problems($1::jsonb, $2)", document, dag)
	must(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[dagProblem])
	must(t, err)
	return found
}

func texts(problems []dagProblem) []string {
	var all []string
	for _, p := range problems {
		all = append(all, p.String())
	}
	return all
}

// sameProblems compares, in any order; a wanted text may have a * for anything.
func sameProblems(got, want []string) bool {
	got, want = slices.Clone(got), slices.Clone(want)
	for _, w := range want {
		i := slices.IndexFunc(got, func(g string) bool { return matches(g, w) })
		if i < 0 {
			return false
		}
		got = slices.Delete(got, i, i+1)
	}
	return len(got) == 0
}

// testDAGProblems checks what dag_problems finds, and that the verb refuses the document with just that and writes nothing.
func testDAGProblems(t *testing.T, conn *pgx.Conn, given, verb string, dag *int64, cases []dagProblemCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tx, err := conn.Begin(t.Context())
			must(t, err)
			defer func() { must(t, tx.Rollback(context.Background())) }()
			_, err = tx.Exec(t.Context(), given, pgx.QueryExecModeSimpleProtocol)
			must(t, err)
			found := problemsOf(t, tx, c.document(), dag)
			if !sameProblems(texts(found), c.want) {
				t.Errorf("%s\n got %q\nwant %q", c.document(), texts(found), c.want)
			}
			before := one[int](t, tx, "select count(*) from jobs")
			must(t, errorOf(tx.Exec(t.Context(), "savepoint verb")))
			_, err = tx.Exec(t.Context(), verb, c.document(), dag)
			checkRefusal(t, err, found)
			must(t, errorOf(tx.Exec(t.Context(), "rollback to savepoint verb")))
			if after := one[int](t, tx, "select count(*) from jobs"); after != before {
				t.Errorf("was refused, but %d jobs became %d", before, after)
			}
		})
	}
}

func errorOf(_ pgconn.CommandTag, err error) error { return err }

// checkRefusal checks the error of a document with these problems: PQ001 with a hundred of them in DETAIL and five in the message.
func checkRefusal(t *testing.T, err error, found []dagProblem) {
	t.Helper()
	var pg *pgconn.PgError
	if len(found) == 0 {
		must(t, err)
		return
	}
	if !errors.As(err, &pg) || pg.Code != "PQ001" || pg.ColumnName != "dag" {
		t.Errorf("got %v, want PQ001 of dag", err)
		return
	}
	var detail []dagProblem
	must(t, json.Unmarshal([]byte(pg.Detail), &detail))
	shown := found[:min(len(found), 100)]
	if !slices.EqualFunc(detail, shown, func(a, b dagProblem) bool { return a.String() == b.String() }) {
		t.Errorf("DETAIL is %s, want %v", pg.Detail, shown)
	}
	want := "dag: "
	for i, p := range found[:min(len(found), 5)] {
		if i > 0 {
			want += "; "
		}
		if p.Node != nil {
			quoted, err := json.Marshal(*p.Node)
			must(t, err)
			want += "node " + string(quoted) + ": "
		}
		want += p.Field + " " + p.Rule
	}
	if len(found) > 5 {
		want += fmt.Sprintf(" (and %d more)", len(found)-5)
	}
	if pg.Message != want {
		t.Errorf("got message %s\nwant %s", pg.Message, want)
	}
}

// valid documents; dag_submit takes them, too.
var validDAGs = []dagProblemCase{
	{name: "least of all", spec: `[{"name": "a", "kind": "k"}]`},
	{name: "the DAG's options", spec: `{"name": "d", "key": "k", "queue": "q", "priority": 0, "deadline": "10 minutes", "on_failure": "cancel", "output": "a",
		"metadata": {"m": 1}, "tags": ["t"], "result_ttl": "30 days", "nodes": [{"name": "a", "kind": "k"}]}`},
	{name: "nulls stand for the defaults", spec: `{"name": "d", "key": null, "queue": null, "priority": null, "deadline": null, "on_failure": null, "output": null,
		"metadata": null, "tags": null, "result_ttl": null, "nodes": [{"name": "a", "type": null, "kind": "k", "args": null, "queue": null,
		"priority": null, "rule": null, "at_least": null, "timeout": null, "delay": null, "backoff": null, "tags": null, "metadata": null, "codec": null, "payload": null}]}`},
	{name: "jobs with everything", spec: `[{"name": "a", "type": "job", "kind": "k", "args": {"x": 1}, "queue": "q", "priority": 9, "max_attempts": 3, "timeout": "1 s",
		"backoff": {"type": "constant", "base": 1}, "tags": ["t"], "metadata": {"m": 1}, "ttl": "1 h", "result_ttl": "1 d", "delay": "1 s"},
		{"name": "b", "kind": "k", "codec": "c", "payload": "AP8=", "after": ["a"]}]`},
	{name: "all ways to come after", spec: `[{"name": "a", "kind": "k"}, {"name": "b", "kind": "k", "after": ["a"]},
		{"name": "c", "kind": "k", "after": ["a", {"node": "b", "soft": true, "when": "$.risk > 0.8"}, {"job": 1}], "rule": "at_least", "at_least": 3}]`},
	{name: "all rules", spec: `[{"name": "a", "kind": "k"}, {"name": "1", "kind": "k", "after": ["a"], "rule": "all"}, {"name": "2", "kind": "k", "after": ["a"], "rule": "any"},
		{"name": "3", "kind": "k", "after": ["a"], "rule": "at_least", "at_least": 1}, {"name": "4", "kind": "k", "after": ["a"], "rule": "done"},
		{"name": "5", "kind": "k", "after": ["a"], "rule": "none_failed"}, {"name": "6", "kind": "k", "after": ["a"], "rule": "join"},
		{"name": "7", "kind": "k", "after": ["a"], "rule": "one_failed"}, {"name": "8", "kind": "k", "after": ["a"], "rule": "all_failed"},
		{"name": "9", "kind": "k", "after": ["a"], "rule": "none_skipped"}]`},
	{name: "external", spec: `[{"name": "a", "type": "external"}, {"name": "b", "type": "external", "timeout": "1 day"},
		{"name": "c", "type": "external", "timeout": "1 day", "default": {"ok": true}, "queue": "q", "priority": 1, "tags": ["t"], "metadata": {}}]`},
	{name: "sleep", spec: `[{"name": "a", "type": "sleep", "delay": "1 h"}]`},
	{name: "map", spec: `[{"name": "l", "kind": "k"}, {"name": "a", "type": "map", "kind": "k", "over": "l"},
		{"name": "b", "type": "map", "kind": "k", "over": "l", "path": "$.keys[*] ? (@ > 1)", "as": "key", "args": {"x": 1}, "window": 1, "tolerate": 2.5, "priority": 1, "after": ["l"]},
		{"name": "c", "type": "map", "kind": "k", "over": "l", "after": [{"node": "l", "when": "$.n == 1"}, "a"], "rule": "at_least", "at_least": 2}]`},
	{name: "sub-DAGs", spec: `{"name": "d", "output": "etl/in/a", "nodes": [{"name": "x", "kind": "k"}, {"name": "etl", "type": "dag", "after": ["x"], "output": "in/a"},
		{"name": "etl/in", "type": "dag"}, {"name": "etl/in/a", "kind": "k"}, {"name": "etl/b", "kind": "k", "after": ["etl/in"]},
		{"name": "y", "kind": "k", "after": ["etl", "etl/in/a"]}]}`},
	{name: "any order", spec: `[{"name": "y", "kind": "k", "after": ["etl"]}, {"name": "etl/b", "kind": "k", "after": ["etl/a"]}, {"name": "etl/a", "kind": "k", "after": ["z"]},
		{"name": "etl", "type": "dag", "after": ["x"]}, {"name": "x", "kind": "k"}, {"name": "z", "kind": "k"}]`},
	{name: "odd names", spec: `[{"name": "{\"node\": \"ä\"}", "kind": "k"}, {"name": "ä", "kind": "k", "after": ["{\"node\": \"ä\"}"]}, {"name": "7", "kind": "k", "after": [{"node": "ä"}]}]`},
}

func TestDAGProblemsOfValidDocuments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testDAGProblems(t, w.session(), "select setval('jobs_id_seq', 1, false); select enqueue('k')",
		"select dag_submit($1::jsonb) where $2::bigint is null", nil, validDAGs)
}

func TestDAGProblemsOfDocuments(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 201)
	w := newWorld(t)
	testDAGProblems(t, w.session(), "", "select dag_submit($1::jsonb) where $2::bigint is null", nil, []dagProblemCase{
		{name: "null", spec: `null`, want: []string{"spec must be a JSON object"}},
		{name: "not an object", spec: `7`, want: []string{"spec must be a JSON object"}},
		{name: "a text", spec: `"{}"`, want: []string{"spec must be a JSON object"}},
		{name: "nothing", spec: `{}`, want: []string{"name must have 1 to 128 characters", "nodes must be a JSON array"}},
		{name: "unknown fields", spec: `{"name": "d", "kind": "k", "ttl": "1 s", "type": "job", "nodes": [{"name": "a", "kind": "k", "Kind": null, "before": ["b"], "run_at": "now"}]}`,
			want: []string{"kind is not a field of a DAG", "ttl is not a field of a DAG", "type is not a field of a DAG", "a: Kind is not a field of a node",
				"a: before is not a field of a node", "a: run_at is not a field of a node"}},
		{name: "the DAG's options", spec: `{"name": "` + long + `", "key": "", "queue": "*", "priority": 10, "deadline": "0", "on_failure": "stop", "output": "b",
			"metadata": [], "tags": ["a", null], "result_ttl": "-1 s", "nodes": [{"name": "a", "kind": "k"}]}`,
			want: []string{"name must have 1 to 128 characters", "key must have 1 to 500 characters", `queue must not be "*", which stands for the defaults of all queues`,
				"priority must be 0 to 9", "deadline must be positive", "on_failure must be continue or cancel", `output must name a node of the DAG; "b" is none`,
				"metadata must be a JSON object", "tags must be an array of strings", "result_ttl must not be negative"}},
		{name: "the DAG's options of other types", spec: `{"name": 1, "key": {}, "queue": [], "priority": "high", "deadline": "soon", "on_failure": true, "output": 7,
			"metadata": "m", "tags": [["a"]], "result_ttl": 1e99, "nodes": [{"name": "a", "kind": "k"}]}`,
			want: []string{"name must be a string", "key must be a string", "queue must be a string", "priority cannot be read as integer", "deadline cannot be read as interval",
				"on_failure must be a string", "output must be a string", "metadata must be a JSON object", "tags must be an array of strings", "result_ttl cannot be read as interval"}},
		{name: "a newline in the name, an endless deadline, a long key", spec: `{"name": "a\n", "key": "` + strings.Repeat("k", 501) + `", "deadline": "200 years", "nodes": [{"name": "a", "kind": "k"}]}`,
			want: []string{"name must not have control characters", "key must have 1 to 500 characters", "deadline must be at most 100 years"}},
		{name: "nodes that are no array", spec: `{"name": "d", "nodes": {"a": 1}}`, want: []string{"nodes must be a JSON array"}},
		{name: "nodes that are null", spec: `{"name": "d", "nodes": null}`, want: []string{"nodes must be a JSON array"}},
		{name: "no nodes", spec: `[]`, want: []string{"nodes must be 1 to 1000000"}},
		{name: "nodes that are no objects", spec: `["a", {"name": "b", "kind": "k", "after": ["a"]}, [], null]`,
			want: []string{"nodes[0]: node must be a JSON object", `b: after must name nodes of the DAG; "a" is none`, "nodes[2]: node must be a JSON object", "nodes[3]: node must be a JSON object"}},
		{name: "names", spec: `[{"kind": "k"}, {"name": null, "kind": "k"}, {"name": 7, "kind": "k"}, {"name": "", "kind": "k"}, {"name": "` + long + `", "kind": "k"}, {"name": "a\tb", "kind": "k"},
			{"name": "a\u0085", "kind": "k"}, {"name": "a[0]", "kind": "k"}, {"name": "(start)", "kind": "k"}]`,
			want: []string{"nodes[0]: name must be a string of 1 to 200 characters", "nodes[1]: name must be a string of 1 to 200 characters", "nodes[2]: name must be a string of 1 to 200 characters",
				"nodes[3]: name must be a string of 1 to 200 characters", "nodes[4]: name must be a string of 1 to 200 characters", "nodes[5]: name must not have control characters",
				"nodes[6]: name must not have control characters", "a[0]: name must not have brackets or parentheses", "(start): name must not have brackets or parentheses"}},
		{name: "empty parts of names", spec: `[{"name": "a", "type": "dag"}, {"name": "/b", "kind": "k"}, {"name": "a/", "kind": "k"}, {"name": "a//b", "kind": "k"}]`,
			want: []string{"/b: name must not have an empty part before or after a slash", "a/: name must not have an empty part before or after a slash",
				"a//b: name must not have an empty part before or after a slash", `a//b: name needs a node "a/" of type dag`}},
		{name: "twins", spec: `[{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}, {"name": "a", "kind": "k"}, {"name": "a", "kind": "k"}]`, want: []string{"a: name is given to 3 nodes"}},
		{name: "no sub-DAG around", spec: `[{"name": "a/b", "kind": "k"}, {"name": "c", "kind": "k"}, {"name": "c/d", "kind": "k"}]`,
			want: []string{`a/b: name needs a node "a" of type dag`, `c/d: name needs a node "c" of type dag`}},
		{name: "no nodes inside", spec: `[{"name": "a", "type": "dag"}, {"name": "ab/c", "kind": "k"}, {"name": "ab", "type": "dag"}]`, want: []string{`a: type dag needs nodes inside, with names like "a/a"`}},
		{name: "output of a sub-DAG", spec: `[{"name": "a", "type": "dag", "output": "x"}, {"name": "a/b", "kind": "k"}, {"name": "x", "kind": "k"}, {"name": "c", "type": "dag", "output": "c/b"}, {"name": "c/b", "kind": "k"}]`,
			want: []string{`a: output must name a node inside; "x" is none`, `c: output must name a node inside; "c/b" is none`}},
		{name: "types", spec: `[{"name": "a", "type": "task", "priority": 11}, {"name": "b", "type": 1}]`,
			want: []string{"a: type must be job, dag, external, sleep or map", "b: type must be a string"}},
		{name: "fields of other types", spec: `[{"name": "a", "type": "sleep", "delay": "1 s", "kind": "k", "args": 1, "timeout": "x", "over": "a"}, {"name": "b", "kind": "k", "default": 1, "window": 1},
			{"name": "c", "type": "external", "delay": "1 s", "priority": 11}, {"name": "d", "type": "map", "kind": "k", "over": "b", "codec": "c", "payload": "AA==", "priority": 11},
			{"name": "e", "type": "dag", "kind": "k", "on_failure": "cancel"}, {"name": "e/a", "kind": "k", "output": "b"}]`,
			want: []string{"a: kind is not a field of a node of type sleep", "a: args is not a field of a node of type sleep", "a: timeout is not a field of a node of type sleep",
				"a: over is not a field of a node of type sleep", "b: default is not a field of a node of type job", "b: window is not a field of a node of type job",
				"c: delay is not a field of a node of type external", "c: priority must be 0 to 9", "d: codec is not a field of a node of type map", "d: payload is not a field of a node of type map",
				"d: priority must be 0 to 9", "e: kind is not a field of a node of type dag", "e: on_failure is not a field of a node of type dag", "e/a: output is not a field of a node of type job"}},
		{name: "a job without a kind", spec: `[{"name": "a"}]`, want: []string{"a: kind must have 1 to 128 characters"}},
		{name: "all that a job can do wrong", spec: `[{"name": "a", "kind": "a\n", "queue": "", "priority": -1, "delay": "-1 s", "max_attempts": 0, "timeout": "0", "ttl": "0", "result_ttl": "-1 s",
			"backoff": {"type": "fast"}, "tags": [` + strings.Repeat(`"t", `, 64) + `"t"], "metadata": 1, "codec": "", "payload": "AA==", "args": {}}]`,
			want: []string{"a: kind must not have control characters", "a: queue must have 1 to 128 characters", "a: priority must be 0 to 9", "a: delay must not be negative",
				"a: max_attempts must be at least 1", "a: timeout must be positive", "a: ttl must be positive", "a: result_ttl must not be negative",
				"a: backoff must have a type: constant, linear, polynomial, exponential or table", "a: tags must be at most 64", "a: metadata must be a JSON object", "a: codec must not be empty",
				"a: args must not be given together with a payload"}},
		{name: "all that cannot be read", spec: `[{"name": "a", "kind": ["k"], "queue": 1, "priority": "high", "delay": "later", "max_attempts": 1.5, "timeout": {}, "ttl": true, "result_ttl": "x",
			"backoff": 1, "tags": "t", "metadata": "m", "codec": 1, "payload": 2, "rule": 1, "at_least": 5},
			{"name": "b", "kind": "k", "priority": 99999999999, "delay": "99999999999 years", "codec": "c", "payload": "%"},
			{"name": "c", "type": "map", "kind": "k", "over": 1, "path": 1, "as": 1, "window": "w", "tolerate": "t", "args": 1}, {"name": "d", "kind": "k"}]`,
			want: []string{"a: kind must be a string", "a: queue must be a string", "a: priority cannot be read as integer", "a: delay cannot be read as interval",
				"a: max_attempts cannot be read as integer", "a: timeout cannot be read as interval", "a: ttl cannot be read as interval", "a: result_ttl cannot be read as interval",
				"a: backoff must be a JSON object", "a: tags must be an array of strings", "a: metadata must be a JSON object", "a: codec must be a string", "a: payload must be a string", "a: rule must be a string",
				"b: priority cannot be read as integer", "b: delay cannot be read as interval", "b: payload cannot be read as base64",
				"c: over must be a string", "c: path must be a string", "c: as must be a string", "c: window cannot be read as integer", "c: tolerate cannot be read as numeric",
				"c: args must be a JSON object, to which as adds the items"}},
		{name: "payload without codec, codec without payload", spec: `[{"name": "a", "kind": "k", "payload": "AA=="}, {"name": "b", "kind": "k", "codec": "c"}]`,
			want: []string{"a: payload must be given together with its codec", "b: payload must be given together with its codec"}},
		{name: "external", spec: `[{"name": "a", "type": "external", "default": 1}, {"name": "b", "type": "external", "timeout": "0"}, {"name": "c", "type": "external", "timeout": "200 years", "default": 1}]`,
			want: []string{"a: default must not be given without a timeout", "b: timeout must be positive", "c: timeout must be at most 100 years"}},
		{name: "sleep", spec: `[{"name": "a", "type": "sleep"}, {"name": "b", "type": "sleep", "delay": "-1 s"}, {"name": "c", "type": "sleep", "delay": null}]`,
			want: []string{"a: delay must be given", "b: delay must not be negative", "c: delay must be given"}},
		{name: "map", spec: `[{"name": "l", "kind": "k"}, {"name": "a", "type": "map"}, {"name": "b", "type": "map", "kind": "k", "over": "x", "path": "$[", "window": 0, "tolerate": 100.5, "args": {}},
			{"name": "c", "type": "map", "kind": "k", "over": "c", "path": "$[*] ? (@.x == $v)", "tolerate": -1}, {"name": "d", "type": "map", "kind": "k", "over": "l", "path": "", "tolerate": "NaN"}]`,
			want: []string{"a: over must be given", "a: kind must have 1 to 128 characters", `b: over must name nodes of the DAG; "x" is none`, "b: path must be a jsonpath: *", "b: window must be at least 1",
				"b: tolerate must be 0 to 100", "b: args must not be given without as: the items are the args", "c: over must not name itself", "c: path must not have variables", "c: tolerate must be 0 to 100",
				"d: path must be a jsonpath: *", "d: tolerate must be 0 to 100"}},
		{name: "rules", spec: `[{"name": "a", "kind": "k", "rule": "some", "at_least": 1}, {"name": "b", "kind": "k", "rule": "any"}, {"name": "c", "kind": "k", "rule": "at_least", "at_least": 1, "after": []},
			{"name": "d", "kind": "k", "rule": "one_failed"}, {"name": "e", "kind": "k", "rule": "all_failed"}, {"name": "f", "kind": "k", "rule": "join"},
			{"name": "g", "kind": "k", "rule": "at_least", "after": ["a"]}, {"name": "h", "kind": "k", "rule": "at_least", "at_least": 0, "after": ["a"]},
			{"name": "i", "kind": "k", "rule": "at_least", "at_least": 3, "after": ["a", "b"]}, {"name": "j", "kind": "k", "rule": "any", "at_least": 1, "after": ["a"]}, {"name": "k", "kind": "k", "at_least": 1, "after": ["a"]}]`,
			want: []string{"a: rule must be all, any, at_least, done, none_failed, join, one_failed, all_failed or none_skipped", "b: rule any needs nodes in after", "c: rule at_least needs nodes in after",
				"d: rule one_failed needs nodes in after", "e: rule all_failed needs nodes in after", "f: rule join needs nodes in after", "g: at_least must be given with the rule at_least",
				"h: at_least must be at least 1", "i: at_least must be at most 2, the number of nodes in after", "j: at_least must be given with the rule at_least only", "k: at_least must be given with the rule at_least only"}},
		{name: "args that are too large", spec: `[{"name": "a", "kind": "k", "args": "` + strings.Repeat("x", 1<<20) + `"}]`, want: []string{"a: args must be at most 1048576 bytes"}},
		{name: "a payload that is too large", spec: `[{"name": "a", "kind": "k", "codec": "c", "payload": "` + strings.Repeat("AAAA", 1<<19) + `"}]`, want: []string{"a: args must be at most 1048576 bytes"}},
	})
}

func TestDAGProblemsOfDependencies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testDAGProblems(t, w.session(), "select setval('jobs_id_seq', 1, false); select enqueue('k')", "select dag_submit($1::jsonb) where $2::bigint is null", nil, []dagProblemCase{
		{name: "after that is no array", spec: `[{"name": "a", "kind": "k", "after": "b"}, {"name": "b", "kind": "k", "after": null}, {"name": "c", "kind": "k", "after": {"node": "a"}}]`,
			want: []string{"a: after must be a JSON array", "b: after must be a JSON array", "c: after must be a JSON array"}},
		{name: "unknown nodes", spec: `[{"name": "a", "kind": "k", "after": ["x", {"node": "y"}, "", "b"]}, {"name": "b", "kind": "k"}]`,
			want: []string{`a: after must name nodes of the DAG; "x" is none`, `a: after must name nodes of the DAG; "y" is none`, `a: after must name nodes of the DAG; "" is none`}},
		{name: "entries that are neither names nor objects", spec: `[{"name": "a", "kind": "k", "after": [7, null, true, ["b"]]}]`,
			want: []string{`a: after must have names and objects; "7" is neither`, "a: after must have names and objects; null is neither", `a: after must have names and objects; "true" is neither`,
				`a: after must have names and objects; ["b"] is neither`}},
		{name: "entries of another shape", spec: `[{"name": "b", "kind": "k"}, {"name": "a", "kind": "k", "after": [{}, {"node": "b", "job": 1}, {"node": 7}, {"node": null}, {"node": "b", "weak": true}, {"job": 1, "soft": "yes"}]}]`,
			want: []string{"a: after must name either a node or a job, in {}", `a: after must name either a node or a job, in "b"`, `a: after must name a node by a string, in {"node": 7}`,
				`a: after must name a node by a string, in {"node": null}`, `a: after must not have other fields than node, job, soft and when, in "b"`, "a: soft must be true or false, in job 1",
				`a: after must not name "b" twice`}},
		{name: "jobs", spec: `[{"name": "a", "kind": "k", "after": [{"job": 123}, {"job": 0}, {"job": -1}, {"job": "1"}, {"job": 1.5}, {"job": 99999999999999999999}, {"job": null}, {"job": 1}]}]`,
			want: []string{"a: after job 123 does not exist", `a: after must name a job by a positive integer, in {"job": 0}`, `a: after must name a job by a positive integer, in {"job": -1}`,
				`a: after must name a job by a positive integer, in {"job": "1"}`, `a: after must name a job by a positive integer, in {"job": 1.5}`,
				`a: after must name a job by a positive integer, in {"job": 99999999999999999999}`, `a: after must name a job by a positive integer, in {"job": null}`}},
		{name: "twice", spec: `[{"name": "a", "kind": "k"}, {"name": "b", "kind": "k", "after": ["a", "a"]}, {"name": "c", "kind": "k", "after": ["a", "b", {"node": "a", "soft": true}]}, {"name": "d", "kind": "k", "after": [{"job": 1}, {"job": 1}]}]`,
			want: []string{`b: after must not name "a" twice`, `c: after must not name "a" twice`, "d: after must not name job 1 twice"}},
		{name: "itself", spec: `[{"name": "a", "kind": "k"}, {"name": "b", "kind": "k", "after": ["a", "b"]}, {"name": "c", "kind": "k", "after": ["b"]}]`, want: []string{"b: after must not name itself"}},
		{name: "conditions", spec: `[{"name": "a", "kind": "k"}, {"name": "b", "kind": "k", "after": [{"node": "a", "when": "$.flag"}]}, {"name": "c", "kind": "k", "after": [{"node": "a", "when": "$.["}]},
			{"name": "d", "kind": "k", "after": [{"node": "a", "when": true}]}, {"name": "e", "kind": "k", "after": [{"node": "a", "when": ""}]}, {"name": "f", "kind": "k", "after": [{"node": "a", "when": "$.a == 1 && $.b == $x"}]},
			{"name": "g", "kind": "k", "after": [{"node": "a", "when": "$.a like_regex \"(\""}]}, {"name": "h", "kind": "k", "after": [{"node": "a", "when": "$.a like_regex \"a\" flag \"x\""}]},
			{"name": "i", "kind": "k", "after": [{"node": "a", "when": "strict $.a"}]}, {"name": "j", "kind": "k", "after": [{"job": 1, "when": "1 / 0"}]}]`,
			want: []string{`b: when must be a predicate, for example $.flag == true, in "a"`, `c: when must be a jsonpath: *, in "a"`, `d: when must be a string, in "a"`, `e: when must be a jsonpath: *, in "a"`,
				`f: when must not have variables, in "a"`, `g: when must be a jsonpath: *, in "a"`, `h: when must be a jsonpath: *, in "a"`, `i: when must be a predicate, for example $.flag == true, in "a"`,
				"j: when must be a predicate, for example $.flag == true, in job 1"}},
		{name: "conditions that are fine", spec: `[{"name": "a", "kind": "k"}, {"name": "b", "kind": "k", "after": [{"node": "a", "when": "$.\"x$\" == \"y$\" || exists($.a ? (@ > 1)) && !($.s starts with \"$x\")"}]}]`},
		{name: "the sub-DAG that it is in, and a node that is in it", spec: `[{"name": "s", "type": "dag", "after": ["s/t/a"]}, {"name": "s/t", "type": "dag"}, {"name": "s/t/a", "kind": "k", "after": ["s", "s/t"]}]`,
			want: []string{`s: after must not name "s/t/a", which is in it`, `s/t/a: after must not name "s", which it is in`, `s/t/a: after must not name "s/t", which it is in`}},
		{name: "cycle", spec: `[{"name": "x", "kind": "k"}, {"name": "b", "kind": "k", "after": ["a", "x"]}, {"name": "a", "kind": "k", "after": ["c"]}, {"name": "c", "kind": "k", "after": ["b"]}, {"name": "y", "kind": "k", "after": ["c"]}]`,
			want: []string{"b: after is in a cycle: b -> c -> a -> b"}},
		{name: "cycles, one behind the other", spec: `[{"name": "a", "kind": "k", "after": ["b"]}, {"name": "b", "kind": "k", "after": ["a"]}, {"name": "c", "kind": "k", "after": ["b", "d"]}, {"name": "d", "kind": "k", "after": ["c", "d"]}]`,
			want: []string{"a: after is in a cycle: a -> b -> a", "c: after is in a cycle: c -> d -> c", "d: after must not name itself"}},
		{name: "cycle through a map", spec: `[{"name": "l", "kind": "k", "after": ["m"]}, {"name": "m", "type": "map", "kind": "k", "over": "l"}]`, want: []string{"l: after is in a cycle: l -> m -> l"}},
		{name: "cycle through the beginning of a sub-DAG", spec: `[{"name": "a", "kind": "k", "after": ["s/x"]}, {"name": "s", "type": "dag", "after": ["a"]}, {"name": "s/x", "kind": "k"}]`,
			want: []string{"a: after is in a cycle: a -> s -> s/x -> a"}},
		{name: "cycle through the end of a sub-DAG", spec: `[{"name": "a", "kind": "k", "after": ["s"]}, {"name": "s", "type": "dag"}, {"name": "s/x", "kind": "k", "after": ["a"]}]`,
			want: []string{"a: after is in a cycle: a -> s/x -> s -> a"}},
		{name: "cycle through all of a sub-DAG", spec: `[{"name": "s", "type": "dag", "after": ["a"]}, {"name": "s/x", "kind": "k"}, {"name": "a", "kind": "k", "after": ["s"]}]`,
			want: []string{"s: after is in a cycle: s -> a -> s"}},
		{name: "cycle through two sub-DAGs", spec: `[{"name": "s", "type": "dag"}, {"name": "s/t", "type": "dag"}, {"name": "s/t/x", "kind": "k", "after": ["u/y"]}, {"name": "u", "type": "dag", "after": ["s"]}, {"name": "u/y", "kind": "k"}]`,
			want: []string{"s: after is in a cycle: s -> u -> u/y -> s/t/x -> s/t -> s"}},
		{name: "everything at once", spec: `[{"name": "a"}, {"name": "b", "kind": "k", "after": ["b", "x"], "priority": 11}, {"kind": "k"}, {"name": "c", "kind": "k", "after": ["d"]}, {"name": "d", "kind": "k", "after": ["c"]}]`,
			want: []string{"a: kind must have 1 to 128 characters", "b: after must not name itself", `b: after must name nodes of the DAG; "x" is none`, "b: priority must be 0 to 9",
				"nodes[2]: name must be a string of 1 to 200 characters", "c: after is in a cycle: c -> d -> c"}},
	})
}

func TestDAGProblemsOfExtensions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dag := int64(1)
	testDAGProblems(t, w.session(), `select setval('jobs_id_seq', 1, false); select dag_submit('{"name": "d", "nodes": [{"name": "old", "kind": "k"},
			{"name": "s", "type": "dag", "after": ["old"]}, {"name": "s/in", "kind": "k"}]}'); select enqueue('k');
			create function pg_temp.refuse(spec jsonb, dag_id bigint) returns void language sql as $$ select dag_refuse(spec, dag_id) $$`,
		"select pg_temp.refuse($1::jsonb, $2)", &dag, []dagProblemCase{
			{name: "valid", spec: `{"nodes": [{"name": "new", "kind": "k", "after": ["old", {"node": "s", "soft": true}, {"job": 6}], "before": ["s/in"]}, {"name": "s/new", "kind": "k", "after": ["s/in", "new"]},
				{"name": "m", "type": "map", "kind": "k", "over": "old"}, {"name": "t", "type": "dag", "after": ["new"]}, {"name": "t/x", "kind": "k", "after": [{"job": 2}]}]}`},
			{name: "other fields", spec: `{"name": "d", "key": "k", "nodez": 1, "nodes": [{"name": "new", "kind": "k"}]}`,
				want: []string{"name must not be given to extend a DAG", "key must not be given to extend a DAG", "nodez is not a field of a DAG"}},
			{name: "no nodes", spec: `{}`, want: []string{"nodes must be a JSON array"}},
			{name: "names that are taken", spec: `{"nodes": [{"name": "old", "kind": "k"}, {"name": "s/in", "kind": "k"}]}`,
				want: []string{"old: name is that of a node that exists already", "s/in: name is that of a node that exists already"}},
			{name: "no sub-DAG around", spec: `{"nodes": [{"name": "old/x", "kind": "k"}, {"name": "t/x", "kind": "k"}]}`,
				want: []string{`old/x: name needs a node "old" of type dag`, `t/x: name needs a node "t" of type dag`}},
			{name: "after", spec: `{"nodes": [{"name": "new", "kind": "k", "after": ["none", "s/(start)", "old", {"node": "old"}, {"job": 2}, {"job": 1}]}, {"name": "s/new", "kind": "k", "after": ["s"]}, {"name": "s/newer", "kind": "k", "after": [{"job": 3}]}]}`,
				want: []string{`new: after must name nodes of the DAG; "none" is none`, `new: after must name nodes of the DAG; "s/(start)" is none`, `new: after must not name "old" twice`,
					"new: after must not name the DAG itself", `s/new: after must not name "s", which it is in`, `s/newer: after must not name "s", which it is in`}},
			{name: "before", spec: `{"nodes": [{"name": "new", "kind": "k", "before": "old"}, {"name": "s/new", "kind": "k", "before": ["old", "old", "none", "new", "s", 7, "s/(start)"]}, {"name": "newer", "kind": "k", "before": null}]}`,
				want: []string{"new: before must be a JSON array", `s/new: before must not name "old" twice`, `s/new: before must name nodes that the DAG has already; "none" is none`,
					`s/new: before must name nodes that the DAG has already; "new" is none`, `s/new: before must not name "s", which it is in`, "s/new: before must have names; 7 is none",
					`s/new: before must name nodes that the DAG has already; "s/(start)" is none`, "newer: before must be a JSON array"}},
			{name: "cycles of new nodes", spec: `{"nodes": [{"name": "a", "kind": "k", "after": ["b", "old"]}, {"name": "b", "kind": "k", "after": ["a"]}]}`, want: []string{"a: after is in a cycle: a -> b -> a"}},
		})
}

// TestDAGProblemsOfLargeDocuments logs how long they take: 100,000 nodes and 200,000 dependencies.
func TestDAGProblemsOfLargeDocuments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.session()
	const pairs = `select jsonb_build_object('name', 'd', 'nodes', jsonb_agg(jsonb_build_object('name', 'n' || i, 'kind', 'k', 'args', jsonb_build_object('i', i),
		'after', case when i < 3 then '[]'::jsonb else jsonb_build_array('n' || i - 1, 'n' || i / 2) end) order by %s)) from generate_series(1, %d) i`
	for _, c := range []struct {
		name, document string
		want           []string
	}{
		{"a thousand", fmt.Sprintf(pairs, "i", 1000), nil},
		{"parents first", fmt.Sprintf(pairs, "i", 100_000), nil},
		{"children first", fmt.Sprintf(pairs, "-i", 100_000), nil},
		{"a chain, children first", `select jsonb_build_object('name', 'd', 'nodes', jsonb_agg(jsonb_build_object('name', 'n' || i, 'kind', 'k',
			'after', case when i = 1 then '[]'::jsonb else jsonb_build_array('n' || i - 1) end) order by -i)) from generate_series(1, 100000) i`, nil},
		{"in sub-DAGs", `select jsonb_build_object('name', 'd', 'nodes', jsonb_agg(case
			when i % 10 = 0 then jsonb_build_object('name', 's' || i, 'type', 'dag', 'after', case when i = 0 then '[]'::jsonb else jsonb_build_array('s' || i - 10) end)
			else jsonb_build_object('name', 's' || i - i % 10 || '/n' || i, 'kind', 'k') end order by i)) from generate_series(0, 99999) i`, nil},
		{"one cycle", `select jsonb_build_object('name', 'd', 'nodes', jsonb_agg(jsonb_build_object('name', 'n' || i, 'kind', 'k',
			'after', jsonb_build_array('n' || (i + 99999) %% 100000)) order by i)) from generate_series(0, 99999) i`,
			[]string{"n0: after is in a cycle: n0 -> n1 -> n2 -> n3 -> n4 -> n5 -> n6 -> n7 -> n8 -> n9 -> (99981 more) -> n99991 -> *n99999 -> n0"}},
		{"too many", `select jsonb_build_object('name', 'd', 'nodes', jsonb_agg(i)) from generate_series(0, 1000000) i`, []string{"nodes must be 1 to 1000000"}},
	} {
		tx, err := conn.Begin(t.Context())
		must(t, err)
		document := one[string](t, tx, strings.ReplaceAll(c.document, "%%", "%"))
		start := time.Now()
		if got := texts(problemsOf(t, tx, document, nil)); !sameProblems(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got[:min(len(got), 9)], c.want)
		}
		t.Logf("%s: %v", c.name, time.Since(start))
		must(t, tx.Rollback(t.Context()))
	}
	t.Run("problems without number", func(t *testing.T) {
		testDAGProblems(t, conn, "", "select dag_submit($1::jsonb) where $2::bigint is null", nil, []dagProblemCase{{
			name: "a thousand", spec: "[" + strings.Repeat(`{"name": "a", "kind": ""}, `, 999) + `{"name": "b"}]`,
			want: append(slices.Repeat([]string{"a: kind must have 1 to 128 characters"}, 999), "a: name is given to 999 nodes", "b: kind must have 1 to 128 characters"),
		}})
	})
}

// TestDAGProblemsMissNothing changes valid documents at random: dag_problems must not fail, and what it has nothing against,
// dag_submit must take.
func TestDAGProblemsMissNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.session()
	random := rand.New(rand.NewPCG(1, 2))
	taken := 0
	for range 1000 {
		var document any
		must(t, json.Unmarshal([]byte(validDAGs[random.IntN(len(validDAGs))].document()), &document))
		for range 1 + random.IntN(2) {
			document = changed(document, random)
		}
		text, err := json.Marshal(document)
		must(t, err)
		tx, err := conn.Begin(t.Context())
		must(t, err)
		found := problemsOf(t, tx, string(text), nil)
		if len(found) == 0 {
			taken++
			if _, err := tx.Exec(t.Context(), "select dag_submit($1::jsonb)", string(text)); err != nil {
				t.Errorf("%s\nhas no problems, but: %v", text, err)
			}
		}
		must(t, tx.Rollback(t.Context()))
	}
	t.Logf("%d of 1000 were taken", taken)
}

// oddValues are put anywhere into documents.
var oddValues = []string{`null`, `true`, `0`, `-1`, `7`, `1.5`, `1e400`, `99999999999999999999`, `""`, `"a"`, `"b"`, `"etl"`, `"etl/a"`, `"x"`, `"1 h"`, `"-1 h"`, `"infinity"`, `"1"`, `"NaN"`,
	`"$"`, `"$.a == 1"`, `"$["`, `[]`, `{}`, `["a"]`, `[["a"]]`, `[null]`, `["a", "b"]`, `{"node": "a"}`, `{"job": 1}`, `"any"`, `"at_least"`, `"map"`, `"dag"`, `"external"`, `"sleep"`, `"done"`}

// changed returns the document with a value somewhere replaced, a field added or one taken out.
func changed(value any, random *rand.Rand) any {
	odd := json.RawMessage(oddValues[random.IntN(len(oddValues))])
	switch v := value.(type) {
	case []any:
		if len(v) > 0 && random.IntN(10) > 0 {
			i := random.IntN(len(v))
			v[i] = changed(v[i], random)
			return v
		}
	case map[string]any:
		switch keys := slices.Sorted(maps.Keys(v)); {
		case random.IntN(5) == 0:
			fields := strings.Fields("name type after rule at_least kind args queue priority max_attempts timeout backoff tags metadata ttl result_ttl codec payload delay " +
				"default over path as window tolerate on_failure output key deadline node job soft when before")
			v[fields[random.IntN(len(fields))]] = odd
			return v
		case len(keys) > 0 && random.IntN(8) == 0:
			delete(v, keys[random.IntN(len(keys))])
			return v
		case len(keys) > 0:
			key := keys[random.IntN(len(keys))]
			if _, deep := v["nodes"]; deep && random.IntN(3) > 0 {
				key = "nodes"
			}
			v[key] = changed(v[key], random)
			return v
		}
	}
	return odd
}
