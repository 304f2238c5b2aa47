package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// count returns the only number of a query.
func (s *site) count(sql string) (n int) {
	s.t.Helper()
	if err := s.pool.QueryRow(s.t.Context(), sql).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// fill enqueues jobs of a kind in a queue.
func (s *site) fill(n int, queue, kind string) {
	s.t.Helper()
	s.sql(fmt.Sprintf(`select count(*) from enqueue_many((select jsonb_agg(jsonb_build_object('kind', '%s', 'queue', '%s', 'max_attempts', 1)) from generate_series(1, %d)))`, kind, queue, n))
}

// failing lets all jobs of a queue fail, with these errors in turns; % stands for the id.
func (s *site) failing(queue string, errors ...string) {
	s.t.Helper()
	s.sql(fmt.Sprintf(`select register_worker('w', '{%[1]s}', '{}'); select count(*) from claim((select max(id) from workers), '{%[1]s}', '{10000}')`, queue))
	_, err := s.pool.Exec(s.t.Context(), `select pgq.fail(max(worker_id), array_agg(job_id), array_agg(attempt), array_agg(replace(($1::text[])[1 + job_id % cardinality($1::text[])], '%', job_id::text)))
		from pgq.running where queue = $2`, errors, queue)
	if err != nil {
		s.t.Fatal(err)
	}
}

// healthy fails the test unless all invariants hold.
func (s *site) healthy() {
	s.t.Helper()
	s.admin("check").want(s.t, 0)
}

func TestWrongUseOfTheVerbsSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(3, "mail", "send")
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"job cancel", 2, "which jobs? give ids, or flags"},
		{"job cancel 1 --queue mail", 2, "either ids or flags"},
		{"job cancel one", 2, `named by its id, not "one"`},
		{"job cancel 99999999999999999999", 2, "named by its id"},
		{"job cancel --queue=", 2, "--queue must not be empty"},
		{"job cancel --state gone", 2, `no state "gone"`},
		{"job cancel --since soon", 2, "--since must be a time"},
		{"job cancel --since 99999999w", 2, "--since must be a time"},
		{"job cancel --arg to", 2, "--arg takes PATH=VALUE"},
		{"job cancel --arg to:=ann", 2, "is no JSON"},
		{"job cancel --arg a..b=1", 2, "--arg takes PATH=VALUE"},
		{"job cancel --arg a[x]=1", 2, "--arg takes PATH=VALUE"},
		{"job cancel --metadata m", 2, "--metadata takes KEY=TEXT"},
		{"job cancel --queue mail --limit -1", 2, "--limit must be at least 0"},
		{"job cancel --queue mail --batch 0", 2, "--batch must be 1 to 10000"},
		{"job cancel --queue mail --after -1", 2, "--after must be an id"},
		{"job cancel --queue mail --columns job", 2, `choose from outcome, jobs`},
		{"job cancel --queue mail", 2, "this would cancel 3 jobs; nothing was changed\n  fix: say --yes"},
		{"job delete 1", 2, "this would delete 1 job; nothing was changed"},
		{"job move", 2, "needs QUEUE"},
		{"job move other", 2, "which jobs?"},
		{"job move other --queue mail", 2, "this would move 3 jobs to queue other; nothing was changed"},
		{"job move * 1", 2, `queue must not be "*"`},
		{"job set-priority 10 1", 2, `must be 0 to 9, not "10"`},
		{"job reschedule 1", 2, "--at must say when"},
		{"job reschedule 1 --at yesterday", 2, "--at must be a time"},
		{"job retry 1 --rate 0", 2, "--rate must be"},
		{"job retry 1 --rate NaN", 2, "--rate must be"},
		{"job retry 1 --start-at 5m", 2, "--start-at needs --rate"},
		{"job cancel 4711", 3, "there is no such job"},
		{"job retry 4711 -o json", 3, `"reason":"not_found"`},
		{"job cancel --queue mail --state ready,failed", 2, "--state: cancel cannot do anything with jobs that are failed; with waiting, scheduled, ready, running it can"},
		{"job retry --queue mail --state ready", 2, "--state: retry cannot do anything with jobs that are ready"},
		{"job move other --state completed", 2, "--state: move cannot do anything with jobs that are completed"},
		{"job delete --state running", 2, "--state: delete cannot do anything with jobs that are running"},
		{"job retry --queue mail", 0, "no job fits; nothing was changed"},
		{"job delete --queue mail", 0, "no job fits; nothing was changed"},
		{"job cancel --queue none", 0, "no job fits; nothing was changed"},
		{"queue purge mail --state running", 2, "pgq-admin job cancel --queue mail --state running"},
		{"queue purge mail", 2, "this would delete 3 jobs; nothing was changed"},
		{"queue set mail", 2, "needs QUEUE and NAME=VALUE"},
		{"queue set mail max_dept=1", 2, "did you mean max_depth?"},
		{"queue set mail max_depth=many", 2, "must be a whole number"},
		{"queue set mail max_depth=0", 2, "max_depth must be at least 1"},
		{"queue set mail keep_failed=soon", 2, "must be a duration"},
		{"queue set mail backoff={", 2, "must be JSON"},
		{"queue set mail events=loud", 2, "events must be none, changes or all"},
		{"queue set mail age_every=0s", 2, "age_every must be 1 millisecond to 1 year"},
		{"queue set mail age_every=often", 2, "must be a duration"},
		{"queue resume nowhere", 3, "no queue"},
		{"queue pause *", 2, "queue must"},
		{"queue drain mail --reason x", 2, "--reason and --actor need --pause"},
		{"queue drain mail --timeout soon", 2, "--timeout"},
		{"failures redrive", 2, "which failures?"},
		{"failures redrive --state completed", 2, "dead letters are in state failed"},
		{"failures show nothing", 3, `no job failed with fingerprint "nothing"`},
		{"failures list --look-at 0", 2, "--look-at must be"},
	} {
		o := s.admin(c.args)
		o.want(t, c.code, c.text)
		if o.stdout != "" && c.code != 0 && !strings.Contains(o.stdout, "not_found") {
			t.Errorf("%s: stdout is %q", c.args, o.stdout)
		}
	}
	if n := s.count("select count(*) from pgq.ready"); n != 1 || s.count("select count(*) from pgq.events") != 0 {
		t.Error("something was changed")
	}
}

