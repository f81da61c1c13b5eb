// Package boot is process 1: it mounts the root, starts the serving copy and executes the
// distribution's init.
package boot

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"gaovm/agent/internal/channel"
	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/kernel"
	"gaovm/agent/internal/network"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/roles"

	"golang.org/x/sys/unix"
)

const (
	// systemd sets these for its services: the soft limit that select(2) needs, the hard one that
	// servers want.
	softFiles = 1024
	hardFiles = 524288
)

type earlyMount struct {
	source, target, kind string
	flags                uintptr
	options              string
}

// earlyMounts have the options that systemd would use: it keeps what is mounted already.
var earlyMounts = []earlyMount{
	{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=620,ptmxmode=000"},
	{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755,size=20%,nr_inodes=800k"},
}

// Main is process 1 until the distribution's init takes over. It never returns.
func Main() {
	runtime.LockOSThread()
	if err := boot(); err != nil {
		fatal(err)
	}
	fatal(errors.New("init returned"))
}

func boot() error {
	unix.Umask(0o022)
	for _, m := range earlyMounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.options); err != nil {
			return errors.New("mounting " + m.target + ": " + err.Error())
		}
	}
	args, err := kernel.ReadArguments()
	if err != nil {
		return err
	}
	journal.SetDebugging(args.Debug)
	plan, err := network.ParsePlan(args.IP)
	if err != nil {
		journal.Warn(err.Error())
	}
	initramfs, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	journal.Debug("loading modules")
	kernel.LoadModules(initramfs, kernel.PhaseBoot)
	port := channel.OpenEarly()
	journal.Debug("waiting for " + args.Root)
	if err := mountRoot(&args); err != nil {
		return err
	}
	journal.Debug("root is mounted")
	if err := growRoot(&args); err != nil {
		journal.Warn("growing the root file system: " + err.Error())
	}
	journal.Debug("root has its size")
	if err := switchRoot(); err != nil {
		return err
	}
	if name := wantedHostname(&args, &plan); name != "" {
		if err := network.SetHostname("", name); err != nil {
			journal.Warn("host name: " + err.Error())
		}
	}
	return handOver(&args, initramfs, port)
}

// wantedHostname is the name of gaovm.hostname=, else of ip=, else "".
func wantedHostname(args *kernel.Arguments, plan *network.Plan) string {
	if args.Hostname != "" {
		return args.Hostname
	}
	return plan.Hostname
}

// handOver starts the serving copy and becomes the distribution's init.
func handOver(args *kernel.Arguments, initramfs int, port *channel.EarlyPort) error {
	program, err := filepath.EvalSymlinks(args.Init)
	if err != nil {
		return errors.New("init " + args.Init + ": " + err.Error())
	}
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: softFiles, Max: hardFiles})
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	journal.Debug("starting the server")
	files := []uintptr{uintptr(null), uintptr(null), uintptr(null), uintptr(initramfs)}
	if fd := port.Take(); fd >= 0 {
		files = append(files, uintptr(fd))
	}
	if err := roles.StartServer(files, filepath.Base(program)); err != nil {
		return errors.New("starting the server: " + err.Error())
	}
	env := []string{"HOME=/", "TERM=linux", "PATH=" + process.RootPath}
	journal.Debug("executing " + args.Init)
	return errors.New("executing " + args.Init + ": " + syscall.Exec(args.Init, []string{args.Init}, env).Error())
}
