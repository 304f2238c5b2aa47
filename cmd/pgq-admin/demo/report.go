package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

const (
	topPackages = 5
	topWords    = 10
)

// report shows what was counted: the DAG's result.
func (d *demo) report(ctx context.Context) (err error) {
	if d.summary, err = pgq.Result[Summary](ctx, d.q, d.pool, d.dag); err != nil {
		return err
	}
	d.head("What they counted: the result of the DAG")
	table := numbers(d.Screen)
	row := func(name string, c Counts) {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t\n", left(name, 24), thousands(c.Files), thousands(c.Lines), thousands(c.Functions))
	}
	fmt.Fprintf(table, "  %s\tfiles\tlines\tfunctions\t\n", left("package", 24))
	for _, c := range d.summary.Largest {
		row(c.Package, c)
	}
	if rest := d.summary.Packages - len(d.summary.Largest); rest > 0 {
		fmt.Fprintf(table, "  %s\t\t\t\t\n", left(fmt.Sprintf("… and %d more", rest), 24))
	}
	row("all", d.summary.All)
	if err := table.Flush(); err != nil {
		return err
	}
	d.say("most used words: %s", mostUsed(d.summary.Words))
	d.head("What took the time")
	for _, line := range d.view.Foot(d.Screen.Narrower(2))[1:] {
		d.say("%s", line)
	}
	return nil
}

// mostUsed returns words with how often they are used.
func mostUsed(words []Word) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w.Word + " " + thousands(w.Uses)
	}
	return strings.Join(list, ", ")
}

// failure shows the job that could not succeed.
func (d *demo) failure(ctx context.Context) error {
	d.head("One node was bound to fail; the DAG did without, and keeps it with its history")
	nodes, _, err := d.dags.Nodes(ctx, d.pool, d.dag, dagsql.Filter{Names: []string{"missing"}})
	if err != nil {
		return err
	}
	if len(nodes) != 1 {
		return errors.New("the DAG lacks its node missing")
	}
	d.failing = nodes[0].ID
	job, err := d.q.Get(ctx, d.pool, d.failing)
	if err != nil {
		return err
	}
	if job.State != pgq.Failed || job.Error == nil {
		return fmt.Errorf("job %d is %s, but was to fail", job.ID, job.State)
	}
	d.say("job %d %s %s: %s after %d attempts", job.ID, job.Kind, job.Args, job.State, job.Attempt)
	d.say("error: %s", *job.Error)
	history, err := d.q.History(ctx, d.pool, job.ID)
	if err != nil {
		return err
	}
	for _, e := range history {
		attempt := ""
		if e.Attempt != nil {
			attempt = fmt.Sprintf("attempt %d", *e.Attempt)
		}
		after := "at " + e.At.Format(time.TimeOnly)
		if e.ID != 0 || e.At.After(job.CreatedAt) {
			after = "+" + brief(e.At.Sub(job.CreatedAt))
		}
		d.say("%-12s %-10s %s", after, e.Type, attempt)
	}
	return nil
}

// check shows that no invariant is broken.
func (d *demo) check(ctx context.Context) error {
	broken, err := d.q.Check(ctx, d.pool)
	if err != nil {
		return err
	}
	for _, v := range broken {
		d.say("BROKEN: %s (job %v)", v.Rule, v.JobID)
	}
	if len(broken) > 0 {
		return fmt.Errorf("%d invariants are broken; please report this", len(broken))
	}
	d.say("Check: every invariant holds (pgq-admin check)")
	return nil
}

// numbers returns a writer that aligns columns to the right.
func numbers(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// left pads a name, cut if need be, so that it stands left in a table that aligns to the right.
func left(name string, width int) string {
	runes := []rune(name)
	if len(runes) > width {
		runes = append(runes[:width-1], '…')
	}
	return string(runes) + strings.Repeat(" ", width-len(runes))
}
