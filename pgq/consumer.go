package pgq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// EventStart says where a consumer begins to read.
type EventStart string

// Where a consumer may begin; see also [FromEvent].
const (
	FromNow       EventStart = "now"       // what is committed from now on
	FromBeginning EventStart = "beginning" // the oldest event that is kept
)

// FromEvent begins behind the event of an id.
func FromEvent(id int64) EventStart { return EventStart(strconv.FormatInt(id, 10)) }

// Consumer reads events at a position of its own, which the database keeps: it survives restarts, and each event that is written comes at
// least once, whatever order transactions commit in. Processes that use the same name share the position; one at a time has a batch.
// Register it with [Client.SetConsumer], or give it handlers and run it with [Client.Consume]. A consumer does not change what is written:
// that is up to the level of each queue ([QueueSettings].Events).
type Consumer struct {
	Name string
	// Queues and Types choose the events; none: all. Consume takes the types that have handlers if Types is empty.
	Queues []string
	Types  []EventType
	// StartAt is where it begins when it is new; FromNow by default.
	StartAt EventStart
	// Keep is for how long events that it has not read are kept for it when they would be deleted otherwise; 7 days by default.
	Keep time.Duration

	// What follows concerns Consume alone.

	// BatchSize is how many events are taken at a time, 100 by default; Lease after what time without news of this process another one
	// takes over, 30 s by default.
	BatchSize int
	Lease     time.Duration
	// PollInterval bounds the pauses between looks, 1 s by default. LISTEN makes it much faster than that; PollOnly does without, for
	// connections through a transaction pooler.
	PollInterval time.Duration
	PollOnly     bool
	// RetryAfter is the pause after an event has failed for the first time, 1 s by default; it doubles each time, up to a minute.
	// An event that has failed MaxFailures times in a row is given up (counted as skipped); 0: never.
	RetryAfter  time.Duration
	MaxFailures int
	// OnError hears of every error: of handlers, with the event, and of the database, with nil. They are retried whatever it does.
	OnError func(e *Event, err error)

	handlers map[EventType]eventHandler
}

// SetConsumer creates a consumer, or sets which events it wants and for how long they are kept for it; the position of one that exists
// stays. It says whether it was created. *ArgumentError: a field breaks a rule.
func (c *Client) SetConsumer(ctx context.Context, db DB, consumer Consumer) (created bool, err error) {
	if consumer.StartAt == "" {
		consumer.StartAt = FromNow
	}
	if consumer.Keep == 0 {
		consumer.Keep = 7 * 24 * time.Hour
	}
	var outcome string
	err = db.QueryRow(ctx, c.from("*", "set_consumer($1, $2, $3, $4, $5)"), consumer.Name, consumer.Queues, textsOf(consumer.Types),
		consumer.Keep, string(consumer.StartAt)).Scan(&outcome)
	return outcome == "created", wrap("set the consumer", err)
}

// ResetConsumer moves the position of a consumer. Whoever has a batch of it loses the lease. ErrNotFound: there is none of this name.
func (c *Client) ResetConsumer(ctx context.Context, db DB, name string, to EventStart) error {
	_, err := db.Exec(ctx, c.from("*", "reset_consumer($1, $2)"), name, string(to))
	return wrap("reset the consumer", err)
}

// DeleteConsumer deletes a consumer with its position. ErrNotFound: there is none of this name.
func (c *Client) DeleteConsumer(ctx context.Context, db DB, name string) error {
	_, err := db.Exec(ctx, c.from("*", "delete_consumer($1)"), name)
	return wrap("delete the consumer", err)
}

// ConsumeEvents reads the next events of a consumer, at most so many, and moves its position behind them, both in the caller's transaction:
// what that writes about them is written exactly once. None: nothing has happened, or another process is at it, which gets nothing more
// until the transaction ends. The transaction must be read committed.
func (c *Client) ConsumeEvents(ctx context.Context, tx DB, consumer string, atMost int) ([]Event, error) {
	rows, err := tx.Query(ctx, c.from(eventColumns, "consume_events($1, $2)"), consumer, atMost)
	if err != nil {
		return nil, wrap("consume events", err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	return events, wrap("consume events", err)
}

// EventBatch is what a consumer leased: events that nobody else gets until the lease ends.
type EventBatch struct {
	Consumer string
	Token    int64 // names the lease
	Failures int   // how often the first event has failed in a row
	Events   []Event
}

// LeaseEvents leases the next events of a consumer, at most so many; by says who has them. A batch without events: nothing has happened,
// another process has a batch, or the consumer waits after a failure. End the lease with [Client.AckEvents] or [Client.FailEvents]; one that
// ends by itself gives the events to who comes next.
func (c *Client) LeaseEvents(ctx context.Context, db DB, consumer string, atMost int, lease time.Duration, by string) (*EventBatch, error) {
	rows, err := db.Query(ctx, c.from("token, failures, "+eventColumns, "lease_events($1, $2, $3, nullif($4, ''))"),
		consumer, atMost, lease, Printable(by))
	if err != nil {
		return nil, wrap("lease events", err)
	}
	batch := &EventBatch{Consumer: consumer}
	batch.Events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Event, err error) {
		var data []byte
		err = row.Scan(&batch.Token, &batch.Failures, &e.ID, &e.JobID, &e.Queue, &e.Kind, &e.Type, &e.Attempt, &e.WorkerID, &e.At, &data)
		e.Data = data
		return e, err
	})
	return batch, wrap("lease events", err)
}

