package pgq

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// SQLQuerier is a *sql.Tx, *sql.Conn or *sql.DB.
type SQLQuerier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// FromSQL lets a client work in a transaction of database/sql, whatever its driver for PostgreSQL:
//
//	job, err := q.Enqueue(ctx, pgq.FromSQL(tx), SendReceipt{42}, pgq.Options{})
//
// All methods that take a DB work with it; EnqueueMany is slower than with pgx, since it cannot COPY.
func FromSQL(q SQLQuerier) DB { return sqlDB{q: q, types: pgtype.NewMap()} }

// sqlDB is a DB over database/sql. Values travel in PostgreSQL's text format, which every driver passes on.
type sqlDB struct {
	q     SQLQuerier
	types *pgtype.Map
}

func (d sqlDB) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	texts, err := d.encode(args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	result, err := d.q.ExecContext(ctx, query, texts...)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	n, err := result.RowsAffected()
	return pgconn.NewCommandTag(fmt.Sprintf("SELECT %d", n)), err
}

func (d sqlDB) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	texts, err := d.encode(args)
	if err != nil {
		return nil, err
	}
	rows, err := d.q.QueryContext(ctx, query, texts...)
	if err != nil {
		return nil, err
	}
	return &sqlRows{rows: rows, types: d.types}, nil
}

func (d sqlDB) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	rows, err := d.Query(ctx, query, args...)
	return sqlRow{rows: rows, err: err}
}

// encode turns arguments into their text form; nil stays nil.
func (d sqlDB) encode(args []any) ([]any, error) {
	texts := make([]any, len(args))
	for i, arg := range args {
		v := reflect.ValueOf(arg)
		for v.Kind() == reflect.Pointer && !v.IsNil() {
			v = v.Elem()
		}
		switch {
		case !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice) && v.IsNil():
			continue
		case v.Kind() == reflect.String || v.Kind() == reflect.Bool || v.CanInt() && v.Type().PkgPath() == "":
			texts[i] = v.Interface()
			continue
		}
		text, err := d.text(v.Interface())
		if err != nil {
			return nil, fmt.Errorf("pgq: argument %d: %w", i+1, err)
		}
		texts[i] = text
	}
	return texts, nil
}

// text returns the text form of a value: JSON as it is, bytes in hex, the rest as pgx writes it.
func (d sqlDB) text(value any) (string, error) {
	switch data := value.(type) {
	case json.RawMessage:
		return string(data), nil
	case []byte:
		return fmt.Sprintf(`\x%x`, data), nil
	}
	t, ok := d.types.TypeForValue(value)
	if !ok {
		return "", fmt.Errorf("cannot be sent through database/sql: %T", value)
	}
	text, err := d.types.Encode(t.OID, pgtype.TextFormatCode, value, nil)
	return string(text), err
}

// sqlRows are rows of database/sql read as those of pgx.
type sqlRows struct {
	rows  *sql.Rows
	types *pgtype.Map
	err   error
}

func (r *sqlRows) Next() bool                    { return r.rows.Next() }
func (r *sqlRows) Close()                        { r.err = errors.Join(r.err, r.rows.Close()) }
func (r *sqlRows) Err() error                    { return errors.Join(r.err, r.rows.Err()) }
func (r *sqlRows) CommandTag() pgconn.CommandTag { return pgconn.CommandTag{} }
func (r *sqlRows) Conn() *pgx.Conn               { return nil }
func (r *sqlRows) RawValues() [][]byte           { return nil }
func (r *sqlRows) TypeMap() *pgtype.Map          { return r.types }

// FieldDescriptions names the columns; the rest of a description is not known here.
func (r *sqlRows) FieldDescriptions() []pgconn.FieldDescription {
	names, err := r.rows.Columns()
	if err != nil {
		r.err = err
	}
	fields := make([]pgconn.FieldDescription, len(names))
	for i, name := range names {
		fields[i].Name = name
	}
	return fields
}

// Values returns the columns as the driver gives them.
func (r *sqlRows) Values() ([]any, error) {
	columns, err := r.rows.Columns()
	if err != nil {
		return nil, err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	return values, r.rows.Scan(into...)
}

// Scan reads what database/sql can read itself and hands the rest, in text form, to pgx.
func (r *sqlRows) Scan(into ...any) error {
	texts := make([]any, len(into))
	for i := range into {
		if r.isPlain(into[i]) {
			texts[i] = into[i]
		} else {
			texts[i] = new(sql.NullString)
		}
	}
	if err := r.rows.Scan(texts...); err != nil {
		return err
	}
	for i := range into {
		text, ok := texts[i].(*sql.NullString)
		if !ok {
			continue
		}
		var src []byte
		if text.Valid {
			src = []byte(text.String)
		}
		t, ok := r.types.TypeForValue(reflect.ValueOf(into[i]).Elem().Interface())
		if !ok {
			return fmt.Errorf("pgq: cannot read into %T through database/sql", into[i])
		}
		if err := r.types.Scan(t.OID, pgtype.TextFormatCode, src, into[i]); err != nil {
			return err
		}
	}
	return nil
}

// isPlain reports whether database/sql scans into the target by itself.
func (r *sqlRows) isPlain(into any) bool {
	t := reflect.TypeOf(into).Elem()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8
	case reflect.Int64:
		return t.PkgPath() == ""
	}
	return true
}

// sqlRow is the first of some rows.
type sqlRow struct {
	rows pgx.Rows
	err  error
}

func (r sqlRow) Scan(into ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		return errors.Join(pgx.ErrNoRows, r.rows.Err())
	}
	if err := r.rows.Scan(into...); err != nil {
		return err
	}
	return r.rows.Err()
}
