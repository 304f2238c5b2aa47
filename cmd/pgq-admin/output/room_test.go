package output

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

func TestColumnsWithoutRoomAreNamed(t *testing.T) {
	t.Parallel()
	columns := []Column[string]{
		{Name: "id", Value: func(s string) any { return s }},
		{Name: "text", Value: func(string) any { return strings.Repeat("x", 40) }},
		{Name: "took", Value: func(string) any { return "1.2s" }},
		{Name: "last_error", Value: func(string) any { return "oops" }},
	}
	for width, left := range map[int]string{0: "", 200: "", 58: "", 52: "last_error", 30: "took, last_error", 4: "text, took, last_error", 1: "text, took, last_error"} {
		table, err := NewTable(&Options{Format: FormatTable}, columns)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		s := Screen{Writer: &text, size: func() (int, int, error) { return width, 50, nil }}
		if err := table.Print(s, []string{"1", "2"}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		for _, line := range lines {
			if width > 0 && uniseg.StringWidth(line) > max(width, 3) {
				t.Errorf("at %d there is a wider line: %q", width, line)
			}
		}
		if marked := strings.HasSuffix(lines[0], " …") && len(lines) == 4; marked != (left != "") {
			t.Errorf("at %d the header is %q", width, lines[0])
		}
		if got := len(lines) == 4; got != (left != "") || width > 40 && left != "" && !strings.Contains(lines[3], "no room for "+left) {
			t.Errorf("at %d:\n%s", width, text.String())
		}
	}
}
