package worker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

func TestADatabaseInLatin1(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyIn(t, "LATIN1")
	if err := migrations.Up(t.Context(), url, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	garbling := pool(t, url)
	w := worker.New(garbling, worker.Config{})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error { return nil })
	var argument *pgq.ArgumentError
	if err := w.Run(t.Context()); !errors.As(err, &argument) || argument.Field != "client_encoding" {
		t.Error("a pool that would garble text: ", err)
	}

	b := onPool(t, pool(t, url+"&client_encoding=UTF8"))
	results := []string{"é", "日本"} // of which the second one cannot be stored
	id := b.handles(pgq.Options{MaxAttempts: 1}, func(_ context.Context, job *pgq.Job[letter]) (any, error) {
		switch job.Args.To {
		case 0, 1:
			return results[job.Args.To], nil
		}
		return nil, errors.New("no such town: 日本, né")
	})
	if job := b.ends(id, pgq.Completed, 1); string(job.Output) != `"é"` {
		t.Errorf("output %s", job.Output)
	}
	b.errorHas(b.ends(b.add(letter{1}, pgq.Options{MaxAttempts: 1}), pgq.Failed, 1), "result must be storable as text")
	b.errorHas(b.ends(b.add(letter{2}, pgq.Options{MaxAttempts: 1}), pgq.Failed, 1), "no such town: U+65E5U+672C, nU+00E9")
}

func pool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}
