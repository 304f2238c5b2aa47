package output_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
)

func TestSparklinesBarsAndMetersHaveTheSizeOfWhatTheyShow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{output.Sparkline(nil), ""},
		{output.Sparkline([]int64{0, 0}), "··"},
		{output.Sparkline([]int64{1, 4, 8, 0}), "▂▅█·"},
		{output.Sparkline([]int64{-1, math.MaxInt64, 1}), "·█▁"},
		{output.Bar(0, 1, 10), ""},
		{output.Bar(1, 0, 10), ""},
		{output.Bar(1, 1, 3), "███"},
		{output.Bar(5, 1, 3), "███"},
		{output.Bar(0.5, 1, 3), "█▌"},
		{output.Bar(1e-9, 1, 3), "▏"},
		{output.Meter(0.5, 4), "[##..]"},
		{output.Meter(-1, 2), "[..]"},
		{output.Meter(7, 2), "[##]"},
		{output.Meter(math.NaN(), 2), "[..]"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestFitCutsLinesWithColours(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line  string
		width int
		want  string
	}{
		{"plain", 0, "plain"},
		{"plain", 5, "plain"},
		{"plain", 4, "pla…"},
		{"\x1b[1mbold\x1b[0m", 4, "\x1b[1mbold\x1b[0m"},
		{"\x1b[1mbold\x1b[0m rest", 6, "\x1b[1mbold\x1b[0m …"},
		{"\x1b[1mbold\x1b[0m\x1b[2mfaint\x1b[0m", 3, "\x1b[1mbo…\x1b[0m\x1b[2m\x1b[0m"},
		{"ab\x1b[1mcd\x1b[0mef", 3, "ab\x1b[1m…\x1b[0m"},
		{"漢字漢字", 5, "漢字…"},
	} {
		if got := output.Fit(c.line, c.width); got != c.want {
			t.Errorf("Fit(%q, %d) = %q, want %q", c.line, c.width, got, c.want)
		}
	}
}

func TestCleanLinesKeepIndentationAndNothingThatSteersTerminals(t *testing.T) {
	t.Parallel()
	got := output.CleanLines("a\r\n\tb \x1b[2J\n\n  c\u202e\rd\u009b\n\n")
	if want := "a|    b  [2J||  c\ufffd d"; strings.Join(got, "|") != want {
		t.Errorf("%q, want %q", strings.Join(got, "|"), want)
	}
	if output.CleanLines("\n ") != nil {
		t.Error("nothing has lines")
	}
}

func TestNumbersAndHiddenCharactersSurviveEveryFormat(t *testing.T) {
	t.Parallel()
	const value = `{"z":123456789012345678901234567890.120,"a":[1,{"b":null},[],{}],"c":"\u009b2J\u202e\u2028😀","d":"yes","e":"1.0"}`
	columns := []output.Column[json.RawMessage]{{Name: "v", Value: func(v json.RawMessage) any { return v }}}
	for _, format := range []output.Format{output.FormatJSON, output.FormatJSONL, output.FormatYAML, output.FormatCSV} {
		table, err := output.NewTable(&output.Options{Format: format}, columns)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := table.Print(output.NewScreen(&out), []json.RawMessage{json.RawMessage(value)}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "123456789012345678901234567890.120") {
			t.Errorf("%s: the number is lost:\n%s", format, out.String())
		}
		if format != output.FormatYAML && strings.ContainsAny(out.String(), "\u009b\u202e") {
			t.Errorf("%s: %q", format, out.String())
		}
		if format != output.FormatYAML {
			continue
		}
		var page struct {
			Items []struct{ V map[string]any }
		}
		if err := yaml.Unmarshal(out.Bytes(), &page); err != nil || page.Items[0].V["d"] != "yes" || page.Items[0].V["e"] != "1.0" ||
			strings.Index(out.String(), "z:") > strings.Index(out.String(), "a:") {
			t.Errorf("%v in\n%s", err, out.String())
		}
	}
}

func TestEstimatesSharesAndSeriesAreNumbersForPrograms(t *testing.T) {
	t.Parallel()
	type row struct {
		n      int64
		exact  bool
		share  float64
		series []int64
	}
	columns := []output.Column[row]{
		{Name: "n", Value: func(r row) any { return output.Estimate{Count: r.n, Exact: r.exact} }},
		{Name: "share", Value: func(r row) any { return output.Share(r.share) }},
		{Name: "series", Value: func(r row) any { return output.Series(r.series) }},
	}
	rows := []row{{10, true, 0.5, []int64{1, 2}}, {9, false, 0, nil}}
	print := func(o output.Options) string {
		table, err := output.NewTable(&o, columns)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := table.Print(output.NewScreen(&out), rows); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got, want := print(output.Options{Format: output.FormatTable, Sort: "n"}), "N   SHARE  SERIES\n~9  -      -\n10  █████  ▅█\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := print(output.Options{Format: output.FormatJSONL}), "{\"n\":10,\"share\":0.5,\"series\":[1,2]}\n{\"n\":9,\"share\":0,\"series\":[]}\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRepeatEndsWithTheLastLookAnErrorOrTheContext(t *testing.T) {
	t.Parallel()
	n := 0
	if err := output.Repeat(t.Context(), time.Nanosecond, func() (bool, error) { n++; return n == 3, nil }); err != nil || n != 3 {
		t.Error(n, err)
	}
	odd := errors.New("odd")
	if err := output.Repeat(t.Context(), time.Hour, func() (bool, error) { return false, odd }); err != odd {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := output.Repeat(ctx, time.Hour, func() (bool, error) { cancel(odd); return false, errors.New("because of that") }); err != odd {
		t.Error(err)
	}
}
