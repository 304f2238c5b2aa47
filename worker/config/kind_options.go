package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/pgq-go/queue/worker/command"
)

// reading is a kind that is being read.
type reading struct {
	file
	kind        *Kind
	given       int // of run and shell
	environment map[string]string
	pass        []string
	clean       bool
}

// optionSetters take in what may stand below a kind. They return the rule that a value breaks, or "".
var optionSetters = map[string]func(r *reading, value ast.Node) (rule string){
	"run":        setRun,
	"shell":      setShell,
	"dir":        setDir,
	"env":        setEnv,
	"pass_env":   setPassEnv,
	"clean_env":  setCleanEnv,
	"timeout":    positive(func(c *command.Command) *time.Duration { return &c.Timeout }),
	"kill_after": positive(func(c *command.Command) *time.Duration { return &c.KillAfter }),
	"snooze":     positive(func(c *command.Command) *time.Duration { return &c.SnoozeFor }),
	"max_memory": setMaxMemory,
	"max_output": setMaxOutput,
	"output":     setOutput,
	"exit_codes": setExitCodes,
}

func setRun(r *reading, value ast.Node) string {
	args, ok := textsOf(value)
	if !ok || len(args) == 0 || args[0] == "" {
		return "must be a list of a program and its arguments, [./thumbnail.sh, --size, \"64\"] for example"
	}
	r.given++
	r.kind.Command.Args = args
	return ""
}

func setShell(r *reading, value ast.Node) string {
	script, ok := textOf(value)
	if !ok || strings.TrimSpace(script) == "" {
		return "must be a text that /bin/sh reads"
	}
	r.given++
	r.kind.Shell = true
	r.kind.Command.Args = []string{"/bin/sh", "-c", script}
	return ""
}

func setDir(r *reading, value ast.Node) string {
	dir, ok := textOf(value)
	if !ok || dir == "" {
		return "must be a directory"
	}
	r.kind.Command.Dir = dir
	return ""
}

func setEnv(r *reading, value ast.Node) string {
	entries, ok := entriesOf(value)
	if !ok {
		return "must be a map of variables"
	}
	for _, entry := range entries {
		name := nameOf(entry)
		text, ok := textOf(entry.Value)
		if !ok || name == "" || strings.ContainsRune(name, '=') {
			return fmt.Sprintf("must be a map of variables and their values; %q is not", name)
		}
		r.environment[name] = text
	}
	return ""
}

func setPassEnv(r *reading, value ast.Node) string {
	names, ok := textsOf(value)
	if !ok {
		return "must be a list of variables, [PGQ_DATABASE_URL] for example"
	}
	r.pass = names
	return ""
}

func setCleanEnv(r *reading, value ast.Node) string {
	b, ok := value.(*ast.BoolNode)
	if !ok {
		return "must be true or false"
	}
	r.clean = b.Value
	return ""
}

// positive sets a duration that is more than 0.
func positive(of func(*command.Command) *time.Duration) func(*reading, ast.Node) string {
	return func(r *reading, value ast.Node) string {
		text, _ := textOf(value)
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return fmt.Sprintf("must be a duration with its unit, 1m30s for example, not %q", text)
		}
		*of(&r.kind.Command) = d
		return ""
	}
}

func setMaxOutput(r *reading, value ast.Node) string {
	n, ok := bytesOf(value, 256<<20)
	if !ok {
		return "must be 1 to 256MiB, 500KiB for example" + notText(value)
	}
	r.kind.Command.MaxOutput = int(n)
	return ""
}

func setMaxMemory(r *reading, value ast.Node) string {
	n, ok := bytesOf(value, 1<<50)
	if !ok {
		return "must be 1 to 1048576GiB, 500MiB for example" + notText(value)
	}
	r.kind.Command.MaxMemory = n
	return ""
}

// bytesOf reads a number of bytes from 1 to most: 1000, 500KiB, 20MiB, 2GiB.
func bytesOf(value ast.Node, most int64) (int64, bool) {
	text, _ := textOf(value)
	number, unit := text, int64(1)
	for suffix, size := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if before, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = strings.TrimSpace(before), size
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	return n * unit, err == nil && n >= 1 && n <= most/unit
}

// notText quotes a value that was refused.
func notText(value ast.Node) string {
	text, _ := textOf(value)
	return fmt.Sprintf(", not %q", text)
}

func setOutput(r *reading, value ast.Node) string {
	text, _ := textOf(value)
	switch o := command.Output(text); o {
	case command.JSON, command.Text, command.None:
		r.kind.Command.Output = o
		return ""
	}
	return fmt.Sprintf("must be json, text or none, not %q", text)
}

// setExitCodes reads {fail: [1, 2], snooze: [3]}.
func setExitCodes(r *reading, value ast.Node) string {
	entries, ok := entriesOf(value)
	if !ok {
		return "must be a map, {fail: [1, 2], snooze: [3]} for example"
	}
	exits := map[int]command.Exit{}
	for _, entry := range entries {
		exit := command.Exit(nameOf(entry))
		switch exit {
		case command.Complete, command.Retry, command.Fail, command.Snooze, command.Cancel:
		default:
			return fmt.Sprintf("must be for complete, retry, fail, snooze and cancel; %q is none of them", exit)
		}
		codes, ok := textsOf(entry.Value)
		if !ok {
			return fmt.Sprintf("must be lists of numbers; %s is not", exit)
		}
		for _, text := range codes {
			code, err := strconv.Atoi(text)
			if err != nil || code < 1 || code > 255 {
				return fmt.Sprintf("must be 1 to 255, not %q; 0 is always complete", text)
			}
			if other, twice := exits[code]; twice {
				return fmt.Sprintf("has %d twice, for %s and for %s", code, other, exit)
			}
			exits[code] = exit
		}
	}
	r.kind.Command.Exits = exits
	return ""
}

// finish derives what follows from all that was given.
func (r *reading) finish() {
	c := &r.kind.Command
	switch {
	case c.Dir == "":
		c.Dir = r.dir
	case !filepath.IsAbs(c.Dir):
		c.Dir = filepath.Join(r.dir, c.Dir)
	}
	c.Env = []string{}
	for _, variable := range r.environ {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains(r.pass, name) || !secret(name) && (!r.clean || plain(name)) {
			c.Env = append(c.Env, variable)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.environment)) {
		c.Env = append(c.Env, name+"="+r.environment[name])
	}
}

// secret tells of a variable that commands only get if pass_env or env names it: those that lead to the database.
func secret(name string) bool { return strings.HasPrefix(name, "PGQ_") || name == "PGPASSWORD" }

// plain tells of a variable that is left in a clean environment.
func plain(name string) bool {
	return slices.Contains([]string{"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "SystemRoot"}, name) || strings.HasPrefix(name, "LC_")
}
