package pgq_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/internal/pgserver"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
)

// findingCase provokes a finding in a transaction that is rolled back.
type findingCase struct {
	name    string
	given   string // statements
	args    string // of doctor()
	want    string // "severity subject"
	repairs bool   // repair is SQL after which it is no longer found
}

var findingCases = []findingCase{
	{name: "read_only", given: "set local default_transaction_read_only = on", want: "critical default_transaction_read_only"},
	{name: "synchronous_commit_off", given: "set local synchronous_commit = off", want: "warning synchronous_commit"},
	{name: "autovacuum_off", given: "set local track_counts = off", want: "critical track_counts"},
	{name: "autovacuum_off", given: "alter table ready set (autovacuum_enabled = false)", want: "critical ready", repairs: true},
	{name: "isolation_level", given: "set local default_transaction_isolation = 'serializable'", want: "warning default_transaction_isolation"},
	{name: "idle_transactions_unlimited", given: "set local idle_in_transaction_session_timeout = 0", want: "info idle_in_transaction_session_timeout"},
	{name: "short_statement_timeout", given: "set local statement_timeout = '9s'", want: "warning statement_timeout"},
	{name: "jit_on", given: "set local jit = on", want: "info jit"},
	{name: "connections_used_up", args: "connections_share => 0.000001", want: "warning max_connections"},
	{name: "transaction_ids", args: "transaction_age => 0", want: "warning database "},
	{name: "constraint_not_valid", given: "alter table jobs add constraint more check (id > 0) not valid", want: "warning more", repairs: true},
	{name: "sequence_behind", given: "insert into jobs (id, queue, kind) values (nextval('jobs_id_seq') + 1000, 'q', 'k')", want: "critical jobs_id_seq", repairs: true},
	{name: "attempts_used_up", given: "insert into running (job_id, queue, attempt, worker_id, claimed_at) values (7, 'q', 2100000000, 1, now())", want: "critical job 7"},
	{name: "expired_leases", want: "warning worker 1", repairs: true, given: `select enqueue('a'); select register_worker('w', '{default}', '{a}');
		select claim(1, '{default}', '{1}'); update workers set heartbeat_at = now() - interval '1 hour'`},
	{name: "leases_of_nobody", want: "critical worker 1", repairs: true, given: `select enqueue('a'); select register_worker('w', '{default}', '{a}');
		select claim(1, '{default}', '{1}'); delete from workers`},
	{name: "chores_late", given: "select enqueue('a')", want: "warning chores", repairs: true},
	{name: "due_jobs_late", given: "select enqueue('a', delay => '1 s'); update scheduled set run_at = now() - interval '1 hour'", want: "warning job 1", repairs: true},
	{name: "frontier_backlog", args: "frontier_rows => 1", want: "warning frontier", repairs: true,
		given: `select enqueue('a') from generate_series(1, 2); insert into frontier values (1, 1, 1), (1, 2, 2)`},
	{name: "no_worker", given: "select enqueue('a', queue => 'q''% \u202e')", want: "warning queue q'% \u202e"},
	{name: "old_job", args: "old_job => '0 s'", given: "select enqueue('a', queue => 'q'); select pause_queue('q', 'why')", want: "warning queue q"},
	{name: "queue_paused", given: `select pause_queue('q'' "x"', 'why')`, want: `info queue q' "x"`, repairs: true},
	{name: "sequence_stopped", want: "warning sequence it's",
		given:   "select enqueue('a', sequence => 'it''s', max_attempts => 1); select register_worker('w', '{default}', '{a}'); select claim(1, '{default}', '{1}'); select fail(1, '{1}', '{1}', '{x}')",
		repairs: true},
	{name: "unknown_kind", given: "select enqueue('a'); select register_worker('w', '{default}', '{b}')", want: "warning kind a of queue default", repairs: true},
	{name: "events_lost", given: "select set_consumer('c'); update consumers set lost_at = now()", want: "critical consumer c", repairs: true},
	{name: "consumer_fails", given: "select set_consumer('c'); update consumers set failures = 3, error = 'no'", want: "warning consumer c"},
	{name: "consumer_behind", given: "select set_consumer('c'); insert into events (type, at) values ('paused', now() - interval '2 h')", want: "warning consumer c"},
	{name: "consumer_forgotten", want: "warning consumer c", repairs: true, given: `select set_consumer('c'); update consumers set created_at = now() - interval '2 d';
		insert into events (type, at) values ('paused', now() - interval '30 h')`},
	{name: "events_not_written", given: "select set_consumer('c', types => '{completed}')", want: "info consumer c", repairs: true},
	{name: "events_not_written", given: `select set_consumer('d', queues => '{"it''s"}', types => '{completed}')`, want: "info consumer d", repairs: true},
	{name: "events_of_another_server", given: "insert into events (type, xid) values ('paused', '900000000000')", want: "critical events", repairs: true},
	{name: "public_may_use_schema", given: "grant usage on schema pgq to public", want: "warning schema pgq", repairs: true},
	{name: "public_may_use_schema", given: "grant create on schema pgq to public", want: "critical schema pgq", repairs: true},
	{name: "others_may_create", given: "create role pgq_doctor_test; grant create on schema pgq to pgq_doctor_test", want: "critical role pgq_doctor_test", repairs: true},
	{name: "public_may_touch_table", given: "grant insert on jobs to public", want: "warning jobs", repairs: true},
	{name: "rights_by_hand", given: "create role pgq_doctor_test; alter default privileges grant select on tables to pgq_doctor_test; create table signals2 (n integer)",
		want: "warning role pgq_doctor_test", repairs: true},
	{name: "rights_by_hand", given: "create role pgq_doctor_test; grant execute on function sleep_gate to pgq_doctor_test", want: "warning role pgq_doctor_test", repairs: true},
	{name: "rights_by_hand", given: "create role pgq_doctor_test; grant usage on sequence jobs_id_seq to pgq_doctor_test", want: "warning role pgq_doctor_test", repairs: true},
	{name: "rights_by_hand", given: "create role pgq_doctor_test; grant select (args) on jobs to pgq_doctor_test", want: "warning role pgq_doctor_test", repairs: true},
	{name: "rights_by_hand", given: "create role pgq_doctor_test; grant trigger on jobs to pgq_doctor_test", want: "critical role pgq_doctor_test", repairs: true},
	{name: "rights_by_hand", given: "create role pgq_doctor_test; select grant_role('reader', 'pgq_doctor_test'); grant insert on jobs to pgq_doctor_test; grant usage on sequence jobs_id_seq to pgq_doctor_test",
		want: "warning role pgq_doctor_test", repairs: true},
	{name: "owners_differ", given: "create role pgq_doctor_test; alter table signals owner to pgq_doctor_test; alter view health owner to pgq_doctor_test; alter function sleep_gate owner to pgq_doctor_test",
		want: "critical 3 of pgq_doctor_test", repairs: true},
	{name: "owners_differ", given: "create role pgq_doctor_test; alter schema pgq owner to pgq_doctor_test", want: "critical ", repairs: true},
	{name: "extension_in_schema", given: "create extension hstore schema pgq", want: "warning extension hstore", repairs: true},
}

