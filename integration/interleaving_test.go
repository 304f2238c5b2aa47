package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgq-go/queue/internal/pgtest"
)

// verb is one that touches a job: $1 is the job, $2 the worker that holds its lease where it has one. Its statements
// say how many jobs it did something with.
type verb struct {
	name       string
	statements []string
	acts       []string // start states in which it can act
	ends       bool     // it takes the lease away
}

const (
	fenced      = "$2, array[$1::bigint], array[1]"
	claimSQL    = "select count(*) from pgq.claim($2, array['default'], array[3])"
	completeSQL = "select count(*) from pgq.complete(" + fenced + ") where $1::bigint > 0"
)

// noop keeps a statement's parameters when it does not use them.
const noop = " where $1::bigint > 0 and $2::bigint > 0"

// bulkSQL does what a verb does with a job that a filter chooses.
func bulkSQL(verb string) string {
	return "select coalesce(sum(jsonb_array_length(value)), 0) from pgq.change_jobs('" + verb + "', jsonb_build_object('ids', array[$1::bigint])), jsonb_each(jobs)" +
		noop + " and key in ('ready', 'deleted')"
}

// enqueueSQL enqueues a job with the key of the one that arrange makes; it does something if that one is queued.
func enqueueSQL(onConflict string) string {
	return `select count(*) from pgq.enqueue_jobs('[{"kind": "k", "run_at": "2000-01-01", "unique": {"key": "u", "while": "queued", "on_conflict": "` +
		onConflict + `"}}]')` + noop + " and outcome <> 'added'"
}

var verbs = []verb{
	{"claim", []string{claimSQL + " where $1::bigint > 0"}, []string{"run", "again"}, false},
	{"complete", []string{completeSQL}, []string{"running"}, true},
	{"fail", []string{"select count(*) from pgq.fail(" + fenced + ", array['broken'], array[interval '0'])"}, []string{"running"}, true},
	{"snooze", []string{"select count(*) from pgq.snooze(" + fenced + ", array[interval '1 hour'])"}, []string{"running"}, true},
	{"release", []string{"select count(*) from pgq.release(" + fenced + ")"}, []string{"running"}, true},
	{"give up", []string{"select count(*) from pgq.give_up(" + fenced + ")"}, []string{"running"}, true},
	{"disown", []string{"select count(*) from pgq.disown($2, '{}')" + noop}, []string{"running"}, true},
	{"rescue", []string{"select pgq.rescue()" + noop}, []string{"running"}, true},
	{"heartbeat", []string{"select count(*) from pgq.heartbeat($2)" + noop}, []string{"running"}, false},
	{"progress", []string{"select pgq.report_progress($2, $1, 1, 1, 2)::int"}, []string{"running"}, false},
	{"cancel", []string{"select count(*) from pgq.cancel(array[$1::bigint])" + noop + " and outcome in ('cancelled', 'requested')"}, []string{"run", "again", "scheduled", "running"}, false},
	{"retry", []string{"select count(*) from pgq.retry(array[$1::bigint])" + noop}, []string{"scheduled", "finished"}, false},
	{"reschedule", []string{"select count(*) from pgq.reschedule(array[$1::bigint], now() + interval '1 hour')" + noop}, []string{"run", "again", "scheduled"}, false},
	{"delete", []string{"select count(*) from pgq.delete(array[$1::bigint])" + noop}, []string{"run", "again", "scheduled", "finished"}, false},
	{"set priority", []string{"select count(*) from pgq.set_priority(array[$1::bigint], 1)" + noop + " and outcome = 'changed'"}, []string{"run", "again", "scheduled"}, false},
	{"bulk retry", []string{bulkSQL("retry")}, []string{"scheduled", "finished"}, false},
	{"bulk delete", []string{bulkSQL("delete")}, []string{"run", "again", "scheduled", "finished"}, false},
	{"promote", []string{"select promoted from pgq.promote()" + noop}, []string{"scheduled"}, false},
	{"expire", []string{"select pgq.expire()" + noop}, []string{"run", "scheduled"}, false},
	{"prune", []string{"select pgq.prune()" + noop}, []string{"finished"}, false},
	{"enqueue one that replaces it", []string{enqueueSQL("replace")}, []string{"run", "again", "scheduled"}, false},
	{"enqueue one that it bars", []string{enqueueSQL("existing")}, []string{"run", "again", "scheduled"}, false},
	// What the pumps send: two statements, one transaction.
	{"complete and claim", []string{completeSQL, claimSQL + " where $1::bigint > 0"}, []string{"running"}, true},
}

