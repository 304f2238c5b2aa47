package pgq

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Codec turns args and results into bytes and back, for what shall not be stored as JSON: protobuf, or
// anything encrypted. The name is stored with the bytes; a client reads them if its Config.Codecs has it.
// Code never travels in a payload.
type Codec interface {
	// Name identifies the codec for ever; not empty.
	Name() string
	Encode(value any) ([]byte, error)
	Decode(data []byte, into any) error
}

// encoded is a value as it is stored: JSON in a jsonb column, or bytes with the name of their codec.
type encoded struct {
	json    json.RawMessage
	codec   *string
	payload []byte
}

// size is how many bytes it takes, JSON as text.
func (e encoded) size() int { return max(len(e.json), len(e.payload)) }

// encode turns a value into what is stored. A nil codec means JSON. The field names it in errors.
func encode(field string, codec Codec, value any) (encoded, error) {
	if codec == nil {
		data, err := json.Marshal(value)
		if err != nil {
			return encoded{}, &ArgumentError{Field: field, Rule: "must be encodable: " + err.Error()}
		}
		if bytes.Contains(data, []byte(`\u0000`)) && holdsNUL(data) {
			return encoded{}, &ArgumentError{Field: field, Rule: "must not contain NUL, which jsonb cannot hold"}
		}
		return encoded{json: data}, nil
	}
	name := codec.Name()
	data, err := codec.Encode(value)
	if err != nil {
		return encoded{}, &ArgumentError{Field: field, Rule: fmt.Sprintf("must be encodable by codec %s: %v", name, err)}
	}
	if data == nil {
		data = []byte{}
	}
	return encoded{codec: &name, payload: data}, nil
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

// decode reads what encode wrote. No value at all leaves into as it is.
func (c *Client) decode(e encoded, into any) error {
	if e.codec == nil {
		if e.json == nil {
			return nil
		}
		return json.Unmarshal(e.json, into)
	}
	codec, ok := c.codecs[*e.codec]
	if !ok {
		return fmt.Errorf("no codec %q is configured", *e.codec)
	}
	return codec.Decode(e.payload, into)
}
