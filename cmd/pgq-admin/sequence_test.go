package main_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestWrongUseOfSequenceSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"sequence", "lst"}, 2, "did you mean list?"},
		{[]string{"sequence", "list", "--limit", "0"}, 2, "--limit must be 1 to 10000"},
		{[]string{"sequence", "list", "--state", "stuck"}, 2, "state must be active, stopped, skipping or handing over"},
		{[]string{"sequence", "list", "--columns", "id"}, 2, `choose from key, state`},
		{[]string{"sequence", "show"}, 2, "needs KEY"},
		{[]string{"sequence", "show", "it's % \u202e"}, 3, "there is no sequence"},
		{[]string{"sequence", "show", "k", "--limit", "0"}, 2, "--limit must be 1 to 10000"},
		{[]string{"sequence", "resume", "'; drop table jobs"}, 3, "with unfinished jobs\n  fix: pgq-admin sequence list"},
		{[]string{"enqueue", "a", "--sequence", ""}, 2, "sequence must have 1 to 500 characters"},
		{[]string{"enqueue", "a", "--sequence", strings.Repeat("k", 501)}, 2, "sequence must have 1 to 500 characters"},
		{[]string{"enqueue", "a", "--on-failure", "stop"}, 2, "on_failure must not be given without a sequence"},
		{[]string{"enqueue", "a", "--sequence", "k", "--on-failure", "halt"}, 2, "on_failure must be stop, skip or continue"},
	} {
		o := s.admin(c.args[0], c.args[1:]...)
		o.want(t, c.code, "pgq-admin: ", c.text)
		if o.stdout != "" {
			t.Errorf("%s: stdout is %q", c.args, o.stdout)
		}
	}
	s.admin("job list").want(t, 0, "no jobs")
}

func TestASequencesLifeFromTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("sequence list").want(t, 0, "no sequences")
	for range 3 {
		s.admin("enqueue act", "--sequence", "order/7", "-o", "name").want(t, 0)
	}
	s.admin("sequence list", "-o", "csv", "--columns", "key,state,waiting,job_id,job_state").want(t, 0, "order/7,active,2,1,ready\n")
	s.admin("sequence resume", "order/7").want(t, 0, "sequence order/7 is active: nothing was changed")
	s.sql(`select register_worker('w', '{default}', '{act}'); select from claim(1, '{default}', '{9}');
		select from fail(1, '{1}', '{1}', '{out of paper}', null, '{f}')`)
	s.admin("sequence list", "--state", "stopped").want(t, 0, "order/7", "stopped", "out of paper")
	s.admin("job explain", "2").want(t, 0, `one job of its sequence "order/7" has to end before it`, "job 1 failed at", "(out of paper): retry it, or let the sequence go on without it")
	var shown struct {
		Sequence struct {
			State string
			JobID int `json:"job_id"`
		}
		Jobs []struct {
			ID       int
			State    string
			Sequence string
		}
	}
	o := s.admin("sequence show", "order/7", "-o", "json")
	if err := json.Unmarshal([]byte(o.stdout), &shown); err != nil || shown.Sequence.State != "stopped" || shown.Sequence.JobID != 1 ||
		len(shown.Jobs) != 3 || shown.Jobs[0].State != "failed" || shown.Jobs[2].ID != 3 || shown.Jobs[1].Sequence != "order/7" {
		t.Errorf("%v in\n%s", err, o.stdout)
	}
	s.admin("sequence show", "order/7").want(t, 0, "stopped", "failed", "waiting")
	s.admin("sequence resume", "order/7").want(t, 0, "sequence order/7 goes on with job 2")
	s.admin("job show", "2").want(t, 0, "sequence   order/7")
	s.admin("job cancel", "2").want(t, 0)
	s.admin("job delete", "3", "--yes").want(t, 0)
	s.admin("sequence list").want(t, 0, "no sequences")
}
