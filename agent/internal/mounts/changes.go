package mounts

import (
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const (
	maxChanges = 512
	maxHeld    = 2048
)

// Change is one path that the host has changed, relative to the mount point.
type Change struct {
	Path string `json:"path"`
	Kind string `json:"kind"`
}

// Told is the answer: how many changes the kernel reports to the guest's watchers.
type Told struct {
	Told   int    `json:"told"`
	Own    int    `json:"own"`
	Failed int    `json:"failed"`
	Error  string `json:"error,omitempty"`
}

// share is a mount whose changes on the host the guest's watchers are told.
type share struct {
	mu   sync.Mutex
	spec Spec
	root *root
	own  *own
	held map[string]int // directories that 9p's client must not forget
}

func (s *share) open() error {
	if s.root != nil {
		return nil
	}
	r, err := openRoot(s.spec)
	if err != nil {
		return err
	}
	o, err := newOwn(r)
	if err != nil {
		r.close()
		return err
	}
	o.mu.Lock()
	o.watch("")
	o.mu.Unlock()
	s.root, s.own = r, o
	return nil
}

func (s *share) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != nil {
		s.own.close()
		for _, fd := range s.held {
			_ = unix.Close(fd)
		}
		s.root.close()
		s.root, s.own, s.held = nil, nil, nil
	}
}

// Changed reports changes of the host to the guest's watchers.
func (m *Mounter) Changed(r *http.Request) (any, error) {
	var body struct {
		Mount   string   `json:"mount"`
		Changes []Change `json:"changes"`
	}
	if err := wire.ReadBody(r, &body); err != nil {
		return nil, err
	}
	if len(body.Changes) > maxChanges {
		return nil, wire.BadField("changes", "more than 512")
	}
	for _, change := range body.Changes {
		if !below(change.Path) {
			return nil, wire.BadField("changes.path", "not a path below the mount point")
		}
	}
	m.lock.Lock()
	found := m.shares[path.Clean(body.Mount)]
	m.lock.Unlock()
	if found == nil {
		return nil, wire.Fail(wire.CodeNotFound, "no mount with notices at this path")
	}
	return found.tell(body.Changes)
}

// below tells whether a path stays below its root by its words alone.
func below(name string) bool {
	return name == "" || (len(name) < wire.MaxPath && !strings.Contains(name, "\x00") &&
		!strings.HasPrefix(name, "/") && path.Clean(name) == name && name != "." && name != ".." && !strings.HasPrefix(name, "../"))
}

func (s *share) tell(changes []Change) (Told, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return Told{}, err
	}
	// If a program of the guest did it, its call may not have returned yet: let it run first.
	time.Sleep(ownPause)
	s.own.mu.Lock()
	defer s.own.mu.Unlock()
	s.own.drain()
	var result Told
	told := map[string]bool{}
	for _, change := range changes {
		if change.Kind == "hold" {
			s.hold(change.Path)
			continue
		}
		if change.Kind == "gone" {
			s.letGo(change.Path)
		}
		if change.Path != "" {
			s.own.watch(parent(change.Path))
		}
		if s.own.made(change.Path) {
			result.Own++
			continue
		}
		names := []string{change.Path}
		if change.Kind != "changed" && change.Path != "" {
			names = append(names, parent(change.Path)) // the directory's list of names is new
		}
		if err := s.tellOnce(names, told); err != nil {
			result.Failed++
			if result.Error == "" {
				result.Error = change.Path + ": " + err.Error()
			}
			continue
		}
		result.Told++
	}
	s.own.told = told
	s.own.drain()
	s.own.told = nil
	return result, nil
}

// hold keeps a directory open. 9p's client forgets one that nobody has open, and a watch of it is
// then a watch of nothing.
func (s *share) hold(name string) {
	if _, ok := s.held[name]; ok || s.spec.Type != "9p" || len(s.held) >= maxHeld {
		return
	}
	if fd, err := s.root.open(name); err == nil {
		if s.held == nil {
			s.held = map[string]int{}
		}
		s.held[name] = fd
	}
}

// letGo closes a directory that is gone, and those that were in it.
func (s *share) letGo(name string) {
	for held, fd := range s.held {
		if held == name || strings.HasPrefix(held, name+"/") {
			_ = unix.Close(fd)
			delete(s.held, held)
		}
	}
}

// tellOnce tells of each name that this call has not told of yet.
func (s *share) tellOnce(names []string, told map[string]bool) error {
	for _, name := range names {
		if told[name] {
			continue
		}
		told[name] = true
		if err := s.root.tell(name); err != nil {
			return err
		}
	}
	return nil
}

// remember keeps a mount whose changes the host will tell.
func (m *Mounter) remember(spec Spec) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if old := m.shares[spec.Path]; old != nil && old.spec == spec {
		return
	} else if old != nil {
		go old.close()
	}
	if m.shares == nil {
		m.shares = map[string]*share{}
	}
	m.shares[spec.Path] = &share{spec: spec}
}
