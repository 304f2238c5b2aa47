package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/pgq-go/queue/internal/pgtest"
)

func TestWhatPsqlAppliesOfADumpIsWhatUpMakes(t *testing.T) {
	t.Parallel()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("there is no psql on this machine")
	}
	url := pgtest.Empty(t)
	const schema = `Jobs of "mine"`
	dumped := admin(t, "migrate", "dump", "--schema", schema, "--lock-timeout", "3s")
	dumped.want(t, 0, "set local lock_timeout = '3000ms';")
	apply := func(sql string) (string, error) {
		cmd := exec.CommandContext(t.Context(), psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", url)
		cmd.Stdin = strings.NewReader(sql)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := apply(dumped.stdout); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	flags := []string{"--url", url, "--schema", schema}
	call := func(words ...string) outcome { return admin(t, append(words, flags...)...) }
	call("migrate", "status").want(t, 0, "00002_functions.sql")
	call("migrate", "up").want(t, 0, "is at version 2")
	call("doctor", "--severity", "critical").hides(t, "missing_")
	call("check").want(t, 0)
	if out, err := apply(dumped.stdout); err == nil || !strings.Contains(out, "has version 2") {
		t.Errorf("twice: %v %s", err, out)
	}
	functions := admin(t, "migrate", "dump", "--functions", "--schema", schema)
	if out, err := apply(functions.stdout); err != nil {
		t.Errorf("the functions anew: %v %s", err, out)
	}
	admin(t, "migrate", "dump", "--from", "9").want(t, 2, "--from must be 0 to 2")
	admin(t, "migrate", "dump", "--from", "1", "--functions").want(t, 2, "not for the same dump")
}

func TestMigrateGoesToVersionsAndSaysBeforehandWhatItDoes(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	call := func(words ...string) outcome { return admin(t, append(words, "--url", url)...) }
	call("migrate", "up", "--dry-run").want(t, 0, "would apply 00001_tables.sql\nwould apply 00002_functions.sql")
	call("migrate", "status").want(t, 0, "not installed", "pending")
	call("migrate", "to", "1").want(t, 0, "applied 00001_tables.sql", "is at version 1")
	call("migrate", "to", "2").want(t, 0, "applied 00002_functions.sql")
	call("migrate", "to", "1").want(t, 2, "takes back migrations down to version 1", "nothing was changed", "--yes")
	call("migrate", "down", "--dry-run").want(t, 0, "would take back 00002_functions.sql\nwould take back 00001_tables.sql")
	call("migrate", "to", "99").want(t, 2, "VERSION must be 0 to 2")
	call("migrate", "to", "x").want(t, 2, "VERSION must be 0 to 2")
	call("migrate", "up", "--lock-timeout", "0s").want(t, 2, "--lock-timeout must be")
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), "begin"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "lock table pgq.jobs in row share mode"); err != nil {
		t.Fatal(err)
	}
	call("migrate", "down", "--yes", "--lock-timeout", "20ms").want(t, 6, "lock timeout", "fix: somebody holds a lock", "--lock-timeout 1m")
	call("migrate", "status", "-o", "json").want(t, 0, `"version": 2`)
}

func TestDoctorExitsWithFourAndNamesTheRepair(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	call := func(words ...string) outcome { return admin(t, append(words, "--url", url)...) }
	exec("drop index pgq.jobs_dags")
	call("doctor").want(t, 4, "CRITICAL missing_index: jobs.jobs_dags", "fix: set search_path = \"pgq\", pg_temp; CREATE INDEX CONCURRENTLY jobs_dags")
	call("doctor", "--no-schema").hides(t, "missing_index")
	exec("create index jobs_dags on pgq.jobs (kind, id) where role = 'dag' and dag_id is null")
	exec("drop function pgq.doctor")
	call("doctor").want(t, 4, "missing_function: doctor(", "pgq-admin migrate dump --functions --schema pgq | psql")

	var page struct {
		Items []struct{ Finding, Severity, Subject, Meaning, Repair string }
	}
	if err := json.Unmarshal([]byte(call("doctor", "-o", "json").stdout), &page); err != nil || len(page.Items) == 0 || page.Items[0].Severity != "critical" {
		t.Errorf("%v %+v", err, page)
	}
	call("doctor", "--severity", "awful").want(t, 2, "--severity must be")
	call("doctor", "--schema", "elsewhere").want(t, 6, "not installed")
	call("check", "-o", "json").want(t, 0, `"items": []`)
}

