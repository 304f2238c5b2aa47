package pgq_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
)

// inLatin1 returns a world in a database that has the characters of Western Europe only, and its URL.
func inLatin1(t *testing.T) (*world, string) {
	t.Helper()
	url := pgtest.EmptyIn(t, "LATIN1")
	must(t, migrations.Up(t.Context(), url, migrations.Options{}))
	pool, err := pgxpool.New(t.Context(), url+"&client_encoding=UTF8")
	must(t, err)
	t.Cleanup(pool.Close)
	return &world{T: t, pool: pool, q: pgq.New(pgq.Config{})}, url
}

func TestInLatin1TextComesBackAsItWas(t *testing.T) {
	t.Parallel()
	w, _ := inLatin1(t)
	must(t, w.q.CheckVersion(t.Context(), w.pool))
	id := w.enqueue(note{"à l'été"}, pgq.Options{Queue: "été", Tags: []string{"é"}})
	if job := w.get(id); job.Queue != "été" || string(job.Args) != `{"text": "à l'été"}` || job.Tags[0] != "é" {
		t.Errorf("%s %+v", job.Args, job)
	}
	many, err := w.q.EnqueueMany(t.Context(), w.pool, []pgq.Item{{Args: note{"ü"}}, {Args: note{"ß"}}})
	must(t, err)
	if job := w.get(many[1]); string(job.Args) != `{"text": "ß"}` {
		t.Errorf("%s", job.Args)
	}
	if n := one[int](t, w.pool, "select length(args ->> 'text') from pgq.jobs where id = $1", id); n != 7 {
		t.Errorf("PostgreSQL sees %d characters", n)
	}
	var argument *pgq.ArgumentError
	if _, err := w.q.Enqueue(t.Context(), w.pool, note{"日本"}, pgq.Options{}); !errors.As(err, &argument) || argument.Field != "args" {
		t.Error(err)
	}
	found, err := w.q.Doctor(t.Context(), w.pool, pgq.DoctorOptions{})
	must(t, err)
	told := false
	for _, f := range found {
		told = told || f.Name == "encoding"
	}
	if !told {
		t.Errorf("the doctor does not mention the encoding: %+v", found)
	}
	w.exec(`select pgq.dag_submit('{"name": "été", "nodes": [{"name": "préparer", "kind": "a"}, {"name": "b", "kind": "a", "after": ["préparer"]}]}')`)
	if picture := one[string](t, w.pool, "select pgq.dag_mermaid(max(id)) from pgq.dags"); !strings.Contains(picture, "préparer") {
		t.Error(picture)
	}
	w.check(t.Context())
}

func TestInLatin1ClientsThatWouldGarbleTextAreRefused(t *testing.T) {
	t.Parallel()
	w, url := inLatin1(t)
	conn, err := pgx.Connect(t.Context(), url) // whose encoding is the database's
	must(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is left to be written
	_, single := w.q.Enqueue(t.Context(), conn, note{"é"}, pgq.Options{})
	_, many := w.q.EnqueueMany(t.Context(), conn, slices.Repeat([]pgq.Item{{Args: note{"é"}}}, 1000))
	_, few := w.q.EnqueueMany(t.Context(), conn, []pgq.Item{{Args: note{"é"}}, {Args: note{"é"}}})
	_, unique := w.q.Enqueue(t.Context(), conn, note{"é"}, pgq.Options{Sequence: "é"})
	_, document := w.q.EnqueueJSON(t.Context(), conn, []json.RawMessage{json.RawMessage(`{"kind": "é"}`)})
	for what, err := range map[string]error{
		"CheckVersion": w.q.CheckVersion(t.Context(), conn), "Enqueue": single, "EnqueueMany": many, "EnqueueMany of few": few, "Enqueue in a sequence": unique, "EnqueueJSON": document,
	} {
		var argument *pgq.ArgumentError
		if !errors.As(err, &argument) || argument.Field != "client_encoding" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.jobs"); n != 0 {
		t.Errorf("%d jobs", n)
	}
	// PostgreSQL's other clients may speak what they like.
	if _, err := conn.Exec(t.Context(), "select pgq.enqueue('k'), pgq.enqueue_many('[{\"kind\": \"k\"}]')"); err != nil {
		t.Error(err)
	}
}
