//go:build linux

package pgserver

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// alive tells whether the process runs; one that has ended and waits to be
// collected does not.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z")
}

// holder is another process that holds a private cluster.
type holder struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	pid   int    // of its postgres
	dir   string // of its cluster
	port  int
}

// hold starts one, as the given account if it is not nil.
func hold(t *testing.T, a *account) *holder {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if a != nil {
		binary = readableCopy(t, binary)
	}
	h := &holder{cmd: exec.Command(binary)}
	h.cmd.Env = append(os.Environ(), helperVariable+"=cluster")
	h.cmd.Dir = "/"
	h.cmd.Stderr = os.Stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential()}
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.cmd.Process.Kill()
		h.cmd.Wait()
	})
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	if _, err := fmt.Sscan(line, &h.pid, &h.dir, &h.port); err != nil {
		t.Fatalf("the helper says %q", line)
	}
	return h
}

func readableCopy(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgserver-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "helper")
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestAClusterDiesWithItsParentAndItsDirectoryWithTheNextStart(t *testing.T) {
	t.Parallel()
	h := hold(t, nil)
	if !alive(h.pid) || !answers(h.port) {
		t.Fatal("the helper's postgres does not run")
	}
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "postgres ends after its parent was killed", func() bool { return !alive(h.pid) && !answers(h.port) })

	local(t, Options{})
	if _, err := os.Stat(h.dir); !os.IsNotExist(err) {
		t.Errorf("%s of a dead owner is still there", h.dir)
	}
}

func TestTheDirectoryOfALivingOwnerIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := hold(t, nil)
	local(t, Options{})
	if _, err := os.Stat(h.dir); err != nil {
		t.Error(err)
	}
	if !answers(h.port) {
		t.Error("the other cluster does not answer any more")
	}
	h.stdin.Close()
	if err := h.cmd.Wait(); err != nil {
		t.Errorf("the helper ended with %v", err)
	}
	if _, err := os.Stat(h.dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there", h.dir)
	}
}

// Who runs the tests is one of the two cases: root, or somebody else. Root can be
// the other one too.
func TestRootRunsTheClusterAsAnotherUserAndOthersAsThemselves(t *testing.T) {
	t.Parallel()
	a, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	if a == nil {
		if got := owner(t, local(t, Options{}).cluster.process.cmd.Process.Pid); got != os.Getuid() {
			t.Errorf("postgres runs as user %d, not as ourselves", got)
		}
		return
	}
	if got := owner(t, local(t, Options{}).cluster.process.cmd.Process.Pid); got != int(a.uid) {
		t.Errorf("started by root, postgres runs as user %d, not as %s", got, a.name)
	}
	h := hold(t, a)
	if got := owner(t, h.pid); got != int(a.uid) {
		t.Errorf("started by %s, postgres runs as user %d", a.name, got)
	}
	h.stdin.Close()
	if err := h.cmd.Wait(); err != nil {
		t.Errorf("the helper ended with %v", err)
	}
}

func TestRootBecomesNobodyWhereThereIsNoUserPostgres(t *testing.T) {
	t.Parallel()
	a, err := accountOf("no-such-user", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if a, err := unprivileged(); a != nil || err != nil {
			t.Errorf("not being root, we would become %v (%v)", a, err)
		}
		return
	}
	dir, err := newDirectory(false)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.remove()
	dir.account = a
	if err := a.own(dir.cluster); err != nil {
		t.Fatal(err)
	}
	s, err := startCluster(t.Context(), withPrograms(searchDirs())[0], dir, TestSettings())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := owner(t, s.cluster.process.cmd.Process.Pid); got != int(a.uid) {
		t.Errorf("postgres runs as user %d", got)
	}
	if _, err := accountOf("no-such-user"); err == nil {
		t.Error("no error without a user to become")
	}
}

func TestADirectoryIsReachableIfEverybodyMayPassThroughItsParents(t *testing.T) {
	t.Parallel()
	private := t.TempDir()
	inside := filepath.Join(private, "inside")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	if reachable(inside) || reachable(private) || reachable("relative") || reachable("/no/such/directory") {
		t.Error("what nobody can reach is said to be reachable")
	}
	if !reachable("/tmp") {
		t.Error("/tmp is said to be unreachable")
	}
}

func owner(t *testing.T, pid int) int {
	t.Helper()
	info, err := os.Stat("/proc/" + strconv.Itoa(pid))
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

func TestADirectoryThatOnlyLooksLikeOursIsLeftAlone(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	withoutLock := filepath.Join(base, directoryPrefix+"1")
	if err := os.Mkdir(withoutLock, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, directoryPrefix+"2")
	target := t.TempDir()
	if err := os.WriteFile(filepath.Join(target, "owner"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	abandoned := filepath.Join(base, directoryPrefix+"3")
	if err := os.Mkdir(abandoned, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(abandoned, "owner"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	removeAbandoned(base)

	for _, path := range []string{withoutLock, link, filepath.Join(target, "owner")} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(abandoned); !os.IsNotExist(err) {
		t.Error("the abandoned directory is still there")
	}
}