func TestExportedJobsAreImportedAgain(t *testing.T) {
	t.Parallel()
	url, dir := pgtest.Database(t), t.TempDir()
	conn := connect(t, url)
	query(t, conn, `select pgq.enqueue('mail', '{"n": 9007199254740993, "t": "ü\"\n=1"}')::text from generate_series(1, 1200)`)
	call := func(words ...string) outcome { return admin(t, append(words, "--url", url)...) }
	file := filepath.Join(dir, "jobs.jsonl.gz")
	call("export", "jobs", "--file", file).want(t, 0, "exported 1200 jobs")
	call("export", "jobs", "--file", file).want(t, 6, "is there already", "--force")
	call("import", file).want(t, 6, "job 1 is there already; nothing was imported", "--ids new")
	call("import", file, "--ids", "new", "--dry-run").want(t, 0, "would import 1200 jobs")
	call("migrate", "up", "--schema", "second").want(t, 0)
	call("import", file, "--schema", "second").want(t, 0, "imported 1200 jobs, 0 events")
	call("check", "--schema", "second").want(t, 0)
	first, second := call("export", "jobs"), call("export", "jobs", "--schema", "second")
	_, a, _ := strings.Cut(first.stdout, "\n")
	if _, b, _ := strings.Cut(second.stdout, "\n"); a == "" || a != b {
		t.Error("what was imported is not what was exported")
	}
	call("import", filepath.Join(dir, "none.jsonl")).want(t, 2, "no such file")
	piped := c(t, call("export", "jobs").stdout, "import", "-", "--ids", "new", "--url", url)
	piped.want(t, 0, "imported 1200 jobs")
	c(t, "{\n", "import", "-", "--url", url).want(t, 2, "line 1: ", "nothing was imported")

	call("export", "jobs", "--format", "csv", "--kind", "mail").want(t, 0, "id,queue,kind,", `"{""n"": 9007199254740993, ""t"": ""ü\""\n=1""}"`)
	call("export", "results").want(t, 0)
	call("export", "events", "--since", "1h", "--type", "completed").want(t, 0, `"of":"events"`)
	call("export", "jobs", "--state", "redy").want(t, 2, "did you mean ready?")
	call("export", "results", "--state", "ready").want(t, 2, "have no result")
	call("export", "jobs", "--since", "yesterday").want(t, 2, "--since must be")
	call("export", "jobs", "--file", filepath.Join(dir, "jobs.txt")).want(t, 2, ".jsonl, .csv or .parquet")

	table := filepath.Join(dir, "jobs.parquet")
	call("export", "jobs", "--file", table).want(t, 0, "exported 2400 jobs")
	type row struct {
		ID   int64   `parquet:"id"`
		Args *string `parquet:"args"`
	}
	rows, err := parquet.ReadFile[row](table)
	if err != nil || len(rows) != 2400 || rows[0].ID != 1 || rows[0].Args == nil || !strings.Contains(*rows[0].Args, "9007199254740993") {
		t.Errorf("%v, %d rows", err, len(rows))
	}
}

// c runs the program with something to read.
func c(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	return call{args: args, stdin: stdin}.run(t)
}

func TestPruneByHandAsksAndCounts(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	query(t, conn, `with x as (select pgq.enqueue('a') from generate_series(1, 30)) select count(*)::text from x`)
	query(t, conn, `with moved as (delete from pgq.ready returning *), added as (
		insert into pgq.results (job_id, queue, state, attempt, finished_at) select job_id, queue, 'completed', 1, now() - interval '9 days' from moved returning 1)
		select count(*)::text from added`)
	call := func(words ...string) outcome { return admin(t, append(words, "--url", url)...) }
	call("prune", "--older-than", "8d").want(t, 2, "this would delete 30 jobs that ended as completed, cancelled, skipped, expired more than 8d ago; nothing was changed", "--yes", "completed", "…")
	call("prune", "--older-than", "8d", "--dry-run", "-o", "json").want(t, 0, `"jobs": 30`)
	call("prune", "--older-than", "8d", "--dry-run").want(t, 0, "would delete 30 jobs")
	call("prune", "--older-than", "10d", "--yes").want(t, 0, "deleted 0 jobs")
	call("prune", "--older-than", "8d", "--limit", "12", "--batch", "5", "--yes", "--actor", "ann", "--reason", "disk").want(t, 0, "deleted 12 jobs", "stopped at --limit")
	call("event", "tail", "--type", "operated").want(t, 0, `"by": "ann"`, `"reason": "disk"`, `"verb": "prune"`)
	call("prune", "--state", "failed").want(t, 2, "--state needs --older-than")
	call("prune", "--older-than", "soon").want(t, 2, "--older-than must be")
	call("prune", "--older-than", "1d", "--state", "faild").want(t, 2, "did you mean failed?")
	call("prune").want(t, 2, "this would delete 18 jobs that were kept for as long as their queues say; nothing was changed")
	call("prune", "--dry-run").want(t, 0, "would delete 18 jobs")
	call("prune", "--yes").want(t, 0, "deleted 18 jobs")
	call("prune").want(t, 0, "there is nothing to delete")
	call("check").want(t, 0)
}

