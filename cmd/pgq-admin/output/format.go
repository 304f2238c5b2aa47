package output

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Format is how rows are printed. It is a flag.
type Format string

// The formats.
const (
	FormatTable Format = "table" // for people
	FormatWide  Format = "wide"  // with more columns
	FormatJSON  Format = "json"  // one document
	FormatJSONL Format = "jsonl" // an object per line
	FormatYAML  Format = "yaml"
	FormatName  Format = "name" // only what other commands take to name a row
	FormatCSV   Format = "csv"  // comma-separated values, with a header
)

// Formats are all of them.
var Formats = []Format{FormatTable, FormatWide, FormatJSON, FormatJSONL, FormatYAML, FormatName, FormatCSV}

// Documents are the formats of what has no rows: for people, and the same as one document.
var Documents = []Format{FormatTable, FormatJSON, FormatJSONL, FormatYAML}

// ForPeople tells whether somebody is to read it, and no program.
func (f Format) ForPeople() bool { return f == "" || f == FormatTable || f == FormatWide }

// formatFlag is a format that is one of some.
type formatFlag struct {
	format *Format
	of     []Format
}

func (f formatFlag) String() string {
	if f.format == nil {
		return ""
	}
	return string(*f.format)
}

func (f formatFlag) Type() string { return "FORMAT" }

func (f formatFlag) Set(s string) error {
	if !slices.Contains(f.of, Format(s)) {
		return fmt.Errorf("must be one of %s", list(f.of))
	}
	*f.format = Format(s)
	return nil
}

func list(formats []Format) string {
	words := make([]string, len(formats))
	for i, f := range formats {
		words[i] = string(f)
	}
	return strings.Join(words, ", ")
}

// Options are how the user wants to see rows.
type Options struct {
	Format  Format
	Columns []string // those to be shown; the format's by default
	Sort    string   // a column, with "-" before it for descending order; as they come by default
}

// Flags gives a command the flags -o, --columns and --sort.
func (o *Options) Flags(flags *pflag.FlagSet) {
	o.FormatFlag(flags, Formats...)
	ListFlag(flags, &o.Columns, "columns", nil, "only these `COLUMNS`: name,state; any of those of -o json")
	flags.StringVar(&o.Sort, "sort", "", "sort the rows by a `COLUMN`, descending with - before it: -created_at")
}

// FormatFlag gives a command only -o, with these formats; the first is the default.
func (o *Options) FormatFlag(flags *pflag.FlagSet, formats ...Format) {
	o.Format = formats[0]
	flags.VarP(formatFlag{&o.Format, formats}, "output", "o", list(formats))
}

// WantsJSON tells whether arguments of the command line ask for JSON, so that errors are to be JSON, too. It looks at
// them alone, since they may be what is wrong.
func WantsJSON(args []string) bool {
	wants := false
	for i, arg := range args {
		if arg == "--" {
			break
		}
		value, ok := "", false
		for _, prefix := range []string{"--output=", "-o=", "-o"} {
			if value, ok = strings.CutPrefix(arg, prefix); ok && value != "" {
				break
			}
		}
		if (arg == "-o" || arg == "--output") && i+1 < len(args) {
			value, ok = args[i+1], true
		}
		if ok {
			wants = value == string(FormatJSON) || value == string(FormatJSONL)
		}
	}
	return wants
}
