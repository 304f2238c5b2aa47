package main

import (
	"errors"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The rules of what flags take, in the words of all errors.
const (
	durationRule = "must be a duration like 90s, 1h30m, 7d"
	longRule     = "must be at most 100 years, 36500d"
	timeRule     = "must be a time like 2026-11-22, 2026-11-22T10:00:00Z (UTC unless it says otherwise), or a duration like 90s, 2h, 7d"
)

// flagRules are the rules of types of flags whose own errors are those of the Go library.
var flagRules = map[string]string{
	"int": "must be a whole number", "int64": "must be a whole number", "int64Slice": "must be whole numbers with commas between them",
	"float64": "must be a number", "bool": "must be true or false",
}

// maxDuration is the longest that is taken.
const maxDuration = 100 * 365 * 24 * time.Hour

// wrongFlag words the error of a flag: its name and the rule that it breaks.
func wrongFlag(c *cobra.Command, err error) error {
	text := err.Error()
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		rule := flagRules[invalid.GetFlag().Value.Type()]
		switch {
		case errors.Is(err, strconv.ErrRange):
			rule = "is too large a number"
		case rule == "":
			rule = errors.Unwrap(err).Error()
		}
		text = "--" + invalid.GetFlag().Name + " " + rule + ", not " + strconv.Quote(invalid.GetValue())
	}
	return misused(c, "%s", text)
}

// pathWords are in the words for values that are paths, which may have any bytes.
var pathWords = regexp.MustCompile(`FILE|DIR`)

// onlyText refuses what is no UTF-8, which JSON would silently have as other characters.
func onlyText(c *cobra.Command, args []string) error {
	var err error
	c.Flags().Visit(func(f *pflag.Flag) {
		word, _ := pflag.UnquoteUsage(f)
		if err == nil && !pathWords.MatchString(word) && !utf8.ValidString(f.Value.String()) {
			err = usagef("--%s must be valid UTF-8", f.Name)
		}
	})
	for _, arg := range args {
		if err == nil && !pathWords.MatchString(c.Use) && !utf8.ValidString(arg) {
			err = usagef("%q must be valid UTF-8", arg)
		}
	}
	return err
}

// misused is the error that a command was called in a wrong way, which its help tells.
func misused(c *cobra.Command, format string, args ...any) error {
	return usagef(format, args...).WithFix("%s --help tells how it is used", c.CommandPath())
}

// durationFlag is a duration that is read like all others: 90s, 1h30m, 7d.
type durationFlag time.Duration

// durationVar gives a command such a flag.
func durationVar(flags *pflag.FlagSet, d *time.Duration, name string, usual time.Duration, usage string) {
	*d = usual
	flags.Var((*durationFlag)(d), name, usage)
}

func (d *durationFlag) Type() string { return "duration" }

// String returns 0 for none, which the help does not show as a default.
func (d *durationFlag) String() string {
	if *d == 0 {
		return "0"
	}
	return time.Duration(*d).String()
}

func (d *durationFlag) Set(text string) error {
	parsed, rule := readDuration(text)
	if rule != "" {
		return errors.New(rule)
	}
	*d = durationFlag(parsed)
	return nil
}
