package pgq

import (
	"encoding/json"
	"errors"
)

// Callback says, to the handler of a job that was enqueued as a callback ([Callbacks]), of which job it is. What that
// returned is read by [Result].
type Callback struct {
	// JobID and Kind are those of the other job.
	JobID int64  `json:"job_id"`
	Kind  string `json:"kind"`
	// Event is on_success, on_failure or on_retry.
	Event string `json:"event"`
	// State is where the other job was then: its terminal state, or Ready or Scheduled for a retry.
	State State `json:"state"`
	// Attempt is the attempt that ended, 0 if there was none.
	Attempt int `json:"attempt"`
	// Error is why it failed, its first 2,000 characters.
	Error string `json:"error"`
}

// Callback returns of which job this one is a callback; false if it is none.
func (a *Attempt) Callback() (Callback, bool) {
	var metadata struct {
		Callback *Callback `json:"callback"`
	}
	if json.Unmarshal(a.Metadata, &metadata) != nil || metadata.Callback == nil {
		return Callback{}, false
	}
	return *metadata.Callback, true
}

// Callbacks are jobs to be enqueued when something has become of another job, in the transaction in which that happens. Their handlers read
// [Attempt.Callback]. They have no callbacks, group, sequence, RunAt or uniqueness of their own.
type Callbacks struct {
	// OnSuccess is enqueued when the job has completed.
	OnSuccess *Item
	// OnFailure is enqueued when the job has failed for good, was cancelled or has expired.
	OnFailure *Item
	// OnRetry is enqueued each time that an attempt has failed and another one will follow.
	OnRetry *Item
}

// or returns the callbacks with what is not given taken from others.
func (c Callbacks) or(other Callbacks) Callbacks {
	return Callbacks{first(c.OnSuccess, other.OnSuccess), first(c.OnFailure, other.OnFailure), first(c.OnRetry, other.OnRetry)}
}

// prepare encodes and checks callbacks, by the fallback where nothing says which codec; nil for none. Its errors are *ArgumentError.
func (c Callbacks) prepare(fallback Codec) (json.RawMessage, error) {
	if c == (Callbacks{}) {
		return nil, nil
	}
	object := map[string]json.RawMessage{}
	for event, item := range map[string]*Item{"on_success": c.OnSuccess, "on_failure": c.OnFailure, "on_retry": c.OnRetry} {
		if item == nil {
			continue
		}
		job, err := item.callback(fallback)
		var bad *ArgumentError
		if errors.As(err, &bad) {
			return nil, &ArgumentError{Field: "callbacks." + event + "." + bad.Field, Rule: bad.Rule}
		} else if err != nil {
			return nil, err
		}
		object[event] = job
	}
	return json.Marshal(object)
}

// callback encodes and checks the item as a callback.
func (i Item) callback(fallback Codec) (json.RawMessage, error) {
	if i.Args == nil {
		return nil, errNilArgs
	}
	if JobOptions(i.Args, i.Options).Callbacks != (Callbacks{}) { // prepare would go on to those, perhaps for ever
		return nil, &ArgumentError{Field: "callbacks", Rule: "must not be given for a callback"}
	}
	j, err := prepare(i.Args, i.Options, fallback)
	if err != nil {
		return nil, err
	}
	return json.Marshal(j)
}
