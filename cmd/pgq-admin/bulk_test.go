package main_test

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestABulkThatIsRepeatedGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(30, "mail", "send")
	for range 3 {
		s.admin("job cancel --queue mail --yes --limit 9").want(t, 0, "cancelled  9", "stopped after 9 jobs, as --limit says; there are more: the same with --after")
	}
	s.admin("job cancel --queue mail --yes --limit 9").want(t, 0, "cancelled  3").hides(t, "stopped")
	s.fill(30, "bulk", "send")
	for _, changed := range []string{"changed  20", "changed    10"} { // the others have that priority by then, which uses up no limit
		s.admin("job set-priority 0 --queue bulk --yes --limit 20").want(t, 0, changed)
	}
	s.admin("job set-priority 0 --queue bulk --yes --limit 20 -o json").want(t, 0, `"outcome": "unchanged"`, `"jobs": 30`, `"next": null`)
	s.healthy()
}

func TestFiltersChooseJobsWithWhichTheVerbCanDoSomething(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(4, "mail", "send")
	s.failing("mail", "broken")
	s.fill(3, "mail", "send")
	s.sql("select count(*) from claim(1, '{mail}', '{1}'); select complete(1, '{5}', '{1}'); select enqueue('send', queue => 'mail', delay => '1 h')")
	for words, want := range map[string]string{
		"job cancel":         "cancelled  3",
		"job retry":          "ready    4",
		"job delete":         "deleted  5",
		"job move other":     "moved    3",
		"job set-priority 0": "changed  3",
		"queue purge mail":   "deleted  8",
	} {
		if !strings.Contains(words, "purge") {
			words += " --queue mail"
		}
		s.admin(words+" --dry-run").want(t, 0, want, "dry run: nothing was changed", "would ")
	}
	s.admin("job retry --queue mail --state completed,scheduled --dry-run").want(t, 0, "ready    2")
	s.admin("job retry 1 2 5").want(t, 2, "this would run again 1 job that completed; nothing was changed", "say --yes", "mail   send")
	s.admin("job retry 1 2").want(t, 0, "1   ready")
	s.admin("job retry 5 --yes").want(t, 0, "5   ready")
	s.healthy()
}

func TestADryRunShowsHowManyAndASample(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(12_000, "mail", "send")
	o := s.admin("job cancel --queue mail --dry-run --batch 10000")
	o.want(t, 5, "would cancel the first 10000 of 12000 jobs", "cancelled  10000", "stopped after 10000 jobs, the default of --limit", "…\n")
	if n := strings.Count(o.stderr, "ready"); n != 5 {
		t.Errorf("%d jobs are shown, want 5:\n%s", n, o.stderr)
	}
	s.admin("job cancel --queue mail --limit 7").want(t, 2, "this would cancel the first 7 of 12000 jobs")
	s.admin("job cancel --queue mail --limit 0").want(t, 2, "this would cancel 12000 jobs")
	o = s.admin("job cancel --queue mail --dry-run --limit 3 -o json")
	o.want(t, 0, `"jobs": 3`, `"next": 3`)
	o.hides(t, "would")
}

func TestASecondInterruptionCancelsTheBatchUnderWay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(500, "mail", "send") // in rows of 100
	held, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Rollback(t.Context()) //nolint:errcheck // its end is all that is wanted
	if _, err := held.Exec(t.Context(), "select from pgq.ready where job_id > 200 for update", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	p := s.adminCall("job cancel --queue mail --yes --batch 100").command(t.Context())
	var stdout bytes.Buffer
	stderr := &lineSignal{want: "another Ctrl-C cancels it", seen: make(chan struct{})}
	p.Stdout, p.Stderr = &stdout, stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for s.count("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%change_jobs%' and datname = current_database()") == 0 {
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-stderr.seen
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	o := outcome{p.ProcessState.ExitCode(), stdout.String(), stderr.text.String()}
	o.want(t, 130, "cancelled  200", "interrupted; the batch under way was rolled back; 200 jobs were done before that\n  fix: the same with --after 200 goes on")
	if n := s.count("select count(*) from pgq.results"); n != 200 {
		t.Errorf("%d jobs are cancelled, want 200", n)
	}
}

// lineSignal is a writer that tells when a text was written.
type lineSignal struct {
	text bytes.Buffer
	want string
	seen chan struct{}
}

func (w *lineSignal) Write(text []byte) (int, error) {
	had := strings.Contains(w.text.String(), w.want)
	n, err := w.text.Write(text)
	if !had && strings.Contains(w.text.String(), w.want) {
		close(w.seen)
	}
	return n, err
}

func TestABulkShowsABarOnATerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(3000, "mail", "send")
	con, end := onConsole(t, s.adminCall("job cancel --queue mail --yes --batch 10"), 40, 120)
	shown := con.until(t, "%")
	if code := end(); code != 0 || !strings.Contains(con.text(), "cancelled  3000") || !strings.Contains(shown, "/3000") {
		t.Errorf("exit code %d\n%s", code, con.text())
	}
	if n := fmt.Sprint(s.count("select count(*) from pgq.results")); n != "3000" {
		t.Errorf("%s jobs are cancelled", n)
	}
}
