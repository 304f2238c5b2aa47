package integration

import (
	"context"
	"fmt"
	"testing"

	"github.com/pgq-go/queue/pgq"
)

// A worker that dies with jobs in its hands: each calls back once for the attempt that was lost and once for its end, whether it is alone or a node of a DAG; and
// until it has ended it bars those that are to be unique.
func TestCallbacksAndUniqueKeysSurviveTheDeathOfAWorker(t *testing.T) {
	t.Parallel()
	const each = 5
	s := newSystem(t)
	call := func(what string) *pgq.Item {
		return &pgq.Item{Args: errand{"note"}, Options: pgq.Options{Tags: []string{what}}}
	}
	options := func(key string) pgq.Options {
		return pgq.Options{
			Unique:    pgq.Unique{Key: key},
			Callbacks: pgq.Callbacks{OnSuccess: call("success"), OnFailure: call("failure"), OnRetry: call("retry")},
		}
	}
	again := func() (existing int) {
		t.Helper()
		for i := range each {
			job, err := s.q.Enqueue(context.Background(), s.pool, errand{"note"}, options(fmt.Sprint("k", i)))
			if err != nil {
				t.Fatal(err)
			}
			if job.Existing {
				existing++
			}
		}
		return existing
	}
	victim := s.worker(s.url, 2*each, lease)
	s.becomes(1, registered)
	for i := range each {
		s.enqueue(1, "hold once", options(fmt.Sprint("k", i)))
	}
	s.exec(`select pgq.dag_submit(jsonb_build_object('name', 'd', 'nodes', (select jsonb_agg(jsonb_build_object(
		'name', 'n' || i, 'kind', 'errand', 'args', '{"what": "hold once"}'::jsonb, 'callbacks', '{
			"on_success": {"kind": "errand", "args": {"what": "note"}, "tags": ["success"]},
			"on_failure": {"kind": "errand", "args": {"what": "note"}, "tags": ["failure"]},
			"on_retry": {"kind": "errand", "args": {"what": "note"}, "tags": ["retry"]}}'::jsonb)) from generate_series(1, $1::int) i)))`, each)
	s.becomes(2*each, "select count(*) from effects where what = 'holds'")
	others := []*process{s.worker(s.url, 3, lease), s.worker(s.url, 3, lease)}
	s.becomes(3, registered)
	victim.kill()
	if existing := again(); existing != each {
		t.Errorf("%d of %d keys bar others while their worker is dead", existing, each)
	}
	s.becomes(2*each, "select count(distinct job_id) from effects where what = 'ran again'")
	s.becomes(4*each, "select count(*) from effects where what = 'ran'")
	for _, what := range []string{"success", "retry"} {
		s.is(2*each, "callbacks: "+what, "select count(*) from pgq.jobs where tags = array[$1]", what)
	}
	s.is(0, "callbacks: failure", "select count(*) from pgq.jobs where tags = '{failure}'")
	s.is(2*each, "jobs that called back once for each", `select count(*) from (
		select metadata -> 'callback' ->> 'job_id' from pgq.jobs where tags is not null group by 1 having count(*) = 2 and count(distinct tags) = 2) c`)
	s.becomes(0, "select count(*) from pgq.running")
	if existing := again(); existing != 0 {
		t.Errorf("%d keys bar others though their jobs have ended", existing)
	}
	for _, p := range others {
		p.ends()
	}
}
