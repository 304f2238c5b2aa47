package pgq

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"slices"
	"strings"
)

const (
	keySize  = 32
	maxKeyID = 64
)

// Key is a key for [Encrypt] with the id by which payloads name it. It is never printed: formatting it gives the id alone.
type Key struct {
	id     string
	secret []byte
}

// NewKey returns a key of 32 random bytes; keep them secret and never use their id for others. *ArgumentError: the id has not 1 to 64
// letters, digits, ".", "_" and "-", or the secret not 32 bytes.
func NewKey(id string, secret []byte) (Key, error) {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	switch {
	case len(id) < 1 || len(id) > maxKeyID || strings.Trim(id, allowed) != "":
		return Key{}, &ArgumentError{Field: "key id", Rule: fmt.Sprintf("must have 1 to %d letters, digits, . _ and -, not %q", maxKeyID, Printable(id))}
	case len(secret) != keySize:
		return Key{}, &ArgumentError{Field: "key " + id, Rule: fmt.Sprintf("must have %d bytes, it has %d", keySize, len(secret))}
	case slices.Max(secret) == 0:
		return Key{}, &ArgumentError{Field: "key " + id, Rule: "must be random, not all zeros"}
	}
	return Key{id, slices.Clone(secret)}, nil
}

// ID returns the key's id.
func (k Key) ID() string { return k.id }

// Format prints the id, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "key %s", k.id) }

// KeyRing holds keys by their ids. The first one encrypts, any of them decrypts. It never changes, and is safe for concurrent use.
type KeyRing struct {
	ids   []string
	boxes map[string]cipher.AEAD
}

// NewKeyRing returns a key ring. To rotate keys give all processes the new key behind the old one, then put it in front, and
// take the old one away when nothing is left that it encrypted. *ArgumentError: there is no key, or two have the same id.
func NewKeyRing(keys ...Key) (*KeyRing, error) {
	if len(keys) == 0 {
		return nil, &ArgumentError{Field: "keys", Rule: "must be at least one"}
	}
	r := &KeyRing{boxes: map[string]cipher.AEAD{}}
	for _, k := range keys {
		if r.boxes[k.id] != nil {
			return nil, &ArgumentError{Field: "keys", Rule: "must have different ids, not twice " + k.id}
		}
		block, err := aes.NewCipher(k.secret)
		if err != nil {
			return nil, &ArgumentError{Field: "keys", Rule: "must be made by NewKey"}
		}
		box, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("pgq: AES-256-GCM is not available: %w", err)
		}
		r.ids, r.boxes[k.id] = append(r.ids, k.id), box
	}
	return r, nil
}

// IDs returns the ids of the keys; the first one is that of the key that encrypts.
func (r *KeyRing) IDs() []string { return slices.Clone(r.ids) }

// Format prints the ids, whatever the verb.
func (r *KeyRing) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "keys %s", strings.Join(r.ids, ",")) }
