package config_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
	"github.com/pgq-go/queue/worker/config"
)

func TestDefaultsAreThoseOfTheWorker(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	c := loaded.WorkerConfig(worker.Config{})
	if c.Queues["default"] != (worker.QueueConfig{Concurrency: 10}) || len(c.Queues) != 1 || c.Client.Schema() != "pgq" ||
		c.Lease != 30*time.Second || c.Heartbeat != 5*time.Second || c.PollInterval != 2*time.Second || c.PollOnly ||
		c.Grace != 30*time.Second || c.Prefetch != 1000 {
		t.Errorf("defaults are %+v", c)
	}
}

func TestZeroGraceAndPrefetchMeanNoneToTheWorker(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load(config.Sources{Environ: []string{"PGQ_WORKER_GRACE=0s", "PGQ_WORKER_PREFETCH=0"}})
	if err != nil {
		t.Fatal(err)
	}
	if c := loaded.WorkerConfig(worker.Config{}); c.Grace >= 0 || c.Prefetch >= 0 {
		t.Errorf("grace %s, prefetch %d; want negative ones", c.Grace, c.Prefetch)
	}
}

func TestEachSourceWinsOverThoseBeforeIt(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load(config.Sources{
		File: file(t, `
schema: a
log_level: debug
worker:
  poll_only: true
  queues: {"strange = name, really": {concurrency: 3}, other: {}}
`),
		Environ: []string{"HOME=/", "PGQ_SCHEMA=b", "PGQ_WORKER_QUEUES=mail=50, default", "PGQ_CONFIG=ignored"},
		Flags:   []config.Flag{{Name: "--schema", Field: "schema", Value: "c"}, {Name: "--schema", Field: "schema", Value: "d"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Schema != "d" || !loaded.Worker.PollOnly || loaded.Worker.Queues["mail"].Concurrency != 50 || loaded.Worker.Queues["default"].Concurrency != 10 || len(loaded.Worker.Queues) != 2 {
		t.Errorf("settings are %+v", loaded.Settings)
	}
	for field, source := range map[string]string{"schema": "--schema", "worker.queues": "PGQ_WORKER_QUEUES", "worker.lease": "default"} {
		if got := loaded.Source(field); got != source {
			t.Errorf("%s is from %q, want %q", field, got, source)
		}
	}
	if got := loaded.Source("log_level"); !strings.HasSuffix(got, "pgq.yaml:3") {
		t.Errorf("log_level is from %q", got)
	}
}

func TestAFileThatBreaksARuleIsRefusedWithLineAndField(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"shema: x":                                         ":1: unknown setting shema; did you mean schema?",
		"a: 1\nfrobnicate: 1":                              ":1: unknown setting a; ",
		"worker:\n  qeues: {}":                             ":2: unknown setting worker.qeues; did you mean worker.queues?",
		"worker: 3":                                        ":1: must be a map of settings worker.",
		"- schema":                                         ":1: must be a map of settings",
		"schema:":                                          ":1: schema must have one value",
		"schema: [a]":                                      ":1: schema must have one value",
		"schema: pg_x":                                     ":1: schema must not begin with pg_",
		"schema: " + strings.Repeat("x", 53):               ":1: schema must have 1 to 52 bytes",
		"schema: a\nschema: b":                             ":2: is no YAML: ",
		"schema: 'a":                                       ":1: is no YAML: ",
		"schema: a\n---\nschema: b":                        ": must be one YAML document",
		"log_level: 3":                                     ":1: log_level must be debug",
		"\nworker:\n  lease: 30":                           ":3: worker.lease must be a duration with its unit",
		"worker: {lease: 999ms}":                           ":1: worker.lease must be at least 1s, not 999ms",
		"worker: {lease: 25h}":                             ":1: worker.lease must be at most 24h0m0s, not 25h0m0s",
		"worker: {heartbeat: 0s}":                          ":1: worker.heartbeat must be at least 1ms, not 0s",
		"worker: {heartbeat: 20s}":                         ":1: worker.heartbeat must be at most half of worker.lease, which is 30s",
		"worker: {lease: 5s,\n heartbeat: 3s}":             ":2: worker.heartbeat must be at most half",
		"worker: {poll_interval: 1us}":                     ":1: worker.poll_interval must be at least 1ms",
		"worker: {poll_only: maybe}":                       ":1: worker.poll_only must be true or false",
		"worker: {grace: -1s}":                             ":1: worker.grace must not be negative",
		"worker: {prefetch: -1}":                           ":1: worker.prefetch must be a number from 0 on",
		"worker: {queues: {}}":                             ":1: worker.queues must be a map",
		"worker: {queues: mail}":                           ":1: worker.queues must be a map",
		"worker:\n  queues:\n    mail: 5":                  ":3: worker.queues.mail must be a map",
		"worker:\n  queues:\n    mail: {concurency: 5}":    ":3: unknown setting worker.queues.mail.concurency; did you mean",
		"worker:\n  queues:\n    mail: {concurrency: 0}":   `:3: worker.queues.mail must have a concurrency of 1 to 100000, not "0"`,
		"worker:\n  queues:\n    mail: {concurrency: [1]}": ":3: worker.queues.mail.concurrency must have one value",
		"worker: {concurrency: -1}":                        ":1: worker.concurrency must be a number from 0 to 100000",
		"worker:\n  queues:\n    mail: {weight: 2}":        ":2: worker.queues.mail must not have a weight without worker.concurrency",
		"worker:\n  queues:\n    mail: {weight: 0}":        `:3: worker.queues.mail must have a weight of 1 to 1000, not "0"`,
		"no_notify: yes please":                            ":1: no_notify must be true or false",
		"worker: {name: \"a\\tb\"}":                        ":1: worker.name must have at most 128 characters that can be printed",
		"worker: {no_chores: 1}":                           ":1: worker.no_chores must be true or false",
		"kinds: {}":                                        ":1: kinds must be a map of kinds",
		"kinds:\n  a: {run: [x], shel: y}":                 `:2: kind "a": unknown setting shel; did you mean shell?`,
		"knds: {}":                                         ":1: unknown setting knds; did you mean kinds?",
		"worker:\n  queues:\n    '*': {}":                  ":3: worker.queues must be named with 1 to 128 characters",
		"database_url: postgres://app:Hidd3n%zz@host/app":  ":1: database_url must have a percent sign only before",
		"database_url: 'postgres://app:Hidd3n@host/app\nschema: pgq": "is no YAML",
	} {
		_, err := config.Load(config.Sources{File: file(t, content)})
		var bad *config.Error
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "Hidd3n") {
			t.Errorf("%q: error %v, want %q", content, err, want)
		}
	}
}

func TestQueuesShareTheConcurrencyByWeights(t *testing.T) {
	t.Parallel()
	want := worker.Queues{"a": {Concurrency: 50, Weight: 3}, "b": {Concurrency: 20, Weight: 1}, "c": {Concurrency: 50}}
	for name, s := range map[string]config.Sources{
		"file":        {File: file(t, "worker:\n  concurrency: 50\n  queues: {a: {weight: 3}, b: {concurrency: 20, weight: 1}, c: {}}")},
		"environment": {Environ: []string{"PGQ_WORKER_CONCURRENCY=50", "PGQ_WORKER_QUEUES=a=:3,b=20:1,c"}},
	} {
		loaded, err := config.Load(s)
		if err != nil {
			t.Fatal(name, err)
		}
		if c := loaded.WorkerConfig(worker.Config{}); c.Concurrency != 50 || !maps.Equal(c.Queues, want) {
			t.Errorf("%s: %d slots, shared by %v", name, c.Concurrency, c.Queues)
		}
	}
}

func TestAVariableThatBreaksARuleIsRefusedByName(t *testing.T) {
	t.Parallel()
	for variable, want := range map[string]string{
		"PGQ_WORKER_LEESE=1s":           "environment: unknown variable PGQ_WORKER_LEESE; did you mean PGQ_WORKER_LEASE?",
		"PGQ_=x":                        "environment: unknown variable PGQ_; ",
		"PGQ_SCHEMA=pg_x":               "PGQ_SCHEMA: schema must not begin",
		"PGQ_WORKER_LEASE=soon":         "PGQ_WORKER_LEASE: worker.lease must be a duration",
		"PGQ_WORKER_QUEUES=a=1,a=2":     `PGQ_WORKER_QUEUES: worker.queues must name each queue once, not "a" twice`,
		"PGQ_WORKER_QUEUES=a=":          `PGQ_WORKER_QUEUES: worker.queues must have a number after the = of "a"`,
		"PGQ_WORKER_QUEUES=a=1:0":       `PGQ_WORKER_QUEUES: worker.queues must have a weight of 1 to 1000; that of "a" is "0"`,
		"PGQ_WORKER_QUEUES=a=:3":        "PGQ_WORKER_QUEUES: worker.queues.a must not have a weight without worker.concurrency",
		"PGQ_WORKER_QUEUES=a=1,,":       "PGQ_WORKER_QUEUES: worker.queues must be named",
		"PGQ_WORKER_QUEUES=a=many":      `that of "a" is "many"`,
		"PGQ_DATABASE_URL=password=x y": "PGQ_DATABASE_URL: database_url must be a URL",
	} {
		_, err := config.Load(config.Sources{Environ: []string{variable}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", variable, err, want)
		}
	}
}

func TestPasswordsAreMasked(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgres://app@host/app":                         "postgres://app@host/app",
		"postgres://app:secret@host:1/app?sslmode=prefer": "postgres://app:xxxxx@host:1/app?sslmode=prefer",
		"postgres://app:se@cret@host/app":                 "postgres://app:xxxxx@host/app",
		"postgres://app:se%zzcret@host/app":               "postgres://app:xxxxx@host/app",
		"postgres://host/app?user=app&password=secret":    "postgres://host/app?user=app&password=xxxxx",
		"host=h password=secret dbname=app":               "host=h password=xxxxx dbname=app",
		`host=h password = 'a secr\'et' dbname=app`:       "host=h password = xxxxx dbname=app",
	} {
		if got := config.MaskURL(url); got != want {
			t.Errorf("MaskURL(%s) = %s, want %s", url, got, want)
		}
	}
	text := `cannot reach postgres://app:secret@host/app: no route`
	if got := config.MaskText(text); got != "cannot reach postgres://app:xxxxx@host/app: no route" {
		t.Errorf("MaskText: %s", got)
	}
}

// file writes a settings file and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pgq.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each source sets what those after it do not; the rows are by the first source that is left out.
func TestPrecedenceHoldsForEverySubsetOfSources(t *testing.T) {
	t.Parallel()
	path := file(t, "schema: of_file\nworker: {lease: 11s, queues: {of_file: {}}}")
	for subset := range 1 << 4 {
		has := func(source int) bool { return subset&(1<<source) != 0 }
		want, from, lease, queue := "pgq", "default", 30*time.Second, "default"
		var s config.Sources
		var code worker.Config
		if has(0) {
			s.File, want, from, lease, queue = path, "of_file", path+":1", 11*time.Second, "of_file"
		}
		if has(1) {
			s.Environ = []string{"PGQ_SCHEMA=of_env", "PGQ_WORKER_LEASE=12s", "PGQ_WORKER_QUEUES=of_env"}
			want, from, lease, queue = "of_env", "PGQ_SCHEMA", 12*time.Second, "of_env"
		}
		if has(2) {
			s.Flags = []config.Flag{{Name: "--schema", Field: "schema", Value: "of_flag"},
				{Name: "--set", Field: "worker.lease", Value: "13s"}, {Name: "--set", Field: "worker.queues", Value: "of_flag"}}
			want, from, lease, queue = "of_flag", "--schema", 13*time.Second, "of_flag"
		}
		if has(3) {
			code = worker.Config{Lease: 14 * time.Second, Queues: worker.Queues{"of_code": {}}, Client: pgq.New(pgq.Config{Schema: "of_code"})}
		}
		loaded, err := config.Load(s)
		if err != nil {
			t.Fatal(err)
		}
		if loaded.Schema != want || loaded.Source("schema") != from {
			t.Errorf("%04b: schema %s of %s, want %s of %s", subset, loaded.Schema, loaded.Source("schema"), want, from)
		}
		if has(3) {
			want, lease, queue = "of_code", 14*time.Second, "of_code"
		}
		c := loaded.WorkerConfig(code)
		if _, ok := c.Queues[queue]; c.Lease != lease || !ok || len(c.Queues) != 1 || c.Client.Schema() != want {
			t.Errorf("%04b: the worker has lease %s, queues %v, schema %s; want %s, %s, %s", subset, c.Lease, c.Queues, c.Client.Schema(), lease, queue, want)
		}
	}
}

func TestAHeartbeatThatFollowsFromTheLeaseFollowsThatOfCode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		environ []string
		want    time.Duration
	}{
		{nil, 0}, // to package worker: a sixth of the lease
		{[]string{"PGQ_WORKER_HEARTBEAT=1s"}, time.Second},
	} {
		loaded, err := config.Load(config.Sources{Environ: test.environ})
		if err != nil {
			t.Fatal(err)
		}
		if c := loaded.WorkerConfig(worker.Config{Lease: 2 * time.Second}); c.Heartbeat != test.want {
			t.Errorf("%v: heartbeat %s, want %s", test.environ, c.Heartbeat, test.want)
		}
	}
}

