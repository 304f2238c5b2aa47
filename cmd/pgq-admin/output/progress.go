package output

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// How often a progress is shown on a terminal, and told of elsewhere.
const (
	drawEvery     = 100 * time.Millisecond
	progressEvery = 5 * time.Second
)

// Progress tells people how far something has come: by a bar on a terminal, elsewhere by a line every few seconds.
type Progress struct {
	screen      Screen
	quiet       bool
	what, noun  string
	done, total int64
	began, told time.Time
	bar         *progressbar.ProgressBar // nil unless it is for a terminal, and the total is known
	drawn       bool
}

// NewProgress returns the progress of something, "cancel" of "jobs" for example; total is 0 where nobody knows it. Programs are told nothing.
func NewProgress(screen Screen, o Options, what, noun string, total int64) *Progress {
	now := time.Now()
	p := &Progress{screen: screen, quiet: !o.Format.ForPeople(), what: what, noun: noun, total: total, began: now, told: now}
	if screen.Terminal && !p.quiet && total > 0 {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(screen), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(noun), progressbar.OptionSetWidth(20),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
		p.bar.StartWithoutRender()
	}
	return p
}

// Add says that so many more are done; for each row it may be called. The total rises where more come than were counted.
func (p *Progress) Add(n int64) {
	p.done += n
	if p.total > 0 && p.done > p.total {
		p.total = p.done
	}
	every := progressEvery
	if p.screen.Terminal {
		every = drawEvery
	}
	if p.quiet || time.Since(p.told) < every {
		return
	}
	p.told = time.Now()
	if p.screen.Terminal {
		p.draw()
	} else {
		fmt.Fprintln(p.screen, p.line())
	}
}

func (p *Progress) draw() {
	p.drawn = true
	if p.bar == nil {
		fmt.Fprintf(p.screen, "\r\x1b[K%s", p.line())
		return
	}
	if p.bar.GetMax64() != p.total {
		p.bar.ChangeMax64(p.total)
	}
	_ = p.bar.Set64(p.done) // an error of the terminal: what counts is written to the standard output
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
	if p.drawn {
		fmt.Fprint(p.screen, "\r\x1b[K")
	}
}
