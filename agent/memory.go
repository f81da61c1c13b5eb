package main

import (
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	gcPercent   = 25       // a small heap is worth more here than the processor time that collecting it costs
	memoryLimit = 32 << 20 // soft: under load the collector works harder before the agent grows beyond this
	// Above this many resident bytes an idle agent also lets go of its program's pages.
	idleTarget = 7 << 20
)

func limitMemory() {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
}

// trim returns memory that a burst of streams, or the start, took. What a pool holds survives the first collection.
func trim() {
	runtime.GC()
	debug.FreeOSMemory()
	if procKilobytes("/proc/self/status", "VmRSS:") > idleTarget {
		dropProgram()
	}
}

// dropProgram unmaps the pages of the program file. The kernel maps 64 KiB around each fault, and much of what ran at
// the start never runs again; what is needed comes back from the page cache without I/O.
func dropProgram() {
	body, err := readBounded("/proc/self/smaps", maxProcFile)
	if err != nil {
		return
	}
	for _, m := range droppable(string(body)) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED)
	}
}

type mapping struct{ start, length uintptr }

// droppable finds the read-only mappings of a file in which no page is the process's own: one that the loader has
// written to, as it does in a position-independent program, would lose its contents.
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
