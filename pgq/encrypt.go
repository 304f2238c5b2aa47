package pgq

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnknownKey means that a payload was encrypted with a key that is not in the key ring.
	ErrUnknownKey = errors.New("pgq: key is not in the key ring")
	// ErrNotAuthentic means that a payload is not what was encrypted: it was changed or cut, is that of another kind of job or of another codec, or
	// another key has the id that it names.
	ErrNotAuthentic = errors.New("pgq: payload is not authentic")
)

const (
	encryptedPrefix  = "aes256gcm+"
	encryptedVersion = 1
	// nonceAndTag is what AES-GCM adds to a text: 12 bytes before it, 16 after it.
	nonceAndTag = 12 + 16
)

// Encrypt returns a codec that encrypts what another one writes by AES-256-GCM, with the first key of the ring; its name is "aes256gcm+" and that of the
// other one, which is [JSON] if it is nil. Without keys whatever it is to write or read is an error. Nonces are random: change the key before it has written 2³² payloads.
//
// A payload is: 1 (the version), the length of the key's id (a byte), that id, the length of the kind (two bytes, the higher one first), the kind,
// the nonce (12 bytes), what was encrypted, and the tag (16 bytes). The codec's name and all before the nonce are authenticated.
//
// Errors of Decode: [ErrUnknownKey], [ErrNotAuthentic], and those of the other codec. They never tell what is in a payload.
func Encrypt(codec Codec, keys *KeyRing) BoundCodec {
	if codec == nil {
		codec = JSON
	}
	return &encryption{inner: codec, keys: keys, name: encryptedPrefix + codec.Name()}
}

type encryption struct {
	inner Codec
	keys  *KeyRing
	name  string
}

func (e *encryption) Name() string                       { return e.name }
func (e *encryption) Encode(value any) ([]byte, error)   { return e.EncodeFor("", value) }
func (e *encryption) Decode(data []byte, into any) error { return e.DecodeFor("", data, into) }

func (e *encryption) EncodeFor(kind string, value any) ([]byte, error) {
	if e.keys == nil {
		return nil, errors.New("it has no key ring")
	}
	if len(kind) > 1<<16-1 {
		return nil, errors.New("the kind is too long")
	}
	text, err := encodeFor(e.inner, kind, value)
	if err != nil {
		return nil, err
	}
	id := e.keys.ids[0]
	sealed := make([]byte, 0, 4+len(id)+len(kind)+nonceAndTag+len(text))
	sealed = append(append(sealed, encryptedVersion, byte(len(id))), id...)
	sealed = append(binary.BigEndian.AppendUint16(sealed, uint16(len(kind))), kind...)
	return e.keys.boxes[id].Seal(sealed, nil, text, e.bound(sealed)), nil
}

func (e *encryption) DecodeFor(kind string, data []byte, into any) error {
	if e.keys == nil {
		return errors.New("codec " + e.name + " has no key ring")
	}
	s, err := readSealed(data)
	if err != nil {
		return err
	}
	box := e.keys.boxes[s.keyID]
	if box == nil {
		return fmt.Errorf("%w: %q; it has %s", ErrUnknownKey, Printable(s.keyID), strings.Join(e.keys.ids, ", "))
	}
	text, err := e.open(box, s)
	if err != nil {
		return err
	}
	if kind != "" && kind != s.kind {
		return fmt.Errorf("%w: it was written for kind %q, not %q", ErrNotAuthentic, s.kind, kind)
	}
	return decodeFor(e.inner, kind, text, into)
}

func (e *encryption) open(box cipher.AEAD, s sealed) ([]byte, error) {
	text, err := box.Open(nil, nil, s.box, e.bound(s.header))
	if err != nil {
		return nil, fmt.Errorf("%w: it was changed, or another key has the id %q", ErrNotAuthentic, s.keyID)
	}
	return text, nil
}

// bound returns what is authenticated besides the text.
func (e *encryption) bound(header []byte) []byte {
	data := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(e.name)+len(header)), uint16(len(e.name)))
	return append(append(data, e.name...), header...)
}

// sealed is a payload in its parts.
type sealed struct {
	header      []byte
	keyID, kind string
	box         []byte // nonce, text and tag
}

func readSealed(data []byte) (s sealed, err error) {
	short := func() (sealed, error) {
		return s, fmt.Errorf("%w: its %d bytes are too few", ErrNotAuthentic, len(data))
	}
	if len(data) > 0 && data[0] != encryptedVersion {
		return s, fmt.Errorf("%w: its version is %d, not %d", ErrNotAuthentic, data[0], encryptedVersion)
	}
	if len(data) < 2 || len(data) < 4+int(data[1]) {
		return short()
	}
	kindAt := 4 + int(data[1])
	boxAt := kindAt + int(binary.BigEndian.Uint16(data[kindAt-2:]))
	if len(data) < boxAt+nonceAndTag {
		return short()
	}
	return sealed{data[:boxAt], string(data[2 : kindAt-2]), string(data[kindAt:boxAt]), data[boxAt:]}, nil
}

// KeyIDOf returns the id of the key that encrypted a payload, "" if its codec is none of [Encrypt]. ErrNotAuthentic: it cannot
// be told. That a payload names a key does not prove that it was encrypted with it.
func KeyIDOf(codec string, payload []byte) (string, error) {
	if !strings.HasPrefix(codec, encryptedPrefix) {
		return "", nil
	}
	s, err := readSealed(payload)
	return s.keyID, err
}
