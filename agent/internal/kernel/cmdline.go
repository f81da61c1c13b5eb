// Package kernel reads the kernel command line and loads kernel modules from the initramfs.
package kernel

import (
	"strconv"
	"strings"
	"time"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

const (
	maxCmdline   = 64 << 10
	maxWatchdogS = 3600
)

// ReadArguments reads the kernel command line.
func ReadArguments() (Arguments, error) {
	line, err := sys.ReadBounded("/proc/cmdline", maxCmdline)
	if err != nil {
		return Arguments{}, err
	}
	return Parse(string(line)), nil
}

// Arguments are those of the kernel command line that the agent understands.
type Arguments struct {
	Root, RootType, RootFlags string
	Init                      string
	Hostname                  string
	IP                        string // the value of ip=
	Debug                     bool
	Watchdog                  time.Duration // 0: the agent feeds no watchdog
}

// Parse reads the text of /proc/cmdline.
func Parse(line string) Arguments {
	args := Arguments{Init: "/sbin/init", RootType: "ext4"}
	for _, word := range strings.Fields(line) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "root":
			args.Root = value
		case "rootfstype":
			args.RootType = value
		case "rootflags":
			args.RootFlags = value
		case "init":
			args.Init = value
		case "gaovm.hostname":
			if wire.ValidHostname(value) {
				args.Hostname = value
			}
		case "gaovm.debug":
			args.Debug = value == "1"
		case "gaovm.watchdog":
			if seconds, err := strconv.Atoi(value); err == nil && 0 < seconds && seconds <= maxWatchdogS {
				args.Watchdog = time.Duration(seconds) * time.Second
			}
		case "ip":
			args.IP = value
		}
	}
	return args
}
