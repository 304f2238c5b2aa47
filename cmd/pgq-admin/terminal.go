package main

import (
	"io"
	"log/slog"
	"time"

	"github.com/lmittmann/tint"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
)

// newLogger returns a logger that writes for people on a terminal and JSON for programs elsewhere.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	if screen := output.NewScreen(w); screen.Terminal {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !screen.Colours}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