// provoked returns the finding of a case: it, and what repairs it.
func provoked(t *testing.T, db pgq.DB, c findingCase) (found, repair string) {
	t.Helper()
	rows, err := db.Query(t.Context(), "select severity || ' ' || subject, repair from doctor("+c.args+") where finding = $1 order by 1", c.name)
	must(t, err)
	var subject, sql string
	_, err = pgx.ForEachRow(rows, []any{&subject, &sql}, func() error {
		if strings.HasPrefix(subject, c.want) || found == "" {
			found, repair = subject, sql
		}
		return nil
	})
	must(t, err)
	return found, repair
}

var sqlBegins = regexp.MustCompile(`\b(select|alter|revoke|insert into|grant|begin read write|vacuum|reindex|commit prepared)[ ;]`)

// sqlOf returns the SQL of a repair, the first of several that are offered.
func sqlOf(repair string) string {
	if at := sqlBegins.FindStringIndex(repair); at != nil {
		repair = repair[at[0]:]
	}
	repair, _, _ = strings.Cut(repair, "; or")
	if end := strings.LastIndex(repair, ";"); end >= 0 {
		repair = repair[:end]
	}
	return repair
}

func TestTheDoctorFindsWhatIsWrongAndKnowsTheRepair(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.session()
	_, err := conn.Exec(t.Context(), "set synchronous_commit = on") // servers of tests have it off
	must(t, err)
	for _, c := range findingCases {
		t.Run(c.name, func(t *testing.T) {
			tx, err := conn.Begin(t.Context())
			must(t, err)
			defer func() { must(t, tx.Rollback(context.Background())) }()
			do := func(sql string) {
				t.Helper()
				if _, err := tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
			if strings.Contains(c.given, "extension") && !one[bool](t, tx, "select exists (select from pg_available_extensions where name = 'hstore')") {
				t.Skip("this server has no hstore")
			}
			if c.given != "" && c.name != "idle_transactions_unlimited" && c.name != "jit_on" {
				if before, _ := provoked(t, tx, c); strings.HasPrefix(before, c.want) {
					t.Fatalf("found beforehand: %s", before)
				}
			}
			do("select setval('jobs_id_seq', 1, false), setval('workers_id_seq', 1, false)")
			do(c.given)
			found, repair := provoked(t, tx, c)
			if !strings.HasPrefix(found, c.want) || repair == "" {
				t.Fatalf("found %q, want %q; repair %q", found, c.want, repair)
			}
			if c.repairs {
				repair = sqlOf(repair)
				do(repair)
				if left, _ := provoked(t, tx, c); left == found {
					t.Errorf("after %s: %s", repair, left)
				}
			}
		})
	}
}

func TestTheDoctorFindsNothingWrongWithAFreshInstallation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	found, err := w.q.Doctor(t.Context(), w.pool, pgq.DoctorOptions{})
	must(t, err)
	for _, f := range found {
		// What is of the server, which others use, and is theirs.
		if s := strings.Fields(f.Subject)[0]; s == "session" || s == "fsync" || s == "full_page_writes" || s == "synchronous_commit" || s == "slot" {
			continue
		}
		if f.Severity != pgq.Info {
			t.Errorf("%+v", f)
		}
	}
}

