package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/pgq-go/queue/internal/pgtest"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pgq-examples-")
	if err != nil {
		panic(err)
	}
	built = sync.OnceValues(func() (string, error) {
		out, err := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "./...", "../cmd/pgq-admin").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("go build: %w\n%s", err, out)
		}
		return dir, err
	})
	code := pgtest.Run(m)
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// built builds the programs when the first test asks for them.
var built func() (dir string, err error)

// programs returns the directory of the examples in Go and pgq-admin.
func programs(t *testing.T) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// outputs are regular expressions, one per line that an example prints, in order.
var outputs = map[string][]string{
	"hello": {
		`the order and its job are committed`,
		`sending the receipt of order 1, attempt 1`,
		`the receipt is R-00001`,
	},
	"transactional": {
		`attempt 1: deposited, but it breaks before the commit`,
		`attempt 2: deposited, completing the job in the same transaction`,
		`completed; the balance is 10`,
	},
	"progress": {
		`watcher: 5 of 1000 rows are done, it says "exported a row"; cancelling`,
		`worker: stopping because pgq: cancellation of the job was requested`,
		`watcher: the job is cancelled`,
	},
	"batch": {
		`before: 10000 ready`,
		`after: 9999 completed`,
		`after: 1 failed`,
		`the square of 99 is 9801`,
	},
	"callbacks": {
		`the customer: charge \d+ is completed after attempt 1, receipt R-good`,
		`whoever watches: charge \d+ is scheduled after attempt 1: the bank does not answer`,
		`the customer: charge \d+ is completed after attempt 2, receipt R-slow`,
		`support: charge \d+ is failed after attempt 1: the card is stolen`,
	},
	"batches": {
		`import: a file could not be loaded`,
		`import is failed: 11 of 11, 1 failed`,
		`import: all files are loaded`,
		`import is completed: 11 of 11, 0 failed`,
		`week: both days are there`,
		`week is completed: 2 of 2, 0 failed`,
	},
	"encrypted": {
		`codec aes256gcm\+json, key 2027-01, shows the card: false`,
		`codec aes256gcm\+json, key 2027-07, shows the card: false`,
		`charged 4242`,
		`charged 5556`,
		`the picture has 4 bytes`,
		`without the new key: true`,
	},
	"schedules": {
		`daily sales: created`,
		`pulse: created`,
		`the first run`,
		`another one second later: true`,
		`another one second later: true`,
		`pulse has ended after 3 runs`,
	},
	"unique": {
		"the third is the first: true",
		"one search waits",
		"at most one report a day: true",
	},
	"sequence": {
		"order 7: reserve",
		"order 7: pay",
		"order 7: ship",
		"order 8: reserve",
		"the payment fails: true",
		`the sequence is stopped \(the card was declined\), 1 job waits`,
		"order 8: pay",
		"order 8: ship",
	},
	"events": {
		`orders shipped: 1`,
		`orders shipped: 2`,
		`an order was not shipped: nobody packs number 13`,
		`and now for what happened meanwhile`,
		`orders shipped: 3`,
		`handled 4 events, 0 to go`,
	},
	"ageing": {
		"a report is enqueued behind 20 tickets",
		"the report is written, though more tickets are open than in the beginning: true",
	},
	"backoff": {
		"the job is failed",
		"the job is failed",
		"attempt 1: order 17 not found",
		"attempt 2: order 17 not found",
		"attempt 3: order 17 not found",
		"2 jobs failed in the same way",
		"the job is completed",
		"the job is completed",
		"run again, 20 per second; dead letters: 0",
	},
	"breaker": {
		"the breaker is open: nobody calls the bank, and no attempts are lost",
		"a probe has succeeded, the breaker is closed, and all orders are charged",
	},
	"configured": {
		"worker.lease is 10s by pgq.yaml:4",
		"worker.grace is 5s by PGQ_WORKER_GRACE",
		"worker.prefetch is 1000 by default",
		"refused: environment: unknown variable PGQ_WORKER_LEESE; did you mean PGQ_WORKER_LEASE.",
		"hello Ada",
	},
	"weights": {
		"at a time: 3 mails, 1 reports",
		"at a time: 0 mails, 4 reports",
		"at a time: 0 mails, 4 reports",
	},
	"limits": {
		"sent 63 mails",
		"the small customer, who came last, did not wait for the big one: true",
		"no more than two of a customer ran at a time: true",
		"the service was left alone: true",
	},
	"steps": {
		`attempt 1 charges order 7`,
		`attempt 2 packs item 0`,
		`attempt 2 packs item 1`,
		`attempt 3 packs item 2`,
		`attempt 3 packs item 3`,
		`completed: charge-7, approved by ada`,
		`kept: map\[approval:signal charge:step cooling off:sleep packed:cursor\]`,
		`attempt 1 failed: the warehouse does not answer`,
		`attempt 2 failed: out of tape`,
	},
	"bulk": {
		`letter 13 is failed because nobody lives there`,
		`sent 249 letters, several per call: true`,
	},
	"isolated": {
		`home: "<h1>home</h1>", <nil>`,
		`cursed: "", .*job \d+ is failed`,
		`exit code 3`,
		`huge: "", .*job \d+ is failed`,
		`command had more than 209715200 bytes of memory and was killed`,
	},
	"etl": {
		`extracting from people.csv`,
		`loading \["ada" "grace" "edsger"\], described: false ""`,
		`the DAG is completed, 3 rows were loaded`,
		`extract: completed`,
		`clean: completed`,
		`describe: failed`,
		`load: completed`,
	},
	"approval": {
		`order 1: paid by ada`,
		`order 2: refused by bob`,
		`order 3: refused by default`,
	},
	"saga": {
		`booked a flight`,
		`booked a hotel`,
		`booked a car`,
		`the trip is completed`,
		`booked a flight`,
		`booked a hotel`,
		`no car is left`,
		`cancelled hotel-1`,
		`cancelled flight-1`,
		`the trip is failed: car failed`,
		`booked a flight`,
		`no hotel is left`,
		`cancelled flight-1`,
		`the trip is failed: hotel failed`,
	},
	"search": {
		`trial-3 is good enough`,
		`the DAG is completed: rate 0.03 has score 0.95`,
		`of 21 jobs 2 were completed and 19 cancelled`,
	},
	"map": {
		`thumbs\[0\]: a-64.jpg`,
		`thumbs\[1\]: b-64.jpg`,
		`thumbs\[2\]: c-64.jpg`,
		`thumbs\[3\]: d-64.jpg`,
		`thumbs\[4\]: failed, this is no picture`,
		`thumbs\[5\]: f-64.jpg`,
		`thumbs\[6\]: g-64.jpg`,
		`thumbs\[7\]: h-64.jpg`,
		`thumbs\[8\]: i-64.jpg`,
		`thumbs\[9\]: j-64.jpg`,
		`the DAG is completed; of 10 items 1 failed`,
	},
	"subdag": {
		`verified v42 in eu`,
		`verified v42 in us`,
		`the DAG is completed`,
		`build: completed`,
		`regions: completed`,
		`regions/eu: completed`,
		`regions/eu/install: completed`,
		`regions/eu/verify: completed`,
		`regions/us: completed`,
		`regions/us/install: completed`,
		`regions/us/verify: completed`,
		`announce: completed`,
	},
}

