package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/robfig/cron/v3"

	"github.com/pgq-go/queue/internal/pgtest"
)

// What schedules have enqueued, against the times at which they were due.
const (
	firedTwice = "select count(*) from (select metadata ->> 'schedule', metadata ->> 'due_at' from pgq.jobs where metadata ? 'schedule' group by 1, 2 having count(*) > 1) d"
	unnoted    = `select count(*) from pgq.jobs j where j.metadata ? 'schedule' and not exists (
		select from pgq.schedule_runs r where r.job_id = j.id and r.schedule = j.metadata ->> 'schedule' and r.due_at = (j.metadata ->> 'due_at')::timestamptz)`
	dueNow = "update pgq.schedules set next_at = date_trunc('second', now()), fire_at = date_trunc('second', now())"
)

func TestTenThousandSchedulesThatAreDueAtOnceFireOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const schedules = 10_000
	for batch := range 10 { // once a year, so that no time of theirs comes while this runs
		s.exec(`select count(pgq.set_schedule('s' || i, '0 0 12 1 7 *', 'note', zone => (array['UTC', 'Europe/Berlin', 'America/New_York'])[i % 3 + 1], missed => 'all'))
			from generate_series($1::int, $2::int) i`, batch*1000+1, batch*1000+1000)
	}
	s.exec("analyze pgq.schedules")
	var workers []*process
	for range 3 {
		workers = append(workers, s.worker(s.url, 50, 30*time.Second))
	}
	s.becomes(3, registered)
	s.exec(dueNow)
	began := time.Now()
	s.becomes(schedules, "select count(*) from pgq.jobs where metadata ? 'schedule'")
	t.Logf("all of them fired within %s", time.Since(began))
	s.is(0, "times that fired twice", firedTwice)
	s.is(0, "jobs that no run knows", unnoted)
	s.is(0, "schedules that are still due", "select count(*) from pgq.schedules where next_at <= now() - interval '1 min'")
	for _, w := range workers {
		w.terminate()
	}
	for _, w := range workers {
		w.ends()
	}
}

func TestSchedulesFireOnceWhileWorkersAreKilled(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec("select count(pgq.set_schedule('s' || i, 'every 1 second', 'note', missed => 'all', missed_limit => 1000)) from generate_series(1, 200) i")
	const rounds = 4
	for range rounds {
		var workers []*process
		for range 2 {
			workers = append(workers, s.worker(s.url, 20, lease))
		}
		before := s.number("select count(*) from pgq.jobs")
		if !wait(func() bool { return s.number("select count(*) from pgq.jobs") > before+200 }) {
			t.Fatal("nothing fires")
		}
		for _, w := range workers {
			w.kill()
		}
	}
	s.exec("update pgq.schedules set ends_at = greatest(now(), starts_at), next_at = case when next_at <= now() then next_at end, fire_at = case when next_at <= now() then next_at end")
	s.becomes(0, "select pgq.fire_schedules(50)")
	s.is(0, "times that fired twice", firedTwice)
	// Each second of each schedule from its first one on, none left out.
	s.is(0, "gaps", `select count(*) from (
		select due - lag(due) over (partition by schedule order by due) as distance
		from (select metadata ->> 'schedule' as schedule, (metadata ->> 'due_at')::timestamptz as due from pgq.jobs where metadata ? 'schedule') j) d
		where distance <> interval '1 s'`)
	s.is(s.number("select sum(runs) from pgq.schedules"), "jobs", "select count(*) from pgq.jobs where metadata ? 'schedule'")
}

// Two sessions fire the same schedules: one of them has done so and not committed, and then commits, rolls back, or is killed.
func TestTwoSessionsFireATimeOnce(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"commit", "rollback", "kill"} {
		for _, call := range []string{"select pgq.fire_schedules()", "select pgq.do_chores()"} {
			t.Run(end+" "+call, func(t *testing.T) {
				s := newSystem(t)
				s.exec("select count(pgq.set_schedule('s' || i, '@yearly', 'note')) from generate_series(1, 3) i")
				s.exec("update pgq.chores set last_run_at = now() + interval '1 hour'")
				s.exec(dueNow)
				first, err := pgx.Connect(t.Context(), s.url)
				if err != nil {
					t.Fatal(err)
				}
				defer first.Close(context.Background()) //nolint:errcheck // it may be dead
				if _, err := first.Exec(t.Context(), "begin"); err != nil {
					t.Fatal(err)
				}
				if _, err := first.Exec(t.Context(), call); err != nil {
					t.Fatal(err)
				}
				s.exec(call) // skips what is locked
				s.is(0, "jobs", "select count(*) from pgq.jobs")
				if end == "kill" {
					s.exec("select pg_terminate_backend($1)", int32(first.PgConn().PID()))
					s.becomes(0, "select count(*) from pg_stat_activity where pid = $1", int32(first.PgConn().PID()))
				} else if _, err := first.Exec(t.Context(), end); err != nil {
					t.Fatal(err)
				}
				s.exec(call)
				s.exec(call)
				s.is(3, "jobs", "select count(*) from pgq.jobs")
				s.is(0, "times that fired twice", firedTwice)
				s.is(3, "schedules that are due in another year", "select count(*) from pgq.schedules where runs = 1 and next_at > now() + interval '1 hour'")
			})
		}
	}
}

