package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// charge is a job with something to hide.
type charge struct {
	Card string `json:"card"`
}

func (charge) Kind() string { return "charge" }

// clear is a charge of a kind that hides nothing.
type clear struct{ Card string }

func (clear) Kind() string         { return "clear" }
func (clear) Options() pgq.Options { return pgq.Options{Codec: pgq.JSON} }

// encrypting returns a client that encrypts, with keys that are made of these letters.
func encrypting(t *testing.T, letters string) *pgq.Client {
	t.Helper()
	var keys []pgq.Key
	for _, letter := range letters {
		key, err := pgq.NewKey("key-"+string(letter), bytes.Repeat([]byte(string(letter)), 32))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	ring, err := pgq.NewKeyRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return pgq.New(pgq.Config{Codec: pgq.Encrypt(pgq.JSON, ring)})
}

// enqueueEveryWay enqueues charges in all the ways there are and returns how many.
func enqueueEveryWay(b *bench, q *pgq.Client) int {
	b.t.Helper()
	ctx := context.Background()
	many := make([]pgq.Item, 300) // by COPY
	for i := range many {
		many[i] = pgq.Item{Args: charge{"hidden"}}
	}
	_, err := q.EnqueueMany(ctx, b.pool, many)
	_, few := q.EnqueueMany(ctx, b.pool, many[:3])
	unique, twice := pgq.Options{Unique: pgq.Unique{Key: "once", OnConflict: pgq.ReplaceQueued}}, error(nil)
	for range 2 {
		if _, failed := q.Enqueue(ctx, b.pool, charge{"hidden"}, unique); failed != nil {
			twice = failed
		}
	}
	_, set := q.SetSchedule(ctx, b.pool, pgq.Schedule{Name: "daily", Spec: "@daily", Args: charge{"hidden"}})
	if again, failed := q.SetSchedule(ctx, b.pool, pgq.Schedule{Name: "daily", Spec: "@daily", Args: charge{"hidden"}}); failed != nil || again.Outcome != "changed" {
		b.t.Errorf("a schedule that is set again: %+v, %v", again, failed)
	}
	_, run := q.RunSchedule(ctx, b.pool, "daily")
	if err := errors.Join(err, few, twice, set, run); err != nil {
		b.t.Fatal(err)
	}
	return len(many) + 3 + 1 + 1
}

func TestAClientThatEncryptsShowsNothingInTheDatabase(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old, both := encrypting(t, "a"), encrypting(t, "ba")
	n := enqueueEveryWay(b, old)
	w := b.worker(worker.Config{Client: both})
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[charge]) (string, error) {
		step, err := pgq.Step(ctx, "step", func(context.Context) (string, error) { return job.Args.Card + " step", nil })
		if err == nil {
			err = pgq.SaveCursor(ctx, "cursor", "hidden cursor")
		}
		if err == nil && job.Number == 1 && job.ID%50 == 0 {
			return "", pgq.RetryAfter(0, errors.New("again"))
		}
		if cursor, _, loaded := pgq.LoadCursor[string](ctx, "cursor"); err == nil && (loaded != nil || cursor != "hidden cursor") {
			err = fmt.Errorf("the cursor is %q, %w", cursor, loaded)
		}
		return step, err
	})
	worker.HandleResult(w, func(context.Context, *pgq.Job[clear]) (string, error) { return "another", nil })
	b.run(w)
	plain, err := both.Enqueue(context.Background(), b.pool, clear{"clear"}, pgq.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if job := b.ends(plain.ID, pgq.Completed, 1); string(job.Args) != `{"Card": "clear"}` || job.OutputCodec() != "aes256gcm+json" {
		t.Errorf("args of a kind that is JSON are %s, its result is of codec %q", job.Args, job.OutputCodec())
	}
	b.becomes(int64(n), "select count(*) from pgq.job_details where kind = 'charge' and state = 'completed' and codec = 'aes256gcm+json' and output_codec = codec")
	for _, table := range []string{"jobs", "results", "steps", "schedules", "events", "attempt_errors"} {
		if shown := b.number(`select count(*) from pgq.` + table + ` t where t::text like '%hidden%' or t::text like '%' || encode('hidden', 'hex') || '%'
			or t::text like '%' || rtrim(encode('hidden', 'base64'), '=') || '%'`); shown != 0 {
			t.Errorf("%s shows it in %d rows", table, shown)
		}
	}
	readBack(t, b, old, both)
}

// readBack reads what was written with the old key and the new one.
func readBack(t *testing.T, b *bench, old, both *pgq.Client) {
	ctx := context.Background()
	id := b.number("select min(id) from pgq.jobs where kind = 'charge'")
	if result, err := pgq.Result[string](ctx, both, b.pool, id); err != nil || result != "hidden step" {
		t.Errorf("the result is %q, %v", result, err)
	}
	if _, err := pgq.Result[string](ctx, old, b.pool, id); !errors.Is(err, pgq.ErrUnknownKey) {
		t.Error("a client without the new key:", err)
	}
	if _, err := pgq.Result[string](ctx, b.q, b.pool, id); !errors.Is(err, pgq.ErrUnknownCodec) {
		t.Error("a client without keys:", err)
	}
	job, err := old.Get(ctx, b.pool, id)
	var args charge
	if err != nil || job.DecodeArgs(&args) != nil || args.Card != "hidden" {
		t.Errorf("the args are %+v, %v", args, err)
	}
	if key, err := pgq.KeyIDOf(*job.Codec, job.Payload); key != "key-a" || err != nil {
		t.Errorf("the args are of key %q, %v", key, err)
	}
	// Whoever can change the database passes a payload off as that of another kind.
	b.exec("update pgq.jobs set kind = 'refund' where id = $1", id)
	if job, err = both.Get(ctx, b.pool, id); err != nil || !errors.Is(job.DecodeArgs(&args), pgq.ErrNotAuthentic) || !errors.Is(job.DecodeOutput(new(string)), pgq.ErrNotAuthentic) {
		t.Errorf("a payload of another kind: %v, %v", err, job.DecodeArgs(&args))
	}
}

func TestAJobWhoseKeyIsMissingFailsAndRunsWhenItIsThere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	added, err := encrypting(t, "b").Enqueue(context.Background(), b.pool, charge{"hidden"}, pgq.Options{MaxAttempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	run := func(q *pgq.Client) (stop func()) {
		w := b.worker(worker.Config{Client: q})
		worker.HandleResult(w, func(_ context.Context, job *pgq.Job[charge]) (int, error) { return len(job.Args.Card), nil })
		return b.run(w)
	}
	stop := run(encrypting(t, "a"))
	b.errorHas(b.ends(added.ID, pgq.Failed, 1), `pgq: key is not in the key ring: "key-b"; it has key-a`)
	stop()
	if _, err := b.q.Retry(context.Background(), b.pool, added.ID); err != nil {
		t.Fatal(err)
	}
	run(encrypting(t, "ab"))
	b.ends(added.ID, pgq.Completed, 2)
}
