// Package examples holds small programs, one folder each. Each finds its PostgreSQL through PGQ_DATABASE_URL, installs
// PGQ in the schema pgq if need be, and uses queues and tables of its own (example_…):
//
//	export PGQ_DATABASE_URL=postgres://user:password@localhost:5432/database
//	go run ./examples/hello           # enqueue in a transaction, run it, get the result
//	go run ./examples/transactional   # effects that happen exactly once
//	go run ./examples/progress        # progress, log lines, cancelling from another process
//	go run ./examples/batch           # 10,000 jobs at once, counts per state
//	examples/sql/run.sh               # enqueue from psql and from a trigger
package examples
