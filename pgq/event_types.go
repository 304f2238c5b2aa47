package pgq

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// EventType says what happened. event_types lists them in SQL.
type EventType string

// The usual way of a job: written for queues of level EventsAll, or while somebody subscribes.
const (
	EventEnqueued  EventType = "enqueued"
	EventClaimed   EventType = "claimed"
	EventCompleted EventType = "completed" // of DAGs and maps it is a change
	EventReleased  EventType = "released"  // a worker gave the job back
)

// Changes of jobs: written for queues of level EventsChanges, too. What their details are stands behind them.
const (
	EventRetried         EventType = "retried"   // an attempt failed, the job is tried again: Error, Stack, RunAt
	EventSnoozed         EventType = "snoozed"   // RunAt
	EventFailed          EventType = "failed"    // for good: Error, Stack
	EventCancelled       EventType = "cancelled" // Error, By
	EventExpired         EventType = "expired"
	EventSkipped         EventType = "skipped"          // Cause
	EventCancelRequested EventType = "cancel_requested" // By, Reason, as of those that follow
	EventRetryRequested  EventType = "retry_requested"
	EventRescheduled     EventType = "rescheduled" // RunAt
	EventDeleted         EventType = "deleted"     // by hand
	EventReplaced        EventType = "replaced"
	EventMoved           EventType = "moved"        // From, To
	EventPrioritySet     EventType = "priority_set" // From, To
	EventSignalled       EventType = "signalled"    // Step
)

// Changes of DAGs and their nodes.
const (
	EventSubmitted EventType = "submitted" // Nodes
	EventExtended  EventType = "extended"  // Nodes
	EventHeld      EventType = "held"      // Reason
	EventResumed   EventType = "resumed"   // of queues, too
	EventOpened    EventType = "opened"    // an external node waits for its answer, or a sleep for its time
)

// Changes of queues and of many jobs.
const (
	EventPaused       EventType = "paused"        // By, Reason, as of all of these; of limits Scope and Name, too
	EventQueueSet     EventType = "queue_set"     // settings of a queue changed
	EventLimitSet     EventType = "limit_set"     // Scope, Name
	EventLimitDeleted EventType = "limit_deleted" // Scope, Name
	EventOperated     EventType = "operated"      // an operator changed many jobs: Verb; the rest is in Data
)

// Changes of circuit breakers (see [Limit]), with the job whose end was the reason.
const (
	EventBreakerOpened EventType = "breaker_opened"
	EventBreakerClosed EventType = "breaker_closed"
)

// Changes of sequences (see Options.Sequence), with the job that stopped them.
const (
	EventSequenceStopped EventType = "sequence_stopped" // Sequence
	EventSequenceResumed EventType = "sequence_resumed" // Sequence
)

// AnyEvent stands for all types where a handler is given; see [Consumer.Handle].
const AnyEvent EventType = ""

// EventTypes returns all types of events.
func EventTypes() []EventType {
	return []EventType{EventEnqueued, EventClaimed, EventCompleted, EventReleased, EventRetried, EventSnoozed, EventFailed, EventCancelled,
		EventExpired, EventSkipped, EventCancelRequested, EventRetryRequested, EventRescheduled, EventReplaced, EventDeleted, EventMoved, EventPrioritySet,
		EventSignalled, EventSubmitted, EventExtended, EventHeld, EventResumed, EventOpened, EventPaused, EventQueueSet, EventLimitSet,
		EventLimitDeleted, EventOperated, EventBreakerOpened,
		EventBreakerClosed, EventSequenceStopped, EventSequenceResumed}
}

// EventDetails are what else there is to say of an event: which fields are set depends on its type.
type EventDetails struct {
	Error     string          `json:"error"`
	Stack     string          `json:"stack"`
	LeaseLost bool            `json:"lease_lost"` // the worker of the attempt died
	RunAt     *time.Time      `json:"run_at"`
	Reason    string          `json:"reason"`
	Cause     *int64          `json:"cause"` // the job whose end ruled this one out
	Step      string          `json:"step"`
	Sequence  string          `json:"sequence"`
	Nodes     int             `json:"nodes"`
	From      json.RawMessage `json:"from"` // a queue (a JSON string) or a priority (a number)
	To        json.RawMessage `json:"to"`
	Verb      string          `json:"verb"`
	By        string          `json:"by"`
	Scope     string          `json:"scope"` // of a limit: queue, kind or group
	Name      string          `json:"name"`  // of what is limited
}

// Details returns what else there is to say of the event.
func (e Event) Details() (EventDetails, error) {
	var d EventDetails
	if len(e.Data) == 0 {
		return d, nil
	}
	return d, json.Unmarshal(e.Data, &d)
}

// EventTypeInfo says what a type of events is.
type EventTypeInfo struct {
	Type    EventType
	Usual   bool // it is the usual way of a job, written at level EventsAll
	Meaning string
}

// EventTypeInfos returns the types of events that the database knows.
func (c *Client) EventTypeInfos(ctx context.Context, db DB) ([]EventTypeInfo, error) {
	rows, err := db.Query(ctx, c.from("type, usual, meaning", "event_types()"))
	if err != nil {
		return nil, wrap("read the types of events", err)
	}
	types, err := pgx.CollectRows(rows, pgx.RowToStructByPos[EventTypeInfo])
	return types, wrap("read the types of events", err)
}

// textsOf returns words of a type of their own as text; nil for none.
func textsOf[T ~string](words []T) []string {
	var texts []string
	for _, word := range words {
		texts = append(texts, string(word))
	}
	return texts
}
