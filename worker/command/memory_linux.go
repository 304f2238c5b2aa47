package command

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

// canLimitMemory: the kernel says how much memory processes have.
const canLimitMemory = true

// memoryEvery is how often that is looked at.
const memoryEvery = 100 * time.Millisecond

// meter looks at the memory of all groups that have a limit, by one walk through the processes.
var meter struct {
	mu      sync.Mutex
	limits  map[int]memoryLimit // by group
	running bool
}

type memoryLimit struct {
	bytes    int64
	exceeded chan struct{}
}

// limitMemory returns a channel that is closed when the processes of a group have more memory of their own; forget ends that.
func limitMemory(group int, limit int64) (exceeded <-chan struct{}, forget func()) {
	meter.mu.Lock()
	defer meter.mu.Unlock()
	l := memoryLimit{limit, make(chan struct{})}
	if meter.limits == nil {
		meter.limits = map[int]memoryLimit{}
	}
	if !meter.running {
		meter.running = true
		go measure()
	}
	meter.limits[group] = l
	return l.exceeded, func() {
		meter.mu.Lock()
		defer meter.mu.Unlock()
		delete(meter.limits, group)
	}
}

// measure looks until no group has a limit any more.
func measure() {
	ticker := time.NewTicker(memoryEvery)
	defer ticker.Stop()
	for range ticker.C {
		used := memoryOfGroups()
		meter.mu.Lock()
		for group, limit := range meter.limits {
			if used[group] > limit.bytes {
				close(limit.exceeded)
				delete(meter.limits, group)
			}
		}
		meter.running = len(meter.limits) > 0
		again := meter.running
		meter.mu.Unlock()
		if !again {
			return
		}
	}
}

// memoryOfGroups returns how many bytes the processes of each group have resident that they share with no others.
func memoryOfGroups() map[int]int64 {
	used := map[int]int64{}
	processes, _ := os.ReadDir("/proc")
	for _, entry := range processes {
		if name := entry.Name(); name[0] >= '0' && name[0] <= '9' {
			if group, bytes, ok := memoryOf("/proc/" + name); ok {
				used[group] += bytes
			}
		}
	}
	return used
}

// memoryOf reads the group and the memory of one process; false: it has ended.
func memoryOf(process string) (group int, size int64, ok bool) {
	stat, err := os.ReadFile(process + "/stat")
	if err != nil {
		return 0, 0, false
	}
	// pid (name) state parent group …; the name may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	statm, err := os.ReadFile(process + "/statm")
	if err != nil || len(fields) < 3 {
		return 0, 0, false
	}
	pages := bytes.Fields(statm) // size resident shared …
	if len(pages) < 3 {
		return 0, 0, false
	}
	group, _ = strconv.Atoi(string(fields[2]))
	resident, _ := strconv.ParseInt(string(pages[1]), 10, 64)
	shared, _ := strconv.ParseInt(string(pages[2]), 10, 64)
	return group, (resident - shared) * int64(os.Getpagesize()), true
}

// self is the program of this process, even if another file has taken its place.
func self() (string, error) { return "/proc/self/exe", nil }
