package main

import (
	"os"
	"time"
)

// The kernel's own log takes the agent's lines: they stand in order with the kernel's, on every console, and need no
// console that is set up already.
const kernelLog = "/dev/kmsg"

var debugging bool

func debugLog(line string) {
	own.add(levelDebug, line)
	if debugging {
		writeConsole("gaovm-agent: " + line)
	}
}

func warn(line string) {
	own.add(levelWarn, line)
	writeConsole("gaovm-agent: warning: " + line)
}

func inform(line string) { own.add(levelInfo, line) }

func writeConsole(line string) {
	log, err := os.OpenFile(kernelLog, os.O_WRONLY, 0)
	if err != nil {
		_, _ = os.Stdout.WriteString(line + "\n")
		return
	}
	defer log.Close()
	_, _ = log.WriteString("<3>" + line + "\n")
}

// fatal reports what made booting impossible, straight to the console, and turns the machine off.
func fatal(err error) {
	line := "gaovm-agent: fatal: " + err.Error() + "\n"
	if console, openErr := os.OpenFile("/dev/console", os.O_WRONLY, 0); openErr == nil {
		_, _ = console.WriteString("\n" + line)
		console.Close()
	} else {
		_, _ = os.Stdout.WriteString("\n" + line)
	}
	time.Sleep(consoleDrain)
	forcePower(false)
}

// consoleDrain lets a slow serial line take the last words; nothing tells when it has.
const consoleDrain = 50 * time.Millisecond
