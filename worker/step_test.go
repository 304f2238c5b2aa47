package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// counts returns a function for steps that counts how often it is called and returns that.
func counts(calls *atomic.Int64) func(context.Context) (int64, error) {
	return func(context.Context) (int64, error) { return calls.Add(1), nil }
}

func TestAStepThatWasRecordedIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var first, second atomic.Int64
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		one, err := pgq.Step(ctx, "first", counts(&first))
		if err != nil {
			return nil, err
		}
		two, err := pgq.Step(ctx, "second", func(ctx context.Context) (int64, error) {
			if second.Add(1) < 3 {
				return 0, errors.New("not yet")
			}
			return 10, nil
		})
		if err != nil {
			return nil, err
		}
		if job.Number < 4 {
			return nil, errors.New("after all steps")
		}
		return one + two, nil
	})
	b.ends(id, pgq.Completed, 4)
	if first.Load() != 1 || second.Load() != 3 {
		t.Errorf("the steps were called %d and %d times, want 1 and 3", first.Load(), second.Load())
	}
	if sum, err := pgq.Result[int](context.Background(), b.q, b.pool, id); err != nil || sum != 11 {
		t.Errorf("the result is %v, %v", sum, err)
	}
	failed, err := b.q.Errors(context.Background(), b.pool, id)
	if err != nil || len(failed) != 3 || failed[0].Error != `step "second": not yet` || failed[2].Error != "after all steps" || failed[0].Fingerprint == "" {
		t.Errorf("errors are %+v, %v", failed, err)
	}
}

// outcome is a result of a step that must survive being kept.
type outcome struct {
	Text string            `json:"text"`
	Map  map[string]any    `json:"map"`
	At   time.Time         `json:"at"`
	Deep *outcome          `json:"deep"`
	Tags map[string]string `json:"tags"`
}

