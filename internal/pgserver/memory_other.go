//go:build !linux

package pgserver

// memoryBase is where files are in memory: of other systems we know none.
func memoryBase() string { return "" }

func hasRoom(string) bool { return false }
