package output

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Looks that take long are less frequent: between two of them this many times as long passes, but not more than maxPause.
const (
	restFactor = 3
	maxPause   = 5 * time.Second
)

// Repeat looks again and again until look says that this was the last time or returns an error, or the context ends;
// then it returns its cause. Between two looks an interval passes, or more when looks cost much.
func Repeat(ctx context.Context, interval time.Duration, look func() (last bool, err error)) error {
	for {
		begin := time.Now()
		last, err := look()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if last || err != nil {
			return err
		}
		timer := time.NewTimer(max(interval, min(restFactor*time.Since(begin), maxPause)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// Painter draws lines on a terminal over those that it has drawn before.
type Painter struct {
	Screen Screen
	drawn  int
}

// Draw draws lines, none of which may be wider than the terminal.
func (p *Painter) Draw(lines []string) error {
	var text strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA\r\x1b[J", p.drawn)
	}
	for _, line := range lines {
		text.WriteString(line + "\n")
	}
	p.drawn = len(lines)
	_, err := io.WriteString(p.Screen, text.String())
	return err
}

// Watch shows something again and again until the context ends. show writes it to the screen that it is given. On a
// terminal it is drawn over what was there, as much of it as there is room for; elsewhere everything follows what was before.
func Watch(ctx context.Context, s Screen, interval time.Duration, show func(Screen) error) error {
	painter := Painter{Screen: s}
	return Repeat(ctx, interval, func() (bool, error) {
		if !s.Terminal {
			return false, show(s)
		}
		var text bytes.Buffer
		if err := show(s.To(&text)); err != nil {
			return false, err
		}
		lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
		width, _ := s.Size()
		for i := range lines {
			lines[i] = Fit(lines[i], width)
		}
		return false, painter.Draw(Shorten(lines, s))
	})
}

// Shorten leaves lines out at the end that do not fit on the terminal, and says so.
func Shorten(lines []string, s Screen) []string {
	_, height := s.Size()
	room := height - 1
	if height == 0 || len(lines) <= room {
		return lines
	}
	room = max(1, room)
	more := len(lines) - (room - 1)
	return append(lines[:room-1:room-1], fmt.Sprintf("… and %d more lines", more))
}
