package pgq

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

// The codecs that every client can read.
var (
	// JSON is what counts where no codec is given: args and results are stored as jsonb, which SQL can read. Given as a codec it
	// wins over that of the client.
	JSON Codec = jsonCodec{}
	// Raw stores bytes as they are: values whose type is []byte or string, or derived from them. A handler for args that another
	// type describes reads them by DecodeArgs into a []byte.
	Raw Codec = rawCodec{}
	// Binary stores values that encode themselves: encoding.BinaryMarshaler and, to read them, encoding.BinaryUnmarshaler.
	Binary Codec = NewCodec("binary",
		func(value encoding.BinaryMarshaler) ([]byte, error) { return value.MarshalBinary() },
		func(data []byte, into encoding.BinaryUnmarshaler) error { return into.UnmarshalBinary(data) })
)

// NewCodec returns a codec of two functions. W is what can be written, R what can be read into; both are interfaces as a rule. For
// protobuf:
//
//	var Protobuf = pgq.NewCodec("protobuf", proto.Marshal, proto.Unmarshal)
//
// A value that is no W may be one by a pointer to it. Reading makes the message that a nil pointer is to point to.
func NewCodec[W, R any](name string, encode func(value W) ([]byte, error), decode func(data []byte, into R) error) Codec {
	return functions[W, R]{name, encode, decode}
}

type functions[W, R any] struct {
	name   string
	encode func(W) ([]byte, error)
	decode func([]byte, R) error
}

func (f functions[W, R]) Name() string { return f.name }

func (f functions[W, R]) Encode(value any) ([]byte, error) {
	if w, ok := value.(W); ok {
		return f.encode(w)
	}
	if value != nil {
		pointer := reflect.New(reflect.TypeOf(value))
		pointer.Elem().Set(reflect.ValueOf(value))
		if w, ok := pointer.Interface().(W); ok {
			return f.encode(w)
		}
	}
	return nil, fmt.Errorf("must be a %s, %T is none", reflect.TypeFor[W](), value)
}

func (f functions[W, R]) Decode(data []byte, into any) error {
	if r, ok := into.(R); ok {
		return f.decode(data, r)
	}
	if to := reflect.ValueOf(into); to.Kind() == reflect.Pointer && !to.IsNil() && to.Elem().Kind() == reflect.Pointer {
		message := reflect.New(to.Elem().Type().Elem())
		if r, ok := message.Interface().(R); ok {
			err := f.decode(data, r)
			if err == nil {
				to.Elem().Set(message)
			}
			return err
		}
	}
	return fmt.Errorf("must be read into a %s, %T is none", reflect.TypeFor[R](), into)
}

type jsonCodec struct{}

func (jsonCodec) Name() string                       { return "json" }
func (jsonCodec) Encode(value any) ([]byte, error)   { return json.Marshal(value) }
func (jsonCodec) Decode(data []byte, into any) error { return json.Unmarshal(data, into) }

type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Encode(value any) ([]byte, error) {
	v := reflect.ValueOf(value)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case isBytes(v):
		return append([]byte{}, v.Bytes()...), nil
	case v.Kind() == reflect.String:
		return []byte(v.String()), nil
	}
	return nil, fmt.Errorf("must be bytes or a string, %T is none", value)
}

func (rawCodec) Decode(data []byte, into any) error {
	v := reflect.ValueOf(into)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
		if v.Kind() == reflect.Pointer && v.IsNil() && v.CanSet() {
			v.Set(reflect.New(v.Type().Elem()))
		}
	}
	copied := append([]byte{}, data...)
	switch {
	case !v.CanSet():
	case isBytes(v):
		v.SetBytes(copied)
		return nil
	case v.Kind() == reflect.String:
		v.SetString(string(copied))
		return nil
	case v.Kind() == reflect.Interface && v.NumMethod() == 0:
		v.Set(reflect.ValueOf(copied))
		return nil
	}
	return fmt.Errorf("must be read into bytes or a string, %T is none", into)
}

func isBytes(v reflect.Value) bool {
	return v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8
}
