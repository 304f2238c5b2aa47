//go:build unix

package main_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/pgq-go/queue/internal/pgtest"
)

func TestInLatin1TextIsShownAsItWasEnqueued(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyIn(t, "LATIN1")
	if psql, err := exec.LookPath("psql"); err == nil {
		cmd := exec.CommandContext(t.Context(), psql, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", url)
		cmd.Stdin = strings.NewReader(admin(t, "migrate", "dump").stdout)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	admin(t, "migrate", "up", "--url", url).want(t, 0, "schema pgq is at version 2")
	admin(t, "enqueue", "mail", "--args", `{"to": "à l'été"}`, "--queue", "été", "--url", url).want(t, 0, "1")
	admin(t, "job", "show", "1", "--url", url).want(t, 0, `"to": "à l'été"`, "été")
	admin(t, "enqueue", "mail", "--args", `{"to": "日本"}`, "--url", url).want(t, 2, "must be storable as text")
	conn := connect(t, url+"&client_encoding=UTF8")
	if got := query(t, conn, "select args ->> 'to' from pgq.jobs"); got != "à l'été" {
		t.Errorf("the database has %q", got)
	}
	file := writeFile(t, "pgq.yaml", "worker: {queues: {été: {}}}\nkinds:\n  mail: {run: [cat]}\n")
	startWorker(t, url, file)
	becomes(t, conn, "à l'été", "select output #>> '{args,to}' from pgq.results")
	admin(t, "check", "--url", url).want(t, 0)
	admin(t, "doctor", "--url", url).want(t, 4, "LATIN1", "encoding 'UTF8' template template0")
}

func TestADatabaseWithoutCharactersIsRefusedWithTheFix(t *testing.T) {
	t.Parallel()
	admin(t, "migrate", "up", "--url", pgtest.EmptyIn(t, "SQL_ASCII")).
		want(t, 1, "SQL_ASCII", "encoding 'UTF8' template template0", "fix: ")
}
