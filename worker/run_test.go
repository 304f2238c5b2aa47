package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

func nothing(context.Context, *pgq.Job[letter]) error { return nil }

// nowhere is a pool whose server does not exist.
func nowhere(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=5")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestRunRefusesSettingsThatBreakARule(t *testing.T) {
	t.Parallel()
	pool := nowhere(t)
	one := func(w *worker.Worker) { worker.Handle(w, nothing) }
	for name, c := range map[string]struct {
		config worker.Config
		handle func(w *worker.Worker)
		field  string
		rule   string
	}{
		"no handlers":      {worker.Config{}, func(*worker.Worker) {}, "handlers", "must be at least one"},
		"a nil handler":    {worker.Config{}, func(w *worker.Worker) { worker.Handle[letter](w, nil) }, `handler of "letter"`, "must not be nil"},
		"a nil result":     {worker.Config{}, func(w *worker.Worker) { worker.HandleResult[letter, int](w, nil) }, `handler of "letter"`, "must not be nil"},
		"a nil kind":       {worker.Config{}, func(w *worker.Worker) { worker.HandleKind(w, "x", nil) }, `handler of "x"`, "must not be nil"},
		"an empty kind":    {worker.Config{}, func(w *worker.Worker) { worker.HandleKind(w, "", nil) }, "kind", "must not be empty"},
		"two of a kind":    {worker.Config{}, func(w *worker.Worker) { one(w); one(w) }, `handler of "letter"`, "must be the only one for its kind"},
		"an empty queue":   {worker.Config{Queues: worker.Queues{"": {}}}, one, "Queues", "1 to 128 characters"},
		"a long queue":     {worker.Config{Queues: worker.Queues{strings.Repeat("ü", 129): {}}}, one, "Queues", "1 to 128 characters"},
		"the default row":  {worker.Config{Queues: worker.Queues{"*": {}}}, one, "Queues", "1 to 128 characters"},
		"concurrency -1":   {worker.Config{Queues: worker.Queues{"a": {Concurrency: -1}}}, one, `Queues["a"].Concurrency`, "must be 1 to 100000"},
		"concurrency 1e6":  {worker.Config{Queues: worker.Queues{"a": {Concurrency: 1e6}}}, one, `Queues["a"].Concurrency`, "must be 1 to 100000"},
		"a short lease":    {worker.Config{Lease: time.Millisecond}, one, "Lease", "must be 1s to 24h"},
		"an endless lease": {worker.Config{Lease: 25 * time.Hour}, one, "Lease", "must be 1s to 24h"},
		"a long name":      {worker.Config{Name: strings.Repeat("ü", 201)}, one, "Name", "must have 1 to 200 characters"},
		"a name of lines":  {worker.Config{Name: "a\x00b"}, one, "Name", "control characters"},
		"a slow heartbeat": {worker.Config{Lease: 2 * time.Second, Heartbeat: time.Minute}, one, "Heartbeat", "at most half of Lease"},
		"no heartbeat":     {worker.Config{Heartbeat: -1}, one, "Heartbeat", "must be positive"},
		"frantic polling":  {worker.Config{PollInterval: time.Nanosecond}, one, "PollInterval", "must be at least 1ms"},
		"nil middleware":   {worker.Config{Middleware: []worker.Middleware{nil}}, one, "Middleware", "must not be nil"},
	} {
		w := worker.New(pool, c.config)
		c.handle(w)
		err := w.Run(t.Context())
		var argument *pgq.ArgumentError
		if !errors.As(err, &argument) || argument.Field != c.field || !strings.Contains(argument.Rule, c.rule) {
			t.Errorf("%s: Run returned %v, want one for %s: %s", name, err, c.field, c.rule)
		}
	}
}

func TestRunSaysThatTheDatabaseCannotBeReached(t *testing.T) {
	t.Parallel()
	w := worker.New(nowhere(t), worker.Config{})
	worker.Handle(w, nothing)
	if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("Run returned %v, want one that names the address", err)
	}
}

// A process that is told to stop while it starts has not failed. The server may register it all the same, having heard of that too late.
func TestRunMayBeStoppedBeforeItHasBegun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{})
	worker.Handle(w, nothing)
	locked, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := locked.Exec(t.Context(), "lock table pgq.workers"); err != nil { // it cannot register
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	b.eventually("it registers", func() bool {
		return b.number("select count(*) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())") > 0
	})
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
	if err := locked.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRunRefusesAnotherVersionOfTheSchema(t *testing.T) {
	t.Parallel()
	empty, err := pgxpool.New(context.Background(), pgtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(empty.Close)
	run := func(pool *pgxpool.Pool) error {
		w := worker.New(pool, worker.Config{Logger: slog.New(slog.DiscardHandler)})
		worker.Handle(w, nothing)
		return w.Run(t.Context())
	}
	if err := run(empty); !errors.Is(err, pgq.ErrNotInstalled) {
		t.Errorf("without a schema Run returned %v, want ErrNotInstalled", err)
	}
	b := newBench(t)
	for name, change := range map[string]string{
		"a newer one":     "insert into pgq.schema_migrations (version_id, is_applied) values (999, true)",
		"an older one":    "delete from pgq.schema_migrations where version_id = 2",
		"a half-migrated": "delete from pgq.schema_migrations where version_id = 1",
	} {
		b.exec("create table kept as table pgq.schema_migrations")
		b.exec(change)
		if err := run(b.pool); !errors.Is(err, pgq.ErrSchemaVersion) {
			t.Errorf("with %s Run returned %v, want ErrSchemaVersion", name, err)
		}
		b.exec(`truncate pgq.schema_migrations; insert into pgq.schema_migrations overriding system value table kept; drop table kept`)
	}
	if n := b.number("select count(*) from pgq.workers"); n != 0 {
		t.Errorf("%d workers were registered", n)
	}
	b.exec("alter schema pgq rename to elsewhere")
	if err := run(b.pool); !errors.Is(err, pgq.ErrNotInstalled) {
		t.Errorf("without the schema Run returned %v, want ErrNotInstalled", err)
	}
	b.exec("alter schema elsewhere rename to pgq")
}

func TestRunWorksOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{})
	worker.Handle(w, nothing)
	b.run(w)()
	if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "before") {
		t.Errorf("the second Run returned %v", err)
	}
}

func TestAQueueMayHaveANameOf128Characters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	name := strings.Repeat("ü", 128)
	w := b.worker(worker.Config{Queues: worker.Queues{name: {}}})
	worker.Handle(w, nothing)
	b.run(w)
	b.ends(b.enqueue(pgq.Options{Queue: name}), pgq.Completed, 1)
}
