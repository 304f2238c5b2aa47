package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/pgq-go/queue/pgq"
)

// keysField is the field that is a list in the file.
const keysField = "encryption.keys"

// maxKeyFile bounds what is read of a file with a key, which needs 44 bytes or so.
const maxKeyFile = 1 << 10

// keyList returns the ids of the keys, and nothing else of them.
func keyList(keys *pgq.KeyRing) string {
	if keys == nil {
		return ""
	}
	return strings.Join(keys.IDs(), ",")
}

// setKeys reads "2027-01=file:/run/secrets/2027-01.key,2026-07=base64:…".
func setKeys(s *Settings, value string) string {
	var keys []pgq.Key
	for i, item := range strings.Split(value, ",") {
		id, source, _ := strings.Cut(strings.TrimSpace(item), "=")
		form, text, ok := strings.Cut(source, ":")
		if !ok || form != "file" && form != "base64" {
			return fmt.Sprintf("must be keys like 2027-01=file:/run/secrets/2027-01.key or 2027-01=base64:…, with commas between them; number %d is none", i+1)
		}
		k, rule := readKey(id, form, text, "")
		if rule != "" {
			return rule
		}
		keys = append(keys, k)
	}
	return setRing(s, keys)
}

// keys reads [{id: 2027-01, file: 2027-01.key}, {id: 2026-07, base64: …}].
func (f file) keys(entry *ast.MappingValueNode) error {
	list, ok := entry.Value.(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 {
		return &Error{Where: f.where(entry.Key), Field: keysField, Rule: "must be a list, [{id: 2027-01, file: 2027-01.key}] for example"}
	}
	var keys []pgq.Key
	for _, item := range list.Values {
		k, err := f.key(item)
		if err != nil {
			return err
		}
		keys = append(keys, k)
	}
	if rule := setRing(&f.to.Settings, keys); rule != "" {
		return &Error{Where: f.where(entry.Key), Field: keysField, Rule: rule}
	}
	f.to.sources[keysField] = f.where(entry.Key)
	return nil
}

func (f file) key(item ast.Node) (pgq.Key, error) {
	broken := func(rule string) (pgq.Key, error) {
		return pgq.Key{}, &Error{Where: f.where(item), Field: keysField, Rule: rule}
	}
	members, ok := entriesOf(item)
	if !ok || len(members) == 0 {
		return broken("must be maps with id, and file or base64")
	}
	given := map[string]string{}
	for _, member := range members {
		name := nameOf(member)
		if name != "id" && name != "file" && name != "base64" {
			return pgq.Key{}, unknown(f.where(member.Key), "setting", keysField+"."+name, prefixed(keysField+".", []string{"id", "file", "base64"}))
		}
		if given[name], ok = scalarOf(member.Value); !ok {
			return broken("must have one value for " + name)
		}
	}
	form := "file"
	if _, ok := given["base64"]; ok {
		form = "base64"
	}
	if len(given) != 2 || given["id"] == "" || given[form] == "" {
		return broken("must have an id, and either file or base64")
	}
	k, rule := readKey(given["id"], form, given[form], f.dir)
	if rule != "" {
		return broken(rule)
	}
	return k, nil
}

// readKey returns a key, or the rule that it breaks, which never shows anything of it.
func readKey(id, form, text, dir string) (pgq.Key, string) {
	secret, err := base64.StdEncoding.DecodeString(text)
	if form == "file" {
		if !filepath.IsAbs(text) {
			text = filepath.Join(dir, text)
		}
		secret, err = readKeyFile(text)
		if err != nil {
			return pgq.Key{}, "must be files that can be read: " + err.Error()
		}
	} else if err != nil {
		return pgq.Key{}, fmt.Sprintf("must be 32 bytes in base64; that of %q is no base64", printable(id))
	}
	k, err := pgq.NewKey(id, secret)
	return k, brokenRule(err)
}

// readKeyFile returns what is in a file: base64, or the bytes themselves.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxKeyFile {
		return nil, fmt.Errorf("%s is too long for a key of 32 bytes", path)
	}
	if secret, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(content))); err == nil {
		return secret, nil
	}
	return content, nil
}

func setRing(s *Settings, keys []pgq.Key) string {
	ring, err := pgq.NewKeyRing(keys...)
	if err != nil {
		return brokenRule(err)
	}
	s.Keys = ring
	return ""
}

// brokenRule returns what an error of package pgq says of keys, "" for none.
func brokenRule(err error) string {
	var broken *pgq.ArgumentError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &broken) && broken.Field == "keys":
		return broken.Rule
	case errors.As(err, &broken):
		return "must be keys of 32 bytes: " + broken.Field + " " + broken.Rule
	}
	return err.Error()
}
