//go:build !unix

package command

import (
	"os"
	"syscall"
)

// There are no process groups: the child alone is ended, and nothing guards it.

func attributes() *syscall.SysProcAttr { return nil }

func keepThread() func() { return func() {} }

func terminateGroup(p *os.Process) { _ = p.Kill() }

func killGroup(p *os.Process) { _ = p.Kill() }

func watch(int) {}

func unwatch(int) {}
