package pgq

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Filter chooses jobs: those that fit all that is given. Nil and zero mean not given; a list that is empty and not nil fits
// no job.
type Filter struct {
	Queues []string
	Kinds  []string
	// Groups: see Options.Group.
	Groups []string
	States []State
	IDs    []int64
	// Workers: one of them has the job, or had it last.
	Workers []int64
	// DAGs: the job is a node of one of them.
	DAGs []int64
	// Tags: the job has all of them.
	Tags []string
	// Since and Until bound the time of enqueueing: from Since on, before Until.
	Since, Until time.Time
	// Args and Metadata are JSON that the job's must contain (the operator @> of jsonb).
	Args, Metadata json.RawMessage
	// Paths: what the args have at all of these places.
	Paths []PathFilter
	// Error is a part of the error's text.
	Error string
	// Fingerprints are those of errors: see [Client.Failures].
	Fingerprints []string
	// After and Before are cursors: only jobs with a higher, a lower id.
	After, Before int64
	// Limit is the size of a page of [Client.List]: 100 by default, at most 10,000.
	Limit int
	// LookAt is after how many jobs, about, [Client.List] stops to look for more that fit; never by default.
	LookAt int
}

// PathFilter says what args have at a place: a key of an object, or an index of an array, per step. The values, JSON
// each, are compared exactly, however large numbers are.
type PathFilter struct {
	Path []string          `json:"path"`
	In   []json.RawMessage `json:"in"`
}

// document returns the filter as the database takes it. *ArgumentError: a field cannot be encoded.
func (f Filter) document() (json.RawMessage, error) {
	fields := map[string]any{}
	for name, list := range map[string][]string{"queues": f.Queues, "kinds": f.Kinds, "groups": f.Groups, "tags": f.Tags, "fingerprints": f.Fingerprints} {
		putList(fields, name, list)
	}
	for name, list := range map[string][]int64{"ids": f.IDs, "workers": f.Workers, "dags": f.DAGs} {
		putList(fields, name, list)
	}
	putList(fields, "states", f.States)
	putList(fields, "paths", f.Paths)
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if at.IsZero() {
			continue
		}
		if at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
			return nil, &ArgumentError{Field: name, Rule: "must be in the years 1 to 9999"}
		}
		fields[name] = at.UTC().Format(time.RFC3339Nano)
	}
	for name, value := range map[string]json.RawMessage{"args": f.Args, "metadata": f.Metadata} {
		if value == nil {
			continue
		}
		if !json.Valid(value) {
			return nil, &ArgumentError{Field: name, Rule: "must be JSON"}
		}
		fields[name] = value
	}
	for _, p := range f.Paths {
		for _, value := range p.In {
			if !json.Valid(value) {
				return nil, &ArgumentError{Field: "paths", Rule: "must have values that are JSON"}
			}
		}
		if p.Path == nil || p.In == nil {
			return nil, &ArgumentError{Field: "paths", Rule: "must have paths and values"}
		}
	}
	if f.Error != "" {
		fields["error"] = f.Error
	}
	for name, id := range map[string]int64{"after": f.After, "before": f.Before} {
		if id != 0 {
			fields[name] = id
		}
	}
	document, err := json.Marshal(fields)
	if err != nil {
		return nil, &ArgumentError{Field: "filter", Rule: "must be encodable: " + err.Error()}
	}
	return document, nil
}

func putList[T any](fields map[string]any, name string, list []T) {
	if list != nil {
		fields[name] = list
	}
}

// Select returns ids of jobs that fit, at most so many (10,000 at most), in the order of their ids, or newest first; and
// where to go on: After, or Before with newestFirst, of the next call, 0 at the end. A call looks at a bounded number of
// jobs, so it may return none and still have a next. *ArgumentError: a field of the filter breaks a rule.
func (c *Client) Select(ctx context.Context, db DB, f Filter, atMost int, newestFirst bool) (ids []int64, next int64, err error) {
	document, err := f.document()
	if err != nil {
		return nil, 0, err
	}
	var at *int64
	err = db.QueryRow(ctx, c.from("job_ids, next", "select_jobs($1::jsonb, $2, $3)"), document, atMost, newestFirst).Scan(&ids, &at)
	if err != nil {
		return nil, 0, wrapFilter("select jobs", err)
	}
	if at != nil {
		next = *at
	}
	return ids, next, nil
}

// wrapFilter is wrap, for statements whose only JSON is a filter.
func wrapFilter(verb string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && slices.Contains([]string{"22P05", "22021", "22P02", "22003", "54001"}, pg.Code) {
		return &ArgumentError{Field: "filter", Rule: "must be storable as JSON: " + pg.Message}
	}
	return wrap(verb, err)
}

// selectStep is how many jobs the database looks at in a step (select_jobs).
const selectStep = 10_000

// List returns a page of jobs, newest first, and the cursor of the next page (Before): 0 when this is the last. It looks
// until the page is full or there are no more jobs, in bounded steps. A filter that few fit may take long, since not all that it can
// ask for has an index: mind ctx, or bound it by LookAt; then a page may be short, or empty, and have a next one.
func (c *Client) List(ctx context.Context, db DB, f Filter) (jobs []*JobInfo, next int64, err error) {
	limit := first(f.Limit, 100)
	var found []int64
	for looked := 0; ; looked += selectStep {
		ids, at, err := c.Select(ctx, db, f, limit-len(found), true)
		if err != nil {
			return nil, 0, err
		}
		found = append(found, ids...)
		if at == 0 || len(found) == limit || f.LookAt > 0 && looked+selectStep >= f.LookAt {
			next = at
			break
		}
		f.Before = at
	}
	jobs, err = c.infos(ctx, db, found)
	return jobs, next, err
}

// CountUpTo returns how many jobs fit, counted up to a bound, in bounded steps.
func (c *Client) CountUpTo(ctx context.Context, db DB, f Filter, bound int) (int, error) {
	n := 0
	for n < bound {
		ids, next, err := c.Select(ctx, db, f, min(bound-n, 10_000), false)
		if err != nil {
			return 0, err
		}
		if n += len(ids); next == 0 {
			break
		}
		f.After = next
	}
	return n, nil
}
