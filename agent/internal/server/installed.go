package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"gaovm/agent/internal/cgroups"
	"gaovm/agent/internal/channel"
	"gaovm/agent/internal/install"
	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/kernel"
	"gaovm/agent/internal/memory"
	"gaovm/agent/internal/network"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/seed"
)

// routeTimeout bounds the wait for the distribution's network.
const routeTimeout = 5 * time.Minute

// ServeInstalled serves in an image that has booted by itself: the distribution's init runs this
// program as a service. It brings the program up to date first.
func ServeInstalled(version string) {
	memory.Limit()
	journal.Own.SetLevel(journal.LevelInfo)
	settings := refreshed()
	journal.SetDebugging(settings.Debug)
	a := newAgent(channel.Hello{Version: version, PID: os.Getpid()}, true, initProgram(), cgroups.Running())
	install.MarkRunning()
	_ = kernel.Probe("virtio_console")
	a.serveToEnd(nil, func() { a.settleInstalled(settings) })
}

// refreshed reads the host's settings from its disk, and runs that disk's program instead of this
// one when they differ.
func refreshed() seed.Settings {
	disk, err := seed.Open()
	if err != nil {
		journal.Warn("the host's disk: " + err.Error())
		return seed.Settings{}
	}
	defer disk.Close()
	if err := install.Refresh(disk); err != nil {
		journal.Warn("the agent is not up to date: " + err.Error())
	}
	return disk.Settings
}

// settleInstalled loads the file systems of the mounts and waits for the distribution's network.
func (a *agent) settleInstalled(settings seed.Settings) {
	process.OOMExemption.Begin()
	kernel.ProbeShareModules(kernel.VirtioDevices)
	close(a.ready)
	if settings.Watchdog > 0 {
		a.watchdog.Start(-1, settings.Watchdog)
	}
	a.online.Finish(network.AwaitDefaultRoute(routeTimeout))
}

// initProgram is the base name of the running init.
func initProgram() string {
	program, err := os.Readlink("/proc/1/exe")
	if err != nil {
		program, _ = exec.LookPath("init")
	}
	return filepath.Base(program)
}
