// Package archive writes and reads exports: JSON lines, which can be imported again, and CSV and Parquet for other programs.
//
//	w, err := archive.NewWriter(file, archive.Parquet, archive.Jobs)
//	err = client.ExportJobs(ctx, conn, pgq.Export{}, w.Line)
//	err = w.Close()
//
//	imported, err := client.Import(ctx, conn, archive.Lines(file), pgq.ImportOptions{})
//
// Memory does not grow with the number of rows.
package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/pgq-go/queue/pgq"
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
	// Rows counts what was written, without headers.
	Rows int64

	write func(line json.RawMessage) error
	close func() error
}

// NewWriter returns a writer of jobs, results (lines of jobs, too) or events.
func NewWriter(w io.Writer, f Format, of string) (*Writer, error) {
	buffered := bufio.NewWriterSize(w, 1<<16)
	switch {
	case f == JSONL && of == Results:
		return &Writer{write: func(line json.RawMessage) error { return writeResult(buffered, line) }, close: buffered.Flush}, nil
	case f == JSONL:
		return &Writer{write: func(line json.RawMessage) error { return writeLine(buffered, line) }, close: buffered.Flush}, nil
	case f == CSV:
		return newCSV(buffered, of)
	case f == Parquet && of == Events:
		return newParquet(buffered, eventRowOf), nil
	case f == Parquet && of == Results:
		return newParquet(buffered, resultRowOf), nil
	case f == Parquet:
		return newParquet(buffered, jobRowOf), nil
	}
	return nil, fmt.Errorf("archive: there is no format %q", f)
}

// Line writes a line of an export; the header only in JSON lines.
func (w *Writer) Line(line json.RawMessage) error {
	header := bytes.HasPrefix(line, []byte(`{"type":"export"`))
	if !header {
		w.Rows++
	}
	return w.write(line)
}

// Close writes what is left.
func (w *Writer) Close() error { return w.close() }

func writeLine(w *bufio.Writer, line json.RawMessage) error {
	if _, err := w.Write(line); err != nil {
		return err
	}
	return w.WriteByte('\n')
}

func writeResult(w *bufio.Writer, line json.RawMessage) error {
	l, err := parse(line)
	if err != nil || l.Type == "export" {
		return err
	}
	var object []byte
	separator := byte('{')
	for _, column := range resultColumns {
		object = fmt.Appendf(object, "%c%q:%s", separator, column, l.value(column))
		separator = ','
	}
	return writeLine(w, append(object, '}'))
}

func newCSV(w *bufio.Writer, of string) (*Writer, error) {
	columns := columnsOf(of)
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return nil, err
	}
	record := make([]string, len(columns))
	write := func(line json.RawMessage) error {
		l, err := parse(line)
		if err != nil || l.Type == "export" {
			return err
		}
		for i, column := range columns {
			record[i] = text(l.value(column))
		}
		return out.Write(record)
	}
	return &Writer{write: write, close: func() error {
		out.Flush()
		return errors.Join(out.Error(), w.Flush())
	}}, nil
}

// text returns a JSON value for CSV: strings as they are, nothing for null.
func text(value json.RawMessage) string {
	var s string
	switch {
	case len(value) == 0 || string(value) == "null":
		return ""
	case value[0] == '"' && json.Unmarshal(value, &s) == nil:
		return s
	}
	return string(value)
}

// maxLine is more than PostgreSQL takes as JSON.
const maxLine = 256 << 20

// Lines returns the lines of JSON lines, compressed by gzip or not, as they are read. A line is kept until the next one only.
// *pgq.ArgumentError: a line is longer than any of an export, or long and no object, so that endless input is refused.
func Lines(r io.Reader) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		in := bufio.NewReaderSize(r, 1<<16)
		if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
			unzipped, err := gzip.NewReader(in)
			if err != nil {
				yield(nil, err)
				return
			}
			in = bufio.NewReaderSize(unzipped, 1<<16)
		}
		var line []byte
		for {
			part, err := in.ReadSlice('\n')
			line = append(line, part...)
			switch {
			case len(line) > maxLine:
				yield(nil, &pgq.ArgumentError{Field: "lines", Rule: fmt.Sprintf("must have at most %d bytes each", maxLine)})
				return
			case errors.Is(err, bufio.ErrBufferFull) && !bytes.HasPrefix(bytes.TrimLeft(line, " \t\r"), []byte("{")):
				yield(nil, &pgq.ArgumentError{Field: "lines", Rule: "must be JSON objects"})
				return
			case errors.Is(err, bufio.ErrBufferFull):
				continue
			case err != nil && !errors.Is(err, io.EOF):
				yield(nil, err)
				return
			}
			if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 && !yield(trimmed, nil) || err != nil {
				return
			}
			if line = line[:0]; cap(line) > 1<<20 {
				line = nil
			}
		}
	}
}
