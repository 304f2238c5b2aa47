package worker

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/pgq-go/queue/pgq"
)

const (
	flushEvery = 250 * time.Millisecond
	// maxLines bounds what waits to be written; when the database is away the newest lines are dropped.
	maxLines = 10_000
)

// Logger returns a logger for the handler that was given the context. Its records carry the job's id, queue,
// kind and attempt; they go to the worker's logger, and from the level Info on they are kept with the job,
// where pgq.Client.Logs reads them, a quarter of a second later while it runs, and at once when it has ended. Outside of handlers it returns slog.Default().
func Logger(ctx context.Context) *slog.Logger {
	s, ok := ctx.Value(contextKey{}).(*started)
	if !ok {
		return slog.Default()
	}
	outer := s.engine.log.With(s.attrs()...)
	return slog.New(jobHandler{outer: outer.Handler(), buffer: s.engine.logs, id: s.key()})
}

// jobHandler is a slog.Handler that keeps records with their job.
type jobHandler struct {
	outer  slog.Handler
	buffer *logBuffer
	id     pgq.AttemptID
	groups []string
	attrs  []slog.Attr
}

func (h jobHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.outer.Enabled(ctx, level)
}

func (h jobHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		h.buffer.add(h.line(r))
	}
	if !h.outer.Enabled(ctx, r.Level) {
		return nil
	}
	return h.outer.Handle(ctx, r)
}

func (h jobHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.outer = h.outer.WithAttrs(attrs)
	h.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], h.nest(attrs)...)
	return h
}

func (h jobHandler) WithGroup(name string) slog.Handler {
	h.outer = h.outer.WithGroup(name)
	h.groups = append(h.groups[:len(h.groups):len(h.groups)], name)
	return h
}

// nest puts attributes into the groups that are open.
func (h jobHandler) nest(attrs []slog.Attr) []slog.Attr {
	for i := len(h.groups) - 1; i >= 0; i-- {
		attrs = []slog.Attr{{Key: h.groups[i], Value: slog.GroupValue(attrs...)}}
	}
	return attrs
}

// line returns a record as it is kept.
func (h jobHandler) line(r slog.Record) pgq.AddLog {
	var own []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		own = append(own, a)
		return true
	})
	object := map[string]any{}
	addAttrs(object, h.attrs)
	addAttrs(object, h.nest(own))
	line := pgq.AddLog{AttemptID: h.id, At: r.Time, Level: r.Level.String(), Message: r.Message}
	if len(object) > 0 {
		line.Attrs, _ = json.Marshal(object) // plain maps of what plain made
	}
	return line
}

// addAttrs adds attributes to a JSON object; groups of the same name are merged.
func addAttrs(object map[string]any, attrs []slog.Attr) {
	for _, a := range attrs {
		v := a.Value.Resolve()
		key := pgq.Printable(a.Key)
		if v.Kind() != slog.KindGroup {
			if key != "" {
				object[key] = plain(v)
			}
			continue
		}
		inner := object
		if key != "" {
			var ok bool
			if inner, ok = object[key].(map[string]any); !ok {
				inner = map[string]any{}
				object[key] = inner
			}
		}
		addAttrs(inner, v.Group())
	}
}

// plain returns a value that JSON and jsonb can hold.
func plain(v slog.Value) any {
	switch v.Kind() {
	case slog.KindInt64, slog.KindUint64, slog.KindBool:
		return v.Any()
	default:
		return pgq.Printable(v.String())
	}
}

// logBuffer collects lines of all handlers and writes them now and then, and before jobs end.
type logBuffer struct {
	engine  *engine
	writing sync.Mutex // held by who writes: whoever comes next finds all earlier lines written
	mu      sync.Mutex
	lines   []pgq.AddLog
	lost    int
}

func newLogBuffer(e *engine) *logBuffer { return &logBuffer{engine: e} }

func (b *logBuffer) add(line pgq.AddLog) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) >= maxLines {
		b.lost++
		return
	}
	b.lines = append(b.lines, line)
}

func (b *logBuffer) flushLoop(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.flush(ctx)
		}
	}
}

// flush writes what there is. Lines that cannot be written are kept for the next time.
func (b *logBuffer) flush(ctx context.Context) {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	lines, lost := b.lines, b.lost
	b.lines, b.lost = nil, 0
	b.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := b.engine.client.AddLogs(ctx, b.engine.pool, lines)
	if err != nil && transient(err) {
		b.mu.Lock()
		b.lines = append(lines, b.lines...)
		b.mu.Unlock()
	} else if err != nil {
		b.engine.log.Warn("log lines of handlers could not be kept", "lines", len(lines), "error", err)
	}
	if lost > 0 {
		b.engine.log.Warn("log lines of handlers were dropped", "lines", lost)
	}
}
