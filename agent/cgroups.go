package main

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The agent's own part of the cgroup2 hierarchy, beside what the distribution's init makes there:
//
//	/gaovm/agent    the serving copy and its watcher
//	/gaovm/exec-N   one command and all that it starts
//
// systemd moves what it finds in the root cgroup into init.scope, and ends all of that scope when the kernel kills one
// process of it for want of memory. What has a cgroup of its own already, it leaves alone.
const (
	cgroupPlace = "/sys/fs/cgroup"
	ownCgroup   = "gaovm"
	agentCgroup = ownCgroup + "/agent"
	execCgroup  = ownCgroup + "/exec-"
	// More have processes left in them only in a guest whose commands leave thousands behind; further ones share the
	// agent's.
	maxSlots = 1024
	// Carries, from process 1 to the serving copy and its successors, the descriptor of the hierarchy's root.
	cgroupEnvironment = "GAOVM_CGROUP_FD"
)

// openCgroups makes the agent's cgroup and returns the hierarchy's root, or -1. It is mounted for a moment only:
// which hierarchies the guest has, and where, is its init's choice, and systemd takes a mount that it finds for one.
func openCgroups() int {
	if err := unix.Mount("cgroup2", cgroupPlace, "cgroup2", 0, ""); err != nil {
		debugLog("no cgroups: " + err.Error())
		return -1
	}
	root, err := unix.Open(cgroupPlace, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	_ = unix.Unmount(cgroupPlace, unix.MNT_DETACH)
	if err != nil {
		return -1
	}
	for _, name := range []string{ownCgroup, agentCgroup} {
		if err := unix.Mkdirat(root, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			warn("cgroup " + name + ": " + err.Error())
			unix.Close(root)
			return -1
		}
	}
	return root
}

// enterCgroup moves a process, 0 is the caller, into a cgroup.
func enterCgroup(root int, name string, pid int) error {
	return writeIn(root, name+"/cgroup.procs", strconv.Itoa(pid))
}

func writeIn(dir int, name, text string) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

func readIn(dir int, name string) []byte {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	buf := make([]byte, 1024)
	n, err := unix.Read(fd, buf)
	if err != nil || n < 0 {
		return nil
	}
	return buf[:n]
}

// cgroups hands out one cgroup for each command. They are used again, not removed: a removed one lives on in the kernel
// for as long as a page of a file is charged to it.
type cgroups struct {
	root int // -1: there are none

	mu     sync.Mutex
	slots  []*slot
	events *os.File // inotify: memory.events of the slots; nil until the first is watched
	memory bool     // the memory controller is on below /gaovm
	booted bool     // the init has decided about the hierarchies
}

// slot is the cgroup of one command.
type slot struct {
	owner *cgroups
	name  string
	dir   int
	watch int          // of inotify; 0: not watched yet
	busy  bool         // guarded by owner.mu
	kills uint64       // of the OOM killer, told of already; guarded by owner.mu
	tell  func(uint64) // guarded by owner.mu
}

func newCgroups(root int) *cgroups { return &cgroups{root: root} }

// inheritedCgroups are those that process 1 has opened.
func inheritedCgroups() *cgroups {
	root, err := strconv.Atoi(os.Getenv(cgroupEnvironment))
	if err != nil {
		return newCgroups(-1)
	}
	unix.CloseOnExec(root)
	return newCgroups(root)
}

// recheck moves the agent back where its init has moved it, and lets the memory controller count. Called when the
// distribution has booted.
func (c *cgroups) recheck() {
	if c.root < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.booted = true
	line, err := readBounded("/proc/self/cgroup", maxCmdline)
	if err != nil || strings.Contains(string(line)+"\n", "0::/"+agentCgroup+"\n") {
		return
	}
	warn("the init has moved the agent to another cgroup; it moves back")
	if err := enterCgroup(c.root, agentCgroup, 0); err != nil {
		warn("cgroup: " + err.Error())
	}
}

// take returns a cgroup without processes, nil where there are none to have. tell is called, until release, with the
// number of processes that the OOM killer has killed in it since the last call.
func (c *cgroups) take(tell func(uint64)) *slot {
	if c.root < 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.free()
	if s == nil {
		return nil
	}
	c.countMemory()
	c.watch(s)
	s.busy, s.kills, s.tell = true, s.oomKills(), tell
	return s
}

func (c *cgroups) free() *slot {
	for _, s := range c.slots {
		if !s.busy && !s.populated() {
			return s
		}
	}
	for len(c.slots) < maxSlots {
		s := c.add()
		// An earlier agent's command may have left processes in it.
		if s == nil || !s.populated() {
			return s
		}
	}
	return nil
}

func (c *cgroups) add() *slot {
	name := execCgroup + strconv.Itoa(len(c.slots))
	if err := unix.Mkdirat(c.root, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		debugLog("cgroup " + name + ": " + err.Error())
		return nil
	}
	dir, err := unix.Openat(c.root, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	s := &slot{owner: c, name: name, dir: dir}
	c.slots = append(c.slots, s)
	return s
}

func (s *slot) populated() bool {
	return bytes.Contains(readIn(s.dir, "cgroup.events"), []byte("populated 1"))
}

// countMemory turns the memory controller on below /gaovm. While the init boots it is left to the init whether the
// controller belongs to this hierarchy: systemd may want the older one.
func (c *cgroups) countMemory() {
	if c.memory {
		return
	}
	const control = "cgroup.subtree_control"
	if !bytes.Contains(readIn(c.root, control), []byte("memory")) {
		if !c.booted || writeIn(c.root, control, "+memory") != nil {
			return
		}
	}
	c.memory = writeIn(c.root, ownCgroup+"/"+control, "+memory") == nil
}

func (c *cgroups) watch(s *slot) {
	if !c.memory || s.watch != 0 {
		return
	}
	if c.events == nil {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return
		}
		c.events = os.NewFile(uintptr(fd), "inotify")
		go c.follow(c.events)
	}
	_ = control(c.events, func(fd int) {
		path := "/proc/self/fd/" + strconv.Itoa(s.dir) + "/memory.events"
		if watch, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err == nil {
			s.watch = watch
		}
	})
}

func control(file *os.File, use func(fd int)) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { use(int(fd)) })
}

