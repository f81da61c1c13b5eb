package main

import (
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// The watcher's argv[0]; as the serving copy's, systemd's final kill spares it.
	watchingName = "@gaovm-agent-watch"
	// The descriptor whose other end the watched agent holds: end of file is the agent's death.
	lifeFD = 3
	// Carries to a serving copy the descriptor that it must hold as long as it lives; only a successor has one.
	lifeEnvironment = "GAOVM_LIFE_FD"
	// A successor that dies sooner makes the next one wait, twice as long each time.
	shortLife      = 10 * time.Second
	longestRespite = 30 * time.Second
)

// startWatcher forks the process that starts this agent again when it dies. The watcher lives in the agent's cgroup, so
// that only somebody who means it ends it.
func (a *agent) startWatcher() {
	if a.life >= 0 || a.cgroups.root < 0 {
		return // a successor is watched already; without cgroups the watcher would die with us
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		warn("watcher: " + err.Error())
		return
	}
	pid, err := forkWatched(watchingName, ends[0], a.cgroups.root, a.initName)
	closeAll(ends[0])
	if err != nil {
		closeAll(ends[1])
		warn("watcher: " + err.Error())
		return
	}
	a.life = ends[1]
	go reap(pid) // not a zombie, should it end
}

// forkWatched starts this program under another name, with one end of the pipe and the cgroups.
func forkWatched(name string, life, root int, initName string) (int, error) {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(null)
	files := []uintptr{uintptr(null), uintptr(null), uintptr(null), uintptr(life), uintptr(root)}
	return syscall.ForkExec(selfProgram, []string{name}, &syscall.ProcAttr{
		Dir: "/",
		Env: []string{
			"PATH=" + rootPath, oneProcessor, initEnvironment + "=" + initName,
			lifeEnvironment + "=" + strconv.Itoa(lifeFD), cgroupEnvironment + "=" + strconv.Itoa(lifeFD+1),
		},
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

// inheritedLife is the descriptor of a successor, -1 for the first serving copy.
func inheritedLife() int {
	fd, err := strconv.Atoi(os.Getenv(lifeEnvironment))
	if err != nil {
		return -1
	}
	unix.CloseOnExec(fd)
	return fd
}

// endWatched tells the watcher that this agent ends because it means to.
func (a *agent) endWatched() {
	if a.life >= 0 {
		_, _ = unix.Write(a.life, []byte{1})
	}
}

// watchMain waits for the agent's death and starts a successor, for ever.
func watchMain() {
	root, initName := inheritedCgroups().root, os.Getenv(initEnvironment)
	unix.CloseOnExec(lifeFD)
	life, respite := lifeFD, time.Second
	for {
		dropProgram() // it waits for days
		if awaitDeath(life) {
			return
		}
		closeAll(life)
		began := time.Now()
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			fatalWatch(err)
		}
		warn("the agent has died and is started again")
		pid, err := forkWatched(servingName, ends[1], root, initName)
		closeAll(ends[1])
		life = ends[0]
		if err == nil {
			go reap(pid)
		}
		if respite = nextRespite(respite, began, life); respite > time.Second {
			time.Sleep(respite)
		}
	}
}

// nextRespite waits for a short life's end and doubles the pause after one; a long life starts again at a second.
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

// awaitDeath tells whether the agent ended because it meant to.
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
	warn("watcher: " + err.Error())
	os.Exit(1)
}
