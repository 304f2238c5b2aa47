package pgserver

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// MinVersion is the oldest major version that PGQ works with.
const MinVersion = 15

// VersionError says that a PostgreSQL was found but is older than MinVersion.
type VersionError struct {
	Where string // what was found, in words
	Found string // its version
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s is PostgreSQL %s, but version %d or newer is needed", e.Where, e.Found, MinVersion)
}

type version struct {
	text  string // "15.18"
	major int
}

func (v version) check(where string) error {
	if v.major < MinVersion {
		return &VersionError{Where: where, Found: v.text}
	}
	return nil
}

var versionPattern = regexp.MustCompile(`(\d+)(\.\d+|devel|beta\d+|rc\d+)*`)

// parseVersion reads "17.5 (Debian 17.5-1)" as well as "postgres (PostgreSQL) 18beta1".
func parseVersion(s string) (version, error) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return version{}, fmt.Errorf("no PostgreSQL version in %q", s)
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return version{}, fmt.Errorf("no PostgreSQL version in %q", s)
	}
	return version{text: m[0], major: major}, nil
}

// programVersion asks the server program in bin.
func programVersion(ctx context.Context, bin string) (version, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return version{}, fmt.Errorf("postgres --version: %w", err)
	}
	return parseVersion(strings.TrimSpace(string(out)))
}

// ask connects once and asks the server for its version.
func ask(ctx context.Context, url string) (version, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return version{}, err
	}
	defer conn.Close(ctx)
	return parseVersion(conn.PgConn().ParameterStatus("server_version"))
}

// await asks until the server answers. It gives up when gone is closed, with the
// error that whyGone returns, or when ctx ends, with the last answer.
func await(ctx context.Context, url string, gone <-chan struct{}, whyGone func() error) (version, error) {
	for {
		v, err := ask(ctx, url)
		if err == nil {
			return v, nil
		}
		select {
		case <-gone:
			return version{}, whyGone()
		case <-ctx.Done():
			return version{}, fmt.Errorf("the server does not answer: %w (%w)", err, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