func TestTheDoctorSeesWhatOtherSessionsDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	doctor := w.session()
	other, listener := w.session(), w.session()
	_, err := other.Exec(ctx, "begin")
	must(t, err)
	pid := one[string](t, other, "select 'session ' || pg_backend_pid()")
	one[int64](t, other, "select txid_current()")
	long := findingCase{name: "long_transaction", args: "long_transaction => '0 s'", want: "warning " + pid}
	if found, repair := provoked(t, doctor, long); found != long.want || !strings.HasPrefix(repair, "select pg_terminate_backend(") {
		t.Errorf("%s %s", found, repair)
	}
	if found, _ := provoked(t, doctor, findingCase{name: "long_transaction", want: "warning " + pid}); found == long.want {
		t.Error("a transaction of less than ten minutes is told of")
	}
	// A listener that does not come to read keeps all that is notified.
	_, err = listener.Exec(ctx, "listen pgq_doctor_test")
	must(t, err)
	_, err = listener.Exec(ctx, "begin; select 1", pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	w.exec("select pg_notify('pgq_doctor_test', repeat('x', 7000) || i) from generate_series(1, 100) i")
	full := findingCase{name: "notify_queue", args: "notify_share => 0", want: "warning NOTIFY"}
	if found, _ := provoked(t, doctor, full); found != full.want {
		t.Error("the NOTIFY queue is not empty, found is", found)
	}
}

func TestTheDoctorSeesTablesAndIndexesInABadState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.session()
	exec := func(sql string) error {
		_, err := conn.Exec(t.Context(), sql)
		return err
	}
	die := func() {
		for _, sql := range []string{
			"alter table pgq.workers set (autovacuum_enabled = false)",
			"insert into pgq.workers (name, queues, kinds, lease) select repeat('x', 1000), '{}', '{}', '1 s' from generate_series(1, 1000)",
			"delete from pgq.workers", "select pg_stat_force_next_flush()",
		} {
			must(t, exec(sql))
		}
	}
	must(t, exec("select pgq.enqueue('a') from generate_series(1, 2)"))
	if exec("create unique index concurrently broken on pgq.jobs (queue)") == nil {
		t.Error("an index on what is not unique was created")
	}
	for _, c := range []findingCase{
		{name: "dead_rows", args: "dead_rows => 500", want: "warning workers"},
		{name: "bloat", args: "bloat_bytes => 500000", want: "warning workers"},
		{name: "invalid_index", want: "critical broken"},
	} {
		die()
		found, repair := provoked(t, conn, c)
		if found != c.want {
			t.Errorf("%s: %q", c.name, found)
		}
		if c.name == "invalid_index" { // since rows that are there are not unique
			must(t, exec("update pgq.jobs set queue = id::text"))
		}
		// Again, since a session that is about to enter its database holds off vacuum in all of them.
		until(t, "repaired by "+repair, func() bool {
			must(t, exec(sqlOf(repair)))
			must(t, exec("select pg_stat_force_next_flush()"))
			left, _ := provoked(t, conn, c)
			return left == ""
		})
	}
	must(t, exec("drop index pgq.broken"))
	must(t, exec("update pgq.jobs set queue = 'default'"))
	must(t, exec("select setval('pgq.logs_id_seq', 9000000000000000000)"))
	room := findingCase{name: "sequence_room", want: "critical logs_id_seq"}
	if found, _ := provoked(t, conn, room); found != room.want {
		t.Errorf("found %q", found)
	}
	must(t, exec("select setval('pgq.logs_id_seq', 5000000000000000000)"))
	found, repair := provoked(t, conn, room)
	if found != "warning logs_id_seq" {
		t.Errorf("found %q", found)
	}
	must(t, exec(sqlOf(repair)))
	if left, _ := provoked(t, conn, room); left != "" {
		t.Errorf("after %s: %s", repair, left)
	}
	must(t, exec("select setval('pgq.jobs_id_seq', 9000000000000000000)"))
	must(t, exec("update pgq.ready set seq = seq + 77"))
	last := one[string](t, conn, "select max(seq)::text from pgq.ready")
	if _, repair := provoked(t, conn, room); !strings.HasSuffix(repair, "'pgq.jobs_id_seq', "+last+");") {
		t.Errorf("the places of ready jobs would be given out again: %s", repair)
	}
}

