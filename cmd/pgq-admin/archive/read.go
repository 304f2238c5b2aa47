package archive

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/pgq-go/queue/pgq"
)

// maxLine is more than PostgreSQL takes as JSON.
const maxLine = 256 << 20

// Lines returns the lines of an export, whatever its format, as they are read. A line is kept until the next one only.
// *pgq.ArgumentError: it is no export: a line is longer than any of one, or long and no object, so that endless input is refused; or a
// column is wrong. [pgq.ErrNotWhole]: it is compressed, and was cut off. Parquet must be a file, since it is read from its end.
func Lines(r io.Reader) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		in := bufio.NewReaderSize(r, 1<<16)
		if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
			unzipped, err := gzip.NewReader(in)
			if err != nil {
				yield(nil, notWhole(err))
				return
			}
			in = bufio.NewReaderSize(unzipped, 1<<16)
		}
		switch magic, _ := in.Peek(4); {
		case string(magic) == "PAR1":
			f, size, ok := asFile(r)
			if !ok {
				yield(nil, &pgq.ArgumentError{Field: "lines", Rule: "must be in a file, not in a pipe: Parquet is read from its end"})
				return
			}
			parquetLines(f, size, yield)
		case isName(bytes.TrimPrefix(magic, []byte("\ufeff"))):
			csvLines(in, yield)
		default:
			jsonLines(in, yield)
		}
	}
}

// isName reports whether a text begins as the name of a column does.
func isName(text []byte) bool {
	return len(text) > 0 && (text[0] >= 'a' && text[0] <= 'z' || text[0] == '"')
}

// notWhole returns the error of reading; that the export is not whole, for compressed files which were cut off or damaged.
func notWhole(err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.As(err, &corrupt) {
		return fmt.Errorf("%w: %w", pgq.ErrNotWhole, err)
	}
	return err
}

// asFile returns a file that is no pipe.
func asFile(r io.Reader) (*os.File, int64, bool) {
	f, ok := r.(*os.File)
	if !ok {
		return nil, 0, false
	}
	info, err := f.Stat()
	return f, info.Size(), err == nil && info.Mode().IsRegular()
}

func jsonLines(in *bufio.Reader, yield func(json.RawMessage, error) bool) {
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
			yield(nil, notWhole(err))
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
