package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/pgq-go/queue/dagsql"
)

func TestDagWatchTellsChangesLineByLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.submit(etl("monday"))
	w := begin(t, "dag", "watch", "etl/monday", "--interval", "10ms", "--url", s.url)
	w.until(t, "etl/monday: running, 0 of 4 jobs ended")
	s.work()
	w.until(t, "completed  extract in ")
	s.dag("answer etl/monday approve").want(t, 0)
	out := w.until(t, "etl/monday: completed, 7 of 7 jobs ended; took ")
	for _, line := range []string{"thumbs, 3 of 3\n", "clean, 2 of 2\n", "load in "} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	if err := w.cmd.Wait(); err != nil || strings.ContainsAny(out, "\x1b\r") {
		t.Errorf("%v; or control characters outside of a terminal in\n%s", err, out)
	}
	again := s.dag("watch etl/monday -o jsonl --items")
	again.want(t, 0)
	nodes := 0
	for _, line := range strings.Split(strings.TrimSpace(again.stdout), "\n") {
		var change struct {
			Node, DAG map[string]any
		}
		if err := json.Unmarshal([]byte(line), &change); err != nil || (change.Node == nil) == (change.DAG == nil) {
			t.Errorf("%v in %s", err, line)
		}
		if change.Node["state"] == "completed" {
			nodes++
		}
	}
	if nodes != 10 {
		t.Errorf("%d nodes are told, want 10", nodes)
	}
}

func TestDagWatchEndsWithATimeoutOrCtrlC(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.submit(etl("monday"))
	s.dag("watch etl/monday --timeout 100ms").want(t, 7, fmt.Sprintf("DAG %d has not ended within 100ms; it goes on", id), "dag explain")
	s.dag("watch etl/monday --timeout 100ms -o jsonl").want(t, 7, `"reason":"timeout"`)
	w := begin(t, "dag", "watch", "etl/monday", "--url", s.url)
	w.until(t, "running")
	if code := w.interrupt(t, syscall.SIGINT); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
}

func TestAClosedPipeEndsTheProgramInSilence(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.pool.Exec(t.Context(), `select pgq.dag_submit(jsonb_build_object('name', 'many', 'nodes', jsonb_build_array(
		jsonb_build_object('name', 'a', 'type', 'external')))) from generate_series(1, 2000)`)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"json", "csv", "table", "yaml"} {
		cmd := s.call("list --limit 10000 -o " + format).command(context.Background())
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		_ = stdout.Close()
		_ = cmd.Wait() // its exit code is what we look at
		if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGPIPE) || stderr.Len() > 0 {
			t.Errorf("%s: exit code %d, stderr %q", format, code, stderr.String())
		}
	}
}

// console is a terminal on which the program runs.
type console struct {
	tty     *os.File
	end     chan struct{}
	process *os.Process

	mu  sync.Mutex
	out bytes.Buffer
	new *sync.Cond
}

// onConsole starts the program on a terminal with so many lines.
func onConsole(t *testing.T, c call, lines, columns uint16) (*console, func() int) {
	t.Helper()
	cmd := c.command(context.Background())
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: lines, Cols: columns})
	if err != nil {
		t.Fatal(err)
	}
	con := &console{tty: tty, end: make(chan struct{}), process: cmd.Process}
	con.new = sync.NewCond(&con.mu)
	go func() {
		defer close(con.end)
		buffer := make([]byte, 4096)
		for {
			n, err := tty.Read(buffer)
			con.mu.Lock()
			con.out.Write(buffer[:n])
			con.new.Broadcast()
			con.mu.Unlock()
			if err != nil {
				return // the program has ended
			}
		}
	}()
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		_ = tty.Close()
	})
	return con, func() int {
		_ = cmd.Wait()
		<-con.end
		return cmd.ProcessState.ExitCode()
	}
}

// until waits for a text and returns all that was written.
func (c *console) until(t *testing.T, text string) string {
	t.Helper()
	timer := time.AfterFunc(patience, c.new.Broadcast)
	defer timer.Stop()
	begin := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !strings.Contains(c.out.String(), text) {
		if time.Since(begin) >= patience {
			t.Fatalf("no %q in\n%s", text, c.out.String())
		}
		c.new.Wait()
	}
	return c.out.String()
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

func TestDagWatchDrawsOnATerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.submit(etl("monday"))
	c := s.call("watch etl/monday --interval 10ms --items")
	c.env = append(c.env, "TERM=xterm", "NO_COLOR=")
	bright, endBright := onConsole(t, c, 9, 60)
	c.env[len(c.env)-1] = "NO_COLOR=1"
	grey, endGrey := onConsole(t, c, 9, 60)
	bright.until(t, "A\r\x1b[J") // it draws over what it has drawn
	grey.until(t, "A\r\x1b[J")
	s.work()
	s.dag("answer etl/monday approve").want(t, 0)
	if a, b := endBright(), endGrey(); a != 0 || b != 0 {
		t.Errorf("exit codes %d and %d", a, b)
	}
	for con, colours := range map[*console]bool{bright: true, grey: false} {
		out := con.text()
		if got := regexp.MustCompile(`\x1b\[[0-9;]*m`).MatchString(out); got != colours {
			t.Errorf("colours: %v, want %v in\n%q", got, colours, out)
		}
		if !strings.Contains(out, "more\r\n") || !strings.Contains(out, "etl/monday: ") {
			t.Errorf("not cut to 9 lines:\n%s", out)
		}
		for _, line := range strings.Split(regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]|\r`).ReplaceAllString(out, ""), "\n") {
			if len([]rune(line)) > 60 {
				t.Errorf("%q is too long", line)
			}
		}
	}
}

func TestDagCancelAsksOnATerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.submit(dagAlone())
	for _, c := range []struct {
		answer string
		code   int
		text   string
	}{
		{"n", 1, "not confirmed; nothing was changed"},
		{"", 1, "not confirmed; nothing was changed"},
		{"y", 0, "cancelled"},
	} {
		con, end := onConsole(t, s.call(fmt.Sprint("cancel ", id, " --reason test")), 24, 100)
		con.until(t, fmt.Sprintf("cancel all of DAG %d alone? [y/N] ", id))
		if _, err := con.tty.WriteString(c.answer + "\n"); err != nil {
			t.Fatal(err)
		}
		if code := end(); code != c.code || !strings.Contains(con.text(), c.text) {
			t.Errorf("%q: exit code %d, want %d and %q in\n%s", c.answer, code, c.code, c.text, con.text())
		}
	}
}

// dagAlone is a DAG of one node.
func dagAlone() *dagsql.Builder {
	b := dagsql.New("alone", dagsql.Options{})
	b.Add("a", act{})
	return b
}
