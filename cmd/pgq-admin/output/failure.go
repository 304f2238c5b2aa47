package output

import (
	"fmt"
	"io"
	"strings"
)

// Exit codes. A process that a signal ends has 128 and its number.
const (
	ExitOK           = 0
	ExitFailed       = 1 // it did not work, or a DAG that was watched has failed
	ExitUsage        = 2 // used in a wrong way: flags, settings, what was given as input
	ExitNotFound     = 3 // there is no such thing
	ExitFindings     = 4 // the command looked for something wrong and found it
	ExitPartly       = 5 // done for some and not for others
	ExitConflict     = 6 // not possible in the state that things are in
	ExitTimeout      = 7 // waited, and time was out
	ExitNoConnection = 8 // no connection to a database
)

// exitSignal is what the code of a process that a signal has ended is more than.
const exitSignal = 128

// reasons are the exit codes in a word, for programs.
var reasons = map[int]string{
	ExitFailed: "failed", ExitUsage: "usage", ExitNotFound: "not_found", ExitFindings: "findings", ExitPartly: "partly",
	ExitConflict: "conflict", ExitTimeout: "timeout", ExitNoConnection: "no_connection",
}

// Error is an error with an exit code, that says what to do about it.
type Error struct {
	Code int
	Text string
	Fix  string // empty if there is nothing to say
	Err  error  // what it is made of, if anything
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Err }

// Usagef returns the error that the command was called in a wrong way.
func Usagef(format string, args ...any) *Error {
	return &Error{Code: ExitUsage, Text: fmt.Sprintf(format, args...)}
}

// Conflictf returns the error that something is not possible in the state that things are in.
func Conflictf(format string, args ...any) *Error {
	return &Error{Code: ExitConflict, Text: fmt.Sprintf(format, args...)}
}

// WithFix returns the same error with what to do about it.
func (e *Error) WithFix(format string, args ...any) *Error {
	e.Fix = fmt.Sprintf(format, args...)
	return e
}

// Problem is one of several things that are wrong with what was given.
type Problem struct {
	Node  string `json:"node,omitempty"`
	Field string `json:"field"`
	Rule  string `json:"rule"`
}

// Failure is what is printed when a command fails.
type Failure struct {
	Code     int       `json:"code"` // that the process exits with
	Reason   string    `json:"reason"`
	Message  string    `json:"message"`
	Problems []Problem `json:"problems,omitempty"`
	Fix      string    `json:"fix,omitempty"`
	SQLState string    `json:"sqlstate,omitempty"`
}

// Print prints the failure: one JSON object in a line, or the message with a problem per line and the fix below.
func (f Failure) Print(w io.Writer, program string, asJSON bool) {
	if asJSON {
		f.Reason = reasons[f.Code]
		if f.Code > exitSignal {
			f.Reason = "interrupted"
		}
		if data, err := encode(f); err == nil {
			fmt.Fprintf(w, "%s\n", data)
			return
		}
	}
	var text strings.Builder
	text.WriteString(program + ": " + strings.Join(CleanLines(f.Message), "\n") + "\n")
	for _, p := range f.Problems {
		text.WriteString("  ")
		if p.Node != "" {
			fmt.Fprintf(&text, "node %q: ", p.Node)
		}
		fmt.Fprintf(&text, "%s %s\n", p.Field, p.Rule)
	}
	if f.Fix != "" {
		text.WriteString("  fix: " + strings.Join(CleanLines(f.Fix), "\n") + "\n")
	}
	_, _ = io.WriteString(w, text.String())
}
