package roles

import (
	"os"
	"strconv"

	"gaovm/agent/internal/sys"
)

// startEnvironment carries the CLOCK_BOOTTIME of the serving copy's exec from process 1 to the
// copy.
const startEnvironment = "GAOVM_STARTED_NS"

// processStart is the time of the exec where process 1 has not passed it on.
var processStart = sys.BootNanoseconds()

// StartedAt is the CLOCK_BOOTTIME, in nanoseconds, at which this process began.
func StartedAt() int64 {
	if at, err := strconv.ParseInt(os.Getenv(startEnvironment), 10, 64); err == nil {
		return at
	}
	return processStart
}
