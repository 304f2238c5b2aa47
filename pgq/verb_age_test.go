package pgq_test

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestAgeingCases(t *testing.T) {
	t.Parallel()
	const ages = "select set_queue('default', age_every => '10 min'); "
	// Jobs 1 to 3 of priorities 9, 5 and 0, so many minutes old.
	old := func(minutes string) string {
		return ages + `select enqueue('a', priority => p) from unnest('{9,5,0}'::int[]) p;
			update jobs set created_at = now() - a.minutes * interval '1 min' from unnest('{` + minutes + `}'::int[]) with ordinality a(minutes, id) where a.id = jobs.id; `
	}
	grouped := func(minutes string, groups ...string) string { // the same in groups
		return strings.Replace(old(minutes), "priority => p) from unnest('{9,5,0}'::int[]) p", `priority => p, group_name => g) from unnest('{9,5,0}'::int[], '{`+strings.Join(groups, ",")+`}'::text[]) u(p, g)`, 1)
	}
	const claim = "select job_id from claim(1, '{default}', '{10}')"
	verbTest(t, []verbCase{
		{name: "new jobs go by their priorities", given: old("0,0,0"), call: claim, want: "(3) (2) (1)"},
		{name: "90 minutes are worth nine priorities, and those that are equal go by their priorities", given: old("90,50,0"), call: claim, want: "(3) (2) (1)"},
		{name: "a minute more is more", given: old("91,0,0"), call: claim, want: "(1) (3) (2)"},
		{name: "a minute less is less", given: old("89,51,0"), call: claim, want: "(2) (3) (1)"},
		{name: "soonest ones age, too", given: old("95,0,6"), call: claim, want: "(3) (1) (2)"},
		{name: "not in other queues", given: old("91,51,0") + "update ready set queue = 'q'; update jobs set queue = 'q'",
			call: "select job_id from claim(1, '{q}', '{10}')", want: "(3) (2) (1)"},
		{name: "in all queues, if it is the default of all", given: old("91,52,0") + "update ready set queue = 'q'; update jobs set queue = 'q'; select set_queue('*', age_every => '10 min')",
			call: "select job_id from claim(1, '{q}', '{10}')", want: "(2) (1) (3)"},
		{name: "no longer when the setting is taken back", given: old("91,52,0") + `select set_queue('default', '{"age_every": null}')`, call: claim, want: "(3) (2) (1)"},
		{name: "no more than the limit", given: old("91,50,0"), call: "select job_id from claim(1, '{default}', '{1}')", want: "(1)",
			then: "select pg_temp.places()", is: `("1:running/1 2:ready/0 3:ready/0")`},
		{name: "only kinds that the worker knows", given: old("91,50,0") + "update jobs set kind = 'b' where id = 1; update ready set kind = 'b' where job_id = 1",
			call: "select job_id from claim(1, '{default}', '{1}', '{a}')", want: "(3)"},
		{name: "behind the cursor of its priority only", given: old("91,50,0"),
			call: "select job_id from claim(1, '{default}', '{9}', after => '{0,0,0,0,0,0,0,0,0,1}')", want: "(3) (2)"},
		{name: "a paused queue yields nothing", given: old("91,50,0") + "select pause_queue('default')", call: claim, want: ""},
		{name: "what became ready again waits since then, not since it was enqueued",
			given: old("300,300,0") + `select count(*) from claim(1, '{default}', '{2}', '{a}'); select release(1, '{1,2}', '{1,1}'); update ready set since = now() - interval '51 min' where job_id = 2`,
			call:  claim, want: "(2) (3) (1)"},
		{name: "so does what was retried, was scheduled or got another priority",
			given: ages + `select enqueue('a', priority => 1), enqueue('a', priority => 1), enqueue('a', priority => 1, delay => '1 min'), enqueue('a', priority => 2);
				update jobs set created_at = now() - interval '5 h'; select count(*) from claim(1, '{default}', '{2}');
				select fail(1, '{1,2}', '{1,1}', '{x,x}', '{0,1 min}'); update scheduled set run_at = now(); select promote(); select set_priority('{4}', 1)`,
			call: "select job_id, now() - since < interval '1 min' as again from ready order by job_id", want: "(1,t) (2,t) (3,t) (4,t)"},
		{name: "within a priority the order stays, though a transaction was late", given: ages + `select enqueue('a', priority => 1) from generate_series(1, 3); select enqueue('a', priority => 0);
			update jobs set created_at = now() - a.minutes * interval '1 min' from unnest('{5,90,90}'::int[]) with ordinality a(minutes, id) where a.id = jobs.id`,
			call: claim, want: "(4) (1) (2) (3)"},
		{name: "a run is split where the limit ends",
			given: ages + `select enqueue_many(jsonb_agg('{"kind": "a", "priority": 9}'::jsonb)) from generate_series(1, 150); update jobs set created_at = now() - interval '91 min';
				select enqueue_many(jsonb_agg('{"kind": "a", "priority": 0}'::jsonb)) from generate_series(1, 150)`,
			call: "select count(*), min(job_id), max(job_id), count(distinct priority) from claim(1, '{default}', '{120}')", want: "(120,1,120,1)",
			then: "select pg_temp.runs()", is: `("default/0/151:151+100 default/0/251:251+50 default/9/121:121+30")`},
		{name: "and so is the one that comes after it",
			given: ages + `select enqueue_many(jsonb_agg('{"kind": "a", "priority": 9}'::jsonb)) from generate_series(1, 10); update jobs set created_at = now() - interval '91 min';
				select enqueue_many(jsonb_agg('{"kind": "a", "priority": 0}'::jsonb)) from generate_series(1, 10)`,
			call: "select count(*), min(job_id), max(job_id) from claim(1, '{default}', '{12}')", want: "(12,1,12)",
			then: "select pg_temp.runs()", is: "(default/0/13:13+8)"},
		{name: "expired jobs do not hide those behind them", given: old("91,0,0") + "update jobs set expires_at = now() where id = 1", call: "select job_id from claim(1, '{default}', '{1}')", want: "(3)",
			then: "select pg_temp.places()", is: `("1:expired/0 2:ready/0 3:running/1")`},
		{name: "among the jobs of a group, too", given: grouped("91,0,0", "g", "g", "g"), call: claim, want: "(1) (3) (2)"},
		{name: "a minute less is less among them", given: grouped("89,51,0", "g", "g", "g"), call: claim, want: "(2) (3) (1)"},
		{name: "of a group one at a time", given: grouped("91,52,0", "g", "g", "g"), call: "select job_id from claim(1, '{default}', '{1}')", want: "(2)"},
		{name: "of other groups the turn decides", given: grouped("91,0,0", "h", "g", "g"), call: claim, want: "(3) (1) (2)"},
		{name: "of all kinds of a group", given: grouped("91,52,0", "g", "g", "g") + "update jobs set kind = 'b' where id = 2; update waiting set kind = 'b' where job_id = 2; update backlogs set kind = 'b' where priority = 5",
			call: claim, want: "(2) (1) (3)"},
		{name: "of a limited kind", given: old("91,52,0") + "select set_limit('kind', 'a', max_running => 3)", call: claim, want: "(2) (1) (3)"},
		{name: "what is put aside again waits since then", given: grouped("300,300,0", "g", "g", "g") + `select count(*) from claim(1, '{default}', '{2}'); select release(1, '{1,2}', '{1,1}');
			update ready set since = now() - interval '51 min' where job_id = 2; select set_limit('group', 'g', max_running => 1)`, call: claim, want: "(3)",
			then: "select string_agg(job_id || case when since > now() - interval '51 min' then ' now' else ' before' end, ' ' order by job_id) from waiting", is: `("1 now 2 before")`},
		{name: "explained in a group", given: grouped("91,0,0", "g", "g", "g"), call: "select reason, detail from explain_job(3) where reason = 'turn'", want: `(turn,"1 jobs are ahead of it in group g")`},
		{name: "explained in a group of a queue that does not age", given: grouped("91,0,0", "g", "g", "g") + `select set_queue('default', '{"age_every": null}')`,
			call: "select reason, detail from explain_job(1) where reason = 'turn'", want: `(turn,"2 jobs are ahead of it in group g")`},
		{name: "explained", given: old("89,51,0"), call: "select reason, regexp_replace(detail, '20.*Z ', 'TIME '), job_id from explain_job(1) where reason = 'queued'",
			want: `(queued,"2 jobs are ahead of it in queue default, which ages jobs by one priority every 10m0s: it counts as priority 0.1 by now, and what becomes ready after TIME comes behind it",1)`},
		{name: "explained without ageing", given: old("91,50,0") + `select set_queue('default', '{"age_every": null}')`, call: "select detail from explain_job(1) where reason = 'queued'",
			want: `("2 jobs are ahead of it in queue default")`},
		{name: "explained as first", given: "select register_worker('w', '{default}', '{a}'); " + old("91,50,0"), call: "select reason from explain_job(1)", want: "(next)"},
		{name: "explained within a run", given: old("91,0,0") + `select enqueue_many(jsonb_agg('{"kind": "a", "priority": 1}'::jsonb)) from generate_series(1, 5)`,
			call: "select left(detail, 7) from explain_job(7) where reason = 'queued'", want: `("5 jobs ")`},
		{name: "shown", given: ages, call: "select q.age_every, s.age_every from queue_settings('default') s, queue_states q", want: "(00:10:00,00:10:00)"},
	})
}

