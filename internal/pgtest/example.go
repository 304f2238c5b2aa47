package pgtest

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Example calls do with a pool of connections to a fresh Database. It is for functions that are examples, which
// have no testing.TB.
func Example(do func(pool *pgxpool.Pool)) {
	t := &exampleTB{}
	defer t.end()
	do(Pool(t))
}

// exampleTB is as much of a testing.TB as this package needs.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (t *exampleTB) Helper()                        {}
func (t *exampleTB) Name() string                   { return "Example" }
func (t *exampleTB) Cleanup(do func())              { t.cleanups = append(t.cleanups, do) }
func (t *exampleTB) Fatal(args ...any)              { panic(fmt.Sprint(args...)) }
func (t *exampleTB) FailNow()                       { panic("pgtest: example failed") }
func (t *exampleTB) Errorf(format string, a ...any) { fmt.Printf(format+"\n", a...) }

// end cleans up, last thing first.
func (t *exampleTB) end() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}
