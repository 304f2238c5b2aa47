package command

import (
	"runtime"
	"syscall"
)

// attributes make the child lead a process group, and end with us.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// keepThread keeps the thread of the goroutine until the function that it returns is called: Linux ends the child
// when the thread that forked it ends, and not only when the process does.
func keepThread() func() {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
