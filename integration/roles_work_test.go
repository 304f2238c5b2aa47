package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

type parcel struct {
	To string `json:"to"`
}

func (parcel) Kind() string { return "parcel" }

// works runs a worker in sessions of a role until the test ends.
func (e *estate) works(db *pgxpool.Pool, c worker.Config, handle func(ctx context.Context, job *pgq.Job[parcel]) (string, error)) *worker.Worker {
	e.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	w := worker.New(db, c)
	worker.HandleResult(w, handle)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	e.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			e.Error("worker: ", err)
		}
	})
	return w
}

// Everybody does his part of it, and none has any other right.
func TestProducerWorkerOperatorAndReaderNeedNothingElse(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	ctx := t.Context()
	producer := e.as(e.granted("producer", pgq.Grant{Class: pgq.Producer, Queues: []string{"mail"}}))
	operator := e.as(e.granted("operator", pgq.Grant{Class: pgq.Operator}))
	reader := e.as(e.granted("reader", pgq.Grant{Class: pgq.Reader}))
	fails := make(chan bool, 1)
	fails <- true
	e.works(e.as(e.granted("worker", pgq.Grant{Class: pgq.WorkerClass})),
		worker.Config{Queues: worker.Queues{"mail": {Concurrency: 4}}, Heartbeat: 50 * time.Millisecond},
		func(ctx context.Context, job *pgq.Job[parcel]) (string, error) {
			worker.Logger(ctx).Info("on its way")
			if err := job.Progress(ctx, 1, 2); err != nil {
				return "", err
			}
			select {
			case <-fails:
				return "", pgq.Permanent(errors.New("lost"))
			default:
				return "to " + job.Args.To, nil
			}
		})

	e.must(e.q.PauseQueue(ctx, operator, "mail", "stock-taking"))
	first, err := e.q.Enqueue(ctx, producer, parcel{"Ada"}, pgq.Options{Queue: "mail"})
	e.must(err)
	e.must(e.q.ResumeQueue(ctx, operator, "mail"))
	job, err := e.q.AwaitFinished(ctx, producer, first.ID)
	e.must(err)
	if job.State != pgq.Failed {
		t.Fatalf("the job is %s", job.State)
	}
	if _, err := e.q.Retry(ctx, operator, first.ID); err != nil {
		t.Fatal(err)
	}
	job, err = e.q.AwaitFinished(ctx, producer, first.ID)
	e.must(err)
	if job.State != pgq.Completed || string(job.Output) != `"to Ada"` {
		t.Errorf("the job is %s with %s", job.State, job.Output)
	}
	seenBy(e, reader, first.ID, "", "")
	seenBy(e, operator, first.ID, `{"to": "Ada"}`, `"to Ada"`)
	history, err := e.q.History(ctx, reader, first.ID)
	if err != nil || len(history) < 2 {
		t.Error(history, err)
	}
	if _, err := e.q.Enqueue(ctx, producer, parcel{}, pgq.Options{Queue: "secret"}); !errors.Is(err, pgq.ErrPermission) {
		t.Error(err)
	}
	if _, err := e.q.Cancel(ctx, producer, "", first.ID); !errors.Is(err, pgq.ErrPermission) {
		t.Error(err)
	}
}

// seenBy checks what somebody sees of a job's args and result.
func seenBy(e *estate, db pgq.DB, id int64, args, output string) {
	e.Helper()
	job, err := e.q.Get(e.Context(), db, id)
	e.must(err)
	if string(job.Args) != args || string(job.Output) != output || job.Kind != "parcel" {
		e.Errorf("sees %s job with args %s and result %s", job.Kind, job.Args, job.Output)
	}
}

