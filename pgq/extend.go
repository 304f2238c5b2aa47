package pgq

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// What follows is for packages that are built on this one, such as dagsql. Applications do not need it.

// From returns the statement that reads from a function or view of the schema: "select COLUMNS from schema.REST".
func (c *Client) From(columns, rest string) string { return c.from(columns, rest) }

// Table returns the name of a table or view of the schema, with the schema.
func (c *Client) Table(name string) string { return c.schema + "." + name }

// WrapError turns what the database says into the errors of this package. verb says what was being done.
func WrapError(verb string, err error) error { return wrap(verb, err) }

// DB returns what the worker claimed the attempt on: its pool.
func (a *Attempt) DB() DB { return a.db }

// Client returns the client that claimed the attempt; it knows the schema and the codecs.
func (a *Attempt) Client() *Client { return a.client }

// EncodedArgs returns the args as they are stored.
func (a *Attempt) EncodedArgs() Encoded {
	return Encoded{JSON: a.args.json, Codec: a.args.codec, Payload: a.args.payload}
}

// Encoded is a value as it is stored: JSON, or bytes with the name of their codec; neither is no value.
type Encoded struct {
	JSON    json.RawMessage
	Codec   *string
	Payload []byte
}

// Decode reads a stored value into another one. No value at all leaves that as it is.
func (c *Client) Decode(value Encoded, into any) error {
	return c.decode(encoded{json: value.JSON, codec: value.Codec, payload: value.Payload}, "", into)
}

// EncodeJSON returns a value as JSON that jsonb can hold. *ArgumentError, which names the field: there is none.
func EncodeJSON(field string, value any) (json.RawMessage, error) {
	e, err := encodeJSON(field, value)
	return e.json, err
}

// DefaultCodec returns the codec of the client's Config, nil for JSON.
func (c *Client) DefaultCodec() Codec { return c.config.Codec }

// JobOptions returns the options that count for a job: what several leave open, the next ones say, and in the end
// those of its kind.
func JobOptions(args Args, options ...Options) Options {
	var o Options
	for _, next := range options {
		o = o.or(next)
	}
	if kind, ok := args.(withOptions); ok {
		o = o.or(kind.Options())
	}
	return o
}

// AppendJob checks a job as Enqueue does and appends its members in the JSON form of enqueue_many, without braces. What
// is not given, the queue and the priority too, is left out; without a codec in its options the args are JSON. Its errors are *ArgumentError.
func AppendJob(to []byte, args Args, o Options) ([]byte, error) {
	o = JobOptions(args, o)
	j, err := prepare(args, o, o.Codec) // its callbacks, too
	if err != nil {
		return to, err
	}
	to = AppendText(append(to, `"kind":`...), j.kind)
	if o.Queue != "" {
		to = AppendText(append(to, `,"queue":`...), j.queue)
	}
	if o.Priority != 0 {
		to = strconv.AppendInt(append(to, `,"priority":`...), int64(j.priority), 10)
	}
	if j.maxAttempts != nil {
		to = strconv.AppendInt(append(to, `,"max_attempts":`...), int64(*j.maxAttempts), 10)
	}
	for _, duration := range []struct {
		name  string
		value *time.Duration
	}{{"delay", j.delay}, {"timeout", j.timeout}, {"ttl", j.ttl}, {"result_ttl", j.resultTTL}} {
		if duration.value != nil {
			to = append(append(append(to, `,"`...), duration.name...), `":`...)
			to = AppendInterval(to, *duration.value)
		}
	}
	if j.runAt != nil {
		to = AppendText(append(to, `,"run_at":`...), j.runAt.Format(time.RFC3339Nano))
	}
	if j.backoff != nil {
		to = append(append(to, `,"backoff":`...), j.backoff...)
	}
	if j.tags != nil {
		to = AppendTexts(append(to, `,"tags":`...), j.tags)
	}
	if j.metadata != nil {
		to = append(append(to, `,"metadata":`...), j.metadata...)
	}
	if j.group != nil {
		to = AppendText(append(to, `,"group":`...), *j.group)
	}
	if j.sequence != nil {
		to = AppendText(append(to, `,"sequence":`...), *j.sequence)
	}
	if j.onFailure != nil {
		to = AppendText(append(to, `,"on_failure":`...), *j.onFailure)
	}
	if j.unique != nil {
		unique, err := json.Marshal(j.unique)
		if err != nil {
			return to, err
		}
		to = append(append(to, `,"unique":`...), unique...)
	}
	if j.callbacks != nil {
		to = append(append(to, `,"callbacks":`...), j.callbacks...)
	}
	return appendArgs(to, j.args), nil
}

func appendArgs(to []byte, args encoded) []byte {
	if args.codec == nil {
		return append(append(to, `,"args":`...), args.json...)
	}
	to = AppendText(append(to, `,"codec":`...), *args.codec)
	to = append(to, `,"payload":"`...)
	return append(base64.StdEncoding.AppendEncode(to, args.payload), '"')
}

// AppendInterval appends a duration as a JSON string that PostgreSQL reads as an interval.
func AppendInterval(to []byte, d time.Duration) []byte {
	return append(strconv.AppendInt(append(to, '"'), d.Microseconds(), 10), ` microseconds"`...)
}

// AppendTexts appends strings as a JSON array.
func AppendTexts(to []byte, texts []string) []byte {
	to = append(to, '[')
	for i, text := range texts {
		if i > 0 {
			to = append(to, ',')
		}
		to = AppendText(to, text)
	}
	return append(to, ']')
}

// AppendText appends a string as JSON.
func AppendText(to []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '"' || s[i] == '\\' || s[i] >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s) // a string can always be encoded
			return append(to, quoted...)
		}
	}
	return append(append(append(to, '"'), s...), '"')
}
