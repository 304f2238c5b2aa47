package pgserver

import (
	"fmt"
	"strings"
)

// UnavailableError says that no way led to a server. Its text lists every way that
// was tried with the reason, and what to install or set.
type UnavailableError struct {
	Attempts []Attempt
}

// Attempt is one way that was tried in vain.
type Attempt struct {
	Way string
	Err error
}

func (e *UnavailableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no PostgreSQL (version %d or newer) is available; tried:\n", MinVersion)
	for _, a := range e.Attempts {
		reason := strings.ReplaceAll(strings.TrimSpace(a.Err.Error()), "\n", "\n              ")
		fmt.Fprintf(&b, "  %-10s  %s\n", a.Way+":", reason)
	}
	b.WriteString(advice)
	return b.String()
}

// Unwrap lets errors.Is and errors.As look into every attempt.
func (e *UnavailableError) Unwrap() []error {
	errs := make([]error, len(e.Attempts))
	for i, a := range e.Attempts {
		errs[i] = a.Err
	}
	return errs
}

const advice = `Do one of these:
  install PostgreSQL   Debian, Ubuntu:  sudo apt-get update && sudo apt-get install -y postgresql
                       Fedora:          sudo dnf install -y postgresql-server
                       macOS:           brew install postgresql@17
  name a server        export PGQ_DATABASE_URL=postgres://user:password@host:5432/database
  start Docker         the image is ` + defaultImage + `, or set PGQ_POSTGRES_IMAGE
  allow a download     from ` + defaultEmbeddedURL + `, or set PGQ_EMBEDDED_POSTGRES_URL`
