// Package roles starts the agent's other processes: the serving copy, its watcher, and successors.
// Each passes descriptors and environment variables to the next.
package roles

import (
	"os"
	"strconv"
	"syscall"

	"gaovm/agent/internal/cgroups"
	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

// ServingName is the argv[0] of the serving copy: systemd's final kill spares names that begin with
// @.
const ServingName = "@gaovm-agent"

const (
	// The serving copy finds the root of the initramfs under this descriptor.
	InitramfsFD = 3
	// It finds the port under this one, when process 1 has opened it already.
	inheritedPortFD = 4
	// Carries the base name of the init program, which process 1 may not have executed yet.
	InitEnvironment = "GAOVM_INIT"
	// The server only moves bytes: on one processor its goroutines take turns without waking
	// threads, and leave the other processors to the work that makes the bytes.
	oneProcessor = "GOMAXPROCS=1"
	// Carries the highest descriptor that process 1 hands over: inheritedPortFD when the port is
	// among them.
	portEnvironment = "GAOVM_LAST_FD"
)

// StartServer forks the serving copy into its own cgroup: systemd claims the processes of the
// root cgroup.
func StartServer(files []uintptr, initName string) error {
	env := []string{
		"PATH=" + process.RootPath,
		oneProcessor,
		startEnvironment + "=" + strconv.FormatInt(sys.BootNanoseconds(), 10),
		InitEnvironment + "=" + initName,
		portEnvironment + "=" + strconv.Itoa(len(files)-1),
		journal.Environment + "=" + journal.Own.Export(),
	}
	attr := &syscall.ProcAttr{Dir: "/", Env: env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true}}
	var place *cgroups.Slot
	if root := cgroups.Open(); root >= 0 {
		attr.Env = append(attr.Env, cgroups.Environment+"="+strconv.Itoa(len(files)))
		attr.Files = append(files, uintptr(root))
		if dir, err := unix.Openat(root, cgroups.Agent, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
			place = &cgroups.Slot{Name: cgroups.Agent, Dir: dir}
		}
	}
	_, err := process.ForkInto(place, process.Self, []string{ServingName}, attr)
	return err
}

// InheritedPort returns the port that process 1 has opened, or nil.
func InheritedPort(name string) *os.File {
	unix.CloseOnExec(InitramfsFD)
	if os.Getenv(portEnvironment) != strconv.Itoa(inheritedPortFD) {
		return nil
	}
	unix.CloseOnExec(inheritedPortFD)
	return os.NewFile(inheritedPortFD, name)
}
