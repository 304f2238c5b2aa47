package main_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgq-go/queue/pgq"
)

// parcel is a job of any args.
type parcel struct{ value any }

func (parcel) Kind() string                   { return "parcel" }
func (p parcel) MarshalJSON() ([]byte, error) { return json.Marshal(p.value) }

// bytesCodec writes bytes as they are.
type bytesCodec struct{}

func (bytesCodec) Name() string                       { return "octets" }
func (bytesCodec) Encode(value any) ([]byte, error)   { return value.(parcel).value.([]byte), nil }
func (bytesCodec) Decode(data []byte, into any) error { return nil }

func TestJobShowSaysWhatACodecWrote(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	secret := []byte("Hidd3n-Hidd3n-Hidd3n-Hidd3n-1234")
	key, err := pgq.NewKey("2027-01", secret)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := pgq.NewKeyRing(key)
	if err != nil {
		t.Fatal(err)
	}
	enqueue := func(codec pgq.Codec, value any) string {
		added, err := pgq.New(pgq.Config{}).Enqueue(t.Context(), s.pool, parcel{value}, pgq.Options{Codec: codec})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(added.ID)
	}
	binary := enqueue(bytesCodec{}, append([]byte{0, 0xff, 0x1b}, make([]byte, 1000)...))
	s.admin("job show", binary).want(t, 0, "written by codec octets, 1003 bytes", "00000000  00 ff 1b 00", "… and 747 more bytes")
	s.admin("job show", enqueue(bytesCodec{}, []byte("<a>\n<b>"))).want(t, 0, "written by codec octets, 7 bytes\n  <a>\n  <b>")
	s.admin("job show -o json", binary).want(t, 0, `"codec": "octets"`, `"payload": "AP8bAAAA`, `"key_id": null`)
	sealed := enqueue(pgq.Encrypt(pgq.JSON, ring), map[string]string{"card": "4711"})
	s.admin("job show", sealed).want(t, 0, "written by codec aes256gcm+json with key 2027-01, ")
	s.admin("job show -o json", sealed).want(t, 0, `"key_id": "2027-01"`, `"args": null`)
	s.admin("job show --decrypt", sealed).want(t, 1, "codec is not configured", "encryption.keys")
	s.admin("job show --decrypt", binary).want(t, 0, "written by codec octets")
	env := func(key string) []string {
		return []string{"PGQ_DATABASE_URL=" + s.url, "PGQ_ENCRYPTION_KEYS=" + key}
	}
	encoded := base64.StdEncoding.EncodeToString(secret)
	for _, format := range []string{"table", "json"} {
		call{args: []string{"job", "show", "--decrypt", sealed, "-o", format}, env: env("2027-01=base64:" + encoded)}.run(t).want(t, 0, `"card": "4711"`)
	}
	call{args: []string{"job", "show", "--decrypt", sealed}, env: env("other=base64:" + encoded)}.run(t).
		want(t, 1, `key is not in the key ring: "2027-01"; it has other`, "encryption.keys")
	call{args: []string{"job", "show", "--decrypt", sealed}, env: env("2027-01=base64:" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))))}.run(t).
		want(t, 1, "payload is not authentic")
	shown := call{args: []string{"config", "show"}, env: env("2027-01=base64:" + encoded)}.run(t)
	shown.want(t, 0, "encryption.keys", "2027-01", "PGQ_ENCRYPTION_KEYS")
	if strings.Contains(shown.stdout, encoded) {
		t.Error("config show shows a key")
	}
	if _, err := s.pool.Exec(t.Context(), `update pgq.jobs set payload = '\x01' where id = $1`, sealed); err != nil {
		t.Fatal(err)
	}
	s.admin("job show", sealed).want(t, 0, "written by codec aes256gcm+json, 1 bytes; pgq: payload is not authentic")
}

func TestConfigInitWritesAFileThatConfigShowReads(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pgq.yaml")
	admin(t, "config", "init").want(t, 0, "# the schema that holds PGQ [PGQ_SCHEMA]\nschema: pgq\n")
	admin(t, "config", "init", path).want(t, 0, path+" is written")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	admin(t, "config", "init", path).want(t, 2, "is there already; nothing was changed")
	admin(t, "config", "init", filepath.Join(path, "x")).want(t, 2, "not a directory")
	admin(t, "config", "show", "--config", path).want(t, 0, "worker.lease", "30s", "pgq.yaml:")
	admin(t, "config", "show", "--config", path, "-o", "json").want(t, 0, `"setting": "worker.lease"`, `"value": "30s"`, `"source": "`+path+":")
}
