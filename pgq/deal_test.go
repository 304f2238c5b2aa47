package pgq_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dealWorld is a world with a worker, number 1, whose jobs wait for their turn.
func dealWorld(t *testing.T) (*world, *plans) {
	w := newWorld(t)
	p := w.plans()
	w.exec("select pgq.register_worker('w', '{q}', '{k}')")
	w.exec("alter table pgq.backlogs set (autovacuum_enabled = off)")
	return w, p
}

// groups adds jobs of the groups numbered from first to last, each as many as are asked for.
func (w *world) groups(first, last, each, priority int) {
	w.Helper()
	w.exec(`select count(*) from pgq.enqueue_many((select jsonb_agg(jsonb_build_object('kind', 'k', 'queue', 'q', 'priority', $4::int, 'group', 'g' || g))
		from generate_series($1::int, $2::int) g, generate_series(1, $3::int)))`, first, last, each, priority)
}

// claimAll claims until there is nothing to be had and nobody left in line.
func (w *world) claimAll() (n int) {
	w.Helper()
	for {
		got := one[int](w.T, w.pool, "select count(*)::int from pgq.claim(1, '{q}', '{1000}', '{k}')")
		if n += got; got == 0 && one[int](w.T, w.pool, "select count(*) from pgq.backlogs where parked_until is null") == 0 {
			return n
		}
	}
}

// What a claim costs must go by what it takes, not by how many groups wait.
func TestDealingFromManyGroupsTouchesNoMoreThanFromFew(t *testing.T) {
	t.Parallel()
	const few, many = 150, 2000
	for _, c := range []struct {
		name, claim string
		jobs        int // that a claim gets
		given       func(w *world, first, last int)
	}{
		{"all may run", "select count(*)::int from claim(1, '{q}', '{10}', '{k}')", 10, func(w *world, first, last int) { w.groups(first, last, 2, 5) }},
		{"all but one have no slot", "select count(*)::int from claim(1, '{q}', '{10}', '{k}')", 1, func(w *world, first, last int) {
			w.exec("select pgq.set_limit('group', '*', max_running => 1)")
			w.groups(first, last, 2, 5)
			w.claimAll()
			w.exec("select pgq.complete(1, array[j], array[1]) from (select min(job_id) as j from pgq.running) r")
		}},
		{"all but one are paused", "select count(*)::int from claim(1, '{q}', '{10}', '{k}')", 1, func(w *world, first, last int) {
			w.exec("select count(pgq.pause_limit('group', 'g' || g, '1 h')) from generate_series($1::int, $2::int) g", first, last)
			w.groups(first, last, 1, 5)
			w.claimAll()
			w.exec("select pgq.resume_limit('group', 'g' || $1::int)", last)
		}},
		{"all but one have no tokens", "select count(*)::int from claim(1, '{q}', '{10}', '{k}')", 1, func(w *world, first, last int) {
			w.exec("select pgq.set_limit('group', '*', rate => 1, period => '1 h')")
			w.groups(first, last, 2, 5)
			w.claimAll()
			w.exec("select pgq.set_limit('group', 'g' || $1::int, max_running => 5)", last) // instead of the rate
		}},
		{"all but one are later than what is ready", "select count(*)::int from claim(1, '{q}', '{2}', '{k}') c join jobs j on j.id = c.job_id where j.priority = 0", 1,
			func(w *world, first, last int) {
				w.groups(first, last, 1, 5)
				if first == 1 {
					w.exec("select pgq.enqueue('k', queue => 'q', priority => 1) from generate_series(1, 1000)")
					w.groups(1, 1, 1, 0)
				}
			}},
		{"all but one are of a kind that the worker does not know", "select count(*)::int from claim(1, '{q}', '{10}', '{other}')", 1, func(w *world, first, last int) {
			w.groups(first, last, 1, 5)
			if first == 1 {
				w.exec("select pgq.enqueue('other', queue => 'q', group_name => 'z')")
			}
		}},
		{"all were emptied a moment ago", "select count(*)::int from claim(1, '{q}', '{10}', '{k}')", 1, func(w *world, first, last int) {
			w.groups(first, last, 1, 5)
			w.claimAll()
			w.exec("update pgq.backlogs set emptied_at = now() + interval '1 h', parked_until = now() + interval '1 h' where group_name <> 'z'")
			w.exec("delete from pgq.waiting")
			w.exec("select pgq.enqueue('k', queue => 'q', group_name => 'z')")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, p := dealWorld(t)
			touch := func(first, last int) int {
				c.given(w, first, last)
				w.exec("vacuum analyze pgq.backlogs, pgq.waiting, pgq.slots, pgq.gates")
				p.touched(t, c.claim) // fills the caches of the session
				tx, err := p.conn.Begin(t.Context())
				must(t, err)
				if got := one[int](t, tx, c.claim); got != c.jobs {
					t.Fatalf("with %d groups the claim gets %d jobs, want %d", last, got, c.jobs)
				}
				must(t, tx.Rollback(t.Context()))
				return p.touched(t, c.claim)
			}
			small := touch(1, few)
			if large := touch(few+1, many); float64(large) > 1.5*float64(small)+20 {
				t.Errorf("a claim touches %d blocks with %d groups, %d with %d:\n%s", large, many, small, few, strings.Join(p.explain(t, c.claim), "\n"))
			}
		})
	}
}

