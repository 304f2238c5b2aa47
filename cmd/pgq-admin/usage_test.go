package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgq-go/queue/internal/pgtest"
)

func TestWrongUseExitsWithTwoAndSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		text string
	}{
		{"demon", `did you mean demo?`},
		{"frobnicate", "choose one of: "},
		{"migrate upp", "did you mean up?"},
		{"migrate up now", "takes no arguments"},
		{"check --frob", "unknown flag: --frob"},
		{"check --url", "flag needs an argument: --url"},
		{"demo --workers 0", "--workers must be 1 to 8"},
		{"demo --workers 9", "--workers must be 1 to 8"},
		{"demo --workers many", `--workers must be a whole number, not "many"`},
		{"demo --schema mine", "unknown flag: --schema"},
		{"config show --set worker.lease", "--set takes NAME=VALUE"},
		{"config show --set worker.least=3s", "did you mean worker.lease?"},
		{"config show --set worker.lease=10ms", "worker.lease must be at least 1s"},
		{"config show --config nowhere.yaml", "nowhere.yaml"},
		{"config show --schema pg_mine", "--schema: schema must not begin with pg_"},
		{"config show --log-level loud", "must be debug, info, warn or error"},
	} {
		o := admin(t, strings.Fields(c.args)...)
		o.want(t, 2, "pgq-admin", c.text)
		if o.stdout != "" {
			t.Errorf("%s: stdout is %q", c.args, o.stdout)
		}
	}
}

func TestHelpAndVersionExitWithZero(t *testing.T) {
	t.Parallel()
	admin(t).want(t, 0, "Usage:", "demo", "migrate", "check", "config", "version")
	admin(t, "--help").want(t, 0, "Exit codes")
	admin(t, "migrate").want(t, 0, "up", "down", "status")
	admin(t, "version").want(t, 0, "pgq-admin ", "schema version 2", "go1.")
}

func TestSettingsComeFromFileEnvironmentAndFlagsInThatOrder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pgq.yaml")
	write(t, file, `database_url: postgres://app:Hidd3n@db.example.com/app
schema: of_file
worker:
  lease: 40s
  grace: 1m
  queues:
    mail: {concurrency: 50}
    default:
`)
	o := call{
		args: []string{"config", "show", "--schema", "of_flag", "--set", "worker.prefetch=7"},
		env:  []string{"PGQ_CONFIG=" + file, "PGQ_SCHEMA=of_environment", "PGQ_WORKER_LEASE=50s", "PGQ_LOG_LEVEL="},
	}.run(t)
	o.want(t, 0)
	o.hides(t, "Hidd3n")
	table := strings.Join(strings.Fields(o.stdout), " ")
	for _, line := range []string{
		"database_url postgres://app:xxxxx@db.example.com/app " + file + ":1",
		"schema of_flag --schema",
		"log_level info default",
		"worker.queues default=10,mail=50 " + file + ":6",
		"worker.lease 50s PGQ_WORKER_LEASE",
		"worker.heartbeat 8.333333333s default",
		"worker.grace 1m0s " + file + ":5",
		"worker.prefetch 7 --set",
	} {
		if !strings.Contains(table, line) {
			t.Errorf("no %q in\n%s", line, o.stdout)
		}
	}
}

func TestUnknownSettingsAreRefusedWithTheirPlace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pgq.yaml")
	write(t, file, "schema: mine\nworker:\n  leese: 30s\n")
	admin(t, "config", "show", "--config", file).want(t, 2, file+":3: unknown setting worker.leese; did you mean worker.lease?")
	call{args: []string{"check"}, env: []string{"PGQ_DATABASE_ULR=postgres://app:Hidd3n@host/app"}}.run(t).
		want(t, 2, "unknown variable PGQ_DATABASE_ULR; did you mean PGQ_DATABASE_URL?")
	call{args: []string{"config", "show"}, env: []string{"PGQ_POSTGRES=local", "PGQ_POSTGRES_IMAGE=i", "PGQ_EMBEDDED_POSTGRES_URL=u"}}.run(t).want(t, 0)
}

