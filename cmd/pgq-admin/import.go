package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/archive"
	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

const importHelp = `Import what pgq-admin export wrote, in any format, JSON lines and CSV compressed or not: jobs, events and settings. It is all or
nothing: one transaction.

Jobs and events are never overwritten: where there is a job with one of the ids already, it is refused. --ids keep (the default): jobs have
the ids that they had. --ids new: they get new ones; DAGs keep theirs in any case.

Jobs are in the state that they were in, and workers claim those that are ready once the import is done. Jobs that were running
are ready again. So pause the queues of an installation that you move, or stop its workers, before you export it.
Unique keys stand for the jobs that they stood for. Not imported: workers, and who enqueued a job with a granted role.

Settings are made to be as the file says, all of a queue, kind, limit, schedule or consumer that it names: what is left out goes back to
the default. The rest stays as it is. Importing the same file again changes nothing. Schedules go on where they were unless
their times change; one that was paused is paused if it is created here. Consumers keep their positions, new ones begin now. Settings come
behind jobs where a file has both. --dry-run says what would be created and changed.

An export says in the end that it is whole. A file that was cut off is refused, unless --partial is said: then what there is of it is imported.
Edit settings as you like; of jobs and events, all must be there. What was filled is analyzed, so that it is read by good plans at once.

-o json, jsonl and yaml have {"jobs": …, "events": …, "settings": [{"of": …, "scope": …, "name": …, "outcome": …}], "dry_run": …}.`

func importCommand(a *app) *cobra.Command {
	var ids string
	var o pgq.ImportOptions
	var shown output.Options
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Import exported jobs, events and settings",
		Long:  importHelp,
		Example: `  pgq-admin import jobs.jsonl.gz
  pgq-admin import settings.jsonl --dry-run
  pgq-admin export jobs --url postgres://old… | pgq-admin import - --url postgres://new…`,
		Args: args(1, "FILE (or - for the standard input)"),
		RunE: func(c *cobra.Command, args []string) error {
			if ids != "keep" && ids != "new" {
				return usagef("--ids must be keep or new, not %q", ids)
			}
			o.NewIDs = ids == "new"
			from := a.in
			var total int64
			if args[0] != "-" {
				f, err := openInput(args[0])
				if err != nil {
					return err
				}
				defer f.Close() //nolint:errcheck // it was only read
				from = f
				if format, gz, _ := archive.FormatOf(args[0]); format != archive.Parquet && !gz {
					if total, err = countLines(f, output.NewScreen(a.err).Terminal); err != nil {
						return err
					}
				}
			}
			return a.importFrom(c, from, total, o, shown.Format)
		},
	}
	a.schemaFlag(c.Flags())
	shown.FormatFlag(c.Flags(), output.Documents...)
	c.Flags().StringVar(&ids, "ids", "keep", "keep the ids or give new ones: `keep|new`")
	c.Flags().BoolVar(&o.Try, "dry-run", false, "take everything back in the end")
	c.Flags().BoolVar(&o.Partial, "partial", false, "import what there is of a file that was cut off")
	return c
}

// importFrom imports what has so many lines; 0 where that is not known.
func (a *app) importFrom(c *cobra.Command, from io.Reader, total int64, o pgq.ImportOptions, f output.Format) error {
	s, err := a.open(c)
	if err != nil {
		return err
	}
	defer s.close()
	progress := output.NewProgress(output.NewScreen(a.err), output.Options{}, "import", "lines", total)
	done, err := s.q.Import(c.Context(), s.conn, counted(archive.Lines(from), progress), o)
	progress.End()
	if err != nil {
		return refusedImport(err)
	}
	if !f.ForPeople() {
		return output.Document(a.out, f, struct {
			Jobs     int64                  `json:"jobs"`
			Events   int64                  `json:"events"`
			Settings []pgq.ImportedSettings `json:"settings"`
			DryRun   bool                   `json:"dry_run"`
		}{done.Jobs, done.Events, append([]pgq.ImportedSettings{}, done.Settings...), o.Try})
	}
	did := "imported"
	if o.Try {
		did = "would import"
	}
	if len(done.Settings) > 0 {
		if err := a.importedSettings(o.Try, done.Settings); err != nil {
			return err
		}
	}
	if len(done.Settings) == 0 || done.Jobs > 0 || done.Events > 0 {
		_, err = fmt.Fprintf(a.out, "%s %s, %s\n", did, output.Count(done.Jobs, "job"), output.Count(done.Events, "event"))
	}
	return err
}

// counted returns the same lines, and lets a progress count them.
func counted(lines iter.Seq2[json.RawMessage, error], progress *output.Progress) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for line, err := range lines {
			progress.Add(1)
			if !yield(line, err) {
				return
			}
		}
	}
}

// importedSettings says which settings are not as they were, and how many are.
func (a *app) importedSettings(isTried bool, settings []pgq.ImportedSettings) error {
	did, dry := "imported", ""
	if isTried {
		did, dry = "would import", "would have "
	}
	counts := map[string]int{}
	var text strings.Builder
	for _, s := range settings {
		counts[s.Outcome]++
		if s.Outcome == "unchanged" {
			continue
		}
		scope := ""
		if s.Scope != "" {
			scope = " of " + output.Clean(s.Scope)
		}
		fmt.Fprintf(&text, "%s%s %s%s %s\n", dry, s.Outcome, output.Clean(s.Of), scope, quoted(output.Clean(s.Name)))
	}
	fmt.Fprintf(&text, "%s settings: %d created, %d changed, %d unchanged\n", did, counts["created"], counts["changed"], counts["unchanged"])
	_, err := io.WriteString(a.out, text.String())
	return err
}

// refusedImport says that nothing was imported, and why.
func refusedImport(err error) error {
	var line *pgq.LineError
	var argument *pgq.ArgumentError
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == "23505":
		text := pg.Message
		if pg.Detail != "" {
			text += ": " + pg.Detail
		}
		return (&output.Error{Code: output.ExitConflict, Err: err, Text: text + "; nothing was imported"}).
			WithFix("import into another schema (--schema), or give new ids: --ids new")
	case errors.As(err, &argument) && errors.As(err, &line):
		return &output.Error{Code: output.ExitUsage, Err: err,
			Text: fmt.Sprintf("line %d: %s %s; nothing was imported", line.Line, argument.Field, argument.Rule)}
	case errors.As(err, &pg) && errors.As(err, &line) && (strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23")):
		return &output.Error{Code: output.ExitUsage, Err: err, Text: fmt.Sprintf("line %d: %s; nothing was imported", line.Line, pg.Message)}
	case errors.As(err, &argument):
		return &output.Error{Code: output.ExitUsage, Err: err, Text: fmt.Sprintf("%s %s; nothing was imported", argument.Field, argument.Rule)}
	case errors.Is(err, pgq.ErrNotWhole) && errors.As(err, &line):
		return (&output.Error{Code: output.ExitUsage, Err: err, Text: refusedLine(line)}).WithFix("export it again; --partial imports what there is of it")
	case errors.As(err, &line): // before it was committed
		f := explain(err)
		return &output.Error{Code: f.Code, Err: err, Text: refusedLine(line), Fix: f.Fix}
	}
	return err
}

// refusedLine says that nothing was imported, and what is wrong with a line.
func refusedLine(l *pgq.LineError) string {
	return fmt.Sprintf("line %d: %s; nothing was imported", l.Line, strings.TrimPrefix(l.Err.Error(), "pgq: "))
}
