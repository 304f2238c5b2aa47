package pgq_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
)

// FuzzEnqueue enqueues whatever it is given: it comes back as it was, or it is refused by the name of a field.
func FuzzEnqueue(f *testing.F) {
	for _, seed := range []struct {
		kind, queue, args string
		priority          int
	}{
		{"send_mail", "mail", `{"to": 42}`, 5},
		{"k", "", `null`, 0},
		{"", "q", `{}`, 9},
		{"k", "*", `[]`, 10},
		{"'; drop table jobs; --", `"q"`, `"%s"`, -1},
		{"名前", "\u202eq", `{"a": 9007199254740993, "b": 1e400, "c": -0.0}`, 3},
		{"k\n", "q\x00", `"\u0000"`, 3},
		{"\xff", "\xc3\x28", `"\ud800"`, 3},
		{"k", "q", `{"a": 1, "a": 2}`, 3},
		{"k", "q", `{`, 3},
		{"k", "q", `"\\u0000"`, 3},
		{"k", "q", "\"\xff\"", 3},
	} {
		f.Add(seed.kind, seed.queue, seed.args, seed.priority)
	}
	url := pgtest.Database(f)
	pool, err := pgxpool.New(f.Context(), url)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(pool.Close)
	q := pgq.New(pgq.Config{})
	f.Fuzz(func(t *testing.T, kind, queue, args string, priority int) {
		item := pgq.Item{Args: raw{kind, args}, Options: pgq.Options{Queue: queue, Priority: pgq.Prio(priority)}}
		single, err := q.Enqueue(t.Context(), pool, item.Args, item.Options)
		many, manyErr := q.EnqueueMany(t.Context(), pool, []pgq.Item{item})
		if (err == nil) != (manyErr == nil) {
			t.Fatalf("Enqueue says %v, EnqueueMany says %v", err, manyErr)
		}
		var bad *pgq.ArgumentError
		if err != nil {
			if !errors.As(err, &bad) {
				t.Fatalf("%q %q %q: %v", kind, queue, args, err)
			}
			return
		}
		for _, id := range []int64{single.ID, many[0]} {
			job, err := q.Get(t.Context(), pool, id)
			must(t, err)
			if queue == "" {
				queue = pgq.DefaultQueue
			}
			if job.Kind != kind || job.Queue != queue || job.Priority != priority {
				t.Errorf("%q %q %d came back as %q %q %d", kind, queue, priority, job.Kind, job.Queue, job.Priority)
			}
			if utf8.ValidString(args) && !sameJSON(args, job.Args) {
				t.Errorf("%s came back as %s", args, job.Args)
			}
		}
	})
}

// sameJSON compares values, numbers as floats where those can hold them.
func sameJSON(sent string, got json.RawMessage) bool {
	var a, b any
	if json.Unmarshal([]byte(sent), &a) != nil {
		return true // a number that Go cannot hold
	}
	if got == nil {
		return a == nil
	}
	return json.Unmarshal(got, &b) == nil && reflect.DeepEqual(a, b)
}
