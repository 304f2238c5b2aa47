package pgq

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// claimColumns are the columns of claim in the order in which they are read.
const claimColumns = "job_id, queue, kind, priority, seq, attempt, max_attempts, timeout, created_at, tags, metadata, codec, payload, args, dag_id, sequence"

// collect reads what claim returns.
func (c *Client) collect(rows pgx.Rows, db DB, workerID int64) ([]*Attempt, error) {
	defer rows.Close()
	read := scanAttempt
	if isBinary(rows) {
		read = (&binaryReader{names: map[string]string{}}).read
	}
	var claimed []*Attempt
	for rows.Next() {
		a := &Attempt{client: c, db: db, WorkerID: workerID}
		if err := read(rows, a); err != nil {
			return nil, wrap("claim", err)
		}
		claimed = append(claimed, a)
	}
	return claimed, wrap("claim", rows.Err())
}

// scanAttempt reads a row as pgx does, in whatever format it comes.
func scanAttempt(rows pgx.Rows, a *Attempt) error {
	var timeout *time.Duration
	var dagID *int64
	var sequence *string
	err := rows.Scan(&a.ID, &a.Queue, &a.Kind, &a.Priority, &a.Seq, &a.Number, &a.MaxAttempts, &timeout, &a.CreatedAt,
		&a.Tags, (*[]byte)(&a.Metadata), &a.args.codec, &a.args.payload, (*[]byte)(&a.args.json), &dagID, &sequence)
	if sequence != nil {
		a.Sequence = *sequence
	}
	if dagID != nil {
		a.DAGID = *dagID
	}
	if timeout != nil {
		a.Timeout = *timeout
	}
	return err
}

// isBinary reports whether all columns come in PostgreSQL's binary format.
func isBinary(rows pgx.Rows) bool {
	if rows.Conn() == nil {
		return false
	}
	for _, field := range rows.FieldDescriptions() {
		if field.Format != pgtype.BinaryFormatCode {
			return false
		}
	}
	return true
}

// binaryReader reads rows in binary format. It takes a third of the time of Scan, which matters where a worker
// claims many quick jobs.
type binaryReader struct {
	names map[string]string // queues and kinds, each kept once
}

// postgresEpoch is from where timestamps count, in microseconds.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func (r *binaryReader) read(rows pgx.Rows, a *Attempt) error {
	v := rows.RawValues()
	a.ID, a.Seq = int64(binary.BigEndian.Uint64(v[0])), int64(binary.BigEndian.Uint64(v[4]))
	a.Queue, a.Kind = r.name(v[1]), r.name(v[2])
	a.Priority = int(int16(binary.BigEndian.Uint16(v[3])))
	a.Number, a.MaxAttempts = int(binary.BigEndian.Uint32(v[5])), int(binary.BigEndian.Uint32(v[6]))
	a.CreatedAt = time.UnixMicro(postgresEpoch + int64(binary.BigEndian.Uint64(v[8])))
	a.Metadata, a.args.json = fromJSONB(v[10]), fromJSONB(v[13])
	if v[11] != nil {
		codec := r.name(v[11])
		a.args.codec, a.args.payload = &codec, append([]byte{}, v[12]...)
	}
	if v[14] != nil {
		a.DAGID = int64(binary.BigEndian.Uint64(v[14]))
	}
	if v[15] != nil {
		a.Sequence = string(v[15])
	}
	types, fields := rows.Conn().TypeMap(), rows.FieldDescriptions()
	if v[7] != nil {
		if err := types.Scan(fields[7].DataTypeOID, pgtype.BinaryFormatCode, v[7], &a.Timeout); err != nil {
			return err
		}
	}
	if v[9] != nil {
		return types.Scan(fields[9].DataTypeOID, pgtype.BinaryFormatCode, v[9], &a.Tags)
	}
	return nil
}

// name returns the string, always the same one for the same bytes.
func (r *binaryReader) name(raw []byte) string {
	if name, ok := r.names[string(raw)]; ok {
		return name
	}
	name := string(raw)
	r.names[name] = name
	return name
}

// fromJSONB returns the JSON of a jsonb in binary format: its text after a byte for the version.
func fromJSONB(raw []byte) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	return append(json.RawMessage{}, raw[1:]...)
}
