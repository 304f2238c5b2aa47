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
	// Whole: it is not cut in tables, since it is text to be read.
	Whole bool
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
	widths  []int // of a stream: how wide columns were so far
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
		return Column[T]{}, Usagef("%s: there is no column %q", flag, name).WithFix("choose from %s", strings.Join(Names(columns), ", "))
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
	if len(rows) == 0 && t.format.ForPeople() {
		return nil // whoever lists says that there are none
	}
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
	lines, left := t.lines(s, rows)
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	if left != nil {
		width, _ := s.Size()
		fmt.Fprintln(w, Cut("… no room for "+strings.Join(left, ", ")+" (-o wide, --columns)", width))
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

// maxCell is how wide a cell of a table is at the most: an error may have thousands of characters.
const maxCell = 100

// Lines returns the rows as lines of a table with a header, for people. Cells are cut, and on a terminal the lines are not wider than it, but for
// those of wide tables.
func (t *Table[T]) Lines(s Screen, rows []T) []string {
	lines, _ := t.lines(s, rows)
	return lines
}

// lines returns the lines, and which columns there is no room for: then the header ends with a mark.
func (t *Table[T]) lines(s Screen, rows []T) (lines, left []string) {
	cells := t.cells(rows)
	widths := t.widths
	if widths == nil {
		widths = make([]int, len(t.columns))
	}
	for _, line := range cells {
		for i, text := range line {
			widths[i] = max(widths[i], uniseg.StringWidth(text))
		}
	}
	room, shown := t.room(s, widths)
	for _, c := range t.columns[shown:] {
		left = append(left, c.Name)
	}
	for n, line := range cells {
		var text strings.Builder
		used := 0
		for i, cell := range line[:shown] {
			padding := strings.Repeat(" ", widths[i]-uniseg.StringWidth(cell))
			if room > 0 {
				cell = Cut(cell, room-used)
			}
			if n == 0 {
				cell = s.Paint(Bold, cell)
			} else if state, ok := t.columns[i].Value(rows[n-1]).(pgq.State); ok {
				cell = s.Paint(StateColour(state), cell)
			}
			text.WriteString(cell)
			if i < shown-1 {
				text.WriteString(padding + "  ")
			}
			used += widths[i] + 2
		}
		if n == 0 && left != nil {
			text.WriteString(" …")
		}
		lines = append(lines, strings.TrimRight(text.String(), " "))
	}
	return lines, left
}

// cells are the header and the rows, as texts.
func (t *Table[T]) cells(rows []T) [][]string {
	head := make([]string, len(t.columns))
	for i, c := range t.columns {
		head[i] = strings.ToUpper(strings.ReplaceAll(c.Name, "_", " "))
	}
	cells := [][]string{head}
	for _, row := range rows {
		line := make([]string, len(t.columns))
		for i, c := range t.columns {
			if line[i] = display(c.Value(row)); t.format != FormatWide && !c.Whole {
				line[i] = Cut(line[i], maxCell)
			}
		}
		cells = append(cells, line)
	}
	return cells
}

// leastCell is how much of a column must fit for it to be shown.
const leastCell = 4

// room returns how wide lines may be, 0 for any width, and how many columns are shown: those of which enough fits, and the first one.
func (t *Table[T]) room(s Screen, widths []int) (room, shown int) {
	width, _ := s.Size()
	if t.format == FormatWide || width == 0 {
		return 0, len(widths)
	}
	fit := func(room int) (n int) {
		for used := 0; n < len(widths) && (n == 0 || used+min(widths[n], leastCell) <= room); n++ {
			used += widths[n] + 2
		}
		return n
	}
	if n := fit(width); n == len(widths) {
		return width, n
	}
	room = max(1, width-2) // for the mark
	return room, fit(room)
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

// Names returns the names of columns.
func Names[T any](columns []Column[T]) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// Of returns columns of rows that each have a U in them.
func Of[T, U any](columns []Column[U], get func(T) U) []Column[T] {
	of := make([]Column[T], len(columns))
	for i, c := range columns {
		of[i] = Column[T]{Name: c.Name, Level: c.Level, Whole: c.Whole, Value: func(row T) any { return c.Value(get(row)) }}
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