func TestABulkAndADAGOfAProducerTakeTheWayThatIsAllowed(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	ctx := t.Context()
	role := e.granted("producer", pgq.Grant{Class: pgq.Producer, Queues: []string{"mail", "dags"}})
	producer := e.as(role)
	items := make([]pgq.Item, 1000)
	for i := range items {
		items[i] = pgq.Item{Args: parcel{fmt.Sprint(i)}, Options: pgq.Options{Queue: "mail"}}
	}
	ids, err := e.q.EnqueueMany(ctx, producer, items)
	if err != nil || len(ids) != len(items) {
		t.Fatal(len(ids), err)
	}
	items[999].Options.Queue = "secret"
	if _, err := e.q.EnqueueMany(ctx, producer, items); !errors.Is(err, pgq.ErrPermission) {
		t.Error(err)
	}
	if n := value[int](t, producer, "select count(*)::int from pgq.own_jobs"); n != 1000 {
		t.Errorf("%d jobs are its own", n)
	}
	b := dagsql.New("ship", dagsql.Options{Queue: "dags"})
	pack := b.Add("pack", parcel{"Ada"})
	b.Add("send", parcel{"Ada"}).After(pack)
	dag, err := dagsql.NewClient(e.q).Submit(ctx, producer, b)
	e.must(err)
	if n := value[int](t, producer, "select count(*)::int from pgq.own_jobs where dag_id = $1 and args is not null", dag.ID); n != 2 {
		t.Errorf("%d nodes are its own", n)
	}
	others := value[int64](t, e.as(e.owner), `select pgq.enqueue('k', '{"a": 1}', queue => 'mail')`)
	for name, statement := range map[string]string{
		"a node in another queue":  `select pgq.dag_submit('{"name": "d", "queue": "dags", "nodes": [{"name": "a", "kind": "k", "queue": "secret"}]}')`,
		"items in another queue":   `select pgq.dag_submit('{"name": "d", "queue": "dags", "nodes": [{"name": "a", "kind": "k"}, {"name": "m", "type": "map", "over": "a", "kind": "k", "queue": "secret"}]}')`,
		"a callback":               `select pgq.enqueue('k', queue => 'mail', callbacks => '{"on_retry": {"kind": "k", "queue": "secret"}}')`,
		"a callback of a node":     `select pgq.dag_submit('{"name": "d", "queue": "dags", "nodes": [{"name": "a", "kind": "k", "callbacks": {"on_retry": {"kind": "k", "queue": "secret"}}}]}')`,
		"a callback of items":      `select pgq.dag_submit('{"name": "d", "queue": "dags", "nodes": [{"name": "a", "kind": "k"}, {"name": "m", "type": "map", "over": "a", "kind": "k", "callbacks": {"on_retry": {"kind": "k", "queue": "secret"}}}]}')`,
		"a node of a sub-DAG":      `select pgq.dag_submit('{"name": "d", "queue": "dags", "nodes": [{"name": "s", "type": "dag"}, {"name": "s/a", "kind": "k", "queue": "secret"}]}')`,
		"a DAG in the default one": `select pgq.dag_submit('{"name": "d", "nodes": [{"name": "a", "kind": "k", "queue": "mail"}]}')`,
		"after a job of others":    fmt.Sprintf(`select pgq.dag_submit('{"name": "d", "queue": "dags", "nodes": [{"name": "a", "kind": "k", "after": [{"job": %d, "when": "$.a == 1"}]}]}')`, others),
		"many, one of them":        `select pgq.enqueue_many('[{"kind": "k", "queue": "mail"}, {"kind": "k", "queue": "secret"}]')`,
		"one in the default queue": `select pgq.enqueue('k')`,
		"a queue that is like its": `select pgq.enqueue('k', queue => 'mail ')`,
		"a queue with the joker":   `select pgq.enqueue('k', queue => '*')`,
	} {
		if _, err := producer.Exec(ctx, statement); sqlState(err) != "42501" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := value[int](t, producer, "select count(*)::int from pgq.get_jobs($1)", []int64{ids[0], dag.ID, others}); n != 2 {
		t.Errorf("sees %d of two own jobs and one of others", n)
	}
	if _, err := e.q.AwaitFinished(ctx, producer, others); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
}

// Chores enqueue for owners; the worker that does them gains nothing by it.
func TestSchedulesFireThoughTheWorkerMayNotEnqueue(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	e.exec(e.as(e.granted("operator", pgq.Grant{Class: pgq.Operator})), `select pgq.set_schedule('often', 'every 1 hour', 'k', options => '{"queue": "mail"}')`)
	e.exec(e.pool, "update pgq.schedules set next_at = now(), fire_at = now()")
	db := e.as(e.granted("worker", pgq.Grant{Class: pgq.WorkerClass}))
	e.exec(db, "select pgq.fire_schedules()")
	if n := value[int](t, e.pool, "select count(*)::int from pgq.jobs where queue = 'mail' and enqueued_by is null"); n != 1 {
		t.Errorf("%d jobs were enqueued", n)
	}
	e.refused(db, "select pgq.enqueue('k', queue => 'mail')")
	e.refused(db, "insert into pgq.acting values (pg_backend_pid())")
	if n := value[int](t, e.pool, "select count(*)::int from pgq.acting"); n != 0 {
		t.Errorf("%d sessions act as owners", n)
	}
}

func TestMembersShareWhatTheirRoleEnqueuesAndOthersSeeNothing(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	shop := e.granted("shop", pgq.Grant{Class: pgq.Producer, Queues: []string{"mail"}})
	blue, green := e.role("blue"), e.role("green")
	e.exec(e.pool, "grant "+shop+" to "+blue+", "+green)
	other := e.as(e.granted("other", pgq.Grant{Class: pgq.Producer}))
	id := value[int64](t, e.as(blue), "select pgq.enqueue('k', queue => 'mail')")
	for name, c := range map[string]struct {
		db   pgq.DB
		want int
	}{"the same": {e.as(blue), 1}, "another member": {e.as(green), 1}, "the role": {e.as(shop), 1}, "somebody else": {other, 0}} {
		if n := value[int](t, c.db, "select count(*)::int from pgq.own_jobs where id = $1", id); n != c.want {
			t.Errorf("%s sees %d jobs", name, n)
		}
	}
	// A role that is no producer gains nothing by what a producer wrote: the session counts.
	e.exec(e.pool, "create schema theirs authorization "+shop)
	e.exec(e.as(shop), "create function theirs.sneak() returns bigint language sql security definer as $$ select pgq.enqueue('k', queue => 'secret') $$")
	nobody := e.role("nobody")
	e.exec(e.as(shop), "grant usage on schema theirs to "+nobody)
	e.refused(e.as(nobody), "select theirs.sneak()")
	e.refused(e.as(blue), "select theirs.sneak()")
}

func TestWhatIsRevokedIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	owner := e.as(e.owner)
	role := e.granted("shop", pgq.Grant{Class: pgq.Producer, Queues: []string{"mail", "news"}})
	db := e.as(role)
	e.exec(db, "select pgq.enqueue('k', queue => 'news')")
	for _, g := range []pgq.Grant{{Class: pgq.Reader, Payloads: true}, {Class: pgq.WorkerClass}} {
		g.Role = role
		e.must(e.q.Grant(t.Context(), owner, g))
	}
	revoke := func(g pgq.Grant, want bool) {
		t.Helper()
		g.Role = role
		if had, err := e.q.Revoke(t.Context(), owner, g); err != nil || had != want {
			t.Errorf("%v: %v, %v", g, had, err)
		}
	}
	revoke(pgq.Grant{Class: pgq.Producer, Queues: []string{"news"}}, true)
	revoke(pgq.Grant{Class: pgq.Producer, Queues: []string{"news"}}, false)
	e.refused(db, "select pgq.enqueue('k', queue => 'news')")
	e.exec(db, "select pgq.enqueue('k', '{\"a\": 1}', queue => 'mail')")
	e.exec(owner, "select pgq.enqueue('k', '{\"a\": 1}')")
	revoke(pgq.Grant{Class: pgq.WorkerClass}, true)
	e.refused(db, "select pgq.do_chores()")
	if n := value[int](t, db, "select count(args)::int from pgq.job_details"); n != 2 {
		t.Errorf("sees %d args", n)
	}
	revoke(pgq.Grant{Class: pgq.Reader, Payloads: true}, true)
	if n := value[int](t, db, "select count(args)::int from pgq.job_details"); n != 1 { // its own
		t.Errorf("sees %d args", n)
	}
	e.refused(db, `select pgq.list_jobs('{"args": {"a": 1}}')`)
	revoke(pgq.Grant{Class: pgq.Reader}, true)
	e.refused(db, "select * from pgq.job_states")
	revoke(pgq.Grant{Class: pgq.Producer}, true)
	e.refused(db, "select version_id from pgq.schema_migrations")
	if all, err := e.q.Grants(t.Context(), owner); err != nil || len(all) != 1 || all[0].Class != pgq.Owner {
		t.Error(all, err)
	}
}

