// Package examples holds small programs, one folder each. Each finds its PostgreSQL through PGQ_DATABASE_URL, installs
// PGQ in the schema pgq if need be, and uses queues and tables of its own (example_…):
//
//	export PGQ_DATABASE_URL=postgres://user:password@localhost:5432/database
//	go run ./examples/hello           # enqueue in a transaction, run it, get the result
//	go run ./examples/transactional   # effects that happen exactly once
//	go run ./examples/progress        # progress, log lines, cancelling from another process
//	go run ./examples/batch           # 10,000 jobs at once, counts per state
//	go run ./examples/unique          # jobs that are there once, debounced jobs
//	go run ./examples/sequence        # jobs of one order after the other, one that fails and stops them
//	go run ./examples/limits          # limits, rates, groups that take turns, a service that wants to be left alone
//	go run ./examples/ageing          # a job of the last priority beside a stream of soonest ones
//	go run ./examples/breaker         # a circuit breaker opens, tries with one job, closes
//	go run ./examples/weights         # two queues that share a worker's slots
//	go run ./examples/backoff         # pauses from a table, dead letters by fingerprint, run again at a rate
//	go run ./examples/schedules       # cron, an interval, what code declares
//	go run ./examples/encrypted       # codecs, keys that change
//	go run ./examples/configured      # settings from a file, the environment and code
//	go run ./examples/steps           # a handler that goes on where it failed, sleeps, waits for a signal
//	go run ./examples/isolated        # a handler in a child process, where it may crash or hoard memory
//	go run ./examples/callbacks       # jobs that are enqueued when another one succeeds, fails or is retried
//	go run ./examples/events          # consume what happens: exactly once, and after a pause
//	go run ./examples/bulk            # a handler that takes several jobs at once
//	examples/sql/run.sh               # enqueue from psql and from a trigger
//
// Workers that are not written in Go, for docs/worker-protocol.md; they need a schema that is installed:
//
//	examples/python-worker/worker.py  # complete, with psycopg2
//	examples/shell-worker/worker.sh   # psql and bash only
//
// DAGs, in the order in which to read them; docs/dags.md is their guide:
//
//	go run ./examples/etl             # jobs that wait for each other, results by name, one that may fail
//	go run ./examples/approval        # a node that waits for a human, conditions, a default when time is out
//	go run ./examples/saga            # what was done is undone in reverse order
//	go run ./examples/map             # a job per item of a result, three at a time, some may fail
//	go run ./examples/subdag          # nodes made of nodes
//	go run ./examples/search          # the first good result cancels the rest
//	go run ./examples/batches         # a set of jobs that grows, callbacks, batches in a batch
//	examples/sql-dag/run.sh           # a DAG from a trigger, answered and watched in SQL
package examples
