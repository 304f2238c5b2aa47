package pgq

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Class is what a database role is in PGQ. Classes add up.
type Class string

// The classes of database roles; docs/roles.md says what each may do.
const (
	// Producer enqueues jobs and DAGs and sees what it enqueued.
	Producer Class = "producer"
	// WorkerClass claims and finishes jobs and does chores.
	WorkerClass Class = "worker"
	// Operator sees everything and steers jobs and queues.
	Operator Class = "operator"
	// Reader sees everything but args and results.
	Reader Class = "reader"
	// Owner is a member of the role that owns the schema: it may do everything.
	Owner Class = "owner"
)

// Grant is what a database role is allowed, for [Client.Grant]; and what to take back, for [Client.Revoke].
type Grant struct {
	Class Class
	Role  string
	// Queues are those into which a producer may enqueue; nil for all of them.
	Queues []string
	// Tenants are those of whose jobs a reader sees, in the view tenant_jobs, and nothing else; nil for all jobs.
	Tenants []string
	// Payloads lets a reader see args and results, too.
	Payloads bool
}

// Grant lets a database role do what a class may; granting more adds to what it has. Needs the rights of an owner of
// the schema. *ArgumentError: there is no such class or role, or what is given does not go with the class. ErrPermission.
func (c *Client) Grant(ctx context.Context, db DB, g Grant) error {
	_, err := db.Exec(ctx, c.from("*", "grant_role($1, $2, $3::text[], $4, $5::text[])"),
		string(g.Class), g.Role, g.Queues, g.Payloads, g.Tenants)
	return wrap("grant", err)
}

// Revoke takes a class back from a database role; with Queues, Tenants or Payloads only that part of it. It tells whether the
// role had any of that. Open sessions lose the right at their next statement. Errors are those of Grant.
func (c *Client) Revoke(ctx context.Context, db DB, g Grant) (had bool, err error) {
	err = db.QueryRow(ctx, c.from("*", "revoke_role($1, $2, $3::text[], $4::text[], $5)"),
		string(g.Class), g.Role, g.Queues, g.Tenants, g.Payloads).Scan(&had)
	return had, wrap("revoke", err)
}

// Granted is a class that a database role has.
type Granted struct {
	Grant
	// GrantedBy and GrantedAt are nil for owners.
	GrantedBy *string
	GrantedAt *time.Time
}

// Grants returns which database role may do what, owners included. Members of a role may do what it may.
func (c *Client) Grants(ctx context.Context, db DB) ([]Granted, error) {
	rows, err := db.Query(ctx, c.from("class, role, queues, tenants, payloads, granted_by, granted_at", "granted_roles")+" order by role, class")
	if err != nil {
		return nil, wrap("read the grants", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g Granted, err error) {
		err = row.Scan((*string)(&g.Class), &g.Role, &g.Queues, &g.Tenants, &g.Payloads, &g.GrantedBy, &g.GrantedAt)
		return g, err
	})
	return all, wrap("read the grants", err)
}