func TestAScheduleThatFiresIsDeletedAndChangedAfterwards(t *testing.T) {
	t.Parallel()
	for call, left := range map[string]int64{
		"select pgq.delete_schedule('s')":                   0,
		"select pgq.reconcile_schedules('app', '[]')":       0,
		"select pgq.set_schedule('s', '@yearly', 'other')":  1,
		"select pgq.pause_schedule('s')":                    1,
		"select pgq.run_schedule('s')":                      1,
		"select pgq.fire_schedules() from pg_sleep(0)":      1,
		"select pgq.set_schedule('s', '@monthly', 'other')": 1,
	} {
		t.Run(call, func(t *testing.T) {
			s := newSystem(t)
			s.exec("select pgq.set_schedule('s', '@yearly', 'note', declared_by => 'app')")
			s.exec(dueNow)
			first, err := s.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer first.Rollback(context.Background()) //nolint:errcheck // it has ended by then
			if _, err := first.Exec(t.Context(), "select pgq.fire_schedules()"); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := s.pool.Exec(context.Background(), call)
				ended <- err
			}()
			if !strings.Contains(call, "fire") { // which waits for nobody
				s.becomes(1, "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
			}
			if err := first.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			s.is(left, "schedules", "select count(*) from pgq.schedules")
			s.is(1, "jobs for the time", "select count(*) from pgq.jobs where kind = 'note' and id = (select min(id) from pgq.jobs)")
			s.is(left, "runs of the time", "select count(*) from pgq.schedule_runs where outcome = 'fired'")
		})
	}
}

// robfig/cron leaves out times in gaps, and in some zones whole days on which clocks change: nothing near those is compared.
func TestCronExpressionsAreDueWhenAnotherImplementationSays(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	parser := cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	field := func(low, high int) string {
		var parts []string
		for range 1 + random.IntN(3)/2 {
			first := low + random.IntN(high-low+1)
			last := first + random.IntN(high-first+1)
			switch random.IntN(6) {
			case 0, 1:
				parts = append(parts, "*")
			case 2:
				parts = append(parts, fmt.Sprint("*/", 1+random.IntN(high-low)))
			case 3:
				parts = append(parts, fmt.Sprint(first, "-", last))
			case 4:
				parts = append(parts, fmt.Sprint(first, "-", last, "/", 1+random.IntN(high-low)))
			default:
				parts = append(parts, fmt.Sprint(first))
			}
		}
		return strings.Join(parts, ",")
	}
	zones := []string{"UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"}
	compared := 0
	for range 1500 {
		spec := strings.Join([]string{field(0, 59), field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)}, " ")
		zone := zones[random.IntN(len(zones))]
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		after := time.Date(2015+random.IntN(30), time.Month(1+random.IntN(12)), 1+random.IntN(28), random.IntN(24), random.IntN(60), random.IntN(60), 0, location)
		other, err := parser.Parse(spec)
		if err != nil {
			t.Fatal(spec, err)
		}
		want := other.Next(after)
		var got *time.Time
		err = pool.QueryRow(t.Context(), "select due from (select pgq.next_time($1, $2, $3) as due where pgq.cron_problem($1) is null) n", spec, zone, after).Scan(&got)
		if want.IsZero() { // in five years
			continue
		}
		if err != nil {
			t.Errorf("seed %d: %q in %s after %s: %v", seed, spec, zone, after, err)
			continue
		}
		if nearChange(after, location) || nearChange(want, location) || got != nil && nearChange(*got, location) {
			continue
		}
		compared++
		if got == nil || !got.Equal(want) {
			t.Errorf("seed %d: %q in %s after %s: %v, want %s", seed, spec, zone, after, got, want)
		}
	}
	if compared < 1000 {
		t.Errorf("only %d were compared", compared)
	}
}

// nearChange tells whether clocks change within two days of a time.
func nearChange(at time.Time, in *time.Location) bool {
	at = at.In(in)
	_, before := at.Add(-48 * time.Hour).Zone()
	_, after := at.Add(48 * time.Hour).Zone()
	return before != after
}
