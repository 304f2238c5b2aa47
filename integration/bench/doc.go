// Bench measures PGQ beside River and beside the least that PostgreSQL itself must do for the same rows (the floor).
//
//	go run . [-only NAME,…] [-systems NAME,…] [-n N] [-runs R] [-duration D] [-short] [-json FILE] [-markdown] [-url URL]
//
// All systems are measured in one process run, on one PostgreSQL cluster, alternating (A B A B …), each measurement in a
// fresh database, with connection pools of the same size. What is printed is the median over the runs, and the ratios;
// figures of two machines, or of two invocations, say little beside each other. Bench prints and never asserts.
//
// # Scenarios
//
//   - enqueue-bulk: n jobs in one go. PGQ's EnqueueMany; River's InsertManyFast in batches of 5,000 and in one call, the
//     better of the two; the floor is COPY of the same rows into a table with one primary key.
//   - enqueue-unique: n jobs in one go that are all to be unique and all differ: by a key, by their args, and, for comparison, not at
//     all. River's InsertManyFast in batches of 5,000, by their args.
//   - backlog: drain of five times as many jobs, while no jobs and a million jobs of another queue wait behind a limit of one; of PGQ alone.
//   - fairness: 100 jobs of one tenant, from their enqueueing to the end of the last one, alone and with 100,000 of another tenant before them in the
//     queue; 50 slots, handlers that take 10 ms. The median of five in a row. River's jobs have no tenants.
//   - groups: n no-op jobs of 1, 1,000 and 20,000 groups, that is, tenants, which take turns, from the start of a worker process to the commit of the last
//     completion; without a limit (max_running=0) and with one job of each group at a time. Of PGQ alone.
//   - enqueue-tx: begin, one job, commit, from 16 and 64 clients. With workers=busy every handler of a worker process is
//     occupied, so that nobody waits for a notification; with workers=asleep a worker process is idle and works
//     whatever comes at once, on the same machine. notify=off is PGQ with its notifications switched off; the floor is the
//     same transaction with a plain insert.
//   - drain: n no-op jobs that are already there, from the start of a worker process to the commit of the last completion.
//     Also the WAL bytes that a job has caused by then, its enqueueing included.
//   - latency: jobs that arrive at random, 50 per second on average, on an otherwise idle system; from the return of the
//     enqueuer's commit to the start of the handler.
//   - sequence: 1,000 no-op jobs in one sequence, and in each of ten; from the start of a handler to the start of the next one of its sequence; of PGQ alone.
//   - schedules: 10,000 schedules that are due at the same time; from that time to the claims of their jobs; of PGQ alone.
//   - pinned-xmin: rounds of enqueueing and draining for -duration, while another transaction holds a snapshot from before
//     the first job (pinned=true), and the same without it.
//   - idle: queries per second of a worker process that has nothing to do, with 1 and with 20 queues.
//   - memory: peak resident memory of a worker process, a child process of its own, with 1,000 handlers running.
//   - dag-submit: a DAG of 1,000 and of 100,000 nodes, in layers, from the first node that is added in memory to the commit; and
//     the peak resident memory of the process that does it, a child process of its own.
//   - dag-layers: a DAG of layers of 100 nodes, each of which waits for 3 of the layer before.
//   - dag-chain: a DAG in which each node waits for the one before. The time per node is that of a hop.
//   - dag-fanout: 100,000 nodes that wait for one. Also the time from the start of that one's handler to those of the first
//     and the last of them.
//   - dag-fanin: one node that waits for 10,000.
//   - dag-skip: layers that come after a node that fails, so that all of them are skipped; of PGQ alone.
//   - views: how long a read of each view takes, the median of seven, in a database with 10 million jobs (1 million with
//     -short) that ended, wait, run, or are nodes of DAGs; of PGQ alone. It is filled anew in each run, which takes minutes.
//
// DAGs are drained like the jobs of drain: they are there when the worker process is started, and the time ends with the
// commit that ends the DAG. It is told per node, as is WAL. Every DAG is drained with and without a snapshot from before its
// submission that is held to the end (pinned). The database is one in use: it has worked 1,000 other nodes before, and been
// vacuumed and analyzed since. The floor is as many plain jobs of PGQ, not pinned. Fans take turns with layers of as many
// nodes, to be compared with.
//
// # Fairness
//
// Counting costs the database nothing: handlers count in memory, and only when the last one has run is the database
// asked, over a connection of its own, whether the last completion is committed. Afterwards every drained job is looked
// for in the tables, and a measurement with a job too few fails.
//
// River runs with the settings of its own benchmark (2,000 workers, FetchCooldown 2 ms, FetchPollInterval 20 ms), except
// in idle, where its defaults serve it better; PGQ always has its defaults, with as many handlers as River. Both systems
// keep finished jobs. Of the pool, River uses one connection to listen; PGQ opens one more of its own.
//
// River's DAGs are what a user of River without its paid edition would write: a table that says for how many parents a node
// waits, and whose children it has; the handler completes its job, counts down in its children and enqueues those that are
// ready in one transaction of River's, locking rows in order. Nodes without children are completed by River in batches.
//
// # Server
//
// -url or PGQ_DATABASE_URL names the server; its user must be allowed to create databases. Without either, a private
// cluster is started with fsync and synchronous_commit on. Databases made by bench are dropped again.
package main
