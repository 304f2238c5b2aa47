package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// injection, odd and turned are names as nobody should choose them.
const (
	injection = `'; drop table jobs; --`
	odd       = `a"b'c %s %d \ $1 {x}, y`
	turned    = "a\u202eb\nc\x1b[31m"
)

// refusal is a call that is refused: with what code, and what it says.
type refusal struct {
	args []string
	code int
	text string
}

// facts tells one content of the tables from another.
func (s *site) facts() string {
	s.t.Helper()
	var parts []string
	for _, table := range []string{"jobs", "ready", "scheduled", "waiting", "running", "results", "events", "queues", "schedules", "grants", "limits", "gates"} {
		parts = append(parts, fmt.Sprintf("(select '%[1]s ' || coalesce(md5(string_agg(x::text, ';' order by x::text)), '') from pgq.%[1]s x)", table))
	}
	var facts string
	if err := s.pool.QueryRow(s.t.Context(), "select concat_ws(E'\\n', "+strings.Join(parts, ", ")+")").Scan(&facts); err != nil {
		s.t.Fatal(err)
	}
	return facts
}

// decent checks that the process did not break down, and steers no terminal.
func (o outcome) decent(t *testing.T) {
	t.Helper()
	for _, text := range []string{"goroutine ", "panic", "runtime error", "%!", "\x1b[31m", "\u202e"} {
		if strings.Contains(o.stderr, text) {
			t.Errorf("stderr holds %q:\n%s", text, o.stderr)
		}
	}
	if o.code != 0 && o.code != 4 && o.code != 5 && o.stderr == "" {
		t.Errorf("exit code %d, and nothing is said", o.code)
	}
}

// refuses runs what is wrong, and checks that it is told and that nothing was changed.
func (s *site) refuses(refusals []refusal) {
	s.t.Helper()
	before := s.facts()
	for _, r := range refusals {
		o := s.adminCall("", r.args...).run(s.t)
		o.decent(s.t)
		if o.code != r.code || !strings.Contains(o.stderr, r.text) || o.stdout != "" {
			s.t.Errorf("%q: exit code %d, want %d and %q\nstdout: %.300s\nstderr: %.600s", r.args, o.code, r.code, r.text, o.stdout, o.stderr)
		}
	}
	if after := s.facts(); after != before {
		s.t.Errorf("something was changed:\n%s\nwas\n%s", after, before)
	}
}

// words splits a command line at its spaces, and adds more.
func words(line string, more ...string) []string { return append(strings.Fields(line), more...) }

// marshal returns a name as PostgreSQL writes it in JSON.
func marshal(t *testing.T, name string) []byte {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(name); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(text.Bytes())
}

func TestOddNamesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i, name := range []string{injection, odd, "עברית 😀"} {
		s.admin("enqueue -o name", name, "--queue", name, "--tag", name, "-P", name+"="+name).want(t, 0, strconv.Itoa(i+1))
		for _, flag := range []string{"--kind", "--queue", "--tag"} {
			o := s.admin("job list -o name", flag, name)
			if o.want(t, 0); o.stdout != strconv.Itoa(i+1)+"\n" {
				t.Errorf("%s %s: got %q", flag, name, o.stdout)
			}
		}
		path, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		o := s.admin("job list -o name --arg", string(path)+"="+name)
		if o.want(t, 0); o.stdout != strconv.Itoa(i+1)+"\n" {
			t.Errorf("--arg %s: got %q", path, o.stdout)
		}
		s.admin("queue pause", name, "--reason", name).want(t, 0)
		s.admin("queue show", name).want(t, 0, name)
		s.admin("queue resume", name).want(t, 0)
		s.admin("schedule set", name, "@daily", "--kind", name).want(t, 0, name)
		s.admin("schedule show", name).want(t, 0, name)
		s.admin("schedule delete", name, "--yes").want(t, 0)
		s.admin("limit set group", name, "--max-running", "3").want(t, 0, name)
		s.admin("limit list --limit 1 --after", "group/"+name).decent(t)
		s.admin("consumer set", name, "--queue", name).want(t, 0, name)
		s.admin("export settings").want(t, 0, string(marshal(t, name)))
		s.admin("limit delete group", name, "--yes").want(t, 0)
		s.admin("consumer delete", name, "--yes").want(t, 0)
		s.admin("job cancel --reason", name+turned, "--actor", name, "--queue", name, "--yes").want(t, 0, "cancelled  1")
		for _, read := range []string{"job show ", "job events ", "job explain ", "job list --error " + injection + " "} {
			o := s.adminCall(read + strconv.Itoa(i+1)).run(t)
			o.hides(t, "\x1b[31m")
			o.hides(t, "\u202e")
			o.decent(t)
		}
	}
	if got := query(t, connect(t, s.url), "select string_agg(kind || queue || tags[1], '' order by id) from pgq.jobs"); got != strings.Repeat(injection, 3)+strings.Repeat(odd, 3)+strings.Repeat("עברית 😀", 3) {
		t.Errorf("got %q", got)
	}
	s.healthy()
}

func TestOddNamesOfWhatIsNotThereAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var refusals []refusal
	for _, name := range []string{injection, turned} {
		refusals = append(refusals,
			refusal{words("grant reader", name), 3, "there is no role"},
			refusal{words("revoke reader", name), 3, "there is no role"},
			refusal{words("job list --context", name), 3, "unknown context"},
			refusal{words("queue drain", name), 3, "there is no queue"},
			refusal{words("queue drain --pause", name), 3, "there is no queue"},
			refusal{words("queue purge --yes", name), 3, "there is no queue"},
			refusal{words("failures redrive --yes", name), 3, "no job failed with fingerprint"},
			refusal{words("failures discard --yes --dry-run", name), 3, "no job failed with fingerprint"},
			refusal{words("job list --sort", name), 2, "--sort: there is no column"},
			refusal{words("job list --columns", name), 2, "--columns"},
			refusal{words("job list -o", name), 2, "must be one of table, wide"},
			refusal{words("job list --state", name), 2, "--state"},
			refusal{words("dag show", name), 2, "a DAG is named by"},
			refusal{words("dag show", "etl/"+name), 3, "there is no DAG"},
			refusal{words("schedule show", name), 3, "there is no schedule"},
			refusal{words("schedule delete --yes", name), 3, "there is no schedule"},
			refusal{words("schedule set n", name), 2, "spec"},
			refusal{words("schedule set n @daily --kind k --zone", name), 2, "zone"},
			refusal{words("queue resume", name), 3, "no queue"},
			refusal{words("failures show", name), 3, "no job failed with fingerprint"},
			refusal{words("job list --schema", name), 6, "not installed"},
			refusal{words("enqueue k --schema", name), 6, "not installed"},
			refusal{words("migrate down --yes --schema", name), 6, "not installed"},
			refusal{words("enqueue k -P", "x:="+name), 2, "is no JSON"},
			refusal{words("--" + name), 2, "unknown flag"},
			refusal{[]string{"job", name}, 2, "has no command"},
		)
	}
	for _, what := range []string{"--queue", "--kind"} {
		args := words("enqueue k --queue", turned)
		if what == "--kind" {
			args = words("enqueue", turned)
		}
		refusals = append(refusals, refusal{args, 2, strings.TrimLeft(what, "-") + " must not have control characters"})
	}
	s.refuses(refusals)
}

func TestTextsThatCannotBeStoredAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	before := s.facts()
	for _, c := range []struct{ args, stdin, text string }{
		{"enqueue k --args -", `"\u0000"`, "args must be storable as"},
		{"enqueue k --args -", "\"\x00\"", "no JSON"},
		{"enqueue k --args -", `"\ud800"`, "args must be storable as"},
		{"enqueue k --args -", `{"\udc00\ud800": 1}`, "must be storable as"},
		{"enqueue k --args -", "1e400000", "must be storable as"},
		{"enqueue k --args -", deep(10_000), "must be JSON, nested at most 10000 deep"},
		{"enqueue k --args -", deep(10_001), "exceeded max depth"},
		{"enqueue k --args -", "", "no JSON"},
		{"enqueue --from -", `{"kind": "a\u0000"}`, "line 1"},
		{"enqueue --from -", "\x00\x00\n", "line 1"},
		{"enqueue --from -", `{"kind": "k", "args": ` + deep(10_000) + "}", "line 1"},
		{"import -", "\x00\n", "line 1"},
		{"import -", deep(10_000) + "\n", "line 1"},
		{"import -", `{"type": "job", "id": 1}` + "\n", "line 1"},
		{"dag submit -", deep(9_000), "must be a JSON object"},
		{"dag submit -", `{"name": "\u0000"}`, ""},
		{"dag submit -", "", ""},
	} {
		call := s.adminCall(c.args)
		call.stdin = c.stdin
		o := call.run(t)
		o.decent(t)
		if o.code != 2 || !strings.Contains(o.stderr, c.text) {
			t.Errorf("%s < %.40q: exit code %d, want 2 and %q\n%.600s", c.args, c.stdin, o.code, c.text, o.stderr)
		}
	}
	if s.facts() != before {
		t.Error("something was changed")
	}
	call := s.adminCall("enqueue k --args -")
	call.stdin = deep(9_000)
	call.run(t).want(t, 0)
	s.admin("job show 1").decent(t)
	if o := s.admin("job show 1 -o jsonl"); o.code != 0 || !strings.Contains(o.stdout, deep(9_000)) {
		t.Errorf("exit code %d, %d bytes, and not the args", o.code, len(o.stdout))
	}
	s.admin("job list --columns id,args").want(t, 0, "[[[[")
	s.healthy()
}

