package pgq

import (
	"context"

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

// inTransaction calls do with db if it is a transaction, else with one that is committed when do succeeds.
func inTransaction(ctx context.Context, db DB, do func(DB) error) error {
	b, ok := db.(beginner)
	if _, isTx := db.(pgx.Tx); isTx || !ok {
		return do(db)
	}
	return pgx.BeginFunc(ctx, b, func(tx pgx.Tx) error { return do(tx) })
}
