// Package pgserver finds or starts a PostgreSQL for development, tests and the
// demo. It is the only place that knows how.
//
// [Start] tries, in this order, and says in [Server.Origin] what it chose:
//
//   - url: the server that was given by Options.URL or PGQ_DATABASE_URL. A given
//     server that does not answer or is too old is an error; no other is taken
//     in its place.
//   - local: the PostgreSQL programs of this machine, first those in PATH, then
//     those in the usual directories, newest first. They run a private cluster in
//     a temporary directory, for tests in memory where that has room.
//   - docker: a container, through testcontainers-go.
//   - embedded: PostgreSQL programs downloaded through embedded-postgres, which
//     run a private cluster like local ones.
//
// # Settings
//
//	PGQ_DATABASE_URL           the server to use
//	PGQ_POSTGRES               url, local, docker or embedded: only this way
//	PGQ_POSTGRES_IMAGE         the Docker image, postgres:17-alpine by default
//	PGQ_EMBEDDED_POSTGRES_URL  the Maven repository of the embedded PostgreSQL
//
// # A private cluster
//
// It listens on 127.0.0.1 and on a Unix socket that only its owner can reach; the
// password is random. A process that is root runs it as postgres or nobody,
// because PostgreSQL refuses root. It does not outlive the process that started
// it: on Linux the kernel ends it when its parent dies, however that dies. The
// directory is removed by the next Start on the machine; elsewhere than on Linux the
// server ends within a minute of that. A container whose owner died is removed the
// same way.
package pgserver
