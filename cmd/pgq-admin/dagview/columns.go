package dagview

import (
	"fmt"
	"time"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
)

// Runs are the columns of DAGs.
var Runs = []output.Column[dagsql.Run]{
	{Name: "id", Value: func(r dagsql.Run) any { return r.ID }},
	{Name: "name", Value: func(r dagsql.Run) any { return r.Name }},
	{Name: "key", Value: func(r dagsql.Run) any { return r.Key }},
	{Name: "state", Value: func(r dagsql.Run) any { return r.State }},
	{Name: "created_at", Value: func(r dagsql.Run) any { return r.CreatedAt }},
	{Name: "took", Value: func(r dagsql.Run) any { return span(&r.CreatedAt, r.FinishedAt) }},
	{Name: "queue", Level: output.Wide, Value: func(r dagsql.Run) any { return r.Queue }},
	{Name: "priority", Level: output.Wide, Value: func(r dagsql.Run) any { return r.Priority }},
	{Name: "finished_at", Level: output.Wide, Value: func(r dagsql.Run) any { return r.FinishedAt }},
	{Name: "deadline", Level: output.Wide, Value: func(r dagsql.Run) any { return r.Deadline }},
	{Name: "forked_from", Level: output.Wide, Value: func(r dagsql.Run) any { return r.ForkedFrom }},
	{Name: "tags", Level: output.Wide, Value: func(r dagsql.Run) any { return r.Tags }},
	{Name: "fail_fast", Level: output.Data, Value: func(r dagsql.Run) any { return r.FailFast }},
	{Name: "output", Level: output.Data, Value: func(r dagsql.Run) any { return r.Output }},
	{Name: "metadata", Level: output.Data, Value: func(r dagsql.Run) any { return r.Metadata }},
	{Name: "cause_id", Level: output.Data, Value: func(r dagsql.Run) any { return r.CauseID }},
	{Name: "error", Value: func(r dagsql.Run) any { return r.Error }},
}

// Nodes are the columns of the nodes of a DAG.
var Nodes = []output.Column[Node]{
	{Name: "node", Value: func(n Node) any { return n.Name }},
	{Name: "state", Value: func(n Node) any { return n.State }},
	{Name: "kind", Value: func(n Node) any { return n.kind() }},
	{Name: "attempt", Value: func(n Node) any { return n.attempt() }},
	{Name: "items", Value: func(n Node) any { return n.items() }},
	{Name: "took", Value: func(n Node) any { return span(n.ClaimedAt, n.FinishedAt) }},
	{Name: "after", Level: output.Wide, Value: func(n Node) any { return n.After }},
	{Name: "rule", Level: output.Wide, Value: func(n Node) any { return string(n.Rule) }},
	{Name: "level", Level: output.Wide, Value: func(n Node) any { return n.Level }},
	{Name: "id", Level: output.Wide, Value: func(n Node) any { return n.ID }},
	{Name: "queue", Level: output.Wide, Value: func(n Node) any { return n.Queue }},
	{Name: "worker_id", Level: output.Wide, Value: func(n Node) any { return n.WorkerID }},
	{Name: "role", Level: output.Data, Value: func(n Node) any { return n.Role }},
	{Name: "max_attempts", Level: output.Data, Value: func(n Node) any { return n.MaxAttempts }},
	{Name: "done", Level: output.Data, Value: func(n Node) any { return n.Done }},
	{Name: "total", Level: output.Data, Value: func(n Node) any { return n.Total }},
	{Name: "created_at", Level: output.Data, Value: func(n Node) any { return n.CreatedAt }},
	{Name: "run_at", Level: output.Data, Value: func(n Node) any { return n.RunAt }},
	{Name: "claimed_at", Level: output.Data, Value: func(n Node) any { return n.ClaimedAt }},
	{Name: "finished_at", Level: output.Data, Value: func(n Node) any { return n.FinishedAt }},
	{Name: "cause_id", Level: output.Data, Value: func(n Node) any { return n.CauseID }},
	{Name: "cause", Level: output.Data, Value: func(n Node) any { return n.Cause }},
	{Name: "error", Value: func(n Node) any { return n.Error }},
}

// kind returns the kind of the job, or what the node is instead of one.
func (n Node) kind() string {
	if n.Role == "" {
		return n.Kind
	}
	return "(" + n.Role + ")"
}

// attempt returns "2/5"; nothing for what has not been tried.
func (n Node) attempt() any {
	switch {
	case n.Attempt == 0 || n.Role != "":
		return nil
	case n.MaxAttempts == nil:
		return fmt.Sprint(n.Attempt)
	}
	return fmt.Sprintf("%d/%d", n.Attempt, *n.MaxAttempts)
}

// items returns "12/100"; nothing for what has no items.
func (n Node) items() any {
	if n.Done == nil || n.Total == nil {
		return nil
	}
	return fmt.Sprintf("%d/%d", *n.Done, *n.Total)
}

// span returns the time from one to the other; nothing if one is not known.
func span(from, to *time.Time) any {
	if from == nil || to == nil {
		return nil
	}
	return max(0, to.Sub(*from))
}

var slowest = []output.Column[dagsql.SlowNode]{
	{Name: "node", Value: func(n dagsql.SlowNode) any { return n.Name }},
	{Name: "took", Value: func(n dagsql.SlowNode) any { return n.Ran }},
	{Name: "state", Value: func(n dagsql.SlowNode) any { return n.State }},
	{Name: "attempt", Value: func(n dagsql.SlowNode) any { return n.Attempt }},
	{Name: "kind", Value: func(n dagsql.SlowNode) any { return n.Kind }},
	{Name: "id", Level: output.Data, Value: func(n dagsql.SlowNode) any { return n.ID }},
	{Name: "worker_id", Level: output.Data, Value: func(n dagsql.SlowNode) any { return n.WorkerID }},
}

var path = []output.Column[dagsql.PathNode]{
	{Name: "node", Value: func(n dagsql.PathNode) any { return n.Name }},
	{Name: "waited", Value: func(n dagsql.PathNode) any { return n.Waited }},
	{Name: "ran", Value: func(n dagsql.PathNode) any { return n.Ran }},
	{Name: "share", Value: func(n dagsql.PathNode) any { return output.Fraction(n.Share) }},
	{Name: "id", Level: output.Data, Value: func(n dagsql.PathNode) any { return n.ID }},
}

var progress = []output.Column[dagsql.Progress]{
	{Name: "fraction", Value: func(p dagsql.Progress) any { return output.Fraction(p.Fraction) }},
	{Name: "total", Value: func(p dagsql.Progress) any { return p.Total }},
	{Name: "waiting", Value: func(p dagsql.Progress) any { return p.Waiting }},
	{Name: "scheduled", Value: func(p dagsql.Progress) any { return p.Scheduled }},
	{Name: "ready", Value: func(p dagsql.Progress) any { return p.Ready }},
	{Name: "running", Value: func(p dagsql.Progress) any { return p.Running }},
	{Name: "completed", Value: func(p dagsql.Progress) any { return p.Completed }},
	{Name: "failed", Value: func(p dagsql.Progress) any { return p.Failed }},
	{Name: "cancelled", Value: func(p dagsql.Progress) any { return p.Cancelled }},
	{Name: "expired", Value: func(p dagsql.Progress) any { return p.Expired }},
	{Name: "skipped", Value: func(p dagsql.Progress) any { return p.Skipped }},
	{Name: "elapsed", Value: func(p dagsql.Progress) any { return p.Elapsed }},
	{Name: "remaining", Value: func(p dagsql.Progress) any { return p.Remaining }},
}
