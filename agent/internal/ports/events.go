package ports

import (
	"encoding/binary"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// events says when a socket of the guest may have begun or ceased to wait for peers. Small programs
// in the kernel announce it; they end with the descriptors that this process holds.
type events struct {
	Heard chan struct{}
	file  *os.File
	links []int
	ring  struct{ consumer, producer []byte }
}

// cgroupRoots are the places of the hierarchy that every socket belongs to.
var cgroupRoots = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}

// newEvents returns nil where the kernel gives no such events.
func newEvents(udp bool) *events {
	cgroup := -1
	for _, path := range cgroupRoots {
		var system unix.Statfs_t
		if unix.Statfs(path, &system) == nil && system.Type == unix.CGROUP2_SUPER_MAGIC {
			cgroup, _ = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			break
		}
	}
	if cgroup < 0 {
		return nil
	}
	defer unix.Close(cgroup)
	ring, err := newRing()
	if err != nil {
		return nil
	}
	_ = unix.SetNonblock(ring, true)
	e := &events{Heard: make(chan struct{}, 1), file: os.NewFile(uintptr(ring), "bpf ring")}
	if e.attach(cgroup, ring, udp) != nil || e.begin(ring) != nil {
		e.Close()
		return nil
	}
	return e
}

func (e *events) attach(cgroup, ring int, udp bool) error {
	programs := []struct {
		kind, place uint32
		program     []instruction
	}{
		{progSockOps, attachSockOps, onListen(ring)},
		{progCgroupSock, attachSockRelease, onRelease(ring)},
	}
	if udp {
		programs = append(programs, programs[1], programs[1])
		programs[2].place, programs[2].program = attachPostBind4, onBind(ring)
		programs[3].place, programs[3].program = attachPostBind6, onBind(ring)
	}
	for _, each := range programs {
		link, err := attach(cgroup, each.kind, each.place, each.program)
		if err != nil {
			return err
		}
		e.links = append(e.links, link)
	}
	return nil
}

// begin maps the ring and starts to read it.
func (e *events) begin(ring int) error {
	page := os.Getpagesize()
	var err error
	if e.ring.consumer, err = unix.Mmap(ring, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return err
	}
	if e.ring.producer, err = unix.Mmap(ring, int64(page), page, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return err
	}
	waiting, err := e.file.SyscallConn()
	if err != nil {
		return err
	}
	go e.read(waiting)
	return nil
}

// read passes on, at most once in lookPause, that something was announced.
func (e *events) read(waiting syscall.RawConn) {
	for waiting.Read(func(uintptr) bool { return e.drain() }) == nil {
		select {
		case e.Heard <- struct{}{}:
		default:
		}
		time.Sleep(lookPause)
	}
	_ = unix.Munmap(e.ring.consumer)
	_ = unix.Munmap(e.ring.producer)
}

// drain takes everything out of the ring; false: nothing was there. Both positions are words that
// this process and the kernel read and write whole.
func (e *events) drain() bool {
	produced := binary.NativeEndian.Uint64(e.ring.producer)
	if produced == binary.NativeEndian.Uint64(e.ring.consumer) {
		return false
	}
	binary.NativeEndian.PutUint64(e.ring.consumer, produced)
	return true
}

// Close ends the events, and with them the programs in the kernel.
func (e *events) Close() {
	for _, link := range e.links {
		_ = unix.Close(link)
	}
	_ = e.file.Close()
}
