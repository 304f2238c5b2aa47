package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/internal/pgtest"
)

// lists are the commands that list something.
var lists = []string{"job list", "queue list", "worker list", "schedule list", "sequence list", "limit list", "dag list", "batch list", "failures list",
	"consumer list", "context list", "grants"}

func TestAllListsHaveTheSameFlags(t *testing.T) {
	t.Parallel()
	for _, list := range lists {
		admin(t, append(strings.Fields(list), "--help")...).want(t, 0, "table, wide, json, jsonl, yaml, name, csv", "--columns COLUMNS", "--sort COLUMN", "--limit N", "--after ")
		if list != "context list" && list != "grants" {
			admin(t, append(strings.Fields(list), "--help")...).want(t, 0, "--watch")
		}
		admin(t, append(strings.Fields(list), "--limit", "0")...).want(t, 2, "--limit must be 1 to 10000, not 0")
		admin(t, append(strings.Fields(list), "--limit", "10001")...).want(t, 2, "--limit must be 1 to 10000, not 10001")
	}
	for _, group := range strings.Fields("job queue worker schedule sequence limit dag batch failures consumer context event") {
		help := admin(t, group, "--help").stdout
		if has := strings.Contains(help, "\n  list "); has != (slices.Contains(lists, group+" list")) {
			t.Errorf("%s: has a list: %v; add it to those that are tested", group, has)
		}
	}
	admin(t, "limit", "list", "--after", "x").want(t, 2, "--after must be SCOPE/NAME")
	admin(t, "failures", "list", "--after", "[1]").want(t, 2, "--after must be what stands below")
}

// Names are hard ones, and pages of one row, so that cursors have to be exact.
func TestPagesOfEveryListTogetherAreAllOfIt(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	role := fmt.Sprintf("lists %%/ü %d", time.Now().UnixNano())
	for _, sql := range []string{
		"set search_path = pgq",
		`select set_queue(n) from unnest('{a,"it''s 100%/",zü}'::text[]) n`,
		`select register_worker(n, '{a}', '{k}') from unnest('{w1,w2,w3}'::text[]) n`,
		`select set_schedule(n, '@daily', 'k') from unnest('{a,"it''s 100%/",zü}'::text[]) n`,
		`select set_limit('group', n, max_running => 1) from unnest('{a/b,"it''s 100%/",zü/*}'::text[]) n`,
		`select set_limit('kind', 'a', max_running => 1)`,
		`select set_consumer(n) from unnest('{a,"it''s 100%/",zü}'::text[]) n`,
		`select enqueue('k', queue => 'a', sequence => n) from unnest('{a,"it''s 100%/",zü}'::text[]) n`,
		`select dag_submit(jsonb_build_object('name', n, 'nodes', '[{"name": "a", "kind": "k"}]'::jsonb)) from unnest('{a,"it''s 100%/",zü}'::text[]) n`,
		`select batch_submit(jsonb_build_object('name', n, 'jobs', '[{"kind": "k"}]'::jsonb)) from unnest('{a,"it''s 100%/",zü}'::text[]) n`,
		`with j as (insert into jobs (queue, kind) select 'a', 'f' from generate_series(1, 9) returning id)
			insert into results (job_id, queue, state, attempt, error) select id, 'a', 'failed', 1, case when id % 4 = 0 then 'one' else 'other ' || chr(97 + (id % 3)::int) end from j`,
		fmt.Sprintf(`create role %q`, role),
		fmt.Sprintf(`select grant_role(c, '%s') from unnest('{producer,worker,operator}'::text[]) c`, role),
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	defer func() {
		if _, err := conn.Exec(context.WithoutCancel(t.Context()), fmt.Sprintf("drop owned by %[1]q; drop role %[1]q", role)); err != nil {
			t.Error(err)
		}
	}()
	contexts := filepath.Join(t.TempDir(), "contexts.yaml")
	for _, name := range []string{"a", "it-s", "z"} {
		call{args: []string{"context", "set", name, "--url", "postgres://db/app"}, env: []string{"PGQ_CONTEXTS=" + contexts}}.run(t).want(t, 0)
	}
	for _, list := range lists {
		page := func(args ...string) (items []string, next any) {
			t.Helper()
			args = append(strings.Fields(list), append([]string{"-o", "json"}, args...)...)
			env := []string{"PGQ_CONTEXTS=" + contexts}
			if list != "context list" {
				env = append(env, "PGQ_DATABASE_URL="+url)
			}
			o := call{args: args, env: env}.run(t)
			var document struct {
				Items []json.RawMessage
				Next  any
			}
			decoder := json.NewDecoder(strings.NewReader(o.stdout))
			decoder.UseNumber()
			if err := decoder.Decode(&document); err != nil || o.code != 0 {
				t.Fatalf("%v: %v %+v", args, err, o)
			}
			for _, item := range document.Items {
				var members map[string]any
				if err := json.Unmarshal(item, &members); err != nil {
					t.Fatal(err)
				}
				items = append(items, fmt.Sprint(members["id"], members["name"], members["queue"], members["key"], members["scope"], members["fingerprint"], members["class"]))
			}
			return items, document.Next
		}
		all, next := page()
		if len(all) < 3 || next != nil {
			t.Errorf("%s: %d rows, and %v", list, len(all), next)
		}
		var together []string
		for rows, next := page("--limit", "1"); ; rows, next = page("--limit", "1", "--after", fmt.Sprint(next)) {
			together = append(together, rows...)
			if next == nil || len(together) > len(all) {
				break
			}
		}
		if !slices.Equal(all, together) {
			t.Errorf("%s: pages are together\n%q, and all is\n%q", list, together, all)
		}
	}
}
