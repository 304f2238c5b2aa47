package pgq

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
)

// KindSettings are settings of all jobs of a kind, kept in the database, where they can be changed while jobs wait. A
// job's own settings win over them; they win over those of its queue.
type KindSettings struct {
	// Backoff is how long to wait after failed attempts; nil: as the queue says.
	Backoff *Backoff
}

// SetKind sets the settings of a kind; what is nil is put back to what queues say. *ArgumentError: a setting
// breaks a rule; nothing was changed.
func (c *Client) SetKind(ctx context.Context, db DB, kind string, s KindSettings) error {
	if rule := nameProblem(kind); rule != "" {
		return &ArgumentError{Field: "kind", Rule: rule}
	}
	document, err := json.Marshal(map[string]any{"backoff": s.Backoff})
	if err != nil {
		return &ArgumentError{Field: "settings", Rule: "must be encodable: " + err.Error()}
	}
	_, err = db.Exec(ctx, c.from("*", "set_kind($1, $2::jsonb)"), kind, json.RawMessage(document))
	return wrap("set the kind", err)
}

// KindSettings returns the settings of a kind, which may have none.
func (c *Client) KindSettings(ctx context.Context, db DB, kind string) (KindSettings, error) {
	var s KindSettings
	rows, err := db.Query(ctx, "select backoff from "+c.schema+".kind_settings where name = $1 and backoff is not null", kind)
	if err != nil {
		return s, wrap("read the settings of the kind", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil || len(found) == 0 {
		return s, wrap("read the settings of the kind", err)
	}
	s.Backoff = &Backoff{}
	return s, wrap("read the settings of the kind", json.Unmarshal(found[0], s.Backoff))
}
