package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// failurePlace is where failures of a sort stand in the list: most jobs first, then those that happened last.
type failurePlace struct {
	jobs                     int64
	lastAt                   time.Time
	fingerprint, queue, kind string
}

func placeOf(g pgq.FailureGroup) failurePlace {
	return failurePlace{g.Jobs, g.LastAt, g.Fingerprint, g.Queue, g.Kind}
}

func (p failurePlace) compare(q failurePlace) int {
	return cmp.Or(-cmp.Compare(p.jobs, q.jobs), -p.lastAt.Compare(q.lastAt), cmp.Compare(p.fingerprint, q.fingerprint),
		cmp.Compare(p.queue, q.queue), cmp.Compare(p.kind, q.kind))
}

// String returns the cursor: JSON, since names may hold anything.
func (p failurePlace) String() string {
	text, _ := json.Marshal([]any{p.jobs, p.lastAt.UTC(), p.fingerprint, p.queue, p.kind}) // numbers and texts
	return string(text)
}

// failureCursor reads --after of failures.
func failureCursor(text string) (p failurePlace, err error) {
	if text == "" {
		return p, nil
	}
	var parts []json.RawMessage
	err = json.Unmarshal([]byte(text), &parts)
	if err == nil && len(parts) == 5 {
		for i, into := range []any{&p.jobs, &p.lastAt, &p.fingerprint, &p.queue, &p.kind} {
			err = errors.Join(err, json.Unmarshal(parts[i], into))
		}
	}
	if err != nil || len(parts) != 5 {
		return p, usagef("--after must be what stands below a page of failures, not %q", text)
	}
	return p, nil
}
