package pgserver

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestAGivenURLIsTakenAndLeftRunning(t *testing.T) {
	t.Parallel()
	given := local(t, Options{})
	s, err := Start(t.Context(), Options{URL: given.URL})
	if err != nil {
		t.Fatal(err)
	}
	if s.URL != given.URL || s.Version != given.Version {
		t.Errorf("got %q version %q", s.URL, s.Version)
	}
	if !strings.Contains(s.Origin, "the given URL") || strings.Contains(s.Origin, given.cluster.password) {
		t.Errorf("Origin is %q", s.Origin)
	}
	if err := s.Stop(t.Context(), "fast"); !errors.Is(err, ErrNotPrivate) {
		t.Errorf("Stop returned %v", err)
	}
	if err := s.Start(t.Context()); !errors.Is(err, ErrNotPrivate) {
		t.Errorf("Start returned %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	value[int](t, given.URL, "select 1")
}

func TestTheURLOfTheEnvironmentIsTakenUnlessThereIsAnotherOrPrivateIsAsked(t *testing.T) {
	given := local(t, Options{})
	t.Setenv("PGQ_DATABASE_URL", given.URL)
	s, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.URL != given.URL || !strings.Contains(s.Origin, "PGQ_DATABASE_URL") {
		t.Errorf("got %q from %q", s.URL, s.Origin)
	}
	private, err := Start(t.Context(), Options{Private: true, Settings: TestSettings()})
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	if private.URL == given.URL {
		t.Error("a private server was asked for, and the shared one given")
	}
	t.Setenv("PGQ_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
	if s, err = Start(t.Context(), Options{URL: given.URL}); err != nil || s.URL != given.URL {
		t.Errorf("Options.URL did not win: %v", err)
	}
}

func TestAGivenServerThatDoesNotAnswerIsAnErrorAndNoOtherIsTaken(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Options{URL: "postgres://u:secret@127.0.0.1:1/none"})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "local:") {
		t.Errorf("got %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("the password is in %v", err)
	}
}

func TestAnOldServerIsRefusedWithBothVersions(t *testing.T) {
	t.Parallel()
	t.Run("by URL", func(t *testing.T) {
		t.Parallel()
		_, err := Start(t.Context(), Options{URL: oldServer(t)})
		requireVersionError(t, err, "14.5")
	})
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		bin := t.TempDir()
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) 13.22 (Debian 13.22-0+deb11u1)'\n"
		for _, program := range []string{"postgres", "initdb"} {
			if err := os.WriteFile(filepath.Join(bin, program), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Start(t.Context(), Options{Way: WayLocal, Private: true, programDirs: []string{bin}})
		requireVersionError(t, err, "13.22")

		// Newer programs further down are taken nevertheless.
		local(t, Options{programDirs: append([]string{bin}, searchDirs()...)})
	})
}

func requireVersionError(t *testing.T, err error, found string) {
	t.Helper()
	var old *VersionError
	if !errors.As(err, &old) || old.Found != found {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{found, "15 or newer"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// oldServer answers like PostgreSQL 14 as far as a client that connects can tell.
func oldServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			greet(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "postgres://u@" + l.Addr().String() + "/d?sslmode=disable"
}

func greet(c net.Conn) {
	b := pgproto3.NewBackend(c, c)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "14.5"})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() == nil {
		b.Receive() // the client's goodbye
	}
}

func TestVersionsAreReadFromWhatServersAndProgramsSay(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]version{
		"15.18 (Debian 15.18-0+deb12u1)":                 {"15.18", 15},
		"postgres (PostgreSQL) 17.5":                     {"17.5", 17},
		"postgres (PostgreSQL) 18beta1":                  {"18beta1", 18},
		"9.6.24":                                         {"9.6.24", 9},
		"postgres (PostgreSQL) 16.9 (Homebrew)":          {"16.9", 16},
		"postgres (PostgreSQL) 19devel (Ubuntu 1:24.04)": {"19devel", 19},
	} {
		if got, err := parseVersion(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	if _, err := parseVersion("command not found"); err == nil {
		t.Error("no error for what is no version")
	}
}
