package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// Bounds of counting what fits before something is done with it.
const (
	countUpTo = 1_000_000
	countFor  = 3 * time.Second
)

// reach is how many jobs something is about, as far as they were counted.
type reach struct {
	jobs  int
	exact bool // there are no more
}

// reach counts the jobs that fit, up to a number and for some time.
func (s *session) reach(ctx context.Context, f pgq.Filter, atMost int, long time.Duration) (r reach, err error) {
	for until := time.Now().Add(long); r.jobs < atMost && time.Now().Before(until); {
		ids, next, err := s.q.Select(ctx, s.conn, f, min(atMost-r.jobs, 10_000), false)
		if err != nil {
			return r, err
		}
		r.jobs += len(ids)
		if next == 0 {
			r.exact = true
			break
		}
		f.After = next
	}
	return r, nil
}

// text says how many jobs will be taken with a limit: "the first 100 of 200000 jobs".
func (r reach) text(limit int) string {
	noun := "jobs"
	if r.exact && r.jobs == 1 {
		noun = "job"
	}
	count := fmt.Sprint(r.jobs)
	if !r.exact {
		count = "more than " + count
	}
	switch {
	case limit > 0 && r.jobs > limit:
		return fmt.Sprintf("the first %d of %s %s", limit, count, noun)
	case limit > 0 && !r.exact:
		return fmt.Sprintf("%s %s, %d at most", count, noun, limit)
	}
	return count + " " + noun
}

// total is how many jobs will be looked at with a limit; 0 where that is not known.
func (r reach) total(limit int) int64 {
	switch {
	case limit > 0 && r.jobs >= limit:
		return int64(limit)
	case r.exact:
		return int64(r.jobs)
	}
	return 0
}
