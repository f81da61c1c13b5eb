package main

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	oomFile     = "/proc/self/oom_score_adj"
	oomExempted = "-1000"
	oomUsual    = "0"
)

// exemption keeps the OOM killer from the agent, and only from it: a child is forked while the agent itself is not
// exempted, for what a child has forked before anybody could change its score would keep the exemption.
type exemption struct {
	mu   sync.Mutex
	file *os.File // nil: this process is as any other
}

var oomExemption exemption

// begin exempts this process from now on.
func (e *exemption) begin() {
	file, err := os.OpenFile(oomFile, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	if _, err := file.WriteString(oomExempted); err != nil {
		file.Close()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.file = file
}

// without runs start, which forks, while this process is not exempted.
func (e *exemption) without(start func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.file == nil {
		return start()
	}
	_, _ = e.file.WriteAt([]byte(oomUsual), 0)
	err := start()
	_, _ = e.file.WriteAt([]byte(oomExempted), 0)
	return err
}

// forkInto starts a program in a cgroup, nil is the agent's own, and without the agent's exemption.
func forkInto(s *slot, path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	var pid int
	err := oomExemption.without(func() error {
		var err error
		s.into(attr.Sys)
		pid, err = syscall.ForkExec(path, argv, attr)
		if s == nil || !cannotClone(err) {
			return err
		}
		attr.Sys.UseCgroupFD = false
		if pid, err = syscall.ForkExec(path, argv, attr); err == nil {
			_ = writeIn(s.dir, "cgroup.procs", strconv.Itoa(pid))
		}
		return err
	})
	return pid, err
}

// output runs a program of the guest, without the agent's exemption, and returns what it wrote to its stdout.
func output(command *exec.Cmd) ([]byte, error) {
	var said bytes.Buffer
	command.Stdout = &said
	if err := oomExemption.without(command.Start); err != nil {
		return nil, err
	}
	err := command.Wait()
	return said.Bytes(), err
}

// oomLine is what the user of a command reads when the kernel has killed some of it.
func oomLine(kills uint64, tty bool) string {
	line := "gaovm: the guest is out of memory: its kernel killed "
	if kills == 1 {
		line += "a process of this command"
	} else {
		line += strconv.FormatUint(kills, 10) + " processes of this command"
	}
	if tty {
		return "\r\n" + line + "\r\n"
	}
	return line + "\n"
}

func closeAll(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
