package dagview

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// Show prints a view: all of it for people and in JSON and YAML, the nodes in the other formats. At most limit nodes are
// shown to people; 0 for all.
func (v *View) Show(s output.Screen, o output.Options, nodes *output.Table[Node], limit int) error {
	if o.Format == output.FormatJSON || o.Format == output.FormatYAML {
		return v.document(s, o.Format, nodes)
	}
	if !o.Format.ForPeople() {
		return nodes.Print(s, v.Nodes)
	}
	lines := append(v.Head(s), "")
	rows := nodes.Sorted(v.Nodes)
	more := 0
	if limit > 0 && len(rows) > limit {
		rows, more = rows[:limit], len(rows)-limit
	}
	lines = append(lines, nodes.Lines(s, rows)...)
	if more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more (--limit 0 shows all)", more))
	}
	lines = append(lines, v.Foot(s)...)
	_, err := io.WriteString(s, strings.Join(lines, "\n")+"\n")
	return err
}

// document prints the whole view as one document.
func (v *View) document(s output.Screen, f output.Format, nodes *output.Table[Node]) error {
	run, err := output.Objects(Runs, v.Run)
	if err != nil {
		return err
	}
	far, err := output.Objects(progress, v.Progress)
	if err != nil {
		return err
	}
	document := struct {
		DAG      json.RawMessage   `json:"dag"`
		Progress json.RawMessage   `json:"progress"`
		Nodes    []json.RawMessage `json:"nodes"`
		Slowest  []json.RawMessage `json:"slowest"`
		Path     []json.RawMessage `json:"critical_path"`
	}{DAG: run[0], Progress: far[0]}
	if document.Nodes, err = nodes.Objects(nodes.Sorted(v.Nodes)); err != nil {
		return err
	}
	if document.Slowest, err = output.Objects(slowest, v.Slowest...); err != nil {
		return err
	}
	if document.Path, err = output.Objects(path, v.Path...); err != nil {
		return err
	}
	return output.Document(s, f, document)
}

// Title returns "DAG 12 etl/monday".
func (v *View) Title() string {
	title := fmt.Sprintf("DAG %d %s", v.Run.ID, v.Run.Name)
	if v.Run.Key != nil {
		title += "/" + *v.Run.Key
	}
	return output.Clean(title)
}

// Head returns lines that tell what DAG it is and how far.
func (v *View) Head(s output.Screen) []string {
	width, _ := s.Size()
	r := v.Run
	title := output.Cut(v.Title()+": "+string(r.State), width)
	if state := string(r.State); strings.HasSuffix(title, state) {
		title = s.Paint(output.Bold, strings.TrimSuffix(title, state)) + s.Paint(output.StateColour(r.State), state)
	}
	about := fmt.Sprintf("queue %s, priority %d, submitted %s", r.Queue, r.Priority, moment(&r.CreatedAt))
	for _, at := range []struct {
		what string
		when *time.Time
	}{{"deadline", r.Deadline}, {"finished", r.FinishedAt}} {
		if at.when != nil {
			about += fmt.Sprintf(", %s %s", at.what, moment(at.when))
		}
	}
	if r.ForkedFrom != nil {
		about += fmt.Sprintf(", forked from %d", *r.ForkedFrom)
	}
	if len(r.Tags) > 0 {
		about += ", tags " + strings.Join(r.Tags, ",")
	}
	lines := []string{title, output.Cut(output.Clean(about), width)}
	if r.Error != nil {
		lines = append(lines, output.Cut("error: "+output.Clean(*r.Error), width))
	}
	return append(lines, output.Cut(v.Bar(20)+"  "+v.Counts(), width))
}

func moment(t *time.Time) string { return t.UTC().Format(time.RFC3339) }

// Bar returns a bar that is so wide, and how many percent have ended.
func (v *View) Bar(width int) string {
	return output.Meter(v.Progress.Fraction, width) + fmt.Sprintf(" %d %%", int(v.Progress.Fraction*100))
}

// Counts returns how many jobs are in which state, and how long it takes.
func (v *View) Counts() string {
	p := v.Progress
	ended := p.Completed + p.Failed + p.Cancelled + p.Expired + p.Skipped
	text := fmt.Sprintf("%d of %d jobs ended", ended, p.Total)
	for _, c := range []struct {
		n     int64
		state pgq.State
	}{
		{p.Failed, pgq.Failed}, {p.Cancelled, pgq.Cancelled}, {p.Expired, pgq.Expired}, {p.Skipped, pgq.Skipped},
		{p.Running, pgq.Running}, {p.Ready, pgq.Ready}, {p.Scheduled, pgq.Scheduled}, {p.Waiting, pgq.Waiting},
	} {
		if c.n > 0 {
			text += fmt.Sprintf(", %d %s", c.n, c.state)
		}
	}
	if v.Run.State.Finished() {
		return text + "; took " + output.Brief(p.Elapsed)
	}
	text += "; " + output.Brief(p.Elapsed) + " so far"
	if p.Remaining != nil {
		text += ", about " + output.Brief(*p.Remaining) + " left"
	}
	return text
}

// Foot returns lines that tell what took the time; none for a DAG that has not ended.
func (v *View) Foot(s output.Screen) []string {
	var lines []string
	if len(v.Slowest) > 0 {
		lines = append(lines, "", s.Paint(output.Bold, "Slowest nodes"))
		lines = append(lines, output.Lines(s, slowest, v.Slowest)...)
	}
	if len(v.Path) > 0 {
		lines = append(lines, "", s.Paint(output.Bold, "Critical path"))
		lines = append(lines, output.Lines(s, path, v.Path)...)
	}
	return lines
}