var loopRows = regexp.MustCompile(`actual rows=(\d+) loops=(\d+)`)

// A claim of many jobs of many groups must cost no more per job than one of few, in what it reads and in what it compares: there are no statistics
// of what a deal has looked at, so a plan may be as for a handful.
func TestALargeDealCostsNoMorePerJob(t *testing.T) {
	t.Parallel()
	w, p := dealWorld(t)
	w.groups(1, 2000, 2, 5)
	cost := func(jobs int) (blocks, rows int) {
		call := fmt.Sprintf("select count(*) from claim(1, '{q}', '{%d}', '{k}')", jobs)
		p.touched(t, call) // fills the caches of the session
		blocks = p.touched(t, call)
		for _, text := range p.explain(t, call) {
			for _, line := range strings.Split(text, "\n") {
				if found := loopRows.FindStringSubmatch(line); found != nil {
					n, _ := strconv.Atoi(found[1])
					loops, _ := strconv.Atoi(found[2])
					rows += n * loops
				}
			}
		}
		return blocks, rows
	}
	few, many := 50, 1000
	fewBlocks, fewRows := cost(few)
	manyBlocks, manyRows := cost(many)
	times := many / few
	if manyBlocks > 2*times*fewBlocks {
		t.Errorf("a claim of %d jobs touches %d blocks, one of %d %d", many, manyBlocks, few, fewBlocks)
	}
	if manyRows > 2*times*fewRows {
		t.Errorf("a claim of %d jobs looks at %d rows, one of %d at %d", many, manyRows, few, fewRows)
	}
	t.Logf("%d and %d blocks, %d and %d rows", fewBlocks, manyBlocks, fewRows, manyRows)
}

// Chores and explanations look at a part of the groups at a time.
func TestChoresAndExplanationsOfManyGroupsAreBounded(t *testing.T) {
	t.Parallel()
	w, p := dealWorld(t)
	w.exec("select pgq.set_limit('kind', 'k', max_running => 5)")
	w.exec("select pgq.set_limit('group', '*', rate => 100)")
	const groups = 3000
	w.groups(1, groups, 1, 5)
	w.exec("insert into pgq.gates (scope, name, tokens, refilled_at) select 'group', 'g' || g, 1, now() from generate_series(1, $1::int) g", groups)
	w.exec("vacuum analyze pgq.backlogs, pgq.waiting, pgq.gates")
	for _, c := range []struct {
		name, call string
		most       int
	}{
		{"next_turn", "select next_turn()", 200},
		{"wake_turns", "select wake_turns('group', 'g*')", 200},
		{"unknown_kinds", "select count(*) from unknown_kinds('{q}')", 200},
		{"tend_backlogs", "select tend_backlogs(100)", 4000},
		{"explain_limits", "select count(*) from explain_limits('q', 'x', 'g77')", 1000},
		{"list_limits", "select count(*) from list_limits(at_most => 10)", 1500},
		{"list_limits, without room", "select count(*) from list_limits(after_scope => 'group', after_name => 'g990', without_room => true)", 3000},
		{"limit_states", "select * from limit_states where scope = 'group' and name = 'g77'", 500},
		{"waiting_groups", "select waiting_groups(10)", 100},
	} {
		p.touched(t, c.call)
		if got := p.touched(t, c.call); got > c.most {
			t.Errorf("%s touches %d blocks with %d groups, want %d at the most", c.name, got, groups, c.most)
		}
	}
}