func TestVerbsTellWhatBecameOfEachJob(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(6, "mail", "send")
	s.admin("job cancel 1 2 2 --reason why --actor ann").want(t, 0, "1   cancelled", "2   cancelled")
	s.admin("job cancel 2 3 99 -o csv").want(t, 5, "id,outcome\n2,finished\n3,cancelled\n99,not_found\n", "2 of 3 jobs were left as they are: 1 finished, 1 not found")
	s.admin("job cancel 2 3").want(t, 6, "cannot cancel: 2 finished; nothing was changed")
	s.admin("job retry 1 -o name").want(t, 0, "1\n")
	s.admin("job retry 2 4 --dry-run").want(t, 0, "2   ready", "4   unchanged", "dry run: nothing was changed")
	s.admin("job move bulk 1 4").want(t, 0, "1   moved", "4   moved")
	s.admin("job set-priority 0 4").want(t, 0, "4   changed")
	s.admin("job reschedule 5 --at 2h").want(t, 0, "5   scheduled")
	s.admin("job delete 6 --yes -o json").want(t, 0, `"outcome": "deleted"`)
	want := "1 bulk ready 5, 2 mail cancelled 5, 3 mail cancelled 5, 4 bulk ready 0, 5 mail scheduled 5"
	if got := query(t, connect(t, s.url), "select string_agg(format('%s %s %s %s', id, queue, state, priority), ', ' order by id) from pgq.job_states"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var event struct {
		By, Reason, Verb string
		Filter           map[string]any
		Outcomes         map[string]int
	}
	if err := json.Unmarshal([]byte(query(t, connect(t, s.url), "select data::text from pgq.events where type = 'operated' order by id limit 1")), &event); err != nil {
		t.Fatal(err)
	}
	if event.By != "ann" || event.Reason != "why" || event.Verb != "cancel" || event.Outcomes["cancelled"] != 2 || event.Filter["ids"] == nil {
		t.Errorf("the event says %+v", event)
	}
	s.healthy()
}

func TestBulkVerbsGoInBatchesUpToTheLimitAndOnBehindIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(10, "mail", "send")
	s.fill(3, "mail", "other")
	s.admin("job cancel --queue mail --kind send --dry-run").want(t, 0, "cancelled  10", "dry run")
	s.admin("job cancel --queue mail --kind send --yes --limit 4 --batch 3 -o json").want(t, 0, `"jobs": 4`, `"next": 4`)
	s.admin("job cancel --queue mail --kind send --yes --after 4 --batch 2").want(t, 0, "cancelled  6")
	if n := s.count("select count(*) from pgq.events where type = 'operated'"); n != 2+3 {
		t.Errorf("%d batches told of themselves", n)
	}
	s.admin("job list --state cancelled -o name --limit 3").want(t, 0, "10\n9\n8\n")
	s.admin("job retry --state cancelled --rate 2 --start-at 2100-01-01 --yes --batch 4 --limit 6 -o json").want(t, 0, `"ready"`)
	if got := query(t, connect(t, s.url), "select string_agg(extract(epoch from run_at - '2100-01-01 00:00+00')::numeric(9,1)::text, ' ' order by job_id) from pgq.scheduled"); got != "0.0 0.5 1.0 1.5 2.0 2.5" {
		t.Errorf("scheduled at %s", got)
	}
	s.healthy()
}

func TestTheDefaultLimitIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(10_001, "mail", "send")
	s.admin("job delete --queue mail --yes").want(t, 0, "no job fits; nothing was changed") // of those that have ended
	s.admin("job delete --queue mail --state ready --yes --batch 10000").want(t, 5, "deleted  10000", "stopped after 10000 jobs, the default of --limit", "--after 10000 goes on; --limit 0")
	s.admin("job delete --queue mail --state ready --yes --limit 1").want(t, 0, "deleted  1").hides(t, "stopped")
}

func TestFiltersOfTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(`select enqueue('a', '{"customer": {"id": 9007199254740993}, "items": [{"sku": "x"}], "a.b": "7", "ok": true}', tags => '{x,y}', metadata => '{"team": "blue", "n": 1}');
		select enqueue('a', '{"customer": {"id": 9007199254740992}, "items": [{"sku": "y"}], "a.b": 7}', tags => '{x}');
		select enqueue('a "quoted", kind', queue => 'q,with %s'); update jobs set created_at = now() - interval '8 days' where id = 3`)
	for filter, want := range map[string]string{
		"--arg|customer.id=9007199254740993":         "1",
		"--arg|customer.id:=9007199254740992":        "2",
		"--arg|customer.id:=9007199254740992.0":      "2",
		"--arg|customer.id:=\"9007199254740992\"":    "",
		"--arg|items[0].sku=x":                       "1",
		"--arg|\"a.b\"=7":                            "2 1",
		"--arg|\"a.b\":=7":                           "2",
		"--arg|ok=true":                              "1",
		"--arg|ok=true|--arg|\"a.b\"=7":              "1",
		"--arg|customer:={\"id\": 9007199254740993}": "1",
		"--tag|x":                              "2 1",
		"--tag|x|--tag|y":                      "1",
		"--metadata|team=blue|--metadata|n:=1": "1",
		"--metadata|n=1":                       "",
		"--until|7d":                           "3",
		"--since|1w":                           "2 1",
		"--since|2001-01-01|--until|2001-01-02 10:00":            "",
		"--queue|q,with %s|--kind|a \"quoted\", kind":            "3",
		"--queue|default|--queue|q,with %s|--state|ready,failed": "3 2 1",
		"--worker|7":      "",
		"--error|nothing": "",
	} {
		o := s.admin("job list -o name", strings.Split(filter, "|")...)
		o.want(t, 0)
		if got := strings.Join(strings.Fields(o.stdout), " "); got != want {
			t.Errorf("%s: got %q, want %q", filter, got, want)
		}
	}
}

func TestABulkThatIsInterruptedSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const n = 4000
	s.fill(n, "mail", "send")
	p := s.adminCall("job cancel --queue mail --yes --batch 5 --limit 0").command(t.Context())
	var stderr bytes.Buffer
	p.Stderr = &stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for s.count("select count(*) from pgq.events where type = 'operated'") < 3 {
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if _ = p.Wait(); p.ProcessState.ExitCode() != 130 {
		t.Errorf("exit code %d, want 130", p.ProcessState.ExitCode())
	}
	after := regexp.MustCompile(`interrupted; (\d+) jobs were done before that\n  fix: the same with --after (\d+) goes on`).FindStringSubmatch(stderr.String())
	if after == nil {
		t.Fatalf("it does not say how to go on:\n%s", stderr.String())
	}
	if done := s.count("select count(*) from pgq.results"); fmt.Sprint(done) != after[1] || done >= n {
		t.Errorf("%d jobs were done, %s are told of", done, after[1])
	}
	s.admin("job cancel --queue mail --yes --limit 0 --after "+after[2]).want(t, 0, "cancelled")
	if done := s.count("select count(*) from pgq.results where state = 'cancelled'"); done != n {
		t.Errorf("%d of %d jobs are cancelled", done, n)
	}
	s.healthy()
}

func TestTwoOperatorsAtOnceDoItOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(900, "mail", "send")
	s.failing("mail", "row % is locked")
	var all sync.WaitGroup
	outcomes := make([]outcome, 3)
	for i := range outcomes {
		all.Go(func() { outcomes[i] = s.admin("failures redrive --queue mail --yes --batch 50 -o csv") })
	}
	all.Wait()
	sum := 0
	for _, o := range outcomes {
		o.want(t, 0)
		var n int
		if _, err := fmt.Sscanf(o.stdout, "outcome,jobs\nready,%d", &n); err == nil {
			sum += n
		} else if o.stdout != "outcome,jobs\n" {
			t.Errorf("got %q", o.stdout)
		}
	}
	if sum != 900 || s.count("select count(*) from pgq.events where type = 'retry_requested'") != 900 {
		t.Errorf("%d jobs were redriven, want 900", sum)
	}
	s.healthy()
}

func TestBulkVerbsAskOnATerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(7, "mail", "send")
	for _, c := range []struct {
		answer string
		code   int
		text   string
	}{{"n", 1, "not confirmed; nothing was changed"}, {"y", 0, "cancelled  7"}} {
		con, end := onConsole(t, s.adminCall("job cancel --queue mail --batch 2"), 40, 120)
		shown := con.until(t, "cancel 7 jobs? [y/N] ")
		if !strings.Contains(shown, "send") || !strings.Contains(shown, "…") {
			t.Errorf("no sample in\n%s", shown)
		}
		if _, err := con.tty.WriteString(c.answer + "\n"); err != nil {
			t.Fatal(err)
		}
		if code := end(); code != c.code || !strings.Contains(con.text(), c.text) {
			t.Errorf("%q: exit code %d, want %d and %q in\n%s", c.answer, code, c.code, c.text, con.text())
		}
	}
}

