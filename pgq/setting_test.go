package pgq_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pgq-go/queue/pgq"
)

// settings returns the lines of an export of settings without the header, those of queue '*' included.
func (w *world) settings(q *pgq.Client) []string {
	w.Helper()
	var lines []string
	must(w.T, q.ExportSettings(w.Context(), w.pool, func(line json.RawMessage) error {
		lines = append(lines, string(line))
		return nil
	}))
	return lines[1 : len(lines)-1] // without the header and the end
}

const settingsHeader = `{"type":"export","of":"settings"}`

// setAll sets whatever can be set.
func (w *world) setAll() {
	w.Helper()
	conn := w.session()
	for _, sql := range []string{
		`select set_queue('*', keep_failed => '60 days')`,
		`select set_queue('mail "x"', max_depth => 1000, warn_depth => 10, max_args_bytes => 5000, max_attempts => 3, timeout => '90 s',
			backoff => '{"type": "constant", "base": 3}', keep_completed => '7 days', keep_failed => '1 month', keep_cancelled => '1 hour', keep_expired => '0', events => 'all', age_every => '10 min')`,
		`select pause_queue('mail "x"', 'moves')`,
		`select set_queue('plain')`,
		`select set_kind('charge', '{"backoff": {"type": "table", "delays": [1, 30.5, 600]}}')`,
		`select set_limit('group', 'customer/*', max_running => 5, weight => 3)`,
		`select set_limit('kind', 'charge', rate => 100, period => '2 s', burst => 7, break_after => 10, break_within => '5 s', break_for => '6 s')`,
		`select set_limit('queue', 'mail "x"', max_running => 1)`,
		`select set_schedule('code', '@daily', 'x', '{"n": 9007199254740993}', '{"queue": "mail \"x\"", "tags": ["a"]}', jitter => '5 min', starts_at => '2040-01-01',
			ends_at => '2041-01-01', max_runs => 5, missed => 'all', missed_limit => 7, overlap => 'queue', zone => 'Europe/Berlin', declared_by => 'billing')`,
		`select set_schedule('dag', 'every 15 minutes', dag => '{"name": "e", "nodes": [{"name": "a", "kind": "a"}]}')`,
		`select set_schedule('null', 'at 2040-01-31 18:00', 'x', 'null')`,
		`select set_schedule('over', 'at 2001-01-31 18:00', 'x')`,
		`select set_schedule('bytes', '@daily', 'x', options => '{"codec": "raw", "payload": "AAE="}')`,
		`select pause_schedule('dag', 'it is wrong', 'ann')`,
		`select set_consumer('audit', '{"mail \"x\"",b}', '{failed,retried}', '3 days')`,
		`select set_consumer('all')`,
	} {
		_, err := conn.Exec(w.Context(), sql)
		if err != nil {
			w.Fatalf("%s: %v", sql, err)
		}
	}
}

func TestSettingsThatAreExportedAndImportedAreTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setAll()
	other := w.second()
	before := w.settings(w.q)
	all := append([]string{settingsHeader}, before...)
	done, err := other.Import(t.Context(), w.pool, lines(all), pgq.ImportOptions{Try: true})
	must(t, err)
	if len(done.Settings) != len(before) || len(w.settings(other)) != 1 {
		t.Errorf("tried: %d settings, %d are there", len(done.Settings), len(w.settings(other)))
	}
	for i, want := range []string{"created", "unchanged"} {
		done, err := other.Import(t.Context(), w.pool, lines(all), pgq.ImportOptions{})
		must(t, err)
		for _, s := range done.Settings {
			if i == 0 && s.Name == "*" {
				s.Outcome = map[string]string{"changed": want}[s.Outcome]
			}
			if s.Outcome != want {
				t.Errorf("time %d: %+v", i+1, s)
			}
		}
		if after := w.settings(other); !slices.Equal(before, after) {
			t.Errorf("\n%s\nbecame\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
	}
	state := one[string](t, w.pool, `select string_agg(name || ' ' || state || coalesce(' ' || paused_by || ' ' || pause_reason, ''), ',' order by name) from "Other ""schema""".schedule_states`)
	if state != "bytes active,code active,dag paused ann it is wrong,null active,over ended" {
		t.Error(state)
	}
	if one[bool](t, w.pool, `select bool_or(paused_at is not null) from "Other ""schema""".queues`) {
		t.Error("a queue is paused")
	}
}

// Each column that could be a setting is one, or was thought of: else the export of settings would not have it.
func TestEverySettingIsExported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setAll()
	text := strings.Join(w.settings(w.q), "\n")
	state := map[string][]string{
		"queues": {"paused_at", "paused_by", "pause_reason"},
		"schedules": {"fields", "period", "once_at", "anchor", "job", "paused_at", "paused_by", "pause_reason", "next_at", "fire_at", "queued_at", "runs", "last_due_at",
			"last_fired_at", "last_job_id", "error"},
		"consumers": {"from_xid", "from_open", "to_xid", "to_open", "to_open_ids", "to_id", "after_id", "exhausted", "token", "leased_id", "leased_last", "leased_count",
			"leased_until", "leased_by", "failures", "error", "retry_at", "handled", "skipped", "read_at", "lost_at"},
	}
	for _, table := range []string{"queues", "kinds", "limits", "schedules", "consumers"} {
		for _, name := range one[[]string](t, w.pool, "select array_agg(column_name::text) from information_schema.columns where table_schema = 'pgq' and table_name = $1", table) {
			if !strings.Contains(text, `"`+name+`":`) && !slices.Contains(state[table], name) && name != "created_at" && name != "updated_at" {
				t.Errorf("%s.%s is not exported: see setting_fields", table, name)
			}
		}
	}
}

func TestImportedSettingsReplaceWhatIsThereAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setAll()
	others := func() (kept []string) {
		for _, line := range w.settings(w.q) {
			if !strings.Contains(line, `"charge"`) && !strings.Contains(line, `"mail`) && !strings.Contains(line, `"*"`) && !strings.Contains(line, `"dag"`) {
				kept = append(kept, line)
			}
		}
		return kept
	}
	before := others()
	done, err := w.q.Import(t.Context(), w.pool, lines([]string{settingsHeader,
		`{"type": "setting", "of": "queue", "name": "*", "settings": {"max_attempts": 7}}`,
		`{"type": "setting", "of": "queue", "name": "mail \"x\"", "settings": {"max_depth": 5}}`,
		`{"type": "setting", "of": "kind", "name": "charge", "settings": {}}`,
		`{"type": "setting", "of": "limit", "scope": "kind", "name": "charge", "settings": {"rate": 3}}`,
		`{"type": "setting", "of": "schedule", "name": "dag", "settings": {"spec": "@hourly", "kind": "x"}}`,
		`{"type": "setting", "of": "consumer", "name": "new", "settings": {"keep": "1 day"}}`}), pgq.ImportOptions{})
	must(t, err)
	for i, s := range done.Settings {
		if want := map[bool]string{true: "changed", false: "created"}[i < 5]; s.Outcome != want {
			t.Errorf("%+v, want %s", s, want)
		}
	}
	conn := w.session()
	for sql, want := range map[string]string{
		`select concat_ws(' ', max_attempts, keep_failed, events) from queues where name = '*'`:                                                   "7 60 days changes",
		`select concat_ws(' ', max_depth, warn_depth, timeout, backoff, events, pause_reason) from queues where name = 'mail "x"'`:                "5 moves",
		`select concat_ws(' ', backoff) from kinds where name = 'charge'`:                                                                         "",
		`select concat_ws(' ', rate, period, burst, break_after, break_within) from limits where scope = 'kind'`:                                  "3 00:00:01",
		`select concat_ws(' ', spec, zone, job ->> 'kind', dag, pause_reason) from schedules where name = 'dag'`:                                  "@hourly UTC x it is wrong",
		`select concat_ws(' ', queues, types, keep) from consumers where name = 'new'`:                                                            "1 day",
		`select coalesce(string_agg(name, ','), '') from schedules where name in ('code', 'null') and declared_by is not distinct from 'billing'`: "code",
	} {
		var got string
		must(t, conn.QueryRow(t.Context(), sql).Scan(&got))
		if got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	slices.Sort(before)
	after := slices.DeleteFunc(others(), func(line string) bool { return strings.Contains(line, `"new"`) })
	slices.Sort(after)
	if !slices.Equal(before, after) {
		t.Errorf("\n%s\nbecame\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

func TestSettingsThatBreakARuleAreRefusedWithLineAndField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setAll()
	before := w.settings(w.q)
	good := `{"type": "setting", "of": "queue", "name": "good", "settings": {"max_depth": 5}}`
	for bad, field := range map[string]string{
		`{"type": "setting", "of": "queues", "name": "a", "settings": {}}`:                                                     "of",
		`{"type": "setting", "name": "a", "settings": {}}`:                                                                     "of",
		`{"type": "setting", "of": "queue", "settings": {}}`:                                                                   "name",
		`{"type": "setting", "of": "queue", "name": 5, "settings": {}}`:                                                        "name",
		`{"type": "setting", "of": "queue", "name": "", "settings": {}}`:                                                       "queue",
		`{"type": "setting", "of": "queue", "name": "a"}`:                                                                      "settings",
		`{"type": "setting", "of": "queue", "name": "a", "settings": []}`:                                                      "settings",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {}, "scope": "queue"}`:                                    "scope",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {}, "paused": {}}`:                                        "paused",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {"colour": 1}}`:                                           "colour",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {"name": "b"}}`:                                           "name",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {"paused_at": "2040-01-01"}}`:                             "paused_at",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {"max_depth": "many"}}`:                                   "max_depth",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {"max_depth": 0}}`:                                        "max_depth",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {"max_depth": 1e30}}`:                                     "max_depth",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {"timeout": "soon"}}`:                                     "timeout",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {"events": "some"}}`:                                      "events",
		`{"type": "setting", "of": "queue", "name": "*", "settings": {"events": null}}`:                                        "events",
		`{"type": "setting", "of": "queue", "name": "a", "settings": {"backoff": {"type": "slow"}}}`:                           "backoff",
		`{"type": "setting", "of": "kind", "name": "a", "settings": {"timeout": "1 s"}}`:                                       "timeout",
		`{"type": "setting", "of": "limit", "name": "a", "settings": {"rate": 1}}`:                                             "scope",
		`{"type": "setting", "of": "limit", "scope": "tag", "name": "a", "settings": {"rate": 1}}`:                             "scope",
		`{"type": "setting", "of": "limit", "scope": "kind", "name": "a", "settings": {}}`:                                     "settings",
		`{"type": "setting", "of": "limit", "scope": "kind", "name": "a", "settings": {"rate": -1}}`:                           "rate",
		`{"type": "setting", "of": "limit", "scope": "kind", "name": "a", "settings": {"weight": 2}}`:                          "weight",
		`{"type": "setting", "of": "schedule", "name": "a", "settings": {"kind": "x"}}`:                                        "spec",
		`{"type": "setting", "of": "schedule", "name": "a", "settings": {"spec": "@daily"}}`:                                   "kind",
		`{"type": "setting", "of": "schedule", "name": "a", "settings": {"spec": "@daily", "kind": "x", "zone": "Mars"}}`:      "zone",
		`{"type": "setting", "of": "schedule", "name": "a", "settings": {"spec": "@daily", "kind": "x", "runs": 5}}`:           "runs",
		`{"type": "setting", "of": "schedule", "name": "a", "settings": {"spec": "@daily", "kind": "x", "jitter": "1 week"}}`:  "jitter",
		`{"type": "setting", "of": "schedule", "name": "a", "settings": {"spec": "@daily", "kind": "x", "max_runs": "x"}}`:     "max_runs",
		`{"type": "setting", "of": "schedule", "name": "a", "settings": {"spec": "@daily", "kind": "x"}, "paused": true}`:      "paused",
		`{"type": "setting", "of": "schedule", "name": "a", "settings": {"spec": "@daily", "kind": "x", "dag": {}}}`:           "dag",
		`{"type": "setting", "of": "schedule", "name": "a", "settings": {"spec": "@daily", "kind": "x", "options": {"q": 1}}}`: "options",
		`{"type": "setting", "of": "consumer", "name": "a", "settings": {"types": "failed"}}`:                                  "types",
		`{"type": "setting", "of": "consumer", "name": "a", "settings": {"types": ["fell"]}}`:                                  "types",
		`{"type": "setting", "of": "consumer", "name": "a", "settings": {"queues": []}}`:                                       "queues",
		`{"type": "setting", "of": "consumer", "name": "a", "settings": {"queues": [null]}}`:                                   "queues",
		`{"type": "setting", "of": "consumer", "name": "a", "settings": {"keep": "x"}}`:                                        "keep",
		`{"type": "setting", "of": "consumer", "name": "a", "settings": {"token": 5}}`:                                         "token",
		good: "name", // twice
	} {
		_, err := w.q.Import(t.Context(), w.pool, lines([]string{settingsHeader, good, bad}), pgq.ImportOptions{})
		var argument *pgq.ArgumentError
		var line *pgq.LineError
		if !errors.As(err, &argument) || argument.Field != field || !errors.As(err, &line) || line.Line != 3 {
			t.Errorf("%s: %v, want line 3 and %s", bad, err, field)
		}
	}
	if after := w.settings(w.q); !slices.Equal(before, after) {
		t.Errorf("\n%s\nbecame\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	header := `{"type":"export","of":"jobs","schema_version":2,"max_id":9}`
	if _, err := w.q.Import(t.Context(), w.pool, lines([]string{settingsHeader, good, header}), pgq.ImportOptions{}); err == nil {
		t.Error("jobs after settings")
	}
	done, err := w.q.Import(t.Context(), w.pool, lines([]string{header, settingsHeader, good}), pgq.ImportOptions{})
	if must(t, err); len(done.Settings) != 1 {
		t.Errorf("%+v", done)
	}
}