func TestMissingBacklogsAreFoundInPortions(t *testing.T) {
	t.Parallel()
	w, p := dealWorld(t)
	const groups = 250
	w.groups(1, groups, 1, 5)
	w.exec("insert into pgq.gates (scope, name, tokens, refilled_at) select 'group', 'g' || g, 1, now() from generate_series(1, $1::int) g", groups)
	w.exec("delete from pgq.backlogs")
	w.exec("insert into pgq.backlogs (queue, group_name, kind, priority, turn) select 'q', 'g200', 'k', 5, 0 from generate_series(1, 3)")
	for range 3 {
		_, err := p.conn.Exec(t.Context(), "select tend_backlogs(100)")
		must(t, err)
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.backlogs"); n != groups {
		t.Errorf("there are %d backlogs, want %d", n, groups)
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.gates"); n != 0 {
		t.Errorf("%d gates are left that say nothing", n)
	}
	if key := one[string](t, w.pool, "select key from pgq.chores where name = 'backlogs'"); key != `["", "", "", 0, "", ""]` {
		t.Errorf("having looked at all it goes on at %s", key)
	}
	if n := w.claimAll(); n != groups {
		t.Errorf("%d jobs were claimed, want %d", n, groups)
	}
}

// Groups that a changed limit concerns are looked at in portions, each once.
func TestALimitOfManyGroupsThatIsRaisedLetsAllGoOn(t *testing.T) {
	t.Parallel()
	w, _ := dealWorld(t)
	const groups = 300
	w.exec("select pgq.set_limit('group', 'g*', max_running => 1)")
	w.groups(1, groups, 2, 5)
	w.exec("select pgq.enqueue('k', queue => 'q', group_name => name) from unnest('{a,a,z,z}'::text[]) name")
	if n := w.claimAll(); n != groups+4 {
		t.Fatalf("%d jobs were claimed, want %d", n, groups+4)
	}
	w.exec("select pgq.set_limit('group', 'g*', max_running => 2)")
	for n := range groups {
		if one[int](t, w.pool, "select count(*) from pgq.claim(1, '{q}', '{1}', '{k}')") == 0 {
			t.Fatalf("nothing was claimed after %d jobs of %d", n, groups)
		}
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.vacancies"); n != 0 {
		t.Errorf("%d vacancies are left", n)
	}
}

// One who enqueues sees that his group has a row of backlogs and adds none; before he commits the row is found to be empty.
func TestAJobThatIsCommittedAfterItsGroupWasEmptiedIsFound(t *testing.T) {
	t.Parallel()
	w, _ := dealWorld(t)
	w.groups(1, 1, 1, 5)
	tx := w.begin()
	_, err := tx.Exec(t.Context(), "select pgq.enqueue('k', queue => 'q', group_name => 'g1')")
	must(t, err)
	if n := w.claimAll(); n != 1 {
		t.Fatalf("%d jobs were claimed, want 1", n)
	}
	if n := one[int](t, w.pool, "select count(*) from pgq.backlogs where emptied_at is null"); n != 0 {
		t.Fatal("the group is still in line")
	}
	must(t, tx.Commit(t.Context()))
	for began := time.Now(); w.claimAll() == 0; {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the job is not claimed")
		}
	}
}

func TestAnEmptiedGroupThatComesBackKeepsItsTurn(t *testing.T) {
	t.Parallel()
	w, _ := dealWorld(t)
	w.exec("select pgq.enqueue('k', queue => 'q', group_name => 'a') from generate_series(1, 5)")
	w.exec("select pgq.enqueue('k', queue => 'q', group_name => 'b')")
	w.claimAll() // a is 4 turns ahead
	w.exec("select pgq.enqueue('k', queue => 'q', group_name => 'a')")
	w.exec("select pgq.enqueue('k', queue => 'q', group_name => 'b') from generate_series(1, 2)")
	if got := one[string](t, w.pool, "select string_agg(group_name, ' ') from pgq.claim(1, '{q}', '{3}', '{k}') c join pgq.jobs j on j.id = c.job_id"); got != "b a b" && got != "b b a" {
		t.Errorf("the order is %s, want b first", got)
	}
}
