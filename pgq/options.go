package pgq

import (
	"encoding/json"
	"time"
)

// Args are the arguments of a job: any value that says of which kind of job it is. A kind may give its
// jobs options of their own by a method Options() Options; those of a call win over them.
type Args interface {
	Kind() string
}

// withOptions is implemented by args whose kind has options of its own.
type withOptions interface {
	Options() Options
}

const defaultPriority = 5

// Priority is a job's priority. The zero value means the default, 5. Make others with [Prio].
type Priority int

// Prio returns the priority n: 0 is the soonest, 9 the latest.
func Prio(n int) Priority {
	if n < 0 {
		return Priority(n) // refused when it is used; never the zero value
	}
	return Priority(n + 1)
}

// Int returns the priority as a number, 0 to 9.
func (p Priority) Int() int {
	switch {
	case p == 0:
		return defaultPriority
	case p < 0:
		return int(p)
	}
	return int(p) - 1
}

// Options say how a job is to be run. The zero value is ready to use; what is not given, the queue decides.
type Options struct {
	// Queue is the queue; DefaultQueue by default. Queues need not be created.
	Queue string
	// Priority within the queue.
	Priority Priority
	// Delay keeps the job from running for this long, counted from the start of the transaction.
	Delay time.Duration
	// RunAt keeps the job from running before this time; not together with Delay.
	RunAt time.Time
	// MaxAttempts is how often the job is tried, the first time included; 25 by default, [Unlimited] for as often as it takes.
	MaxAttempts int
	// Timeout cancels the context of an attempt after this long; none by default.
	Timeout time.Duration
	// Backoff is how long to wait after failed attempts.
	Backoff Backoff
	// Tags and Metadata are for whoever looks at jobs; at most 64 tags.
	Tags     []string
	Metadata map[string]any
	// TTL expires the job unless it was started by then, counted from the start of the transaction.
	TTL time.Duration
	// ResultTTL is how long the job is kept once it is finished; else the queue's retention counts.
	ResultTTL time.Duration
	// Codec encodes the args; that of the client by default.
	Codec Codec
	// Group is what the job belongs to, a tenant for example: jobs of a group share its limits, and groups take turns in a queue. See [Limit].
	Group string
	// Unique bars the job if there is one like it already.
	Unique Unique
	// Sequence is a key: jobs with the same one run one after the other, in the order in which they were enqueued. Until one has ended,
	// retries and delays included, the next one waits. 1 to 500 characters.
	Sequence string
	// OnFailure is what becomes of the jobs behind it in its sequence if the job fails for good; StopSequence by default.
	OnFailure OnFailure
	// Callbacks are jobs to be enqueued when something has become of this one.
	Callbacks Callbacks
}

// or returns the options with what is not given taken from others.
func (o Options) or(other Options) Options {
	o.Queue = first(o.Queue, other.Queue)
	o.Priority = first(o.Priority, other.Priority)
	if o.Delay == 0 && o.RunAt.IsZero() {
		o.Delay, o.RunAt = other.Delay, other.RunAt
	}
	o.MaxAttempts = first(o.MaxAttempts, other.MaxAttempts)
	o.Timeout = first(o.Timeout, other.Timeout)
	if o.Backoff.isZero() {
		o.Backoff = other.Backoff
	}
	o.TTL = first(o.TTL, other.TTL)
	o.ResultTTL = first(o.ResultTTL, other.ResultTTL)
	if o.Tags == nil {
		o.Tags = other.Tags
	}
	if o.Metadata == nil {
		o.Metadata = other.Metadata
	}
	if o.Codec == nil {
		o.Codec = other.Codec
	}
	o.Group = first(o.Group, other.Group)
	if !o.Unique.given() {
		o.Unique = other.Unique
	}
	o.Sequence = first(o.Sequence, other.Sequence)
	o.OnFailure = first(o.OnFailure, other.OnFailure)
	o.Callbacks = o.Callbacks.or(other.Callbacks)
	return o
}

// first returns a unless it is the zero value.
func first[T comparable](a, b T) T {
	var zero T
	if a == zero {
		return b
	}
	return a
}

// newJob is a job as the database takes it: nil means not given.
type newJob struct {
	kind, queue string
	priority    int16
	delay       *time.Duration
	runAt       *time.Time
	maxAttempts *int32
	timeout     *time.Duration
	backoff     json.RawMessage
	tags        []string
	metadata    json.RawMessage
	ttl         *time.Duration
	resultTTL   *time.Duration
	args        encoded
	unique      *Unique
	group       *string
	sequence    *string
	onFailure   *string
	callbacks   json.RawMessage
}

var errNilArgs = &ArgumentError{Field: "args", Rule: "must not be nil"}

// prepare encodes and checks a job; by the fallback if neither the options nor the kind say which codec. Its errors are *ArgumentError.
func prepare(args Args, o Options, fallback Codec) (newJob, error) {
	if args == nil {
		return newJob{}, errNilArgs
	}
	if kind, ok := args.(withOptions); ok {
		o = o.or(kind.Options())
	}
	if o.Codec == nil {
		o.Codec = fallback
	}
	value, err := encode("args", args.Kind(), o.Codec, args)
	if err != nil {
		return newJob{}, err
	}
	j := newJob{
		kind: args.Kind(), queue: first(o.Queue, DefaultQueue), priority: int16(o.Priority.Int()),
		delay: given(o.Delay), maxAttempts: given(int32(o.MaxAttempts)), timeout: given(o.Timeout),
		tags: o.Tags, ttl: given(o.TTL), resultTTL: given(o.ResultTTL), args: value, group: given(o.Group),
		sequence: given(o.Sequence), onFailure: given(string(o.OnFailure)),
	}
	if !o.RunAt.IsZero() {
		at := o.RunAt // a pointer to o would have all of it allocated for each job
		j.runAt = &at
	}
	if !o.Backoff.isZero() {
		if rule := o.Backoff.problem(); rule != "" {
			return newJob{}, &ArgumentError{Field: "backoff", Rule: rule}
		}
		j.backoff, _ = json.Marshal(o.Backoff)
	}
	if o.Unique.given() {
		unique := o.Unique
		j.unique = &unique
		if err := j.unique.check(); err != nil {
			return newJob{}, err
		}
	}
	if j.callbacks, err = o.Callbacks.prepare(fallback); err != nil {
		return newJob{}, err
	}
	if o.Metadata != nil {
		metadata, err := encodeJSON("metadata", o.Metadata)
		if err != nil {
			return newJob{}, err
		}
		j.metadata = metadata.json
	}
	return j, j.check(o)
}

// given returns nil for the zero value.
func given[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	p := new(T) // &v would be allocated for zero values, too
	*p = v
	return p
}
