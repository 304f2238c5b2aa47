//go:build unix

package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgq-go/queue/internal/pgtest"
)

const cliGuide = "../docs/cli.md"

// The snippets are run one after the other in one shell, with pgq-admin in PATH and a database without PGQ, which the first of
// them installs. A block of text after one is what it prints, as printed says; one that is followed by none prints nothing.
func TestTheSnippetsOfTheCommandLineGuideDoWhatItSays(t *testing.T) {
	t.Parallel()
	all := snippetsOf(t, cliGuide)
	var script strings.Builder
	for i, s := range all {
		if s.language == "sh" {
			fmt.Fprintf(&script, "{\n%s} > ../printed/%d 2>&1\n", s.text, i)
		}
	}
	dir := runGuide(t, script.String())
	for i, s := range all {
		switch s.language {
		case "sh":
			output, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i)))
			if err != nil {
				t.Fatalf("%s:%d: was not run", cliGuide, s.line)
			}
			var said string
			if i+1 < len(all) && all[i+1].language == "text" {
				said = all[i+1].text
			}
			if !printed(said).MatchString(alike(string(output))) {
				t.Errorf("%s:%d: the snippet prints\n%s", cliGuide, s.line, output)
			}
		case "text":
			if i == 0 || all[i-1].language != "sh" {
				t.Errorf("%s:%d: is the output of nothing", cliGuide, s.line)
			}
		case "yaml":
			checkSettings(t, filepath.Dir(dir), s)
		default:
			t.Errorf("%s:%d: nobody knows how to run %q", cliGuide, s.line, s.language)
		}
	}
}

// runGuide runs a script and returns the directory of what its snippets printed.
// What the script leaves running is killed.
func runGuide(t *testing.T, script string) string {
	t.Helper()
	database := pgtest.Empty(t)
	dir := t.TempDir()
	for _, name := range []string{"work", "printed"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// Not by the standard input, which programs might read.
	if err := os.WriteFile(filepath.Join(dir, "guide.sh"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "../guide.sh")
	cmd.Dir = filepath.Join(dir, "work")
	cmd.Env = append(guideEnviron(t, dir), "PGQ_DATABASE_URL="+database)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	group := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = group
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		_ = group() // what is not there any more
	}
	if err != nil {
		t.Errorf("%s: a snippet fails, that before the first one that was not run: %v\n%s", cliGuide, err, out)
	}
	return filepath.Join(dir, "printed")
}

// guideEnviron returns an environment in which nothing says how to work with PGQ, and pgq-admin is in PATH.
func guideEnviron(t *testing.T, dir string) []string {
	t.Helper()
	environ := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "PGQ_")
	})
	return append(environ, "XDG_CONFIG_HOME="+filepath.Join(dir, "config"),
		"PATH="+programs(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// checkSettings says whether pgq-admin worker can read a file of settings. That the programs in it are missing does not count.
func checkSettings(t *testing.T, dir string, s snippet) {
	t.Helper()
	file := filepath.Join(dir, fmt.Sprintf("line%d.yaml", s.line))
	if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs(t), "pgq-admin"), "worker", "--config", file, "--check")
	cmd.Env = guideEnviron(t, dir)
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 4 {
		t.Errorf("%s:%d: %v\n%s", cliGuide, s.line, err, out)
	}
}

// variable is what differs from run to run: times, durations, rates, and the widths of columns with them.
var variable = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:\d\d)?)`), "<time>"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?(ms|µs|s)\b`), "<duration>"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?\b`), "<duration>"},
	{regexp.MustCompile(`\b\d+\.\d+\b`), "<number>"},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(`(?m) $`), ""},
}

// alike returns a text with names in place of what differs from run to run.
func alike(text string) string {
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.name)
	}
	return strings.TrimSpace(text) + "\n"
}

// printed returns what matches the output that the guide shows: … is anything in a line, and as a line any lines or none.
func printed(said string) *regexp.Regexp {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	for line := range strings.Lines(alike(said)) {
		if line == "…\n" {
			pattern.WriteString(`(?:.*\n)*?`)
		} else {
			pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*?"))
		}
	}
	return regexp.MustCompile(pattern.String() + `$`)
}

func TestTheGuideIsComparedWithWhatIsPrinted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		said, printed string
		same          bool
	}{
		{"", "", true},
		{"", "something", false},
		{"ID  OUTCOME\n1   added\n", "ID    OUTCOME\n1     added\n", true},
		{"1 added\n", "2 added\n", false},
		{"1 added\n", "1 added\n2 added\n", false},
		{"at 2026-11-22T04:24:07Z in 1.2s\n", "at 2027-01-01T00:00:00.123Z in 17ms\n", true},
		{"at 2026-11-22T04:24:07Z\n", "at noon\n", false},
		{"a … b\n", "a (any) b\n", true},
		{"a … b\n", "a\nb\n", false},
		{"a\n…\nb\n", "a\nb\n", true},
		{"a\n…\nb\n", "a\n1\n\n2\nb\n", true},
		{"a\n…\nb\n", "a\n1\n", false},
		{"…\nb\n", "a\nb\n", true},
		{"a\n…\n", "a\nb\nc\n", true},
	} {
		if printed(c.said).MatchString(alike(c.printed)) != c.same {
			t.Errorf("%q is said to be printed, %q is: want the same: %v", c.said, c.printed, c.same)
		}
	}
}
