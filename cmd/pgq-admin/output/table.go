package output

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/pgq-go/queue/pgq"
)

// Level says in which formats a column is shown, unless the user names the columns.
type Level int

// The levels.
const (
	Always Level = iota
	Wide         // not in tables, but in wide ones
	Data         // only in JSON, YAML and CSV
)

// Column is something to know of rows. The first column names them.
type Column[T any] struct {
	// Name is the member's in JSON, and in capital letters the head of the column.
	Name  string
	Level Level
	// Value of a row: a string, number, bool, time, duration, Fraction, Share, Series, Estimate, pgq.State, []string, json.RawMessage, or a pointer to one.
	Value func(T) any
}

// Table prints rows as the user wants to see them.
type Table[T any] struct {
	format  Format
	columns []Column[T] // to be shown
	name    Column[T]
	sort    *Column[T]
	reverse bool
}

// NewTable returns a table with the columns that the user chose. *Error, a wrong use: there is no such column.
func NewTable[T any](o *Options, columns []Column[T]) (*Table[T], error) {
	t := &Table[T]{format: o.Format, name: columns[0]}
	find := func(flag, name string) (Column[T], error) {
		for _, c := range columns {
			if strings.EqualFold(c.Name, name) {
				return c, nil
			}
		}
		names := make([]string, len(columns))
		for i, c := range columns {
			names[i] = c.Name
		}
		return Column[T]{}, Usagef("%s: there is no column %q", flag, name).WithFix("choose from %s", strings.Join(names, ", "))
	}
	for _, name := range o.Columns {
		c, err := find("--columns", name)
		if err != nil {
			return nil, err
		}
		t.columns = append(t.columns, c)
	}
	if o.Columns == nil {
		for _, c := range columns {
			if c.Level == Always || c.Level == Wide && t.format == FormatWide || !t.format.ForPeople() {
				t.columns = append(t.columns, c)
			}
		}
	}
	if o.Sort != "" {
		name, reverse := strings.CutPrefix(o.Sort, "-")
		c, err := find("--sort", name)
		if err != nil {
			return nil, err
		}
		t.sort, t.reverse = &c, reverse
	}
	return t, nil
}

// Print prints rows. JSON and YAML get {"items": […]}.
func (t *Table[T]) Print(s Screen, rows []T) error { return t.print(s, rows, nil) }

// PrintPage prints a page of rows; JSON and YAML get the cursor of the next page as "next", null for 0.
func (t *Table[T]) PrintPage(s Screen, rows []T, next int64) error {
	if next == 0 {
		return t.print(s, rows, nil)
	}
	return t.print(s, rows, next)
}

// PrintNamedPage is PrintPage for rows that have names: the cursor is the last one's, and null for "".
func (t *Table[T]) PrintNamedPage(s Screen, rows []T, next string) error {
	if next == "" {
		return t.print(s, rows, nil)
	}
	return t.print(s, rows, next)
}

func (t *Table[T]) print(s Screen, rows []T, next any) error {
	rows = t.Sorted(rows)
	switch t.format {
	case FormatJSON, FormatYAML:
		items, err := t.Objects(rows)
		if err != nil {
			return err
		}
		page := struct {
			Items []json.RawMessage `json:"items"`
			Next  any               `json:"next"`
		}{items, next}
		return Document(s, t.format, page)
	}
	var text bytes.Buffer
	if err := t.write(&text, s, rows); err != nil {
		return err
	}
	_, err := s.Write(text.Bytes())
	return err
}

// Sorted returns the rows in the order that the user wants, or as they are.
func (t *Table[T]) Sorted(rows []T) []T {
	if t.sort == nil {
		return rows
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b T) int {
		x, y := t.sort.Value(a), t.sort.Value(b)
		if t.reverse && plain(x) != nil && plain(y) != nil {
			x, y = y, x
		}
		return compare(x, y)
	})
	return rows
}

// write writes rows in a format that is made of lines.
func (t *Table[T]) write(w *bytes.Buffer, s Screen, rows []T) error {
	switch t.format {
	case FormatJSONL:
		objects, err := t.Objects(rows)
		for _, o := range objects {
			w.Write(append(o, '\n'))
		}
		return err
	case FormatName:
		for _, row := range rows {
			text, err := field(t.name.Value(row))
			if err != nil {
				return err
			}
			fmt.Fprintln(w, text)
		}
		return nil
	case FormatCSV:
		return t.csv(w, rows)
	}
	for _, line := range t.Lines(s, rows) {
		fmt.Fprintln(w, line)
	}
	return nil
}