// scripts are the examples in SQL: what they print, as in outputs.
var scripts = map[string][]string{
	"sql": {
		`schema pgq is at version \d+`,
		`the jobs, one row each:`,
		`welcome\|ready\|\{"customer": 1\}`,
		`report\|scheduled\|\{"month": 5\}`,
		`claimed a job, attempt 1`,
		`completed 1 job`,
		`report: cancelled`,
		`afterwards:`,
		`welcome\|completed`,
		`report\|cancelled`,
	},
	"sql-dag": {
		`schema pgq is at version \d+`,
		`worked on check: \{"item": "a book"\}`,
		`the nodes:`,
		`check\|job\|completed`,
		`approve\|external\|waiting`,
		`ship\|job\|waiting`,
		`why ship does not run:`,
		`parents\|1 of 1 parents have not ended`,
		`blocked\|approve: answer: waits for an answer from outside \(dag_complete or dag_fail\), without a limit`,
		`the answer: completed`,
		`worked on ship: `,
		`the DAG is completed, its result is \{"parcel": 7\}`,
		`what is wrong with a DAG:`,
		`a\|after\|must name nodes of the DAG; "b" is none`,
		`c\|delay\|must be given`,
	},
}

func TestEachExampleInGoRunsAndPrintsWhatItSays(t *testing.T) {
	t.Parallel()
	dir := programs(t)
	for name, want := range outputs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(dir, name)
			database := pgtest.Empty(t)
			wantLines(t, run(t, database, program), want)

			out, err := command(t, "", program).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "set PGQ_DATABASE_URL") {
				t.Errorf("without a database: %v, %s", err, out)
			}
			if name == "transactional" || name == "batch" {
				return
			}
			run(t, database, program) // again, with what is there
		})
	}
}

func TestEachExampleInSQLRunsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("no psql in PATH")
	}
	for name, want := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := name + "/run.sh"
			database := pgtest.Database(t)
			for range 2 {
				wantLines(t, run(t, database, script), want)
			}
			if out, err := command(t, "", script).CombinedOutput(); err == nil || !strings.Contains(string(out), "set PGQ_DATABASE_URL") {
				t.Errorf("without a database: %v, %s", err, out)
			}
		})
	}
}

func TestEveryFolderIsAnExampleThatIsTested(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && outputs[e.Name()] == nil && scripts[e.Name()] == nil && workers[e.Name()].start == nil {
			t.Errorf("%s is not tested", e.Name())
		}
	}
}

func command(t *testing.T, database, program string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PGQ_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	if database != "" {
		cmd.Env = append(cmd.Env, "PGQ_DATABASE_URL="+database)
	}
	return cmd
}

// run returns what a program prints; the log of the worker goes to stderr.
func run(t *testing.T, database, program string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := command(t, database, program)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\nstdout:\n%s\nstderr:\n%s", program, err, out, stderr.String())
	}
	return string(out)
}

func wantLines(t *testing.T, output string, patterns []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if len(lines) != len(patterns) {
		t.Errorf("%d lines, want %d:\n%s", len(lines), len(patterns), output)
		return
	}
	for i, pattern := range patterns {
		if !regexp.MustCompile("^" + pattern + "$").MatchString(lines[i]) {
			t.Errorf("line %d is %q, want %q", i+1, lines[i], pattern)
		}
	}
}
