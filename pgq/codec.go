package pgq

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Codec turns args and results into bytes and back, for what shall not be stored as JSON. [Raw] and [Binary] are ready to use,
// [NewCodec] makes one of two functions, protobuf's for example, and [Encrypt] encrypts what another one writes. The name is stored with the
// bytes; a client reads them if it knows a codec of that name: [Raw], [Binary] and those of its Config.
// Code never travels in a payload.
type Codec interface {
	// Name identifies the codec for ever; not empty.
	Name() string
	Encode(value any) ([]byte, error)
	Decode(data []byte, into any) error
}

// BoundCodec is a codec that binds what it writes to the kind of the job, so that it cannot be passed off as that of another kind.
// PGQ calls these methods in place of Encode and Decode.
type BoundCodec interface {
	Codec
	EncodeFor(kind string, value any) ([]byte, error)
	// DecodeFor refuses what was written for another kind; an empty one means that it is not known.
	DecodeFor(kind string, data []byte, into any) error
}

// withCodec is implemented by results, results of steps and cursors that say by which codec they are written.
type withCodec interface {
	Codec() Codec
}

// encoded is a value as it is stored: JSON in a jsonb column, or bytes with the name of their codec.
type encoded struct {
	json    json.RawMessage
	codec   *string
	payload []byte
}

// size is how many bytes it takes, JSON as text.
func (e encoded) size() int { return max(len(e.json), len(e.payload)) }

// encodeOutput turns a result, that of a step or a cursor into what is stored: by its own codec, or else the client's.
func (a *Attempt) encodeOutput(value any) (encoded, error) {
	var codec Codec
	if a.client != nil {
		codec = a.client.config.Codec
	}
	if own, ok := value.(withCodec); ok && own.Codec() != nil {
		codec = own.Codec()
	}
	return encode("result", a.Kind, codec, value)
}

// encode turns a value of a kind into what is stored. A nil codec means JSON. The field names it in errors.
func encode(field, kind string, codec Codec, value any) (encoded, error) {
	if codec == nil || codec == JSON {
		return encodeJSON(field, value)
	}
	name := codec.Name()
	data, err := encodeFor(codec, kind, value)
	if err != nil {
		return encoded{}, &ArgumentError{Field: field, Rule: fmt.Sprintf("must be encodable by codec %s: %v", name, err)}
	}
	if data == nil {
		data = []byte{}
	}
	return encoded{codec: &name, payload: data}, nil
}

func encodeFor(codec Codec, kind string, value any) ([]byte, error) {
	if bound, ok := codec.(BoundCodec); ok {
		return bound.EncodeFor(kind, value)
	}
	return codec.Encode(value)
}

// encodeJSON turns a value into JSON that jsonb can hold.
func encodeJSON(field string, value any) (encoded, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return encoded{}, &ArgumentError{Field: field, Rule: "must be encodable: " + err.Error()}
	}
	if bytes.Contains(data, []byte(`\u0000`)) && holdsNUL(data) {
		return encoded{}, &ArgumentError{Field: field, Rule: "must not contain NUL, which jsonb cannot hold"}
	}
	return encoded{json: data}, nil
}

// holdsNUL reports whether a backslash that escapes nothing else stands before a u0000.
func holdsNUL(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(data[i:], []byte(`\u0000`)) {
			return true
		}
		i++
	}
	return false
}

// decode reads what encode wrote; kind is empty where it is not known. No value at all leaves into as it is.
func (c *Client) decode(e encoded, kind string, into any) error {
	if e.codec == nil {
		if e.json == nil {
			return nil
		}
		return json.Unmarshal(e.json, into)
	}
	codec, ok := c.codecs[*e.codec]
	if !ok {
		return fmt.Errorf("%w: %q", ErrUnknownCodec, *e.codec)
	}
	return decodeFor(codec, kind, e.payload, into)
}

func decodeFor(codec Codec, kind string, data []byte, into any) error {
	if bound, ok := codec.(BoundCodec); ok {
		return bound.DecodeFor(kind, data, into)
	}
	return codec.Decode(data, into)
}
