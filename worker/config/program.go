package config

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Line returns the command as one would type it, for people.
func (k Kind) Line() string {
	if k.Shell {
		return k.Command.Args[2]
	}
	words := make([]string, len(k.Command.Args))
	for i, arg := range k.Command.Args {
		words[i] = arg
		if arg == "" || strings.ContainsAny(arg, " \t\n\"'\\$&|;<>()*?[]{}#~`!") {
			words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// Problem returns why the command cannot be started, "" if nothing is known.
func (k Kind) Problem() string {
	dir, err := os.Stat(k.Command.Dir)
	switch {
	case err != nil:
		return fmt.Sprintf("dir %s: %s", k.Command.Dir, reason(err))
	case !dir.IsDir():
		return fmt.Sprintf("dir %s is no directory", k.Command.Dir)
	}
	program := k.Command.Args[0]
	if strings.ContainsRune(program, os.PathSeparator) && !filepath.IsAbs(program) {
		program = filepath.Join(k.Command.Dir, program)
	}
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Sprintf("program %s: %s", program, reason(err))
	}
	return ""
}

// reason returns what is wrong without the names that the caller says.
func reason(err error) string {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
