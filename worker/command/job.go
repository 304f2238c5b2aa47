package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgq-go/queue/pgq"
)

// input is a job as programs read it.
type input struct {
	ID          int64           `json:"id"`
	Kind        string          `json:"kind"`
	Queue       string          `json:"queue"`
	Attempt     int             `json:"attempt"`
	MaxAttempts int             `json:"max_attempts"`
	Priority    int             `json:"priority"`
	CreatedAt   time.Time       `json:"created_at"`
	Timeout     *float64        `json:"timeout"` // in seconds
	Tags        []string        `json:"tags"`
	Metadata    json.RawMessage `json:"metadata"`
	DAGID       *int64          `json:"dag_id"`
	Codec       *string         `json:"codec,omitempty"`
	Payload     []byte          `json:"payload,omitempty"`
	Args        json.RawMessage `json:"args"`
}

// inputOf returns a job as a line of JSON. Numbers in args stay as they are, however large.
func inputOf(job *pgq.Attempt) ([]byte, error) {
	args, err := argsOf(job)
	if err != nil {
		return nil, err
	}
	in := input{
		ID: job.ID, Kind: job.Kind, Queue: job.Queue, Attempt: job.Number, MaxAttempts: job.MaxAttempts, Priority: job.Priority,
		CreatedAt: job.CreatedAt.UTC(), Tags: job.Tags, Metadata: job.Metadata, Codec: args.Codec, Payload: args.Payload, Args: args.JSON,
	}
	if job.Timeout > 0 {
		seconds := job.Timeout.Seconds()
		in.Timeout = &seconds
	}
	if job.DAGID != 0 {
		in.DAGID = &job.DAGID
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(in); err != nil {
		return nil, fmt.Errorf("job could not be written as JSON: %w", err)
	}
	return line.Bytes(), nil
}

// argsOf returns the args as JSON if that is what their codec wrote or encrypted and the client knows it, or else as they are stored.
func argsOf(job *pgq.Attempt) (pgq.Encoded, error) {
	args := job.EncodedArgs()
	if args.Codec == nil || *args.Codec != pgq.JSON.Name() && !strings.HasSuffix(*args.Codec, "+"+pgq.JSON.Name()) {
		return args, nil
	}
	var value json.RawMessage
	err := job.DecodeArgs(&value)
	switch {
	case errors.Is(err, pgq.ErrUnknownCodec):
		return args, nil
	case err != nil:
		return args, err
	}
	return pgq.Encoded{JSON: value}, nil
}
