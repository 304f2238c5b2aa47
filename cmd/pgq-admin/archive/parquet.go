package archive

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/pgq-go/queue/internal/rawjson"
	"github.com/pgq-go/queue/pgq"
)

const (
	groupRows  = 5000
	groupBytes = 16 << 20 // of lines: then a group of rows is written, whatever it holds

	// What a file without rows says of the export.
	headerKey = "pgq.export"
	endKey    = "pgq.end"
)

// schemaOf returns the schema of a table. JSON is text; times are in microseconds; intervals are ISO 8601.
func schemaOf(columns []column) *parquet.Schema {
	types := map[form]reflect.Type{
		asText: reflect.TypeFor[string](), asJSON: reflect.TypeFor[string](), asNumber: reflect.TypeFor[int64](),
		asTime: reflect.TypeFor[int64](), asBytes: reflect.TypeFor[[]byte](),
	}
	structure := make([]reflect.StructField, len(columns))
	for i, c := range columns {
		tag := c.name
		if !c.required {
			tag += ",optional"
		}
		if c.few {
			tag += ",dict"
		}
		if c.form == asTime {
			tag += ",timestamp(microsecond)"
		}
		structure[i] = reflect.StructField{Name: fmt.Sprintf("C%d", i), Type: types[c.form], Tag: reflect.StructTag(fmt.Sprintf("parquet:%q", tag))}
	}
	return parquet.SchemaOf(reflect.New(reflect.StructOf(structure)).Interface())
}

// newParquet returns a writer of rows that are made of lines.
func newParquet(w *bufio.Writer, columns []column) *Writer {
	out := parquet.NewWriter(w, schemaOf(columns), parquet.Compression(&parquet.Zstd), parquet.CreatedBy("pgq-admin", "", ""))
	row := make(parquet.Row, len(columns))
	rows, size := 0, 0
	write := func(text, header, end json.RawMessage) error {
		if text == nil { // there is no row to go with
			out.SetKeyValueMetadata(headerKey, string(header))
			out.SetKeyValueMetadata(endKey, string(end))
			return nil
		}
		var wrong error
		err := rest(columns, text, header, end, func(i int, v json.RawMessage) bool {
			c := columns[i]
			one, exact := toParquet(c, v)
			level := 1
			switch {
			case c.required && one.IsNull():
				wrong = fmt.Errorf("archive: %s is missing", c.name)
			case c.required || one.IsNull():
				level = 0
			}
			row[i] = one.Level(0, level, i)
			return exact
		})
		if err = errors.Join(err, wrong); err != nil {
			return err
		}
		if _, err := out.WriteRows([]parquet.Row{row}); err != nil {
			return err
		}
		if rows, size = rows+1, size+len(text); rows < groupRows && size < groupBytes {
			return nil
		}
		rows, size = 0, 0
		return out.Flush()
	}
	return &Writer{write: write, close: func() error { return errors.Join(out.Close(), w.Flush()) }}
}

// toParquet returns a JSON value for Parquet; null, which is not exact, for what cannot be said there: times that are infinite, or far away.
func toParquet(c column, v json.RawMessage) (one parquet.Value, exact bool) {
	if v == nil {
		return parquet.NullValue(), true
	}
	var s string
	var n int64
	switch c.form {
	case asJSON:
		return parquet.ByteArrayValue(v), true
	case asNumber:
		if json.Unmarshal(v, &n) != nil {
			return parquet.NullValue(), false
		}
		return parquet.Int64Value(n), true
	}
	if json.Unmarshal(v, &s) != nil {
		return parquet.NullValue(), false
	}
	switch c.form {
	case asTime:
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return parquet.NullValue(), false
		}
		return parquet.Int64Value(at.UnixMicro()), true
	case asBytes:
		b, err := hex.DecodeString(strings.TrimPrefix(s, `\x`))
		if err != nil {
			return parquet.NullValue(), false
		}
		return parquet.ByteArrayValue(b), true
	}
	return parquet.ByteArrayValue([]byte(s)), true
}

