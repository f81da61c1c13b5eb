// Package process starts, signals and reaps child processes.
package process

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"gaovm/agent/internal/cgroups"

	"golang.org/x/sys/unix"
)

// HangupGrace is how long an abandoned process may live on after SIGHUP.
const HangupGrace = 3 * time.Second

// Process is a child that leads its own session and process group. The kernel gives its pid to no
// other process before Reap, so a signal never reaches a stranger.
type Process struct {
	PID   int
	pidfd *os.File // nil on kernels without pidfds

	mu     sync.Mutex
	reaped bool
	status syscall.WaitStatus
}

// Start runs path in a cgroup (nil is the agent's own). files are the child's descriptors 0, 1, 2…;
// with tty the first is its controlling terminal. Only root can start one with other ids; others
// run it with their own.
func Start(s *cgroups.Slot, path string, argv, env []string, cwd string, who *syscall.Credential, files []uintptr, tty bool) (*Process, error) {
	if Relayed.hold(cwd, path) {
		path, argv = entering(path, argv, cwd)
		cwd = "/"
	}
	pidfd := -1
	attr := &syscall.ProcAttr{Dir: cwd, Env: env, Files: files, Sys: &syscall.SysProcAttr{
		Setsid: true, Setctty: tty, Ctty: 0, PidFD: &pidfd,
	}}
	if os.Geteuid() == 0 {
		attr.Sys.Credential = who
	}
	pid, err := ForkInto(s, path, argv, attr)
	if err != nil {
		return nil, err
	}
	p := &Process{PID: pid}
	if pidfd >= 0 {
		_ = unix.SetNonblock(pidfd, true)
		p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	return p, nil
}

// AwaitExit returns when the process has ended, and does not reap it. With a pidfd it takes no
// thread while it waits.
func (p *Process) AwaitExit() {
	if p.pidfd != nil {
		if raw, err := p.pidfd.SyscallConn(); err == nil {
			err = raw.Read(func(uintptr) bool { return p.exited(unix.WNOHANG) })
			if err == nil {
				return
			}
		}
	}
	p.exited(0)
}

func (p *Process) exited(flags int) bool {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, p.PID, &info, unix.WEXITED|unix.WNOWAIT|flags, nil)
		if err != unix.EINTR {
			return err != nil || info.Signo != 0
		}
	}
}

// Reap frees the pid and returns how the process ended.
func (p *Process) Reap() syscall.WaitStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.reaped {
		_, err := syscall.Wait4(p.PID, &p.status, 0, nil)
		p.reaped = !errors.Is(err, syscall.EINTR)
	}
	if p.pidfd != nil {
		p.pidfd.Close()
	}
	return p.status
}

// Signal sends a signal to the whole process group; after Reap it does nothing.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return nil
	}
	return syscall.Kill(-p.PID, sig)
}

// HangUp ends an abandoned process: it sends SIGHUP to the group, and SIGKILL to what is left of it
// after HangupGrace. The caller must not have called Reap. It returns when the group is gone or
// killed.
func (p *Process) HangUp() {
	_ = p.Signal(syscall.SIGHUP)
	_ = p.Signal(syscall.SIGCONT) // a stopped process does not act on a SIGHUP
	ended := make(chan struct{})
	go func() {
		p.AwaitExit()
		close(ended)
	}()
	timer := time.NewTimer(HangupGrace)
	defer timer.Stop()
	select {
	case <-ended:
		if !groupHasOthers(p.PID) {
			return
		}
		<-timer.C
	case <-timer.C:
	}
	_ = p.Signal(syscall.SIGKILL)
	<-ended
}

// groupHasOthers tells whether the group has a process besides its leader.
func groupHasOthers(group int) bool {
	dir, err := os.Open("/proc")
	if err != nil {
		return true
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == group {
			continue
		}
		if stat, err := os.ReadFile("/proc/" + name + "/stat"); err == nil && statGroup(string(stat)) == group {
			return true
		}
	}
	return false
}

// statGroup is the process group in a line of /proc/PID/stat: the third field behind the command in
// parentheses.
func statGroup(stat string) int {
	at := strings.LastIndexByte(stat, ')')
	if at < 0 {
		return -1
	}
	fields := strings.Fields(stat[at+1:])
	if len(fields) < 3 {
		return -1
	}
	group, err := strconv.Atoi(fields[2])
	if err != nil {
		return -1
	}
	return group
}

// Table lists the processes of running exec streams, so that a call can signal one.
type Table struct {
	mu  sync.Mutex
	all map[int]*Listed
}

// Listed is a process in the table; TTY tells whether it has a terminal.
type Listed struct {
	*Process
	TTY bool
}

// Add lists a process.
func (t *Table) Add(p *Process, tty bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[int]*Listed)
	}
	t.all[p.PID] = &Listed{Process: p, TTY: tty}
}

// Remove takes a process off the list.
func (t *Table) Remove(p *Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, p.PID)
}

// Find returns the process with this pid, or nil.
func (t *Table) Find(pid int) *Listed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[pid]
}

// List returns all listed processes.
func (t *Table) List() []*Listed {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*Listed, 0, len(t.all))
	for _, p := range t.all {
		all = append(all, p)
	}
	return all
}

// KillAll kills every running exec.
func (t *Table) KillAll() {
	for _, p := range t.List() {
		_ = p.Signal(syscall.SIGKILL)
	}
}
