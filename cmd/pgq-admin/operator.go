package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// operator is who does something and why, as the flags say; it is kept with the events.
type operator struct{ actor, reason string }

// flags gives a command --reason and --actor.
func (o *operator) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.reason, "reason", "", "why; is kept with the events")
	c.Flags().StringVar(&o.actor, "actor", "", "who, if not the database's user; is kept with the events")
}

// client returns the client that says so.
func (o *operator) client(s *session) *pgq.Client { return s.q.By(o.actor, o.reason) }

// pauseText says of what is paused since when, by whom and why: "since 2026-11-22T04:30:12Z by ann: database moves".
func pauseText(at time.Time, by, reason *string) string {
	text := "since " + at.UTC().Format(time.RFC3339)
	if by != nil {
		text += " by " + output.Clean(*by)
	}
	if reason != nil {
		text += ": " + output.Clean(*reason)
	}
	return text
}
