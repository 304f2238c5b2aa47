package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// words are what a shell is offered for the last word of a call.
func (s *site) words(line ...string) []string {
	s.t.Helper()
	o := s.admin("__complete", line...)
	o.want(s.t, 0)
	var words []string
	for _, word := range strings.Split(strings.TrimSpace(o.stdout), "\n") {
		if word, _, _ = strings.Cut(word, "\t"); !strings.HasPrefix(word, ":") {
			words = append(words, word)
		}
	}
	return words
}

func TestShellsCompleteFlagsAndArguments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("enqueue send_mail --queue mail --tag night").want(t, 0)
	s.admin("migrate up").want(t, 0)
	query(t, connect(t, s.url), `with j as (insert into pgq.jobs (queue, kind) values ('mail', 'f') returning id)
		insert into pgq.results (job_id, queue, state, attempt, error) select id, 'mail', 'failed', 1, 'oops' from j returning job_id::text`)
	for line, want := range map[string]string{
		"job list -o|":                        "table wide json jsonl yaml name csv",
		"version -o|":                         "table json jsonl yaml",
		"job wait --columns|":                 "id kind state error",
		"job wait --columns|id,st":            "id,kind id,state id,error",
		"job wait|--sort=-":                   "-id -kind -state -error",
		"job list --tag|":                     "night",
		"job list --queue|":                   "mail",
		"job list --state|ready,":             "ready,waiting ready,scheduled ready,running ready,completed ready,failed ready,cancelled ready,skipped ready,expired",
		"dag list --state|":                   "running held completed failed cancelled expired skipped",
		"doctor --severity|":                  "critical warning info",
		"migrate to|":                         "0 1 2",
		"enqueue|":                            "f send_mail",
		"queue set mail|":                     "age_every= backoff= events= keep_cancelled= keep_completed= keep_expired= keep_failed= max_args_bytes= max_attempts= max_depth= timeout= warn_depth=",
		"job retry|":                          "2 1",
		"job move|":                           "mail",
		"job set-priority 3|":                 "2 1",
		"job list --reason|":                  "",
		"job cancel 1 --reason|":              "",
		"import --ids|":                       "keep new",
		"config show --set|":                  "",
		"schedule next --zone|":               "",
		"event tail --type|":                  "",
		"failures redrive|":                   "",
		"failures show|":                      "",
		"job list --fingerprint|":             "",
		"export events --format|":             "jsonl csv parquet",
		"dag export 1 --format|":              "mermaid dot json",
		"schedule set s @daily --overlap|":    "allow skip queue cancel",
		"sequence list --state|":              "active stopped skipping handing over",
		"consumer reset c --to|":              "now beginning",
		"check --log-level|":                  "debug info warn error",
		"failures discard --columns|":         "id outcome jobs",
		"queue list --sort|":                  "",
		"batch list --interval|":              "",
		"event wait --job|":                   "2 1",
		"limit list --scope|":                 "queue kind group",
		"stats --by|":                         "kind queue",
		"job list --worker|":                  "",
		"grant|":                              "producer worker operator reader owner",
		"docs|":                               "man markdown",
		"failures list --sort|-j":             "",
		"job list --queue=mail --kind|":       "f send_mail",
		"context set c --log-level|":          "debug info warn error",
		"enqueue --on-failure|":               "stop skip continue",
		"dag retry 1 --mode|":                 "failed downstream from all",
		"dag export 1 --direction|":           "TD TB BT LR RL",
		"job set-priority|":                   "0 1 2 3 4 5 6 7 8 9",
		"enqueue send_mail --priority|":       "0 1 2 3 4 5 6 7 8 9",
		"job logs 1 --columns|":               "id at attempt level message attrs",
		"consumer set c --start-at|":          "now beginning",
		"schedule set s @daily --missed|":     "skip once all",
		"schedule set s @daily --kind|":       "f send_mail",
		"prune --queue|":                      "mail",
		"export jobs --queue|":                "mail",
		"migrate up -o|":                      "table json jsonl yaml",
		"import f -o|":                        "table json jsonl yaml",
		"job list --group|":                   "",
		"dag list --name|":                    "",
		"job list --dag|":                     "",
		"batch show|":                         "",
		"grant producer r --queue|":           "mail",
		"schedule set s @daily --queue|":      "mail",
		"dag export 1 --theme|":               "default blue_professional dark pastel high_contrast grayscale",
		"schedule next --spec|":               "",
		"event tail --type|failed,com":        "",
		"dag show 1 --state|":                 strings.Join(jobStates, " "),
		"job list --state|":                   strings.Join(jobStates, " "),
		"failures redrive --state|":           strings.Join(jobStates, " "),
		"sequence list --columns|key,state,w": "",
	} {
		before, word, _ := strings.Cut(line, "|")
		got := s.words(append(strings.Fields(before), word)...)
		if want != "" && strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
		for _, file := range got {
			if strings.HasSuffix(file, ".go") {
				t.Errorf("%s: offers files", line)
			}
		}
	}
	for line, want := range map[string]string{
		"config show --set|": "worker.lease=", "schedule next --zone|": "Europe/Berlin", "event tail --type|": "failed", "event tail --type|failed,com": "failed,completed",
	} {
		before, word, _ := strings.Cut(line, "|")
		if got := strings.Join(s.words(append(strings.Fields(before), word)...), " "); !strings.Contains(" "+got+" ", " "+want+" ") {
			t.Errorf("%s: got %q, without %s", line, got, want)
		}
	}
	fingerprint := strings.TrimSpace(s.admin("failures list -o name").stdout)
	for _, line := range []string{"failures redrive", "failures discard", "failures show", "job list --fingerprint"} {
		if got := s.words(append(strings.Fields(line), "")...); len(got) != 1 || got[0] != fingerprint {
			t.Errorf("%s: got %q, want %s", line, got, fingerprint)
		}
	}
}

