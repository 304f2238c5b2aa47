//go:build unix

package command

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// guardScript reads which groups live, "+ GROUP" and "- GROUP", until the pipe is closed: this process has ended. Then it
// kills those that are left.
const guardScript = `trap '' HUP INT QUIT TERM
live=' '
while read -r sign group; do
	case $sign in
	+) live="$live$group " ;;
	-) live="${live%%" $group "*} ${live#*" $group "}" ;;
	esac
done
for group in $live; do kill -s KILL -- "-$group"; done 2>/dev/null`

// guard is the one of this process. Where no shell can be started there is none.
var guard struct {
	mu     sync.Mutex
	shell  *exec.Cmd
	pipe   *os.File
	groups map[int]bool
}

// prepareGuard starts the guard, so that it need only be told of a child when that has begun.
func prepareGuard() {
	guard.mu.Lock()
	defer guard.mu.Unlock()
	if guard.shell == nil {
		startGuard()
	}
}

// watch has a group killed should this process be killed.
func watch(group int) {
	guard.mu.Lock()
	defer guard.mu.Unlock()
	if guard.groups == nil {
		guard.groups = map[int]bool{}
	}
	guard.groups[group] = true
	if guard.shell != nil {
		if _, err := fmt.Fprintf(guard.pipe, "+ %d\n", group); err == nil {
			return
		}
		_ = guard.pipe.Close()
		_ = guard.shell.Wait() // somebody killed it
		guard.shell = nil
	}
	startGuard()
}

// unwatch says that a group has ended.
func unwatch(group int) {
	guard.mu.Lock()
	defer guard.mu.Unlock()
	delete(guard.groups, group)
	if guard.shell != nil {
		_, _ = fmt.Fprintf(guard.pipe, "- %d\n", group)
	}
}

// startGuard starts the guard and tells it of all groups. Needs mu.
func startGuard() {
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	defer func() { _ = r.Close() }()
	shell := exec.Command("/bin/sh", "-c", guardScript)
	shell.Env, shell.Dir, shell.Stdin = []string{}, "/", r
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C at the terminal is not for it
	if err := shell.Start(); err != nil {
		_ = w.Close()
		return
	}
	guard.shell, guard.pipe = shell, w
	for group := range guard.groups {
		_, _ = fmt.Fprintf(w, "+ %d\n", group)
	}
}