func TestATenantsReaderSeesTheJobsOfThatTenant(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	owner := e.as(e.owner)
	for _, tenant := range []string{"acme", "umbrella", "*"} {
		e.exec(owner, `select pgq.enqueue('k', '{"a": 1}', metadata => jsonb_build_object('tenant', $1::text))`, tenant)
	}
	e.exec(owner, `select pgq.enqueue('k', '{"a": 1}')`)
	e.exec(owner, `select pgq.dag_submit('{"name": "d", "metadata": {"tenant": "acme"}, "nodes": [{"name": "n", "kind": "k", "args": {"a": 1}}]}')`)
	acme := e.granted("acme", pgq.Grant{Class: pgq.Reader, Tenants: []string{"acme"}})
	if n := value[int](t, e.as(acme), "select count(*)::int from pgq.tenant_jobs where tenant = 'acme' and args is null"); n != 3 {
		t.Errorf("sees %d of a job, a DAG and its node", n)
	}
	if n := value[int](t, e.as(acme), "select count(*)::int from pgq.tenant_jobs"); n != 3 {
		t.Errorf("sees %d jobs", n)
	}
	e.refused(e.as(acme), "select * from pgq.job_states")
	e.refused(e.as(acme), "select * from pgq.get_jobs('{1}')")
	e.must(e.q.Grant(t.Context(), owner, pgq.Grant{Class: pgq.Reader, Role: acme, Tenants: []string{"acme"}, Payloads: true}))
	if n := value[int](t, e.as(acme), "select count(args)::int from pgq.tenant_jobs"); n != 2 {
		t.Errorf("sees %d args", n)
	}
}

