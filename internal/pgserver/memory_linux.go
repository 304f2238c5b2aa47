package pgserver

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

const (
	tmpfsMagic = 0x01021994
	// memoryRoom is what must be free, of the file system in memory and of memory: several times what all tests need.
	memoryRoom = 4 << 30
)

// memoryBase is the directory whose files are in memory and that everybody may write to, "" if there is none.
func memoryBase() string {
	const path = "/dev/shm"
	var system syscall.Statfs_t
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o003 != 0o003 || syscall.Statfs(path, &system) != nil || int64(system.Type) != tmpfsMagic {
		return ""
	}
	return path
}

// hasRoom tells whether there is room for the data of tests: in the file system, on the machine and, in a container, in
// what it may use.
func hasRoom(path string) bool {
	var system syscall.Statfs_t
	if syscall.Statfs(path, &system) != nil || system.Bavail*uint64(system.Bsize) < memoryRoom {
		return false
	}
	if limit, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		var bytes uint64
		if _, err := fmt.Sscan(string(limit), &bytes); err == nil && bytes < 2*memoryRoom { // "max" is no number, and no limit
			return false
		}
	}
	return availableMemory() >= memoryRoom
}

// availableMemory is what the machine can give without swapping, 0 if it does not say so.
func availableMemory() (bytes uint64) {
	text, _ := os.ReadFile("/proc/meminfo")
	_, after, _ := strings.Cut(string(text), "MemAvailable:")
	_, _ = fmt.Sscan(after, &bytes)
	return bytes << 10 // it counts in kB
}
