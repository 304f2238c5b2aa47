package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgq-go/queue/pgq"
)

// Keys are shared by all queues, what is behind them is not: a producer learns that one is taken, and no more.
func TestAKeyTellsNothingOfQueuesThatWereNotGranted(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	owner := e.as(e.owner)
	producer := e.as(e.granted("producer", pgq.Grant{Class: pgq.Producer, Queues: []string{"mail"}}))
	for statement, want := range map[string]string{
		`select job_id || outcome from pgq.enqueue_jobs('[{"kind": "k", "queue": "%[2]s", "unique": {"key": "%[1]s"}}]')`:                              "existing",
		`select job_id || outcome from pgq.enqueue_jobs('[{"kind": "k", "queue": "%[2]s", "unique": {"key": "%[1]s", "while": "queued"}}]')`:           "existing",
		`select pgq.enqueue('k', queue => '%[2]s', uniqueness => '{"key": "%[1]s"}')::text`:                                                            "",
		`select job_id::text from pgq.enqueue_jobs('[{"kind": "k", "queue": "%[2]s", "unique": {"key": "%[1]s", "on_conflict": "error"}}]')`:           "PQ007",
		`select job_id || outcome from pgq.enqueue_jobs('[{"kind": "k", "queue": "%[2]s", "unique": {"key": "%[1]s", "on_conflict": "replace"}}]')`:    "42501",
		`select dag_id || created::text from pgq.dag_submit('{"name": "n", "key": "%[1]s", "queue": "%[2]s", "nodes": [{"name": "a", "kind": "k"}]}')`: "false",
		`select batch_id || created::text from pgq.batch_submit('{"name": "b", "key": "%[1]s", "queue": "%[2]s", "jobs": [{"kind": "k"}]}')`:           "false",
	} {
		for _, queue := range []string{"secret", "mail"} {
			e.exec(owner, `do $$ begin perform pgq.dag_cancel(dag_id) from pgq.dag_keys; perform pgq.delete(array(select id from pgq.jobs)); delete from pgq.dag_keys; end $$`)
			e.exec(owner, "select setval('pgq.jobs_id_seq', 70707)")
			key := "key of " + queue
			e.exec(owner, strings.NewReplacer(`"error"`, `"existing"`, `"replace"`, `"existing"`).Replace(fmt.Sprintf(statement, key, queue)))
			var got string
			err := producer.QueryRow(t.Context(), fmt.Sprintf(statement, key, "mail")).Scan(&got)
			var pg *pgconn.PgError
			switch isError := errors.As(err, &pg); {
			case queue == "secret":
				if !isError || pg.Code != "42501" || !strings.Contains(pg.Message, "the key is that of a job in a queue") || strings.Contains(fmt.Sprint(*pg), "7070") {
					t.Errorf("%s: %q %v; want it refused without the id", statement, got, err)
				}
			case isError && pg.Code != want || !isError && !strings.HasSuffix(got, want):
				t.Errorf("%s: %q %v; want %s", statement, got, err, want)
			}
		}
	}
}

