package main_test

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestEnqueueTakesArgsFromFlagsAndTheStandardInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("enqueue send -P to=ann@example.com -P n:=9007199254740993 -P", `text=a "b" 'c' 100% <&> \n`).want(t, 0, "1   added")
	s.admin("enqueue send -o name --args", `{"a": 1.50, "b": 1}`, "-P", "b:=[true, null]").want(t, 0, "2\n")
	c := s.adminCall("enqueue send -o csv --args - --queue q --priority 0 --tag x --tag y,z --max-attempts 3 --timeout 90s --ttl 2d --result-ttl 1h --metadata team=blue")
	c.stdin = "[12345678901234567890]"
	c.run(t).want(t, 0, "id,outcome,line\n3,added,\n")
	s.admin("enqueue send --delay 5m").want(t, 0)
	s.admin("enqueue send --at 2100-01-01T00:00:00Z").want(t, 0)
	s.admin("enqueue", `'; drop table jobs; -- "x"`).want(t, 0, "6   added")
	conn := connect(t, s.url)
	want := strings.Join([]string{
		`1 default 5 {"n": 9007199254740993, "to": "ann@example.com", "text": "a \"b\" 'c' 100% <&> \\n"}`,
		`2 default 5 {"a": 1.50, "b": [true, null]}`,
		`3 q 0 [12345678901234567890]`,
		`4 default 5 `, `5 default 5 `, `6 default 5 `,
	}, "\n")
	if got := query(t, conn, "select concat_ws(' ', id, queue, priority, coalesce(args::text, '')) from pgq.jobs order by id"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := query(t, conn, "select format('%s %s %s %s %s %s', tags, max_attempts, timeout, expires_at - created_at, result_ttl, metadata) from pgq.jobs where id = 3"); got != `{x,"y,z"} 3 00:01:30 2 days 01:00:00 {"team": "blue"}` &&
		got != `{x,"y,z"} 3 00:01:30 48:00:00 01:00:00 {"team": "blue"}` {
		t.Error("got", got)
	}
	if n := s.count("select count(*) from pgq.scheduled s join pgq.jobs j on j.id = s.job_id where s.run_at = '2100-01-01 00:00+00' or s.run_at = j.created_at + interval '5 min'"); n != 2 {
		t.Errorf("%d jobs are scheduled as they should be, want 2", n)
	}
	s.admin("enqueue callme --queue calls --callback on_success=ship --callback", `on_failure={"kind": "alarm", "args": {"a=": 1}}`).want(t, 0, "added")
	if n := s.count(`select count(*) from pgq.jobs where kind = 'callme' and spec = '{"callbacks": {"on_success": {"kind": "ship"}, "on_failure": {"kind": "alarm", "args": {"a=": 1}}}}'`); n != 1 {
		t.Error("callbacks are not there")
	}
	s.healthy()
}

func TestWrongUseOfEnqueueSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(`select set_queue('full', '{"max_depth": 1}'), enqueue('k', queue => 'full')`)
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{nil, 2, "needs KIND, or --from"},
		{[]string{"a", "b"}, 2, `not also "b"`},
		{[]string{"a", "-P", "x"}, 2, "-P takes KEY=TEXT or KEY:=JSON"},
		{[]string{"a", "-P", "x:=y"}, 2, `-P x: "y" is no JSON`},
		{[]string{"a", "--args", "{"}, 2, "--args is no JSON"},
		{[]string{"a", "--args", "[]", "-P", "x=1"}, 2, "must be a JSON object"},
		{[]string{"a", "--args", `"\ud800"`}, 2, "must be storable as"},
		{[]string{"a", "--args", `"\u0000"`}, 2, "must be storable as"},
		{[]string{"a", "--priority", "11"}, 2, "priority must be 0 to 9"},
		{[]string{"a", "--queue", ""}, 2, "queue must have 1 to 128 characters"},
		{[]string{"a", "--queue", "*"}, 2, `queue must not be "*"`},
		{[]string{"a\nb"}, 2, "kind must not have control characters"},
		{[]string{strings.Repeat("k", 129)}, 2, "kind must have 1 to 128 characters"},
		{[]string{"a", "--delay", "-5m"}, 2, "--delay must be a duration"},
		{[]string{"a", "--delay", "5m", "--at", "2100-01-01"}, 2, "either --at or --delay"},
		{[]string{"a", "--at", "99999-01-01"}, 2, "--at must be a time"},
		{[]string{"a", "--max-attempts", "0"}, 2, "max_attempts must be at least 1"},
		{[]string{"a", "--timeout", "0s"}, 2, "timeout must be positive"},
		{[]string{"a", "--callback", "on_success"}, 2, "--callback must be EVENT=KIND or EVENT=JSON"},
		{[]string{"a", "--callback", "on_success={"}, 2, "--callback on_success is no JSON"},
		{[]string{"a", "--callback", "on_retry=b", "--callback", "on_retry=c"}, 2, "--callback on_retry is given twice"},
		{[]string{"a", "--callback", "on_end=b"}, 2, `callbacks must be on_success, on_failure or on_retry; "on_end" is none`},
		{[]string{"a", "--callback", `on_retry={"kind": "b", "group": "g"}`}, 2, "callbacks.on_retry.group must not be given for a callback"},
		{[]string{"a", "--batch", "5"}, 2, "--batch needs --from"},
		{[]string{"--from", "nowhere.jsonl"}, 2, "nowhere.jsonl"},
		{[]string{"--from", "-", "--batch", "0"}, 2, "--batch must be 1 to 10000"},
		{[]string{"--from", "-", "--args", "-"}, 2, "cannot both read"},
		{[]string{"--from", "-", "--skip", "3"}, 2, "there are only 0 lines"},
		{[]string{"k", "--queue", "full"}, 6, "queue is full"},
	} {
		o := s.admin("enqueue", c.args...)
		o.want(t, c.code, c.text)
		if o.stdout != "" {
			t.Errorf("%q: stdout is %q", c.args, o.stdout)
		}
	}
	if n := s.count("select count(*) from pgq.jobs"); n != 1 {
		t.Errorf("%d jobs are there", n)
	}
}

