package pgq

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DB is what the methods of a [Client] work on: *pgxpool.Pool, *pgx.Conn, pgx.Tx, or what [FromSQL] returns.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// beginner is a DB that is not a transaction yet: a pool or a connection.
type beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// sqlBeginner is the same of database/sql.
type sqlBeginner interface {
	BeginTx(ctx context.Context, o *sql.TxOptions) (*sql.Tx, error)
}

// inTransaction calls do with db if it is a transaction, else with one that is committed when do succeeds.
func inTransaction(ctx context.Context, db DB, do func(DB) error) error {
	if s, ok := db.(sqlDB); ok {
		if b, ok := s.q.(sqlBeginner); ok {
			return inSQLTransaction(ctx, b, do)
		}
		return do(db)
	}
	b, ok := db.(beginner)
	if _, isTx := db.(pgx.Tx); isTx || !ok {
		return do(db)
	}
	return pgx.BeginFunc(ctx, b, func(tx pgx.Tx) error { return do(tx) })
}

func inSQLTransaction(ctx context.Context, b sqlBeginner, do func(DB) error) error {
	tx, err := b.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(FromSQL(tx)); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
