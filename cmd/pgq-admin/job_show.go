package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/internal/rawjson"
	"github.com/pgq-go/queue/pgq"
)

// jobColumns are the columns of jobs.
var jobColumns = []output.Column[*pgq.JobInfo]{
	{Name: "id", Value: func(j *pgq.JobInfo) any { return j.ID }},
	{Name: "queue", Value: func(j *pgq.JobInfo) any { return j.Queue }},
	{Name: "kind", Value: func(j *pgq.JobInfo) any { return j.Kind }},
	{Name: "state", Value: func(j *pgq.JobInfo) any { return j.State }},
	{Name: "attempt", Value: func(j *pgq.JobInfo) any { return j.Attempt }},
	{Name: "created_at", Value: func(j *pgq.JobInfo) any { return j.CreatedAt }},
	{Name: "priority", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.Priority }},
	{Name: "max_attempts", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.MaxAttempts }},
	{Name: "run_at", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.RunAt }},
	{Name: "claimed_at", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.ClaimedAt }},
	{Name: "finished_at", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.FinishedAt }},
	{Name: "took", Value: func(j *pgq.JobInfo) any { return took(j) }},
	{Name: "worker_id", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.WorkerID }},
	{Name: "tags", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.Tags }},
	{Name: "dag_id", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.DAGID }},
	{Name: "name", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.Name }},
	{Name: "sequence", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.Sequence }},
	{Name: "on_failure", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.OnFailure }},
	{Name: "group", Level: output.Wide, Value: func(j *pgq.JobInfo) any { return j.Group }},
	{Name: "done", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.Done }},
	{Name: "total", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.Total }},
	{Name: "cancel_requested_at", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.CancelRequestedAt }},
	{Name: "expires_at", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.ExpiresAt }},
	{Name: "timeout", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.Timeout }},
	{Name: "backoff", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.Backoff }},
	{Name: "result_ttl", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.ResultTTL }},
	{Name: "metadata", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.Metadata }},
	{Name: "args", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.Args }},
	{Name: "codec", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.Codec }},
	{Name: "payload", Level: output.Data, Value: func(j *pgq.JobInfo) any { return argsOf(j).bytes() }},
	{Name: "key_id", Level: output.Data, Value: func(j *pgq.JobInfo) any { return argsOf(j).keyID() }},
	{Name: "output", Level: output.Data, Value: func(j *pgq.JobInfo) any { return j.Output }},
	{Name: "output_codec", Level: output.Data, Value: func(j *pgq.JobInfo) any { return orNil(j.OutputCodec()) }},
	{Name: "output_payload", Level: output.Data, Value: func(j *pgq.JobInfo) any { return outputOf(j).bytes() }},
	{Name: "output_key_id", Level: output.Data, Value: func(j *pgq.JobInfo) any { return outputOf(j).keyID() }},
	{Name: "error", Value: func(j *pgq.JobInfo) any { return j.Error }},
}

// orNil returns nil for an empty text.
func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// took returns for how long the last attempt ran; nil unless it has ended.
func took(j *pgq.JobInfo) any {
	if j.ClaimedAt == nil || j.FinishedAt == nil {
		return nil
	}
	return max(0, j.FinishedAt.Sub(*j.ClaimedAt))
}

// position is where in its DAG a job is.
type position struct {
	run  dagsql.Run
	node dagsql.NodeInfo
}

var positionColumns = []output.Column[position]{
	{Name: "id", Value: func(p position) any { return p.run.ID }},
	{Name: "name", Value: func(p position) any { return p.run.Name }},
	{Name: "key", Value: func(p position) any { return p.run.Key }},
	{Name: "state", Value: func(p position) any { return p.run.State }},
	{Name: "node", Value: func(p position) any { return orNil(p.node.Name) }},
	{Name: "role", Value: func(p position) any { return orNil(p.node.Role) }},
	{Name: "rule", Value: func(p position) any { return orNil(string(p.node.Rule)) }},
	{Name: "parents_pending", Value: func(p position) any { return p.node.Pending }},
	{Name: "parents_ok", Value: func(p position) any { return p.node.OK }},
	{Name: "parents_failed", Value: func(p position) any { return p.node.Failed }},
	{Name: "parents_skipped", Value: func(p position) any { return p.node.Skipped }},
	{Name: "cause_id", Value: func(p position) any { return p.node.CauseID }},
}

