package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestAReadOnlySessionChangesNothingAndSaysSo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(2, "mail", "send")
	before := s.facts()
	run := func(line string) outcome {
		c := s.adminCall(line)
		c.env = append(c.env, "PGOPTIONS=-c default_transaction_read_only=on")
		o := c.run(t)
		o.decent(t)
		return o
	}
	for _, line := range []string{"enqueue k", "job cancel 1", "job delete --queue mail --yes", "queue pause mail", "queue set mail max_depth=3",
		"schedule set n @daily --kind k", "migrate up --schema second"} {
		run(line).want(t, 1, "read-only transaction", "fix: nothing was changed: the server is a standby")
	}
	run("enqueue k -o json").want(t, 1, `"code":1,"reason":"failed"`, `"sqlstate":"25006"`)
	for _, line := range []string{"status", "job list", "job explain 1", "queue list", "export jobs", "check", "schedule list", "failures list"} {
		run(line).want(t, 0)
	}
	run("doctor --no-schema").want(t, 4, "read_only")
	if s.facts() != before {
		t.Error("something was changed")
	}
}

func TestPasswordsInUrlsThatAreWrongAreNotShown(t *testing.T) {
	t.Parallel()
	for url, code := range map[string]int{
		"postgres://u:Hid%zz@127.0.0.1:1/d":                     2, // % that begins nothing
		"postgres://u:den@Hid@127.0.0.1:1/d":                    2, // else Hid would be shown as the host
		"postgres://u:Hid/den@127.0.0.1:1/d":                    2,
		"postgres://u:Hid@127.0.0.1:99999/d":                    2,
		"postgres://u:Hid@127.0.0.1:1/d?sslmode=Hid":            2,
		"mysql://u:Hid@127.0.0.1/d":                             2,
		"u:Hid@127.0.0.1/d":                                     2,
		"Hid":                                                   2,
		"postgres://u:%48id%21@127.0.0.1:1/d":                   8,
		"postgres://127.0.0.1:1/d?user=u&password=Hid%21":       8,
		`host=127.0.0.1 port=1 user=u password='Hid\'den word'`: 8,
	} {
		for _, c := range []call{
			{args: []string{"job", "list", "--url", url}},
			{args: []string{"job", "list", "-o", "json"}, env: []string{"PGQ_DATABASE_URL=" + url}},
		} {
			o := c.run(t)
			o.decent(t)
			o.want(t, code)
			o.hides(t, "Hid")
			o.hides(t, "%48id")
			if len(c.args) == 4 && c.env != nil && !json.Valid([]byte(o.stderr)) {
				t.Errorf("no JSON: %s", o.stderr)
			}
		}
	}
}

func TestASchemaThatIsMissingOlderNewerOrSomebodyElsesIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(1, "mail", "send")
	if _, err := s.pool.Exec(t.Context(), `create schema rails; create table rails.schema_migrations (version varchar primary key); create table rails.jobs (id bigint);
		create schema shop; create table shop.jobs (id bigint)`); err != nil {
		t.Fatal(err)
	}
	lines := []string{"job list", "enqueue k", "job cancel --queue mail --yes", "export jobs"}
	for _, schema := range []string{"nowhere", "rails", "shop"} {
		var refusals []refusal
		for _, line := range append(lines, "doctor") {
			refusals = append(refusals, refusal{words(line, "--schema", schema), 6, "not installed"})
		}
		if schema != "nowhere" {
			for _, line := range []string{"migrate up", "migrate status"} {
				refusals = append(refusals, refusal{words(line, "--schema", schema), 1, "fix: choose another schema"})
			}
		}
		refusals = append(refusals, refusal{words("migrate down --yes --schema", schema), 6, "fix: install it with pgq-admin migrate up"})
		s.refuses(refusals)
	}
	s.admin("migrate status --schema nowhere -o csv").want(t, 0, "1,00001_tables.sql,pending\n2,00002_functions.sql,pending\n")
	o := s.admin("check -o json --schema nowhere")
	o.want(t, 6, `"message":"PGQ is not installed in schema nowhere","fix":"install it with pgq-admin migrate up`)
	o.hides(t, "schema_migrations")
	if n := s.count("select count(*) from pg_class where relnamespace in ('rails'::regnamespace, 'shop'::regnamespace) and relkind = 'r'"); n != 3 {
		t.Errorf("%d of 3 tables of others are left", n)
	}
	versions := func(change, text string) {
		s.sql(change)
		var refusals []refusal
		for _, line := range lines {
			refusals = append(refusals, refusal{words(line), 6, text}, refusal{words(line, "--nope"), 2, "unknown flag"})
		}
		s.refuses(refusals)
	}
	const newer = "has version 3, and this pgq-admin works with version 2\n  fix: use a newer pgq-admin"
	versions("insert into schema_migrations (version_id, is_applied) values (3, true)", newer)
	s.admin("migrate status").want(t, 6, "00002_functions.sql", "it is at version 3, and this program knows those up to 2", "use a newer pgq-admin")
	s.admin("migrate up").want(t, 6, "nothing was changed; use a newer pgq-admin")
	s.admin("doctor").want(t, 4, "CRITICAL schema_version: schema pgq\n  It has version 3", "fix: use a newer pgq-admin")
	versions("delete from schema_migrations where version_id >= 2", "has version 1, and this pgq-admin works with version 2\n  fix: pgq-admin migrate up")
	doctor := s.admin("doctor")
	doctor.want(t, 4, "CRITICAL schema_version: schema pgq\n  It has version 1", "fix: pgq-admin migrate up")
	doctor.hides(t, "missing_")
}

