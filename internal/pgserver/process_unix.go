//go:build unix

package pgserver

import "syscall"

// signalGroup sends s to the child and to what it has started.
func (p *process) signalGroup(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }
