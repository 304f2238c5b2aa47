package pgserver

import "syscall"

// childAttributes makes the child run as a, in a process group of its own so that
// Ctrl-C at the terminal is ours to handle, and get the signal when we die.
func childAttributes(a *account, whenWeDie syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Credential: a.credential(),
		Setpgid:    true,
		Pdeathsig:  whenWeDie,
	}
}
