package pgq_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
)

func TestSchedulesKeepTheirTimesWhereClocksChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name, spec, zone, after string
		want                    string // times in the zone, with the distance from UTC where it matters
	}{
		{"a time in the gap fires when it ends", "30 2 * * *", "America/New_York", "2026-03-07 12:00-05", "03-08 03:00-04 03-09 02:30-04"},
		{"two times in the gap fire once", "15,45 2 * * *", "America/New_York", "2026-03-07 12:00-05", "03-08 03:00-04 03-09 02:15-04"},
		{"the end of the gap fires once", "0,30 2,3 * * *", "America/New_York", "2026-03-08 00:00-05", "03-08 03:00-04 03-08 03:30-04 03-09 02:00-04"},
		{"each minute in the gap fires once", "* 2 * * *", "America/New_York", "2026-03-07 12:00-05", "03-08 03:00-04 03-09 02:00-04 03-09 02:01-04"},
		{"a time that comes twice fires the first time", "30 1 * * *", "America/New_York", "2026-10-31 12:00-04", "11-01 01:30-04 11-02 01:30-05"},
		{"and not the second time", "30 1 * * *", "America/New_York", "2026-11-01 01:10-05", "11-02 01:30-05"},
		{"seconds that come twice fire the first time", "30 59 1 * * *", "America/New_York", "2026-11-01 01:59:30-04", "11-02 01:59-05"},
		{"what comes after the second time", "*/30 1,2 * * *", "America/New_York", "2026-11-01 01:30-04", "11-01 02:00-05 11-01 02:30-05 11-02 01:00-05"},
		{"each hour that passes in spring", "15 * * * *", "America/New_York", "2026-03-08 00:30-05", "03-08 01:15-05 03-08 03:15-04 03-08 04:15-04"},
		{"each hour that passes in autumn", "15 * * * *", "America/New_York", "2026-11-01 00:30-04", "11-01 01:15-04 11-01 01:15-05 11-01 02:15-05"},
		{"each hour of one day that comes to an end twice", "30 * * * 0", "America/Havana", "2024-11-02 23:00-04", "11-03 00:30-04 11-03 00:30-05 11-03 01:30-05"},
		{"a gap in Berlin", "0 2 * * *", "Europe/Berlin", "2026-03-28 12:00+01", "03-29 03:00+02 03-30 02:00+02"},
		{"twice in Berlin", "0 2 * * *", "Europe/Berlin", "2026-10-24 12:00+02", "10-25 02:00+02 10-26 02:00+01"},
		{"a day of the week in Berlin", "30 2 * * SUN", "Europe/Berlin", "2026-10-19 12:00+02", "10-25 02:30+02 11-01 02:30+01"},
		{"each half hour in Berlin", "*/30 * * * *", "Europe/Berlin", "2026-10-25 02:00+02", "10-25 02:30+02 10-25 02:00+01 10-25 02:30+01 10-25 03:00+01"},
		{"half an hour left out on Lord Howe", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00+10:30", "10-04 02:30+11 10-05 02:15+11"},
		{"half an hour twice on Lord Howe", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00+11", "04-05 01:45+11 04-06 01:45+10:30"},
		{"any hour on Lord Howe", "45 * * * *", "Australia/Lord_Howe", "2026-04-05 01:00+11", "04-05 01:45+11 04-05 01:45+10:30 04-05 02:45+10:30"},
		{"a day left out in Samoa", "0 12 30 12 *", "Pacific/Apia", "2011-12-01 00:00Z", "12-31 00:00+14 12-30 12:00+14"},
		{"an interval is of elapsed time", "every 1 day", "Europe/Berlin", "2026-03-28 12:00+01", "03-29 13:00+02 03-30 13:00+02"},
		{"midnight that is left out", "@daily", "America/Havana", "2024-03-09 12:00-05", "03-10 01:00-04 03-11 00:00-04"},
	} {
		// Printed with the distance from UTC, which to_char gives for the session's zone only.
		tx, err := w.pool.Begin(t.Context())
		must(t, err)
		_, err = tx.Exec(t.Context(), "set local timezone = '"+c.zone+"'")
		must(t, err)
		got := one[string](t, tx, `select string_agg(to_char(p, 'MM-DD HH24:MI') || to_char(p, 'TZH') || replace(':' || to_char(p, 'TZM'), ':00', ''), ' ' order by p)
			from pgq.preview_times($1, $2, $3, $4::timestamptz) p`, c.spec, c.zone, len(strings.Fields(c.want))/2, c.after)
		must(t, tx.Rollback(t.Context()))
		if got != c.want {
			t.Errorf("%s: %s in %s after %s\n got %s\nwant %s", c.name, c.spec, c.zone, c.after, got, c.want)
		}
	}
}

func TestCronProblemNamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for spec, want := range map[string]string{
		"* * * * *": "", "0 0 1 1 0": "", "0 0 ? * FRI-SUN": "", "*/15 0-23/2 1,15 jan-mar,DEC 7": "", "@hourly": "", "@Daily": "", "  5 4 * * *\t": "", "30 */10 * * * *": "",
		"0 0 29 2 *": "", "0 0 31 4 1": "", "every 1 s": "", "@every 1h30m": "", "AT 2030-01-01T10:00:00.5+05:30": "",
		"60 * * * *": `must have 0 to 59 as minute, not "60"`, "0 24 * * *": "as hour", "0 0 0 * *": "as day of month", "0 0 * 13 *": "as month", "0 0 * * 8": "as day of week", "61 0 0 * * *": "as second",
		"5-1 * * * *": "a minute that runs backwards", "*/0 * * * *": "a step of 1 to 59 in its minute", "*/60 * * * *": "a step of 1 to 59", "1,,2 * * * *": "a minute that cannot be read", "a * * * *": "minute that cannot be read",
		"* ? * * *": "an hour that cannot be read", "0 0 L * *": "day of month that cannot be read", "0 0 * foo *": "a month that cannot be read", "0 0 * * MON-": "day of week that cannot be read", "-1 * * * *": "minute that cannot be read",
		"99999999999999999999 * * * *": "minute that cannot be read", "0 0 30 2 *": "never comes", "0 0 31 2,4,6 *": "never comes", "": "1 to 500", " ": "1 to 500", "* * * *": "5 fields", "* * * * * * *": "5 fields",
		"@noon": "no macro", "TZ=UTC * * * * *": "zone", "CRON_TZ=": "zone", "every": "5 fields", "every soon": "interval that cannot be read", "every 1 month": "months", "every 0 s": "1 second to 100 years", "every -1 h": "1 second to 100 years",
		"every 101 years": "months", "at tomorrow": "time that cannot be read", "at infinity": "time that cannot be read", "at 2026-02-30 10:00": "time that cannot be read", "at 2026-01-01": "time that cannot be read",
		"\u200f* * * * *": "minute that cannot be read", "* * * * *; drop": "month that cannot be read", "'* * * * *": "minute that cannot be read", "*\n* * * *": "5 fields",
	} {
		got := one[*string](t, w.pool, "select pgq.cron_problem($1)", spec)
		if want == "" && got != nil || want != "" && (got == nil || !strings.Contains(*got, want)) {
			t.Errorf("%q: %v, want %q", spec, deref(got), want)
		}
	}
}

