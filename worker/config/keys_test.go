package config_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker/config"
)

// hidden is a key that must never be seen.
var hidden = base64.StdEncoding.EncodeToString([]byte("Hidd3n-Hidd3n-Hidd3n-Hidd3n-1234"))

// keyFiles writes files with keys and returns their directory.
func keyFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"text.key": hidden + "\n", "bytes.key": "Hidd3n-Hidd3n-Hidd3n-Hidd3n-1234", "short.key": "Hidd3n", "long.key": strings.Repeat("Hidd3n", 1000), "empty.key": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestKeysComeFromTheFileOrTheEnvironment(t *testing.T) {
	t.Parallel()
	dir := keyFiles(t)
	path := filepath.Join(dir, "pgq.yaml")
	content := "encryption:\n  keys:\n    - {id: 2027-01, file: text.key}\n    - {id: a, base64: " + hidden + "}\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := "PGQ_ENCRYPTION_KEYS=b=file:" + filepath.Join(dir, "bytes.key") + ", 2027-01=base64:" + hidden
	var payload []byte
	for _, c := range []struct {
		sources      config.Sources
		ids, from    string
		canBeDecoded bool
	}{
		{config.Sources{File: path}, "2027-01,a", path + ":2", true},
		{config.Sources{File: path, Environ: []string{environ}}, "b,2027-01", "PGQ_ENCRYPTION_KEYS", true},
		{config.Sources{}, "", "default", false},
	} {
		loaded, err := config.Load(c.sources)
		if err != nil {
			t.Fatal(err)
		}
		if c.sources.Environ == nil && c.canBeDecoded {
			if payload, err = pgq.Encrypt(pgq.JSON, loaded.Keys).EncodeFor("k", 7); err != nil {
				t.Fatal(err)
			}
		}
		codec := "aes256gcm+json"
		var got int
		err = pgq.New(loaded.ClientConfig(pgq.Config{})).Decode(pgq.Encoded{Codec: &codec, Payload: payload}, &got)
		if (err == nil) != c.canBeDecoded || c.canBeDecoded && got != 7 {
			t.Errorf("keys %s read %d, %v", c.ids, got, err)
		}
		shown := ""
		for _, v := range loaded.Values() {
			if shown += fmt.Sprintf("%+v", v); v.Field == "encryption.keys" && (v.Value != c.ids || v.Source != c.from) {
				t.Errorf("keys are %s of %s, want %s of %s", v.Value, v.Source, c.ids, c.from)
			}
		}
		if shown += fmt.Sprintf("%+v %#v", loaded, loaded.Settings); strings.Contains(shown, hidden) || strings.Contains(shown, "Hidd3n") {
			t.Error("a key is printed: " + shown)
		}
	}
}

func TestKeysThatBreakARuleAreRefusedAndNeverShown(t *testing.T) {
	t.Parallel()
	dir := keyFiles(t)
	for keys, want := range map[string]string{
		"3":                    ":1: encryption.keys must be a list, ",
		"[]":                   ":1: encryption.keys must be a list, ",
		"{id: a, file: x}":     ":1: encryption.keys must be a list, ",
		"[" + hidden + "]":     ":1: encryption.keys must be maps with id, and file or base64",
		"[{id: a}]":            ":1: encryption.keys must have an id, and either file or base64",
		"[{file: text.key}]":   ":1: encryption.keys must have an id, and either file or base64",
		"[{id: a, fle: x}]":    ":1: unknown setting encryption.keys.fle; did you mean encryption.keys.file?",
		"[{id: [a], file: x}]": ":1: encryption.keys must have one value for id",
		"[{id: a, base64: " + hidden + ", file: x}]":          ":1: encryption.keys must have an id, and either file or base64",
		"[{id: a, base64: Hidd3n!}]":                          `:1: encryption.keys must be 32 bytes in base64; that of "a" is no base64`,
		"[{id: a, base64: SGlkZDNu}]":                         ":1: encryption.keys must be keys of 32 bytes: key a must have 32 bytes, it has 6",
		"[{id: a b, base64: " + hidden + "}]":                 ":1: encryption.keys must be keys of 32 bytes: key id must have 1 to 64 letters",
		"[{id: a, file: gone.key}]":                           ":1: encryption.keys must be files that can be read: open " + dir + "/gone.key: no such file",
		"[{id: a, file: .}]":                                  "is a directory",
		"[{id: a, file: short.key}]":                          "key a must have 32 bytes, it has 6",
		"[{id: a, file: empty.key}]":                          "key a must have 32 bytes, it has 0",
		"[{id: a, file: long.key}]":                           "long.key is too long for a key of 32 bytes",
		"[{id: a, file: text.key}, {id: a, file: bytes.key}]": ":1: encryption.keys must have different ids, not twice a",
		"[{id: a, file: text.key}]\n  key: 1":                 ":2: unknown setting encryption.key; did you mean encryption.keys?",
	} {
		path := filepath.Join(dir, "pgq.yaml")
		if err := os.WriteFile(path, []byte("encryption: \n  keys: "+keys), 0o600); err != nil {
			t.Fatal(err)
		}
		want = strings.NewReplacer(":1: ", ":2: ", ":2: ", ":3: ").Replace(want)
		refused(t, config.Sources{File: path}, keys, want)
	}
	for value, want := range map[string]string{
		"a": "must be keys like", "a=" + hidden: "must be keys like", "a=base64:" + hidden + ",": "number 2 is none", "a=hex:00": "must be keys like",
		"=base64:" + hidden: "key id must have 1 to 64", "a=base64:" + hidden + ",a=base64:" + hidden: "must have different ids", "a=file:": "must be files that can be read",
		"a=base64:": "it has 0", "a=base64:Hidd3n!": "is no base64",
	} {
		refused(t, config.Sources{Environ: []string{"PGQ_ENCRYPTION_KEYS=" + value}}, value, want)
	}
	refused(t, config.Sources{Environ: []string{"PGQ_ENCRYPTION_KEY=" + hidden}}, "a name", "unknown variable PGQ_ENCRYPTION_KEY; did you mean PGQ_ENCRYPTION_KEYS?")
}

// refused checks that settings are refused without showing a key.
func refused(t *testing.T, s config.Sources, what, want string) {
	t.Helper()
	_, err := config.Load(s)
	var bad *config.Error
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want %q", what, err, want)
	}
	if err != nil && (strings.Contains(err.Error(), hidden) || bytes.Contains([]byte(err.Error()), []byte("Hidd3n"))) {
		t.Errorf("%s: the error shows the key: %v", what, err)
	}
}
