package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/dagview"
	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
)

// submitted is a DAG, and whether it was there before.
type submitted struct {
	dagsql.Run
	Created bool
}

var submittedColumns = append(output.Of(dagview.Runs, func(s submitted) dagsql.Run { return s.Run }),
	output.Column[submitted]{Name: "created", Level: output.Data, Value: func(s submitted) any { return s.Created }})

func dagSubmit(a *app) *cobra.Command {
	var o output.Options
	var dry bool
	c := &cobra.Command{
		Use:   "submit FILE|-",
		Short: "Submit a DAG that is given as JSON or YAML",
		Long: `Submit a DAG that is given as a JSON document, from a file or the standard input; as YAML if the file's name ends so. All that
is wrong with it is told at once, and nothing is written then. If a DAG of the same name and key is there, it is shown.

  {"name": "etl", "key": "monday", "nodes": [
    {"name": "extract", "kind": "extract", "args": {"table": "orders"}},
    {"name": "load", "kind": "load", "after": ["extract"], "queue": "slow", "max_attempts": 3}]}`,
		Example: `  pgq-admin dag submit etl.json
  generate-dag | pgq-admin dag submit - --dry-run`,
		Args: args(1, "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			table, err := output.NewTable(&o, submittedColumns)
			if err != nil {
				return err
			}
			document, err := a.document(args[0])
			if err != nil {
				return err
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			dag, err := s.submit(c.Context(), document, dry)
			if err != nil {
				return err
			}
			if dry {
				a.note(o, "dry run: the DAG is valid; nothing was written")
			} else if !dag.Created {
				a.note(o, "there is a DAG with this name and key already; nothing was submitted")
			}
			return table.Print(a.screen(), []submitted{dag})
		},
	}
	o.Flags(c.Flags(), output.Names(submittedColumns)...)
	c.Flags().BoolVar(&dry, "dry-run", false, "look whether it can be submitted, and write nothing")
	return c
}

func (s *session) submit(ctx context.Context, document json.RawMessage, dry bool) (submitted, error) {
	var dag submitted
	err := try(ctx, s.conn, dry, func(tx pgx.Tx) error {
		done, err := s.dags.SubmitJSON(ctx, tx, document)
		if err == nil {
			dag.Created = done.Created
			dag.Run, err = s.dags.Get(ctx, tx, done.ID)
		}
		return err
	})
	return dag, err
}

// document reads a file or the standard input, and returns JSON.
func (a *app) document(file string) (json.RawMessage, error) {
	var text []byte
	var err error
	if file == "-" {
		file = "the standard input"
		text, err = readAll(a.in)
	} else {
		text, err = readFile(file)
	}
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(text) {
		return nil, usagef("%s must be valid UTF-8", file)
	}
	if extension := filepath.Ext(file); extension == ".yaml" || extension == ".yml" {
		if text, err = yaml.YAMLToJSON(text); err != nil {
			return nil, usagef("%s is no YAML: %s", file, yaml.FormatError(err, false, false))
		}
	}
	var any json.RawMessage
	var wrong *json.SyntaxError
	if err := json.Unmarshal(text, &any); errors.As(err, &wrong) {
		before := text[:min(int(wrong.Offset), len(text))]
		line := bytes.Count(before, []byte("\n")) + 1
		column := max(1, len(before)-bytes.LastIndexByte(before, '\n')-1)
		return nil, usagef("%s is no JSON: line %d, column %d: %s", file, line, column, wrong)
	} else if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return any, nil
}