func TestTheJobsOfASchedulesHaveAllOptionsThatWereGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := pgq.Schedule{Name: "s", Spec: "@yearly", Args: note{"a"}, Options: pgq.Options{
		Group: "g", Sequence: "order/1", OnFailure: pgq.SkipSequence, Unique: pgq.Unique{Key: "once"},
	}}
	_, err := w.q.SetSchedule(t.Context(), w.pool, s)
	must(t, err)
	id, err := w.q.RunSchedule(t.Context(), w.pool, s.Name)
	must(t, err)
	got := one[string](t, w.pool, "select concat_ws(' ', group_name, sequence, on_failure, unique_key is not null) from pgq.jobs where id = $1", id)
	if got != "g order/1 skip t" {
		t.Errorf("its job has %s", got)
	}
}

func TestAScheduleIsSetReadAndSteeredFromGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	start := time.Date(2999, 1, 1, 12, 0, 0, 0, time.UTC)
	s := pgq.Schedule{
		Name: "it's \"%\"", Spec: "every 90 m", Zone: "Europe/Berlin", Args: note{"a"}, Options: pgq.Options{Queue: "q", Priority: pgq.Prio(0), Timeout: time.Minute, Metadata: map[string]any{"x": 1}},
		Jitter: time.Minute, StartsAt: start, EndsAt: start.Add(200 * time.Minute), MaxRuns: 7, Missed: pgq.MissedAll, MissedLimit: 3, Overlap: pgq.OverlapQueue,
	}
	for _, want := range []string{"created", "unchanged"} {
		if got, err := w.q.SetSchedule(ctx, w.pool, s); err != nil || got.Outcome != want || got.Name != s.Name {
			t.Errorf("%+v %v, want %s", got, err, want)
		}
	}
	state, err := w.q.Schedule(ctx, w.pool, s.Name)
	must(t, err)
	if state.State != "active" || state.Kind != "note" || !state.NextAt.Equal(start) || *state.MaxRuns != 7 || state.Missed != pgq.MissedAll || state.MissedLimit != 3 || state.Overlap != pgq.OverlapQueue || state.Jitter != time.Minute {
		t.Errorf("%+v", state)
	}
	times, err := w.q.NextTimes(ctx, w.pool, s.Name, 10)
	must(t, err)
	if len(times) != 3 || !times[2].Equal(start.Add(3*time.Hour)) {
		t.Errorf("%v", times)
	}
	id, err := w.q.RunSchedule(ctx, w.pool, s.Name)
	must(t, err)
	job := w.get(id)
	var metadata struct {
		X        int       `json:"x"`
		Schedule string    `json:"schedule"`
		DueAt    time.Time `json:"due_at"`
	}
	must(t, json.Unmarshal(job.Metadata, &metadata))
	if job.Queue != "q" || job.Priority != 0 || *job.Timeout != time.Minute || metadata.X != 1 || metadata.Schedule != s.Name || metadata.DueAt.IsZero() {
		t.Errorf("%+v %+v", job, metadata)
	}
	must(t, w.q.PauseSchedule(ctx, w.pool, s.Name, "a\x00b", "ada"))
	if state, err = w.q.Schedule(ctx, w.pool, s.Name); err != nil || state.State != "paused" || *state.PauseReason != "a\uFFFDb" || *state.PausedBy != "ada" || *state.LastState != pgq.Ready {
		t.Errorf("%+v %v", state, err)
	}
	if next, err := w.q.ResumeSchedule(ctx, w.pool, s.Name); err != nil || !next.Equal(start) {
		t.Errorf("%v %v", next, err)
	}
	if runs, err := w.q.ScheduleRuns(ctx, w.pool, s.Name, 10); err != nil || len(runs) != 1 || runs[0].Outcome != "by_hand" || *runs[0].JobID != id {
		t.Errorf("%+v %v", runs, err)
	}
	must(t, w.q.DeleteSchedule(ctx, w.pool, s.Name))
	if _, err := w.q.Schedule(ctx, w.pool, s.Name); !errors.Is(err, pgq.ErrNotFound) {
		t.Error(err)
	}
	var refused *pgq.ArgumentError
	for _, c := range []struct {
		field string
		s     pgq.Schedule
	}{
		{"spec", pgq.Schedule{Name: "s", Spec: "0 0 30 2 *", Args: note{}}}, {"kind", pgq.Schedule{Name: "s", Spec: "@daily"}}, {"zone", pgq.Schedule{Name: "s", Spec: "@daily", Zone: "Nowhere", Args: note{}}},
		{"priority", pgq.Schedule{Name: "s", Spec: "@daily", Args: note{}, Options: pgq.Options{Priority: pgq.Prio(11)}}}, {"options", pgq.Schedule{Name: "s", Spec: "@daily", Args: note{}, Options: pgq.Options{Delay: 1e9}}},
		{"dag", pgq.Schedule{Name: "s", Spec: "@daily", DAG: json.RawMessage(`{"name": "x"}`)}}, {"schedule", pgq.Schedule{Name: "s", Spec: "@daily", DAG: json.RawMessage(`{`)}}, {"schedule", pgq.Schedule{Name: "a\x00", Spec: "@daily", Args: note{}}},
		{"jitter", pgq.Schedule{Name: "s", Spec: "@daily", Args: note{}, Jitter: -1e9}}, {"max_runs", pgq.Schedule{Name: "s", Spec: "@daily", Args: note{}, MaxRuns: -1}},
	} {
		if _, err := w.q.SetSchedule(ctx, w.pool, c.s); !errors.As(err, &refused) || refused.Field != c.field {
			t.Errorf("%+v: %v, want %s", c.s, err, c.field)
		}
	}
	_, err = w.q.ReconcileSchedules(ctx, w.pool, "app", []pgq.Schedule{{Name: "a", Spec: "@daily", Args: note{}}, {Name: "b", Spec: "@dayly", Args: note{}}})
	if !errors.As(err, &refused) || refused.Field != "schedules[1].spec" {
		t.Error(err)
	}
}

func TestTenProcessesReconcileAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list := []pgq.Schedule{{Name: "b", Spec: "@daily", Args: note{}}, {Name: "a", Spec: "@hourly", Args: note{}}}
	outcomes := make(chan string, 10)
	for range 10 {
		go func() {
			got, err := w.q.ReconcileSchedules(t.Context(), w.pool, "app", list)
			outcomes <- fmt.Sprint(got, err)
		}()
	}
	var all []string
	for range 10 {
		all = append(all, <-outcomes)
	}
	slices.Sort(all)
	if all[0] != "[{a created} {b created}] <nil>" || all[1] != "[{a unchanged} {b unchanged}] <nil>" || all[9] != all[1] {
		t.Errorf("%q", all)
	}
}