func TestQueuesArePausedDrainedPurgedAndSet(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(2, "mail", "send")
	s.admin("queue drain mail --timeout 300ms").want(t, 7, "time is out; queue mail still has 0 running, 2 ready")
	s.admin("queue pause mail --reason", "50% off").want(t, 0, "paused mail")
	s.admin("queue drain mail").want(t, 6, "queue mail is paused; it has 0 running, 2 ready", "pgq-admin queue resume mail")
	s.admin("queue drain mail --pause").want(t, 0, "drained mail: 0 running, 2 ready")
	s.admin("queue resume mail").want(t, 0, "resumed mail")
	s.sql("select register_worker('w', '{mail}', '{}'); select count(*) from claim(1, '{mail}', '{1}'); select enqueue('later', queue => 'mail', delay => '1 h')")
	p := begin(t, "queue", "drain", "mail", "--url", s.url)
	s.admin("queue purge mail --yes --state ready --reason test").want(t, 0, "deleted  1")
	s.sql("select complete(1, '{1}', '{1}')")
	p.until(t, "drained mail: 0 running, 0 ready, 0 due, 1 for later, 0 waiting for other jobs")
	s.admin("queue purge mail --yes").want(t, 0, "deleted  2")
	if n := s.count("select count(*) from pgq.jobs"); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
	s.admin("queue set mail max_depth=3 keep_failed=90d timeout=90s events=all age_every=10m", `backoff={"type": "constant", "base": 5}`).want(t, 0, "set max_depth=3")
	q := pgq.New(pgq.Config{})
	got, err := q.QueueSettings(t.Context(), s.pool, "mail")
	if err != nil || *got.MaxDepth != 3 || got.KeepFailed.Hours() != 90*24 || got.Timeout.Seconds() != 90 || *got.Events != pgq.EventsAll || got.AgeEvery.Minutes() != 10 || got.Backoff.Base.Seconds() != 5 {
		t.Errorf("%+v %v", got, err)
	}
	s.admin("queue show mail").want(t, 0, "age_every", "10m")
	s.admin("queue set mail max_depth=default max_attempts=0").want(t, 2, "max_attempts must be at least 1")
	s.admin("queue set mail max_depth=default max_attempts=7").want(t, 0)
	if got, err = q.QueueSettings(t.Context(), s.pool, "mail"); err != nil || got.MaxDepth != nil || *got.MaxAttempts != 7 {
		t.Errorf("%+v %v", got, err)
	}
	s.admin("queue pause", "'; drop table jobs; --").want(t, 0)
	s.admin("queue resume", "'; drop table jobs; --").want(t, 0)
	s.healthy()
}

func TestFailuresAreListedRedrivenAndDiscarded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(8, "mail", "send")
	s.failing("mail", "row % is locked\nat line 5\x1b[2J", "no such \u202euser \"%\"")
	s.fill(1, "other", "report")
	s.failing("other", "row 1 is locked")
	o := s.admin("failures list --queue mail")
	o.want(t, 0, "row 8 is locked at line 5", "FINGERPRINT")
	o.hides(t, "\x1b")
	o.hides(t, "\u202e")
	var list struct {
		Items []struct {
			Fingerprint, Queue, Kind, Error string
			Jobs                            int
		}
	}
	if err := json.Unmarshal([]byte(s.admin("failures list -o json --sort -jobs").stdout), &list); err != nil || len(list.Items) != 3 {
		t.Fatalf("%+v %v", list, err)
	}
	locked, user := "", ""
	for _, item := range list.Items {
		if item.Queue == "mail" && strings.Contains(item.Error, "locked") {
			locked = item.Fingerprint
		} else if item.Queue == "mail" {
			user = item.Fingerprint
		}
		if item.Queue == "mail" && item.Jobs != 4 {
			t.Errorf("%+v", item)
		}
	}
	s.admin("failures show "+locked).want(t, 0, "  row 1 is locked", "mail", "other")
	s.admin("failures show "+locked+" -o name --limit 2").want(t, 0, "9\n8\n")
	s.admin("failures redrive "+locked+" --queue mail --dry-run").want(t, 0, "ready    4", "dry run")
	s.admin("failures redrive "+locked+" --queue mail --yes --rate 0.001 --reason back").want(t, 0, "ready    4")
	if n := s.count("select count(*) from pgq.scheduled where queue = 'mail' and run_at < now() + interval '3001 s'"); n != 4 {
		t.Errorf("%d jobs are scheduled, want 4", n)
	}
	s.admin("failures discard "+user+" --yes --rate 0").want(t, 2, "--rate must be")
	s.admin("failures discard "+user+" --yes --dry-run --rate 0.001").want(t, 0, "deleted  4", "dry run")
	begin := time.Now()
	s.admin("failures discard "+user+" --yes --rate 3").want(t, 0, "deleted  4")
	if took := time.Since(begin); took < time.Second {
		t.Errorf("4 jobs, 3 per second, were discarded in %s", took)
	}
	if n := s.count("select count(*) from pgq.events where type = 'operated' and data ->> 'verb' = 'delete'"); n != 2 {
		t.Errorf("they were discarded in %d batches, want 2", n)
	}
	s.admin("failures list -o name").want(t, 0, locked+"\n")
	s.admin("failures discard --queue other --yes --limit 0").want(t, 0, "deleted  1")
	s.admin("failures list").want(t, 0, "no failures")
	s.healthy()
}
