package dagsql

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

// Held is the state of a DAG that is held; see [Client.Hold].
const Held pgq.State = "held"

// Run is a DAG that was submitted. Nil means not given, or not yet.
type Run struct {
	ID       int64
	Name     string
	Key      *string
	Queue    string
	Priority int
	// State is pgq.Running until the DAG has ended, Held while it is held.
	State      pgq.State
	CreatedAt  time.Time
	FinishedAt *time.Time
	Deadline   *time.Time
	FailFast   bool
	Output     *string // the node whose result is the DAG's
	ForkedFrom *int64
	Tags       []string
	Metadata   json.RawMessage
	Error      *string
	CauseID    *int64 // the job that failed first
}

const runColumns = `id, name, key, queue, priority, state, created_at, finished_at, deadline, on_failure = 'cancel',
	output, forked_from, tags, metadata, error, cause_id`

func scanRun(row pgx.CollectableRow) (r Run, err error) {
	err = row.Scan(&r.ID, &r.Name, &r.Key, &r.Queue, &r.Priority, &r.State, &r.CreatedAt, &r.FinishedAt, &r.Deadline, &r.FailFast,
		&r.Output, &r.ForkedFrom, &r.Tags, (*[]byte)(&r.Metadata), &r.Error, &r.CauseID)
	return r, err
}

// Get returns a DAG. pgq.ErrNotFound: there is none with this id (any more).
func (c *Client) Get(ctx context.Context, db pgq.DB, id int64) (Run, error) {
	return c.run(ctx, db, fmt.Sprintf("DAG %d", id), "dags where id = $1", id)
}

// Find returns the DAG with this name and key. pgq.ErrNotFound: there is none (any more).
func (c *Client) Find(ctx context.Context, db pgq.DB, name, key string) (Run, error) {
	return c.run(ctx, db, fmt.Sprintf("DAG %s with key %q", name, key),
		"dags where id = (select "+c.q.Table("dag_of_key")+"($1, $2))", name, key)
}

// Await waits until a DAG has ended, whichever way, and returns it; as pgq's AwaitFinished does.
func (c *Client) Await(ctx context.Context, db pgq.DB, id int64) (Run, error) {
	if _, err := c.q.AwaitFinished(ctx, db, id); err != nil {
		return Run{}, err
	}
	return c.Get(ctx, db, id)
}

func (c *Client) run(ctx context.Context, db pgq.DB, what, rest string, args ...any) (Run, error) {
	runs, err := collect(ctx, c, db, "read the DAG", scanRun, runColumns, rest, args...)
	if err == nil && len(runs) == 0 {
		err = fmt.Errorf("%w: %s", pgq.ErrNotFound, what)
	}
	if err != nil {
		return Run{}, err
	}
	return runs[0], nil
}

// Filter chooses DAGs or nodes: those that fit all that is given.
type Filter struct {
	// IDs and Names of DAGs, or of nodes.
	IDs    []int64
	Names  []string
	States []pgq.State
	// Top leaves out nodes of sub-DAGs and items of maps. It means nothing for DAGs.
	Top bool
	// From is the cursor, which List and Nodes return.
	From int64
	// Limit is the size of the page: 100 by default.
	Limit int
}

func (f Filter) limit() int {
	if f.Limit <= 0 {
		return 100
	}
	return f.Limit
}

// states returns the states as what any driver can send; nil for all.
func (f Filter) states() []string {
	var states []string
	for _, state := range f.States {
		states = append(states, string(state))
	}
	return states
}

// List returns a page of DAGs, newest first, and the cursor of the next page: 0 when this is the last.
func (c *Client) List(ctx context.Context, db pgq.DB, f Filter) (runs []Run, next int64, err error) {
	runs, err = collect(ctx, c, db, "list DAGs", scanRun, runColumns,
		`dags where ($1::text[] is null or name = any($1)) and ($2::text[] is null or state = any($2)) and ($3 = 0 or id < $3)
		 and ($5::bigint[] is null or id = any($5)) order by id desc limit $4`, f.Names, f.states(), f.From, f.limit(), f.IDs)
	if len(runs) == f.limit() {
		next = runs[len(runs)-1].ID
	}
	return runs, next, err
}