func TestInputThatCannotBeReadOrDoesNotEndIsRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /dev/zero and /dev/full for sure")
	}
	s := newSite(t)
	before := s.facts()
	for _, c := range []struct {
		line, stdin string
		code        int
		text        string
	}{
		{"enqueue k --args -", ".", 1, "is a directory"},
		{"enqueue --from -", ".", 1, "is a directory"},
		{"import -", ".", 1, "is a directory"},
		{"dag submit -", ".", 1, "is a directory"},
		{"enqueue k --args -", "/dev/zero", 2, "has more than 67108864 bytes"},
		{"enqueue --from -", "/dev/zero", 2, "line 1 has more than 67108864 bytes"},
		{"context set x --url -", "/dev/zero", 2, "must be a URL"},
	} {
		stdin, err := os.Open(c.stdin)
		if err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		cmd := s.adminCall(c.line).command(t.Context())
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
		_ = cmd.Run()
		_ = stdin.Close()
		o := outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
		o.decent(t)
		o.want(t, c.code, c.text)
	}
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked.jsonl")
	write(t, locked, "{}")
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	refusals := []refusal{}
	for _, line := range []string{"enqueue --from", "import", "dag submit", "job list --config"} {
		refusals = append(refusals, refusal{words(line, filepath.Join(dir, "none.yaml")), 2, "no such file"})
		if os.Getuid() != 0 { // who may read everything
			refusals = append(refusals, refusal{words(line, locked), 2, "permission denied"})
		}
	}
	s.refuses(append(refusals, refusal{words("export jobs --file", filepath.Join(dir, "no", "jobs.jsonl")), 1, "no such file"}))
	if s.facts() != before {
		t.Error("something was changed")
	}
}

func TestOutputThatCannotBeWrittenIsToldWithWhatMayHaveBeenDone(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer func() { _ = full.Close() }()
	s := newSite(t)
	s.fill(3, "mail", "send")
	for _, line := range []string{"job list", "job list -o json", "export jobs", "status", "migrate dump", "enqueue k", "job cancel 1", "queue list -o csv"} {
		var stderr bytes.Buffer
		cmd := s.adminCall(line).command(t.Context())
		cmd.Stdout, cmd.Stderr = full, &stderr
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(stderr.String(), "what was asked may have been done: look before you repeat it") {
			t.Errorf("%s: exit code %d, %s", line, code, stderr.String())
		}
	}
	if n := s.count("select (select count(*) from pgq.jobs) * 10 + (select count(*) from pgq.results)"); n != 41 {
		t.Errorf("%d, want 4 jobs and 1 result", n)
	}
	for _, line := range []string{"job show 1", "export jobs", "migrate dump"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		var stderr bytes.Buffer
		cmd := s.adminCall(line).command(t.Context())
		cmd.Stdout, cmd.Stderr = w, &stderr
		_ = cmd.Run()
		_ = w.Close()
		if code := cmd.ProcessState.ExitCode(); code != 141 || stderr.Len() > 0 {
			t.Errorf("%s into a closed pipe: exit code %d, %s", line, code, stderr.String())
		}
	}
}