// AckEvents says that the events of a batch up to an id are done, of which skipped were given up, and ends the lease; 0 is all of them. In the
// transaction that writes their effects these happen exactly once. ErrLeaseLost: somebody else has the events; roll back.
func (c *Client) AckEvents(ctx context.Context, db DB, b *EventBatch, upTo int64, skipped int) error {
	return c.onLease(ctx, db, "ack events", "ack_events($1, $2, nullif($3, 0), $4)", b.Consumer, b.Token, upTo, skipped)
}

// FailEvents says that the events of a batch up to an id are done (0: none), of which skipped were given up, that the next one failed, and
// when it is to be tried again, and ends the lease. ErrLeaseLost: somebody else has the events.
func (c *Client) FailEvents(ctx context.Context, db DB, b *EventBatch, upTo int64, skipped int, cause error, retryIn time.Duration) error {
	return c.onLease(ctx, db, "fail events", "fail_events($1, $2, $3, $4, $5, $6)", b.Consumer, b.Token, upTo, Printable(cause.Error()), retryIn, skipped)
}

// ExtendEvents lets the lease of a batch last for so long from now on. ErrLeaseLost: somebody else has the events.
func (c *Client) ExtendEvents(ctx context.Context, db DB, b *EventBatch, lease time.Duration) error {
	return c.onLease(ctx, db, "extend the lease of events", "extend_events($1, $2, $3)", b.Consumer, b.Token, lease)
}

func (c *Client) onLease(ctx context.Context, db DB, verb, call string, args ...any) error {
	var held bool
	if err := db.QueryRow(ctx, c.from("*", call), args...).Scan(&held); err != nil {
		return wrap(verb, err)
	}
	if !held {
		return ErrLeaseLost
	}
	return nil
}

// ConsumerState is where a consumer is and whether all is well with it. Nil means not given, or not yet.
type ConsumerState struct {
	Name   string
	State  string // idle, behind, reading, failing
	Queues []string
	Types  []EventType
	// Behind is how many events it has yet to read, counted among the first 10,000 that it might not have read; Exact says whether these are all.
	Behind      int
	Exact       bool
	Lag         *time.Duration // how old the oldest of them is
	PositionID  int64          // events of transactions that commit late may lie below
	Handled     int64
	Skipped     int64
	Failures    int
	Error       *string
	RetryAt     *time.Time
	LeasedBy    *string
	LeasedUntil *time.Time
	Keep        time.Duration
	ReadAt      *time.Time
	LostAt      *time.Time // when events that it had not read were deleted
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

const consumerColumns = `name, state, queues, types, behind, exact, lag, position_id, handled, skipped, failures, error, retry_at, leased_by,
	leased_until, keep, read_at, lost_at, created_at, updated_at`

// ConsumerState returns where a consumer is. ErrNotFound: there is none of this name.
func (c *Client) ConsumerState(ctx context.Context, db DB, name string) (ConsumerState, error) {
	rows, err := db.Query(ctx, c.from(consumerColumns, "consumer_states")+" where name = $1", name)
	if err != nil {
		return ConsumerState{}, wrap("read the consumer", err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[ConsumerState])
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("%w: there is no consumer %q", ErrNotFound, name)
	}
	return s, wrap("read the consumer", err)
}

// ConsumerStates returns where consumers are, by name.
func (c *Client) ConsumerStates(ctx context.Context, db DB) ([]ConsumerState, error) {
	rows, err := db.Query(ctx, c.from(consumerColumns, "consumer_states")+" order by name")
	if err != nil {
		return nil, wrap("read the consumers", err)
	}
	states, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ConsumerState])
	return states, wrap("read the consumers", err)
}