// Readers see what is scheduled and what stands in sequences, but not with which args.
func TestReadersSeeSchedulesAndSequences(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	owner := e.as(e.owner)
	e.exec(owner, `select pgq.set_schedule('s', 'every 1 h', 'k', '{"secret": 1}')`)
	e.exec(owner, `select pgq.enqueue('k', '{"secret": 1}', sequence => 'one') from generate_series(1, 2)`)
	for name, c := range map[string]struct {
		grant pgq.Grant
		want  bool
	}{
		"reader":   {pgq.Grant{Class: pgq.Reader}, false},
		"payloads": {pgq.Grant{Class: pgq.Reader, Payloads: true}, true},
		"operator": {pgq.Grant{Class: pgq.Operator}, true},
	} {
		db := e.as(e.granted(name, c.grant))
		s, err := e.q.Schedule(t.Context(), db, "s")
		if err != nil || s.Kind != "k" || (s.Job != nil) != c.want || s.DAG != nil {
			t.Errorf("%s sees the schedule %+v, %v", name, s, err)
		}
		sequences, err := e.q.Sequences(t.Context(), db, "", "", 10)
		if err != nil || len(sequences) != 1 {
			t.Errorf("%s sees the sequences %+v, %v", name, sequences, err)
		}
	}
}

// The owner that the guide recommends is no superuser: PostgreSQL does not let it change its own members.
func TestAnOwnerIsToldWhoCanMakeOthersOwners(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	role := e.role("ada")
	for call, want := range map[string]string{
		"select pgq.grant_role('owner', '" + role + "')":  "grant " + e.owner + " to " + role + ";",
		"select pgq.revoke_role('owner', '" + role + "')": "revoke " + e.owner + " from " + role + ";",
	} {
		_, err := e.as(e.owner).Exec(t.Context(), call)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "42501" || !strings.Contains(pg.Hint, want) {
			t.Errorf("%s: %v; want a hint at %s", call, err, want)
		}
	}
	e.exec(e.pool, "select pgq.grant_role('owner', '"+role+"')") // as superuser
	e.exec(e.as(role), "select pgq.apply_grants()")
	if !value[bool](t, e.pool, "select pgq.revoke_role('owner', '"+role+"')") {
		t.Error("it was no owner")
	}
	e.refused(e.as(role), "select pgq.apply_grants()")
}