// follow tells of each kill as it happens: a shell goes on when the kernel has killed what it ran.
func (c *cgroups) follow(events *os.File) {
	buf := make([]byte, 4096)
	for {
		if _, err := events.Read(buf); err != nil {
			return
		}
		c.mu.Lock()
		busy := make([]*slot, 0, 1)
		for _, s := range c.slots {
			if s.busy {
				busy = append(busy, s)
			}
		}
		c.mu.Unlock()
		for _, s := range busy {
			s.check()
		}
	}
}

// check tells of the kills that nobody has been told of.
func (s *slot) check() {
	if s == nil {
		return
	}
	s.owner.mu.Lock()
	kills := s.oomKills()
	fresh, tell := kills-s.kills, s.tell
	if tell != nil && kills > s.kills {
		s.kills = kills
	} else {
		tell = nil
	}
	s.owner.mu.Unlock()
	if tell != nil {
		tell(fresh)
	}
}

// release tells what is left to tell and gives the cgroup back; processes that are left in it keep it from being used
// again.
func (s *slot) release() {
	if s == nil {
		return
	}
	s.check()
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	s.busy, s.tell = false, nil
}

func (s *slot) oomKills() uint64 { return eventCount(readIn(s.dir, "memory.events"), "oom_kill") }

// eventCount reads "KEY N" out of a file of cgroup2.
func eventCount(body []byte, key string) uint64 {
	for _, line := range strings.Split(string(body), "\n") {
		if name, value, ok := strings.Cut(line, " "); ok && name == key {
			n, _ := strconv.ParseUint(value, 10, 64)
			return n
		}
	}
	return 0
}

// into makes a child begin in the cgroup.
func (s *slot) into(attr *syscall.SysProcAttr) {
	if s != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, s.dir
	}
}

// cannotClone tells whether a kernel older than 5.7 refused to start a child in a cgroup.
func cannotClone(err error) bool {
	for _, known := range []error{unix.ENOSYS, unix.E2BIG, unix.EINVAL, unix.EOPNOTSUPP, unix.ENODEV, unix.EBUSY} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
