//go:build unix && !linux

package pgserver

import "syscall"

// childAttributes makes the child run as a, in a process group of its own so that
// Ctrl-C at the terminal is ours to handle. The system has no signal for the death
// of a parent: the next Start ends what was left behind.
func childAttributes(a *account, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: a.credential(), Setpgid: true}
}