// position returns where in its DAG a job is, the DAG's own job included; nil for a job without DAG.
func (s *session) position(ctx context.Context, j *pgq.JobInfo) (*position, error) {
	var p position
	var err error
	id := j.ID
	if j.DAGID != nil {
		id = *j.DAGID
		nodes, _, err := s.dags.Nodes(ctx, s.conn, id, dagsql.Filter{IDs: []int64{j.ID}, Limit: 1})
		if err != nil && !errors.Is(err, pgq.ErrNotFound) {
			return nil, err
		}
		if len(nodes) == 1 {
			p.node = nodes[0]
		}
	}
	p.run, err = s.dags.Get(ctx, s.conn, id)
	if errors.Is(err, pgq.ErrNotFound) {
		return nil, nil
	}
	return &p, err
}

func jobShow(a *app) *cobra.Command {
	var o output.Options
	var clear bool
	c := &cobra.Command{
		Use:     "show JOB",
		Aliases: []string{"describe", "get"},
		Short:   "Show all that is known of a job",
		Long: `Show all that is known of a job: state, times, attempts, args, result, error, progress, where in its DAG it is, and why it
does not run if it should. Of what a codec wrote instead of JSON the codec is named, with the key if it is encrypted, and the
first bytes are shown; -o json has all of them in base64. --decrypt shows args and results that were encrypted as JSON; the keys are
those of the setting encryption.keys.

-o json and yaml have {"job": …, "dag": …, "reasons": …}; -o jsonl and csv the job alone.`,
		Example: `  pgq-admin job show 4711
  pgq-admin job show 4711 -o json | jq .job.args`,
		Args:              args(1, "JOB"),
		ValidArgsFunction: a.offerFirst(newestJobs),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, jobColumns)
			if err != nil {
				return err
			}
			return a.onJob(c, args[0], func(ctx context.Context, s *session, id int64) error {
				j, err := s.q.Get(ctx, s.conn, id)
				if err != nil {
					return err
				}
				if clear {
					if err := decrypt(j); err != nil {
						return err
					}
				}
				card := jobCard{job: j}
				if card.dag, err = s.position(ctx, j); err != nil {
					return err
				}
				if !j.State.Finished() {
					if card.reasons, err = s.q.Explain(ctx, s.conn, id); err != nil {
						return err
					}
				}
				switch {
				case o.Format == output.FormatJSON || o.Format == output.FormatYAML:
					return card.document(a.screen(), o.Format, table)
				case !o.Format.ForPeople() || o.Columns != nil:
					return table.Print(a.screen(), []*pgq.JobInfo{j})
				}
				return card.print(a.screen())
			})
		},
	}
	o.Flags(c.Flags(), output.Names(jobColumns)...)
	c.Flags().BoolVar(&clear, "decrypt", false, "show args and result that were encrypted as JSON in the clear")
	return c
}

// jobCard is all that is shown of a job.
type jobCard struct {
	job     *pgq.JobInfo
	dag     *position
	reasons []pgq.Reason
}

func (c jobCard) document(s output.Screen, f output.Format, table *output.Table[*pgq.JobInfo]) error {
	document := struct {
		Job     json.RawMessage   `json:"job"`
		DAG     json.RawMessage   `json:"dag"`
		Reasons []json.RawMessage `json:"reasons"`
	}{}
	job, err := table.Objects([]*pgq.JobInfo{c.job})
	if err != nil {
		return err
	}
	document.Job = job[0]
	if c.dag != nil {
		dag, err := output.Objects(positionColumns, *c.dag)
		if err != nil {
			return err
		}
		document.DAG = dag[0]
	}
	if document.Reasons, err = output.Objects(reasonOfJobColumns, c.reasons...); err != nil {
		return err
	}
	return output.Document(s, f, document)
}

// maxShownLines is how many lines of args, a result or an error are shown to people.
const maxShownLines = 60

// print shows the card to people.
func (c jobCard) print(s output.Screen) error {
	j := c.job
	width, _ := s.Size()
	state := s.Paint(output.StateColour(j.State), string(j.State))
	lines := []string{s.Paint(output.Bold, fmt.Sprintf("Job %d %s: ", j.ID, output.Clean(j.Kind))) + state}
	for _, f := range c.facts() {
		lines = append(lines, output.Cut(fmt.Sprintf("%-10s %s", f[0], output.Clean(f[1])), width))
	}
	for _, r := range c.reasons {
		lines = append(lines, output.Cut("why        "+output.Clean(r.Reason+": "+r.Detail), width))
	}
	lines = append(lines, block(s, "Args", j.Args, argsOf(j))...)
	if len(j.Metadata) > 0 {
		lines = append(lines, block(s, "Metadata", j.Metadata, payload{})...)
	}
	if len(j.Output) > 0 || j.OutputCodec() != "" {
		lines = append(lines, block(s, "Result", j.Output, outputOf(j))...)
	}
	if j.Error != nil {
		lines = append(lines, "", s.Paint(output.Bold, "Error"))
		lines = append(lines, indented(output.CleanLines(*j.Error))...)
	}
	_, err := s.Write([]byte(strings.Join(lines, "\n") + "\n"))
	return err
}

