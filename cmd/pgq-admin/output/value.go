package output

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pgq-go/queue/internal/rawjson"
)

// Fraction is a number that is shown to people in percent.
type Fraction float64

// Share is a part of a whole, 0 to 1, that is shown to people as a bar.
type Share float64

// Series are counts in parts of a time, that are shown to people as a sparkline.
type Series []int64

// Estimate is a count that may be an estimate, which people see by a ~ before it, or by a ≥ if there are at least so many.
type Estimate struct {
	Count   int64
	Exact   bool
	AtLeast bool
}

// shareWidth is how wide the bar of a Share is.
const shareWidth = 10

// plain returns what a value is without pointers: nil, a string, a number, a bool, a time.Time, a time.Duration, or
// something that is only shown.
func plain(value any) any {
	v := reflect.ValueOf(value)
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil
	}
	switch x := v.Interface().(type) {
	case time.Time, time.Duration, Fraction, Share, Series, Estimate:
		return x
	case json.RawMessage:
		if x == nil {
			return nil
		}
		return x
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	}
	return v.Interface()
}

// display returns a value for people, in one line; "-" for none.
func display(value any) string {
	text := ""
	switch x := plain(value).(type) {
	case nil:
	case string:
		text = Clean(x)
	case time.Time:
		text = x.UTC().Format(time.RFC3339)
	case time.Duration:
		text = Brief(x)
	case Fraction:
		text = fmt.Sprintf("%.0f %%", float64(x)*100)
	case Share:
		text = Bar(float64(x), 1, shareWidth)
	case Series:
		text = Sparkline(x)
	case Estimate:
		text = strconv.FormatInt(x.Count, 10)
		switch {
		case !x.Exact && x.AtLeast:
			text = "≥" + text
		case !x.Exact:
			text = "~" + text
		}
	case float64:
		text = strings.TrimRight(strconv.FormatFloat(x, 'f', 3, 64), "0")
		if x >= 100 || strings.HasSuffix(text, ".") {
			text = strconv.FormatFloat(x, 'f', 1, 64)
		}
	case json.RawMessage:
		text = Clean(string(x))
	case []string:
		text = Clean(strings.Join(x, ","))
	default:
		text = Clean(fmt.Sprint(x))
	}
	if text == "" {
		return "-"
	}
	return text
}

// data returns a value for programs: JSON, where durations are seconds, and JSON that is nested so deep that many programs cannot read it is text.
func data(value any) (json.RawMessage, error) {
	v := plain(value)
	switch x := v.(type) {
	case time.Time:
		v = x.UTC()
	case time.Duration:
		v = x.Seconds()
	case Estimate:
		v = x.Count
	case Series:
		if x == nil {
			v = []int64{}
		}
	case []string:
		if x == nil {
			v = []string{}
		}
	case json.RawMessage:
		if rawjson.IsDeep(x) {
			v = string(x)
		}
	}
	return encode(v)
}

// Value returns the value of a column as JSON has it.
func Value(value any) (json.RawMessage, error) { return data(value) }

// encode returns JSON that leaves <, > and & as they are, and writes what cannot be seen or steers terminals as \u….
func encode(v any) (json.RawMessage, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return visible(bytes.TrimSuffix(text.Bytes(), []byte("\n"))), err
}

// visible returns JSON with escapes for characters that are not graphic: they can only be in strings.
func visible(text []byte) []byte {
	hidden := func(r rune) bool {
		return r > unicode.MaxASCII && !unicode.IsGraphic(r) && r != utf8.RuneError || r == 0x7f
	}
	if bytes.IndexFunc(text, hidden) < 0 {
		return text
	}
	var shown bytes.Buffer
	for _, r := range string(text) {
		switch high, low := utf16.EncodeRune(r); {
		case !hidden(r):
			shown.WriteRune(r)
		case high == unicode.ReplacementChar:
			fmt.Fprintf(&shown, `\u%04x`, r)
		default:
			fmt.Fprintf(&shown, `\u%04x\u%04x`, high, low)
		}
	}
	return shown.Bytes()
}

// field returns a value for CSV: JSON, but for text without quotes, and nothing for none.
func field(value any) (string, error) {
	switch x := plain(value).(type) {
	case nil:
		return "", nil
	case string:
		return x, nil
	case time.Time:
		return x.UTC().Format(time.RFC3339Nano), nil
	}
	text, err := data(value)
	return string(text), err
}

// compare orders values of a column; what has none comes last.
func compare(a, b any) int {
	a, b = plain(a), plain(b)
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	case float64:
		if y, ok := b.(float64); ok {
			return cmp.Compare(x, y)
		}
	case Fraction:
		if y, ok := b.(Fraction); ok {
			return cmp.Compare(x, y)
		}
	case Share:
		if y, ok := b.(Share); ok {
			return cmp.Compare(x, y)
		}
	case Estimate:
		if y, ok := b.(Estimate); ok {
			return cmp.Compare(x.Count, y.Count)
		}
	case Series:
		if y, ok := b.(Series); ok {
			return slices.Compare(x, y)
		}
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return cmp.Compare(x, y)
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y)
		}
	case []string:
		if y, ok := b.([]string); ok {
			return slices.Compare(x, y)
		}
	}
	return cmp.Compare(display(a), display(b))
}

// Brief returns a duration for people: "340ms", "1.2s", "3m20s", "5h10m", "2d4h".
func Brief(d time.Duration) string {
	if d < 0 {
		return "-" + Brief(-d)
	}
	whole := func(unit time.Duration) int { return int(d / unit) }
	switch {
	case d == 0:
		return "0s"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2gms", float64(d)/float64(time.Millisecond))
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%.0fms", float64(d)/float64(time.Millisecond))
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	d = d.Round(time.Second)
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", whole(time.Minute), whole(time.Second)%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", whole(time.Hour), whole(time.Minute)%60)
	}
	return fmt.Sprintf("%dd%dh", whole(24*time.Hour), whole(time.Hour)%24)
}

// Noun returns a word for things that are counted: "job" of one, else "jobs".
func Noun[N int | int64](n N, one string) string {
	if n == 1 {
		return one
	}
	return one + "s"
}

// Count returns how many there are: "1 job", "2 jobs".
func Count[N int | int64](n N, one string) string { return fmt.Sprintf("%d %s", n, Noun(n, one)) }
