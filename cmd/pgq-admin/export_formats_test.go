package main_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/parquet-go/parquet-go"

	"github.com/pgq-go/queue/internal/pgtest"
)

// manySorts makes jobs in every state, with whatever a job can have, and values that are hard to write down.
func manySorts(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for _, sql := range []string{
		"set search_path = pgq",
		`select enqueue('ready', '{"n": 9007199254740993, "big": 123456789012345678901234567890.12345}', tags => '{a,"b \" ü"}', metadata => '{"t": "x<y>&"}', priority => 9)`,
		`select enqueue('null args', 'null', metadata => '{"x": null}')`,
		`select enqueue('later', '[1.10, 1e400]', delay => '1 year', max_attempts => 3)`,
		`select enqueue('expires', ttl => '1 hour', backoff => '{"type": "constant", "base": 3}', result_ttl => '1 day', timeout => '1.5 s', group_name => 'customer/7')`,
		`select enqueue('unique', uniqueness => jsonb_build_object('key', e'first\r\n"line"'))`,
		`select enqueue('bytes', codec => 'raw', payload => '\x00ff0d0a')`,
		`select enqueue_many('[{"kind": "calls", "callbacks": {"on_success": {"kind": "thank"}}}]')`,
		`select dag_submit('{"name": "etl", "key": "monday", "nodes": [{"name": "a", "kind": "a"}, {"name": "b", "kind": "b", "after": ["a"], "rule": "done"}]}')`,
		`select enqueue('turn', sequence => 'k', on_failure => 'skip', delay => '1 year') from generate_series(1, 3)`,
		`select enqueue('work', queue => 'work') from generate_series(1, 6)`,
		`select register_worker('w', '{work}', '{work}')`,
		`select claim(1, '{work}', '{6}')`,
		`create temp table held as select job_id, row_number() over (order by job_id) as n from running`,
		`select complete(1, array(select job_id from held where n <= 2 order by n), '{1,1}', '{"{\"a\": 1.50}", "null"}')`,
		`select complete(1, array(select job_id from held where n = 3), '{1}', '{null}', '{raw}', array['\x00ff0d0a'::bytea])`,
		`select fail(1, array(select job_id from held where n in (4, 5) order by n), '{1,1}', array[e'\r\n"q", ü', ''], null, '{f,f}')`,
		`select add_logs(array(select job_id from held where n = 1), '{1}', array[now()], '{INFO}', array[e'hey\n'], '{null}')`,
		`select cancel(array(select id from jobs where kind = 'expires'), 'not needed')`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// headOf returns the names of the columns of a file.
func headOf(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if strings.HasSuffix(file, ".csv") {
		names, err := csv.NewReader(f).Read()
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range table.Schema().Columns() {
		names = append(names, path...)
	}
	return names
}

func TestEveryColumnIsExportedInEveryFormat(t *testing.T) {
	t.Parallel()
	url, dir := pgtest.Database(t), t.TempDir()
	conn := connect(t, url)
	manySorts(t, conn)
	heads := map[string][]string{}
	for _, of := range []string{"jobs", "results", "events"} {
		for _, format := range []string{"csv", "parquet"} {
			file := filepath.Join(dir, of+"."+format)
			admin(t, "export", of, "--url", url, "--file", file).want(t, 0)
			names := headOf(t, file)
			if before := heads[of]; before != nil && !slices.Equal(before, names) {
				t.Errorf("%s of %s have the columns %v, and not %v", format, of, names, before)
			}
			heads[of] = names
		}
	}
	var result map[string]json.RawMessage
	first, _, _ := strings.Cut(admin(t, "export", "results", "--url", url).stdout, "\n")
	if err := json.Unmarshal([]byte(first), &result); err != nil || len(result) != len(heads["results"]) {
		t.Errorf("%v: JSON lines of results have %d members, CSV has %v", err, len(result), heads["results"])
	}
	for _, name := range heads["results"] {
		if _, ok := result[name]; !ok {
			t.Errorf("JSON lines of results lack %s", name)
		}
	}

	// What says the same as another column.
	known := map[string][]string{
		"scheduled": {"job_id", "queue", "attempt"},
		"running":   {"job_id", "queue", "attempt", "result_ttl", "dag_id", "callbacks", "slotted"},
		"results":   {"job_id", "queue", "state", "attempt", "dag_id"},
		"events":    {"xid"},
	}
	for _, table := range []string{"jobs", "scheduled", "running", "results", "events"} {
		of := "jobs"
		if table == "events" {
			of = "events"
		}
		columns := query(t, conn, "select column_name::text from information_schema.columns where table_schema = 'pgq' and table_name = '"+table+"'")
		for _, name := range strings.Split(columns, "\n") {
			has := slices.Contains(heads[of], name) && (table != "results" || name != "codec" && name != "payload" && name != "expires_at") ||
				table == "results" && (slices.Contains(heads[of], "output_"+name) || slices.Contains(heads[of], "result_"+name)) ||
				slices.Contains(known[table], name)
			if !has {
				t.Errorf("%s.%s has no column of its own in CSV and Parquet; add it in archive/column.go", table, name)
			}
		}
	}
}

func TestEveryFormatIsImportedAgainWithoutLosingAnything(t *testing.T) {
	t.Parallel()
	url, dir := pgtest.Database(t), t.TempDir()
	manySorts(t, connect(t, url))
	exported := func(of, schema string) []string {
		t.Helper()
		o := admin(t, "export", of, "--url", url, "--schema", schema)
		o.want(t, 0)
		lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
		lines = lines[1 : len(lines)-1]
		for i, line := range lines {
			if strings.Contains(line, `"state": "running"`) {
				lines[i] = "" // it becomes ready
			} else if of == "events" {
				_, lines[i], _ = strings.Cut(line, `"at":`) // its id is another one
			}
		}
		return lines
	}
	jobs, events := exported("jobs", "pgq"), exported("events", "pgq")
	if len(jobs) != 19 || len(events) == 0 {
		t.Fatalf("%d jobs, %d events", len(jobs), len(events))
	}
	for _, format := range []string{"jsonl", "csv.gz", "parquet"} {
		schema := "from_" + strings.ReplaceAll(format, ".", "_")
		admin(t, "migrate", "up", "--url", url, "--schema", schema).want(t, 0)
		for _, of := range []string{"jobs", "events"} {
			file := filepath.Join(dir, of+"."+format)
			admin(t, "export", of, "--url", url, "--file", file).want(t, 0)
			admin(t, "import", file, "--url", url, "--schema", schema).want(t, 0, "imported ")
		}
		for i, line := range exported("jobs", schema) {
			if jobs[i] != "" && line != jobs[i] {
				t.Errorf("by %s\n%s\nbecame\n%s", format, jobs[i], line)
			}
		}
		if again := exported("events", schema); !slices.Equal(again, events) {
			t.Errorf("by %s events became\n%s", format, strings.Join(again, "\n"))
		}
		admin(t, "check", "--url", url, "--schema", schema).want(t, 0)
	}
	admin(t, "import", filepath.Join(dir, "jobs.csv.gz"), "--url", url).want(t, 6, "is there already; nothing was imported")
}

func TestWhatIsNoExportIsRefusedInEveryFormat(t *testing.T) {
	t.Parallel()
	url, dir := pgtest.Database(t), t.TempDir()
	query(t, connect(t, url), `select pgq.enqueue('mail', '{"n": 1}')::text from generate_series(1, 3)`)
	call := func(stdin string) outcome { return c(t, stdin, "import", "-", "--url", url, "--ids", "new") }
	text := admin(t, "export", "jobs", "--url", url, "--format", "csv").stdout
	head, rows, _ := strings.Cut(text, "\n")
	row, others, _ := strings.Cut(rows, "\n")
	call(text).want(t, 0, "imported 3 jobs")
	call("\ufeff"+text).want(t, 0, "imported 3 jobs")
	call(head+"\n").want(t, 2, "the export is not whole: there is nothing in it; nothing was imported")
	call(head+"\n"+others).want(t, 2, `line 1: more must have "export" in the first row`, "nothing was imported")
	call(strings.Replace(text, "priority,", "prio,", 1)).want(t, 2, "there is no priority")
	call(head+",colour\n"+row+",red\n").want(t, 2, `"colour" is none`)
	call(head+"\n1,2\n").want(t, 2, "must be CSV of an export: line 2: wrong number of fields")
	call(head+"\n\"1\n").want(t, 2, "line 2", "nothing was imported")
	call(strings.Replace(text, `{""n"": 1}`, `{n: 1}`, 1)).want(t, 2, "args must be JSON")
	call(strings.Replace(text, ",5,ready", ",five,ready", 1)).want(t, 2, "priority must be JSON")
	call(strings.Replace(text, ",5,ready", ",55,ready", 1)).want(t, 2, "nothing was imported")
	call(strings.Replace(text, ",ready,0", ",completed,0", 1)).want(t, 2, "nothing was imported")
	call(strings.Replace(text, ",ready,0", ",asleep,0", 1)).want(t, 2, "nothing was imported")
	call(strings.Replace(text, "mail", "\xff", 1)).want(t, 2, "kind must be UTF-8")
	call(admin(t, "export", "results", "--url", url, "--format", "csv").stdout).want(t, 2, "results are exported for other programs")

	file := filepath.Join(dir, "jobs.parquet")
	admin(t, "export", "jobs", "--url", url, "--file", file).want(t, 0)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	call(string(whole)).want(t, 2, "not in a pipe")
	for name, broken := range map[string]string{
		"half":    string(whole[:len(whole)/2]),
		"garbage": "PAR1" + strings.Repeat("x", 500) + "PAR1",
		"holes":   strings.Replace(string(whole), string(whole[100:300]), strings.Repeat("\x00", 200), 1),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		o := admin(t, "import", path, "--url", url, "--ids", "new")
		o.want(t, 2, "nothing was imported")
		o.hides(t, "goroutine")
	}
	if n := query(t, connect(t, url), "select count(*)::text from pgq.jobs"); n != "9" {
		t.Errorf("there are %s jobs", n)
	}
}

func TestFilesThatWereCutOffAreRefusedInEveryFormat(t *testing.T) {
	t.Parallel()
	url, dir := pgtest.Database(t), t.TempDir()
	query(t, connect(t, url), `select pgq.enqueue('mail', jsonb_build_object('n', i, 'r', md5(i::text)))::text from generate_series(1, 300) i`)
	for _, c := range []struct {
		format  string
		cut     func(string) string
		says    string
		partial string // what is imported with --partial
	}{
		{"jsonl", lines(200), `line 200: the export is not whole: it must end with {"type": "end", …}; nothing was imported`, "would import 199 jobs"},
		{"jsonl", func(all string) string { return all[:len(all)/2] }, "unexpected end of JSON input; nothing was imported", "would import 1"},
		{"jsonl", func(string) string { return "" }, "there is nothing in it; nothing was imported", "would import 0 jobs"},
		{"jsonl.gz", func(all string) string { return all[:len(all)*2/3] }, "the export is not whole: unexpected EOF; nothing was imported", "would import "},
		{"csv", lines(101), `the export is not whole: it must end with {"type": "end", …}; nothing was imported`, "would import 100 jobs"},
		{"csv", lines(1), "there is nothing in it; nothing was imported", "would import 0 jobs"},
		{"parquet", func(all string) string { return all[:len(all)/2] }, "must be a Parquet file that is whole", ""},
		{"parquet", func(string) string { return "" }, "there is nothing in it; nothing was imported", "would import 0 jobs"},
	} {
		file := filepath.Join(dir, "jobs."+c.format)
		admin(t, "export", "jobs", "--url", url, "--file", file, "--force").want(t, 0)
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, c.cut(string(whole)))
		admin(t, "import", file, "--url", url, "--ids", "new").want(t, 2, c.says)
		if c.partial != "" {
			admin(t, "import", file, "--url", url, "--ids", "new", "--partial", "--dry-run").want(t, 0, c.partial)
		}
	}
	for _, format := range []string{"jsonl", "parquet"} { // an export of nothing is whole
		file := filepath.Join(dir, "none."+format)
		admin(t, "export", "jobs", "--url", url, "--kind", "none", "--file", file).want(t, 0, "exported 0 jobs")
		admin(t, "import", file, "--url", url, "-o", "json").want(t, 0, `"jobs": 0`, `"dry_run": false`)
	}
	if n := query(t, connect(t, url), "select count(*)::text from pgq.jobs"); n != "300" {
		t.Errorf("there are %s jobs", n)
	}
}

// lines returns what leaves the first lines of a text.
func lines(n int) func(string) string {
	return func(text string) string { return strings.Join(strings.SplitAfter(text, "\n")[:n], "") }
}

func TestJobsToExportAreChosenAsInLists(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admin("enqueue mail --queue mail --tag a -P customer.id:=7 --group g").want(t, 0)
	s.admin("enqueue mail --queue mail --tag b").want(t, 0)
	s.admin("enqueue report --delay 1h -P n=x").want(t, 0)
	for filter, ids := range map[string]string{
		"--tag a": "1,", "--kind mail": "1,2,", "--state scheduled": "3,", "--arg n=x": "3,", "--group g": "1,", "--queue mail --queue default": "1,2,3,",
		"--until 1d": "", "--since 1h --kind report": "3,", "--error x": "", "": "1,2,3,",
	} {
		o := s.admin("export jobs --format csv " + filter)
		var got strings.Builder
		for _, line := range strings.Split(strings.TrimSpace(o.stdout), "\n")[1:] {
			id, _, _ := strings.Cut(line, ",")
			got.WriteString(id + ",")
		}
		if o.want(t, 0); got.String() != ids {
			t.Errorf("%s: got %s, want %s", filter, got.String(), ids)
		}
	}
	s.admin("export events --type enqueued --kind mail --job 1 --since 1h").want(t, 0, `"type":"end"`)
	s.admin("export events --type enqueud").want(t, 2, "did you mean enqueued?")
}

func TestSettingsAreCarriedToAnotherSchema(t *testing.T) {
	t.Parallel()
	url, dir := pgtest.Database(t), t.TempDir()
	call := func(stdin string, words ...string) outcome { return c(t, stdin, append(words, "--url", url)...) }
	call("", "queue", "set", "mail", "max_depth=1000").want(t, 0)
	call("", "limit", "set", "kind", "sms", "--rate", "5").want(t, 0)
	file := filepath.Join(dir, "settings.jsonl.gz")
	call("", "export", "settings", "--file", file).want(t, 0, "exported 3 settings")
	call("", "export", "settings", "--file", filepath.Join(dir, "settings.csv")).want(t, 2, "settings are exported as JSON lines")
	call("", "migrate", "up", "--schema", "b").want(t, 0)
	call("", "import", file, "--schema", "b", "--dry-run").want(t, 0, "would have created limit of kind sms", "would import settings: 2 created, 0 changed, 1 unchanged")
	call("", "import", file, "--schema", "b").want(t, 0, "\ncreated limit of kind sms", "imported settings: 2 created")
	call("", "import", file, "--schema", "b").want(t, 0, "imported settings: 0 created, 0 changed, 3 unchanged")
	text := call("", "export", "settings", "--schema", "b").stdout
	call(strings.Replace(text, `"rate": 5`, `"rate": 0`, 1), "import", "-", "--schema", "b").want(t, 2, "line 4: rate must be at least 1; nothing was imported")
	call(strings.Replace(text, `1000`, `7`, 1), "import", "-", "--schema", "b").want(t, 0, "changed queue mail\nimported settings: 0 created, 1 changed, 2 unchanged")
	call("", "queue", "show", "mail", "--schema", "b", "-o", "json").want(t, 0, `"max_depth": 7`)
}

func TestWhatIsNestedDeeperThanGoReadsIsShownAndCarriedAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(`create temp table deep as select (repeat('[', 9999) || repeat(']', 9999))::jsonb as list,
			(repeat('{"<a>,\": ":', 10000) || '1.50' || repeat('}', 10000))::jsonb as object;
		select register_worker('w', '{work}', '{work}');
		select enqueue('work', list, queue => 'work'), enqueue('work', object, queue => 'work'), enqueue('work', '[1]', queue => 'work') from deep;
		select claim(1, '{work}', '{3}');
		select complete(1, '{1,2}', '{1,1}', array[object, list]) from deep;
		insert into steps (job_id, name, type, done_at, output) select 3, 'a', 'step', now(), object from deep;
		drop table deep`)
	var page struct {
		Items []struct {
			Args, Output any
		}
	}
	if err := json.Unmarshal([]byte(s.admin("job list -o json").stdout), &page); err != nil || len(page.Items) != 3 {
		t.Fatal(err, len(page.Items))
	}
	if text, ok := page.Items[1].Args.(string); !ok || !strings.HasPrefix(text, `{"<a>,\": ":`) {
		t.Errorf("args are %.30v", page.Items[1].Args)
	}
	s.admin("job list -o yaml --columns id,args").want(t, 0, "id: 1")
	s.admin("job show 1").want(t, 0, "[[[[")
	s.admin("job show 2 -o json").want(t, 0, `"[[[[`)
	for _, format := range []string{"csv", "parquet"} {
		s.admin("export results --file", filepath.Join(t.TempDir(), "results."+format)).want(t, 0, "exported 2 results")
	}
	s.admin("export results").want(t, 0, `"output":[[[[`)
	for _, format := range []string{"jsonl", "csv", "parquet"} {
		file := filepath.Join(t.TempDir(), "jobs."+format)
		s.admin("export jobs --file", file).want(t, 0, "exported 3 jobs")
		other := newSite(t)
		other.admin("import", file).want(t, 0, "imported 3 jobs")
		const all = "select md5(string_agg(concat_ws(' ', j.args, r.output, s.output), ' ' order by j.id))" +
			" from pgq.jobs j left join pgq.results r on r.job_id = j.id left join pgq.steps s on s.job_id = j.id"
		if was, is := query(t, connect(t, s.url), all), query(t, connect(t, other.url), all); was != is {
			t.Errorf("%s: args and results are not those that were exported", format)
		}
		other.healthy()
	}
	tooDeep := strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001)
	s.refuses([]refusal{{[]string{"enqueue", "k", "--args", tooDeep}, 2, "exceeded max depth"}, {[]string{"enqueue", "k", "-P", "x:=" + tooDeep}, 2, "is no JSON"}})
}
