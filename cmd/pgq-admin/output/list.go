package output

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// ListFlag gives a command a flag that takes words with commas between them, and may be repeated. Quotes are characters like any
// other, so it is not for names that may have commas in them: those are given one by one.
func ListFlag(flags *pflag.FlagSet, list *[]string, name string, usual []string, usage string) {
	*list = usual
	flags.Var(&listFlag{list: list}, name, usage)
}

// listFlag is such a list. Its first value takes the place of the usual ones.
type listFlag struct {
	list    *[]string
	given   bool
	choices []string // to complete words by
}

// Choices are the words to complete a word by: its last part.
func (l *listFlag) Choices(word string) []string { return Parts(word, l.choices) }

// Parts returns what a word that is a list may become by choosing one for its last part, none twice.
func Parts(word string, choices []string) []string {
	before := word[:strings.LastIndexByte(word, ',')+1]
	given := strings.Split(before, ",")
	var all []string
	for _, choice := range choices {
		if name, _, _ := strings.Cut(choice, "\t"); !slices.Contains(given, name) {
			all = append(all, before+choice)
		}
	}
	return all
}

func (l *listFlag) String() string {
	if l.list == nil {
		return ""
	}
	return strings.Join(*l.list, ",")
}

func (l *listFlag) Type() string { return "stringSlice" }

func (l *listFlag) Set(text string) error {
	words := strings.Split(text, ",")
	for i, word := range words {
		words[i] = strings.TrimSpace(word)
	}
	if slices.Contains(words, "") {
		return fmt.Errorf("must be one or several with commas between them")
	}
	if !l.given {
		*l.list, l.given = nil, true
	}
	*l.list = append(*l.list, words...)
	return nil
}
