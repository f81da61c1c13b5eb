package journal

import (
	"os"
)

// The agent writes its lines to the kernel's own log: they appear on every console, in order with
// the kernel's lines, and before any console is set up.
const kernelLog = "/dev/kmsg"

// debugging is whether debug lines go to the kernel's log too.
var debugging bool

// SetDebugging makes Debug write to the console too.
func SetDebugging(on bool) { debugging = on }

// Debug logs a step; with gaovm.debug=1 on the console too.
func Debug(line string) {
	Own.Add(LevelDebug, line)
	if debugging {
		writeConsole("gaovm-agent: " + line)
	}
}

// Warn logs a problem, on the console too.
func Warn(line string) {
	Own.Add(LevelWarn, line)
	writeConsole("gaovm-agent: warning: " + line)
}

// Info logs a line.
func Info(line string) { Own.Add(LevelInfo, line) }

func writeConsole(line string) {
	log, err := os.OpenFile(kernelLog, os.O_WRONLY, 0)
	if err != nil {
		_, _ = os.Stdout.WriteString(line + "\n")
		return
	}
	defer log.Close()
	_, _ = log.WriteString("<3>" + line + "\n")
}