// A reader can neither keep another one's subscription alive nor end it. Owners can.
func TestASubscriberIsThatOfTheRoleThatMadeIt(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	owner := e.as(e.owner)
	one, other := e.as(e.granted("one", pgq.Grant{Class: pgq.Reader})), e.as(e.granted("other", pgq.Grant{Class: pgq.Operator}))
	id := value[int64](t, one, "select id from pgq.subscribe(null, '1 h')")
	if got := value[int64](t, other, "select id from pgq.subscribe($1, '1 ms')", id); got == id {
		t.Error("another role has shortened a subscription")
	}
	e.exec(other, "select pgq.unsubscribe($1)", id)
	if got := value[int64](t, one, "select id from pgq.subscribe($1, '2 h')", id); got != id {
		t.Error("another role has ended a subscription")
	}
	if got := value[int64](t, owner, "select id from pgq.subscribe($1, '3 h')", id); got != id {
		t.Error("an owner cannot have it")
	}
	e.exec(owner, "select pgq.unsubscribe($1)", id)
	if got := value[int64](t, one, "select id from pgq.subscribe($1)", id); got == id {
		t.Error("an owner cannot end it")
	}
}

// Anybody who can connect can send a NOTIFY. It cancels nothing.
func TestAForgedNotificationCancelsNothing(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	nobody := e.as(e.role("nobody"))
	started, proceed, cause := make(chan int64), make(chan struct{}), make(chan error, 1)
	e.works(e.as(e.granted("worker", pgq.Grant{Class: pgq.WorkerClass})),
		worker.Config{Queues: worker.Queues{"mail": {Concurrency: 1}}, Heartbeat: 15 * time.Second},
		func(ctx context.Context, job *pgq.Job[parcel]) (string, error) {
			started <- job.ID
			<-proceed
			cause <- context.Cause(ctx)
			return "", nil
		})
	owner := e.as(e.owner)
	before := value[time.Time](t, owner, "select now()")
	job, err := e.q.Enqueue(t.Context(), owner, parcel{}, pgq.Options{Queue: "mail"})
	e.must(err)
	<-started
	e.exec(nobody, "select pg_notify('pgq:pgq', format('cancel %s %s 1', n, $1::bigint)) from generate_series(1, 5) n", job.ID)
	eventually(t, "the worker has looked what is to be cancelled", func() bool {
		return value[bool](t, owner, "select heartbeat_at > started_at and heartbeat_at > $1 from pgq.workers", before)
	})
	close(proceed)
	if err := <-cause; err != nil {
		t.Error("cancelled: ", err)
	}
	if _, err := e.q.AwaitFinished(t.Context(), owner, job.ID); err != nil {
		t.Error(err)
	}
}

func TestWhoSeesEverythingMayExportIt(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	e.exec(e.as(e.owner), `select pgq.enqueue('k', '{"secret": 1}', queue => 'q') from generate_series(1, 3)`)
	filter := pgq.Filter{Paths: []pgq.PathFilter{{Path: []string{"secret"}, In: []json.RawMessage{json.RawMessage("1")}}}}
	for name, c := range map[string]struct {
		grant        pgq.Grant
		jobs, events bool
	}{
		"operator": {pgq.Grant{Class: pgq.Operator}, true, true},
		"payloads": {pgq.Grant{Class: pgq.Reader, Payloads: true}, true, true},
		"reader":   {pgq.Grant{Class: pgq.Reader}, false, true},
		"tenant":   {pgq.Grant{Class: pgq.Reader, Tenants: []string{"acme"}, Payloads: true}, false, false},
		"worker":   {pgq.Grant{Class: pgq.WorkerClass}, false, false},
	} {
		db := e.as(e.granted(name, c.grant))
		n := 0
		count := func(json.RawMessage) error {
			n++
			return nil
		}
		err := e.q.ExportJobs(t.Context(), db, filter, count)
		if c.jobs != (err == nil) || !c.jobs && !errors.Is(err, pgq.ErrPermission) || c.jobs && n != 5 {
			t.Errorf("%s exports %d lines of jobs: %v", name, n, err)
		}
		err = e.q.ExportEvents(t.Context(), db, pgq.EventFilter{}, count)
		if c.events != (err == nil) || !c.events && !errors.Is(err, pgq.ErrPermission) {
			t.Errorf("%s exports events: %v", name, err)
		}
		if _, err := e.q.Import(t.Context(), db, func(yield func(json.RawMessage, error) bool) {
			yield(json.RawMessage(`{"type":"export","of":"jobs","schema_version":2,"max_id":9}`), nil)
		}, pgq.ImportOptions{}); !errors.Is(err, pgq.ErrPermission) {
			t.Errorf("%s imports: %v", name, err)
		}
	}
}
