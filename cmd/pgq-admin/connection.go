package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/worker/config"
)

// connectTimeout is how many seconds a server may take to let us in, where nobody says otherwise.
const connectTimeout = "10"

// nameConnections gives all connections a name and a time in which they must come about, where neither the URL nor a service nor the environment does, and keeps
// password files that others can read from being used. It sets libpq's variables, which count for whatever connects;
// programs of kinds do not inherit them.
func (a *app) nameConnections(c *cobra.Command, s *config.Settings) error {
	for name, value := range map[string]string{"PGAPPNAME": c.CommandPath(), "PGCONNECT_TIMEOUT": connectTimeout} {
		if os.Getenv(name) == "" {
			if err := os.Setenv(name, value); err != nil {
				return err
			}
		}
	}
	return a.hidePasswords(s)
}

// passfileWord is the word for a password file in a URL or in words.
var passfileWord = regexp.MustCompile(`(^|[?&\s])passfile\s*=\s*('(?:\\.|[^'\\])*'|[^\s&]*)`)

// hidePasswords does as libpq: a password file that others can read is not used, and one is told so if it would be.
func (a *app) hidePasswords(s *config.Settings) error {
	given := passfileWord.FindStringSubmatch(s.DatabaseURL)
	path := passfile(given, s.DatabaseURL)
	info, err := os.Stat(path)
	if runtime.GOOS == "windows" || err != nil || info.IsDir() || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if given != nil {
		s.DatabaseURL = strings.Replace(s.DatabaseURL, given[0], given[1]+"passfile="+os.DevNull, 1)
	}
	if err := os.Setenv("PGPASSFILE", os.DevNull); err != nil {
		return err
	}
	if without, err := pgconn.ParseConfig(s.DatabaseURL); err != nil || without.Password != "" {
		return nil
	}
	_, err = fmt.Fprintf(a.err, "pgq-admin: warning: password file %s is not used, since others can read it; its mode is %04o\n  fix: chmod 600 %s\n",
		output.Clean(path), info.Mode().Perm(), quoted(path))
	return err
}

// passfile returns the path of the password file: of the URL, else of the environment, else the usual one.
func passfile(given []string, databaseURL string) string {
	if given != nil {
		path := strings.NewReplacer(`\\`, `\`, `\'`, `'`, `'`, "").Replace(given[2])
		if strings.Contains(databaseURL, "://") {
			path, _ = url.PathUnescape(given[2])
		}
		return path
	}
	if path := os.Getenv("PGPASSFILE"); path != "" {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".pgpass")
}

// refusedTLS is what the first of two attempts says where the server has no TLS and need not have it.
const refusedTLS = "tls error: server refused TLS connection"

// connectText is the text of a connection that did not come about: what each attempt says, once, and not that one without TLS came after one with it.
func connectText(err *pgconn.ConnectError) string {
	attempts := strings.Split(strings.TrimPrefix(err.Unwrap().Error(), "hostname resolving error: "), "\n")
	if told := slices.DeleteFunc(slices.Clone(attempts), func(s string) bool { return strings.HasSuffix(s, refusedTLS) }); len(told) > 0 {
		attempts = told
	}
	attempts = slices.Compact(attempts)
	separator := " "
	if len(attempts) > 1 {
		separator = "\n\t"
	}
	text := fmt.Sprintf("failed to connect to `user=%s database=%s`:", err.Config.User, err.Config.Database)
	return text + separator + strings.Join(attempts, separator)
}