func TestContextsNameDatabasesAndHidePasswords(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "deeper", "contexts.yaml")
	run := func(stdin string, words ...string) outcome {
		return call{args: words, stdin: stdin, env: []string{"PGQ_CONTEXTS=" + file}}.run(t)
	}
	url := pgtest.Database(t)
	run("", "context", "list").want(t, 0, "no contexts")
	run("", "context", "set", "here").want(t, 2, "a new context needs a database")
	run("", "context", "set", "here", "--url", url).want(t, 0, "context here is ")
	run("", "check").want(t, 0, "all invariants hold")
	secret := run("postgres://app:Hidd3n%21@db.example.com/app\n", "context", "set", "far", "--url", "-", "--schema", "jobs")
	secret.want(t, 0, "postgres://app:xxxxx@db.example.com/app")
	run("", "context", "list", "-o", "csv").want(t, 0, "far,false,postgres://app:xxxxx@db.example.com/app,jobs", "here,true")
	run("", "config", "show", "--context", "far").want(t, 0, "xxxxx", "context far")
	run("", "check", "--context", "fars").want(t, 3, "did you mean far?")
	run("", "check", "--context", "far", "--url", url).want(t, 2, "not for use with --url")
	call{args: []string{"config", "show"}, env: []string{"PGQ_CONTEXTS=" + file, "PGHOST=h", "PGPORT=7", "PGDATABASE=it's"}}.run(t).
		want(t, 0, `host=h port=7 dbname='it\'s'`, "PGHOST, PGPORT, PGDATABASE")
	run("", "context", "use", "nowhere").want(t, 3, `there is no context "nowhere"`)
	run("", "context", "use", "far").want(t, 0)
	run("", "context", "show", "-o", "yaml").want(t, 0, "name: far", "current: true", "schema: jobs")
	run("", "__complete", "context", "use", "").want(t, 0, "far\nhere\n")
	run("", "context", "delete", "far").want(t, 0, "forgotten")
	run("", "context", "show").want(t, 3, "no current context")
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}

	write(t, file, "contexts:\n  a: {database_url: 'postgres://app:Hidd3n@db/app', colour: red}\n")
	bad := run("", "context", "list")
	bad.want(t, 2, file+":2: unknown setting colour")
	bad.hides(t, "Hidd3n")
	write(t, file, "contexts: [Hidd3n\n")
	broken := run("", "context", "list")
	broken.want(t, 2, "is no YAML")
	broken.hides(t, "Hidd3n")
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		run("", "check").want(t, 2, "must not be open to others", "0640", "fix: chmod 600 ")
	}
}

func TestServiceAndPasswordFilesAreReadAsByPsql(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	services := filepath.Join(dir, "services")
	config := connect(t, pgtest.Database(t)).Config()
	write(t, services, "[mine]\nhost="+config.Host+"\nuser="+config.User+"\ndbname="+config.Database+"\nsslmode=disable\n")
	port := strings.TrimSpace(query(t, connect(t, pgtest.Database(t)), "select setting from pg_settings where name = 'port'"))
	passwords := filepath.Join(dir, "passwords")
	write(t, passwords, "*:*:*:*:"+config.Password+"\n")
	call{args: []string{"check"}, env: []string{"PGSERVICE=mine", "PGSERVICEFILE=" + services, "PGPORT=" + port, "PGPASSFILE=" + passwords}}.run(t).
		want(t, 0, "all invariants hold")
	for _, env := range [][]string{{"PGSERVICE=yours", "PGSERVICEFILE=" + services}, {"PGSERVICE=mine", "PGSERVICEFILE=" + services + "x"}} {
		call{args: []string{"check"}, env: env}.run(t).want(t, 2, "PGSERVICE: database_url must name a service that is in the service file")
	}
}

func TestCompletionAndManPagesAreWritten(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		admin(t, "completion", shell).want(t, 0, "pgq-admin", "__complete")
	}
	admin(t, "completion", "tcsh").want(t, 2, "bash, zsh, fish, powershell")
	dir := filepath.Join(t.TempDir(), "man")
	admin(t, "docs", "man", dir).want(t, 0)
	page, err := os.ReadFile(filepath.Join(dir, "pgq-admin-migrate-dump.1"))
	if err != nil || !strings.Contains(string(page), ".SH SYNOPSIS") {
		t.Errorf("%v", err)
	}
	if page, err = os.ReadFile(filepath.Join(dir, "pgq-admin.1")); err != nil || !strings.Contains(string(page), "Exit codes") {
		t.Errorf("%v", err)
	}
}
