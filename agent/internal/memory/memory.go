// Package memory keeps the agent's resident memory small.
package memory

import (
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

const (
	gcPercent   = 25       // a small heap is worth the processor time of more collections here
	memoryLimit = 32 << 20 // soft: near it the collector works harder
	// An idle agent with more resident bytes than this drops the pages of its program too.
	idleTarget = 7 << 20
)

// Limit keeps the heap small.
func Limit() {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
}

// Trim gives the kernel back the memory that a burst of streams, or the start, took. FreeOSMemory
// collects a second time, as what a sync.Pool holds survives the first collection.
func Trim() {
	runtime.GC()
	debug.FreeOSMemory()
	if sys.ProcKilobytes("/proc/self/status", "VmRSS:") > idleTarget {
		DropProgram()
	}
}

// DropProgram unmaps the pages of the program file. The kernel maps 64 KiB around each fault, and
// much of the code that ran at the start never runs again; the rest comes back from the page cache
// without I/O.
func DropProgram() {
	body, err := sys.ReadBounded("/proc/self/smaps", sys.MaxProcFile)
	if err != nil {
		return
	}
	for _, m := range droppable(string(body)) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED)
	}
}

type mapping struct{ start, length uintptr }

// droppable finds the read-only mappings of a file that have no private page: a page that the
// loader has written to, as in a position-independent program, would lose its contents.
func droppable(smaps string) []mapping {
	var found []mapping
	var candidate mapping
	for _, line := range strings.Split(smaps, "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 5 && len(fields[1]) == 4:
			candidate = mapping{}
			if len(fields) >= 6 && (fields[1] == "r-xp" || fields[1] == "r--p") && strings.HasPrefix(fields[5], "/") {
				from, to, _ := strings.Cut(fields[0], "-")
				start, errStart := strconv.ParseUint(from, 16, 64)
				end, errEnd := strconv.ParseUint(to, 16, 64)
				if errStart == nil && errEnd == nil && end > start {
					candidate = mapping{uintptr(start), uintptr(end - start)}
				}
			}
		case len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0" && candidate.length > 0:
			found = append(found, candidate)
		}
	}
	return found
}
