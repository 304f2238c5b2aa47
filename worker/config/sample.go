package config

import (
	"fmt"
	"strings"
)

// examples stand in the sample, as comments, for what has no default or one that follows from others.
var examples = map[string]string{
	"database_url":     "postgres://app@db.example.com/app",
	"worker.name":      "mailer-1",
	"worker.heartbeat": "5s",
}

// Sample returns a settings file with all settings, what they are for, and their defaults.
func Sample() string {
	var text strings.Builder
	text.WriteString("# Settings of PGQ. Later wins: defaults, this file, the environment (the names in brackets), flags.\n")
	l := &Loaded{Settings: defaults()}
	section := ""
	for _, f := range fields {
		in, name, nested := strings.Cut(f.name, ".")
		indent := ""
		if nested {
			if indent = "  "; in != section {
				fmt.Fprintf(&text, "\n%s:", in)
			}
			section = in
		}
		fmt.Fprintf(&text, "\n%s# %s [%s]\n%s", indent, f.help, f.env(), indent)
		switch example, ok := examples[f.name]; {
		case f.name == queuesField:
			fmt.Fprintf(&text, "%s:\n    default: {concurrency: %d}\n    # mail: {concurrency: 50}\n", name, defaultConcurrency)
		case f.name == keysField:
			fmt.Fprintf(&text, "# %s:\n    # - {id: 2027-01, file: 2027-01.key}\n", name)
		case ok && nested:
			fmt.Fprintf(&text, "# %s: %s\n", name, example)
		case ok:
			fmt.Fprintf(&text, "# %s: %s\n", f.name, example)
		case nested:
			fmt.Fprintf(&text, "%s: %s\n", name, f.get(&l.Settings))
		default:
			fmt.Fprintf(&text, "%s: %s\n", f.name, f.get(&l.Settings))
		}
	}
	text.WriteString(`
# What pgq-admin worker runs for each kind of jobs; pgq-admin worker --help tells what may stand there.
# kinds:
#   thumbnail: {run: [./thumbnail.sh, --size, "64"], timeout: 1m}
`)
	return text.String()
}

// Names returns the names of all settings, and of the variables that give them, in the order in which they are shown.
func Names() (settings, variables []string) {
	for _, f := range fields {
		settings, variables = append(settings, f.name), append(variables, f.env())
	}
	return settings, variables
}
