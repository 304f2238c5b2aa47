package archive

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// jobRow is a job in Parquet. JSON is text, so that its numbers are exact; intervals are ISO 8601.
type jobRow struct {
	ID            int64   `parquet:"id"`
	Queue         string  `parquet:"queue,dict"`
	Kind          string  `parquet:"kind,dict"`
	Priority      int64   `parquet:"priority"`
	State         string  `parquet:"state,dict"`
	Attempt       int64   `parquet:"attempt"`
	MaxAttempts   *int64  `parquet:"max_attempts"`
	CreatedAt     *int64  `parquet:"created_at,timestamp(microsecond)"`
	RunAt         *int64  `parquet:"run_at,timestamp(microsecond)"`
	ClaimedAt     *int64  `parquet:"claimed_at,timestamp(microsecond)"`
	FinishedAt    *int64  `parquet:"finished_at,timestamp(microsecond)"`
	WorkerID      *int64  `parquet:"worker_id"`
	ExpiresAt     *int64  `parquet:"expires_at,timestamp(microsecond)"`
	Timeout       *string `parquet:"timeout"`
	Tags          *string `parquet:"tags"`
	Metadata      *string `parquet:"metadata"`
	Args          *string `parquet:"args"`
	Codec         *string `parquet:"codec"`
	Payload       []byte  `parquet:"payload,optional"`
	Output        *string `parquet:"output"`
	OutputCodec   *string `parquet:"output_codec"`
	OutputPayload []byte  `parquet:"output_payload,optional"`
	Error         *string `parquet:"error"`
	DAGID         *int64  `parquet:"dag_id"`
	Name          *string `parquet:"name"`
	Role          *string `parquet:"role"`
	CauseID       *int64  `parquet:"cause_id"`
}

// resultRow is how a job ended, in Parquet.
type resultRow struct {
	JobID         int64   `parquet:"job_id"`
	Queue         string  `parquet:"queue,dict"`
	Kind          string  `parquet:"kind,dict"`
	State         string  `parquet:"state,dict"`
	Attempt       int64   `parquet:"attempt"`
	WorkerID      *int64  `parquet:"worker_id"`
	CreatedAt     *int64  `parquet:"created_at,timestamp(microsecond)"`
	ClaimedAt     *int64  `parquet:"claimed_at,timestamp(microsecond)"`
	FinishedAt    *int64  `parquet:"finished_at,timestamp(microsecond)"`
	Output        *string `parquet:"output"`
	OutputCodec   *string `parquet:"output_codec"`
	OutputPayload []byte  `parquet:"output_payload,optional"`
	Error         *string `parquet:"error"`
	DAGID         *int64  `parquet:"dag_id"`
	Name          *string `parquet:"name"`
	CauseID       *int64  `parquet:"cause_id"`
}

// eventRow is an event in Parquet.
type eventRow struct {
	ID       int64   `parquet:"id"`
	JobID    *int64  `parquet:"job_id"`
	Queue    *string `parquet:"queue,dict"`
	Type     string  `parquet:"type,dict"`
	Attempt  *int64  `parquet:"attempt"`
	WorkerID *int64  `parquet:"worker_id"`
	At       *int64  `parquet:"at,timestamp(microsecond)"`
	Data     *string `parquet:"data"`
}

const (
	groupRows  = 5000
	groupBytes = 16 << 20 // of lines: then a group of rows is written, whatever it holds
)

