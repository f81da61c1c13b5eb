package roles

import (
	"os"
	"strconv"
	"syscall"
	"time"

	"gaovm/agent/internal/cgroups"
	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/memory"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

const (
	// The argv[0] of the watcher; systemd's final kill spares it, as it spares the serving copy.
	WatchingName = "@gaovm-agent-watch"
	// The watcher's end of the pipe. The agent holds the other end: end of file is the agent's
	// death.
	lifeFD = 3
	// Carries to a successor the descriptor that it must keep open as long as it lives.
	lifeEnvironment = "GAOVM_LIFE_FD"
	// A successor that dies sooner makes the next one wait, each time twice as long.
	shortLife      = 10 * time.Second
	longestRespite = 30 * time.Second
)

// Life is this agent's end of the pipe by which the watcher sees its death.
type Life struct{ fd int } // -1: nobody watches

// Unwatched returns the life of an agent that has no watcher yet.
func Unwatched() *Life { return &Life{-1} }

// Watched tells whether there is a watcher.
func (l *Life) Watched() bool { return l.fd >= 0 }

// Watch starts the process that starts this agent again when it dies. The watcher lives in the
// agent's cgroup, so that nobody ends it by accident.
func (l *Life) Watch(root int, initName string) {
	if l.Watched() || root < 0 {
		return // a successor has a watcher already; without cgroups the watcher would die together with this agent
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		journal.Warn("watcher: " + err.Error())
		return
	}
	pid, err := forkWatched(WatchingName, ends[0], root, initName)
	sys.CloseAll(ends[0])
	if err != nil {
		sys.CloseAll(ends[1])
		journal.Warn("watcher: " + err.Error())
		return
	}
	l.fd = ends[1]
	go reap(pid) // a watcher that ends must not stay behind as a zombie
}

// forkWatched starts this program under another name, and gives it one end of the pipe and the root
// of the cgroups.
func forkWatched(name string, life, root int, initName string) (int, error) {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(null)
	files := []uintptr{uintptr(null), uintptr(null), uintptr(null), uintptr(life), uintptr(root)}
	return syscall.ForkExec(process.Self, []string{name}, &syscall.ProcAttr{
		Dir: "/",
		Env: []string{
			"PATH=" + process.RootPath, oneProcessor, InitEnvironment + "=" + initName,
			lifeEnvironment + "=" + strconv.Itoa(lifeFD), cgroups.Environment + "=" + strconv.Itoa(lifeFD+1),
		},
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

// InheritedLife returns the life of a successor. The first serving copy has no watcher yet.
func InheritedLife() *Life {
	fd, err := strconv.Atoi(os.Getenv(lifeEnvironment))
	if err != nil {
		return Unwatched()
	}
	unix.CloseOnExec(fd)
	return &Life{fd}
}

// End tells the watcher that this agent ends on purpose.
func (l *Life) End() {
	if l.Watched() {
		_, _ = unix.Write(l.fd, []byte{1})
	}
}

// Watch waits for the agent's death and starts a successor, again and again.
func Watch() {
	root, initName := cgroups.Inherited().Root, os.Getenv(InitEnvironment)
	unix.CloseOnExec(lifeFD)
	life, respite := lifeFD, time.Second
	for {
		memory.DropProgram() // the wait takes days
		if awaitDeath(life) {
			return
		}
		sys.CloseAll(life)
		began := time.Now()
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			fatalWatch(err)
		}
		journal.Warn("the agent has died and is started again")
		pid, err := forkWatched(ServingName, ends[1], root, initName)
		sys.CloseAll(ends[1])
		life = ends[0]
		if err == nil {
			go reap(pid)
		}
		if respite = nextRespite(respite, began, life); respite > time.Second {
			time.Sleep(respite)
		}
	}
}

// nextRespite returns the pause before the next successor: twice the last one when this successor
// dies within shortLife, for which it waits, else a second.
func nextRespite(last time.Duration, began time.Time, life int) time.Duration {
	polled := []unix.PollFd{{Fd: int32(life), Events: unix.POLLIN}}
	for left := shortLife - time.Since(began); left > 0; left = shortLife - time.Since(began) {
		n, err := unix.Poll(polled, int(left/time.Millisecond)+1)
		if n > 0 {
			return min(2*last, longestRespite)
		}
		if err == nil {
			break
		}
	}
	return time.Second
}

// awaitDeath returns when the agent has ended, and tells whether it ended on purpose.
func awaitDeath(life int) bool {
	var word [1]byte
	for {
		n, err := unix.Read(life, word[:])
		if err != unix.EINTR {
			return n > 0
		}
	}
}

func reap(pid int) {
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			return
		}
	}
}

func fatalWatch(err error) {
	journal.Warn("watcher: " + err.Error())
	os.Exit(1)
}
