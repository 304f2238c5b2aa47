package archive

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pgq-go/queue/internal/rawjson"
	"github.com/pgq-go/queue/pgq"
)

func newCSV(w *bufio.Writer, columns []column) (*Writer, error) {
	out := csv.NewWriter(w)
	record := make([]string, len(columns))
	for i, c := range columns {
		record[i] = c.name
	}
	if err := out.Write(record); err != nil {
		return nil, err
	}
	write := func(text, header, end json.RawMessage) error {
		if text == nil {
			return nil // which looks like an export that was cut off
		}
		err := rest(columns, text, header, end, func(i int, v json.RawMessage) (exact bool) {
			record[i], exact = toCell(columns[i], v)
			return exact
		})
		if err != nil {
			return err
		}
		return out.Write(record)
	}
	return &Writer{write: write, close: func() error {
		out.Flush()
		return errors.Join(out.Error(), w.Flush())
	}}, nil
}

// toCell returns a JSON value for CSV: strings as they are, nothing for null. It is exact if fromCell gives it back: readers of CSV take
// nothing for null, and CR LF for LF.
func toCell(c column, v json.RawMessage) (cell string, exact bool) {
	if c.form == asJSON || c.form == asNumber || len(v) == 0 {
		return string(v), true
	}
	if err := json.Unmarshal(v, &cell); err != nil {
		return string(v), false
	}
	return cell, cell != "" && !strings.ContainsRune(cell, '\r')
}

func fromCell(c column, cell string) (json.RawMessage, error) {
	switch {
	case cell == "":
		return nil, nil
	case !utf8.ValidString(cell):
		return nil, &pgq.ArgumentError{Field: c.name, Rule: "must be UTF-8"}
	case c.form != asJSON && c.form != asNumber:
		return json.Marshal(cell)
	case !rawjson.Valid([]byte(cell)):
		return nil, &pgq.ArgumentError{Field: c.name, Rule: "must be JSON"}
	}
	return json.RawMessage(cell), nil
}

// csvLines calls yield with the lines of an export that CSV holds.
func csvLines(in io.Reader, yield func(json.RawMessage, error) bool) {
	bounded := &boundedReader{in: in, left: maxLine}
	records := csv.NewReader(bounded)
	records.ReuseRecord = true
	names, err := records.Read()
	if err != nil {
		yield(nil, csvError(err))
		return
	}
	columns, at, err := columnsNamed(names)
	if err != nil {
		yield(nil, err)
		return
	}
	values := make([]json.RawMessage, len(columns))
	for first := true; ; first = false {
		bounded.left = maxLine
		record, err := records.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			for i, c := range columns {
				if values[i], err = fromCell(c, record[at[i]]); err != nil {
					break
				}
			}
		}
		if err != nil {
			yield(nil, csvError(err))
			return
		}
		if !yieldRow(columns, values, first, yield) {
			return
		}
	}
}

func csvError(err error) error {
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return &pgq.ArgumentError{Field: "lines", Rule: fmt.Sprintf("must be CSV of an export: line %d: %s", wrong.Line, wrong.Err)}
	}
	return notWhole(err)
}

// columnsNamed finds out what an export is of by the names of its columns, in whatever order, and where each one is.
func columnsNamed(names []string) (columns []column, at []int, err error) {
	names = slices.Clone(names)
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	columns = jobColumns
	if slices.Contains(names, "at") {
		columns = eventColumns
	}
	if !slices.Contains(names, moreColumn) && slices.Contains(names, "finished_at") {
		return nil, nil, &pgq.ArgumentError{Field: "lines", Rule: "must be of jobs or events; results are exported for other programs"}
	}
	for _, c := range columns {
		i := slices.Index(names, c.name)
		if i < 0 {
			return nil, nil, &pgq.ArgumentError{Field: "lines", Rule: "must have all columns of an export; there is no " + c.name}
		}
		at = append(at, i)
	}
	for _, name := range names {
		if !slices.ContainsFunc(columns, func(c column) bool { return c.name == name }) {
			return nil, nil, &pgq.ArgumentError{Field: "lines", Rule: fmt.Sprintf("must have the columns of an export, and %q is none", name)}
		}
	}
	return columns, at, nil
}

// yieldRow yields the line that a row is, after the header of the export where it is the first one, and before its end where it is the last.
func yieldRow(columns []column, values []json.RawMessage, first bool, yield func(json.RawMessage, error) bool) bool {
	text, header, end, err := build(columns, values, values[len(values)-1])
	switch {
	case err != nil:
		yield(nil, err)
		return false
	case first && header == nil:
		yield(nil, &pgq.ArgumentError{Field: moreColumn, Rule: `must have "export" in the first row, as it was exported`})
		return false
	case first && !yield(bytes.Clone(header), nil):
		return false
	}
	return yield(text, nil) && (end == nil || yield(bytes.Clone(end), nil))
}

// boundedReader gives an error instead of more than what is left.
type boundedReader struct {
	in   io.Reader
	left int
}

func (r *boundedReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, &pgq.ArgumentError{Field: "lines", Rule: fmt.Sprintf("must have at most %d bytes each", maxLine)}
	}
	n, err := r.in.Read(p)
	r.left -= n
	return n, err
}
