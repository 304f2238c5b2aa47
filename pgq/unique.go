package pgq

import (
	"context"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Unique says which earlier job bars a new one, and what happens then. The zero value bars nothing. The earlier job is the last one
// that was enqueued with the same key, wherever it is: it bars while it is queued or runs ([Unfinished]), or only until it
// starts ([Queued]), and for as long as For or Period say.
//
//	pgq.Unique{By: []string{"args.shop"}, While: pgq.Queued}          // one queued synchronization per shop
//	pgq.Unique{Key: "report-2031-05", For: 24 * time.Hour}             // once a day, even if it ends at once
//	pgq.Unique{By: []string{"args"}, Debounce: 5 * time.Second}        // when nobody has asked for 5 s, with the last args
//	pgq.Unique{By: []string{"args.user"}, Throttle: time.Minute}       // at most once a minute per user, the first at once
//
// Those that enqueue with one key at the same time wait for each other's transactions: there are never two jobs, and never none.
// A job that bars others only until it starts does not start before the transaction of a barred one has ended, so what
// that has written will be seen. A finished job that is retried is not asked for its key.
type Unique struct {
	// Key is what makes jobs the same, whatever their kinds: 1 to 450 characters.
	Key string
	// By is the other way to say it: jobs of one kind are the same that are alike in these: "queue", "args", and
	// members of the args, "args.customer.id". Of args in JSON only.
	By []string
	// While is until when the earlier job bars others; Unfinished by default.
	While UniqueWhile
	// For bars others for this long after the job was enqueued, whatever becomes of it.
	For time.Duration
	// Period bars others in the same period, counted from 1970; not together with For.
	Period time.Duration
	// OnConflict is what happens to a job that is barred; ReturnExisting by default.
	OnConflict OnConflict
	// Debounce lets the job run when none was enqueued with the key for this long. A job that is queued takes the args of the later
	// ones and waits anew, but no longer than MaxWait in all.
	Debounce, MaxWait time.Duration
	// Throttle lets one job run per interval: the first at once, others are barred by it; or, if Trailing, one at the end of
	// the interval, with the args of the last.
	Throttle time.Duration
	Trailing bool
}

// UniqueWhile is until when a job bars others with its key.
type UniqueWhile string

// Until a job has ended, or only until it starts to run.
const (
	Unfinished UniqueWhile = "unfinished"
	Queued     UniqueWhile = "queued"
)

// OnConflict is what happens to a job that is barred by an earlier one.
type OnConflict string

const (
	// ReturnExisting returns the earlier job in place of a new one.
	ReturnExisting OnConflict = "existing"
	// ReplaceQueued does the same, and gives the earlier job, if it does not run yet, the args, metadata, tags, time and ways to
	// retry of the new one. Its place in the queue stays.
	ReplaceQueued OnConflict = "replace"
	// ConflictError refuses the new job: ErrDuplicate.
	ConflictError OnConflict = "error"
)

func (u Unique) given() bool {
	return u.Key != "" || u.By != nil || u.While != "" || u.For != 0 || u.Period != 0 || u.OnConflict != "" ||
		u.Debounce != 0 || u.MaxWait != 0 || u.Throttle != 0 || u.Trailing
}

// check returns the first rule that can be broken in Go alone; the others are checked by unique_problem in SQL.
func (u Unique) check() error {
	for _, text := range append([]string{u.Key}, u.By...) {
		if !utf8.ValidString(text) || containsNUL(text) {
			return &ArgumentError{Field: "unique", Rule: "must be valid UTF-8 without NUL"}
		}
	}
	switch {
	case u.MaxWait != 0 && u.Debounce == 0:
		return &ArgumentError{Field: "unique.debounce.max_wait", Rule: "must not be given without a wait"}
	case u.Trailing && u.Throttle == 0:
		return &ArgumentError{Field: "unique.throttle.edge", Rule: "must not be given without a throttle"}
	}
	return nil
}

// MarshalJSON returns the form that unique_problem describes.
func (u Unique) MarshalJSON() ([]byte, error) {
	object := map[string]any{}
	text := func(name, value string) {
		if value != "" {
			object[name] = value
		}
	}
	duration := func(into map[string]any, name string, d time.Duration) {
		if d != 0 {
			into[name] = interval(&d)
		}
	}
	if u.Key != "" || u.By == nil {
		object["key"] = u.Key
	}
	if u.By != nil {
		object["by"] = u.By
	}
	text("while", string(u.While))
	text("on_conflict", string(u.OnConflict))
	duration(object, "for", u.For)
	duration(object, "period", u.Period)
	if u.Debounce != 0 {
		debounce := map[string]any{}
		duration(debounce, "wait", u.Debounce)
		duration(debounce, "max_wait", u.MaxWait)
		object["debounce"] = debounce
	}
	if u.Throttle != 0 {
		throttle := map[string]any{}
		duration(throttle, "every", u.Throttle)
		if u.Trailing {
			throttle["edge"] = "trailing"
		}
		object["throttle"] = throttle
	}
	return json.Marshal(object)
}

// copies reports whether a job that is to be unique can be copied, since nothing but its key and times bars it.
func (u *Unique) copies() bool {
	return u.Debounce == 0 && u.Throttle == 0 && u.OnConflict != ReplaceQueued
}

// enqueueSpecial enqueues one job that has a group or callbacks, is to be unique or is in a sequence.
func (c *Client) enqueueSpecial(ctx context.Context, db DB, j newJob) (Enqueued, error) {
	document, err := json.Marshal([]newJob{j})
	if err != nil {
		return Enqueued{}, err
	}
	var job Enqueued
	var outcome string
	err = db.QueryRow(ctx, c.adding("job_id, outcome", "enqueue_jobs($1::jsonb, $2)"), json.RawMessage(document), !c.config.NoNotify).
		Scan(&job.ID, &outcome)
	err = wrapAdding(err)
	if bad, ok := err.(*ArgumentError); ok { //nolint:errorlint // made by wrap just now
		err = &ArgumentError{Field: strings.TrimPrefix(bad.Field, "jobs[0]."), Rule: bad.Rule}
	}
	job.take(outcome)
	return job, err
}

// take notes the outcome that enqueue_jobs gave.
func (e *Enqueued) take(outcome string) {
	e.Existing, e.Replaced = outcome == "existing", outcome == "replaced"
}
