package pgq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// bulkOf returns n plain jobs.
func bulkOf(n int) []pgq.Item {
	items := make([]pgq.Item, n)
	for i := range items {
		items[i].Args = note{}
	}
	return items
}

func TestAHundredThousandJobsAreEnqueuedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 100_000
	items := make([]pgq.Item, n)
	for i := range items {
		items[i].Args = raw{kind: []string{"a", "b"}[i/1000%2], json: fmt.Sprintf(`{"i": %d}`, i)}
		switch i % 1000 {
		case 500:
			items[i].Options = pgq.Options{Delay: time.Hour}
		case 600:
			items[i].Options = pgq.Options{TTL: time.Hour}
		case 700:
			items[i].Options = pgq.Options{Queue: "other", Priority: pgq.Prio(1)}
		}
	}
	ids, err := w.q.EnqueueMany(t.Context(), w.pool, items)
	must(t, err)
	if len(ids) != n {
		t.Fatalf("got %d ids", len(ids))
	}
	for i := 1; i < n; i++ {
		if ids[i] <= ids[i-1] {
			t.Fatalf("ids do not rise: %d, %d", ids[i-1], ids[i])
		}
	}
	type counts struct{ Jobs, Ready, Rows, Scheduled, Expiries, Other, Wrong int }
	rows, err := w.pool.Query(t.Context(), `select (select count(*) from pgq.jobs), (select sum(size) from pgq.ready), (select count(*) from pgq.ready), (select count(*) from pgq.scheduled),
		(select count(*) from pgq.expiries), (select sum(size) from pgq.ready where queue = 'other' and priority = 1),
		(select count(*) from pgq.jobs j join unnest($1::bigint[]) with ordinality u(id, n) on u.id = j.id where (j.args ->> 'i')::int <> u.n - 1)`, ids)
	must(t, err)
	got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[counts])
	must(t, err)
	// Per thousand: the delayed one and the one of the other queue interrupt the runs of 100.
	if got.Rows > 12*n/1000 {
		t.Errorf("ready has %d rows", got.Rows)
	}
	got.Rows = 0
	if want := (counts{Jobs: n, Ready: n - 100, Scheduled: 100, Expiries: 100, Other: 100}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTheMixtureOfEveryKindOfJobIsTheSameByCopyAndByJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := allOptions()
	past := pgq.Options{RunAt: time.Unix(0, 0)}
	mixture := []pgq.Item{
		{Args: note{"a"}}, {Args: note{"b"}}, {note{"c"}, o}, {note{"d"}, pgq.Options{Codec: plain{}}}, {note{"e"}, past}, {note{"f"}, pgq.Options{Priority: pgq.Prio(2)}},
		{Args: raw{"g", "null"}}, {note{"h"}, pgq.Options{TTL: time.Hour}}, {note{"i"}, pgq.Options{Delay: time.Hour}}, {note{"j"}, pgq.Options{Queue: "z"}}, {Args: note{"k"}},
	}
	var jobs [2][]string
	for i, queues := range []string{"json-", "copy-"} {
		items := append([]pgq.Item{}, mixture...)
		if i == 1 {
			items = append(items, bulkOf(200)...)
		}
		for j := range items {
			items[j].Options.Queue = queues + items[j].Options.Queue
		}
		ids, err := w.q.EnqueueMany(t.Context(), w.pool, items)
		must(t, err)
		rows, err := w.pool.Query(t.Context(), `select concat_ws(' | ', j.id - $2, substr(queue, 6), kind, priority, state, attempt, max_attempts, expires_at - created_at, run_at > created_at,
			timeout, tags, metadata, coalesce(args, 'null'), codec, payload, backoff, result_ttl) from pgq.job_details j where id = any($1) order by id`, ids[:len(mixture)], ids[0])
		must(t, err)
		jobs[i], err = pgx.CollectRows(rows, pgx.RowTo[string])
		must(t, err)
	}
	for i := range mixture {
		if jobs[0][i] != jobs[1][i] {
			t.Errorf("job %d differs:\n%s by JSON\n%s by COPY", i, jobs[0][i], jobs[1][i])
		}
	}
}

func TestNoJobsAtAllAreEnqueuedWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	ids, err := pgq.New(pgq.Config{}).EnqueueMany(t.Context(), nil, nil)
	if ids != nil || err != nil {
		t.Error(ids, err)
	}
}

func TestABulkThatFailsAtItsEndLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The last job breaks a rule that only the database knows.
	w.exec("alter table pgq.expiries add constraint none check (false)")
	for _, n := range []int{10, 300} {
		items := bulkOf(n)
		items[n-1].Options.TTL = time.Hour
		if _, err := w.q.EnqueueMany(t.Context(), w.pool, items); err == nil {
			t.Error("was not refused")
		}
	}
	w.isEmpty()
	w.exec("alter table pgq.expiries drop constraint none")
}

func TestLargeArgsDoNotMakeLargeStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	items := bulkOf(220)
	for i := range 122 {
		items[i].Args = note{strings.Repeat("x", 140_000)}
	}
	ids, err := w.q.EnqueueMany(t.Context(), w.pool, items)
	must(t, err)
	if len(ids) != len(items) || one[int](t, w.pool, "select count(*) from pgq.jobs where length(args ->> 'text') = 140000") != 122 {
		t.Errorf("got %d ids", len(ids))
	}
	items[219].Args = note{strings.Repeat("x", 1<<20)}
	_, err = w.q.EnqueueMany(t.Context(), w.pool, items)
	if field, _, _ := refused(err); field != "jobs[219].args" {
		t.Error("a job of a later part is not named by its index:", err)
	}
}

// A producer may call the functions but not touch the tables: enqueue_many does for it what COPY does for owners.
func TestABulkWorksWithoutRightsOnTheTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	role := fmt.Sprintf("caller_%d", time.Now().UnixNano())
	w.exec(`create role ` + role + ` login password 'secret'`)
	must(t, w.q.Grant(t.Context(), w.pool, pgq.Grant{Class: pgq.Producer, Role: role}))
	t.Cleanup(func() {
		_, err := w.pool.Exec(context.Background(), "drop owned by "+role+"; drop role "+role)
		must(t, err)
	})
	config := w.pool.Config()
	config.ConnConfig.User, config.ConnConfig.Password = role, "secret"
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	must(t, err)
	defer pool.Close()

	_, err = w.q.Enqueue(t.Context(), pool, note{}, pgq.Options{})
	must(t, err)
	ids, err := w.q.EnqueueMany(t.Context(), pool, bulkOf(300))
	if err != nil || len(ids) != 300 {
		t.Fatal(len(ids), err)
	}
	if _, err := pool.Exec(t.Context(), "select from pgq.jobs"); err == nil {
		t.Error("the role has rights on the tables after all")
	}
	if got := one[int](t, w.pool, "select sum(size) from pgq.ready"); got != 301 {
		t.Errorf("%d jobs are ready", got)
	}
	var bad *pgq.ArgumentError
	items := bulkOf(300)
	items[299].Options.Priority = pgq.Prio(10)
	if _, err := w.q.EnqueueMany(t.Context(), pool, items); !errors.As(err, &bad) || bad.Field != "jobs[299].priority" {
		t.Error(err)
	}
}