// Whether somebody may enqueue into a queue is asked before anything that would tell of what there is.
func TestRightsAreAskedForBeforeKeysAndKinds(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	owner := e.as(e.owner)
	producer := e.as(e.granted("producer", pgq.Grant{Class: pgq.Producer, Queues: []string{"mail"}}))
	e.exec(owner, "select pgq.register_worker('w', '{mail}', '{known}')")
	e.exec(owner, `select pgq.dag_submit('{"name": "d", "key": "taken", "queue": "mail", "nodes": [{"name": "a", "kind": "k"}]}')`)
	e.exec(owner, `select pgq.enqueue('k', queue => 'mail', uniqueness => '{"key": "taken"}')`)
	batch := value[int64](t, producer, `select batch_id from pgq.batch_submit('{"name": "b", "queue": "mail", "open": true}')`)
	for _, statement := range []string{
		`select pgq.enqueue('k', queue => 'mail', callbacks => '{"on_retry": {"kind": "%s", "queue": "secret"}}')`,
		`select pgq.enqueue('k', queue => 'secret', callbacks => '{"on_retry": {"kind": "%s", "queue": "mail"}}')`,
		`select pgq.enqueue_many('[{"kind": "k", "queue": "mail", "callbacks": {"on_retry": {"kind": "%s"}}}]')`,
		`select pgq.enqueue_many('[{"kind": "k", "queue": "mail"}, {"kind": "%s", "callbacks": {"on_retry": {"kind": "%[1]s", "queue": "mail"}}}]')`,
		`select pgq.dag_submit('{"name": "d", "queue": "mail", "nodes": [{"name": "a", "kind": "k", "callbacks": {"on_retry": {"kind": "%s", "queue": "secret"}}}]}')`,
		`select pgq.dag_submit('{"name": "d", "nodes": [{"name": "a", "kind": "k", "queue": "mail", "callbacks": {"on_retry": {"kind": "%s", "queue": "mail"}}}]}')`,
		`select pgq.dag_submit('{"name": "d", "key": "taken", "queue": "mail", "nodes": [{"name": "a", "kind": "%s", "queue": "secret"}]}')`,
		`select pgq.batch_submit('{"name": "b", "queue": "mail", "on_done": {"kind": "%s", "queue": "secret"}}')`,
		`select pgq.batch_submit('{"name": "b", "queue": "mail", "on_failure": {"kind": "%s", "callbacks": {"on_retry": {"kind": "%[1]s"}}}}')`,
		`select pgq.batch_submit('{"name": "b", "queue": "mail", "jobs": [{"kind": "k", "queue": "secret", "callbacks": {"on_retry": {"kind": "%s", "queue": "mail"}}}]}')`,
		fmt.Sprintf(`select pgq.batch_add(%d, '[{"kind": "%%s", "queue": "secret", "callbacks": {"on_retry": {"kind": "%%[1]s", "queue": "mail"}}}]')`, batch),
		`select pgq.enqueue_many('[{"kind": "%s", "queue": "secret", "unique": {"key": "taken"}}]')`,
	} {
		for _, kind := range []string{"known", "unknown"} {
			_, err := producer.Exec(t.Context(), fmt.Sprintf(statement, kind))
			if sqlState(err) != "42501" || !strings.Contains(err.Error(), "permission denied to enqueue into queue") {
				t.Errorf("%s with a kind that is %s: %v", statement, kind, err)
			}
		}
	}
	// What metadata and args say is no queue.
	e.exec(producer, `select pgq.batch_submit('{"name": "b", "queue": "mail", "metadata": {"queue": "secret"}, "jobs": [{"kind": "k", "args": {"queue": "secret"}}]}')`)
}

// Documents of any shape are refused by name, in a producer's session, too, in which they are looked at for queues first.
func TestOddDocumentsOfProducersAreRefusedByName(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	producer := e.as(e.granted("producer", pgq.Grant{Class: pgq.Producer, Queues: []string{"default"}}))
	batch := value[int64](t, producer, `select batch_id from pgq.batch_submit('{"name": "b", "open": true}')`)
	for _, document := range []string{
		`null`, `1`, `"x"`, `true`, `[1]`, `[[]]`, `[null]`, `{"nodes": 1}`, `{"name": "d", "nodes": {"a": 1}}`, `{"name": "d", "jobs": 7, "on_done": []}`, `{"name": "d", "queue": 1}`,
		`[{"callbacks": 1}]`, `[{"callbacks": {"on_retry": 1}}]`, `[{"kind": "k", "callbacks": {"on_retry": {"queue": {}}}}]`, `[{"kind": "k", "queue": []}]`,
		`[{"batch": "x"}]`, `[{"batch": 1e30}]`, `[{"batch": -1}]`, `[{"batch": {}}]`, `[{"batch": 1.5}]`, `{"name": "d", "nodes": [{"name": "a", "callbacks": "x", "queue": 3}]}`,
	} {
		for _, call := range []string{"select pgq.enqueue_many($1)", "select pgq.dag_submit($1)", "select pgq.batch_submit($1)", fmt.Sprintf("select pgq.batch_add(%d, $1)", batch)} {
			_, err := producer.Exec(t.Context(), call, document)
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || pg.Code != "PQ001" && pg.Code != "42501" && pg.Code != "PQ004" {
				t.Errorf("%s with %s: %v", call, document, err)
			}
		}
	}
	if _, err := producer.Exec(t.Context(), "select pgq.enqueue('k', queue => null, callbacks => '{}')"); sqlState(err) != "PQ001" {
		t.Error("a queue that is null: ", err)
	}
}
