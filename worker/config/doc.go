// Package config reads the settings of a program that works with PGQ. Later wins: defaults, a YAML file, the environment, flags, and
// what the program itself sets in code.
//
//	loaded, err := config.Load(config.Sources{File: os.Getenv("PGQ_CONFIG"), Environ: os.Environ()})
//	pool, err := pgxpool.New(ctx, loaded.DatabaseURL)
//	w := worker.New(pool, loaded.WorkerConfig(worker.Config{Logger: logger}))
//
// The file, of which [Sample] returns all:
//
//	database_url: postgres://app@db.example.com/app
//	schema: pgq
//	worker:
//	  queues:
//	    default: {concurrency: 10}
//	    mail: {concurrency: 50}
//	  lease: 30s
//
// In the environment the same settings are PGQ_DATABASE_URL, PGQ_SCHEMA, PGQ_WORKER_LEASE and so on; queues are
// PGQ_WORKER_QUEUES=default=10,mail=50. A source that gives queues replaces those of the sources before it. Empty variables count as
// not set. What is unknown or breaks a rule is refused, with the place where it stands: a setting with a typing error is
// never silently without effect. No error and nothing that is printed shows a password.
//
// Where no source gives the database, libpq's variables do (PGHOST, PGDATABASE, PGSERVICE …), and for pgq-admin the current context.
// Service files and password files are read as by psql.
package config