var jobStates = []string{"waiting", "scheduled", "ready", "running", "completed", "failed", "cancelled", "skipped", "expired"}

func TestEventsAndLogsComeInEveryFormat(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	conn := connect(t, s.url)
	query(t, conn, `insert into pgq.events (type, queue, at, data) select case when i % 2 = 0 then 'failed' else 'paused' end, 'mail', '2026-01-01 00:00Z'::timestamptz + i * interval '1 h',
		jsonb_build_object('error', repeat('x', 500)) from generate_series(1, 6) i returning id::text`)
	s.admin("event tail -o csv --columns type,queue").want(t, 0, "type,queue\npaused,mail\nfailed,mail\n")
	s.admin("event tail -o name --type failed --limit 1").want(t, 0, "6\n")
	s.admin("event tail --columns type,at --since 2026-01-01T05:30:00Z").want(t, 0, "TYPE    AT\nfailed  2026-01-01T06:00:00Z\n")
	o := s.admin("event tail -o json --since 2026-01-01T02:00:00Z --until 2026-01-01T04:00:00Z --sort -id")
	var page struct{ Items []struct{ ID int64 } }
	if err := json.Unmarshal([]byte(o.stdout), &page); err != nil || len(page.Items) != 2 || page.Items[0].ID != 3 {
		t.Errorf("%v: %+v", err, o)
	}
	s.admin("event tail -o yaml --limit 1").want(t, 0, "items:\n")
	for line := range strings.Lines(s.admin("event tail").stdout) {
		if len(line) > 300 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
	s.admin("event tail -o wide --limit 1").want(t, 0, strings.Repeat("x", 500))
	s.admin("event tail --follow -o json").want(t, 2, "is one document", "-o jsonl")
	s.admin("event tail --follow --sort id").want(t, 2, "--sort is not for that")

	s.admin("enqueue k").want(t, 0, "1")
	query(t, conn, "select count(*)::text from (select pgq.add_logs(array[1,1]::bigint[], '{1,1}', array[now(),now()], '{INFO,ERROR}', '{hello,oh}', '{null,null}')) l")
	s.admin("job logs 1 -o csv --columns level,message").want(t, 0, "level,message\nINFO,hello\nERROR,oh\n")
	s.admin("job logs 1 -o json").want(t, 0, `"message": "hello"`, `"next": null`)
	s.admin("job logs 1 --columns message,level").want(t, 0, "MESSAGE  LEVEL\nhello    INFO\noh       ERROR\n")
	s.admin("job logs 99 -o json").want(t, 3, "there is no job 99")
}

func TestTablesAreCutAndOtherFormatsAreWhole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	long := strings.Repeat("e", 3000)
	query(t, connect(t, s.url), `with j as (insert into pgq.jobs (queue, kind) values ('q', 'k') returning id)
		insert into pgq.results (job_id, queue, state, attempt, error) select id, 'q', 'failed', 1, '`+long+`' from j returning job_id::text`)
	for _, command := range []string{"job list", "failures list", "job wait 1"} {
		if o := s.admin(command); strings.Contains(o.stdout, strings.Repeat("e", 100)) || !strings.Contains(o.stdout, "eee…") {
			t.Errorf("%s prints\n%s", command, o.stdout)
		}
		for _, format := range []string{"json", "csv", "wide", "yaml"} {
			if o := s.admin(command + " -o " + format); !strings.Contains(o.stdout, long) {
				t.Errorf("%s -o %s cuts the error", command, format)
			}
		}
	}
}

