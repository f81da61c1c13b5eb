package process

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"gaovm/agent/internal/cgroups"
)

// RootPath is root's PATH, Debian's default from its login.defs.
const RootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Self is the file of the program that runs.
const Self = "/proc/self/exe"

const (
	oomFile     = "/proc/self/oom_score_adj"
	oomExempted = "-1000"
	oomUsual    = "0"
)

// exemption keeps the OOM killer away from the agent, and from nothing else. A child inherits the
// score of its parent, and so does what it forks before anybody can change its score; so the agent
// gives up its exemption while it forks.
type exemption struct {
	mu   sync.Mutex
	file *os.File // nil: this process has no exemption
}

// OOMExemption is the exemption of this process.
var OOMExemption exemption

// Begin exempts this process from now on.
func (e *exemption) Begin() {
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

// ForkInto starts a program in a cgroup (nil is the agent's own), without the agent's exemption
// from the OOM killer.
func ForkInto(s *cgroups.Slot, path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	var pid int
	err := OOMExemption.without(func() error {
		var err error
		s.Into(attr.Sys)
		pid, err = syscall.ForkExec(path, argv, attr)
		if s == nil || !cgroups.CannotClone(err) {
			return err
		}
		attr.Sys.UseCgroupFD = false
		if pid, err = syscall.ForkExec(path, argv, attr); err == nil {
			_ = cgroups.WriteIn(s.Dir, "cgroup.procs", strconv.Itoa(pid))
		}
		return err
	})
	return pid, err
}

// Output runs a program of the guest, without the agent's exemption from the OOM killer, and
// returns its stdout.
func Output(command *exec.Cmd) ([]byte, error) {
	var said bytes.Buffer
	command.Stdout = &said
	if err := OOMExemption.without(command.Start); err != nil {
		return nil, err
	}
	err := command.Wait()
	return said.Bytes(), err
}
