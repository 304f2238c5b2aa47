package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// receipt is a result.
type receipt struct {
	Number int `json:"number"`
}

// parcel is a kind whose args are a pointer type.
type parcel struct {
	Weight int `json:"weight"`
}

func (*parcel) Kind() string { return "parcel" }

func TestAHandlerGetsItsArgsAndItsResultIsKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{})
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[letter]) (receipt, error) {
		return receipt{job.Args.To * 2}, nil
	})
	b.run(w)
	id := b.add(letter{To: 21}, pgq.Options{})
	b.ends(id, pgq.Completed, 1)
	result, err := pgq.Result[receipt](context.Background(), b.q, b.pool, id)
	if err != nil || result.Number != 42 {
		t.Fatalf("result is %v, %v; want 42", result, err)
	}
}

func TestAHandlerWithoutAResultCompletesItsJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	got := make(chan int, 1)
	w := b.worker(worker.Config{})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[letter]) error {
		got <- job.Args.To
		return nil
	})
	b.run(w)
	id := b.add(letter{To: 7}, pgq.Options{})
	if job := b.ends(id, pgq.Completed, 1); job.Output != nil {
		t.Errorf("output is %s, want none", job.Output)
	}
	if n := receive(t, got, "the args"); n != 7 {
		t.Errorf("args say %d, want 7", n)
	}
}

func TestArgsMayBeAPointerType(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{})
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[*parcel]) (int, error) { return job.Args.Weight, nil })
	b.run(w)
	id := b.add(&parcel{Weight: 3}, pgq.Options{})
	if job := b.ends(id, pgq.Completed, 1); string(job.Output) != "3" {
		t.Errorf("output is %s, want 3", job.Output)
	}
}

func TestAKindWithoutAGoTypeReadsItsArgsItself(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{})
	worker.HandleKind(w, "from_sql", func(_ context.Context, job *pgq.Attempt) (any, error) {
		var args map[string]any
		err := job.DecodeArgs(&args)
		return args["x"], err
	})
	b.run(w)
	id := b.number(`select pgq.enqueue('from_sql', '{"x": "y"}')`)
	if job := b.ends(id, pgq.Completed, 1); string(job.Output) != `"y"` {
		t.Errorf("output is %s, want \"y\"", job.Output)
	}
}

func TestMiddlewareWrapsHandlersTheFirstOneOutermost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var order []string
	around := func(name string) worker.Middleware {
		return func(next worker.Handler) worker.Handler {
			return func(ctx context.Context, job *pgq.Attempt) (any, error) {
				order = append(order, "into "+name)
				result, err := next(ctx, job)
				order = append(order, "out of "+name)
				return result, err
			}
		}
	}
	w := b.worker(worker.Config{Middleware: []worker.Middleware{around("a"), around("b")}})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error {
		order = append(order, "handler")
		return nil
	})
	stop := b.run(w)
	b.ends(b.enqueue(pgq.Options{}), pgq.Completed, 1)
	stop()
	if want := []string{"into a", "into b", "handler", "out of b", "out of a"}; !slices.Equal(order, want) {
		t.Errorf("order is %v, want %v", order, want)
	}
}

