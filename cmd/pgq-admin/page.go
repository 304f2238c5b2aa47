package main

import (
	"github.com/spf13/pflag"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
)

// page is which part of a list is shown.
type page struct{ limit int }

// flags gives a command --limit.
func (p *page) flags(flags *pflag.FlagSet, usual int) {
	flags.IntVar(&p.limit, "limit", usual, "`N` rows at most")
}

func (p *page) check() error { return checkLimit(p.limit) }

// ahead is how many rows to ask the database for: one more than are shown, if it gives so many.
func (p *page) ahead() int { return min(p.limit+1, maxPage) }

// checkLimit refuses a --limit that is out of bounds.
func checkLimit(limit int) error {
	if limit < 1 || limit > maxPage {
		return usagef("--limit must be 1 to %d, not %d", maxPage, limit)
	}
	return nil
}

// namedPage is a page of rows that have names, and come in the order of these.
type namedPage struct {
	page
	after string
}

// flags gives a command --limit and --after.
func (p *namedPage) flags(flags *pflag.FlagSet, usual int, what string) {
	p.page.flags(flags, usual)
	flags.StringVar(&p.after, "after", "", "only "+what+": what stands below a page, or is \"next\" in -o json")
}

// showPage prints the page of rows that come behind a cursor in their order, and tells how to get the next one: --after the last row's cursor.
func showPage[T any](screen output.Screen, table *output.Table[T], p page, rows []T, behind func(T) bool, cursor func(T) string,
	note func(format string, args ...any), what string,
) error {
	shown, more := cut(p, rows, behind)
	if len(shown) == 0 {
		note("no %s", what)
	}
	if !more {
		return table.Print(screen, shown)
	}
	last := cursor(shown[len(shown)-1])
	if err := table.PrintNamedPage(screen, shown, last); err != nil {
		return err
	}
	note("next page: --after %s", quoted(output.Clean(last)))
	return nil
}

// always is for rows that the database has chosen.
func always[T any](T) bool { return true }

// noter returns what tells people something besides the output.
func (a *app) noter(o output.Options) func(format string, args ...any) {
	return func(format string, args ...any) { a.note(o, format, args...) }
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
	return shown, len(shown) == maxPage // there was no looking ahead
}