func fromParquet(c column, one parquet.Value) (json.RawMessage, error) {
	if one.IsNull() {
		return nil, nil
	}
	switch c.form {
	case asNumber:
		return json.Marshal(one.Int64())
	case asTime:
		return json.Marshal(time.UnixMicro(one.Int64()).UTC().Format(time.RFC3339Nano))
	case asBytes:
		return json.Marshal(`\x` + hex.EncodeToString(one.ByteArray()))
	}
	b := one.ByteArray()
	switch {
	case !utf8.Valid(b):
		return nil, &pgq.ArgumentError{Field: c.name, Rule: "must be UTF-8"}
	case c.form == asText:
		return json.Marshal(string(b))
	case !rawjson.Valid(b):
		return nil, &pgq.ArgumentError{Field: c.name, Rule: "must be JSON"}
	}
	return append(json.RawMessage(nil), b...), nil
}

// parquetLines calls yield with the lines of an export that a Parquet file holds.
func parquetLines(in io.ReaderAt, size int64, yield func(json.RawMessage, error) bool) {
	yielding := false // a panic of who takes the lines is not ours
	safely := func(line json.RawMessage, err error) bool {
		yielding = true
		goOn := yield(line, err)
		yielding = false
		return goOn
	}
	defer func() {
		if yielding {
			return
		}
		if broken := recover(); broken != nil { // what the library does for some files that are damaged
			yield(nil, &pgq.ArgumentError{Field: "lines", Rule: fmt.Sprintf("must be a Parquet file that is whole: %v", broken)})
		}
	}()
	file, err := parquet.OpenFile(in, size)
	if err != nil {
		safely(nil, &pgq.ArgumentError{Field: "lines", Rule: fmt.Sprintf("must be a Parquet file that is whole: %v", err)})
		return
	}
	columns, at, err := columnsIn(file.Schema())
	if err != nil {
		safely(nil, err)
		return
	}
	rows := parquet.NewReader(file)
	defer rows.Close() //nolint:errcheck // it was only read
	if file.NumRows() == 0 {
		for _, key := range []string{headerKey, endKey} {
			if text, ok := file.Lookup(key); ok && json.Valid([]byte(text)) && !safely(json.RawMessage(text), nil) {
				return
			}
		}
	}
	values := make([]json.RawMessage, len(columns))
	page := make([]parquet.Row, 16)
	for first := true; ; {
		n, err := rows.ReadRows(page)
		for _, row := range page[:n] {
			for i, c := range columns {
				var wrong error
				if values[i], wrong = fromParquet(c, row[at[i]]); wrong != nil {
					safely(nil, wrong)
					return
				}
			}
			if !yieldRow(columns, values, first, safely) {
				return
			}
			first = false
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			safely(nil, &pgq.ArgumentError{Field: "lines", Rule: fmt.Sprintf("must be a Parquet file that is whole: %v", err)})
			return
		}
	}
}

// columnsIn finds out what an export is of, as columnsNamed, and whether the columns are of the types that exports have.
func columnsIn(schema *parquet.Schema) ([]column, []int, error) {
	var names []string
	for _, path := range schema.Columns() {
		names = append(names, strings.Join(path, "."))
	}
	if len(names) == 0 {
		return nil, nil, &pgq.ArgumentError{Field: "lines", Rule: "must be of an export, and have columns"}
	}
	columns, at, err := columnsNamed(names)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range columns {
		leaf, _ := schema.Lookup(c.name)
		kind := leaf.Node.Type().Kind()
		isNumber := c.form == asNumber || c.form == asTime
		switch {
		case leaf.Node.Repeated() || isNumber && kind != parquet.Int64 || !isNumber && kind != parquet.ByteArray:
			return nil, nil, &pgq.ArgumentError{Field: c.name, Rule: "must have the type that it was exported with"}
		case c.form == asTime && !inMicroseconds(leaf.Node.Type()):
			return nil, nil, &pgq.ArgumentError{Field: c.name, Rule: "must be times in microseconds, as it was exported"}
		}
	}
	return columns, at, nil
}

func inMicroseconds(t parquet.Type) bool {
	logical := t.LogicalType()
	if logical == nil {
		return false
	}
	stamp, ok := logical.Value.(*format.TimestampType)
	return ok && stamp.Unit.Value != nil && stamp.Unit.Value.Duration() == time.Microsecond
}
