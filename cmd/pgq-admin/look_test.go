package main_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5"
)

// admin runs the program with arguments that are separated by spaces, and more.
func (s *site) admin(words string, more ...string) outcome {
	s.t.Helper()
	return s.adminCall(words, more...).run(s.t)
}

func (s *site) adminCall(words string, more ...string) call {
	return call{args: append(strings.Fields(words), more...), env: []string{"PGQ_DATABASE_URL=" + s.url}}
}

// sql executes statements in the schema.
func (s *site) sql(statements string) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), "set search_path = pgq; "+statements+"; reset search_path", pgx.QueryExecModeSimpleProtocol); err != nil {
		s.t.Fatal(err)
	}
}

// everyday is a database with jobs in most states: 1 to 3 of kind mail are completed, 4 runs, 5 is ready, 6 has failed with two
// lines, 7 will be tried again, 8 is scheduled in a queue that is paused. Worker 1 is alive, 2 silent and 3 lost.
const everyday = `select register_worker('web-1/42', '{default,mail}', '{mail,report}'), register_worker('web-2/7', '{mail}', '{mail}'), register_worker('gone', '{}', '{}');
	update workers set heartbeat_at = now() - interval '40 s' where id = 2; update workers set dead_at = now() where id = 3;
	select enqueue('mail', '{"n": 12345678901234567890123.4500, "order": {"id": 9007199254740993}}', queue => 'mail', tags => '{x,y}') from generate_series(1, 5);
	select enqueue('report', '{"a": [1, {"b": null}]}', max_attempts => 1), enqueue('report', max_attempts => 3);
	select enqueue('later', queue => 'slow', delay => '1 h');
	select count(*) from claim(1, '{mail,default}', '{4,2}');
	select complete(1, '{1,2,3}', '{1,1,1}', array['{"ok": 1e2}', null, null]::jsonb[]);
	select report_progress(1, 4, 1, 3, 10);
	select fail(1, '{6,7}', '{1,1}', array[E'boom\n  at\x1b[2J line 2', 'again'], array['1 h', '1 h']::interval[], details => array['{"stack": "goroutine 1\n\tmain.go:12"}', null]::jsonb[]);
	insert into logs (job_id, attempt, at, level, message, attrs) values (4, 1, now(), 'INFO', 'began', '{"step": 1}'), (4, 1, now(), 'ERROR', E'odd\x1b[31m', '{}');
	select pause_queue('slow', 'moving ''house''')`

func TestStatusShowsEverythingOnOneScreen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("status").want(t, 0, "Queues    0", "0 alive", "NOTIFY queue 0 % full")
	s.sql(everyday)
	s.admin("status").want(t, 0, "Queues    3, 1 paused", "depth 3, 1 running", "1 failed in 5 min", "1 alive, 1 silent, 1 lost", "never (late)", "web-2/7", "QUEUE", "OLDEST")
	s.sql("select do_chores()")
	s.admin("status").hides(t, "late")
	var status struct {
		At       string
		Queues   []map[string]any
		Workers  []map[string]any
		Chores   []map[string]any
		Database map[string]any
	}
	for _, format := range []string{"json", "jsonl"} {
		if err := json.Unmarshal([]byte(s.admin("status -o "+format).stdout), &status); err != nil {
			t.Fatal(err)
		}
		if len(status.Queues) != 3 || len(status.Workers) != 1 || len(status.Chores) != 4 || status.Database["bytes"] == nil || status.At == "" {
			t.Errorf("%s: %+v", format, status)
		}
	}
	if q := status.Queues[1]; q["queue"] != "mail" || q["depth"] != 1.0 || q["running"] != 1.0 || q["failed"] != 0.0 || q["oldest"] == nil {
		t.Errorf("queue is %+v", q)
	}
	if err := yaml.Unmarshal([]byte(s.admin("status -o yaml").stdout), &status); err != nil {
		t.Error(err)
	}
	if got := s.admin("status -o name --sort -queue").stdout; got != "slow\nmail\ndefault\n" {
		t.Errorf("names are %q", got)
	}
	s.admin("status --columns queue,nothing").want(t, 2, "there is no column")
	s.admin("status --interval 1ms").want(t, 2, "at least 10ms")
}