// arrange makes a start state out of nothing, with verbs of the product only: job 2 of a run of three, a job that is
// ready again, scheduled (and due), running, running with an open step s, put off until the signal s comes, or finished long ago. It lives too long if it may expire, and its worker
// is silent if it may be rescued. Returns the job and its worker.
const arrange = `
create function arrange(state text, mortal boolean, silent boolean, out job bigint, out worker bigint) language plpgsql as $$
declare
	ids bigint[];
begin
	delete from pgq.jobs; delete from pgq.ready; delete from pgq.scheduled; delete from pgq.running; delete from pgq.results;
	delete from pgq.expiries; delete from pgq.progress; delete from pgq.attempt_errors; delete from pgq.steps; delete from pgq.workers; delete from pgq.unique_keys; delete from pgq.events;
	worker := pgq.register_worker('w', array['default'], array['k']);
	if state = 'run' then
		ids := array(select pgq.enqueue_many('[{"kind": "k"}, {"kind": "k", "unique": {"key": "u"}}, {"kind": "k"}]'));
		job := ids[2];
	else
		job := pgq.enqueue('k', max_attempts => 2, uniqueness => '{"key": "u"}');
		if state in ('running', 'finished', 'awaiting', 'parked') then
			perform pgq.claim(worker, array['default'], array[1]);
		end if;
		if state in ('awaiting', 'parked') then
			perform pgq.await_step(worker, job, 1, 's', 'signal', '1 hour');
		end if;
		if state = 'parked' then
			perform pgq.suspend(worker, array[job], array[1], array['s']);
		elsif state = 'finished' then
			perform pgq.complete(worker, array[job], array[1]);
			update pgq.results set finished_at = now() - interval '10 years';
			update pgq.chores set position = 0;
		elsif state in ('again', 'scheduled') then
			perform pgq.reschedule(array[job], now() + interval '1 second');
			update pgq.scheduled set run_at = now() - interval '1 second';
			if state = 'again' then
				perform pgq.promote();
			end if;
		end if;
	end if;
	if mortal then
		update pgq.jobs set expires_at = now() - interval '1 second' where id = job;
		insert into pgq.expiries (job_id, expires_at) select id, expires_at from pgq.jobs where id = job;
	end if;
	if silent then
		update pgq.workers set heartbeat_at = now() - interval '1 hour';
	end if;
end
$$`

// schedules returns all orders in which two sessions can make their steps: 0 is a step of the first one.
func schedules(first, second int) [][]int {
	if first == 0 || second == 0 {
		return [][]int{append(slices.Repeat([]int{0}, first), slices.Repeat([]int{1}, second)...)}
	}
	var all [][]int
	for _, rest := range schedules(first-1, second) {
		all = append(all, append([]int{0}, rest...))
	}
	for _, rest := range schedules(first, second-1) {
		all = append(all, append([]int{1}, rest...))
	}
	return all
}

// orders returns the schedules of two sessions that make so many statements, each in a transaction: all that differ. Both begin
// before anything else, since to begin takes neither a lock nor a snapshot; with -dag.soak they begin whenever they may.
func orders(first, second int) [][]int {
	if *dagSoak > 0 {
		return schedules(2+first, 2+second)
	}
	all := schedules(1+first, 1+second)
	for i, rest := range all {
		all[i] = append([]int{0, 1}, rest...)
	}
	return all
}

