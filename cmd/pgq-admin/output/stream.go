package output

import "bytes"

// Stream prints rows as they come: a header once, and columns that do not become narrower. JSON and YAML, which are one document, at Close.
type Stream[T any] struct {
	table  *Table[T]
	screen Screen
	begun  bool
	rows   []T
}

// Stream returns what prints rows of the table as they come.
func (t *Table[T]) Stream(s Screen) *Stream[T] {
	t.widths = make([]int, len(t.columns))
	return &Stream[T]{table: t, screen: s}
}

// Add prints rows.
func (s *Stream[T]) Add(rows []T) error {
	if f := s.table.format; f == FormatJSON || f == FormatYAML {
		s.rows = append(s.rows, rows...)
		return nil
	}
	if len(rows) == 0 {
		return nil
	}
	var text bytes.Buffer
	if err := s.table.write(&text, s.screen, rows); err != nil {
		return err
	}
	lines := text.Bytes()
	if f := s.table.format; s.begun && (f.ForPeople() || f == FormatCSV) { // without the header, whose names have no line breaks
		lines = lines[bytes.IndexByte(lines, '\n')+1:]
	}
	s.begun = true
	_, err := s.screen.Write(lines)
	return err
}

// Close prints what is one document.
func (s *Stream[T]) Close() error {
	if f := s.table.format; f == FormatJSON || f == FormatYAML {
		return s.table.Print(s.screen, s.rows)
	}
	return nil
}
