package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// consumerURL makes a test binary a process that consumes events.
const consumerURL = "PGQ_TEST_CONSUMER_URL"

// consumerMain consumes pauses and resumptions until SIGTERM: it notes pauses in the transaction of its position, in the table once, and
// resumptions outside of it, in the table often.
func consumerMain(url string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer pool.Close()
	c := &pgq.Consumer{Name: "c", BatchSize: 20, Lease: time.Second, RetryAfter: 5 * time.Millisecond, PollInterval: 50 * time.Millisecond}
	c.HandleTx(pgq.EventPaused, func(ctx context.Context, tx pgx.Tx, e pgq.Event) error {
		if _, err := tx.Exec(ctx, "insert into once values ($1)", *e.Queue); err != nil {
			return err
		}
		if rand.IntN(50) == 0 {
			return errors.New("now and then")
		}
		return nil
	})
	c.Handle(pgq.EventResumed, func(ctx context.Context, e pgq.Event) error {
		_, err := pool.Exec(ctx, "insert into often values ($1)", *e.Queue)
		return err
	})
	err = pgq.New(pgq.Config{}).Consume(ctx, pool, c)
	if !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Writers pause and resume queues of their own in transactions that last for ever longer, of which a quarter is rolled back. Consumers are
// killed meanwhile. In the end each event that was committed was handled: in the transaction of the position once, outside of it at least once.
func TestNoEventIsLostWhenConsumersAreKilledAndTransactionsCommitInAnyOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec("create table written (queue text)")
	s.exec("create table once (queue text)")
	s.exec("create table often (queue text)")
	if _, err := s.q.SetConsumer(t.Context(), s.pool, pgq.Consumer{Name: "c", Types: []pgq.EventType{pgq.EventPaused, pgq.EventResumed}}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range 6 {
		pool := connect(t, s.url)
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := writeEvents(s, pool, fmt.Sprintf("%d-%d", i, n), i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	consumers := []*process{s.process(consumerURL + "=" + s.url), s.process(consumerURL + "=" + s.url)}
	for round := range 6 {
		s.moves("select count(*) from once", 50)
		consumers[round%2].kill()
		consumers[round%2] = s.process(consumerURL + "=" + s.url)
	}
	stop()
	writers.Wait()
	written := s.number("select count(*) from written")
	s.becomes(written, "select count(distinct queue) from often")
	s.becomes(written, "select count(*) from once")
	s.is(0, "events whose effects happened twice", "select count(*) - count(distinct queue) from once")
	s.is(0, "events that were never written and were handled", "select count(*) from once where queue not in (select queue from written)")
	s.is(0, "events that are unread", "select behind from pgq.consumer_states")
	t.Logf("%d events, %d deliveries of those that may come twice", 2*written, s.number("select count(*) from often"))
}

// writeEvents pauses and resumes a queue in a transaction that writer does something in meanwhile.
func writeEvents(s *system, pool *pgxpool.Pool, queue string, writer int) error {
	ctx := context.Background()
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if err := s.q.PauseQueue(ctx, tx, queue, ""); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "select pg_sleep($1)", float64(writer*writer)*rand.Float64()/200); err != nil {
		return err
	}
	if err := s.q.ResumeQueue(ctx, tx, queue); err != nil {
		return err
	}
	if rand.IntN(4) == 0 {
		return tx.Rollback(ctx)
	}
	if _, err := tx.Exec(ctx, "insert into written values ($1)", queue); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// moves waits until a number has risen by so much.
func (s *system) moves(sql string, by int64) {
	s.t.Helper()
	from := s.number(sql)
	eventually(s.t, fmt.Sprintf("%s rises by %d", sql, by), func() bool { return s.number(sql) >= from+by })
}