func TestEnqueueStreamsAFileAndNamesTheLineThatIsWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "{\"kind\": \"k\", \"args\": {\"n\": 900719925474099300%d}}\r\n\n", i)
	}
	from := func(stdin, words string, more ...string) outcome {
		c := s.adminCall("enqueue --from - "+words, more...)
		c.stdin = stdin
		return c.run(t)
	}
	from(text.String(), "--queue bulk --batch 700").want(t, 0, "enqueued 3000 jobs")
	if n := s.count("select count(*) from pgq.jobs where queue = 'bulk' and (args ->> 'n') like '900719925474099300%'"); n != 3000 {
		t.Errorf("%d jobs came as they are", n)
	}
	file := filepath.Join(t.TempDir(), "jobs.jsonl")
	write(t, file, "{\"queue\": \"own\"}\n{\"delay\": \"1 h\"}\n{\"run_at\": \"2100-01-01\", \"priority\": 1}")
	s.admin("enqueue default_kind --priority 7 --delay 2h -o csv --from", file).want(t, 0, "id,outcome,line\n3001,added,1\n3002,added,2\n3003,added,3\n")
	if got := query(t, connect(t, s.url), "select string_agg(format('%s %s %s', kind, queue, priority), ', ' order by id) from pgq.jobs where id > 3000"); got != "default_kind own 7, default_kind default 7, default_kind default 1" {
		t.Error("got", got)
	}
	for _, c := range []struct{ line, text string }{
		{`{"kind": "a", "prio": 1}`, `line 6: has an unknown field "prio"`},
		{`{"kind": "a", "priority": 12}`, "line 6: priority must be 0 to 9"},
		{`{"kind": "a", "priority": "x"}`, "line 6: priority cannot be read as integer"},
		{`{"kind": 5, "tags": "x"}`, "line 6: tags must be"},
		{`{"args": 1}`, "line 6: kind must have 1 to 128 characters"},
		{`{"kind": "a", "args": "\u0000"}`, "line 6: must be storable as"},
		{`{"kind": "a", "args": 1e999999}`, "line 6: must be storable as"},
		{`{"kind": "a"`, "line 6, column"},
		{`[1]`, "line 6 must be a JSON object"},
		{`nope`, "line 6, column 2: no JSON"},
	} {
		before := s.count("select count(*) from pgq.jobs")
		stdin := "{\"kind\": \"a\"}\n\n{\"kind\": \"b\"}\n{\"kind\": \"c\"}\n\n" + c.line + "\n{\"kind\": \"d\"}\n"
		from(stdin, "--batch 2").want(t, 5, c.text, "; 2 jobs were enqueued, up to line 3\n  fix: when that is put right, the same with --skip 3 goes on behind them")
		if n := s.count("select count(*) from pgq.jobs"); n != before+2 {
			t.Errorf("%s: %d jobs were enqueued, want 2", c.line, n-before)
		}
	}
	const bad = "{\"kind\": \"a\"}\n\n{\"kind\": \"b\"}\nnope\n{\"kind\": \"d\"}\n"
	before := s.count("select count(*) from pgq.jobs")
	from(bad, "--batch 1 --all-or-nothing -o name").want(t, 2, "line 4", "nothing was enqueued")
	if n := s.count("select count(*) from pgq.jobs"); n != before {
		t.Errorf("%d jobs were enqueued, want none", n-before)
	}
	from(strings.Replace(bad, "nope", `{"kind": "good"}`, 1), "--skip 3 -o csv").want(t, 0, ",added,4\n", ",added,5\n")
	from("", "").want(t, 0, "enqueued 0 jobs")
	from("\n\n", "-o json").want(t, 0, `"items": []`)
	s.healthy()
}

func TestEnqueueThatIsInterruptedSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.adminCall("enqueue --from - --batch 2").command(t.Context())
	stdin, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	p.Stderr = &stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "{\"kind\": \"a\"}\n{\"kind\": \"b\"}\n{\"kind\": \"c\"}\n"); err != nil {
		t.Fatal(err)
	}
	for s.count("select count(*) from pgq.jobs") < 2 { // the third waits for a fourth
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	if code, text := p.ProcessState.ExitCode(), stderr.String(); code != 130 || !strings.Contains(text, "interrupted; 2 jobs were enqueued, up to line 2\n  fix: when that is put right, the same with --skip 2 goes on") {
		t.Errorf("exit code %d, %s", code, text)
	}
	if n := s.count("select count(*) from pgq.jobs"); n != 2 {
		t.Errorf("%d jobs were enqueued, want 2", n)
	}
}
