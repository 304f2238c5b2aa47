package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pgq-go/queue/pgq"
)

const (
	topPackages = 5
	topWords    = 10
)

// report shows what was counted, from the results of the jobs.
func (d *demo) report(ctx context.Context) error {
	type counted struct {
		path string
		Counts
	}
	total := Counts{Words: map[string]int{}}
	var all []counted
	for i, id := range d.jobs {
		c, err := pgq.Result[Counts](ctx, d.q, d.pool, id)
		if err != nil {
			return err
		}
		total.add(c)
		all = append(all, counted{d.source.packages[i], c})
	}
	slices.SortFunc(all, func(a, b counted) int { return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.path, b.path)) })

	d.head("What they counted")
	table := numbers(d.Out)
	row := func(name string, c Counts) {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t\n", left(name, 24), thousands(c.Files), thousands(c.Lines), thousands(c.Functions))
	}
	fmt.Fprintf(table, "  %s\tfiles\tlines\tfunctions\t\n", left("package", 24))
	for _, c := range all[:min(topPackages, len(all))] {
		row(c.path, c.Counts)
	}
	if rest := len(all) - topPackages; rest > 0 {
		fmt.Fprintf(table, "  %s\t\t\t\t\n", left(fmt.Sprintf("… and %d more", rest), 24))
	}
	row("all", total)
	if err := table.Flush(); err != nil {
		return err
	}
	d.say("most used words: %s", mostUsed(total.Words))
	return nil
}

// mostUsed returns the most used words with how often they are used.
func mostUsed(words map[string]int) string {
	order := slices.SortedFunc(maps.Keys(words), func(a, b string) int {
		return cmp.Or(cmp.Compare(words[b], words[a]), cmp.Compare(a, b))
	})
	var list []string
	for _, word := range order[:min(topWords, len(order))] {
		list = append(list, fmt.Sprintf("%s %s", word, thousands(words[word])))
	}
	return strings.Join(list, ", ")
}

// failure shows the job that could not succeed.
func (d *demo) failure(ctx context.Context) error {
	d.head("One job was bound to fail, and is kept with its history")
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
