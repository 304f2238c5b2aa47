package pgq

import (
	"context"
	"time"
)

// Prune says which finished jobs to delete.
type Prune struct {
	// OlderThan: they ended longer ago than this.
	OlderThan time.Duration
	// Queues and States, all that are terminal by default, choose among them.
	Queues []string
	States []State
	// After is where to go on; 0 is the beginning.
	After int64
	// Limit is how many jobs to delete at most: 1,000 by default, at most 10,000.
	Limit int
	// Try only counts them.
	Try bool
}

// Prune deletes jobs that ended long ago, whatever their queues say of how long they are kept, and DAGs with all their nodes. It is
// one bounded step: it returns how many were deleted (nodes of DAGs are not counted) and the After of the next step, 0 after the
// last one. What others have locked stays. It writes an event "operated"; see [Client.By]. Errors: *[ArgumentError].
func (c *Client) Prune(ctx context.Context, db DB, p Prune) (deleted int, next int64, err error) {
	ids, next, err := c.PruneIDs(ctx, db, p)
	return len(ids), next, err
}

// PruneIDs is [Client.Prune] that tells which jobs it deleted, or would.
func (c *Client) PruneIDs(ctx context.Context, db DB, p Prune) (ids []int64, next int64, err error) {
	var states []string
	for _, state := range p.States {
		states = append(states, string(state))
	}
	err = db.QueryRow(ctx, c.from("job_ids, coalesce(next_after, 0)", "prune_finished($1, $2, $3, $4, $5, $6, nullif($7, ''), nullif($8, ''))"),
		p.OlderThan, p.Queues, states, p.After, first(p.Limit, 1000), p.Try, c.reason, c.actor).Scan(&ids, &next)
	return ids, next, wrap("prune", err)
}

// PruneKept deletes up to about so many jobs that were kept for as long as their queues say, as the chores do now and then. It writes an event "operated"; see [Client.By].
func (c *Client) PruneKept(ctx context.Context, db DB, atMost int) (deleted int, err error) {
	err = db.QueryRow(ctx, c.from("*", "prune($1, true, nullif($2, ''), nullif($3, ''))"), atMost, c.reason, c.actor).Scan(&deleted)
	return deleted, wrap("prune", err)
}
