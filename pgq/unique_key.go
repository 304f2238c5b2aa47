package pgq

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxGivenKey  = 450 // characters of Unique.Key
	maxUniqueKey = 500 // characters of a key; longer ones are hashed
	maxUniqueBy  = 32
)

// uniqueKey is unique_key in SQL, for a bulk that need not ask for each: a test holds both to each other. ok is false where the database has to
// tell: where a rule is broken, for times, and for args that jsonb does not print as they were given (see appendJSONB).
func (j *newJob) uniqueKey() (key string, ok bool) {
	u := j.unique
	if u.Period != 0 || u.For != 0 || !slices.Contains([]UniqueWhile{"", Unfinished, Queued}, u.While) ||
		!slices.Contains([]OnConflict{"", ReturnExisting, ConflictError}, u.OnConflict) {
		return "", false
	}
	if u.By == nil {
		n := utf8.RuneCountInString(u.Key)
		return u.Key, 1 <= n && n <= maxGivenKey
	}
	if u.Key != "" || len(u.By) > maxUniqueBy || j.args.codec != nil {
		return "", false
	}
	names := u.By
	if len(names) > 1 {
		names = slices.Compact(slices.Sorted(slices.Values(names)))
	}
	text := appendJSONString(append(make([]byte, 0, 64), "kind="...), j.kind)
	for _, name := range names {
		text = append(append(append(text, ' '), name...), '=')
		if name == "queue" {
			text = appendJSONString(text, j.queue)
			continue
		}
		value, ok := member(j.args.json, name)
		if ok {
			text, _, ok = appendJSONB(text, value)
		}
		if !ok {
			return "", false
		}
	}
	if utf8.RuneCount(text) > maxUniqueKey {
		sum := sha256.Sum256(text)
		return "sha256:" + hex.EncodeToString(sum[:]), true
	}
	return string(text), true
}

var jsonNull = []byte("null")

// member returns what "args" or "args.NAME.NAME" names, null where there is nothing. ok is false for other names and where it leads into an array.
func member(args []byte, name string) (value []byte, ok bool) {
	parts := strings.Split(name, ".")
	if parts[0] != "args" || slices.Contains(parts, "") {
		return nil, false
	}
	value = args
	for _, part := range parts[1:] {
		if len(value) == 0 || value[0] == '[' {
			return nil, false
		}
		var members map[string]json.RawMessage // of equal names it takes the last one, as jsonb does
		if value[0] != '{' {
			return jsonNull, true
		}
		if err := json.Unmarshal(value, &members); err != nil {
			return nil, false
		}
		if value, ok = members[part]; !ok {
			return jsonNull, true
		}
	}
	return value, true
}

// appendJSONB appends a JSON value, valid and without white space, as jsonb prints it: names by their length and then their bytes, of equal ones the
// last, a space behind colons and commas. It returns what follows the value. ok is false for numbers with an exponent or a minus before a zero,
// and for texts that are no Unicode: how these are printed is left to the database.
func appendJSONB(to, from []byte) (text, rest []byte, ok bool) {
	if len(from) == 0 {
		return to, from, false
	}
	switch c := from[0]; {
	case c == '{':
		return appendObject(to, from[1:])
	case c == '[':
		return appendArray(to, from[1:])
	case c == '"':
		value, rest, ok := cutString(from)
		return appendJSONString(to, value), rest, ok
	case c == '-' || '0' <= c && c <= '9':
		n := 1
		for n < len(from) && strings.IndexByte("0123456789.eE+-", from[n]) >= 0 {
			n++
		}
		return append(to, from[:n]...), from[n:], n <= 100 && !bytes.ContainsAny(from[:n], "eE") && !bytes.HasPrefix(from, []byte("-0"))
	}
	for _, word := range []string{"null", "true", "false"} {
		if rest, ok := bytes.CutPrefix(from, []byte(word)); ok {
			return append(to, word...), rest, true
		}
	}
	return to, from, false
}

func appendArray(to, from []byte) (text, rest []byte, ok bool) {
	to = append(to, '[')
	for comma := false; len(from) > 0 && from[0] != ']'; comma = true {
		if comma {
			to, from = append(to, ", "...), from[1:]
		}
		if to, from, ok = appendJSONB(to, from); !ok || len(from) == 0 || from[0] != ',' && from[0] != ']' {
			return to, from, false
		}
	}
	if len(from) == 0 {
		return to, from, false
	}
	return append(to, ']'), from[1:], true
}

// printed is a member of an object as it is printed.
type printed struct {
	name string
	text []byte
}

func appendObject(to, from []byte) (text, rest []byte, ok bool) {
	var some [8]printed
	members, start := some[:0], len(to)
	for comma := false; len(from) > 0 && from[0] != '}'; comma = true {
		if comma {
			from = from[1:]
		}
		name, value, ok := cutString(from)
		if !ok || len(value) == 0 || value[0] != ':' {
			return to, from, false
		}
		begin := len(to)
		to = append(appendJSONString(to, name), ": "...)
		if to, from, ok = appendJSONB(to, value[1:]); !ok || len(from) == 0 || from[0] != ',' && from[0] != '}' {
			return to, from, false
		}
		members = append(members, printed{name, slices.Clone(to[begin:])})
	}
	if len(from) == 0 {
		return to, from, false
	}
	slices.SortStableFunc(members, func(a, b printed) int {
		if len(a.name) != len(b.name) {
			return len(a.name) - len(b.name)
		}
		return strings.Compare(a.name, b.name)
	})
	to = append(to[:start], '{')
	for i, m := range members {
		if i+1 < len(members) && members[i+1].name == m.name {
			continue
		}
		if len(to) > start+1 {
			to = append(to, ", "...)
		}
		to = append(to, m.text...)
	}
	return append(to, '}'), from[1:], true
}

// cutString takes a JSON string off the front. ok is false where there is none, and for what is no Unicode.
func cutString(from []byte) (value string, rest []byte, ok bool) {
	if len(from) == 0 || from[0] != '"' {
		return "", from, false
	}
	escaped := false
	for i := 1; i < len(from); i++ {
		switch from[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			if !escaped {
				return string(from[1:i]), from[i+1:], true
			}
			err := json.Unmarshal(from[:i+1], &value)
			return value, from[i+1:], err == nil && !strings.ContainsRune(value, utf8.RuneError)
		}
	}
	return "", from, false
}

// appendJSONString appends a text as PostgreSQL prints it in JSON.
func appendJSONString(to []byte, text string) []byte {
	const hexDigits = "0123456789abcdef"
	to = append(to, '"')
	for i := range len(text) {
		switch c := text[i]; c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\b':
			to = append(to, `\b`...)
		case '\f':
			to = append(to, `\f`...)
		case '\n':
			to = append(to, `\n`...)
		case '\r':
			to = append(to, `\r`...)
		case '\t':
			to = append(to, `\t`...)
		default:
			if c < ' ' {
				to = append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			} else {
				to = append(to, c)
			}
		}
	}
	return append(to, '"')
}
