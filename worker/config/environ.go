package config

import (
	"cmp"
	"strings"
)

// others are variables that begin with PGQ_ and are no settings of this package, with who reads them.
var others = []string{
	"PGQ_CONFIG",                // the path of the settings file: pgq-admin
	"PGQ_CONTEXTS",              // the path of the file of contexts: pgq-admin
	"PGQ_POSTGRES",              // the three that choose a PostgreSQL for development, tests and the demo
	"PGQ_POSTGRES_IMAGE",        //
	"PGQ_EMBEDDED_POSTGRES_URL", //
}

// readEnviron sets what the environment gives, and refuses variables that nobody reads.
func (l *Loaded) readEnviron(environ []string) error {
	byEnv := map[string]*field{}
	known := append([]string(nil), others...)
	for i := range fields {
		byEnv[fields[i].env()] = &fields[i]
		known = append(known, fields[i].env())
	}
	other := map[string]bool{}
	for _, name := range others {
		other[name] = true
	}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "PGQ_") || other[name] {
			continue
		}
		f := byEnv[name]
		if f == nil {
			err := unknown("environment", "variable", name, known)
			err.Fix = "unset " + name + "; pgq-admin config --help lists the variables"
			return err
		}
		if value == "" {
			continue
		}
		if err := l.set(name, f.name, value); err != nil {
			return err
		}
	}
	return nil
}

// unknown returns the error for a name that does not exist, with the nearest one that does.
func unknown(where, what, name string, known []string) *Error {
	rule := "unknown " + what + " " + name
	if nearest := Nearest(name, known); nearest != "" {
		rule += "; did you mean " + nearest + "?"
	} else {
		rule += "; known are " + cmp.Or(strings.Join(known, ", "), "none")
	}
	return &Error{Where: where, Rule: rule}
}

// Nearest returns that of the known names which takes the fewest edits to get to, "" when none is near.
func Nearest(name string, known []string) string {
	best, least := "", len(name)/2+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of insertions, deletions and replacements from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