// aged is a ready job of a model.
type aged struct {
	id       int64
	priority int
	since    time.Time
}

// TestClaimsTakeAgedJobsInTheirExactOrder compares claims with a model: jobs of random priorities and ages, alone and in runs, fresh and ready again.
func TestClaimsTakeAgedJobsInTheirExactOrder(t *testing.T) {
	t.Parallel()
	const every = time.Minute
	for seed := range int64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			random := rand.New(rand.NewSource(seed))
			conn := w.session()
			do := func(sql string, args ...any) {
				_, err := conn.Exec(t.Context(), sql, args...)
				must(t, err)
			}
			do("select set_queue('default', age_every => $1)", every)
			for range 60 {
				do(`select enqueue_many((select jsonb_agg(jsonb_build_object('kind', 'k', 'priority', $1::int)) from generate_series(1, $2)))`,
					random.Intn(10), 1+random.Intn(4)*random.Intn(50))
			}
			// Ids and times rise together, as those of transactions that do not overlap do.
			do("update jobs set created_at = '2020-01-01'::timestamptz + r.job_id * $1::interval from ready r where id between r.job_id and r.job_id + r.size - 1",
				50*time.Millisecond*time.Duration(1+random.Intn(40)))
			worker := one[int64](t, conn, "select register_worker('one', '{default}', '{k}')")
			do("with claimed as (select array_agg(job_id) as ids, array_agg(attempt) as attempts from claim($1, '{default}', '{100}')) select release($1, ids, attempts) from claimed", worker)
			do("update ready set since = '2020-01-01'::timestamptz + seq * interval '300 ms' where seq <> job_id")
			want := model(t, conn, every)
			for len(want) > 0 {
				n := 1 + random.Intn(150)
				got := w.claim(worker, "default", int32(n))
				ids := make([]int64, len(got))
				for i, a := range got {
					ids[i] = a.ID
				}
				next := want[:min(n, len(want))]
				want = want[len(next):]
				expected := make([]int64, len(next))
				for i, a := range next {
					expected[i] = a.id
				}
				// A claim gives a batch of jobs; in which order a worker hears of them does not matter.
				slices.Sort(ids)
				slices.Sort(expected)
				if !slices.Equal(ids, expected) {
					t.Fatalf("a claim of %d took\n%v\nwant\n%v", n, ids, expected)
				}
			}
		})
	}
}

