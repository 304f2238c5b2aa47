package pgq_test

import (
	"errors"
	"testing"

	"github.com/pgq-go/queue/pgq"
)

func TestCheckVersionKnowsWhatItCanWorkWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name, given string
		schema      string
		want        error
	}{
		{name: "as it should be"},
		{name: "nothing", schema: "nowhere", want: pgq.ErrNotInstalled},
		{name: "a schema of somebody else", given: "create schema theirs; create table theirs.things ()", schema: "theirs", want: pgq.ErrNotInstalled},
		{name: "older", given: "delete from pgq.schema_migrations where version_id = 2", want: pgq.ErrSchemaVersion},
		{name: "newer", given: "insert into pgq.schema_migrations (version_id, is_applied) values (3, true)", want: pgq.ErrSchemaVersion},
		{name: "half-migrated", given: "delete from pgq.schema_migrations where version_id = 1", want: pgq.ErrSchemaVersion},
		{name: "nothing applied", given: "delete from pgq.schema_migrations", want: pgq.ErrSchemaVersion},
		{name: "without the table", given: "drop table pgq.schema_migrations", want: pgq.ErrNotInstalled},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx, err := w.pool.Begin(t.Context())
			must(t, err)
			defer func() { must(t, tx.Rollback(t.Context())) }()
			if c.given != "" {
				_, err = tx.Exec(t.Context(), c.given)
				must(t, err)
			}
			if err := pgq.New(pgq.Config{Schema: c.schema}).CheckVersion(t.Context(), tx); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestTheClientKnowsTheNamesThatSQLKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.session()
	if got := one[string](t, conn, "select channel()"); got != w.q.Channel() || w.q.Schema() != pgq.DefaultSchema {
		t.Errorf("the channel is %q in SQL, %q in Go", got, w.q.Channel())
	}
	if got := one[string](t, conn, "select event_channel()"); got != "pgq-events:"+w.q.Schema() {
		t.Errorf("the channel of events is %q", got)
	}
	if got := one[int64](t, conn, "select max(version_id) from schema_migrations"); got != pgq.SchemaVersion {
		t.Errorf("the schema has version %d, the library knows %d", got, pgq.SchemaVersion)
	}
}

func TestVerbsWithoutAnInstallationSaySo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := pgq.New(pgq.Config{Schema: "nowhere"})
	_, enqueue := q.Enqueue(t.Context(), w.pool, note{}, pgq.Options{})
	_, many := q.EnqueueMany(t.Context(), w.pool, bulkOf(300))
	_, get := q.Get(t.Context(), w.pool, 1)
	_, check := q.Check(t.Context(), w.pool)
	for name, err := range map[string]error{"Enqueue": enqueue, "EnqueueMany": many, "Get": get, "Check": check} {
		if !errors.Is(err, pgq.ErrNotInstalled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatesKnowWhetherTheyAreFinal(t *testing.T) {
	t.Parallel()
	for state, want := range map[pgq.State]bool{
		pgq.Scheduled: false, pgq.Ready: false, pgq.Running: false,
		pgq.Completed: true, pgq.Failed: true, pgq.Cancelled: true, pgq.Skipped: true, pgq.Expired: true,
	} {
		if state.Finished() != want {
			t.Errorf("%s is final: %t", state, state.Finished())
		}
	}
}
