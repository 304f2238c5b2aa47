package dagview

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// Watch shows a DAG until it has ended: on a terminal it draws the view again and again, elsewhere it writes a line, or a
// JSON object, per change.
type Watch struct {
	Client *dagsql.Client
	DB     DB
	Screen output.Screen
	Options
	// JSON writes a JSON object per line.
	JSON bool
	// Interval between two looks; 500 ms by default. A look that costs much takes place less often.
	Interval time.Duration
	// Indent is written before every line.
	Indent string

	painter output.Painter
	states  map[int64]pgq.State // that were told
	quarter int                 // of the whole, that was told
	nodes   *output.Table[Node] // on the terminal
}

// Run watches a DAG and returns it as it was at the last look: how it ended unless there is an error. Errors:
// pgq.ErrNotFound, the context's cause.
func (w *Watch) Run(ctx context.Context, id int64) (*View, error) {
	var err error
	if w.nodes, err = output.NewTable(&output.Options{}, Nodes); err != nil {
		return nil, err
	}
	if w.Interval <= 0 {
		w.Interval = 500 * time.Millisecond
	}
	w.states = map[int64]pgq.State{}
	w.painter.Screen = w.Screen
	var last *View
	err = output.Repeat(ctx, w.Interval, func() (bool, error) {
		v, err := Load(ctx, w.Client, w.DB, id, w.Options)
		if err != nil {
			return false, err
		}
		before := last
		last = v
		return v.Run.State.Finished(), w.tell(v, before)
	})
	return last, err
}

func (w *Watch) tell(v, last *View) error {
	switch {
	case w.JSON:
		return w.changes(v, last, w.object)
	case w.Screen.Terminal:
		return w.draw(v)
	}
	return w.changes(v, last, w.line)
}

// draw draws the view over the one before. What does not fit on the terminal is left out: what has ended first.
func (w *Watch) draw(v *View) error {
	screen := w.Screen.Narrower(len(w.Indent))
	lines := append(v.Head(screen), "")
	_, height := screen.Size()
	rows := v.Nodes
	more := 0
	if room := max(3, height-len(lines)-3); height > 0 && len(rows) > room {
		more = len(rows) - room
		rows = liveliest(rows, room)
	}
	lines = append(lines, w.nodes.Lines(screen, rows)...)
	if more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", more))
	}
	for i := range lines {
		lines[i] = w.Indent + lines[i]
	}
	return w.painter.Draw(lines)
}

// liveliest returns so many nodes in their order, those that have not ended rather than those that have.
func liveliest(nodes []Node, n int) []Node {
	spare := len(nodes) - n
	chosen := make([]Node, 0, len(nodes))
	for _, node := range nodes {
		if spare > 0 && node.State == pgq.Completed {
			spare--
			continue
		}
		chosen = append(chosen, node)
	}
	return chosen[:n]
}

// changes tells what has changed since the last view.
func (w *Watch) changes(v, last *View, tell func(v *View, n *Node) error) error {
	if !v.Run.State.Finished() && (last == nil || last.Run.State != v.Run.State) {
		if err := tell(v, nil); err != nil {
			return err
		}
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if before, ok := w.states[n.ID]; ok && before == n.State || !ok && (n.State == pgq.Waiting || n.State == dagsql.Held) {
			w.states[n.ID] = n.State
			continue
		}
		w.states[n.ID] = n.State
		if err := tell(v, n); err != nil {
			return err
		}
	}
	if quarter := int(v.Progress.Fraction * 4); quarter > w.quarter || v.Run.State.Finished() {
		w.quarter = quarter
		return tell(v, nil)
	}
	return nil
}

// line writes a change for people.
func (w *Watch) line(v *View, n *Node) error {
	if n == nil {
		_, err := fmt.Fprintf(w.Screen, "%s%s: %s, %s\n", w.Indent, v.Title(), v.Run.State, v.Counts())
		return err
	}
	text := fmt.Sprintf("%s%8s  %-9s  %s", w.Indent, "+"+output.Brief(v.Progress.Elapsed), n.State, output.Clean(n.Name))
	if took, ok := span(n.ClaimedAt, n.FinishedAt).(time.Duration); ok {
		text += " in " + output.Brief(took)
	}
	if n.Attempt > 1 && n.Role == "" {
		text += fmt.Sprintf(", attempt %d", n.Attempt)
	}
	if n.Total != nil && *n.Total > 0 {
		text += fmt.Sprintf(", %d of %d", *n.Done, *n.Total)
	}
	if n.Error != nil {
		text += ": " + output.Clean(*n.Error)
	}
	_, err := fmt.Fprintln(w.Screen, text)
	return err
}

// object writes a change for programs.
func (w *Watch) object(v *View, n *Node) error {
	change := struct {
		DAG      json.RawMessage `json:"dag,omitempty"`
		Progress json.RawMessage `json:"progress,omitempty"`
		Node     json.RawMessage `json:"node,omitempty"`
	}{}
	if n != nil {
		row, err := output.Objects(Nodes, *n)
		if err != nil {
			return err
		}
		change.Node = row[0]
		return output.Document(w.Screen, output.FormatJSONL, change)
	}
	run, err := output.Objects(Runs, v.Run)
	if err != nil {
		return err
	}
	far, err := output.Objects(progress, v.Progress)
	if err != nil {
		return err
	}
	change.DAG, change.Progress = run[0], far[0]
	return output.Document(w.Screen, output.FormatJSONL, change)
}
