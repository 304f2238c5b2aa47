package output

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// Stage is a terminal that is used as a whole: what was on it is there again after Close. Keys come at once, without echo.
type Stage struct {
	screen  Screen
	in      *os.File
	before  *term.State
	once    sync.Once
	keys    chan byte
	restore error
}

// Sequences that terminals understand: the alternate screen, the cursor, and clearing.
const (
	enterStage = "\x1b[?1049h\x1b[?25l\x1b[2J"
	leaveStage = "\x1b[?25h\x1b[?1049l"
	home       = "\x1b[H"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
)

// NewStage takes a terminal over, of which in are the keys. *Error, a wrong use: one of them is no terminal.
// Whoever calls it defers Close, which a panic runs, too.
func NewStage(in any, screen Screen) (*Stage, error) {
	file, ok := in.(*os.File)
	if !ok || !IsTerminal(in) || !screen.Terminal {
		return nil, Usagef("this needs a terminal")
	}
	before, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return nil, fmt.Errorf("take the terminal over: %w", err)
	}
	s := &Stage{screen: screen, in: file, before: before, keys: make(chan byte, 16)}
	if _, err := io.WriteString(screen, enterStage); err != nil {
		_ = s.Close()
		return nil, err
	}
	s.Go(s.read)
	return s, nil
}

// Go runs a function in a goroutine. Should it panic the terminal is given back first.
func (s *Stage) Go(do func()) {
	go func() {
		defer func() {
			if broken := recover(); broken != nil {
				_ = s.Close()
				panic(broken)
			}
		}()
		do()
	}()
}

// read passes keys on until there are no more. It ends with the process: nothing ends a read of a terminal.
func (s *Stage) read() {
	defer close(s.keys)
	buffer := make([]byte, 64)
	for {
		n, err := s.in.Read(buffer)
		for i, key := range buffer[:n] {
			if key == '\x1b' && i < n-1 {
				break // an arrow or the like: the rest belongs to it
			}
			s.keys <- key
		}
		if err != nil {
			return
		}
	}
}

// Keys are what the user types; closed when the terminal has gone.
func (s *Stage) Keys() <-chan byte { return s.keys }

// Draw shows lines from the top; what does not fit is left out.
func (s *Stage) Draw(lines []string) error {
	width, height := s.screen.Size()
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	var text strings.Builder
	text.WriteString(home)
	for i, line := range lines {
		if i > 0 {
			text.WriteString("\r\n")
		}
		text.WriteString(Fit(line, width) + clearLine)
	}
	text.WriteString(clearBelow)
	_, err := io.WriteString(s.screen, text.String())
	return err
}

// Close gives the terminal back as it was. It may be called again, and by anybody.
func (s *Stage) Close() error {
	s.once.Do(func() {
		_, err := io.WriteString(s.screen, leaveStage)
		s.restore = term.Restore(int(s.in.Fd()), s.before)
		if s.restore == nil {
			s.restore = err
		}
	})
	return s.restore
}
