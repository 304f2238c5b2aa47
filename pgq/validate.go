package pgq

import (
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxNameLength = 128
	maxTags       = 64
	maxDuration   = 100 * 365 * 24 * time.Hour
	// MaxArgsBytes is the largest size of a job's args unless its queue says otherwise (max_args_bytes).
	MaxArgsBytes = 1 << 20
)

// check returns the first rule that the job breaks, as *ArgumentError. The same rules stand in
// pgq/sql/job_problem.sql, for those who enqueue in SQL; a test holds both to one table of cases.
func (j newJob) check(o Options) error {
	fail := func(field, rule string) error { return &ArgumentError{Field: field, Rule: rule} }
	if rule := nameProblem(j.kind); rule != "" {
		return fail("kind", rule)
	}
	if rule := nameProblem(j.queue); rule != "" {
		return fail("queue", rule)
	}
	switch {
	case j.queue == "*":
		return fail("queue", `must not be "*", which stands for the defaults of all queues`)
	case o.Priority.Int() < 0 || o.Priority.Int() > 9:
		return fail("priority", "must be 0 to 9")
	case j.delay != nil && j.runAt != nil:
		return fail("delay", "must not be given together with run_at")
	case o.Delay < 0:
		return fail("delay", "must not be negative")
	case o.Delay > maxDuration:
		return fail("delay", "must be at most 100 years")
	case j.runAt != nil && (j.runAt.Year() > 9999 || j.runAt.Year() < 1):
		return fail("run_at", "must be in the years 1 to 9999")
	case o.MaxAttempts < 0:
		return fail("max_attempts", "must be at least 1")
	case o.MaxAttempts > math.MaxInt32:
		return fail("max_attempts", "must be at most 2147483647")
	case o.Timeout != 0 && o.Timeout < time.Microsecond: // the database's step
		return fail("timeout", "must be positive")
	case o.Timeout > maxDuration:
		return fail("timeout", "must be at most 100 years")
	case o.TTL != 0 && o.TTL < time.Microsecond:
		return fail("ttl", "must be positive")
	case o.TTL > maxDuration:
		return fail("ttl", "must be at most 100 years")
	case o.ResultTTL < 0:
		return fail("result_ttl", "must not be negative")
	case o.ResultTTL > maxDuration:
		return fail("result_ttl", "must be at most 100 years")
	case len(j.tags) > maxTags:
		return fail("tags", "must be at most 64")
	case o.Group != "" && groupProblem(o.Group) != "":
		return fail("group", groupProblem(o.Group))
	case j.args.codec != nil && *j.args.codec == "":
		return fail("codec", "must not be empty")
	}
	if err := j.checkSequence(); err != nil {
		return err
	}
	for _, tag := range j.tags {
		if !utf8.ValidString(tag) || containsNUL(tag) {
			return fail("tags", "must be valid UTF-8 without NUL")
		}
	}
	return nil
}

// groupProblem returns the rule that the name of a group breaks, or "".
func groupProblem(name string) string {
	if !utf8.ValidString(name) || containsNUL(name) {
		return "must be valid UTF-8 without NUL"
	}
	switch {
	case utf8.RuneCountInString(name) > 200:
		return "must have 1 to 200 characters"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "must not have control characters"
	case strings.HasSuffix(name, "*"):
		return `must not end in "*", which in the name of a limit stands for many groups`
	}
	return ""
}

// nameProblem returns the rule that a kind or the name of a queue breaks, or "".
func nameProblem(name string) string {
	if !utf8.ValidString(name) {
		return "must be valid UTF-8"
	}
	if n := utf8.RuneCountInString(name); n < 1 || n > maxNameLength {
		return "must have 1 to 128 characters"
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return "must not have control characters"
		}
	}
	return ""
}

func containsNUL(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return true
		}
	}
	return false
}
