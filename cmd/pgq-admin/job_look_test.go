package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/pgq-go/queue/dagsql"
)

func TestJobListFiltersPagesAndSorts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("job list").want(t, 0, "no jobs")
	s.sql(everyday)
	for words, want := range map[string]string{
		"list -o name": "8 7 6 5 4 3 2 1",
		"ls -o name --queue mail --state completed":    "3 2 1",
		"list -o name --limit 2":                       "8 7",
		"list -o name --limit 2 --after 7":             "6 5",
		"list -o name --state failed,running":          "6 4",
		"list -o name --error boom":                    "6",
		"list -o name --tag x --kind mail --limit 1":   "5",
		"list -o name --arg order.id=9007199254740993": "5 4 3 2 1",
		"list -o name --arg order.id=9007199254740992": "",
		"list -o name --queue mail --sort id":          "1 2 3 4 5",
		"list -o csv --columns kind,state --limit 1":   "kind,state later,scheduled",
		"list -o jsonl --columns id,tags --limit 1":    `{"id":8,"tags":[]}`,
		"list --columns id,queue --limit 1 --sort -id": "ID QUEUE 8 slow next page: --after 8",
		"list -o name --state skipped":                 "",
		"list -o name --until 1h --since 2h":           "",
		"list -o name --worker 1 --state running":      "4",
	} {
		o := s.admin("job " + words)
		o.want(t, 0)
		if got := tidy(o.stdout + o.stderr); got != want {
			t.Errorf("%s: %q, want %q", words, got, want)
		}
	}
	var page struct {
		Items []map[string]any
		Next  *int64
	}
	o := s.admin("job list -o json --limit 1 --queue mail")
	if err := json.Unmarshal([]byte(o.stdout), &page); err != nil || page.Next == nil || *page.Next != 5 {
		t.Errorf("%v in\n%s", err, o.stdout)
	}
	o.want(t, 0, `"n": 12345678901234567890123.4500`)
	for words, text := range map[string]string{
		"--limit 0": "--limit must be", "--after -1": "--after must be", "--state gone": "there is no state", "--columns x": "there is no column", "more": "takes no arguments",
		"--arg x": "--arg takes", "--since soon": "--since must be a time", "--interval 1ns --watch": "at least 10ms",
	} {
		s.admin("job list "+words).want(t, 2, text)
	}
	s.admin("job list", "--queue", "'; drop table pgq.jobs; --").want(t, 0, "no jobs")
	s.admin("job list", "--queue", "a\xffb").want(t, 2, "--queue must be valid UTF-8")
}

func TestJobShowHasAllThatIsKnown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(everyday)
	s.admin("job show 1").want(t, 0, "Job 1 mail: completed", "queue      mail, priority 5", "tags       x, y", "\"n\": 12345678901234567890123.4500", "Result\n  {\n    \"ok\": 100")
	s.admin("job show 4").want(t, 0, "running", "[######..............] 3 of 10", "why        running: attempt 1 of 25", "worker     1")
	o := s.admin("job show 6")
	o.want(t, 0, "Error\n  boom\n    at [2J line 2", "\"b\": null")
	o.hides(t, "\x1b")
	s.admin("job show 7").want(t, 0, "scheduled", "attempts   1 of 3", "why        retrying")
	s.admin("job show 8").want(t, 0, "due ", "why        queue paused: queue slow is paused", "moving 'house'")
	for _, format := range []string{"json", "yaml"} {
		o := s.admin("job show 1 -o " + format)
		o.want(t, 0, "12345678901234567890123.4500", "9007199254740993")
		var card struct {
			Job map[string]any
			DAG map[string]any `json:"dag"`
		}
		read := func(text []byte, into any) error { return json.Unmarshal(text, into) }
		if format == "yaml" {
			read = func(text []byte, into any) error { return yaml.Unmarshal(text, into) }
		}
		if err := read([]byte(o.stdout), &card); err != nil || card.Job["state"] != "completed" || card.DAG != nil {
			t.Errorf("%s: %v %+v", format, err, card)
		}
	}
	s.admin("job show 1 -o csv --columns id,state,args").want(t, 0, "id,state,args\n1,completed,\"{\"\"n\"\"")
	s.admin("job show 1 -o name").want(t, 0, "1\n")
	for words, code := range map[string]int{"99": 3, "0": 2, "-- -1": 2, "x": 2, "": 2, "1 2": 2, "99999999999999999999": 2, "9223372036854775807": 3} {
		s.admin("job show "+words).want(t, code)
	}
	s.admin("job show 99 -o json").want(t, 3, `"reason":"not_found"`, "there is no job 99")
}

