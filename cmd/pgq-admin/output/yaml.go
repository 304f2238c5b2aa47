package output

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/goccy/go-yaml"
)

// toYAML returns JSON as YAML: members in their order, numbers as they were written, however large.
func toYAML(text []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	value, err := ordered(decoder)
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(value)
}

// number is a number that is written as it stands.
type number string

// MarshalYAML returns the number.
func (n number) MarshalYAML() ([]byte, error) { return []byte(n), nil }

// ordered reads a value; objects keep the order of their members.
func ordered(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Number:
		return number(t), nil
	case json.Delim:
		if t == '[' {
			list := []any{}
			for decoder.More() {
				item, err := ordered(decoder)
				if err != nil {
					return nil, err
				}
				list = append(list, item)
			}
			_, err := decoder.Token()
			return list, err
		}
		object := yaml.MapSlice{}
		for decoder.More() {
			key, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			value, err := ordered(decoder)
			if err != nil {
				return nil, err
			}
			object = append(object, yaml.MapItem{Key: fmt.Sprint(key), Value: value})
		}
		_, err := decoder.Token()
		return object, err
	}
	return token, nil
}