func TestTheDoctorOfARoleThatSeesNoOtherSessionsSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tx, err := w.pool.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(context.Background()) //nolint:errcheck // it is always taken back
	_, err = tx.Exec(t.Context(), "create role pgq_doctor_test; grant usage on schema pgq to pgq_doctor_test; grant execute on all functions in schema pgq to pgq_doctor_test; set local role pgq_doctor_test", pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	hidden := "select coalesce(max(repair), '') from pgq.doctor_server(0.8, 0.25) where finding = 'sessions_hidden'"
	repair := one[string](t, tx, hidden)
	_, err = tx.Exec(t.Context(), "reset role; "+repair+" set local role pgq_doctor_test", pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	if left := one[string](t, tx, hidden); left != "" || repair == "" {
		t.Errorf("after %s: %s", repair, left)
	}
}

func TestTheDoctorSeesABadlySetUpServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server, err := pgserver.Start(ctx, pgserver.Options{Private: true, Settings: map[string]string{"max_prepared_transactions": "2"}})
	must(t, err)
	defer func() { must(t, server.Close()) }()
	must(t, migrations.Up(ctx, server.URL, migrations.Options{}))
	conn, err := pgx.Connect(ctx, server.URL)
	must(t, err)
	defer conn.Close(context.Background()) //nolint:errcheck // the server is stopped
	for _, sql := range []string{
		"alter system set fsync = off", "alter system set full_page_writes = off", "alter system set autovacuum = off", "select pg_reload_conf()",
		"set search_path = pgq", "select pg_create_physical_replication_slot('unread', true)",
		"begin", "select txid_current()", "prepare transaction 'it''s'",
	} {
		_, err := conn.Exec(ctx, sql)
		must(t, err)
	}
	for _, c := range []findingCase{
		{name: "fsync_off", want: "critical fsync"},
		{name: "full_page_writes_off", want: "critical full_page_writes"},
		{name: "autovacuum_off", want: "critical autovacuum"},
		{name: "prepared_transaction", args: "long_transaction => '0 s'", want: "warning transaction it's"},
		{name: "replication_slot", want: "warning slot unread"},
	} {
		var repair string
		until(t, c.name+" is found", func() bool {
			var found string
			found, repair = provoked(t, conn, c)
			return found == c.want
		})
		for _, sql := range strings.Split(sqlOf(repair), "; ") { // one by one, as psql does
			_, err := conn.Exec(ctx, sql)
			must(t, err)
		}
		until(t, "repaired by "+repair, func() bool { left, _ := provoked(t, conn, c); return left == "" })
	}
}

func TestRepairsOfADatabasesSettingsHoldForNewSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ name, bad string }{
		{"read_only", "default_transaction_read_only = on"},
		{"synchronous_commit_off", "synchronous_commit = off"},
		{"isolation_level", "default_transaction_isolation = 'serializable'"},
		{"idle_transactions_unlimited", "idle_in_transaction_session_timeout = 0"},
		{"short_statement_timeout", "statement_timeout = '9s'"},
		{"jit_on", "jit = on"},
	} {
		before := w.session()
		database := one[string](t, before, "select quote_ident(current_database())")
		_, err := before.Exec(t.Context(), "alter database "+database+" set "+c.bad)
		must(t, err)
		during := w.session() // which has the bad setting
		found, repair := provoked(t, during, findingCase{name: c.name})
		if found == "" {
			t.Fatalf("%s is not found", c.name)
		}
		for _, sql := range strings.Split(sqlOf(repair), "; ") {
			_, err := during.Exec(t.Context(), sql)
			must(t, err)
		}
		if left, _ := provoked(t, w.session(), findingCase{name: c.name}); left != "" {
			t.Errorf("after %s: %s", repair, left)
		}
	}
}

func TestTheDoctorTakesItsLimitsFromTheOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enqueue(note{}, pgq.Options{})
	found, err := w.q.Doctor(t.Context(), w.pool, pgq.DoctorOptions{OldJob: time.Microsecond, ConnectionsShare: 1e-9, TransactionAge: 1})
	must(t, err)
	names := map[string]bool{}
	for _, f := range found {
		names[f.Name] = true
	}
	if !names["old_job"] || !names["connections_used_up"] || !names["transaction_ids"] {
		t.Errorf("%+v", found)
	}
	for i := 1; i < len(found); i++ {
		if found[i-1].Severity == pgq.Info && found[i].Severity == pgq.Warning {
			t.Error("not the worst first")
		}
	}
}
