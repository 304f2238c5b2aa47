package pgq

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Severity says how bad a [Finding] is.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical" // it does not work, or data is at risk
	Warning  Severity = "warning"  // it will not go well for long
	Info     Severity = "info"     // good to know
)

// Finding is something that an operator should know of.
type Finding struct {
	Name     string // a word for programs: "dead_rows"
	Severity Severity
	Subject  string // what it is about: a table, a queue, a session
	Meaning  string // what is so, and what that leads to
	Repair   string // SQL or a command
}

// DoctorOptions say from when on something is worth telling. Zero is the default.
type DoctorOptions struct {
	LongTransaction  time.Duration // 10 min: transactions that are open for so long
	OldJob           time.Duration // 1 h: jobs that could have been claimed for so long
	LateChores       time.Duration // 30 s: chores, and jobs that are due, that are late by so much
	DeadRows         int64         // 100,000 dead rows in a table, if they are a fifth of the live ones
	BloatBytes       int64         // 256 MB for a table with few rows
	TransactionAge   int64         // 1,000 million transactions since the database's oldest row
	FrontierRows     int           // 1,000 ranges of nodes that wait for news
	ConnectionsShare float64       // 0.8 of the connections in use
	NotifyShare      float64       // 0.25 of the NOTIFY queue in use
	SequenceShare    float64       // 0.5 of the numbers of a sequence used up
	ClockSkew        time.Duration // 5 s between this machine's clock and the database's
}

// Doctor looks for what keeps PGQ from working well, now or soon: settings of the server, transactions that keep dead rows,
// tables, indexes and sequences, leases, chores, queues, rights, clocks. Worst first. It changes and locks nothing, and its
// cost does not grow with the number of jobs. See [Client.Check] for broken invariants.
func (c *Client) Doctor(ctx context.Context, db DB, o DoctorOptions) ([]Finding, error) {
	const call = `doctor(long_transaction => $1, old_job => $2, late_chores => $3, dead_rows => $4, bloat_bytes => $5,
		transaction_age => $6, frontier_rows => $7, connections_share => $8, notify_share => $9, sequence_share => $10)`
	rows, err := db.Query(ctx, c.from("finding, severity, subject, meaning, repair", call),
		given(o.LongTransaction), given(o.OldJob), given(o.LateChores), given(o.DeadRows), given(o.BloatBytes),
		given(o.TransactionAge), given(o.FrontierRows), given(o.ConnectionsShare), given(o.NotifyShare), given(o.SequenceShare))
	if err != nil {
		return nil, wrap("look for findings", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Finding])
	if err != nil {
		return nil, wrap("look for findings", err)
	}
	skew, err := clockSkew(ctx, db, first(o.ClockSkew, 5*time.Second), time.Now)
	return append(found, skew...), err
}

// clockSkew compares the clocks of this machine and of the database: the fastest of three answers tells.
func clockSkew(ctx context.Context, db DB, limit time.Duration, now func() time.Time) ([]Finding, error) {
	var skew time.Duration
	best := time.Duration(-1)
	for range 3 {
		var theirs time.Time
		asked := now()
		if err := db.QueryRow(ctx, "select clock_timestamp()").Scan(&theirs); err != nil {
			return nil, wrap("read the clock", err)
		}
		took := now().Sub(asked)
		if best < 0 || took < best {
			best, skew = took, asked.Add(took/2).Sub(theirs)
		}
	}
	if skew.Abs()-best/2 <= limit {
		return nil, nil
	}
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	return []Finding{{Name: "clock_skew", Severity: Warning, Subject: "clock of this machine", Repair: "synchronize both with NTP: timedatectl set-ntp true",
		Meaning: fmt.Sprintf("It is %s %s the database's. Only the database's decides when jobs run; but times that are given here, and those in logs, do not fit.",
			skew.Abs().Round(time.Millisecond), direction)}}, nil
}
