package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgq-go/queue/dagsql"
)

// picture writes the report and a picture of the DAG.
func (d *demo) picture(ctx context.Context) (err error) {
	mermaid, err := d.dags.Mermaid(ctx, d.pool, d.dag, dagsql.Style{})
	if err != nil {
		return err
	}
	directory := d.Report
	if directory == "" {
		directory, err = os.MkdirTemp("", "pgq-demo-report-")
	} else {
		err = os.MkdirAll(directory, 0o755)
	}
	if err != nil {
		return err
	}
	picture, report := filepath.Join(directory, "dag.mmd"), filepath.Join(directory, "report.md")
	if err := os.WriteFile(picture, []byte(mermaid), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(report, []byte(d.markdown(mermaid)), 0o644); err != nil {
		return err
	}
	d.head("A picture of the DAG, and the report")
	d.say("%s     a Mermaid flowchart: paste it into https://mermaid.live", picture)
	d.say("%s   the same with figures: open it in a Markdown viewer (GitHub, GitLab, VS Code)", report)
	return nil
}

// markdown returns the report.
func (d *demo) markdown(mermaid string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "# PGQ counted %s\n\n", d.source.what)
	fmt.Fprintf(&text, "%s packages in %s, by %d workers.\n\n", thousands(d.summary.Packages), d.counted.Round(time.Millisecond), d.Workers)
	text.WriteString("| package | files | lines | functions |\n|---|---:|---:|---:|\n")
	all := d.summary.All
	all.Package = "**all**"
	for _, c := range append(d.summary.Largest, all) {
		fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", c.Package, thousands(c.Files), thousands(c.Lines), thousands(c.Functions))
	}
	fmt.Fprintf(&text, "\nMost used words: %s.\n\n## The DAG\n\n```mermaid\n%s```\n\n| critical path | waited | ran |\n|---|---:|---:|\n",
		mostUsed(d.summary.Words), mermaid)
	for _, n := range d.view.Path {
		fmt.Fprintf(&text, "| %s | %s | %s |\n", n.Name, brief(n.Waited), brief(n.Ran))
	}
	return text.String()
}