func TestStatusWatchGoesOnUntilCtrlC(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	w := begin(t, "status", "--watch", "--interval", "10ms", "-o", "jsonl", "--url", s.url)
	w.until(t, `"queues":[]`)
	s.sql("select enqueue('a', queue => 'new')")
	w.until(t, `"queue":"new"`)
	if code := w.interrupt(t, syscall.SIGINT); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	c := s.adminCall("status --watch --interval 10ms")
	c.env = append(c.env, "TERM=xterm", "NO_COLOR=1")
	con, end := onConsole(t, c, 8, 50)
	con.until(t, "A\r\x1b[J")
	s.sql("select enqueue('a', queue => 'queue' || g) from generate_series(1, 20) g")
	con.until(t, "more lines")
	if _, err := con.tty.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if code := end(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	for _, line := range strings.Split(regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]|\r`).ReplaceAllString(con.text(), ""), "\n") {
		if len([]rune(line)) > 50 && !strings.Contains(line, "interrupted") {
			t.Errorf("%q is too long", line)
		}
	}
}

func TestQueueListAndShow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("queue list").want(t, 0, "no queues")
	s.sql(everyday)
	o := s.admin("queue list -o wide")
	o.want(t, 0, "moving 'house'", "MAX DEPTH")
	if got := tidy(s.admin("queue ls -o csv --columns queue,depth,running,workers --sort -depth").stdout); got != "queue,depth,running,workers default,1,0,1 mail,1,1,1 slow,1,0,0" {
		t.Errorf("csv is %s", got)
	}
	for args, want := range map[string]string{
		"queue list --columns queue --limit 2":           "QUEUE default mail next page: --after mail",
		"worker list --columns id --limit 1":             "ID 1 next page: --after 1",
		"queue list -o name --limit 2":                   "default mail",
		"queue list -o name --limit 2 --after mail":      "slow",
		"queue list -o name --limit 1 --after default":   "mail",
		"queue list -o json --limit 1 --columns queue":   `{ "items": [ { "queue": "default" } ], "next": "default" }`,
		"worker list -o name --limit 1":                  "1",
		"worker list -o name --limit 1 --after 1":        "2",
		"worker list -o name --limit 2 --after 1 --dead": "2 3",
		"worker list -o json --limit 1 --columns id":     `{ "items": [ { "id": 1 } ], "next": 1 }`,
	} {
		o := s.admin(args)
		if got := tidy(o.stdout + o.stderr); got != want {
			t.Errorf("%s prints %s, want %s", args, got, want)
		}
	}
	s.admin("queue list --limit 0").want(t, 2, "--limit must be 1 to 10000, not 0")
	s.admin("queue show slow").want(t, 0, "Queue slow", "paused since", "moving 'house'", "scheduled  1", "keep_failed     30d0h", "events          changes")
	var card struct {
		Queue    map[string]any
		Jobs     map[string]int
		Settings map[string]any
	}
	if err := json.Unmarshal([]byte(s.admin("queue show mail -o json").stdout), &card); err != nil {
		t.Fatal(err)
	}
	if card.Queue["queue"] != "mail" || fmt.Sprint(card.Jobs) != "map[completed:3 ready:1 running:1]" || card.Settings["max_attempts"] != 25.0 || card.Settings["timeout"] != nil ||
		card.Settings["keep_completed"] != 86400.0 {
		t.Errorf("card is %+v", card)
	}
	s.admin("queue show", "no such'; queue").want(t, 3, "there is no queue", "queue list")
	s.admin("queue show no -o json").want(t, 3, `"reason":"not_found"`)
	s.admin("queue show").want(t, 2, "needs QUEUE")
	odd := "a%\"\u202e'; drop"
	if _, err := s.pool.Exec(t.Context(), "select pgq.enqueue('k', queue => $1)", odd); err != nil {
		t.Fatal(err)
	}
	o = s.admin("queue show", odd)
	o.want(t, 0, "Queue a%\"\ufffd'; drop")
	o.hides(t, "\u202e")
	s.admin("queue list").hides(t, "\u202e")
}

func TestWorkerListAndShow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("worker list").want(t, 0, "no workers")
	s.sql(everyday)
	if got := tidy(s.admin("worker list -o csv --columns id,name,state,running").stdout); got != "id,name,state,running 1,web-1/42,alive,1 2,web-2/7,silent,0" {
		t.Errorf("csv is %s", got)
	}
	s.admin("worker list --dead").want(t, 0, "gone", "dead")
	s.admin("worker show 1").want(t, 0, "Worker 1 web-1/42: alive", "queues     default, mail", "1 job", "30 %", "mail")
	s.admin("worker show 1 -o name").want(t, 0, "4\n")
	var card struct {
		Worker  map[string]any
		Running []map[string]any
	}
	if err := json.Unmarshal([]byte(s.admin("worker show 1 -o json").stdout), &card); err != nil || card.Worker["state"] != "alive" || len(card.Running) != 1 || card.Running[0]["progress"] != 0.3 {
		t.Errorf("card is %+v (%v)", card, err)
	}
	s.admin("worker show 3").want(t, 0, "dead since")
	s.admin("worker show 9").want(t, 3, "there is no worker 9")
	s.admin("worker show web-1").want(t, 2, "named by its id")
}

func TestStatsShowPercentilesPerKindOrQueue(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("stats").want(t, 0, "no jobs ended in the last 1h0m")
	s.sql(everyday + `; update results set claimed_at = finished_at - interval '2 s'; update jobs set created_at = now() - interval '1 min'`)
	s.admin("stats").want(t, 0, "4 jobs ended in the last 1h0m", "RUN P95", "2.0s", "█")
	records, err := csv.NewReader(strings.NewReader(s.admin("stats --since 10m --by queue -o csv --columns name,jobs,failed,run_p50,exact").stdout)).ReadAll()
	if want := "[[name jobs failed run_p50 exact] [mail 3 0 2 true] [default 1 1 2 true]]"; fmt.Sprint(records) != want || err != nil {
		t.Errorf("%v, want %s (%v)", records, want, err)
	}
	var page struct {
		Items []struct {
			Name   string
			Jobs   int
			Share  float64
			Series []int
			Exact  bool
		}
	}
	if err := json.Unmarshal([]byte(s.admin("stats -o json").stdout), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 2 || page.Items[0].Name != "mail" || page.Items[0].Share != 0.75 || len(page.Items[0].Series) != 20 || page.Items[0].Series[19] != 3 {
		t.Errorf("items are %+v", page.Items)
	}
	s.admin("stats --limit 2").want(t, 0, "more than 2 jobs ended", "--limit looks at more", "~1")
	for words, text := range map[string]string{
		"--by colour": "--by must be kind or queue", "--since yesterday": "--since must be a duration", "--since 0s": "--since must be a duration", "--since 101y": "--since must be a duration",
		"--limit 0": "--limit must be", "--sort nothing": "there is no column",
	} {
		s.admin("stats "+words).want(t, 2, text)
	}
}

func TestTopNeedsATerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("top").want(t, 2, "top needs a terminal", "pgq-admin status")
}

// Sequences with which top takes the terminal and gives it back.
const (
	takes = "\x1b[?1049h\x1b[?25l"
	gives = "\x1b[?25h\x1b[?1049l"
)

func TestTopLooksAgainAndGivesTheTerminalBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(everyday)
	for name, end := range map[string]struct {
		key    string
		signal syscall.Signal
		code   int
	}{
		"q":       {key: "q", code: 0},
		"Ctrl-C":  {key: "\x03", code: 130},
		"SIGTERM": {signal: syscall.SIGTERM, code: 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.adminCall("top --interval 100ms")
			c.env = append(c.env, "TERM=xterm", "NO_COLOR=1")
			con, wait := onConsole(t, c, 30, 100)
			con.until(t, takes)
			con.until(t, "web-1/42")
			con.until(t, "s order: name")
			press(t, con, "s")
			con.until(t, "s order: depth")
			press(t, con, "p")
			con.until(t, "paused, p goes on")
			press(t, con, "p")
			if err := pty.Setsize(con.tty, &pty.Winsize{Rows: 12, Cols: 40}); err != nil {
				t.Fatal(err)
			}
			con.until(t, "… and ")
			if end.signal != 0 {
				if err := con.process.Signal(end.signal); err != nil {
					t.Fatal(err)
				}
			} else {
				press(t, con, end.key)
			}
			if code := wait(); code != end.code {
				t.Errorf("exit code %d, want %d", code, end.code)
			}
			if out := con.text(); strings.Count(out, takes) != 1 || strings.Count(out, gives) != 1 || strings.LastIndex(out, gives) < strings.LastIndex(out, "QUEUE") {
				t.Errorf("the terminal is not given back:\n%q", out)
			}
		})
	}
}

func press(t *testing.T, con *console, keys string) {
	t.Helper()
	if _, err := con.tty.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}
