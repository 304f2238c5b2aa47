package examples

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/internal/pgtest"
)

const protocol = "../docs/worker-protocol.md"

func TestTheProtocolByHandIsWhatPsqlDoes(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("NOT TESTED: no psql in PATH")
	}
	page, err := os.ReadFile(protocol)
	if err != nil {
		t.Fatal(err)
	}
	_, byHand, _ := strings.Cut(string(page), "## By hand")
	_, byHand, _ = strings.Cut(byHand, "```sql\n")
	byHand, _, found := strings.Cut(byHand, "```")
	if !found {
		t.Fatal("there is no SQL under \"By hand\"")
	}
	url := pgtest.Database(t)
	cmd := exec.CommandContext(t.Context(), "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", url)
	cmd.Stdin = strings.NewReader(byHand + "select state, output from pgq.job_details; select count(*) from pgq.workers;")
	out, err := cmd.CombinedOutput()
	if got, want := strings.TrimSpace(string(out)), "1\ncompleted\n\ncompleted|{\"hello\": \"Ada\"}\n0"; err != nil || got != want {
		t.Errorf("%v, printed\n%s\nwant\n%s", err, got, want)
	}
}

func TestEveryFunctionOfTheProtocolExistsWithTheseArguments(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(protocol)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	const call = `([a-z_]+)\(([^()]*)\)`
	checked := 0
	for _, line := range regexp.MustCompile("(?s)\n\\| [^|\n]* \\| `"+call+"|\n"+call).FindAllStringSubmatch(string(page), -1) {
		name, args := line[1]+line[3], line[2]+line[4]
		var names []string
		for _, arg := range strings.Split(args, ",") {
			if words := strings.Fields(arg); len(words) > 0 {
				names = append(names, words[0])
			}
		}
		var is []string
		err := conn.QueryRow(t.Context(), `select coalesce(proargnames[1:pronargs], '{}') from pg_proc
			where pronamespace = 'pgq'::regnamespace and proname = $1`, name).Scan(&is)
		if err != nil || strings.Join(is, " ") != strings.Join(names, " ") {
			t.Errorf("%s(%s): there is (%s), %v", name, strings.Join(names, " "), strings.Join(is, " "), err)
		}
		checked++
	}
	if checked < 20 {
		t.Errorf("only %d functions were found on the page", checked)
	}
}
