package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// Bounds of what is held of a file at once: a line, and the lines of a batch unless it is one line.
const (
	maxLine       = 64 << 20
	maxBatchBytes = 8 << 20
)

// lines reads jobs from a file, a batch at a time.
type lines struct {
	in       *bufio.Reader
	defaults map[string]json.RawMessage
	number   int64 // of the last line that was read
	batch    []json.RawMessage
	numbers  []int64 // of the lines of the batch
	held     json.RawMessage
	holds    int64
}

// stoppable returns a reader that ends with the context's cause, also while it waits for somebody to write.
func stoppable(ctx context.Context, in io.Reader) io.Reader {
	out, to := io.Pipe()
	context.AfterFunc(ctx, func() { _ = to.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(to, in)
		_ = to.CloseWithError(err)
	}()
	return out
}

// next reads the next batch; false at the end of the file. *output.Error: a line is wrong.
func (l *lines) next(most int) (bool, error) {
	l.batch, l.numbers = l.batch[:0], l.numbers[:0]
	size := 0
	if l.held != nil {
		l.batch, l.numbers, size, l.held = append(l.batch, l.held), append(l.numbers, l.holds), len(l.held), nil
	}
	for len(l.batch) < most {
		text, err := l.line()
		if err == io.EOF {
			return len(l.batch) > 0, nil
		}
		if err != nil {
			return false, err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		job, err := l.job(text)
		if err != nil {
			return false, err
		}
		if size += len(job); size > maxBatchBytes && len(l.batch) > 0 {
			l.held, l.holds = job, l.number
			break
		}
		l.batch, l.numbers = append(l.batch, job), append(l.numbers, l.number)
	}
	return true, nil
}

// line reads a line, at most maxLine long; io.EOF at the end.
func (l *lines) line() ([]byte, error) {
	var text []byte
	for {
		part, err := l.in.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case err == nil || err == io.EOF && len(text) > 0:
			l.number++
			return text, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(text) > maxLine:
			return nil, usagef("line %d has more than %d bytes", l.number+1, maxLine)
		}
	}
}

// job returns the job of a line, with what the line leaves out.
func (l *lines) job(text []byte) (json.RawMessage, error) {
	var job map[string]json.RawMessage
	if err := json.Unmarshal(text, &job); err != nil || job == nil {
		var wrong *json.SyntaxError
		if errors.As(err, &wrong) {
			return nil, usagef("line %d, column %d: no JSON: %s", l.number, wrong.Offset, wrong)
		}
		return nil, usagef("line %d must be a JSON object, a job: {\"kind\": …, \"args\": …}", l.number)
	}
	for name, value := range l.defaults {
		_, given := job[name]
		other := map[string]string{"delay": "run_at", "run_at": "delay"}[name]
		if _, otherGiven := job[other]; !given && !otherGiven {
			job[name] = value
		}
	}
	return json.Marshal(job)
}

// enqueueLines enqueues the jobs of a file, batch after batch.
func (a *app) enqueueLines(ctx context.Context, s *session, e *enqueueing, table *output.Table[enqueuedRow], defaults map[string]json.RawMessage) error {
	in := a.in
	var total int64
	if e.from != "-" {
		file, err := openInput(e.from)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // it is only read
		in = file
		if total, err = countLines(file, output.NewScreen(a.err).Terminal && e.options.Format.ForPeople()); err != nil {
			return err
		}
	}
	l := &lines{in: bufio.NewReaderSize(stoppable(ctx, in), 1<<16), defaults: maps.Clone(defaults)}
	for l.number < e.skip {
		if _, err := l.line(); err == io.EOF {
			return usagef("--skip %d: there are only %d lines", e.skip, l.number)
		} else if err != nil {
			return err
		}
	}
	f := &fileEnqueue{app: a, e: e, table: table, total: total, last: e.skip, stream: e.options.Sort == "" &&
		(e.options.Format == output.FormatJSONL || e.options.Format == output.FormatName)}
	if !e.whole {
		return f.finish(f.all(ctx, s, s.conn, l))
	}
	err := pgx.BeginFunc(context.WithoutCancel(ctx), s.conn, func(tx pgx.Tx) error { return f.all(ctx, s, tx, l) })
	if err != nil {
		f.rows, f.count = nil, 0
	}
	return f.finish(err)
}

// countLines returns how many lines a file has, for a bar; 0 where nobody sees that, or it cannot be read twice.
func countLines(file *os.File, wanted bool) (n int64, err error) {
	if info, err := file.Stat(); !wanted || err != nil || !info.Mode().IsRegular() {
		return 0, err
	}
	buffer := make([]byte, 1<<20)
	for {
		read, err := file.Read(buffer)
		n += int64(bytes.Count(buffer[:read], []byte("\n")))
		if err == io.EOF {
			_, err = file.Seek(0, io.SeekStart)
			return n, err
		} else if err != nil {
			return n, err
		}
	}
}

// fileEnqueue is the state of enqueueing a file.
type fileEnqueue struct {
	*app
	e      *enqueueing
	table  *output.Table[enqueuedRow]
	stream bool // rows are printed as soon as they are committed
	rows   []enqueuedRow
	count  int64
	total  int64 // lines of the file; 0: that is not known
	last   int64 // line up to which all is committed, or would be
}

// all enqueues batches until the end of the file.
func (f *fileEnqueue) all(ctx context.Context, s *session, db pgq.DB, l *lines) error {
	progress := output.NewProgress(output.NewScreen(f.err), f.e.options, "enqueue", "jobs", max(0, f.total-f.e.skip))
	defer progress.End()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		more, err := l.next(f.e.batch)
		if !more || err != nil {
			return err
		}
		added, err := s.q.EnqueueJSON(context.WithoutCancel(ctx), db, l.batch)
		if err != nil {
			return ofLine(f.locate(ctx, s, l, err), l.numbers)
		}
		for i, job := range added {
			f.rows = append(f.rows, enqueuedRow{id: job.JobID, outcome: job.Outcome, line: &[]int64{l.numbers[i]}[0]})
		}
		f.count += int64(len(added))
		f.last = l.numbers[len(l.numbers)-1]
		if f.stream && !f.e.whole {
			if err := f.table.Print(f.screen(), f.rows); err != nil {
				return err
			}
			f.rows = f.rows[:0]
		}
		if f.e.options.Format.ForPeople() {
			f.rows = nil // only counted
		}
		progress.Add(int64(len(added)))
	}
}

