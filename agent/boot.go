package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	maxCmdline = 64 << 10
	// What a process of the serving copy finds its initramfs under.
	initramfsFD = 3
	// The port, when process 1 has opened it already.
	inheritedPortFD = 4
	// The init program's base name, for the serving copy: process 1 may not have executed it yet.
	initEnvironment = "GAOVM_INIT"
	// The server only moves bytes: on one processor its goroutines hand over to each other without waking threads,
	// and leave the others to the work that makes the bytes.
	oneProcessor = "GOMAXPROCS=1"
	// The highest descriptor that is handed over: inheritedPortFD when the port is among them.
	portEnvironment = "GAOVM_LAST_FD"
	// As systemd sets them for its services: the soft limit that select(2) needs, the hard one that servers want.
	softFiles = 1024
	hardFiles = 524288
	// Against processes of priority 0: nine tenths of the processor.
	settlingPriority = -10
)

type earlyMount struct {
	source, target, kind string
	flags                uintptr
	options              string
}

// earlyMounts have the options that systemd would use, for it keeps what is mounted already.
var earlyMounts = []earlyMount{
	{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=620,ptmxmode=000"},
	{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755,size=20%,nr_inodes=800k"},
}

// bootMain is process 1 until the distribution's init takes over. It returns never.
func bootMain() {
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
	line, err := readBounded("/proc/cmdline", maxCmdline)
	if err != nil {
		return err
	}
	args, cmdlineErr := parseCmdline(string(line))
	debugging = args.debug
	if cmdlineErr != nil {
		warn(cmdlineErr.Error())
	}
	initramfs, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	debugLog("loading modules")
	loadModules(initramfs, phaseBoot)
	port := openEarly()
	debugLog("waiting for " + args.root)
	if err := mountRoot(&args); err != nil {
		return err
	}
	debugLog("root is mounted")
	if err := growRoot(&args); err != nil {
		warn("growing the root file system: " + err.Error())
	}
	debugLog("root has its size")
	if err := switchRoot(); err != nil {
		return err
	}
	if name := args.wantedHostname(); name != "" {
		if err := setHostname("", name); err != nil {
			warn("host name: " + err.Error())
		}
	}
	return handOver(&args, initramfs, port)
}

func (k *kernelArguments) wantedHostname() string {
	if k.hostname != "" {
		return k.hostname
	}
	return k.network.hostname
}

// handOver starts the serving copy and becomes the distribution's init.
func handOver(args *kernelArguments, initramfs int, port *earlyPort) error {
	program, err := filepath.EvalSymlinks(args.init)
	if err != nil {
		return errors.New("init " + args.init + ": " + err.Error())
	}
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: softFiles, Max: hardFiles})
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	debugLog("starting the server")
	files := []uintptr{uintptr(null), uintptr(null), uintptr(null), uintptr(initramfs)}
	if fd := port.take(); fd >= 0 {
		files = append(files, uintptr(fd))
	}
	if err := startServer(files, filepath.Base(program)); err != nil {
		return errors.New("starting the server: " + err.Error())
	}
	env := []string{"HOME=/", "TERM=linux", "PATH=" + rootPath}
	debugLog("executing " + args.init)
	return errors.New("executing " + args.init + ": " + syscall.Exec(args.init, []string{args.init}, env).Error())
}

// startServer forks the serving copy, into its own cgroup: init takes what is in the root one for its own.
func startServer(files []uintptr, initName string) error {
	env := []string{
		"PATH=" + rootPath,
		oneProcessor,
		startEnvironment + "=" + strconv.FormatInt(bootNanoseconds(), 10),
		initEnvironment + "=" + initName,
		portEnvironment + "=" + strconv.Itoa(len(files)-1),
		journalEnvironment + "=" + own.export(),
	}
	attr := &syscall.ProcAttr{Dir: "/", Env: env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true}}
	var place *slot
	if root := openCgroups(); root >= 0 {
		attr.Env = append(attr.Env, cgroupEnvironment+"="+strconv.Itoa(len(files)))
		attr.Files = append(files, uintptr(root))
		if dir, err := unix.Openat(root, agentCgroup, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
			place = &slot{name: agentCgroup, dir: dir}
		}
	}
	_, err := forkInto(place, selfProgram, []string{servingName}, attr)
	return err
}

// serveMain is the serving copy. Nothing stands before the port: what takes time runs beside it.
func serveMain() {
	limitMemory()
	own.setLevel(levelInfo)
	own.load(os.Getenv(journalEnvironment))
	a := newAgent(hello{Version: version, PID: os.Getpid()}, true)
	a.initName, a.cgroups, a.life = os.Getenv(initEnvironment), inheritedCgroups(), inheritedLife()
	var port *os.File
	if a.life >= 0 {
		a.serveAgain()
	}
	unix.CloseOnExec(initramfsFD)
	if os.Getenv(portEnvironment) == strconv.Itoa(inheritedPortFD) {
		unix.CloseOnExec(inheritedPortFD)
		port = os.NewFile(inheritedPortFD, portName)
	}
	a.serveToEnd(port, a.settle)
}

// serveAgain is the successor of a serving copy that died: the guest is set up.
func (a *agent) serveAgain() {
	a.serveToEnd(nil, func() {
		oomExemption.begin()
		close(a.ready)
		a.online.finish(nil)
		a.afterBoot()
		if args := a.settlingArguments(); args.watchdog > 0 {
			a.watchdog.start(-1, args.watchdog)
		}
	})
}

func (a *agent) serveToEnd(port *os.File, settle func()) {
	err := a.servePort(port, settle)
	warn("serving ended: " + err.Error())
	a.endWatched()
	os.Exit(1)
}

// settle does what boot left for later: file systems of the mounts, the network, other modules, and cleaning up.
func (a *agent) settle() {
	// The distribution's init begins now and takes the processor; a first command waits for what is done here. The thread
	// ends with this goroutine, so that no process started later inherits its priority.
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, settlingPriority)
	oomExemption.begin()
	args := a.settlingArguments()
	if !listsPhase(initramfsFD, phaseNetwork) {
		// An image that is older than this agent has all of them in one phase.
		loadModules(initramfsFD, phaseLate)
	}
	loadShareModules(initramfsFD, virtioDevices)
	inform("file systems are loaded")
	close(a.ready)
	// The first command may be under way by now: from here on everybody gets a fair share.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0)
	loadModules(initramfsFD, phaseNetwork)
	a.online.finish(bringUp(args.network))
	loadModules(initramfsFD, phaseLate)
	if args.watchdog > 0 {
		a.watchdog.start(initramfsFD, args.watchdog)
	}
	removeInitramfs(initramfsFD)
	inform("modules are loaded")
	a.startWatcher()
}

// settlingArguments are what the kernel command line says; none, which is logged, when it cannot be read.
func (a *agent) settlingArguments() kernelArguments {
	line, err := readBounded("/proc/cmdline", maxCmdline)
	if err != nil {
		warn("kernel command line: " + err.Error())
		return kernelArguments{}
	}
	args, err := parseCmdline(string(line))
	debugging = args.debug
	if err != nil {
		args.network = networkPlan{} // said by process 1
	}
	return args
}
