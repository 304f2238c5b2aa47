// Package rawjson takes JSON apart, and puts it together, however deep its values are nested. encoding/json refuses what is deeper than
// 10,000 levels, which PostgreSQL stores: it does the work where it can, and what is deeper is not looked into.
package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
)

// MaxDepth is how deep JSON may be nested that encoding/json, and other programs, read with all that is put around it.
const MaxDepth = 9000

// errBroken is the error of what is not taken apart.
var errBroken = errors.New("it is no JSON of the kind that is expected")

// IsDeep tells whether JSON is nested deeper than MaxDepth.
func IsDeep(text []byte) bool {
	if len(text) <= 2*MaxDepth {
		return false
	}
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}

// TooDeep tells whether encoding/json refused JSON for its depth.
func TooDeep(err error) bool {
	return err != nil && strings.Contains(err.Error(), "exceeded max depth")
}

// Valid is json.Valid, but that what is too deep for it counts as valid: PostgreSQL decides.
func Valid(text []byte) bool {
	if json.Valid(text) {
		return true
	}
	var any json.RawMessage
	return TooDeep(json.Unmarshal(text, &any))
}

// Members returns those of an object; nil for null.
func Members(text []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	err := json.Unmarshal(text, &members)
	if !TooDeep(err) {
		return members, err
	}
	members = map[string]json.RawMessage{}
	err = parts(text, '{', '}', func(part []byte) error {
		end := bytes.IndexByte(part, ':')
		for end > 0 && !json.Valid(part[:end]) { // a colon in the name
			next := bytes.IndexByte(part[end+1:], ':')
			if next < 0 {
				return errBroken
			}
			end += 1 + next
		}
		var name string
		if end < 0 || json.Unmarshal(part[:end], &name) != nil {
			return errBroken
		}
		members[name] = bytes.TrimSpace(part[end+1:])
		return nil
	})
	return members, err
}

// Elements returns those of an array; nil for null.
func Elements(text []byte) ([]json.RawMessage, error) {
	var elements []json.RawMessage
	err := json.Unmarshal(text, &elements)
	if !TooDeep(err) {
		return elements, err
	}
	elements = nil
	err = parts(text, '[', ']', func(part []byte) error {
		elements = append(elements, bytes.TrimSpace(part))
		return nil
	})
	return elements, err
}

// parts calls do with what stands between the commas of an object or array.
func parts(text []byte, opening, closing byte, do func(part []byte) error) error {
	text = bytes.TrimSpace(text)
	if len(text) < 2 || text[0] != opening || text[len(text)-1] != closing {
		return errBroken
	}
	text = text[1 : len(text)-1]
	depth, inString, start := 0, false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0:
			if err := do(text[start:i]); err != nil {
				return err
			}
			start = i + 1
		}
	}
	if inString || depth != 0 {
		return errBroken
	}
	if start == 0 && len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	return do(text[start:])
}

// Object returns an object with members in the order of their names.
func Object(members map[string]json.RawMessage) (json.RawMessage, error) {
	text, err := json.Marshal(members)
	if !TooDeep(err) {
		return text, err
	}
	text = []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(members)) {
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(append(text, quoted...), ':'), value(members[name])...)
	}
	return append(text, '}'), nil
}

// Array returns an array.
func Array(elements []json.RawMessage) (json.RawMessage, error) {
	text, err := json.Marshal(elements)
	if !TooDeep(err) {
		return text, err
	}
	text = []byte{'['}
	for i, element := range elements {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, value(element)...)
	}
	return append(text, ']'), nil
}

// value returns what stands for a value.
func value(text json.RawMessage) json.RawMessage {
	if text == nil {
		return json.RawMessage("null")
	}
	return text
}
