package main_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// batch runs "pgq-admin batch" with arguments that are separated by spaces, and more.
func (s *site) batch(words string, more ...string) outcome {
	s.t.Helper()
	return call{args: append(append([]string{"batch"}, strings.Fields(words)...), more...), env: []string{"PGQ_DATABASE_URL=" + s.url}}.run(s.t)
}

func TestABatchIsSubmittedGrowsAndIsClosedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "batch.yaml")
	write(t, file, "name: import\nkey: monday\nopen: true\njobs: [{kind: act, args: {}}]\non_done: {kind: act, args: {}}\n")
	more := filepath.Join(t.TempDir(), "more.json")
	write(t, more, `[{"kind": "act", "args": {}}, {"kind": "act", "args": {"fail": true}, "max_attempts": 1}]`)
	columns := " -o csv --columns name,key,state,open,total,done,failed,percent"
	is := func(o outcome, want string) {
		t.Helper()
		lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
		if o.code != 0 || lines[len(lines)-1] != want {
			t.Errorf("code %d, %q; want %q\n%s", o.code, o.stdout, want, o.stderr)
		}
	}
	is(s.batch("submit --dry-run "+file+columns), "import,monday,running,true,1,0,0,0")
	is(s.batch("submit "+file+columns), "import,monday,running,true,1,0,0,0")
	is(s.batch("submit "+file+columns), "import,monday,running,true,1,0,0,0")
	is(s.batch("add import/monday --dry-run "+more+columns), "import,monday,running,true,3,0,0,0")
	is(s.batch("add import/monday "+more+columns), "import,monday,running,true,3,0,0,0")
	s.work()
	id := strings.TrimSpace(s.batch("show import/monday -o name").stdout)
	if o := s.batch("close " + id + " -o name"); o.code != 0 || strings.TrimSpace(o.stdout) != id {
		t.Errorf("close: code %d, %q", o.code, o.stdout)
	}
	var n int64
	if _, err := fmt.Sscan(id, &n); err != nil {
		t.Fatal(err)
	}
	s.await(n)
	is(s.batch("list"+columns), "import,monday,failed,false,3,3,1,100")
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"close " + id, 6, "was closed already"},
		{"add " + id + " " + more, 2, "must be a batch that has not ended"},
		{"retry " + id + " --dry-run -o name", 0, ""},
		{"cancel " + id, 2, "say --yes"},
		{"cancel --yes " + id, 6, "had ended already"},
		{"show 9999", 3, "there is no batch 9999"},
		{"close 9999", 3, "there is no batch 9999"},
		{"cancel --yes 9999", 3, "there is no batch 9999"},
		{"retry 9999", 3, "there is no batch 9999"},
		{"add 9999 " + more, 3, "there is no batch 9999"},
		{"add 1", 2, "needs FILE"},
		{"show monday", 2, "NAME/KEY"},
		{"list --state runing", 2, "did you mean running?"},
		{"list --limit 0", 2, "--limit must be 1 to 10000"},
		{"lst", 2, "did you mean list?"},
	} {
		if o := s.batch(c.args); o.code != c.code || !strings.Contains(o.stdout+o.stderr, c.text) {
			t.Errorf("batch %s: code %d, %s%s; want %d, %s", c.args, o.code, o.stdout, o.stderr, c.code, c.text)
		}
	}
}