func TestSettingsOfTheFileAreUsed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pgq.yaml")
	write(t, file, "database_url: "+pgtest.Empty(t)+"\nschema: of_file\n")
	admin(t, "migrate", "up", "--config", file).want(t, 0, "schema of_file is at version 2")
	call{args: []string{"check"}, env: []string{"PGQ_CONFIG=" + file}}.run(t).want(t, 0, "schema of_file: all invariants hold")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestHelpThatCannotBeWrittenFails(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"--help"}, {"job"}, {"job", "list", "--help"}, {"version"}} {
		cmd := call{args: args}.command(t.Context())
		cmd.Stdout = full
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%v exits with %d, %v", args, cmd.ProcessState.ExitCode(), err)
		}
	}
}

func TestADirectoryAndAMissingFileAreRefusedAlike(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	for _, command := range [][]string{{"import"}, {"dag", "submit"}, {"enqueue", "--from"}} {
		for file, says := range map[string]string{".": ". is a directory, and no file", "nowhere.jsonl": "nowhere.jsonl: no such file"} {
			admin(t, append(command, file, "--url", url)...).want(t, 2, says)
		}
	}
}

func TestInputWithoutAnEndIsRefusedByImport(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin(t, "import", "/dev/zero", "--url", url).want(t, 2, "line 1: lines must be JSON objects", "nothing was imported")
	call{args: []string{"import", "-", "--url", url}, stdin: strings.Repeat(" ", 1<<17) + "{}\n"}.run(t).want(t, 2, "line 1: lines must be JSON objects")
}

func TestFlagsNameTheirRules(t *testing.T) {
	t.Parallel()
	for args, text := range map[string]string{
		"job list --limit many":                           `--limit must be a whole number, not "many"`,
		"job list --limit 99999999999999999999":           "--limit is too large a number",
		"job list --worker a":                             `--worker must be whole numbers with commas between them, not "a"`,
		"job list --state ,":                              "--state must be one or several with commas between them",
		"job retry 1 --rate fast":                         `--rate must be a number, not "fast"`,
		"job wait 1 --timeout soon":                       `--timeout must be a duration like 90s, 1h30m, 7d, not "soon"`,
		"top --interval 3":                                `--interval must be a duration like 90s, 1h30m, 7d, not "3"`,
		"job list --since then":                           "--since must be a time like 2026-11-22",
		"export jobs --until then":                        "--until must be a time like 2026-11-22",
		"prune --older-than then":                         `--older-than must be a duration like 90s, 1h30m, 7d, not "then"`,
		"stats --since 0s":                                "--since must be a duration like 90s, 1h30m, 7d",
		"queue drain mail --timeout then":                 `--timeout must be a duration like 90s, 1h30m, 7d, not "then"`,
		"enqueue mail --delay then":                       `--delay must be a duration like 90s, 1h30m, 7d, not "then"`,
		`job list --columns "id",queue`:                   `there is no column "\"id\""`,
		"schedule set s @daily --kind k --starts-at then": "--starts-at must be a time like 2026-11-22",
		"migrate up --lock-timeout then --url x":          "--lock-timeout must be a duration like",
		"event tail --type failed,, --url postgres:/":     "--type must be one or several with commas between them",
	} {
		admin(t, strings.Fields(args)...).want(t, 2, text)
	}
}

func TestNamesOfNothingAreRefusedBeforeTheyAreTakenForDone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.failing("mail", "boom")
	s.fill(1, "work", "send")
	const none = `there is no queue "typo"`
	s.refuses([]refusal{
		{words("queue drain typo"), 3, none}, {words("queue drain typo --pause"), 3, none}, {words("queue purge typo --yes"), 3, none},
		{words("queue purge typo --dry-run"), 3, none},
		{words("failures redrive ffffffffffff --yes"), 3, "fix: pgq-admin failures list shows the fingerprints"},
		{words("failures discard ffffffffffff --yes"), 3, `no job failed with fingerprint "ffffffffffff"`},
		{words("status --context nope"), 3, "fix: pgq-admin context list shows the contexts"},
	})
	s.admin("queue purge mail --state ready --yes").want(t, 0)
	s.admin("failures redrive --queue typo --yes").want(t, 0)
	s.admin("queue pause typo").want(t, 0, "paused typo, a new queue: nothing was enqueued there yet")
	s.admin("queue pause typo").hides(t, "new")
	s.admin("queue pause work").hides(t, "new")
	s.admin("queue drain typo").want(t, 0, "drained typo")
}

func TestBytesThatAreNoTextAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(1, "mail", "send")
	const bad = "s=\xff"
	s.refuses([]refusal{
		{words("enqueue ok -P", bad), 2, "must be valid UTF-8"}, {words("enqueue ok --tag", bad), 2, "--tag must be valid UTF-8"},
		{words("enqueue ok --metadata", bad), 2, "must be valid UTF-8"}, {words("enqueue ok --queue", bad), 2, "--queue must be valid UTF-8"},
		{words("enqueue ok --args", `{"`+bad+`": 1}`), 2, "--args must be valid UTF-8"}, {words("enqueue", bad), 2, `"s=\xff" must be valid UTF-8`},
		{words("job cancel 1 --reason", bad), 2, "--reason must be valid UTF-8"}, {words("queue pause mail --reason", bad), 2, "--reason must be valid UTF-8"},
		{words("queue set mail", bad), 2, "must be valid UTF-8"}, {words("schedule set n @daily --kind k --args", bad), 2, "--args must be valid UTF-8"},
	})
	for _, line := range []string{"enqueue k --args -", "dag submit -"} {
		c := s.adminCall(line)
		c.stdin = `{"name": "` + bad + `"}`
		c.run(t).want(t, 2, "must be valid UTF-8")
	}
	file := filepath.Join(t.TempDir(), bad+".jsonl")
	s.admin("export jobs --file", file).want(t, 0)
	s.admin("import --ids new", file).want(t, 0, "imported 1 job, 0 events")
}

func TestErrorsSayWhatIsWrongAndHowItIsRight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(1, "mail", "send")
	s.admin("job cancel 1").want(t, 0)
	for _, c := range []struct {
		line string
		code int
		text string
	}{
		{"status --url postgres://h:99999/x", 2, "--url: database_url must have a port of 1 to 65535"},
		{"status --url postgres://h/x?sslmode=foo", 2, "must have an sslmode of disable, allow"},
		{"status --url postgres://h/x?connect_timeout=x", 2, "must have a connect_timeout in whole seconds"},
		{"status --url postgres://u:Hidd3n%zz@h/x", 2, "fix: correct --url: postgres://"},
		{"status --url postgres://u:Hidd3n/x@h/x", 2, "special characters of a password must be %XX"},
		{"job cancel 1", 6, "cannot cancel: 1 finished; nothing was changed\n  fix: pgq-admin job show 1"},
		{"job list --columns nope", 2, "there is no column \"nope\"\n  fix: choose from id, queue"},
		{"job list --nope -o json", 2, `"message":"unknown flag: --nope","fix":"pgq-admin job list --help tells how it is used"}`},
		{"queue set mail a=b", 2, "a queue has no setting \"a\"\n  fix: settings are age_every"},
		{"enqueue k --delay 999999999h", 2, "--delay must be at most 100 years"},
		{"enqueue k --delay 40000d", 2, "--delay must be at most 100 years"},
		{"help nope", 2, `pgq-admin has no command "nope"`},
		{"help job lst", 2, "did you mean list?"},
		{"help job list", 0, "List jobs"},
		{"--version", 0, "schema version 2"},
	} {
		o := s.admin(c.line)
		o.want(t, c.code, c.text)
		o.hides(t, "Hidd3n")
	}
	variable := s.adminCall("status")
	variable.env = append(variable.env, "PGQ_SCHEMAS=x")
	variable.run(t).want(t, 2, "did you mean PGQ_SCHEMA?", "fix: unset PGQ_SCHEMAS")
}