func TestNumbersSurviveTheRoundTrip(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const numbers = `[9007199254740993, -9223372036854775809, 123456789012345678901234567890.10, 0.1000]`
	s.admin("enqueue k -P", "n:="+numbers).want(t, 0)
	call := s.adminCall("enqueue --from -")
	call.stdin = `{"kind": "k", "args": {"n": ` + numbers + `}}`
	call.run(t).want(t, 0)
	var shown string
	for _, id := range []string{"1", "2"} {
		shown = s.admin("job show -o json", id).stdout
		for number := range strings.SplitSeq(strings.Trim(numbers, "[]"), ", ") {
			if !strings.Contains(shown, number) {
				t.Errorf("job show %s lacks %s:\n%s", id, number, shown)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "jobs.jsonl")
	s.admin("export jobs --file", file).want(t, 0)
	s.admin("migrate up --schema second").want(t, 0)
	s.admin("import --schema second", file).want(t, 0, "imported 2 jobs")
	if got := s.count("select count(*) from pgq.jobs a join second.jobs b using (id) where a.args::text = b.args::text and a.args ->> 'n' = '" + numbers + "'"); got != 2 {
		t.Errorf("%d jobs came as they were, want 2", got)
	}
	if again := s.admin("job show -o json --schema second 2").stdout; again != shown {
		t.Errorf("got\n%s\nwant\n%s", again, shown)
	}
}

func TestAnErrorOfTenMegabytesIsCopedWith(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(1, "mail", "send")
	s.failing("mail", strings.Repeat("no route to hôst \u202e\x1b[31m\n", 10<<20/25))
	for _, line := range []string{"job show 1", "job errors 1", "job list", "failures list", "job events 1", "status", "event tail", "stats"} {
		o := s.admin(line)
		o.want(t, 0)
		o.decent(t)
		o.hides(t, "\x1b[31m")
		if len(o.stdout) > 12<<20 || (strings.HasSuffix(line, "list") && len(o.stdout) > 64<<10) {
			t.Errorf("%s prints %d bytes", line, len(o.stdout))
		}
	}
	file := filepath.Join(t.TempDir(), "jobs.jsonl")
	s.admin("export jobs --file", file).want(t, 0, "exported 1 job")
	s.admin("migrate up --schema second").want(t, 0)
	s.admin("import --schema second", file).want(t, 0, "imported 1 job")
	if n := s.count("select count(*) from pgq.results a join second.results b using (job_id) where a.error = b.error"); n != 1 {
		t.Error("the error is another one")
	}
}

func TestTimesIdsLimitsAndFlagsThatAreWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(2, "mail", "send")
	var refusals []refusal
	for _, at := range []string{"infinity", "10000-01-01", "'now'", "-5m"} {
		for _, line := range []string{"enqueue k --at=", "enqueue k --delay=", "enqueue k --ttl=", "job list --since=", "job cancel --queue mail --yes --until=",
			"stats --since=", "prune --yes --older-than=", "export jobs --since=", "job reschedule 1 --at="} {
			flag := line[strings.LastIndex(line, "--") : len(line)-1]
			refusals = append(refusals, refusal{words(line[:strings.LastIndex(line, "--")], flag+"="+at), 2, flag})
		}
	}
	for _, id := range []string{"", "x", "0", "-1", "9223372036854775808", "1; drop table jobs"} {
		for _, verb := range []string{"show", "cancel", "wait --timeout 1s"} {
			refusals = append(refusals, refusal{words("job "+verb, "--", id), 2, "a job is named by its id"})
		}
		refusals = append(refusals, refusal{words("worker show --", id), 2, "a worker is named by its id"},
			refusal{words("dag show --", id), 2, "a DAG is named by its id"})
	}
	for _, verb := range []string{"show", "events", "explain", "wait --timeout 1s"} {
		refusals = append(refusals, refusal{words("job " + verb + " 9223372036854775807"), 3, "there is no"})
	}
	for _, line := range []string{"job list", "dag list", "queue list", "worker list", "event tail", "job cancel --queue mail --yes", "prune --yes --older-than 1d"} {
		refusals = append(refusals, refusal{words(line, "--limit=-1"), 2, "--limit must"}, refusal{words(line, "--limit=x"), 2, `--limit must be a whole number, not "x"`},
			refusal{words(line, "--limit=99999999999999999999"), 2, "--limit is too large a number"}, refusal{words(line, "--nope"), 2, "unknown flag: --nope"})
	}
	for _, line := range []string{"job list", "queue list", "dag list", "failures list", "stats", "grants", "doctor"} {
		refusals = append(refusals, refusal{words(line, "--columns=nope"), 2, `choose from`}, refusal{words(line, "-o", "xml"), 2, "must be one of table"},
			refusal{words(line, "-o", "json", "--sort", "nope"), 2, `{"code":2,"reason":"usage","message":"--sort: there is no column`})
	}
	s.refuses(refusals)
	for _, verb := range []string{"cancel", "retry", "move q"} {
		s.admin("job "+verb+" 9223372036854775807").want(t, 3, "9223372036854775807  not_found", "there is no such job")
	}
	s.admin("enqueue far --at 9999-12-31T23:59:59Z -o name").want(t, 0, "3")
	s.admin("job show 3").want(t, 0, "9999-12-31")
	s.admin("job explain 3").want(t, 0, "waits until 9999-12-31")
	if _, err := s.pool.Exec(t.Context(), "select pgq.enqueue('farther', run_at => 'infinity')"); err == nil || !strings.Contains(err.Error(), "run_at must be in the years 1 to 9999") {
		t.Errorf("in SQL: %v", err)
	}
}
