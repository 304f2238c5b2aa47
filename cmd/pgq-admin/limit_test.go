package main_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestWrongUseOfLimitSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("limit set kind k --rate 2 --burst 3").want(t, 0)
	long := strings.Repeat("x", 201)
	s.refuses([]refusal{
		{words("limit lst"), 2, "did you mean list?"},
		{words("limit list --scope tenant"), 2, "--scope must be queue, kind or group"},
		{words("limit list --limit 0"), 2, "--limit must be 1 to 10000"},
		{words("limit list --columns id"), 2, `choose from name, scope, state`},
		{words("limit list all"), 2, "takes no arguments"},
		{words("limit show kind"), 2, "needs NAME"},
		{words("limit show tenant a"), 2, `SCOPE must be queue, kind or group, not "tenant"`},
		{words("limit show kind", injection), 3, "nothing limits kind"},
		{words("limit show group", turned), 3, "nothing limits group"},
		{words("limit show group x/*"), 3, "nothing limits group 'x/*'"},
		{words("limit set"), 2, "needs SCOPE"},
		{words("limit set kind k"), 2, "nothing is to be set; give --max-running"},
		{words("limit set tenant k --rate 1"), 2, "SCOPE must be queue, kind or group"},
		{words("limit set kind k --max-running many"), 2, `--max-running must be a whole number or none, not "many"`},
		{words("limit set kind k --max-running 99999999999"), 2, "--max-running must be a whole number or none"},
		{words("limit set kind k --max-running 0"), 2, "max_running must be at least 1"},
		{words("limit set kind k --max-running -1"), 2, "max_running must be at least 1"},
		{words("limit set kind k --rate", ""), 2, "--rate must be a whole number or none"},
		{words("limit set kind k --rate 0"), 2, "rate must be at least 1"},
		{words("limit set kind k --burst 0"), 2, "burst must be at least 1"},
		{words("limit set kind k --period soon"), 2, "--period must be a duration like"},
		{words("limit set kind k --period 0s"), 2, "period must be positive and at most 366 days"},
		{words("limit set kind k --period 400d"), 2, "period must be positive and at most 366 days"},
		{words("limit set kind other --burst 3"), 2, "burst must not be given without a rate"},
		{words("limit set kind k --weight 2"), 2, "weight must not be given but for groups"},
		{words("limit set group g --weight 0"), 2, "weight must be 1 to 1000"},
		{words("limit set group g --weight 1001"), 2, "weight must be 1 to 1000"},
		{words("limit set queue * --rate 1"), 2, "name must name one queue"},
		{words("limit set group --rate 1", ""), 2, "name must have 1 to 200 characters"},
		{words("limit set group --rate 1", long), 2, "name must have 1 to 200 characters"},
		{words("limit set group --rate 1", turned), 2, "name must not have control characters"},
		{words("limit delete kind k"), 2, "this would take the limit of kind k away; nothing was changed"},
		{words("limit delete kind other --yes"), 3, "kind other has no limit of its own"},
		{words("limit pause kind k"), 2, "needs --for DURATION"},
		{words("limit pause kind k --for soon"), 2, "--for must be a duration like"},
		{words("limit pause kind k --for 0s"), 2, "delay must be positive and at most 366 days"},
		{words("limit pause kind k --for 400d"), 2, "delay must be positive and at most 366 days"},
		{words("limit pause group --for 1m g*"), 2, `group must not end in "*"`},
		{words("limit resume kind k"), 3, "kind k is not paused"},
		{words("limit resume kind"), 2, "needs NAME"},
		{words("enqueue k --group", ""), 2, "group must have 1 to 200 characters"},
		{words("enqueue k --group", "a*"), 2, `group must not end in "*"`},
		{words("enqueue k --group", turned), 2, "group must not have control characters"},
		{words("enqueue k --unique-key", ""), 2, "unique.key must be a text of 1 to 450 characters"},
		{words("enqueue --from - --unique-key a"), 2, "--unique-key is for one job"},
		{words("job list --group="), 2, "--group must not be empty"},
	})
	if names := s.admin("limit list -o name").stdout; names != "k\n" {
		t.Errorf("limits are %q", names)
	}
}

func TestALimitsLifeFromTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("limit list").want(t, 0, "no limits")
	s.admin("limit set group customer/* --max-running 1 --dry-run").want(t, 0, "dry run: nothing was changed", "customer/*")
	s.admin("limit list -o name").want(t, 0)
	s.admin("limit set group customer/* --max-running 1").want(t, 0, "customer/*  group")
	s.admin("limit set kind sms --rate 100 --period 1m --burst 20 -o jsonl").want(t, 0, `"rate":100`, `"period":60`, `"burst":20`, `"tokens":20`, `"state":"free"`)
	for range 3 {
		s.admin("enqueue sms --group customer/7").want(t, 0, "added")
	}
	from := s.adminCall("enqueue --from - --group customer/8")
	from.stdin = "{\"kind\": \"sms\"}\n{\"kind\": \"sms\", \"group\": \"customer/9\"}\n"
	from.run(t).want(t, 0, "enqueued 2 jobs")
	s.sql("select pgq.register_worker('w', '{default}', '{sms}'); select count(*) from pgq.claim(1, '{default}', '{9}')")
	s.admin("limit show group customer/7 -o jsonl").want(t, 0, `"state":"full"`, `"running":1`, `"max_running":1`, `"waiting":2`, `"limit_name":"customer/*"`)
	s.admin("limit show group customer/* -o name").want(t, 0, "customer/*\ncustomer/7\ncustomer/8\ncustomer/9\n")
	s.admin("limit list --full --scope group -o csv --columns name,waiting").want(t, 0, "name,waiting\ncustomer/7,2\ncustomer/8,0\ncustomer/9,0\n")
	s.admin("limit list --limit 1").want(t, 0, "next page: --after 'group/customer/*'")
	s.admin("status").want(t, 0, "Limits    3 full, jobs of 1 groups wait for their turn")
	s.admin("job list --group customer/7 --state waiting -o csv --columns id,group").want(t, 0, "id,group\n3,customer/7\n2,customer/7\n")
	s.admin("job show 2").want(t, 0, "group      customer/7", "why        limit: 1 of 1 jobs of group customer/7 that may run at a time are running")
	s.admin("job explain 3").want(t, 0, "limit   ", "turn    ", "1 jobs are ahead of it in group customer/7")

	s.admin("limit pause kind sms --for 10m --reason", "not \x1b[2J now").want(t, 0, "paused")
	s.admin("limit show kind sms -o wide").hides(t, "\x1b")
	s.admin("job explain 2").want(t, 0, "kind sms is paused by")
	var status struct{ Limits map[string]int }
	if err := json.Unmarshal([]byte(s.admin("status -o json").stdout), &status); err != nil || status.Limits["paused"] != 1 || status.Limits["groups_waiting"] != 1 {
		t.Errorf("%v: %v", err, status)
	}
	s.admin("limit resume kind sms").want(t, 0, "resumed kind sms")
	s.admin("limit set kind sms --rate none").want(t, 0, "kind sms has no limit of its own")
	s.admin("limit set group customer/7 --weight 3 --max-running 2").want(t, 0)
	s.admin("limit delete group customer/* --dry-run").want(t, 0, "dry run: nothing was changed")
	s.admin("limit delete group customer/* --yes").want(t, 0, "took the limit of group customer/* away")
	for words, want := range map[string]string{
		"limit show":         "queue\nkind\ngroup\n",
		"limit show queue":   "default\n",
		"limit set kind":     "sms\n",
		"limit pause group":  "customer/7\n",
		"job list --group":   "customer/7\n",
		"limit list --scope": "queue\nkind\ngroup\n",
	} {
		if o := s.admin("__complete "+words, ""); o.code != 0 || !strings.HasPrefix(o.stdout, want) {
			t.Errorf("%s: %d %q, want %q", words, o.code, o.stdout, want)
		}
	}
	s.healthy()
}

func TestUniqueKeyReturnsTheEarlierJob(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("enqueue sync --unique-key shop/7").want(t, 0, "1   added")
	s.admin("enqueue sync --unique-key shop/7").want(t, 0, "1   existing")
	s.healthy()
}

// Jobs that wait for their turn are exported with their place, and backlogs need not be: the chores find them.
func TestJobsThatWaitForTheirTurnAreMoved(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("limit set group * --max-running 1").want(t, 0)
	for range 3 {
		s.admin("enqueue k --group a").want(t, 0)
	}
	const claim = "select count(*)::text from %.claim(1, '{default}', '{9}')"
	s.sql("select pgq.register_worker('w', '{default}', '{k}'); " + strings.ReplaceAll(claim, "%", "pgq"))
	call := s.adminCall("import -")
	call.stdin = s.admin("export jobs").stdout
	for schema, ids := range map[string]string{"same": "keep", "other": "new"} {
		s.admin("migrate up --schema "+schema).want(t, 0)
		call.args = append(words("import - --schema "+schema+" --ids "+ids), "--url", s.url)
		call.run(t).want(t, 0, "imported 3 jobs")
		s.admin("check --schema "+schema).want(t, 0)
		s.sql("select " + schema + ".do_chores(); select " + schema + ".register_worker('w', '{default}', '{k}')")
		conn := connect(t, s.url)
		if got := query(t, conn, strings.ReplaceAll(claim, "%", schema)); got != "3" {
			t.Errorf("%s: %s jobs can be claimed, want 3", schema, got)
		}
		if got := query(t, conn, "select string_agg(group_name || state, ' ') from "+schema+".job_states"); got != "arunning arunning arunning" {
			t.Errorf("%s: %s", schema, got)
		}
		s.admin("check --schema "+schema).want(t, 0)
	}
	s.healthy()
}
