//go:build unix && !linux

package command

import "syscall"

// attributes make the child lead a process group.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func keepThread() func() { return func() {} }
