// Package archive writes and reads exports: JSON lines, and CSV and Parquet, which other programs read, too.
//
//	w, err := archive.NewWriter(file, archive.Parquet, archive.Jobs)
//	err = client.ExportJobs(ctx, conn, pgq.Filter{}, w.Line)
//	err = w.Close()
//
//	imported, err := client.Import(ctx, conn, archive.Lines(file), pgq.ImportOptions{})
//
// Memory does not grow with the number of rows.
package archive

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pgq-go/queue/internal/rawjson"
)

// Format is how rows are written.
type Format string

// The formats.
const (
	JSONL   Format = "jsonl"
	CSV     Format = "csv"
	Parquet Format = "parquet"
)

// What can be exported.
const (
	Jobs    = "jobs"
	Results = "results"
	Events  = "events"
	// Settings of queues, kinds, limits, schedules and consumers.
	Settings = "settings"
)

// FormatOf returns the format that the name of a file tells, and whether it is to be compressed by gzip.
func FormatOf(name string) (f Format, gz, ok bool) {
	name, gz = strings.CutSuffix(strings.ToLower(name), ".gz")
	for _, f := range []Format{JSONL, CSV, Parquet} {
		if strings.HasSuffix(name, "."+string(f)) {
			return f, gz, true
		}
	}
	return "", gz, false
}

// Writer writes lines of an export in some format.
type Writer struct {
	// Rows counts what was written, without headers and ends.
	Rows int64

	header json.RawMessage // of the export, until the first row was written
	end    json.RawMessage
	held   json.RawMessage // the last row: the end may have to go with it
	// write writes a row, or nil for none, with the header before and the end behind it, if they are not nil.
	write func(text, header, end json.RawMessage) error
	close func() error
}

// NewWriter returns a writer of jobs, results (lines of jobs, too), events or settings, which are JSON lines always.
func NewWriter(w io.Writer, f Format, of string) (*Writer, error) {
	buffered := bufio.NewWriterSize(w, 1<<16)
	switch {
	case f == JSONL && of == Results: // for other programs, which get rows and nothing else
		return &Writer{write: func(text, _, _ json.RawMessage) error { return writeResult(buffered, text) }, close: buffered.Flush}, nil
	case f == JSONL:
		write := func(text, header, end json.RawMessage) (err error) {
			for _, line := range []json.RawMessage{header, text, end} {
				if line != nil {
					err = errors.Join(err, writeLine(buffered, line))
				}
			}
			return err
		}
		return &Writer{write: write, close: buffered.Flush}, nil
	case f == CSV && of != Settings:
		return newCSV(buffered, columnsOf(of))
	case f == Parquet && of != Settings:
		return newParquet(buffered, columnsOf(of)), nil
	}
	return nil, fmt.Errorf("archive: there is no format %q of %s", f, of)
}

// Line writes a line of an export.
func (w *Writer) Line(line json.RawMessage) error {
	switch {
	case w.Rows == 0 && w.header == nil && bytes.HasPrefix(line, []byte(`{"type":"export"`)):
		w.header = bytes.Clone(line)
		return nil
	case bytes.HasPrefix(line, []byte(`{"type":"end"`)): // of rows the members are in another order
		w.end = bytes.Clone(line)
		return nil
	}
	err := w.flush()
	w.Rows++
	w.held = append(w.held[:0], line...)
	return err
}

// flush writes the row that is held.
func (w *Writer) flush() error {
	if w.Rows == 0 {
		return nil
	}
	header := w.header
	w.header = nil
	return w.write(w.held, header, w.end)
}

// Close writes what is left.
func (w *Writer) Close() error {
	err := w.flush()
	if w.Rows == 0 {
		err = w.write(nil, w.header, w.end)
	}
	return errors.Join(err, w.close())
}

func writeLine(w *bufio.Writer, line json.RawMessage) error {
	if _, err := w.Write(line); err != nil {
		return err
	}
	return w.WriteByte('\n')
}

func writeResult(w *bufio.Writer, text json.RawMessage) error {
	if text == nil {
		return nil
	}
	l, err := parse(text)
	if err != nil {
		return err
	}
	var object []byte
	separator := byte('{')
	for _, c := range resultColumns {
		v := l.get(c)
		if v == nil {
			v = json.RawMessage("null")
		}
		object = fmt.Appendf(object, "%c%q:%s", separator, c.name, v)
		separator = ','
	}
	return writeLine(w, append(object, '}'))
}

// rest takes apart a line for a format that has columns: put gets each value, and the last one what is left, with the header and the end.
func rest(columns []column, text, header, end json.RawMessage, put func(i int, v json.RawMessage) (exact bool)) error {
	l, err := parse(text)
	if err != nil {
		return err
	}
	left, err := l.split(columns, put)
	last := len(columns) - 1
	if err != nil || columns[last].name != moreColumn {
		return err
	}
	if header != nil || end != nil {
		members := fields{}
		if left != nil {
			if members, err = rawjson.Members(left); err != nil {
				return err
			}
		}
		for name, line := range map[string]json.RawMessage{"export": header, "end": end} {
			if line != nil {
				members[name] = line
			}
		}
		if left, err = rawjson.Object(members); err != nil {
			return err
		}
	}
	put(last, left)
	return nil
}
