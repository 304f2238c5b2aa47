package output

import (
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
	"golang.org/x/term"

	"github.com/pgq-go/queue/pgq"
)

// Screen is where output goes, and what can be shown there. A Screen of a writer alone is a file or pipe.
type Screen struct {
	io.Writer
	Terminal bool
	Colours  bool
	size     func() (width, height int, err error)
}

// NewScreen looks at where output goes. Colours: a terminal, unless NO_COLOR is set (no-color.org).
func NewScreen(w io.Writer) Screen {
	s := Screen{Writer: w}
	if f, ok := w.(*os.File); ok && IsTerminal(w) {
		s.Terminal, s.Colours = true, os.Getenv("NO_COLOR") == ""
		s.size = func() (int, int, error) { return term.GetSize(int(f.Fd())) }
	}
	return s
}

// IsTerminal tells whether somebody sits at the other end: of what is written, or read.
func IsTerminal(end any) bool {
	f, ok := end.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// Size returns how many columns and lines there are; 0 for as many as one likes.
func (s Screen) Size() (width, height int) {
	if s.size == nil {
		return 0, 0
	}
	width, height, err := s.size()
	if err != nil {
		return 0, 0
	}
	return width, height
}

// To returns a screen like this one that is written elsewhere.
func (s Screen) To(w io.Writer) Screen {
	s.Writer = w
	return s
}

// Narrower returns a screen with so many columns less, for lines that are indented.
func (s Screen) Narrower(by int) Screen {
	if size := s.size; size != nil {
		s.size = func() (int, int, error) {
			width, height, err := size()
			return max(1, width-by), height, err
		}
	}
	return s
}

// Colour is an SGR code of terminals; the zero value is the usual colour.
type Colour string

// The colours.
const (
	Bold   Colour = "1"
	Faint  Colour = "2"
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
	Blue   Colour = "34"
)

// Paint returns the text in a colour, where there are colours.
func (s Screen) Paint(c Colour, text string) string {
	if !s.Colours || c == "" || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// StateColour returns the colour of a state of jobs and DAGs.
func StateColour(state pgq.State) Colour {
	switch state {
	case pgq.Completed:
		return Green
	case pgq.Running:
		return Blue
	case pgq.Failed:
		return Red
	case pgq.Cancelled, pgq.Expired, "held":
		return Yellow
	case pgq.Waiting, pgq.Scheduled, pgq.Skipped:
		return Faint
	}
	return ""
}

// Clean returns a text in one line and without what could steer a terminal.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return ' '
		case !unicode.IsGraphic(r):
			return '\uFFFD'
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}

// Cut returns a text of one line that is at most so wide; 0 for any width.
func Cut(text string, width int) string {
	if width <= 0 || uniseg.StringWidth(text) <= width {
		return text
	}
	var cut strings.Builder
	left := width - 1
	for rest, state := text, -1; rest != ""; {
		var cluster string
		var wide int
		cluster, rest, wide, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if left -= wide; left < 0 {
			break
		}
		cut.WriteString(cluster)
	}
	return cut.String() + "…"
}

// CleanLines returns the lines of a text without what could steer a terminal; indentation stays, none for an empty text.
func CleanLines(text string) []string {
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n\r\t ")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.ReplaceAll(line, "\t", "    ")
		rest := strings.TrimLeft(line, " ")
		lines[i] = strings.TrimRight(line[:len(line)-len(rest)]+Clean(rest), " ")
	}
	return lines
}

// Fit returns a line, which may have colours, that is at most so wide; 0 for any width.
func Fit(line string, width int) string {
	if width <= 0 {
		return line
	}
	if !strings.Contains(line, "\x1b") {
		return Cut(line, width)
	}
	var plain, fitted strings.Builder
	parts := splitColours(line)
	for _, part := range parts {
		if part[0] != '\x1b' {
			plain.WriteString(part)
		}
	}
	if uniseg.StringWidth(plain.String()) <= width {
		return line
	}
	left := width - 1
	for _, part := range parts {
		if part[0] == '\x1b' {
			fitted.WriteString(part) // colours end behind what is cut, too
			continue
		}
		switch wide := uniseg.StringWidth(part); {
		case left < 0:
		case wide <= left:
			fitted.WriteString(part)
			left -= wide
		default:
			fitted.WriteString(Cut(part, left+1))
			left = -1
		}
	}
	return fitted.String()
}

// splitColours returns the parts of a line: colours, which begin with ESC and end with m, and what is between them.
func splitColours(line string) (parts []string) {
	for line != "" {
		end := strings.IndexByte(line, '\x1b')
		if end == 0 {
			if end = strings.IndexByte(line, 'm') + 1; end == 0 {
				end = len(line)
			}
		} else if end < 0 {
			end = len(line)
		}
		parts = append(parts, line[:end])
		line = line[end:]
	}
	return parts
}
