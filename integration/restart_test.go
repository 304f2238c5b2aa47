package integration

import (
	"context"
	"testing"
	"time"

	"github.com/pgq-go/queue/internal/pgserver"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
)

func TestACrashOfTheServerUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, err := pgserver.Start(ctx, pgserver.Options{Private: true}) // with fsync
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := migrations.Up(ctx, server.URL, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	s := systemAt(t, server.URL)
	workers := []*process{s.worker(s.url, 20, 10*time.Second), s.worker(s.url, 20, 10*time.Second)}

	load, stop := context.WithCancel(ctx)
	acknowledged := make(chan []int64, 1)
	go func() {
		var ids []int64
		for load.Err() == nil {
			limit, cancel := context.WithTimeout(ctx, 5*time.Second)
			more, err := s.q.EnqueueMany(limit, s.pool, []pgq.Item{{Args: errand{"note"}}, {Args: errand{"quick"}}, {Args: errand{"quick"}}})
			cancel()
			if err == nil {
				ids = append(ids, more...)
			}
		}
		acknowledged <- ids
	}()
	for range 3 {
		before := s.number(completed)
		eventually(t, "300 more jobs are completed", func() bool { return s.number(completed) >= before+300 })
		if err := server.Restart(ctx, "immediate"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the server answers", func() bool { return s.pool.Ping(ctx) == nil })
	}
	stop()
	ids := <-acknowledged
	s.becomes(0, "select count(*) from pgq.jobs where id not in (select job_id from pgq.results)")
	s.is(int64(len(ids)), "acknowledged jobs that are completed", completed+" and job_id = any($1)", ids)
	s.is(0, "jobs that ended otherwise", "select count(*) from pgq.results where state <> 'completed'")
	s.is(0, "leases", leased)
	t.Logf("%d jobs, %d of them acknowledged", s.number(completed), len(ids))
	for _, p := range workers {
		p.ends()
	}
}
