package main

import (
	"github.com/spf13/pflag"
)

// page is which part of a list is shown.
type page struct{ limit int }

// flags gives a command --limit.
func (p *page) flags(flags *pflag.FlagSet, usual int) {
	flags.IntVar(&p.limit, "limit", usual, "`N` rows at most")
}

func (p *page) check() error { return checkLimit(p.limit) }

// checkLimit refuses a --limit that is out of bounds.
func checkLimit(limit int) error {
	if limit < 1 || limit > maxPage {
		return usagef("--limit must be 1 to %d, not %d", maxPage, limit)
	}
	return nil
}

// cut returns the rows of the page, of all that come behind a cursor in their order, and whether there are more.
func cut[T any](p page, rows []T, behind func(T) bool) (shown []T, more bool) {
	for _, row := range rows {
		if !behind(row) {
			continue
		}
		if len(shown) == p.limit {
			return shown, true
		}
		shown = append(shown, row)
	}
	return shown, false
}
