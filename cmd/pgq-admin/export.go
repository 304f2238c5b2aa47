package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/archive"
	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

const exportHelp = `Export jobs, results, events or settings: all of one instant, with memory that does not grow.

  jsonl     one JSON object per line. That of a job has all that is known of it, its result, steps and logs included. Numbers are exact
  csv       a header and a line per row; JSON as text, nothing for null
  parquet   for analysis; JSON as text, times in microseconds

Jobs, events and settings can be imported again (pgq-admin import). In CSV and Parquet the column "more" holds as JSON what has no column
of its own, the header of the export in its first row and its end in the last one; so all three formats hold the same. The end says how many
there are, so that files that were cut off are known; CSV without any row is like one. Results are for other programs only.

Operators may export, and readers who see args and results; all readers may export events.

The end of the file's name says the format: .jsonl, .csv, .parquet, and with .gz behind it is compressed. A file that is there is
not overwritten without --force; it has its name only once it is complete.`

const exportSettingsHelp = `Export the settings of queues, kinds, limits, schedules and consumers, as JSON lines: to carry them to another database (pgq-admin
import), or to keep them in version control. A line looks like this, and may be written by hand:

  {"type": "setting", "of": "queue", "name": "mail", "settings": {"max_depth": 1000, "keep_failed": "P30D"}}

What is not set is left out. Queue '*' is the defaults of all queues. A line of a limit says its "scope", that of a schedule that is paused "paused".

Not settings, and so not exported: pauses of queues and limits, positions of consumers, how often schedules have run, what roles may do.`

// exporting is a run of export.
type exporting struct {
	app          *app
	of           string
	file, format string
	force        bool
	choose       filterFlags // jobs and results
	which        eventFlags  // events
	jobs         pgq.Filter
	events       pgq.EventFilter
}

func exportCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "export", Short: "Export jobs, results, events or settings: JSON lines, CSV, Parquet", Long: exportHelp}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	for of, short := range map[string]string{
		archive.Jobs:    "Export jobs with all that is known of them",
		archive.Results: "Export how jobs ended",
		archive.Events:  "Export what happened",
	} {
		e := &exporting{app: a, of: of}
		sub := &cobra.Command{
			Use:   of,
			Short: short,
			Long:  short + ".\n\n" + exportHelp,
			Example: fmt.Sprintf(`  pgq-admin export %[1]s --file %[1]s.jsonl.gz
  pgq-admin export %[1]s --queue mail --since 2026-01-01 --format csv | head`, of),
			Args: noArgs,
			RunE: func(c *cobra.Command, _ []string) error { return e.run(c) },
		}
		flags := sub.Flags()
		flags.StringVarP(&e.file, "file", "f", "", "write to a `FILE` instead of the standard output")
		flags.StringVar(&e.format, "format", "", "jsonl, csv or parquet; by default what the file's name says, or jsonl")
		flags.BoolVar(&e.force, "force", false, "overwrite the file if it is there")
		if of == archive.Events {
			e.which.flags(sub, &e.events)
			e.which.timeFlags(sub)
		} else {
			e.choose.flags(flags)
			sub.Long += "\n\n" + filterHelp
		}
		c.AddCommand(sub)
	}
	c.AddCommand(exportSettings(a))
	return c
}

func exportSettings(a *app) *cobra.Command {
	e := &exporting{app: a, of: archive.Settings, format: string(archive.JSONL)}
	c := &cobra.Command{
		Use:   "settings",
		Short: "Export settings of queues, kinds, limits, schedules and consumers",
		Long:  exportSettingsHelp,
		Example: `  pgq-admin export settings --file settings.jsonl
  pgq-admin export settings --url postgres://staging… | pgq-admin import - --url postgres://production… --dry-run`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return e.run(c) },
	}
	c.Flags().StringVarP(&e.file, "file", "f", "", "write to a `FILE` (.jsonl, .jsonl.gz) instead of the standard output")
	c.Flags().BoolVar(&e.force, "force", false, "overwrite the file if it is there")
	return c
}

