package command

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"github.com/pgq-go/queue/pgq"
)

// printed keeps what a command writes to its standard output, up to a limit; the rest is read and dropped.
type printed struct {
	limit    int
	discard  bool
	exceeded chan struct{} // closed when there is more than that

	mu   sync.Mutex
	data []byte
	over bool
}

func newPrinted(limit int, discard bool) *printed {
	return &printed{limit: limit, discard: discard, exceeded: make(chan struct{})}
}

func (p *printed) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keep := data[:min(len(data), p.limit-len(p.data))]
	p.data = append(p.data, keep...)
	if len(keep) < len(data) && !p.discard && !p.over {
		p.over = true
		close(p.exceeded)
	}
	return len(data), nil
}

func (p *printed) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.data
}

func (p *printed) tooLong() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

const (
	maxLine  = 8 << 10 // longer lines are cut into several
	maxLines = 1000    // of an attempt are logged
	maxTail  = 4 << 10 // bytes are kept for the error
)

// lines reads the standard error of a command: each line is logged, the last ones are kept.
type lines struct {
	log func(line string)

	mu   sync.Mutex
	line []byte
	n    int
	tail []byte
}

func (l *lines) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, data[max(0, len(data)-maxTail):]...)
	l.tail = l.tail[max(0, len(l.tail)-maxTail):]
	n := len(data)
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		piece := data
		if end >= 0 {
			piece = data[:end]
		}
		piece = piece[:min(len(piece), maxLine-len(l.line))]
		l.line = append(l.line, piece...)
		data = data[len(piece):]
		switch {
		case len(data) > 0 && data[0] == '\n':
			data = data[1:]
			l.flush()
		case len(l.line) == maxLine:
			l.flush()
		}
	}
	return n, nil
}

// flush logs the line. Needs mu.
func (l *lines) flush() {
	text := clean(string(l.line), ' ')
	l.line = l.line[:0]
	if text == "" {
		return
	}
	l.n++
	if l.n <= maxLines {
		l.log(text)
	}
}

// end logs a last line without an end, and how many were dropped.
func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	if l.n > maxLines {
		l.log(fmt.Sprintf("%d more lines were dropped", l.n-maxLines))
	}
}

// last returns the last lines.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.ToValidUTF8(string(l.tail), "")
	if len(l.tail) == maxTail {
		text = "…" + text
	}
	return clean(text, '\n')
}

// clean replaces what could steer a terminal, but for line breaks if these are to stay.
func clean(text string, lineBreak rune) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lineBreak == '\n', r == '\t':
			return r
		case unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return '\uFFFD'
		}
		return r
	}, text)
	return strings.TrimSpace(pgq.Printable(text))
}
