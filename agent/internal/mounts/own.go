package mounts

import (
	"bytes"
	"encoding/binary"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxOwnDirs   = 2048
	maxOwnStates = 4096
	maxOwnNames  = 256 // of a new directory that are looked at together
	// Events of a burst are read together.
	ownPause = 3 * time.Millisecond
	ownMask  = unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE |
		unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ONLYDIR
)

// own knows what the guest itself has changed in a share: its watchers know that already, and if
// they were told again, a tool that answers a change with a write would go on for ever.
//
// It watches directories in which something has changed, and remembers in which state the guest
// left each file. As long as a file is in that state the host has not changed it.
type own struct {
	root   *root
	events *os.File
	fd     int

	mu     sync.Mutex
	dirs   map[int32]string
	known  map[string]bool
	order  []int32 // of the watches, oldest first
	states map[string]state
	told   map[string]bool // names whose events are the agent's own
}

func newOwn(r *root) (*own, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	o := &own{root: r, fd: fd, events: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32]string{},
		known: map[string]bool{}, states: map[string]state{}}
	go o.follow()
	return o, nil
}

func (o *own) close() { _ = o.events.Close() }

// follow notes each change of the guest soon, before the host can have made another.
func (o *own) follow() {
	raw, err := o.events.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(uintptr) bool {
		o.mu.Lock()
		o.drain()
		o.mu.Unlock()
		time.Sleep(ownPause)
		return false
	})
}

// watch begins to note the guest's changes in a directory. The caller holds the lock.
func (o *own) watch(dir string) {
	if o.known[dir] {
		return
	}
	fd, err := o.root.open(dir)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	number, err := unix.InotifyAddWatch(o.fd, through(fd), ownMask)
	if err != nil {
		return
	}
	if _, again := o.dirs[int32(number)]; !again {
		o.order = append(o.order, int32(number))
	}
	delete(o.known, o.dirs[int32(number)]) // it was renamed
	o.dirs[int32(number)], o.known[dir] = dir, true
	if len(o.order) > maxOwnDirs {
		oldest := o.order[0]
		o.order = o.order[1:]
		_, _ = unix.InotifyRmWatch(o.fd, uint32(oldest))
		o.forget(oldest)
	}
}

func (o *own) forget(number int32) {
	if dir, ok := o.dirs[number]; ok {
		delete(o.known, dir)
		delete(o.dirs, number)
	}
}

// drain notes what the guest has changed since the last time. The caller holds the lock.
func (o *own) drain() {
	var buf [16 << 10]byte
	changed := map[string]bool{}
	var made []string
	for {
		n, err := unix.Read(o.fd, buf[:])
		if err != nil || n <= 0 {
			break
		}
		made = append(made, o.parse(buf[:n], changed)...)
	}
	o.adopt(made, changed)
	for name := range changed {
		if o.told[name] {
			continue
		}
		if len(o.states) >= maxOwnStates {
			clear(o.states) // then some changes are told twice
		}
		o.states[name] = o.root.look(name)
	}
}

// adopt begins to note what happens in directories that the guest has made, at any depth: a tool
// that unpacks a package makes many at once.
func (o *own) adopt(made []string, changed map[string]bool) {
	for len(made) > 0 {
		dir := made[0]
		made = made[1:]
		if o.told[dir] || o.known[dir] {
			continue
		}
		o.watch(dir)
		fd, err := o.root.open(dir)
		if err != nil {
			continue
		}
		opened, err := os.Open(through(fd))
		_ = unix.Close(fd)
		if err != nil {
			continue
		}
		entries, _ := opened.ReadDir(maxOwnNames)
		_ = opened.Close()
		for _, entry := range entries {
			changed[dir+"/"+entry.Name()] = true
			if entry.IsDir() && len(made) < maxOwnDirs {
				made = append(made, dir+"/"+entry.Name())
			}
		}
	}
}

// parse notes the names in changed, and returns the directories that are new.
func (o *own) parse(data []byte, changed map[string]bool) (made []string) {
	for len(data) >= unix.SizeofInotifyEvent {
		number := int32(binary.NativeEndian.Uint32(data))
		mask := binary.NativeEndian.Uint32(data[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(data[12:]))
		name := string(bytes.TrimRight(data[unix.SizeofInotifyEvent:end], "\x00"))
		data = data[end:]
		dir, ok := o.dirs[number]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			clear(o.states)
		case mask&unix.IN_IGNORED != 0:
			o.forget(number)
		case ok && name != "":
			if dir != "" {
				name = dir + "/" + name
			}
			changed[name] = true
			if mask&unix.IN_ISDIR != 0 && mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0 {
				made = append(made, name)
			}
		}
	}
	return made
}

// made tells whether the guest itself left the file as it is. The caller holds the lock.
func (o *own) made(name string) bool {
	left, ok := o.states[name]
	if !ok {
		return false
	}
	if left == o.root.look(name) {
		return true
	}
	delete(o.states, name)
	return false
}