// NodeInfo is all that is known of a node. Nil means not given, or not yet.
type NodeInfo struct {
	ID          int64
	Name        string
	Scope       string // the sub-DAG that it is in; empty for the DAG itself
	Role        string // what it is, if no handler runs it: dag, map, external, sleep
	Kind        string
	Queue       string
	State       pgq.State
	Attempt     int
	MaxAttempts *int
	CreatedAt   time.Time
	RunAt       *time.Time
	ClaimedAt   *time.Time
	FinishedAt  *time.Time
	WorkerID    *int64
	Rule        Rule
	// Pending, OK, Failed and Skipped count the parents of a node that waits, or the items of a map under way.
	Pending, OK, Failed, Skipped *int
	Held                         bool
	Error                        *string
	// CauseID and Cause are the job whose failure ended this one.
	CauseID *int64
	Cause   *string
}

func scanNode(row pgx.CollectableRow) (n NodeInfo, err error) {
	err = row.Scan(&n.ID, &n.Name, &n.Scope, &n.Role, &n.Kind, &n.Queue, &n.State, &n.Attempt, &n.MaxAttempts, &n.CreatedAt, &n.RunAt,
		&n.ClaimedAt, &n.FinishedAt, &n.WorkerID, &n.Rule, &n.Pending, &n.OK, &n.Failed, &n.Skipped, &n.Held, &n.Error, &n.CauseID, &n.Cause)
	return n, err
}

// Nodes returns a page of the nodes of a DAG in the order in which they were added, items of maps after the others, and
// the cursor of the next page: 0 when this is the last.
func (c *Client) Nodes(ctx context.Context, db pgq.DB, id int64, f Filter) (nodes []NodeInfo, next int64, err error) {
	nodes, err = collect(ctx, c, db, "read the nodes", scanNode,
		`job_id, name, coalesce(scope, ''), coalesce(role, ''), kind, queue, state, attempt, max_attempts, created_at, run_at, claimed_at,
		 finished_at, worker_id, coalesce(rule, ''), pending, ok, failed, skipped, held, error, cause_id, cause`,
		`dag_nodes where dag_id = $1 and role is distinct from 'gate' and ($2::text[] is null or name = any($2))
		 and ($3::text[] is null or state = any($3)) and job_id > $4 and ($6::bigint[] is null or job_id = any($6))
		 and (not $7 or name !~ '[][/]') order by job_id limit $5`,
		id, f.Names, f.states(), f.From, f.limit(), f.IDs, f.Top)
	if len(nodes) == f.limit() {
		next = nodes[len(nodes)-1].ID
	}
	return nodes, next, err
}

// Progress is how far a DAG is: how many of its jobs are in which state. Sub-DAGs, maps, sleeps and external nodes do
// not count; the items of a map do from when they exist.
type Progress struct {
	Total, Waiting, Scheduled, Ready, Running      int64
	Completed, Failed, Cancelled, Expired, Skipped int64
	Fraction                                       float64
	Elapsed                                        time.Duration
	Remaining                                      *time.Duration // an estimate from earlier runs; nil if nothing is known
}

// Progress returns how far a DAG is. pgq.ErrNotFound: there is no such DAG.
func (c *Client) Progress(ctx context.Context, db pgq.DB, id int64) (Progress, error) {
	var p Progress
	err := db.QueryRow(ctx, c.q.From(`total, waiting, scheduled, ready, running, completed, failed, cancelled, expired, skipped,
		fraction, elapsed, remaining`, "dag_progress($1)"), id).
		Scan(&p.Total, &p.Waiting, &p.Scheduled, &p.Ready, &p.Running, &p.Completed, &p.Failed, &p.Cancelled, &p.Expired, &p.Skipped,
			&p.Fraction, &p.Elapsed, &p.Remaining)
	return p, wrap("read the progress", err)
}

// PathNode is a node of the critical path.
type PathNode struct {
	Position int
	Name     string
	ID       int64
	Waited   time.Duration // from the end of the one before to the start of its last attempt
	Ran      time.Duration
	Share    float64 // of the time of the whole path
}

// CriticalPath returns the chain of nodes that determined when the DAG ended, or when the node ended that ended last so
// far. pgq.ErrNotFound: there is no such DAG.
func (c *Client) CriticalPath(ctx context.Context, db pgq.DB, id int64) ([]PathNode, error) {
	return collect(ctx, c, db, "find the critical path", pgx.RowToStructByPos[PathNode],
		"position, name, job_id, waited, ran, share", "dag_critical_path($1) order by position", id)
}

// SlowNode is a node and how long its last attempt took.
type SlowNode struct {
	Name     string
	ID       int64
	Kind     string
	State    pgq.State
	Attempt  int
	WorkerID *int64
	Ran      time.Duration
}