// serial returns the two schedules in which one session begins when the other has committed, and has a later now().
func serial(first, second int) [][]int {
	a, b := slices.Repeat([]int{0}, 2+first), slices.Repeat([]int{1}, 2+second)
	return [][]int{slices.Concat(a, b), slices.Concat(b, a)}
}

func TestAllInterleavingsOfTwoSessionsKeepEveryInvariant(t *testing.T) {
	t.Parallel()
	type pair struct {
		a, b  verb
		state string
	}
	var pairs []pair
	for i, a := range verbs {
		for _, b := range verbs[i:] {
			var both []string
			for _, state := range a.acts {
				if slices.Contains(b.acts, state) {
					both = append(both, state)
				}
			}
			if len(both) == 0 { // one makes the state for the other
				both = []string{a.acts[0], b.acts[0]}
			}
			for _, state := range both {
				pairs = append(pairs, pair{a, b, state})
			}
		}
	}
	work := make(chan pair, len(pairs))
	for _, p := range pairs {
		work <- p
	}
	close(work)
	var count, blocked int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		r := newRunner(t)
		all.Go(func() {
			for p := range work {
				a, b := len(p.a.statements), len(p.b.statements)
				for _, schedule := range append(orders(a, b), serial(a, b)...) {
					r.run(p.a, p.b, p.state, schedule)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			count, blocked = count+r.count, blocked+r.blocked
		})
	}
	all.Wait()
	t.Logf("%d pairs, %d schedules, %d of them with a step that had to wait", len(pairs), count, blocked)
	if blocked == 0 {
		t.Error("no step ever waited: the schedules do not interleave")
	}
}

// runner makes the steps of two sessions in a database of its own.
type runner struct {
	t        *testing.T
	control  *pgx.Conn
	sessions [2]*session
	count    int
	blocked  int
	broken   []string // why the last schedule is refused
	report   func(format string, args ...any)
	judgment string // the query that finds out
}

// session is one of the two. Its steps are made one after the other by a goroutine, because they may block.
type session struct {
	conn    *pgx.Conn
	pid     uint32
	queue   []string // steps that wait for the one that is blocked
	pending bool     // a step is under way
	done    chan error
	did     int64
	err     error
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	url := pgtest.Database(t)
	r := &runner{t: t, report: t.Errorf}
	open := func() *pgx.Conn {
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		if _, err := conn.Exec(context.Background(), "set deadlock_timeout = '20ms'; set jit = off; set plan_cache_mode = force_generic_plan"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	r.control = open()
	if _, err := r.control.Exec(context.Background(), arrange); err != nil {
		t.Fatal(err)
	}
	// As a function the check would be planned anew each time, which takes longer than all the rest.
	var check string
	if err := r.control.QueryRow(context.Background(), "select prosrc from pg_proc where oid = 'pgq.check_invariants'::regproc").Scan(&check); err != nil {
		t.Fatal(err)
	}
	if _, err := r.control.Exec(context.Background(), "set search_path = pgq"); err != nil {
		t.Fatal(err)
	}
	r.judgment = `select
		(select count(*) from ready where $1 >= job_id and $1 < job_id + size) + (select count(*) from scheduled where job_id = $1)
		+ (select count(*) from running where job_id = $1) + (select count(*) from results where job_id = $1)
		+ (select 1 - count(*) from jobs where id = $1),
		count(*), min(c.rule) from (` + check + `) c (rule, job_id, detail)`
	for i := range r.sessions {
		conn := open()
		r.sessions[i] = &session{conn: conn, pid: conn.PgConn().PID(), done: make(chan error, 1)}
	}
	return r
}

// run makes the steps of two verbs in the given order, and judges what came of it.
func (r *runner) run(a, b verb, state string, schedule []int) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var job, worker int64
	mortal, silent := a.name == "expire" || b.name == "expire", a.name == "rescue" || b.name == "rescue"
	if err := r.control.QueryRow(ctx, "select * from public.arrange($1, $2, $3)", state, mortal, silent).Scan(&job, &worker); err != nil {
		r.t.Errorf("arrange %s: %v", state, err)
		return
	}
	r.count++
	waited := false
	steps := [2][]string{}
	for i, v := range []verb{a, b} {
		steps[i] = append(append([]string{"begin"}, v.statements...), "commit")
		r.sessions[i].did, r.sessions[i].err = -1, nil
	}
	for _, who := range schedule {
		s := r.sessions[who]
		s.queue, steps[who] = append(s.queue, steps[who][0]), steps[who][1:]
		r.settle(ctx, job, worker)
		waited = waited || s.pending
	}
	if !r.finish(ctx, job, worker) {
		r.t.Errorf("%s and %s from %s: steps block for ever", a.name, b.name, state)
		return
	}
	if waited {
		r.blocked++
	}
	r.judge(ctx, a, b, state, job)
	if len(r.broken) > 0 {
		r.report("%s (0) and %s (1) from %q in the order %v: %s", a.name, b.name, state, schedule, strings.Join(r.broken, "; "))
	}
}

// finish waits until all steps are made, and reports whether they were.
func (r *runner) finish(ctx context.Context, args ...any) bool {
	for r.sessions[0].pending || r.sessions[1].pending {
		r.settle(ctx, args...)
		if ctx.Err() != nil {
			return false
		}
	}
	return true
}

// settle makes what steps can be made, until each session has none left or is blocked.
func (r *runner) settle(ctx context.Context, args ...any) {
	for again := true; again; {
		again = false
		for _, s := range r.sessions {
			for !s.pending && len(s.queue) > 0 {
				step := s.queue[0]
				s.queue = s.queue[1:]
				s.pending = true
				go func() { s.done <- s.step(ctx, step, args...) }()
				r.wait(ctx, s)
				again = true
			}
			if s.pending && r.wait(ctx, s) {
				again = true
			}
		}
	}
}

// wait waits until a session's step is made, which it reports, or blocked.
func (r *runner) wait(ctx context.Context, s *session) bool {
	for pause := time.NewTimer(2 * time.Millisecond); s.pending; pause.Reset(time.Millisecond) {
		select {
		case err := <-s.done:
			s.pending = false
			if s.err == nil {
				s.err = err
			}
			return true
		case <-pause.C:
		}
		var blockers int
		if err := r.control.QueryRow(ctx, "select cardinality(pg_blocking_pids($1))", s.pid).Scan(&blockers); err != nil {
			r.t.Errorf("pg_blocking_pids: %v", err)
			return false
		}
		if blockers > 0 {
			return false
		}
	}
	return false
}

func (s *session) step(ctx context.Context, step string, args ...any) error {
	if step == "begin" || step == "commit" {
		_, err := s.conn.Exec(ctx, step)
		return err
	}
	var n int64
	err := s.conn.QueryRow(ctx, step, args...).Scan(&n)
	if s.did < 0 { // of several statements the first one counts
		s.did = n
	}
	return err
}

// judge collects what is wrong with the outcome.
func (r *runner) judge(ctx context.Context, a, b verb, state string, job int64) {
	r.broken = nil
	for i, s := range r.sessions {
		var pg *pgconn.PgError
		switch {
		case s.err == nil:
		case errors.As(s.err, &pg) && pg.Code == "PQ005" && (a.name == "rescue" || b.name == "rescue"): // declared dead
		default:
			r.broken = append(r.broken, fmt.Sprintf("session %d: %v", i, s.err))
		}
	}
	var places, violations int
	var first *string
	err := r.control.QueryRow(ctx, r.judgment, job).Scan(&places, &violations, &first)
	if err != nil || violations > 0 || places != 1 {
		r.broken = append(r.broken, fmt.Sprintf("the job is in %d places, %d broken invariants (%v), %v", places, violations, deref(first), err))
	}
	if a.ends && b.ends && state == "running" && r.sessions[0].err == nil && r.sessions[1].err == nil {
		if ended := r.sessions[0].did + r.sessions[1].did; ended != 1 {
			r.broken = append(r.broken, fmt.Sprintf("the attempt was ended %d times", ended))
		}
	}
}
