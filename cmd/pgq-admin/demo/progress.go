package demo

import (
	"fmt"
	"io"

	"github.com/schollz/progressbar/v3"
)

// progress shows how much of something is done: a bar on a terminal, a line per quarter elsewhere.
type progress struct {
	out   io.Writer
	bar   *progressbar.ProgressBar // nil elsewhere
	total int
	what  string
	said  int // quarters
}

func newProgress(out io.Writer, terminal bool, total int, what string) *progress {
	p := &progress{out: out, total: total, what: what}
	if terminal {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription("  "+what),
			progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(40),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetTheme(progressbar.ThemeASCII),
			progressbar.OptionOnCompletion(func() { fmt.Fprintln(out) }),
		)
	}
	return p
}

func (p *progress) set(done int) {
	if p.bar != nil {
		_ = p.bar.Set(done)
		return
	}
	if quarter := 4 * done / p.total; quarter > p.said {
		p.said = quarter
		fmt.Fprintf(p.out, "  %d of %d %s\n", done, p.total, p.what)
	}
}

// end leaves the line of a bar that was not finished.
func (p *progress) end() {
	if p.bar != nil && !p.bar.IsFinished() {
		fmt.Fprintln(p.out)
	}
}