func TestTheContextHoldsTheAttemptAndALoggerThatOthersReadWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	release := make(chan struct{})
	w := b.worker(worker.Config{})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[letter]) error {
		if a := worker.JobFrom(ctx); a == nil || a.ID != job.ID || a.Number != 1 {
			return pgq.Permanent(errors.New("the context holds another attempt"))
		}
		log := worker.Logger(ctx).With("shelf", 3).WithGroup("page")
		log.Debug("not kept")
		log.Info("read a\x00 page", "number", 12)
		<-release
		return nil
	})
	b.run(w)
	id := b.enqueue(pgq.Options{})
	var lines []pgq.LogLine
	b.eventually("the log line can be read", func() bool {
		var err error
		if lines, err = b.q.Logs(context.Background(), b.pool, id, 0); err != nil {
			t.Fatal(err)
		}
		return len(lines) > 0
	})
	if state := b.get(id).State; state != pgq.Running {
		t.Errorf("job is %s, want running", state)
	}
	close(release)
	b.ends(id, pgq.Completed, 1)

	var attrs map[string]any
	if err := json.Unmarshal(lines[0].Attrs, &attrs); err != nil {
		t.Fatal(err)
	}
	page, _ := attrs["page"].(map[string]any)
	if len(lines) != 1 || lines[0].Message != "read a\uFFFD page" || lines[0].Attempt != 1 || attrs["shelf"] != 3.0 || page["number"] != 12.0 {
		t.Errorf("lines are %+v with attributes %v", lines, attrs)
	}
	if !b.log.has("page", "kind=letter", "attempt=1", "queue=default", "page.number=12") {
		t.Error("the worker's log lacks the line")
	}
	if worker.JobFrom(t.Context()) != nil {
		t.Error("outside of a handler there is an attempt")
	}
	worker.Logger(t.Context()).Debug("outside of handlers this is the default logger")
}

func TestWhatAJobHasLoggedIsThereWhenItHasEnded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[letter]) error {
		worker.Logger(ctx).Info("at work")
		if job.Args.To%2 == 0 {
			return pgq.Permanent(errors.New("moved"))
		}
		return nil
	})
	b.run(w)
	for i := range 10 {
		id := b.add(letter{To: i}, pgq.Options{})
		b.finished(id)
		if lines, err := b.q.Logs(t.Context(), b.pool, id, 0); err != nil || len(lines) != 1 {
			t.Errorf("job %d has ended, and its log is %v (%v)", id, lines, err)
		}
	}
}

func TestLinesOfAJobThatIsDeletedAreDropped(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.enqueue(pgq.Options{})
	if _, err := b.q.Delete(context.Background(), b.pool, id); err != nil {
		t.Fatal(err)
	}
	line := pgq.AddLog{AttemptID: pgq.AttemptID{JobID: id, Attempt: 1}, At: time.Now(), Level: "INFO", Message: "late"}
	if err := b.q.AddLogs(context.Background(), b.pool, []pgq.AddLog{line}); err != nil {
		t.Fatal(err)
	}
	if n := b.number("select count(*) from pgq.logs"); n != 0 {
		t.Errorf("%d lines were kept, want none", n)
	}
}

func TestProgressIsReadWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	release := make(chan struct{})
	w := b.worker(worker.Config{})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[letter]) error {
		if err := errors.Join(job.Progress(ctx, 1, 9), job.Progress(ctx, 5, 9)); err != nil {
			return pgq.Permanent(err)
		}
		var argument *pgq.ArgumentError
		if err := job.Progress(ctx, -1, 9); !errors.As(err, &argument) || argument.Field != "progress" {
			return pgq.Permanent(err)
		}
		<-release
		return nil
	})
	b.run(w)
	id := b.enqueue(pgq.Options{})
	b.eventually("progress is 5 of 9", func() bool {
		job := b.get(id)
		return job.Done != nil && *job.Done == 5 && *job.Total == 9
	})
	close(release)
	b.ends(id, pgq.Completed, 1)
}

func TestProbesSayWhetherTheWorkerIsAtWork(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	started, release := make(chan struct{}), make(chan struct{})
	w := b.worker(worker.Config{})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error {
		close(started)
		<-release
		return nil
	})
	health := w.Health()
	probe := func(path string, status int, part string) {
		t.Helper()
		answer := httptest.NewRecorder()
		health.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != status || !strings.Contains(answer.Body.String(), part) {
			t.Errorf("%s says %d %q, want %d with %q", path, answer.Code, answer.Body, status, part)
		}
	}
	probe("/readyz", 503, "not started")
	probe("/livez", 200, "ok")
	stop := b.run(w)
	probe("/readyz", 200, "ok")
	id := b.enqueue(pgq.Options{})
	receive(t, started, "the handler")
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	b.eventually("the worker stops", func() bool { return w.Ready() != nil })
	probe("/readyz", 503, "stopping")
	probe("/livez", 200, "ok")
	close(release)
	<-stopped
	b.ends(id, pgq.Completed, 1)
}
