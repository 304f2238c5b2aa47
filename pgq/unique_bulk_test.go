package pgq_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/pgq-go/queue/pgq"
)

// Values that print as they are read, more or less, and those of which only the database knows how it prints them.
var (
	plainScalars = []string{
		"null", "true", "false", "0", "-1", "17", "0.50", "9007199254740993", `""`, `"a"`, `"é"`, `"\u00e9"`,
		`"\u003cb\u003e \u0026"`, `"\"\\\/\b\f\n\r\t\u001f\u007f"`, `"\ud83d\ude00 \u2028"`, `"😀"`, `"\\u0000"`,
	}
	oddScalars = append([]string{"-0", "-0.5", "1e3", "2.5E-7", `"\ufffd"`}, plainScalars...)
)

// anyJSON is a JSON value of a random shape.
func anyJSON(r *rand.Rand, scalars []string, depth int) string {
	names := []string{`"a"`, `"b"`, `"aa"`, `"B"`, `"\u0061"`, `"é"`, `"\n"`, `""`, `"long name"`}
	if depth == 0 || r.IntN(3) == 0 {
		return scalars[r.IntN(len(scalars))]
	}
	parts := make([]string, r.IntN(5))
	for i := range parts {
		parts[i] = anyJSON(r, scalars, depth-1)
	}
	if r.IntN(3) == 0 {
		return "[" + strings.Join(parts, ",") + "]"
	}
	for i := range parts {
		parts[i] = names[r.IntN(len(names))] + ":" + parts[i]
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// Bulks are given keys in Go where they can be: these must be those that the database gives.
func TestKeysOfBulksAreThoseOfTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := rand.New(rand.NewPCG(1, 2))
	for _, by := range [][]string{{"args"}, {"args.a"}, {"queue", "args.aa.b", "args.a"}, {"queue"}} {
		spec, err := json.Marshal(map[string]any{"by": by})
		must(t, err)
		for round := range 30 {
			w.exec("truncate pgq.unique_keys, pgq.jobs, pgq.ready")
			scalars := [][]string{plainScalars, oddScalars}[round%2]
			items := make([]pgq.Item, 200)
			for i := range items {
				doc := anyJSON(r, scalars, 3)
				items[i] = pgq.Item{Args: raw{fmt.Sprintf("kind %d's \"", i%3), doc}, Options: pgq.Options{Queue: fmt.Sprint("q", i%2), Unique: pgq.Unique{By: by}}}
			}
			_, err := w.q.EnqueueMany(w.Context(), w.pool, items)
			must(t, err)
			rows, err := w.pool.Query(w.Context(), `
				select args::text, unique_key, pgq.unique_key($1, kind, queue, args) from pgq.jobs
				where unique_key is distinct from pgq.unique_key($1, kind, queue, args)`, spec)
			must(t, err)
			for rows.Next() {
				var args, got, want string
				must(t, rows.Scan(&args, &got, &want))
				t.Errorf("args %s have the key %s, want %s", args, got, want)
			}
			must(t, rows.Err())
		}
	}
}

func TestBulksWithKeysThatOthersHaveOrAreAboutToHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 1500 // more than are sampled
	items := make([]pgq.Item, n)
	for i := range items {
		items[i] = pgq.Item{Args: shopSync{N: i}, Options: pgq.Options{Unique: pgq.Unique{Key: fmt.Sprintf("%05d", i)}}}
	}
	taken := w.enqueue(shopSync{}, items[1].Options) // between two of the sample
	var all sync.WaitGroup
	got := make([][]pgq.Enqueued, 10)
	for round := range got {
		all.Go(func() {
			tx, err := w.pool.Begin(w.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer tx.Rollback(w.Context()) //nolint:errcheck // after a commit it does nothing
			jobs, err := w.q.EnqueueEach(w.Context(), tx, items[round:])
			if err != nil {
				t.Error(err)
				return
			}
			if round%2 == 0 {
				if err := tx.Commit(w.Context()); err != nil {
					t.Error(err)
				}
				got[round] = jobs
			}
		})
	}
	all.Wait()
	ids := map[string]int64{}
	rows, err := w.pool.Query(w.Context(), "select unique_key, id from pgq.jobs")
	must(t, err)
	for rows.Next() {
		var key string
		var id int64
		must(t, rows.Scan(&key, &id))
		if ids[key] != 0 {
			t.Errorf("two jobs have the key %s", key)
		}
		ids[key] = id
	}
	must(t, rows.Err())
	if len(ids) != n || ids["00001"] != taken {
		t.Errorf("%d keys have jobs, want %d; that of 00001 is %d, want %d", len(ids), n, ids["00001"], taken)
	}
	for round, jobs := range got {
		for i, job := range jobs {
			if key := items[round+i].Options.Unique.Key; job.ID != ids[key] {
				t.Fatalf("bulk %d was told of job %d for the key %s; there is job %d", round, job.ID, key, ids[key])
			}
		}
	}
}
