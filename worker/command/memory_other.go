//go:build !linux

package command

import "os"

// canLimitMemory: there is no way here to see how much memory processes have that all systems share.
const canLimitMemory = false

func limitMemory(int, int64) (exceeded <-chan struct{}, forget func()) { return nil, func() {} }

// self is the program of this process.
func self() (string, error) { return os.Executable() }