func (e *exporting) run(c *cobra.Command) error {
	format, gz, err := e.check()
	if err != nil {
		return err
	}
	s, err := e.app.open(c)
	if err != nil {
		return err
	}
	defer s.close()
	return e.into(func(w io.Writer) (rows int64, err error) {
		if gz {
			zipped := gzip.NewWriter(w)
			defer func() { err = errors.Join(err, zipped.Close()) }()
			w = zipped
		}
		out, err := archive.NewWriter(w, format, e.of)
		if err != nil {
			return 0, err
		}
		progress, err := e.progress(c.Context(), s)
		if err != nil {
			return 0, err
		}
		defer progress.End()
		line := func(text json.RawMessage) error {
			progress.Add(1)
			return out.Line(text)
		}
		switch e.of {
		case archive.Events:
			err = s.q.ExportEvents(c.Context(), s.conn, e.events, line)
		case archive.Settings:
			err = s.q.ExportSettings(c.Context(), s.conn, line)
		default:
			err = s.q.ExportJobs(c.Context(), s.conn, e.jobs, line)
		}
		if err != nil {
			return 0, err
		}
		return out.Rows, out.Close()
	})
}

// progress returns the progress of an export, of as many jobs as there are where that can be counted soon. Where the lines go to the terminal there is none.
func (e *exporting) progress(ctx context.Context, s *session) (*output.Progress, error) {
	screen := output.NewScreen(e.app.err)
	var o output.Options
	if e.toOut() && output.IsTerminal(e.app.out) || e.of == archive.Settings {
		o.Format = output.FormatJSONL
	}
	if !screen.Terminal || o.Format != "" || e.of == archive.Events {
		return output.NewProgress(screen, o, "export", e.of, 0), nil
	}
	all, err := s.reach(ctx, e.jobs, countUpTo, countFor)
	return output.NewProgress(screen, o, "export", e.of, all.total(0)), err
}

// check checks the flags and returns how to write.
func (e *exporting) check() (format archive.Format, gz bool, err error) {
	format, gz, known := archive.FormatOf(e.file)
	switch {
	case e.format != "" && e.format != string(archive.JSONL) && e.format != string(archive.CSV) && e.format != string(archive.Parquet):
		return "", false, usagef("--format must be jsonl, csv or parquet, not %q", e.format)
	case e.format != "" && known && e.format != string(format):
		if e.of == archive.Settings {
			return "", false, usagef("settings are exported as JSON lines: the name of --file must end in .jsonl or .jsonl.gz")
		}
		return "", false, usagef("--format says %s, and the name of the file %s", e.format, format)
	case e.format != "":
		format = archive.Format(e.format)
	case e.file != "" && e.file != "-" && !known:
		return "", false, usagef("the name of --file must end in .jsonl, .csv or .parquet, or .gz behind that, unless --format is given; it is %q", e.file)
	case !known:
		format = archive.JSONL
	}
	if format == archive.Parquet && e.toOut() && output.IsTerminal(e.app.out) {
		return "", false, usagef("Parquet is not for terminals").WithFix("name a file: --file %s.parquet", e.of)
	}
	if format == archive.Parquet && gz {
		return "", false, usagef("Parquet is compressed by itself; leave .gz out of the name")
	}
	switch e.of {
	case archive.Jobs, archive.Results:
		if e.jobs, err = e.choose.filter(); err == nil && e.of == archive.Results {
			err = e.finished()
		}
	case archive.Events:
		err = e.which.check(&e.events)
	}
	return format, gz, err
}

// finished leaves only states in which jobs have a result.
func (e *exporting) finished() error {
	if e.jobs.States == nil {
		e.jobs.States = []pgq.State{pgq.Completed, pgq.Failed, pgq.Cancelled, pgq.Skipped, pgq.Expired}
	}
	for _, state := range e.jobs.States {
		if !state.Finished() {
			return usagef("--state: jobs that are %s have no result", state)
		}
	}
	return nil
}

func (e *exporting) toOut() bool { return e.file == "" || e.file == "-" }

// into calls write with the standard output, or with a file that gets its name when all was written.
func (e *exporting) into(write func(io.Writer) (int64, error)) error {
	if e.toOut() {
		_, err := write(e.app.out)
		return err
	}
	if _, err := os.Lstat(e.file); err == nil && !e.force {
		return output.Conflictf("%s is there already; nothing was exported", e.file).WithFix("choose another name, or say --force to overwrite it")
	}
	f, err := os.CreateTemp(filepath.Dir(e.file), "."+filepath.Base(e.file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // once it has its name there is nothing to remove
	rows, err := write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), e.file); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.app.err, "exported %s to %s\n", output.Count(rows, strings.TrimSuffix(e.of, "s")), e.file)
	return err
}
