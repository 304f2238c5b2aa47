#!/bin/sh
# Submits a DAG from SQL alone: from a trigger. Needs psql and Go (to install PGQ).
set -eu
if [ -z "${PGQ_DATABASE_URL:-}" ]; then
	echo "set PGQ_DATABASE_URL, for example postgres://user:password@localhost:5432/database" >&2
	exit 1
fi
cd "$(dirname "$0")"
go run -buildvcs=false ../../cmd/pgq-admin migrate up
psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --file example.sql "$PGQ_DATABASE_URL"
