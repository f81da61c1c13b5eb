package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const hangupGrace = 3 * time.Second

// process is a child that leads its own session and process group. Its pid stays taken, as a zombie at least, until
// reap: so a signal can never reach a stranger.
type process struct {
	pid   int
	pidfd *os.File // nil on kernels that have none

	mu     sync.Mutex
	reaped bool
	status syscall.WaitStatus
}

// startProcess runs path in a cgroup (nil: the agent's own). files are the child's descriptors 0, 1, 2…; with tty the first is its terminal.
func startProcess(s *slot, path string, argv, env []string, cwd string, u *account, files []uintptr, tty bool) (*process, error) {
	pidfd := -1
	attr := &syscall.ProcAttr{Dir: cwd, Env: env, Files: files, Sys: &syscall.SysProcAttr{
		Setsid: true, Setctty: tty, Ctty: 0, PidFD: &pidfd,
	}}
	if u != nil && os.Geteuid() == 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: u.uid, Gid: u.gid, Groups: u.groups}
	}
	pid, err := forkInto(s, path, argv, attr)
	if err != nil {
		return nil, err
	}
	p := &process{pid: pid}
	if pidfd >= 0 {
		_ = unix.SetNonblock(pidfd, true)
		p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	return p, nil
}

// awaitExit returns when the process has ended; it does not reap it. It takes no thread while it waits.
func (p *process) awaitExit() {
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

func (p *process) exited(flags int) bool {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT|flags, nil)
		if err != unix.EINTR {
			return err != nil || info.Signo != 0
		}
	}
}

// reap ends the process's existence and returns how it ended.
func (p *process) reap() syscall.WaitStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.reaped {
		_, err := syscall.Wait4(p.pid, &p.status, 0, nil)
		p.reaped = !errors.Is(err, syscall.EINTR)
	}
	if p.pidfd != nil {
		p.pidfd.Close()
	}
	return p.status
}

// signal reaches the whole process group; after reap it reaches nobody.
func (p *process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return nil
	}
	return syscall.Kill(-p.pid, sig)
}

// hangUp ends an abandoned process: SIGHUP to its group, SIGKILL to what is left of the group after the grace. It
// must be called before reap, and returns when the group is gone or killed.
func (p *process) hangUp() {
	_ = p.signal(syscall.SIGHUP)
	_ = p.signal(syscall.SIGCONT) // a stopped process cannot act on a SIGHUP
	ended := make(chan struct{})
	go func() {
		p.awaitExit()
		close(ended)
	}()
	timer := time.NewTimer(hangupGrace)
	defer timer.Stop()
	select {
	case <-ended:
		if !groupHasOthers(p.pid) {
			return
		}
		<-timer.C
	case <-timer.C:
	}
	_ = p.signal(syscall.SIGKILL)
	<-ended
}

// groupHasOthers tells whether a process beside its leader is left in the group.
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

// statGroup is the process group in a line of /proc/PID/stat: the third field after the command in parentheses.
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

// liveTable holds the processes of running exec streams, so that a signal can reach one beside its stream.
type liveTable struct {
	mu  sync.Mutex
	all map[int]*liveProcess
}

type liveProcess struct {
	*process
	tty bool
}

func (t *liveTable) add(p *process, tty bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[int]*liveProcess)
	}
	t.all[p.pid] = &liveProcess{process: p, tty: tty}
}

func (t *liveTable) remove(p *process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, p.pid)
}

func (t *liveTable) find(pid int) *liveProcess {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[pid]
}

func (t *liveTable) list() []*liveProcess {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*liveProcess, 0, len(t.all))
	for _, p := range t.all {
		all = append(all, p)
	}
	return all
}