// locate finds the line that the database cannot read at all: the error says nothing of which it is.
func (f *fileEnqueue) locate(ctx context.Context, s *session, l *lines, err error) error {
	var argument *pgq.ArgumentError
	if !errors.As(err, &argument) || strings.HasPrefix(argument.Field, "jobs[") || f.e.whole {
		return err
	}
	for i, job := range l.batch {
		if _, wrong := s.conn.Exec(ctx, "select $1::jsonb", job); wrong != nil {
			return &pgq.ArgumentError{Field: fmt.Sprintf("jobs[%d]", i), Rule: argument.Rule}
		}
	}
	return err
}

// finish prints what is left to print, and what an error needs to go on.
func (f *fileEnqueue) finish(err error) error {
	if f.e.options.Format.ForPeople() {
		if f.count > 0 || err == nil {
			fmt.Fprintf(f.out, "enqueued %s\n", output.Count(f.count, "job"))
		}
	} else if !f.stream || len(f.rows) > 0 {
		if printed := f.table.Print(f.screen(), f.rows); printed != nil {
			return printed
		}
	}
	if err == nil {
		return nil
	}
	failure := explain(err)
	e := &output.Error{Code: failure.Code, Text: failure.Message + "; nothing was enqueued", Err: err, Fix: failure.Fix}
	switch {
	case f.count > 0:
		e.Code, e.Text = output.ExitPartly, fmt.Sprintf("%s; %s enqueued, up to line %d", failure.Message, were(int(f.count), "job"), f.last)
		return e.WithFix("when that is put right, the same with --skip %d goes on behind them", f.last)
	case e.Fix == "":
		return e.WithFix("when that is put right, the same again")
	}
	return e
}

var indexed = regexp.MustCompile(`^jobs\[(\d+)\]\.?`)

// ofLine names the line, where the error names the index of a job; without lines only the field.
func ofLine(err error, numbers []int64) error {
	var argument *pgq.ArgumentError
	if !errors.As(err, &argument) {
		return err
	}
	found := indexed.FindStringSubmatch(argument.Field)
	if found == nil {
		return err
	}
	field := strings.TrimPrefix(argument.Field, found[0])
	text := strings.TrimSpace(field + " " + argument.Rule)
	i, _ := strconv.Atoi(found[1]) // digits
	if numbers != nil && i < len(numbers) {
		text = fmt.Sprintf("line %d: %s", numbers[i], text)
	} else if field == "" {
		text = "the job " + argument.Rule
	}
	return &output.Error{Code: output.ExitUsage, Text: text, Err: err}
}
