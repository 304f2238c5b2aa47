package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/pgq-go/queue/pgq"
)

// row is what the tests print.
type row struct {
	name  string
	state pgq.State
	took  *time.Duration
	at    time.Time
	tags  []string
	extra json.RawMessage
}

var columns = []Column[row]{
	{Name: "name", Value: func(r row) any { return r.name }},
	{Name: "state", Value: func(r row) any { return r.state }},
	{Name: "took", Level: Wide, Value: func(r row) any { return r.took }},
	{Name: "started_at", Level: Data, Value: func(r row) any { return r.at }},
	{Name: "tags", Level: Data, Value: func(r row) any { return r.tags }},
	{Name: "extra", Level: Data, Value: func(r row) any { return r.extra }},
}

var (
	short = 1500 * time.Millisecond
	long  = 90 * time.Minute
	noon  = time.Date(2026, 1, 2, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	rows  = []row{
		{"böse\n<b>", pgq.Failed, &short, noon, []string{"a", "b"}, json.RawMessage(`{"x":1}`)},
		{"日本", pgq.Completed, nil, noon, nil, nil},
		{"", pgq.Running, &long, noon.Add(-time.Hour), nil, nil},
	}
)

func TestEstimatesAreMarked(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]Estimate{"7": {Count: 7, Exact: true, AtLeast: true}, "~7": {Count: 7}, "≥7": {Count: 7, AtLeast: true}} {
		if got := display(value); got != want {
			t.Errorf("%+v: %s, want %s", value, got, want)
		}
	}
}

func TestProgressIsToldAndNotToPrograms(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := NewProgress(Screen{Writer: &out}, Options{}, "cancel", "jobs", 200)
	p.began, p.told = p.began.Add(-10*time.Second), p.told.Add(-progressEvery)
	p.Add(50)
	p.Add(50) // too soon
	p.End()
	if got, want := out.String(), "cancel: 50 of 200 jobs (25 %), 5 per second, 30.0s to go\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p = NewProgress(Screen{Writer: &out}, Options{Format: FormatJSON}, "cancel", "jobs", 0)
	p.told = p.told.Add(-progressEvery)
	out.Reset()
	if p.Add(1); out.Len() != 0 {
		t.Errorf("programs are told %q", out.String())
	}
}

// printed returns what a table prints.
func printed(t *testing.T, o Options, s Screen) string {
	t.Helper()
	table, err := NewTable(&o, columns)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	s.Writer = &text
	if err := table.PrintPage(s, rows, 7); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "NAME      STATE\nböse <b>  failed\n日本      completed\n-         running\n"},
		{Options{Format: FormatWide}, "NAME      STATE      TOOK\nböse <b>  failed     1.5s\n日本      completed  -\n-         running    1h30m\n"},
		{Options{Format: FormatTable, Columns: []string{"STARTED_AT", "tags"}}, "STARTED AT            TAGS\n2026-01-02T12:00:00Z  a,b\n2026-01-02T12:00:00Z  -\n2026-01-02T11:00:00Z  -\n"},
		{Options{Format: FormatName}, "böse\n<b>\n日本\n\n"},
		{Options{Format: FormatName, Sort: "-took"}, "\nböse\n<b>\n日本\n"},
		{Options{Format: FormatName, Sort: "took"}, "böse\n<b>\n\n日本\n"},
		{Options{Format: FormatName, Sort: "started_at"}, "\nböse\n<b>\n日本\n"},
		{Options{Format: FormatCSV}, "name,state,took,started_at,tags,extra\n\"böse\n<b>\",failed,1.5,2026-01-02T12:00:00Z,\"[\"\"a\"\",\"\"b\"\"]\",\"{\"\"x\"\":1}\"\n" +
			"日本,completed,,2026-01-02T12:00:00Z,[],\n,running,5400,2026-01-02T11:00:00Z,[],\n"},
		{Options{Format: FormatJSONL, Columns: []string{"name", "took", "tags", "extra"}}, `{"name":"böse\n<b>","took":1.5,"tags":["a","b"],"extra":{"x":1}}` + "\n" +
			`{"name":"日本","took":null,"tags":[],"extra":null}` + "\n" + `{"name":"","took":5400,"tags":[],"extra":null}` + "\n"},
		{Options{Format: FormatJSON, Columns: []string{"state"}}, "{\n  \"items\": [\n    {\n      \"state\": \"failed\"\n    },\n    {\n      \"state\": \"completed\"\n    },\n    {\n      \"state\": \"running\"\n    }\n  ],\n  \"next\": 7\n}\n"},
		{Options{Format: FormatYAML, Columns: []string{"state", "took"}}, "items:\n- state: failed\n  took: 1.5\n- state: completed\n  took: null\n- state: running\n  took: 5400\nnext: 7\n"},
	} {
		if got := printed(t, c.o, Screen{}); got != c.want {
			t.Errorf("%+v:\n%q, want\n%q", c.o, got, c.want)
		}
	}
}

func TestATerminalGetsColoursAndNoLineTooLong(t *testing.T) {
	t.Parallel()
	narrow := Screen{Terminal: true, Colours: true, size: func() (int, int, error) { return 14, 5, nil }}
	got := printed(t, Options{}, narrow)
	if want := "\x1b[1mNAME\x1b[0m      \x1b[1mSTA…\x1b[0m\n"; !strings.HasPrefix(got, want) {
		t.Errorf("head is %q, want %q", got, want)
	}
	if !strings.Contains(got, "日本      \x1b[32mcom…\x1b[0m\n") {
		t.Errorf("no cut state in %q", got)
	}
	if width, _ := narrow.Narrower(20).Size(); width != 1 {
		t.Errorf("width is %d", width)
	}
	if width, height := (Screen{}).Narrower(3).Size(); width != 0 || height != 0 {
		t.Errorf("size of no terminal is %d, %d", width, height)
	}
}