func TestJobShowSaysWhereInItsDAGAJobIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := dagsql.New("etl", dagsql.Options{Key: "monday"})
	b.Add("load", act{}).After(b.Add("extract", act{}))
	id := s.submit(b)
	load := strings.TrimSpace(s.admin("job list -o name --limit 1 --state waiting --dag " + fmt.Sprint(id)).stdout)
	s.admin("job show "+load).want(t, 0, fmt.Sprintf("node load of DAG %d etl/monday (running), rule all, 0 of 1 parents ended", id), "why        parents")
	s.admin(fmt.Sprint("job show ", id)).want(t, 0, "it is DAG", "pgq-admin dag show")
	s.admin("job show "+load+" -o json").want(t, 0, `"node": "load"`, `"parents_pending": 1`)
	s.admin("job explain "+load).want(t, 0, "parents", "extract")
}

func TestJobErrorsEventsAndExplain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(everyday)
	o := s.admin("job errors 6")
	o.want(t, 0, "attempt 1 failed at ", " on worker 1\n  boom\n    at [2J line 2\n  goroutine 1\n      main.go:12\n")
	o.hides(t, "\x1b")
	var page struct {
		Items []struct {
			Attempt      int
			Error, Stack string
			RunAt        *string `json:"run_at"`
		}
	}
	if err := json.Unmarshal([]byte(s.admin("job errors 7 -o json").stdout), &page); err != nil || len(page.Items) != 1 || page.Items[0].Error != "again" || page.Items[0].RunAt == nil {
		t.Errorf("%+v (%v)", page, err)
	}
	s.admin("job errors 6 -o wide").want(t, 0, "ATTEMPT", "boom   at [2J line 2")
	s.admin("job errors 1").want(t, 0, "job 1 has no errors")
	s.admin("job errors 99").want(t, 3, "there is no job 99")
	if got := strings.Join(strings.Fields(s.admin("job events 7 -o csv --columns type,attempt").stdout), " "); got != "type,attempt enqueued, retried,1" {
		t.Errorf("events are %q", got)
	}
	s.admin("job history 6").want(t, 0, "enqueued", "failed", "stack")
	s.admin("job events 99").want(t, 3)
	s.admin("job explain 5").want(t, 0, "REASON", "queue mail")
	s.admin("job why 8 -o name").want(t, 0, "delayed\nqueue paused\n")
	s.admin("job explain 99").want(t, 3, "there is no job 99")
}

func TestJobWaitTellsHowJobsEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(everyday)
	s.admin("job wait 1 2 1").want(t, 0, "1   mail  completed", "2   mail")
	s.admin("job wait 1 6").want(t, 1, "failed", "1 of 2 jobs were not completed", "pgq-admin job retry")
	s.admin("job wait 1 8 --timeout 50ms --interval 10ms").want(t, 7, "1 of 2 jobs have not ended within 50ms", "pgq-admin job explain 8", "completed")
	s.admin("job wait 8 --timeout 50ms -o json").want(t, 7, `"items": []`, `"reason":"timeout"`)
	s.admin("job wait 1 99").want(t, 3, "there is no job 99")
	s.admin("job wait").want(t, 2, "needs the ids")
	s.admin("job wait x").want(t, 2)
	w := begin(t, "job", "wait", "4", "5", "--interval", "10ms", "-o", "jsonl", "--url", s.url)
	s.sql("select complete(1, '{4}', '{1}'); select cancel('{5}', 'no need')")
	out := w.until(t, `{"id":5,"kind":"mail","state":"cancelled","error":"no need"}`)
	if err := w.cmd.Wait(); err == nil || w.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out, `{"id":4,"kind":"mail","state":"completed","error":null}`) {
		t.Errorf("%v in\n%s", err, out)
	}
}

func TestJobLogsFollowUntilTheJobHasEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(everyday)
	o := s.admin("job logs 4")
	o.want(t, 0, `1 INFO  began  {"step": 1}`, "1 ERROR odd [31m\n")
	o.hides(t, "\x1b")
	s.admin("job logs 1").want(t, 0, "job 1 has logged nothing")
	s.admin("job logs 99").want(t, 3)
	s.admin("job logs 4 --attempt 2 -o jsonl").want(t, 0)
	w := begin(t, "job", "logs", "4", "-f", "--interval", "10ms", "-o", "jsonl", "--url", s.url)
	w.until(t, `"message":"odd\u001b[31m"`)
	s.sql(`insert into logs (job_id, attempt, at, level, message, attrs) values (4, 1, now(), 'INFO', 'later', null); select complete(1, '{4}', '{1}')`)
	w.until(t, `"message":"later","attrs":null`)
	if err := w.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestEventTailShowsTheLatestAndFollows(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("event tail").want(t, 0, "no events")
	s.sql(everyday)
	o := s.admin("event tail")
	o.want(t, 0, "retried job 7 report in default attempt 1 worker 1", "failed job 6 report", "paused in slow", "moving 'house'")
	o.hides(t, "\x1b")
	if out := s.admin("event tail --limit 1").stdout; strings.Count(out, "\n") != 1 || !strings.Contains(out, "paused") {
		t.Errorf("the last one is %q", out)
	}
	s.admin("event tail --type failed --kind report --queue default --job 6 -o jsonl").want(t, 0, `"job_id":6,"queue":"default","kind":"report"`)
	s.admin("event tail --queue nothing").want(t, 0, "no events")
	s.admin("event tail --job 0").want(t, 2, "--job must be the id of a job")
	s.admin("event tail --limit 10001").want(t, 2, "--limit must be")
	s.admin("event tail -f -o json").want(t, 2, "is one document")
	w := begin(t, "event", "tail", "-f", "--queue", "mail", "-o", "jsonl", "--url", s.url, "--limit", "1")
	conn, begun := connect(t, s.url), time.Now()
	subscribers := func() string { return query(t, conn, "select count(*)::text from pgq.subscribers") }
	for subscribers() != "1" {
		if time.Since(begun) > patience {
			t.Fatal("nobody has subscribed")
		}
	}
	s.sql("select enqueue('other'), enqueue('mail', queue => 'mail')")
	out := w.until(t, `"queue":"mail"`)
	if strings.Contains(out, "other") || !strings.Contains(out, `"type":"enqueued"`) {
		t.Errorf("events are\n%s", out)
	}
	if code := w.interrupt(t, syscall.SIGINT); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if n := subscribers(); n != "0" {
		t.Errorf("%s subscribers are left", n)
	}
}

func TestEventWaitWaitsForWhatIsToCome(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(everyday)
	s.admin("event wait --job 6 --type failed -o jsonl").want(t, 0, `"type":"failed","job_id":6`)
	s.admin("event wait --after 1 --type paused --timeout 30s").want(t, 0, "paused")
	s.admin("event wait --type resumed --timeout 100ms").want(t, 7, "no such event within 100ms")
	s.admin("event wait --type fialed").want(t, 2, "did you mean failed?")
	s.admin("event wait --timeout -1s").want(t, 2, "--timeout must be a duration")
	for _, line := range []string{"event wait", "job wait 1", "dag watch a/b"} {
		s.admin(line+" --timeout 0").want(t, 2, "--timeout must be more than 0, not 0s; without it there is no limit")
	}
	s.admin("event wait --after -1").want(t, 2, "--after must be the id of an event")
	s.admin("event wait --job 0").want(t, 2, "--job must be the id of a job")
	s.admin("event tail --type xyzzy").want(t, 2, "choose from enqueued, claimed")
	s.admin("event types").want(t, 0, "retried", "an attempt failed, the job is tried again")
}

