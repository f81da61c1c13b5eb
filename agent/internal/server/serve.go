package server

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"gaovm/agent/internal/cgroups"
	"gaovm/agent/internal/channel"
	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/kernel"
	"gaovm/agent/internal/memory"
	"gaovm/agent/internal/network"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/roles"

	"golang.org/x/sys/unix"
)

// settlingPriority gets nine tenths of the processor against processes of priority 0.
const settlingPriority = -10

// Serve is the serving copy. It opens the port first; whatever takes time runs beside it.
func Serve(version string) {
	memory.Limit()
	journal.Own.SetLevel(journal.LevelInfo)
	journal.Own.Load(os.Getenv(journal.Environment))
	a := newAgent(channel.Hello{Version: version, PID: os.Getpid()}, true, os.Getenv(roles.InitEnvironment), cgroups.Inherited())
	a.life = roles.InheritedLife()
	if a.life.Watched() {
		a.serveAgain()
	}
	a.serveToEnd(roles.InheritedPort(channel.PortName), a.settle)
}

// serveAgain serves in place of a copy that died: the guest is set up already.
func (a *agent) serveAgain() {
	a.serveToEnd(nil, func() {
		process.OOMExemption.Begin()
		close(a.ready)
		a.online.Finish(nil)
		a.afterBoot()
		if args := a.settlingArguments(); args.Watchdog > 0 {
			a.watchdog.Start(-1, args.Watchdog)
		}
	})
}

func (a *agent) serveToEnd(port *os.File, settle func()) {
	err := a.servePort(port, settle)
	journal.Warn("serving ended: " + err.Error())
	a.life.End()
	os.Exit(1)
}

// settle does what boot left for later: it loads the file systems of the mounts, sets up the
// network, loads the other modules and removes the initramfs.
func (a *agent) settle() {
	// The distribution's init starts now and takes the processor, and the first command waits for
	// this work. The thread ends with this goroutine, so no process that starts later inherits its
	// priority.
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, settlingPriority)
	process.OOMExemption.Begin()
	args := a.settlingArguments()
	if !kernel.ListsPhase(roles.InitramfsFD, kernel.PhaseNetwork) {
		// An initramfs that is older than this agent has all modules in one phase.
		kernel.LoadModules(roles.InitramfsFD, kernel.PhaseLate)
	}
	kernel.LoadShareModules(roles.InitramfsFD, kernel.VirtioDevices)
	journal.Info("file systems are loaded")
	close(a.ready)
	// The first command may run by now: from here on every process gets a fair share.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0)
	kernel.LoadModules(roles.InitramfsFD, kernel.PhaseNetwork)
	plan, _ := network.ParsePlan(args.IP) // process 1 has warned of one that it does not understand
	a.online.Finish(network.BringUp(plan))
	kernel.LoadModules(roles.InitramfsFD, kernel.PhaseLate)
	if args.Watchdog > 0 {
		a.watchdog.Start(roles.InitramfsFD, args.Watchdog)
	}
	kernel.RemoveInitramfs(roles.InitramfsFD)
	journal.Info("modules are loaded")
	a.life.Watch(a.cgroups.Root, a.initName)
}

// settlingArguments reads the kernel command line. When that fails it logs why and returns no
// arguments.
func (a *agent) settlingArguments() kernel.Arguments {
	args, err := kernel.ReadArguments()
	if err != nil {
		journal.Warn("kernel command line: " + err.Error())
	}
	journal.SetDebugging(args.Debug)
	return args
}

// Develop serves a Unix socket as the current user until SIGTERM or SIGINT, then kills what it has
// started.
func Develop(version, path string) int {
	memory.Limit()
	a := newAgent(channel.Hello{Version: version, PID: os.Getpid()}, false, "", cgroups.New(-1))
	close(a.ready)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	failed := make(chan error, 1)
	go func() { failed <- a.serveSocket(path) }()
	select {
	case <-ends:
		a.live.KillAll()
		_ = os.Remove(path)
		return 0
	case err := <-failed:
		_, _ = os.Stderr.WriteString("gaovm-agent: " + err.Error() + "\n")
		return 1
	}
}
