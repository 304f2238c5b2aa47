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

// Choices are the words to complete a word by.
func (f formatFlag) Choices(string) []string { return words(f.of) }

func list(formats []Format) string { return strings.Join(words(formats), ", ") }

func words(formats []Format) []string {
	words := make([]string, len(formats))
	for i, f := range formats {
		words[i] = string(f)
	}
	return words
}

// Options are how the user wants to see rows.
type Options struct {
	Format  Format
	Columns []string // those to be shown; the format's by default
	Sort    string   // a column, with "-" before it for descending order; as they come by default
}

// Flags gives a command the flags -o, --columns and --sort, of columns with these names.
func (o *Options) Flags(flags *pflag.FlagSet, names ...string) {
	o.StreamFlags(flags, names...)
	flags.Var(&sortFlag{&o.Sort, names}, "sort", "sort the rows by a `COLUMN`, descending with - before it: -created_at")
}

// StreamFlags gives a command the flags -o and --columns, for rows that come in pages.
func (o *Options) StreamFlags(flags *pflag.FlagSet, names ...string) {
	o.FormatFlag(flags, Formats...)
	ListFlag(flags, &o.Columns, "columns", nil, "only these `COLUMNS`: name,state; any of those of -o json")
	flags.Lookup("columns").Value.(*listFlag).choices = names
}

// sortFlag is the name of a column, with - before it for descending order.
type sortFlag struct {
	column *string
	names  []string
}

func (f *sortFlag) String() string {
	if f.column == nil {
		return ""
	}
	return *f.column
}

func (f *sortFlag) Type() string { return "string" }

func (f *sortFlag) Set(text string) error {
	*f.column = text
	return nil
}

// Choices are the words to complete a word by.
func (f *sortFlag) Choices(word string) []string {
	if !strings.HasPrefix(word, "-") {
		return f.names
	}
	down := make([]string, len(f.names))
	for i, name := range f.names {
		down[i] = "-" + name
	}
	return down
}

// FormatFlag gives a command only -o, with these formats; the first is the default.
func (o *Options) FormatFlag(flags *pflag.FlagSet, formats ...Format) {
	o.Format = formats[0]
	flags.VarP(formatFlag{&o.Format, formats}, "output", "o", list(formats))
}

// CheckStream refuses what cannot be of rows that come as they may: formats that are one document, and an order.
func (o *Options) CheckStream(flag string) error {
	if o.Format == FormatJSON || o.Format == FormatYAML {
		return Usagef("%s prints rows as they come, and -o %s is one document", flag, o.Format).WithFix("-o jsonl has the same, a line for each row")
	}
	if o.Sort != "" {
		return Usagef("%s prints rows as they come; --sort is not for that", flag)
	}
	return nil
}

// InLines tells whether the user wants what a command prints in lines of its own, and no table.
func (o *Options) InLines() bool {
	return (o.Format == FormatTable || o.Format == "") && o.Columns == nil && o.Sort == ""
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
