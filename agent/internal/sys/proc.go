package sys

import (
	"strconv"
	"strings"
)

// MaxProcFile bounds what the agent reads of a file of /proc, in bytes.
const MaxProcFile = 4 << 20

// ProcFields returns the words of a file of /proc, or none when it cannot read it.
func ProcFields(path string) []string {
	body, err := ReadBounded(path, MaxProcFile)
	if err != nil {
		return nil
	}
	return strings.Fields(string(body))
}

// ProcKilobytes finds "KEY N kB" in a file of /proc and returns bytes, or 0.
func ProcKilobytes(path, key string) uint64 {
	body, err := ReadBounded(path, MaxProcFile)
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(body), "\n") {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == key {
			n, _ := strconv.ParseUint(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