// model returns the ready jobs in the order in which claims are to take them.
func model(t *testing.T, conn *pgx.Conn, every time.Duration) []aged {
	t.Helper()
	rows, err := conn.Query(t.Context(), `select r.job_id + g, r.priority, coalesce(r.since, (select created_at from jobs where id = r.job_id))
		from ready r, generate_series(0, r.size - 1) g order by r.priority, r.seq, g`)
	must(t, err)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a aged, err error) {
		err = row.Scan(&a.id, &a.priority, &a.since)
		return a, err
	})
	must(t, err)
	due := make(map[int64]time.Time, len(all))
	last := map[int]time.Time{}
	for _, a := range all { // none before the one ahead of it
		if a.since.After(last[a.priority]) {
			last[a.priority] = a.since
		}
		due[a.id] = last[a.priority].Add(time.Duration(a.priority) * every)
	}
	slices.SortStableFunc(all, func(a, b aged) int { return due[a.id].Compare(due[b.id]) })
	return all
}

// Others that take the first jobs must neither leave a claim empty nor make it take later ones than it has to.
func TestAClaimPassesByAgedJobsThatOthersTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("select pgq.set_queue('default', age_every => '1 min')")
	w.exec("select pgq.enqueue('k', priority => i % 2 * 9) from generate_series(1, 80) i")
	// Jobs 1, 3 … 19, of priority 9, are to come first, then all of priority 0.
	w.exec("update pgq.jobs set created_at = now() - interval '10 min' where priority = 9 and id <= 20")
	claimed := func(tx pgx.Tx, worker int64, n int) string {
		return one[string](t, tx, "select string_agg(job_id::text, ' ' order by job_id) from claim($1, '{default}', array[$2::int])", worker, n)
	}
	others, worker := w.worker("default"), w.worker("default")
	tx, err := w.session().Begin(t.Context())
	must(t, err)
	defer func() { must(t, tx.Rollback(context.Background())) }()
	if taken, want := claimed(tx, others, 15), "1 2 3 4 5 6 7 8 9 10 11 13 15 17 19"; taken != want {
		t.Fatalf("the first claim took %s, want %s", taken, want)
	}
	// The first claim holds one more than it takes.
	for n, want := range map[int]string{1: "14", 5: "14 16 18 20 22"} {
		beside, err := w.session().Begin(t.Context())
		must(t, err)
		if taken := claimed(beside, worker, n); taken != want {
			t.Errorf("beside it a claim of %d took %s, want %s", n, taken, want)
		}
		must(t, beside.Rollback(t.Context()))
	}
	if rest := w.claim(worker, "default", 1000); len(rest) != 80-15-1 {
		t.Errorf("beside it a claim of all took %d jobs, want %d", len(rest), 80-15-1)
	}
}