func (t *Table[T]) csv(w io.Writer, rows []T) error {
	out := csv.NewWriter(w)
	record := make([]string, len(t.columns))
	for i, c := range t.columns {
		record[i] = c.Name
	}
	if err := out.Write(record); err != nil {
		return err
	}
	for _, row := range rows {
		for i, c := range t.columns {
			var err error
			if record[i], err = field(c.Value(row)); err != nil {
				return err
			}
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Objects returns each row as a JSON object whose members are in the order of the columns.
func (t *Table[T]) Objects(rows []T) ([]json.RawMessage, error) {
	objects := make([]json.RawMessage, len(rows))
	for i, row := range rows {
		object := []byte{'{'}
		for j, c := range t.columns {
			if j > 0 {
				object = append(object, ',')
			}
			value, err := data(c.Value(row))
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", c.Name, err)
			}
			object = append(append(append(append(object, '"'), c.Name...), `":`...), value...)
		}
		objects[i] = append(object, '}')
	}
	return objects, nil
}

// Lines returns the rows as lines of a table with a header, for people. On a terminal they are not wider than it.
func (t *Table[T]) Lines(s Screen, rows []T) []string {
	cells := make([][]string, 0, len(rows)+1)
	head := make([]string, len(t.columns))
	for i, c := range t.columns {
		head[i] = strings.ToUpper(strings.ReplaceAll(c.Name, "_", " "))
	}
	cells = append(cells, head)
	widths := make([]int, len(t.columns))
	for _, row := range rows {
		line := make([]string, len(t.columns))
		for i, c := range t.columns {
			line[i] = display(c.Value(row))
		}
		cells = append(cells, line)
	}
	for _, line := range cells {
		for i, text := range line {
			widths[i] = max(widths[i], uniseg.StringWidth(text))
		}
	}
	screenWidth, _ := s.Size()
	lines := make([]string, len(cells))
	for n, line := range cells {
		var text strings.Builder
		used := 0
		for i, cell := range line {
			padding := strings.Repeat(" ", widths[i]-uniseg.StringWidth(cell))
			if screenWidth > 0 {
				if used >= screenWidth {
					break
				}
				cell = Cut(cell, screenWidth-used)
			}
			if n == 0 {
				cell = s.Paint(Bold, cell)
			} else if state, ok := t.columns[i].Value(rows[n-1]).(pgq.State); ok {
				cell = s.Paint(StateColour(state), cell)
			}
			text.WriteString(cell)
			if i < len(line)-1 {
				text.WriteString(padding + "  ")
			}
			used += widths[i] + 2
		}
		lines[n] = strings.TrimRight(text.String(), " ")
	}
	return lines
}

// Document prints a value in JSON, in one line for JSONL, or in YAML.
func Document(w io.Writer, f Format, value any) error {
	text, err := encode(value)
	if err != nil {
		return err
	}
	switch f {
	case FormatYAML:
		if text, err = toYAML(text); err != nil {
			return err
		}
	case FormatJSONL:
		text = append(text, '\n')
	default:
		text = append(indent(text), '\n')
	}
	_, err = w.Write(text)
	return err
}

// Of returns columns of rows that each have a U in them.
func Of[T, U any](columns []Column[U], get func(T) U) []Column[T] {
	of := make([]Column[T], len(columns))
	for i, c := range columns {
		of[i] = Column[T]{Name: c.Name, Level: c.Level, Value: func(row T) any { return c.Value(get(row)) }}
	}
	return of
}

// Objects returns rows as JSON objects with all columns.
func Objects[T any](columns []Column[T], rows ...T) ([]json.RawMessage, error) {
	table, err := NewTable(&Options{Format: FormatJSON}, columns)
	if err != nil {
		return nil, err
	}
	return table.Objects(rows)
}

// Lines returns rows as the lines of a table with its usual columns, for people.
func Lines[T any](s Screen, columns []Column[T], rows []T) []string {
	t, err := NewTable(&Options{}, columns)
	if err != nil {
		return []string{err.Error()} // cannot be: no column is asked for
	}
	return t.Lines(s, rows)
}