func TestEmptyListsSayOneThing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, list := range []string{"job list", "dag list", "batch list", "schedule list", "sequence list", "limit list", "consumer list", "failures list", "worker list", "event tail"} {
		if o := s.admin(list); o.code != 0 || o.stdout != "" || !strings.HasPrefix(o.stderr, "no ") {
			t.Errorf("%s: %+v", list, o)
		}
		if o := s.admin(list + " -o csv"); o.code != 0 || o.stderr != "" || strings.Count(o.stdout, "\n") > 1 {
			t.Errorf("%s -o csv: %+v", list, o)
		}
	}
	s.admin("job list --tag a,b").want(t, 0, "no jobs; --tag takes one name, which may hold commas; for several: --tag a --tag b")
	s.admin("job cancel --queue mail,media").want(t, 0, "no job fits; --queue takes one name", "nothing was changed")
	s.admin("failures list --kind a,b").want(t, 0, "for several: --kind a --kind b")
	s.admin("jobs list --limit 1").want(t, 0, "no jobs")
	for _, group := range []string{"jobs", "queues", "workers", "dags", "batches", "schedules", "sequences", "limits", "consumers"} {
		s.admin(group+" list --limit 1").want(t, 0)
	}
}

func TestBulksPrintTheIdsOfWhatTheyDid(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 3 {
		s.admin("enqueue k --queue mail").want(t, 0)
	}
	if o := s.admin("job cancel --queue mail --yes -o name"); o.code != 0 || o.stdout != "1\n2\n3\n" {
		t.Errorf("%+v", o)
	}
	if o := s.admin("job delete 1 99 --yes -o name"); o.code != 5 || o.stdout != "1\n" {
		t.Errorf("%+v", o)
	}
}

func TestWhatHasNoRowsComesAsADocument(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("version -o json").want(t, 0, `"schema_version": 2`)
	s.admin("migrate up --schema b --dry-run -o json").want(t, 0, `"schema": "b"`, `"name": "00001_tables.sql"`, `"action": "apply"`, `"dry_run": true`)
	s.admin("migrate up --schema b -o jsonl").want(t, 0, `"dry_run":false}`)
	s.admin("migrate to 1 --schema b --yes -o yaml").want(t, 0, "version: 1\n", "action: take back")
	s.admin("migrate down --schema b --yes -o json").want(t, 0, `"version": 0`)
	s.admin("version -o csv").want(t, 2, "must be one of table, json, jsonl, yaml")
}

func TestFailuresAndFiguresAreChosenAsInLists(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	query(t, connect(t, s.url), `with j as (insert into pgq.jobs (queue, kind, tags, args, group_name)
			select 'q' || i % 2, 'k' || i % 3, array['t' || i], jsonb_build_object('n', i), 'g' || i from generate_series(0, 5) i returning id, queue)
		insert into pgq.results (job_id, queue, state, attempt, error, finished_at)
		select j.id, j.queue, 'failed', 1, 'oops', now() - j.id * interval '10 min' from j returning job_id::text`)
	sum := func(command string) int {
		t.Helper()
		o := s.admin(command + " -o csv --columns jobs")
		o.want(t, 0)
		n := 0
		for _, line := range strings.Split(strings.TrimSpace(o.stdout), "\n")[1:] {
			jobs, err := strconv.Atoi(line)
			if err != nil {
				t.Fatal(err)
			}
			n += jobs
		}
		return n
	}
	for filter, want := range map[string]int{
		"": 6, "--queue q0": 3, "--kind k1": 2, "--tag t3": 1, "--group g2 --group g3": 2, "--arg n=4": 1, "--queue q1 --kind k1": 1, "--error oops": 6, "--error no": 0,
		"--metadata a=b": 0, "--worker 1": 0, "--dag 1": 0,
	} {
		for _, command := range []string{"failures list ", "stats --since 1d "} {
			if got := sum(command + filter); got != want {
				t.Errorf("%s%s counts %d jobs, want %d", command, filter, got, want)
			}
		}
	}
	if got := sum("failures list --since 35m --until 15m"); got != 2 {
		t.Errorf("failed between 15 and 35 min ago: %d", got)
	}
	if got := sum("stats --since 1d --state completed"); got != 0 {
		t.Errorf("completed: %d", got)
	}
	s.admin("failures list --arg x").want(t, 2, "--arg takes PATH=VALUE")
}

func TestManPagesHaveTitlesAndNoEmptyDefaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	admin(t, "docs", "man", dir).want(t, 0)
	page, err := os.ReadFile(filepath.Join(dir, "pgq-admin-job-list.1"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	if !strings.Contains(text, `.TH "PGQ-ADMIN-JOB-LIST" "1"`) || !strings.Contains(text, `\fB--limit\fP=50`) {
		t.Error("no title or no default")
	}
	for _, empty := range []string{"=[]", `=""`, "=\n"} {
		if strings.Contains(text, empty) {
			t.Errorf("there is %q", empty)
		}
	}
}
