package main

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// session is a connection to a database, and what speaks to PGQ over it.
type session struct {
	conn *pgx.Conn
	q    *pgq.Client
	dags *dagsql.Client
}

// open connects to the database of the settings. *output.Error and others: it is not possible, or PGQ is not there in
// the right version.
func (a *app) open(c *cobra.Command) (*session, error) {
	s, err := a.connect(c)
	if err != nil {
		return nil, err
	}
	if err := s.q.CheckVersion(c.Context(), s.conn); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// connect is open whatever version of PGQ is there, or none.
func (a *app) connect(c *cobra.Command) (*session, error) {
	s, err := a.database(c)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(s.DatabaseURL)
	if err != nil {
		return nil, err
	}
	inUTF8(config)
	conn, err := pgx.ConnectConfig(c.Context(), config)
	if err != nil {
		return nil, err
	}
	q := pgq.New(s.ClientConfig(pgq.Config{}))
	return &session{conn, q, dagsql.NewClient(q)}, nil
}

// inUTF8 makes sessions take and give text as Go has it, whatever the encoding of the database, which would be the default.
func inUTF8(config *pgx.ConnConfig) { config.RuntimeParams["client_encoding"] = "UTF8" }

// onFound connects and does something; where that finds nothing of the name, the fix says how to see what there is.
func (a *app) onFound(c *cobra.Command, fix string, do func(ctx context.Context, s *session) error) error {
	s, err := a.open(c)
	if err != nil {
		return err
	}
	defer s.close()
	err = do(c.Context(), s)
	if errors.Is(err, pgq.ErrNotFound) {
		text := strings.TrimPrefix(err.Error(), pgq.ErrNotFound.Error()+": ")
		return (&output.Error{Code: output.ExitNotFound, Text: text, Err: err}).WithFix("%s", fix)
	}
	return err
}

func (s *session) close() { closeConn(s.conn) }