func TestConsumersAreShownAndSteered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("consumer list").want(t, 0, "no consumers")
	s.sql(everyday)
	s.admin("consumer set audit --type failed,paused --keep 24h --start-at beginning").want(t, 0, "audit", "behind")
	s.admin("consumer list -o jsonl").want(t, 0, `"name":"audit","state":"behind"`, `"types":["failed","paused"]`, `"keep":86400`)
	o := s.admin("consumer read audit --limit 1 -o jsonl")
	o.want(t, 0, `"type":"failed"`)
	s.admin("consumer read audit").want(t, 0, "paused")
	s.admin("consumer read audit").want(t, 0, "no events")
	s.admin("consumer show audit").want(t, 0, "idle")
	s.admin("consumer reset audit --to 99999999").want(t, 2, "start_at must be the id of an event that was written; the newest is ")
	s.admin("consumer reset audit --to beginning").want(t, 0, "behind")
	s.admin("consumer reset audit --to soon").want(t, 2, "start_at must be now, beginning or the id of an event")
	s.admin("consumer reset audit").want(t, 2, "--to must be given")
	s.admin("consumer set audit --type fialed").want(t, 2, "did you mean failed?")
	s.admin("consumer set audit --keep -1s").want(t, 2, "keep must be 0 to 10 years")
	s.admin("consumer set audit --start-at soon").want(t, 2, "start_at must be now")
	s.admin("consumer read audit --limit 0").want(t, 2, "--limit must be 1 to")
	for _, verb := range []string{"show", "read", "reset --to now", "delete --yes"} {
		s.admin("consumer "+verb+" nobody").want(t, 3, "no consumer", "pgq-admin consumer list")
	}
	s.admin("consumer delete audit").want(t, 2, "nothing was changed", "--yes")
	s.admin("consumer delete audit --dry-run").want(t, 0, "dry run")
	s.admin("consumer delete audit --yes").want(t, 0, "deleted consumer audit")
	s.admin("consumer show audit").want(t, 3, "there is no consumer")
}

func TestShellsCompleteIdsAndNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(everyday)
	for words, want := range map[string]string{
		"job show":           "8\tlater scheduled\n7\treport scheduled\n6\treport failed",
		"job wait 1":         "8\tlater scheduled\n",
		"job list --queue":   "default\nmail\nslow\n",
		"job list --kind":    "later\nmail\nreport\n",
		"queue show":         "default\nmail\nslow\n",
		"worker show":        "1\tweb-1/42 alive\n2\tweb-2/7 silent\n3\tgone dead\n",
		"event tail --queue": "default\nmail\nslow\n",
		"stats --by":         "kind\nqueue\n",
		"job list --state":   "waiting\nscheduled\n",
		"job show 1":         ":4\n",
	} {
		o := s.admin("__complete "+words, "")
		if o.code != 0 || !strings.HasPrefix(o.stdout, want) {
			t.Errorf("%s: %d %q, want %q", words, o.code, o.stdout, want)
		}
	}
	for _, url := range []string{"", "postgres://postgres@127.0.0.1:1/none"} {
		o := call{args: []string{"__complete", "job", "show", ""}, env: []string{"PGQ_DATABASE_URL=" + url}}.run(t)
		if o.code != 0 || o.stdout != ":4\n" {
			t.Errorf("%q: %+v", url, o)
		}
	}
}
