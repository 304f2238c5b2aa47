package output

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressEvery is how often a progress is told of where there is no terminal.
const progressEvery = 5 * time.Second

// Progress tells people how far something has come: by a bar on a terminal, elsewhere by a line every few seconds.
type Progress struct {
	screen      Screen
	quiet       bool
	what, noun  string
	done, total int64
	began, told time.Time
	bar         *progressbar.ProgressBar
}

// NewProgress returns the progress of something, "cancel" of "jobs" for example; total is 0 where nobody knows it. Programs are told nothing.
func NewProgress(screen Screen, o Options, what, noun string, total int64) *Progress {
	now := time.Now()
	return &Progress{screen: screen, quiet: !o.Format.ForPeople(), what: what, noun: noun, total: total, began: now, told: now}
}

// Add says that so many more are done. The total rises where more come than were counted.
func (p *Progress) Add(n int64) {
	p.done += n
	if p.total > 0 && p.done > p.total {
		p.total = p.done
	}
	switch {
	case p.quiet:
	case p.screen.Terminal:
		p.draw(n)
	case time.Since(p.told) >= progressEvery:
		p.told = time.Now()
		fmt.Fprintln(p.screen, p.line())
	}
}

func (p *Progress) draw(n int64) {
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(max(p.total, 1), progressbar.OptionSetWriter(p.screen), progressbar.OptionSetDescription(p.what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(p.noun), progressbar.OptionSetWidth(20),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
	}
	if p.total == 0 {
		fmt.Fprintf(p.screen, "\r\x1b[K%s", p.line())
		return
	}
	if p.bar.GetMax64() != p.total {
		p.bar.ChangeMax64(p.total)
	}
	_ = p.bar.Add64(n) // an error of the terminal: what counts is written to the standard output
}

// line is the progress in words: 149000 of 200000 jobs (74 %), 12400 per second, 4.1s to go.
func (p *Progress) line() string {
	rate := float64(p.done) / max(time.Since(p.began).Seconds(), 0.001)
	if p.total == 0 {
		return fmt.Sprintf("%s: %d %s, %.0f per second", p.what, p.done, p.noun, rate)
	}
	text := fmt.Sprintf("%s: %d of %d %s (%d %%), %.0f per second", p.what, p.done, p.total, p.noun, p.done*100/p.total, rate)
	if rate > 0 {
		text += fmt.Sprintf(", %s to go", Brief(time.Duration(float64(p.total-p.done)/rate*float64(time.Second))))
	}
	return text
}

// End takes the bar away, for what is written below.
func (p *Progress) End() {
	if p.bar != nil {
		fmt.Fprint(p.screen, "\r\x1b[K")
	}
}
