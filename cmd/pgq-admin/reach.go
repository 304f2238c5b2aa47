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
	about int  // how many there may be, if not, by the ids that were looked at; 0: nobody knows
}

// reach counts the jobs that fit, up to a number and for some time.
func (s *session) reach(ctx context.Context, f pgq.Filter, atMost int, long time.Duration) (r reach, err error) {
	from := f.After
	for until := time.Now().Add(long); r.jobs < atMost && time.Now().Before(until); {
		ids, next, err := s.q.Select(ctx, s.conn, f, min(atMost-r.jobs, 10_000), false)
		if err != nil {
			return r, err
		}
		r.jobs += len(ids)
		if next == 0 {
			r.exact, r.about = true, 0
			break
		}
		f.After = next
		if f.Before > next && next > from {
			r.about = int(float64(r.jobs) * float64(f.Before-1-from) / float64(next-from))
		}
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
	switch {
	case r.about > r.jobs:
		count = fmt.Sprintf("about %d", r.about)
	case !r.exact:
		count = "more than " + count
	}
	switch {
	case limit > 0 && max(r.jobs, r.about) > limit:
		return fmt.Sprintf("the first %d of %s %s", limit, count, noun)
	case limit > 0 && !r.exact:
		return fmt.Sprintf("%s %s, %d at most", count, noun, limit)
	}
	return count + " " + noun
}

// total is how many jobs will be looked at with a limit, about; 0 where that is not known.
func (r reach) total(limit int) int64 {
	switch {
	case r == (reach{}): // nobody counted
		return 0
	case limit > 0 && r.jobs >= limit:
		return int64(limit)
	case r.exact:
		return int64(r.jobs)
	case r.about > r.jobs && (limit == 0 || r.about < limit):
		return int64(r.about)
	}
	return int64(limit)
}
