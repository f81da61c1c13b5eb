// Package cgroups gives each command of the host a cgroup, and reports what the OOM killer does in
// it.
package cgroups

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

// The agent's own part of the cgroup2 hierarchy, beside what the distribution's init makes there:
//
//	/gaovm/agent    the serving copy and its watcher
//	/gaovm/exec-N   one command and all that it starts
//
// systemd moves the processes of the root cgroup into init.scope, and ends that whole scope when
// the kernel kills one of its processes for want of memory. It leaves processes in other cgroups
// alone.
const (
	cgroupPlace = "/sys/fs/cgroup"
	ownCgroup   = "gaovm"
	Agent       = ownCgroup + "/agent"
	execCgroup  = ownCgroup + "/exec-"
	// Only a guest whose commands leave thousands of processes behind needs more; further commands
	// share the agent's cgroup.
	maxSlots = 1024
	// Carries the descriptor of the hierarchy's root from process 1 to the serving copy and its
	// successors.
	Environment = "GAOVM_CGROUP_FD"
)

// Open makes the agent's cgroup and returns the hierarchy's root, or -1. It mounts the hierarchy
// for a moment only: the guest's init chooses which hierarchies there are, and systemd would take a
// mount that it finds for the choice.
func Open() int {
	if err := unix.Mount("cgroup2", cgroupPlace, "cgroup2", 0, ""); err != nil {
		journal.Debug("no cgroups: " + err.Error())
		return -1
	}
	root, err := unix.Open(cgroupPlace, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	_ = unix.Unmount(cgroupPlace, unix.MNT_DETACH)
	if err != nil {
		return -1
	}
	for _, name := range []string{ownCgroup, Agent} {
		if err := unix.Mkdirat(root, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			journal.Warn("cgroup " + name + ": " + err.Error())
			unix.Close(root)
			return -1
		}
	}
	return root
}

// enterCgroup moves a process (0 is the caller) into a cgroup.
func enterCgroup(root int, name string, pid int) error {
	return WriteIn(root, name+"/cgroup.procs", strconv.Itoa(pid))
}

// WriteIn writes to a file of the directory that dir is open on.
func WriteIn(dir int, name, text string) error {
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

// Groups gives each command a cgroup. It uses cgroups again instead of removing them: a removed one
// stays in the kernel as long as a page of a file is charged to it.
type Groups struct {
	Root int // -1: the guest has no cgroups

	mu     sync.Mutex
	slots  []*Slot
	events *os.File // inotify: memory.events of the slots; nil until the first is watched
	memory bool     // whether the memory controller is on below /gaovm
	guest  bool     // whether the agent is a service of the init, in the cgroup that the init gave it
	booted bool     // whether the init has chosen its hierarchies
}

// Slot is the cgroup of one command.
type Slot struct {
	owner *Groups
	Name  string
	Dir   int
	watch int          // its inotify watch; 0: none yet
	busy  bool         // guarded by owner.mu
	kills uint64       // kills of the OOM killer that tell has reported; guarded by owner.mu
	tell  func(uint64) // guarded by owner.mu
}

// New returns the cgroups below an open directory of cgroup2; -1 is none.
func New(root int) *Groups { return &Groups{Root: root} }

// Inherited returns the cgroups that process 1 has opened.
func Inherited() *Groups {
	root, err := strconv.Atoi(os.Getenv(Environment))
	if err != nil {
		return New(-1)
	}
	unix.CloseOnExec(root)
	return New(root)
}

// Running returns the cgroups of a guest whose init runs already and has chosen its hierarchies. The
// agent stays in the cgroup of its service; its commands get cgroups beside the init's.
func Running() *Groups {
	for _, place := range []string{cgroupPlace, cgroupPlace + "/unified"} {
		root, err := unix.Open(place, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		var kind unix.Statfs_t
		if unix.Fstatfs(root, &kind) == nil && kind.Type == unix.CGROUP2_SUPER_MAGIC {
			err = unix.Mkdirat(root, ownCgroup, 0o755)
			if err == nil || errors.Is(err, unix.EEXIST) {
				return &Groups{Root: root, booted: true, guest: true}
			}
		}
		unix.Close(root)
	}
	return New(-1)
}

// Recheck moves the agent back into its cgroup when the init has moved it, and allows the memory
// controller. Call it when the distribution has booted.
func (c *Groups) Recheck() {
	if c.Root < 0 || c.guest {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.booted = true
	line, err := sys.ReadBounded("/proc/self/cgroup", sys.MaxProcFile)
	if err != nil || strings.Contains(string(line)+"\n", "0::/"+Agent+"\n") {
		return
	}
	journal.Warn("the init has moved the agent to another cgroup; the agent moves back")
	if err := enterCgroup(c.Root, Agent, 0); err != nil {
		journal.Warn("cgroup: " + err.Error())
	}
}

// Take returns a cgroup without processes, or nil when there is none. Until Release it calls tell
// with the number of processes that the OOM killer has killed in it since the last call.
func (c *Groups) Take(tell func(uint64)) *Slot {
	if c.Root < 0 {
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

func (c *Groups) free() *Slot {
	for _, s := range c.slots {
		if !s.busy && !s.populated() {
			return s
		}
	}
	for len(c.slots) < maxSlots {
		s := c.add()
		// A command of an earlier agent may have left processes in it.
		if s == nil || !s.populated() {
			return s
		}
	}
	return nil
}

func (c *Groups) add() *Slot {
	name := execCgroup + strconv.Itoa(len(c.slots))
	if err := unix.Mkdirat(c.Root, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		journal.Debug("cgroup " + name + ": " + err.Error())
		return nil
	}
	dir, err := unix.Openat(c.Root, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	s := &Slot{owner: c, Name: name, Dir: dir}
	c.slots = append(c.slots, s)
	return s
}

func (s *Slot) populated() bool {
	return bytes.Contains(readIn(s.Dir, "cgroup.events"), []byte("populated 1"))
}

// countMemory turns the memory controller on below /gaovm. While the init boots, countMemory leaves
// it to the init whether the controller belongs to this hierarchy: systemd may want it in the older
// one.
func (c *Groups) countMemory() {
	if c.memory {
		return
	}
	const control = "cgroup.subtree_control"
	if !bytes.Contains(readIn(c.Root, control), []byte("memory")) {
		if !c.booted || WriteIn(c.Root, control, "+memory") != nil {
			return
		}
	}
	c.memory = WriteIn(c.Root, ownCgroup+"/"+control, "+memory") == nil
}

func (c *Groups) watch(s *Slot) {
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
		path := "/proc/self/fd/" + strconv.Itoa(s.Dir) + "/memory.events"
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

// follow reports each kill as it happens: a shell goes on when the kernel has killed what it ran.
func (c *Groups) follow(events *os.File) {
	buf := make([]byte, 4096)
	for {
		if _, err := events.Read(buf); err != nil {
			return
		}
		c.mu.Lock()
		busy := make([]*Slot, 0, 1)
		for _, s := range c.slots {
			if s.busy {
				busy = append(busy, s)
			}
		}
		c.mu.Unlock()
		for _, s := range busy {
			s.Check()
		}
	}
}

// Check reports the kills that it has not reported yet.
func (s *Slot) Check() {
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

// Release reports the last kills and gives the cgroup back. Take does not return it again while
// processes are left in it.
func (s *Slot) Release() {
	if s == nil {
		return
	}
	s.Check()
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	s.busy, s.tell = false, nil
}

// oomKills is the number of processes that the OOM killer has ever killed in it.
func (s *Slot) oomKills() uint64 { return eventCount(readIn(s.Dir, "memory.events"), "oom_kill") }

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

// Into makes a child start in the cgroup.
func (s *Slot) Into(attr *syscall.SysProcAttr) {
	if s != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, s.Dir
	}
}

// CannotClone tells whether a kernel older than 5.7 has refused to start a child in a cgroup.
func CannotClone(err error) bool {
	for _, known := range []error{unix.ENOSYS, unix.E2BIG, unix.EINVAL, unix.EOPNOTSUPP, unix.ENODEV, unix.EBUSY} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