// Slowest returns up to n nodes whose last attempts took longest, slowest first; those that run count with the time until
// now. pgq.ErrNotFound: there is no such DAG.
func (c *Client) Slowest(ctx context.Context, db pgq.DB, id int64, n int) ([]SlowNode, error) {
	return collect(ctx, c, db, "find the slowest nodes", pgx.RowToStructByPos[SlowNode],
		"name, job_id, kind, state, attempt, worker_id, ran", "dag_slowest($1, $2) order by ran desc, job_id", id, n)
}

// Level is a node's level: 0 without parents, else one more than the highest of theirs.
type Level struct {
	Name  string
	Level int
}

// Levels returns the levels of the nodes, by level. pgq.ErrNotFound: there is no such DAG.
func (c *Client) Levels(ctx context.Context, db pgq.DB, id int64) ([]Level, error) {
	return collect(ctx, c, db, "find the levels", pgx.RowToStructByPos[Level], "name, level", "dag_levels($1)", id)
}

// Graph is what a picture of a DAG shows: its nodes, each sub-DAG followed by what is in it, and the edges between them.
// Items of maps are not shown.
type Graph struct {
	Nodes []GraphNode `json:"nodes"`
	Edges []GraphEdge `json:"edges"`
	More  int         `json:"more"` // nodes that are not shown
}

// GraphNode is a node of a [Graph], or a job outside of the DAG that nodes wait for.
type GraphNode struct {
	ID      string    `json:"id"` // n0, n1 …; stays the same when nodes are added; j17 for job 17 outside of the DAG
	JobID   int64     `json:"job_id"`
	Name    string    `json:"name,omitempty"` // empty for a job outside of the DAG
	Label   string    `json:"label"`
	Role    string    `json:"role,omitempty"` // what it is, if no handler runs it: dag, map, external, sleep
	Kind    string    `json:"kind,omitempty"`
	Rule    Rule      `json:"rule,omitempty"` // empty for All
	AtLeast int       `json:"at_least,omitempty"`
	State   pgq.State `json:"state"`
	Done    *int      `json:"done,omitempty"` // items of a map, once it is known how many there are
	Total   *int      `json:"total,omitempty"`
	Depth   int       `json:"depth"` // 0 at the top
	Empty   bool      `json:"empty,omitempty"`
	First   string    `json:"first,omitempty"` // of a sub-DAG: ids of nodes inside
	Last    string    `json:"last,omitempty"`
}

// GraphEdge is an edge of a [Graph], between ids of its nodes.
type GraphEdge struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Soft      bool   `json:"soft,omitempty"`
	Condition string `json:"condition,omitempty"`
}

// Graph returns what a picture of a DAG shows, with the first so many nodes. pgq.ErrNotFound: there is no such DAG.
func (c *Client) Graph(ctx context.Context, db pgq.DB, id int64, maxNodes int) (Graph, error) {
	var data []byte
	var g Graph
	err := db.QueryRow(ctx, c.q.From("*", "dag_graph_json($1, $2)"), id, maxNodes).Scan(&data)
	if err == nil {
		err = json.Unmarshal(data, &g)
	}
	return g, wrap("read the graph", err)
}

// Reason is one of the reasons why something does not run.
type Reason struct {
	// Reason is a word: the sorts of reasons are listed in explain_job.sql.
	Reason string
	// Detail says it in words.
	Detail string
	// JobID is the job that is to blame, if one is.
	JobID *int64
}

// Explain says why a node does not run; why the DAG has not ended if the node is "". pgq.ErrNotFound: there is no
// such DAG or node.
func (c *Client) Explain(ctx context.Context, db pgq.DB, id int64, node string) ([]Reason, error) {
	return collect(ctx, c, db, "explain the node", pgx.RowToStructByPos[Reason],
		"reason, coalesce(detail, ''), job_id", "dag_explain($1, nullif($2, ''))", id, node)
}

// collect reads rows of a function or view.
func collect[T any](
	ctx context.Context, c *Client, db pgq.DB, verb string, scan pgx.RowToFunc[T], columns, rest string, args ...any,
) ([]T, error) {
	rows, err := db.Query(ctx, c.q.From(columns, rest), args...)
	if err != nil {
		return nil, wrap(verb, err)
	}
	all, err := pgx.CollectRows(rows, scan)
	return all, wrap(verb, err)
}
