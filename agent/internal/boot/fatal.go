package boot

import (
	"os"
	"time"

	"gaovm/agent/internal/sys"
)

// fatal writes to the console what made booting impossible, and turns the machine off.
func fatal(err error) {
	line := "gaovm-agent: fatal: " + err.Error() + "\n"
	if console, openErr := os.OpenFile("/dev/console", os.O_WRONLY, 0); openErr == nil {
		_, _ = console.WriteString("\n" + line)
		console.Close()
	} else {
		_, _ = os.Stdout.WriteString("\n" + line)
	}
	time.Sleep(consoleDrain)
	sys.ForcePower(false)
}

// consoleDrain lets a slow serial line send the last line; no event says when it has.
const consoleDrain = 50 * time.Millisecond