func TestUnknownColumnsAreRefusedWithThoseThatThereAre(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Columns: []string{"name", "size"}}, {Sort: "size"}, {Sort: "-size"}} {
		_, err := NewTable(&o, columns)
		var wrong *Error
		if !errors.As(err, &wrong) || wrong.Code != ExitUsage || !strings.HasPrefix(wrong.Fix, "choose from name, state, took") || !strings.Contains(err.Error(), `no column "size"`) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestFlagsTakeTheFormatsOfTheCommand(t *testing.T) {
	t.Parallel()
	var o Options
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.FormatFlag(flags, FormatTable, FormatJSONL)
	if err := flags.Parse([]string{"-o", "jsonl"}); err != nil || o.Format != FormatJSONL {
		t.Errorf("%v, format %s", err, o.Format)
	}
	if err := flags.Parse([]string{"-o", "csv"}); err == nil || !strings.Contains(err.Error(), "table, jsonl") {
		t.Errorf("error is %v", err)
	}
}

func TestWantsJSON(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]bool{
		"": false, "list": false, "list -o": false, "-o json": true, "-ojsonl": true, "-o=json x": true, "--output json": true,
		"--output=jsonl": true, "--output=yaml": false, "-o json -o csv": false, "x -- -o json": false, "-o": false,
	} {
		if got := WantsJSON(strings.Fields(args)); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
}

func TestFailuresArePrintedForPeopleAndPrograms(t *testing.T) {
	t.Parallel()
	f := Failure{Code: ExitNotFound, Message: "there is no DAG <7>\n", Fix: "look", Problems: []Problem{{"a", "kind", "must be"}, {"", "name", "must"}}}
	var people, programs bytes.Buffer
	f.Print(&people, "pgq-admin", false)
	f.Print(&programs, "pgq-admin", true)
	if want := "pgq-admin: there is no DAG <7>\n  node \"a\": kind must be\n  name must\n  fix: look\n"; people.String() != want {
		t.Errorf("%q, want %q", people.String(), want)
	}
	want := `{"code":3,"reason":"not_found","message":"there is no DAG <7>\n","problems":[{"node":"a","field":"kind","rule":"must be"},{"field":"name","rule":"must"}],"fix":"look"}` + "\n"
	if programs.String() != want {
		t.Errorf("%s, want %s", programs.String(), want)
	}
	cause := errors.New("cause")
	if err := fmt.Errorf("around: %w", &Error{Code: ExitTimeout, Text: "late", Err: cause}); !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
}

func TestTextIsCleanedAndCut(t *testing.T) {
	t.Parallel()
	if got := Clean(" a\r\nb\x1b[2J\u202e \xff "); got != "a  b [2J\uFFFD \uFFFD" {
		t.Errorf("cleaned is %q", got)
	}
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"abc", 0, "abc"}, {"abc", 1, "…"}} {
		if got := Cut(c.text, c.width); got != c.want {
			t.Errorf("%q in %d: %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func TestBrief(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 340 * time.Microsecond: "0.34ms", 340 * time.Millisecond: "340ms", 1240 * time.Millisecond: "1.2s",
		999900 * time.Microsecond: "1.0s", 59990 * time.Millisecond: "1m0s", 200 * time.Second: "3m20s", 310 * time.Minute: "5h10m",
		52 * time.Hour: "2d4h", -time.Second: "-1.0s",
	} {
		if got := Brief(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestJSONIsLaidOutInLinesAsGoDoesItButNotFarDown(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `[]`, `1`, `"a"`, `{"a":{},"b":[],"c":[1,{"d":"e,{[:\\\"x]}"}]}`, strings.Repeat(`[`, maxIndent) + `1,2` + strings.Repeat(`]`, maxIndent)} {
		var want bytes.Buffer
		if err := json.Indent(&want, []byte(text), "", "  "); err != nil {
			t.Fatal(err)
		}
		if got := string(indent([]byte(text))); got != want.String() {
			t.Errorf("%s is laid out as\n%s", text, got)
		}
	}
	deep := strings.Repeat(`{"a":[`, 5000) + "1" + strings.Repeat(`]}`, 5000)
	got := indent([]byte(deep))
	if len(got) > 2*len(deep) {
		t.Errorf("%d bytes are laid out in %d", len(deep), len(got))
	}
	var same bytes.Buffer
	if err := json.Compact(&same, got); err != nil || same.String() != deep {
		t.Errorf("it is not the same any more: %v", err)
	}
}

func TestAListIsMadeOfWordsAndCommasAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"a", "[a]"}, {"a, b", "[a b]"}, {`"a",b`, `["a" b]`}, {"", "error"}, {"a,", "error"}, {",", "error"},
	} {
		var list []string
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		ListFlag(flags, &list, "words", []string{"usual"}, "")
		got := fmt.Sprint(list)
		if got != "[usual]" {
			t.Errorf("the default is %s", got)
		}
		if err := flags.Parse([]string{"--words", c.text}); err != nil {
			got = "error"
		} else {
			got = fmt.Sprint(list)
		}
		if got != c.want {
			t.Errorf("%q gives %s, want %s", c.text, got, c.want)
		}
	}
}