// newParquet returns a writer of rows that are made of lines.
func newParquet[T any](w *bufio.Writer, rowOf func(*line) (T, error)) *Writer {
	out := parquet.NewGenericWriter[T](w, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("pgq-admin", "", ""))
	rows, size := 0, 0
	write := func(text json.RawMessage) error {
		l, err := parse(text)
		if err != nil || l.Type == "export" {
			return err
		}
		row, err := rowOf(l)
		if err != nil {
			return err
		}
		if _, err := out.Write([]T{row}); err != nil {
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

// reader reads columns of a line and keeps the first error.
type reader struct {
	*line
	err error
}

func (r *reader) into(column string, v any) bool {
	value := r.find(column)
	if len(value) == 0 || string(value) == "null" {
		return false
	}
	r.err = errors.Join(r.err, json.Unmarshal(value, v))
	return true
}

func (r *reader) text(column string) (s string) {
	r.into(column, &s)
	return s
}

func (r *reader) number(column string) (n int64) {
	r.into(column, &n)
	return n
}

func (r *reader) someText(column string) *string {
	var s string
	if !r.into(column, &s) {
		return nil
	}
	return &s
}

func (r *reader) someNumber(column string) *int64 {
	var n int64
	if !r.into(column, &n) {
		return nil
	}
	return &n
}

// json returns a value as it is written; null for none, and also for JSON's null.
func (r *reader) json(column string) *string {
	value := string(r.find(column))
	if value == "" || value == "null" {
		return nil
	}
	return &value
}

// at returns a time in microseconds; null also for those that are infinite.
func (r *reader) at(column string) *int64 {
	s := r.someText(column)
	if s == nil || strings.HasSuffix(*s, "infinity") {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, *s)
	r.err = errors.Join(r.err, err)
	micros := t.UnixMicro()
	return &micros
}

// binary returns bytes, which PostgreSQL writes as \x and hexadecimal digits.
func (r *reader) binary(column string) []byte {
	s := r.someText(column)
	if s == nil {
		return nil
	}
	b, err := hex.DecodeString(strings.TrimPrefix(*s, `\x`))
	r.err = errors.Join(r.err, err)
	return b
}

func jobRowOf(l *line) (jobRow, error) {
	r := &reader{line: l}
	row := jobRow{
		ID: r.number("id"), Queue: r.text("queue"), Kind: r.text("kind"), Priority: r.number("priority"), State: r.text("state"),
		Attempt: r.number("attempt"), MaxAttempts: r.someNumber("max_attempts"), CreatedAt: r.at("created_at"), RunAt: r.at("run_at"),
		ClaimedAt: r.at("claimed_at"), FinishedAt: r.at("finished_at"), WorkerID: r.someNumber("worker_id"), ExpiresAt: r.at("expires_at"),
		Timeout: r.someText("timeout"), Tags: r.json("tags"), Metadata: r.json("metadata"), Args: r.json("args"), Codec: r.someText("codec"),
		Payload: r.binary("payload"), Output: r.json("output"), OutputCodec: r.someText("output_codec"), OutputPayload: r.binary("output_payload"),
		Error: r.someText("error"), DAGID: r.someNumber("dag_id"), Name: r.someText("name"), Role: r.someText("role"), CauseID: r.someNumber("cause_id"),
	}
	return row, r.err
}

func resultRowOf(l *line) (resultRow, error) {
	r := &reader{line: l}
	row := resultRow{
		JobID: r.number("job_id"), Queue: r.text("queue"), Kind: r.text("kind"), State: r.text("state"), Attempt: r.number("attempt"),
		WorkerID: r.someNumber("worker_id"), CreatedAt: r.at("created_at"), ClaimedAt: r.at("claimed_at"), FinishedAt: r.at("finished_at"),
		Output: r.json("output"), OutputCodec: r.someText("output_codec"), OutputPayload: r.binary("output_payload"), Error: r.someText("error"),
		DAGID: r.someNumber("dag_id"), Name: r.someText("name"), CauseID: r.someNumber("cause_id"),
	}
	return row, r.err
}

func eventRowOf(l *line) (eventRow, error) {
	r := &reader{line: l}
	row := eventRow{
		ID: r.number("id"), JobID: r.someNumber("job_id"), Queue: r.someText("queue"), Type: r.text("type"), Attempt: r.someNumber("attempt"),
		WorkerID: r.someNumber("worker_id"), At: r.at("at"), Data: r.json("data"),
	}
	return row, r.err
}
