package pgq

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
)

// ExportSettings calls line for each queue, kind, limit, schedule and consumer with its settings as a JSON object that [Client.Import] takes;
// the first line is an [ExportHeader], the last one an [ExportEnd]. All is as of one instant. An error of line ends it.
//
// Not exported: pauses of queues and limits, positions of consumers, runs of schedules, rights.
func (c *Client) ExportSettings(ctx context.Context, db DB, line func(json.RawMessage) error) error {
	rows, err := db.Query(ctx, c.from("line", "export_settings()"))
	if err != nil {
		return wrap("export", err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return wrap("export", err)
	}
	header := ExportHeader{Of: "settings"}
	if err := db.QueryRow(ctx, "select now()").Scan(&header.At); err != nil {
		return wrap("export", err)
	}
	return framed(header, line, func() (*int64, error) {
		for _, text := range lines {
			if err := line(text); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// ImportedSettings says what an import did to a queue, kind, limit, schedule or consumer.
type ImportedSettings struct {
	Of    string `json:"of"`
	Scope string `json:"scope"` // of limits: queue, kind or group
	Name  string `json:"name"`
	// Outcome is created, changed or unchanged.
	Outcome string `json:"outcome"`
}

// importSettings takes a line of [Client.ExportSettings].
func (c *Client) importSettings(ctx context.Context, db DB, line json.RawMessage) (ImportedSettings, error) {
	var s ImportedSettings
	if err := db.QueryRow(ctx, c.from("*", "import_setting($1)"), line).Scan(&s.Outcome); err != nil {
		return s, wrap("import", err)
	}
	outcome := s.Outcome
	err := json.Unmarshal(line, &s)
	s.Outcome = outcome
	return s, wrap("import", err)
}