func TestWhatAnOperatorWouldSetOfAWorkerIsASetting(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load(config.Sources{Environ: []string{"PGQ_WORKER_NAME=n", "PGQ_WORKER_CONCURRENCY=5", "PGQ_WORKER_POLL_ONLY=true", "PGQ_WORKER_NO_CHORES=true"}})
	if err != nil {
		t.Fatal(err)
	}
	c := reflect.ValueOf(loaded.WorkerConfig(worker.Config{}))
	ofCode := map[string]bool{"Logger": true, "Middleware": true, "Observe": true}
	for i := range c.NumField() {
		if name := c.Type().Field(i).Name; c.Field(i).IsZero() && !ofCode[name] {
			t.Errorf("%s of worker.Config has no setting", name)
		}
	}
}

func TestTheSampleSaysTheDefaultsOfAllSettings(t *testing.T) {
	t.Parallel()
	sampled, err := config.Load(config.Sources{File: file(t, config.Sample())})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(sampled.Settings, plain.Settings) {
		t.Errorf("the sample says %+v, the defaults are %+v", sampled.Settings, plain.Settings)
	}
	uncommented := regexp.MustCompile(`(?m)^( *)# ((database_url|name|mail|heartbeat|kinds|  thumbnail):.*)$`).ReplaceAllString(config.Sample(), "$1$2")
	if _, err := config.Load(config.Sources{File: file(t, uncommented)}); err != nil {
		t.Errorf("what stands in comments: %v\n%s", err, uncommented)
	}
	_, variables := config.Names()
	for _, variable := range variables {
		if !strings.Contains(config.Sample(), "["+variable+"]") {
			t.Errorf("%s is not in the sample", variable)
		}
	}
}