func TestNamesAndResultsMayHoldAnything(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	names := []string{"'", `"`, "%s %d %", "a\nb\tc", "\u202etxet", "🙂", " ", `\`, "null", "$1", strings.Repeat("ü", 200), "A", "a"}
	big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	want := outcome{Text: "\u202e\n\"'%", Map: map[string]any{"n": nil, "f": 1e300}, At: time.Unix(0, 0).UTC(), Deep: &outcome{Text: "x"}}
	wrong := make(chan string, 100)
	w := b.worker(worker.Config{Client: pgq.New(pgq.Config{Codecs: []pgq.Codec{seal{}}})})
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		for i, name := range names {
			got, err := pgq.Step(ctx, name, func(context.Context) (int, error) { return i + 100*job.Number, nil })
			if err != nil || got != i+100 {
				wrong <- fmt.Sprintf("%q is %d, %v", name, got, err)
			}
		}
		got, err := pgq.Step(ctx, "struct", func(context.Context) (outcome, error) { return want, nil })
		if err != nil || fmt.Sprintf("%+v %v", got.Map, got.At) != fmt.Sprintf("%+v %v", want.Map, want.At) || got.Text != want.Text || got.Deep.Text != "x" {
			wrong <- fmt.Sprintf("struct is %+v, %v", got, err)
		}
		for _, size := range []int{1000, 100_000, len(big)} {
			huge, err := pgq.Step(ctx, fmt.Sprint("huge ", size), func(context.Context) (string, error) { return big[:size], nil })
			if err != nil || huge != big[:size] {
				wrong <- fmt.Sprintf("huge is of %d characters, %v", len(huge), err)
			}
		}
		secret, err := pgq.Step(ctx, "codec", func(context.Context) (sealed, error) { return sealed{Text: "x\x00y"}, nil })
		if err != nil || secret.Text != "x\x00y" {
			wrong <- fmt.Sprintf("sealed is %+v, %v", secret, err)
		}
		nothing, err := pgq.Step(ctx, "nothing", func(context.Context) (*outcome, error) { return nil, nil })
		if err != nil || nothing != nil {
			wrong <- fmt.Sprintf("nothing is %+v, %v", nothing, err)
		}
		if job.Number < 3 {
			return nil, errors.New("again")
		}
		return any(nil), nil
	})
	b.run(w)
	b.ends(b.enqueue(pgq.Options{Backoff: atOnce}), pgq.Completed, 3)
	for len(wrong) > 0 {
		t.Error(<-wrong)
	}
}

// sealed is a result with a codec.
type sealed struct{ Text string }

func (sealed) Codec() pgq.Codec { return seal{} }

// seal is a codec that writes bytes that are no JSON.
type seal struct{}

func (seal) Name() string { return "seal" }
func (seal) Encode(value any) ([]byte, error) {
	return append([]byte{0, 0xff}, value.(sealed).Text...), nil
}

func (seal) Decode(data []byte, into any) error {
	into.(*sealed).Text = string(data[2:])
	return nil
}

func TestNamesThatCannotBeUsedAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := func(context.Context) (int, error) { return 1, nil }
	refusals := make(chan error, 20)
	id := b.handles(pgq.Options{MaxAttempts: 1}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		for _, name := range []string{"", strings.Repeat("x", 201), "a\x00b", "a\xffb"} {
			_, err := pgq.Step(ctx, name, one)
			refusals <- err
			refusals <- pgq.SaveCursor(ctx, name, 1)
			refusals <- pgq.SleepFor(ctx, name, time.Hour)
		}
		if _, err := pgq.Step(ctx, "twice", one); err != nil {
			return nil, err
		}
		_, err := pgq.Step(ctx, "twice", one)
		refusals <- err
		_, err = pgq.WaitFor[int](ctx, "twice", time.Hour)
		refusals <- err
		_, _, err = pgq.LoadCursor[int](ctx, "twice")
		refusals <- err
		refusals <- pgq.SleepFor(ctx, "negative", -1)
		_, err = pgq.WaitFor[int](ctx, "negative", -1)
		refusals <- err
		_, err = pgq.Step(context.Background(), "outside", one)
		refusals <- err
		return nil, nil
	})
	b.ends(id, pgq.Completed, 1)
	if len(refusals) != 18 {
		t.Errorf("%d refusals", len(refusals))
	}
	for len(refusals) > 0 {
		var argument *pgq.ArgumentError
		if err := <-refusals; !errors.As(err, &argument) {
			t.Errorf("%v is no ArgumentError", err)
		}
	}
	if n := b.number("select count(*) from pgq.steps"); n != 1 {
		t.Errorf("%d steps are kept, want 1", n)
	}
}

func TestAResultThatCannotBeKeptFailsTheJobForGood(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, _ *pgq.Job[letter]) (any, error) {
		return pgq.Step(ctx, "channel", func(context.Context) (any, error) { return make(chan int), nil })
	})
	b.errorHas(b.ends(id, pgq.Failed, 1), `step "channel": pgq: result must be encodable`)
}

func TestAResultWhoseCodecTheWorkerDoesNotKnowFailsTheJobForGood(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, _ *pgq.Job[letter]) (any, error) {
		return pgq.Step(ctx, "sealed", func(context.Context) (sealed, error) { return sealed{}, nil })
	})
	b.errorHas(b.ends(id, pgq.Failed, 1), `step "sealed": pgq: codec is not configured: "seal"`)
}

func TestACursorOfATransactionThatWasRolledBackIsTheOneBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	seen := make(chan string, 4)
	look := func(ctx context.Context) {
		cursor, found, err := pgq.LoadCursor[int](ctx, "c")
		seen <- fmt.Sprint(cursor, found, err)
	}
	id := b.handles(pgq.Options{}, func(ctx context.Context, _ *pgq.Job[letter]) (any, error) {
		rolledBack := errors.New("rolled back")
		save := func(n int) error {
			return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
				return errors.Join(pgq.SaveCursorIn(ctx, tx, "c", n), rolledBack)
			})
		}
		look(ctx)
		_ = save(1)
		look(ctx)
		if err := pgq.SaveCursor(ctx, "c", 2); err != nil {
			return nil, err
		}
		look(ctx)
		_ = save(3)
		look(ctx)
		return nil, nil
	})
	b.ends(id, pgq.Completed, 1)
	for _, want := range []string{"0 false <nil>", "0 false <nil>", "2 true <nil>", "2 true <nil>"} {
		if got := <-seen; got != want {
			t.Errorf("the cursor is %s, want %s", got, want)
		}
	}
}

func TestAPanicInAStepFailsTheAttemptWithItsStack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		return pgq.Step(ctx, "bomb", func(context.Context) (int, error) {
			if job.Number == 1 {
				panic("boom")
			}
			return job.Number, nil
		})
	})
	b.ends(id, pgq.Completed, 2)
	failed, err := b.q.Errors(context.Background(), b.pool, id)
	if err != nil || len(failed) != 1 || failed[0].Error != "panic: boom" || !strings.Contains(failed[0].Stack, "step_test.go") {
		t.Errorf("errors are %+v, %v", failed, err)
	}
}

func TestAThousandStepsAreReadAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var calls atomic.Int64
	const steps = 1000
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		for i := range steps {
			if _, err := pgq.Step(ctx, fmt.Sprint(i), counts(&calls)); err != nil {
				return nil, err
			}
			if job.Number == 1 && i == steps/2 {
				return nil, errors.New("half-way")
			}
		}
		return nil, nil
	})
	b.ends(id, pgq.Completed, 2)
	if calls.Load() != steps {
		t.Errorf("%d calls, want %d", calls.Load(), steps)
	}
	kept, err := b.q.Steps(context.Background(), b.pool, id)
	if err != nil || len(kept) != steps || kept[0].Name != "0" || *kept[0].Attempt != 1 || *kept[steps-1].Attempt != 2 {
		t.Errorf("%d steps are kept, %v", len(kept), err)
	}
	var value int
	if err := kept[41].Decode(&value); err != nil || value != 42 {
		t.Errorf("step 41 is %d, %v", value, err)
	}
	if _, err := b.q.Delete(context.Background(), b.pool, id); err != nil {
		t.Fatal(err)
	}
	if n := b.number("select count(*) from pgq.steps"); n != 0 {
		t.Errorf("%d steps outlive their job", n)
	}
}

func TestAZombieRecordsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	zombie := make(chan error, 3)
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		value, err := pgq.Step(ctx, "effect", func(context.Context) (int, error) {
			if job.Number == 1 {
				b.giveAway(job.ID)
			}
			return job.Number, nil
		})
		if job.Number == 1 {
			zombie <- err
			zombie <- pgq.SaveCursor(ctx, "cursor", 1)
			zombie <- pgq.SleepFor(ctx, "sleep", time.Hour)
		}
		return value, err
	})
	for range cap(zombie) {
		if err := receive(t, zombie, "the refusal"); !errors.Is(err, pgq.ErrLeaseLost) {
			t.Errorf("the zombie got %v, want ErrLeaseLost", err)
		}
	}
	b.ends(id, pgq.Completed, 2)
	if value, err := pgq.Result[int](context.Background(), b.q, b.pool, id); err != nil || value != 2 {
		t.Errorf("the result is %v, %v; want that of the second attempt", value, err)
	}
	if n := b.number("select count(*) from pgq.steps"); n != 1 {
		t.Errorf("%d steps are kept, want 1", n)
	}
}

func TestTheResultOfAStepIsRecordedAlthoughTheContextHasEnded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var calls atomic.Int64
	id := b.handles(pgq.Options{Backoff: atOnce, Timeout: time.Second}, func(ctx context.Context, _ *pgq.Job[letter]) (any, error) {
		_, err := pgq.Step(ctx, "slow", func(ctx context.Context) (int, error) {
			calls.Add(1)
			<-ctx.Done() // it has had its effect
			return 1, nil
		})
		if err == nil {
			err = context.Cause(ctx)
		}
		return nil, err
	})
	b.ends(id, pgq.Completed, 2)
	if calls.Load() != 1 {
		t.Errorf("%d calls, want 1", calls.Load())
	}
}

func TestAStepInATransactionOfTheHandlersHappensOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.effects()
	page := func(ctx context.Context, job *pgq.Job[letter], step string, fails bool) error {
		return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
			_, err := pgq.StepIn(ctx, tx, step, func(ctx context.Context) (any, error) {
				_, err := tx.Exec(ctx, "insert into effects values ($1)", job.ID)
				return nil, err
			})
			if err == nil {
				err = pgq.SaveCursorIn(ctx, tx, "pages", step)
			}
			if err == nil && fails {
				err = errors.New("rolled back")
			}
			return err
		})
	}
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		cursor, found, err := pgq.LoadCursor[string](ctx, "pages")
		if want := map[int]string{1: "", 2: "", 3: "a", 4: "b"}[job.Number]; err != nil || cursor != want || found != (want != "") {
			return nil, pgq.Permanent(fmt.Errorf("attempt %d begins at %q, %v, %w", job.Number, cursor, found, err))
		}
		if err := page(ctx, job, "a", job.Number == 1); err != nil {
			return nil, err
		}
		if job.Number == 2 {
			return nil, errors.New("between")
		}
		if err := page(ctx, job, "b", false); err != nil || job.Number > 3 {
			return nil, err
		}
		return nil, errors.New("at the end")
	})
	b.ends(id, pgq.Completed, 4)
	if n := b.number("select count(*) from effects"); n != 2 {
		t.Errorf("%d effects, want 2", n)
	}
}

func TestStepsAndCursorsInATransactionOfDatabaseSQL(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	db := stdlib.OpenDBFromPool(b.pool)
	t.Cleanup(func() { _ = db.Close() })
	var calls atomic.Int64
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer func() { _ = tx.Rollback() }()
		for _, name := range []string{"small", "large"} {
			got, err := pgq.StepIn(ctx, pgq.FromSQL(tx), name, func(context.Context) (string, error) {
				calls.Add(1)
				return strings.Repeat(name, 1<<15), nil
			})
			if err != nil || got != strings.Repeat(name, 1<<15) {
				return nil, fmt.Errorf("%d characters: %w", len(got), err)
			}
		}
		err = errors.Join(pgq.SaveCursorIn(ctx, pgq.FromSQL(tx), "cursor", job.Number), tx.Commit())
		if job.Number == 1 {
			err = errors.Join(err, errors.New("again"))
		}
		return nil, err
	})
	b.ends(id, pgq.Completed, 2)
	if calls.Load() != 2 {
		t.Errorf("%d calls, want 2", calls.Load())
	}
}

func TestAStepInATransactionNeedsNoSecondConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	config := b.pool.Config()
	config.MaxConns = 1
	one, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(one.Close)
	ctx := context.Background()
	b.enqueue(pgq.Options{})
	workerID, err := b.q.Register(ctx, one, pgq.Registration{Name: "one", Queues: []string{"default"}, Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := b.q.Claim(ctx, one, pgq.ClaimRequest{WorkerID: workerID, Queues: []string{"default"}, Limits: []int32{1}})
	if err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	handler, cancel := context.WithTimeout(context.WithValue(ctx, pgq.AttemptKey{}, claimed[0]), deadline)
	defer cancel()
	err = pgx.BeginFunc(handler, one, func(tx pgx.Tx) error {
		_, err := pgq.StepIn(handler, tx, "step", func(context.Context) (int, error) { return 1, nil })
		return errors.Join(err, pgq.SaveCursorIn(handler, tx, "cursor", 1))
	})
	if err != nil {
		t.Error(err)
	}
}

func TestACursorGoesOnWhereTheLastAttemptStopped(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var rounds atomic.Int64
	id := b.handles(pgq.Options{Backoff: atOnce}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		next, _, err := pgq.LoadCursor[int](ctx, "rows")
		for ; err == nil && next < 10; err = pgq.SaveCursor(ctx, "rows", next) {
			if rounds.Add(1) == 4 {
				return nil, errors.New("in the middle of round 4")
			}
			next++
		}
		again, found, loadErr := pgq.LoadCursor[int](ctx, "rows")
		if again != 10 || !found {
			return nil, fmt.Errorf("the cursor is %d, %v", again, found)
		}
		return next, errors.Join(err, loadErr)
	})
	b.ends(id, pgq.Completed, 2)
	if rounds.Load() != 11 {
		t.Errorf("%d rounds, want 11", rounds.Load())
	}
}

func TestARetriedJobGoesOnAfterItsLastStepUnlessStepsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := context.Background()
	var calls atomic.Int64
	id := b.handles(pgq.Options{MaxAttempts: 1}, func(ctx context.Context, job *pgq.Job[letter]) (any, error) {
		if _, err := pgq.Step(ctx, "first", counts(&calls)); err != nil || job.Number == 3 {
			return nil, err
		}
		return nil, errors.New("oops")
	})
	b.ends(id, pgq.Failed, 1)
	if _, err := b.q.Retry(ctx, b.pool, id); err != nil {
		t.Fatal(err)
	}
	b.ends(id, pgq.Failed, 2)
	if calls.Load() != 1 {
		t.Errorf("%d calls after a retry, want 1", calls.Load())
	}
	err := pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := b.q.ForgetSteps(ctx, tx, id); err != nil {
			return err
		}
		_, err := b.q.Retry(ctx, tx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.ends(id, pgq.Completed, 3)
	if calls.Load() != 2 {
		t.Errorf("%d calls after the steps were forgotten, want 2", calls.Load())
	}
}

func TestStepsOfOneAttemptMayRunAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var calls atomic.Int64
	w := b.worker(worker.Config{})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[letter]) error {
		const steps = 8
		errs := make(chan error, steps)
		for i := range steps {
			go func() {
				_, err := pgq.Step(ctx, fmt.Sprint(i), counts(&calls))
				errs <- err
			}()
		}
		var all error
		for range steps {
			all = errors.Join(all, <-errs)
		}
		if all == nil && job.Number == 1 {
			return errors.New("again")
		}
		return all
	})
	b.run(w)
	b.ends(b.enqueue(pgq.Options{Backoff: atOnce}), pgq.Completed, 2)
	if calls.Load() != 8 {
		t.Errorf("%d calls, want 8", calls.Load())
	}
}
