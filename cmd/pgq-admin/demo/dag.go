package demo

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// build returns the demo's DAG.
func build(key string) *dagsql.Builder {
	b := dagsql.New("count_go", dagsql.Options{Key: key, Queue: reports, Output: "report"})
	packages := b.Add("packages", List{})
	count := b.Map("count", packages, Package{}, dagsql.MapOptions{Path: "$.packages[*]"})
	missing := b.Add("missing", Package{Path: noSuchPackage}, pgq.Options{Priority: pgq.Prio(0)}).After(packages)
	totals := b.Add("totals", Totals{}).After(count)
	words := b.Add("words", Words{}).After(count)
	b.Add("report", Report{}).After(totals, words, missing.Soft()) // one package is missing: the report does without
	return b
}

// The jobs of the DAG.
type (
	// List asks for the packages.
	List struct{}
	// Package asks to count a package. Flaky makes the first attempt fail.
	Package struct {
		Path  string `json:"path"`
		Flaky bool   `json:"flaky,omitempty"`
	}
	// Totals asks to add up what was counted.
	Totals struct{}
	// Words asks for the most used words.
	Words struct{}
	// Report asks for the summary.
	Report struct{}
)

// Kind implements pgq.Args, as those that follow do.
func (List) Kind() string    { return "list_packages" }
func (Package) Kind() string { return "count_package" }
func (Totals) Kind() string  { return "add_up" }
func (Words) Kind() string   { return "rank_words" }
func (Report) Kind() string  { return "report" }

// Options implements what pgq looks for: how jobs of this kind are run unless a call says otherwise.
func (Package) Options() pgq.Options {
	return pgq.Options{Queue: sources, MaxAttempts: 3,
		Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: retryDelay}}
}

// Packages is the result of List.
type Packages struct {
	Packages []Package `json:"packages"`
}

// Sum is the result of Totals.
type Sum struct {
	Packages int      `json:"packages"`
	All      Counts   `json:"all"`
	Largest  []Counts `json:"largest"`
}

// Word is a word and how often it is used.
type Word struct {
	Word string `json:"word"`
	Uses int    `json:"uses"`
}

// Summary is the result of Report, and so of the DAG.
type Summary struct {
	Sum
	Words   []Word `json:"words"`
	Missing bool   `json:"missing"`
}

// handle tells a worker how to do the jobs.
func (d *demo) handle(w *worker.Worker) {
	worker.HandleResult(w, func(ctx context.Context, _ *pgq.Job[List]) (Packages, error) {
		list, err := d.source.list(ctx)
		d.meter.noteList()
		return list, err
	})
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Package]) (Counted, error) {
		if job.Args.Flaky && job.Number == 1 {
			return Counted{}, errors.New("the disk is busy (so the demo pretends)")
		}
		return countPackage(ctx, d.source.files, job.Args.Path)
	})
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Totals]) (Sum, error) { return addUp(ctx, job.Attempt) })
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Words]) ([]Word, error) { return rankWords(ctx, job.Attempt) })
	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Report]) (Summary, error) { return summarize(ctx, job.Attempt) })
	worker.Handle(w, func(context.Context, *pgq.Job[Noop]) error { return nil })
}

// list returns the packages.
func (s source) list(ctx context.Context) (Packages, error) {
	paths, err := packagesIn(ctx, s.files)
	list := Packages{Packages: make([]Package, len(paths))}
	for i, path := range paths {
		list.Packages[i] = Package{Path: path, Flaky: i%flakyEvery == 0}
	}
	return list, err
}

// addUp reads the results of the map's items, as they come.
func addUp(ctx context.Context, job *pgq.Attempt) (Sum, error) {
	var sum Sum
	for item, err := range dagsql.Items[Counts](ctx, job, "count") {
		if err != nil {
			return sum, err
		}
		sum.Packages++
		sum.All.add(item.Value)
		sum.Largest = append(sum.Largest, item.Value)
	}
	slices.SortFunc(sum.Largest, func(a, b Counts) int { return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.Package, b.Package)) })
	sum.Largest = sum.Largest[:min(topPackages, len(sum.Largest))]
	return sum, nil
}

func rankWords(ctx context.Context, job *pgq.Attempt) ([]Word, error) {
	all := map[string]int{}
	for item, err := range dagsql.Items[Counted](ctx, job, "count") {
		if err != nil {
			return nil, err
		}
		for word, n := range item.Value.Words {
			all[word] += n
		}
	}
	var words []Word
	for _, word := range slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b))
	}) {
		if len(words) == topWords {
			break
		}
		words = append(words, Word{word, all[word]})
	}
	return words, nil
}

// summarize puts together what other nodes found.
func summarize(ctx context.Context, job *pgq.Attempt) (s Summary, err error) {
	if s.Sum, err = dagsql.Result[Sum](ctx, job, "totals"); err != nil {
		return s, err
	}
	if s.Words, err = dagsql.Result[[]Word](ctx, job, "words"); err != nil {
		return s, err
	}
	_, found, err := dagsql.Maybe[Counted](ctx, job, "missing")
	s.Missing = !found
	return s, err
}