// facts are what is known of the job in a line each.
func (c jobCard) facts() (facts [][2]string) {
	j := c.job
	add := func(name, format string, args ...any) {
		facts = append(facts, [2]string{name, fmt.Sprintf(format, args...)})
	}
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	add("queue", "%s, priority %d", j.Queue, j.Priority)
	if j.Group != nil {
		add("group", "%s", *j.Group)
	}
	if j.MaxAttempts != nil {
		add("attempts", "%d of %d", j.Attempt, *j.MaxAttempts)
	} else {
		add("attempts", "%d", j.Attempt)
	}
	add("enqueued", "%s", at(j.CreatedAt))
	for _, t := range []struct {
		name string
		at   *time.Time
	}{{"due", j.RunAt}, {"claimed", j.ClaimedAt}, {"finished", j.FinishedAt}, {"expires", j.ExpiresAt}, {"to cancel", j.CancelRequestedAt}} {
		if t.at != nil {
			add(t.name, "%s", at(*t.at))
		}
	}
	if d, ok := took(j).(time.Duration); ok {
		add("took", "%s", output.Brief(d))
	}
	if j.WorkerID != nil {
		add("worker", "%d", *j.WorkerID)
	}
	if j.Done != nil && j.Total != nil {
		if *j.Total > 0 {
			add("progress", "%s %d of %d", output.Meter(float64(*j.Done)/float64(*j.Total), 20), *j.Done, *j.Total)
		} else {
			add("progress", "%d", *j.Done)
		}
	}
	if j.Timeout != nil {
		add("timeout", "%s", output.Brief(*j.Timeout))
	}
	if len(j.Backoff) > 0 {
		add("backoff", "%s", j.Backoff)
	}
	if j.ResultTTL != nil {
		add("kept for", "%s", output.Brief(*j.ResultTTL))
	}
	if len(j.Tags) > 0 {
		add("tags", "%s", strings.Join(j.Tags, ", "))
	}
	if j.Sequence != nil {
		add("sequence", "%s", *j.Sequence)
	}
	if p := c.dag; p != nil {
		name := p.run.Name
		if p.run.Key != nil {
			name += "/" + *p.run.Key
		}
		if j.DAGID == nil {
			add("DAG", "it is DAG %d %s: pgq-admin dag show %d", p.run.ID, name, p.run.ID)
		} else {
			add("DAG", "node %s of DAG %d %s (%s)%s", p.node.Name, p.run.ID, name, p.run.State, p.parents())
		}
	}
	return facts
}

// parents tells how many parents of a node have ended.
func (p position) parents() string {
	n := p.node
	if n.Pending == nil || n.OK == nil || n.Failed == nil || n.Skipped == nil {
		return ""
	}
	ended := *n.OK + *n.Failed + *n.Skipped
	return fmt.Sprintf(", rule %s, %d of %d parents ended", n.Rule, ended, ended+*n.Pending)
}

// block returns a heading and a JSON value, over several lines if it has parts, or else what a codec wrote.
func block(s output.Screen, title string, value json.RawMessage, written payload) []string {
	lines := []string{"", s.Paint(output.Bold, title)}
	switch {
	case len(value) == 0 && written.codec != "":
		return append(lines, indented(written.lines())...)
	case len(value) == 0:
		return append(lines, "  none")
	}
	var text bytes.Buffer
	if rawjson.IsDeep(value) || json.Indent(&text, value, "", "  ") != nil {
		text.Reset()
		text.Write(value)
	}
	return append(lines, indented(output.CleanLines(text.String()))...)
}

// indented returns the first lines, indented.
func indented(lines []string) []string {
	more := len(lines) - maxShownLines
	if more > 0 {
		lines = append(lines[:maxShownLines:maxShownLines], fmt.Sprintf("… and %d more lines (-o json shows all)", more))
	}
	shown := make([]string, len(lines))
	for i, line := range lines {
		shown[i] = "  " + line
	}
	return shown
}
