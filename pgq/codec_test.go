package pgq_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pgq-go/queue/pgq"
)

// point encodes itself, as messages of protobuf and the like do.
type point struct{ X, Y byte }

func (point) Kind() string                         { return "point" }
func (p *point) MarshalBinary() ([]byte, error)    { return []byte{p.X, p.Y}, nil }
func (p *point) UnmarshalBinary(data []byte) error { return p.read(data) }
func (p *point) read(data []byte) error {
	if len(data) != 2 {
		return errors.New("a point has two bytes")
	}
	p.X, p.Y = data[0], data[1]
	return nil
}

// blob and words are what Raw writes.
type (
	blob  []byte
	words string
)

func (blob) Kind() string  { return "blob" }
func (words) Kind() string { return "words" }

// testKey returns a key that is made of its id.
func testKey(t interface{ Fatal(...any) }, id string) pgq.Key {
	k, err := pgq.NewKey(id, []byte(strings.Repeat(id+"|", 32))[:32])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ringOf returns a key ring of keys with these ids.
func ringOf(t interface{ Fatal(...any) }, ids ...string) *pgq.KeyRing {
	keys := make([]pgq.Key, len(ids))
	for i, id := range ids {
		keys[i] = testKey(t, id)
	}
	ring, err := pgq.NewKeyRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestWhatACodecWroteItReads(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "new", "old")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		data := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")
		kind := rapid.StringN(0, 128, 512).Draw(t, "kind")
		p := point{rapid.Byte().Draw(t, "x"), rapid.Byte().Draw(t, "y")}
		for _, c := range []struct {
			codec       pgq.Codec
			value, into any
		}{
			{pgq.JSON, map[string]any{"data": fmt.Sprintf("%x", data)}, new(map[string]any)},
			{pgq.Raw, data, new([]byte)}, {pgq.Raw, blob(data), new(blob)}, {pgq.Raw, words(text), new(words)}, {pgq.Raw, &text, new(string)},
			{pgq.Binary, p, new(point)}, {pgq.Binary, &p, new(*point)},
		} {
			for _, codec := range []pgq.BoundCodec{pgq.Encrypt(c.codec, ring), pgq.Encrypt(pgq.Encrypt(c.codec, ring), ring)} {
				plain, err := c.codec.Encode(c.value)
				sealed, sealErr := codec.EncodeFor(kind, c.value)
				if err != nil || sealErr != nil {
					t.Fatal(err, sealErr)
				}
				if len(plain) > 3 && bytes.Contains(sealed, plain) {
					t.Fatalf("%s shows %q in %q", codec.Name(), plain, sealed)
				}
				for _, got := range []func(any) error{
					func(into any) error { return c.codec.Decode(plain, into) },
					func(into any) error { return codec.DecodeFor(kind, sealed, into) },
				} {
					into := reflect.New(reflect.TypeOf(c.into).Elem())
					if err := got(into.Interface()); err != nil {
						t.Fatalf("%s: %v", codec.Name(), err)
					}
					want, is := fmt.Sprintf("%v", reflect.Indirect(reflect.ValueOf(c.value))), fmt.Sprintf("%v", reflect.Indirect(into.Elem()))
					if want != is {
						t.Fatalf("%s: %q became %q", codec.Name(), want, is)
					}
				}
			}
		}
	})
}

func TestAPayloadOfWhichAnyByteIsAnotherIsRefused(t *testing.T) {
	t.Parallel()
	codec := pgq.Encrypt(pgq.JSON, ringOf(t, "k1", "k2", "q1"))
	sealed, err := codec.EncodeFor("charge", map[string]int{"cents": 4200})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, data []byte) {
		t.Helper()
		var into map[string]int
		err := codec.DecodeFor("charge", data, &into)
		if !errors.Is(err, pgq.ErrNotAuthentic) && !errors.Is(err, pgq.ErrUnknownKey) || into != nil {
			t.Errorf("%s: read %v, %v", what, into, err)
		}
	}
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			refused(fmt.Sprintf("byte %d, bit %d", i, bit), changed)
		}
		refused(fmt.Sprintf("cut after %d bytes", i), sealed[:i])
		refused(fmt.Sprintf("without byte %d", i), append(bytes.Clone(sealed[:i]), sealed[i+1:]...))
	}
	refused("with a byte more", append(bytes.Clone(sealed), 0))
	rapid.Check(t, func(t *rapid.T) {
		var into any
		if err := codec.Decode(rapid.SliceOf(rapid.Byte()).Draw(t, "data"), &into); err == nil {
			t.Fatal("noise was read")
		}
	})
}

func TestErrorsOfEncryptionSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "2027-01")
	codec := pgq.Encrypt(pgq.JSON, ring)
	sealed, err := codec.EncodeFor("charge", "secret text")
	if err != nil {
		t.Fatal(err)
	}
	other, err := pgq.NewKey("2027-01", bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	sameID, err := pgq.NewKeyRing(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		codec pgq.BoundCodec
		kind  string
		data  []byte
		is    error
		text  string
	}{
		{"another kind", codec, "refund", sealed, pgq.ErrNotAuthentic, `it was written for kind "charge", not "refund"`},
		{"no key", pgq.Encrypt(pgq.JSON, ringOf(t, "a", "b")), "charge", sealed, pgq.ErrUnknownKey, `"2027-01"; it has a, b`},
		{"another key of that id", pgq.Encrypt(pgq.JSON, sameID), "charge", sealed, pgq.ErrNotAuthentic, `another key has the id "2027-01"`},
		{"another codec", pgq.Encrypt(pgq.Raw, ring), "charge", sealed, pgq.ErrNotAuthentic, "it was changed"},
		{"nothing", codec, "charge", nil, pgq.ErrNotAuthentic, "its 0 bytes are too few"},
		{"too short", codec, "charge", sealed[:20], pgq.ErrNotAuthentic, "its 20 bytes are too few"},
		{"plain", codec, "charge", []byte(`"secret text"`), pgq.ErrNotAuthentic, "its version is 34, not 1"},
	} {
		var into string
		err := c.codec.DecodeFor(c.kind, c.data, &into)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "secret") || into != "" {
			t.Errorf("%s: read %q, %v; want %q", c.what, into, err, c.text)
		}
	}
	if err := pgq.Encrypt(pgq.JSON, nil).Decode(sealed, new(string)); err == nil || !strings.Contains(err.Error(), "has no key ring") {
		t.Error("without a ring:", err)
	}
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	var payloads [][]byte
	for _, ids := range [][]string{{"a"}, {"a", "b"}, {"b", "a"}, {"c", "b", "a"}} {
		codec := pgq.Encrypt(pgq.JSON, ringOf(t, ids...))
		for i := range 2 { // and never the same twice
			sealed, err := codec.EncodeFor("k", len(payloads))
			if err != nil || i == 1 && bytes.Equal(sealed, payloads[len(payloads)-1]) {
				t.Fatalf("ring %v: %x, %v", ids, sealed, err)
			}
			if id, err := pgq.KeyIDOf(codec.Name(), sealed); id != ids[0] || err != nil {
				t.Errorf("ring %v writes with key %q, %v", ids, id, err)
			}
			payloads = append(payloads, sealed)
		}
		for i, sealed := range payloads {
			var got int
			if err := codec.DecodeFor("k", sealed, &got); err != nil || got != i {
				t.Errorf("ring %v: payload %d is %d, %v", ids, i, got, err)
			}
		}
	}
	if id, err := pgq.KeyIDOf("json", []byte("x")); id != "" || err != nil {
		t.Errorf("what is not encrypted has key %q, %v", id, err)
	}
}

func TestKeysThatBreakARuleAreRefusedAndNoneIsPrinted(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte("Hidd3n!!"), 4)
	for _, c := range []struct {
		id     string
		secret []byte
		text   string
	}{
		{"", secret, "key id must have 1 to 64 letters"}, {"a b", secret, "key id must have"}, {"a=b", secret, "key id must have"},
		{strings.Repeat("k", 65), secret, "key id must have"}, {"k", nil, "key k must have 32 bytes, it has 0"},
		{"k", secret[1:], "key k must have 32 bytes, it has 31"}, {"k", make([]byte, 32), "key k must be random"},
	} {
		if _, err := pgq.NewKey(c.id, c.secret); err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "Hidd3n") {
			t.Errorf("key %q of %d bytes: %v", c.id, len(c.secret), err)
		}
	}
	key, err := pgq.NewKey("k", secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]pgq.Key{nil, {key, key}, {{}}} {
		if _, err := pgq.NewKeyRing(keys...); err == nil || strings.Contains(err.Error(), "Hidd3n") {
			t.Errorf("ring %v: %v", keys, err)
		}
	}
	ring, err := pgq.NewKeyRing(key)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", key, "ring", ring, "codec", pgq.Encrypt(pgq.JSON, ring))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		fmt.Fprintf(&log, verb+verb+verb, key, ring, struct {
			K pgq.Key
			R *pgq.KeyRing
		}{key, ring})
	}
	text, _ := json.Marshal(struct{ K, R any }{key, ring})
	for _, form := range []string{"Hidd3n", "4869646433", "72 105 100", "SGlkZDNu"} {
		if strings.Contains(log.String()+string(text), form) {
			t.Errorf("the key is printed: %s%s", log.String(), text)
		}
	}
	if !strings.Contains(log.String(), "key k") {
		t.Errorf("the id is not printed: %s", log.String())
	}
}

func TestCodecsRefuseWhatTheyCannotWriteOrRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		codec pgq.Codec
		value any
		text  string
	}{
		{pgq.Raw, 7, "must be bytes or a string, int is none"}, {pgq.Raw, nil, "must be bytes or a string"}, {pgq.Raw, (*string)(nil), "must be bytes or a string"},
		{pgq.Raw, []int{1}, "must be bytes or a string"}, {pgq.Binary, 7, "must be a encoding.BinaryMarshaler, int is none"}, {pgq.Binary, nil, "<nil> is none"},
		{pgq.JSON, func() {}, "unsupported type"}, {pgq.Encrypt(pgq.Raw, ringOf(t, "k")), 7, "int is none"},
	} {
		if _, err := c.codec.Encode(c.value); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s writes %v: %v, want %q", c.codec.Name(), c.value, err, c.text)
		}
	}
	for _, c := range []struct {
		codec pgq.Codec
		into  any
		text  string
	}{
		{pgq.Raw, new(int), "must be read into bytes or a string, *int is none"}, {pgq.Raw, blob{}, "must be read into"}, {pgq.Raw, nil, "must be read into"},
		{pgq.Binary, new(int), "must be read into a encoding.BinaryUnmarshaler, *int is none"}, {pgq.Binary, nil, "must be read into"},
		{pgq.Binary, new(point), "a point has two bytes"}, {pgq.Binary, new(*point), "a point has two bytes"},
	} {
		if err := c.codec.Decode([]byte("abc"), c.into); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s reads into %T: %v, want %q", c.codec.Name(), c.into, err, c.text)
		}
	}
	var anything any
	if err := pgq.Raw.Decode([]byte("abc"), &anything); err != nil || string(anything.([]byte)) != "abc" {
		t.Errorf("Raw into any: %v, %v", anything, err)
	}
}
