package main_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// schedule runs "pgq-admin schedule" with arguments.
func (s *site) schedule(args ...string) outcome {
	s.t.Helper()
	return call{args: append([]string{"schedule"}, args...), env: []string{"PGQ_DATABASE_URL=" + s.url}}.run(s.t)
}

func TestWrongUseOfScheduleSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.schedule("set", "s", "@daily", "--kind", "k").want(t, 0, "created")
	bad := filepath.Join(t.TempDir(), "bad.json")
	write(t, bad, `{"name": "etl", "nodes": [{"name": "a", "kind": "k", "after": ["b"]}]}`)
	set := func(more ...string) []string { return append([]string{"set", "x", "@daily"}, more...) }
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"lst"}, 2, "did you mean list?"},
		{[]string{"list", "--limit", "0"}, 2, "--limit must be 1 to 10000"},
		{[]string{"list", "--columns", "id"}, 2, `choose from name, state, spec`},
		{[]string{"show"}, 2, "needs NAME"},
		{[]string{"show", "it's % \u202e"}, 3, "there is no schedule"},
		{[]string{"set", "x"}, 2, "needs SPEC"},
		{[]string{"set", "x", "0 0 30 2 *", "--kind", "k"}, 2, "spec never comes: none of its months has such a day"},
		{[]string{"set", "x", "0 25 * * *", "--kind", "k"}, 2, `spec must have 0 to 23 as hour, not "25"`},
		{[]string{"set", "", "@daily", "--kind", "k"}, 2, "name must have 1 to 128 characters"},
		{[]string{"set", strings.Repeat("x", 129), "@daily", "--kind", "k"}, 2, "name must have 1 to 128 characters"},
		{[]string{"set", "a\nb", "@daily", "--kind", "k"}, 2, "name must not have control characters"},
		{set(), 2, "kind must be given, or a DAG"},
		{set("--kind", ""), 2, "kind must have 1 to 128 characters"},
		{set("--kind", "k", "--zone", "Europe/Berlinn"), 2, `zone must be the name of a time zone, such as Europe/Berlin; "Europe/Berlinn" is none`},
		{set("--kind", "k", "--args", "{"), 2, "--args must be JSON"},
		{set("--kind", "k", "--args", `{"a": "\u0000"}`), 2, "NUL"},
		{set("--kind", "k", "--options", "[]"), 2, "--options must be a JSON object"},
		{set("--kind", "k", "--options", `{"priority": 77}`), 2, "priority must be 0 to 9"},
		{set("--kind", "k", "--options", `{"run_at": "2030-01-01"}`), 2, "the spec says when"},
		{set("--kind", "k", "--queue", "*"), 2, "queue must not be"},
		{set("--kind", "k", "--jitter", "soon"), 2, `--jitter must be a duration like 90s, 1h30m, 7d, not "soon"`},
		{set("--kind", "k", "--jitter", "-1s"), 2, `--jitter must be a duration like 90s, 1h30m, 7d, not "-1s"`},
		{set("--kind", "k", "--starts-at", "tomorrow"), 2, "--starts-at must be a time like"},
		{set("--kind", "k", "--starts-at", "2030-01-02T00:00:00Z", "--ends-at", "2030-01-01T00:00:00Z"), 2, "ends_at must be after starts_at"},
		{set("--kind", "k", "--max-runs", "0"), 2, "max_runs must be at least 1"},
		{set("--kind", "k", "--max-runs", "99999999999999999999"), 2, "--max-runs is too large a number"},
		{set("--kind", "k", "--missed", "some"), 2, "missed must be skip, once or all"},
		{set("--kind", "k", "--missed-limit", "0"), 2, "missed_limit must be 1 to 1000"},
		{set("--kind", "k", "--overlap", "some"), 2, "overlap must be allow, skip, queue or cancel"},
		{set("--kind", "k", "--dag", bad), 2, "dag must not be given together with kind"},
		{set("--dag", bad), 2, `dag node "a": after must name nodes of the DAG; "b" is none`},
		{set("--dag", "nowhere.json"), 2, "nowhere.json: no such file"},
		{[]string{"delete", "s"}, 2, "this would delete schedule s; nothing was changed"},
		{[]string{"delete", "nobody", "--yes"}, 3, "there is no schedule \"nobody\"\n  fix: pgq-admin schedule list"},
		{[]string{"pause", "nobody"}, 3, "there is no schedule"},
		{[]string{"resume", "nobody"}, 3, "there is no schedule"},
		{[]string{"run", "nobody"}, 3, "there is no schedule"},
		{[]string{"next", "nobody"}, 3, "there is no schedule"},
		{[]string{"next"}, 2, "give the NAME of a schedule, or a --spec"},
		{[]string{"next", "s", "-n", "0"}, 2, "-n must be 1 to 1000"},
		{[]string{"next", "s", "--zone", "UTC"}, 2, "--zone goes with --spec"},
		{[]string{"next", "--spec", "@dayly"}, 2, `spec has no macro "@dayly"`},
	} {
		o := s.schedule(c.args...)
		o.want(t, c.code, "pgq-admin: ", c.text)
		if o.stdout != "" {
			t.Errorf("%s: stdout is %q", c.args, o.stdout)
		}
	}
	if names := s.schedule("list", "-o", "name").stdout; names != "s\n" {
		t.Errorf("schedules are %q", names)
	}
	var failure struct {
		Code   int
		Reason string
	}
	if err := json.Unmarshal([]byte(s.schedule("show", "nobody", "-o", "json").stderr), &failure); err != nil || failure.Code != 3 || failure.Reason != "not_found" {
		t.Errorf("%v %+v", err, failure)
	}
}

func TestASchedulesLifeFromTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.schedule("list").want(t, 0, "no schedules")
	report := []string{"set", "report", "0 12 * * *", "--zone", "America/New_York", "--kind", "send", "--args", `{"to": 1}`, "--queue", "mail", "--options", `{"max_attempts": 3}`, "--starts-at", "2999-01-01T00:00:00Z"}
	s.schedule(append(report, "--dry-run")...).want(t, 0, "dry run: the schedule would be created; nothing was written", "2999-01-01T17:00:00Z")
	s.schedule("list", "-o", "name").want(t, 0)
	s.schedule(report...).want(t, 0, "created", "2999-01-01T17:00:00Z")
	s.schedule(report...).want(t, 0, "unchanged")
	s.schedule("next", "report", "-n", "2", "-o", "csv").want(t, 0, "2999-01-01T17:00:00Z,Tue 2999-01-01 12:00:00 -05:00\n")
	s.schedule("pause", "report", "--reason", "not \x1b[2J now", "--actor", "ada", "-o", "wide").want(t, 0, "paused", "not", "now")
	s.schedule("show", "report").hides(t, "\x1b")
	s.schedule("resume", "report", "-o", "jsonl", "--columns", "name,state,paused_by").want(t, 0, `{"name":"report","state":"active","paused_by":null}`)
	if id := s.schedule("run", "report", "-o", "name").stdout; id != "1\n" {
		t.Errorf("job is %q", id)
	}
	s.schedule("show", "report").want(t, 0, "next times, UTC:\n  Tue 2999-01-01 17:00:00", "by_hand")
	var shown struct {
		Schedule struct {
			Job       map[string]any
			LastState string `json:"last_state"`
		}
		Next []string
		Runs []struct {
			JobID int `json:"job_id"`
		}
	}
	o := s.schedule("show", "report", "-o", "json")
	if err := json.Unmarshal([]byte(o.stdout), &shown); err != nil || shown.Schedule.Job["queue"] != "mail" || shown.Schedule.LastState != "ready" || len(shown.Next) != 5 || shown.Runs[0].JobID != 1 {
		t.Errorf("%v in\n%s", err, o.stdout)
	}
	file := filepath.Join(t.TempDir(), "etl.yaml")
	write(t, file, "name: etl\nnodes:\n- {name: a, kind: act}\n")
	s.schedule("set", "etl", "every 1 hour", "--dag", file, "--overlap", "skip", "--jitter", "90s", "-o", "json").want(t, 0, `"is_dag": true`, `"jitter": 90`)
	s.schedule("delete", "report", "--dry-run").want(t, 0, "dry run: nothing was changed")
	s.schedule("delete", "report", "--yes").want(t, 0, "deleted schedule report")
	if names := s.schedule("list", "-o", "name").stdout; names != "etl\n" {
		t.Errorf("schedules are %q", names)
	}
}
