// Package mounts mounts the directories that the host shares.
package mounts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gaovm/agent/internal/account"
	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const (
	mountTimeout = 30 * time.Second
	LateTimeout  = 30 * time.Second
	// A larger request would need contiguous memory, which a busy guest lacks.
	default9pOptions = "trans=virtio,version=9p2000.L,msize=131072,cache=mmap"
)

// Spec is one directory that the host shares.
type Spec struct {
	Tag      string `json:"tag"`
	Type     string `json:"type"`
	Path     string `json:"path"`
	Writable bool   `json:"writable"`
	Options  string `json:"options"`
	Notify   bool   `json:"notify"` // the host will tell what it changes in it
}

// Result tells whether the guest has mounted it.
type Result struct {
	Path  string `json:"path"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// Check refuses what mount(2) must not get, and cleans the path. field is its name in errors.
func (m *Spec) Check(field string) error {
	switch {
	case m.Type != "9p" && m.Type != "virtiofs":
		return wire.BadField(field+".type", "9p or virtiofs")
	case m.Tag == "" || len(m.Tag) > 255 || strings.ContainsAny(m.Tag, "\x00\n"):
		return wire.BadField(field+".tag", "not a mount tag")
	case !filepath.IsAbs(m.Path) || len(m.Path) >= wire.MaxPath || strings.Contains(m.Path, "\x00"):
		return wire.BadField(field+".path", "not an absolute path")
	case len(m.Options) > 1024 || strings.Contains(m.Options, "\x00"):
		return wire.BadField(field+".options", "not mount options")
	}
	m.Path = filepath.Clean(m.Path)
	if m.Path == "/" {
		return wire.BadField(field+".path", "the root directory")
	}
	return nil
}

// Mounter mounts the host's directories.
type Mounter struct {
	Real     bool            // false: development mode, which mounts nothing
	Ready    <-chan struct{} // closed when the file systems' modules are loaded
	Accounts *account.Accounts

	lock   sync.Mutex
	shares map[string]*share // by mount point: those whose changes the host tells
}

// MountAll mounts in the given order, so that one mount may lie inside another, and reports on
// each.
func (m *Mounter) MountAll(specs []Spec) []Result {
	m.awaitReady(LateTimeout)
	results := make([]Result, 0, len(specs))
	for _, spec := range specs {
		result := Result{Path: spec.Path, OK: true}
		if err := m.mountOne(spec); err != nil {
			result.OK, result.Error = false, err.Error()
			journal.Own.Add(journal.LevelWarn, "mounting "+spec.Path+": "+result.Error)
		} else if spec.Notify && m.Real {
			m.remember(spec)
		}
		results = append(results, result)
	}
	return results
}

// awaitReady waits for the modules of the file systems, which the agent loads after it has
// answered.
func (m *Mounter) awaitReady(timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-m.Ready:
	case <-timer.C:
	}
}

// mountOne gives up when the file server does not answer; the thread that waits for it stays
// behind.
func (m *Mounter) mountOne(spec Spec) error {
	if !m.Real {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- m.mount(spec) }()
	timer := time.NewTimer(mountTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errors.New("the file server does not answer")
	}
}

func (m *Mounter) mount(spec Spec) error {
	mounted, err := sys.ReadBounded("/proc/self/mountinfo", sys.MaxProcFile)
	if err != nil {
		return err
	}
	if source, kind := topMount(string(mounted), spec.Path); source == spec.Tag && kind == spec.Type {
		return nil
	}
	owner, err := m.Accounts.Find("")
	if err != nil {
		return err
	}
	if err := makeMountPoint(spec.Path, owner); err != nil {
		return err
	}
	const flags = uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	readOnly := uintptr(0)
	if !spec.Writable && !spec.Notify {
		readOnly = unix.MS_RDONLY
	}
	options := spec.Options
	if options == "" && spec.Type == "9p" {
		options = default9pOptions
	}
	if err := unix.Mount(spec.Tag, spec.Path, spec.Type, flags|readOnly, options); err != nil {
		return &os.PathError{Op: "mount " + spec.Type + " " + spec.Tag, Path: spec.Path, Err: err}
	}
	if spec.Writable || !spec.Notify {
		return nil
	}
	// Notices need a file system that is writable: only this mount of it is not. The host refuses
	// every write all the same.
	if err := unix.Mount("", spec.Path, "", flags|unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		_ = unix.Unmount(spec.Path, unix.MNT_DETACH)
		return &os.PathError{Op: "mount read-only", Path: spec.Path, Err: err}
	}
	return nil
}

// topMount finds the newest mount on exactly this path in a table of /proc/PID/mountinfo.
func topMount(table, path string) (source, kind string) {
	for _, line := range strings.Split(table, "\n") {
		before, after, ok := strings.Cut(line, " - ")
		place, origin := strings.Fields(before), strings.Fields(after)
		if ok && len(place) >= 5 && len(origin) >= 2 && unescapeMount(place[4]) == path {
			kind, source = origin[0], unescapeMount(origin[1])
		}
	}
	return source, kind
}

var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func unescapeMount(text string) string { return mountEscapes.Replace(text) }

// makeMountPoint makes the missing directories. It gives the user the last one, and all those
// inside the user's home.
func makeMountPoint(path string, owner *account.Account) error {
	parent := filepath.Dir(path)
	if _, err := os.Stat(parent); errors.Is(err, os.ErrNotExist) {
		if err := makeParents(parent, owner); err != nil {
			return err
		}
	}
	err := os.Mkdir(path, 0o755)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Lchown(path, int(owner.UID), int(owner.GID))
}

func makeParents(path string, owner *account.Account) error {
	if _, err := os.Stat(path); err == nil || path == "/" {
		return err
	}
	if err := makeParents(filepath.Dir(path), owner); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	if owner.Home != "/" && strings.HasPrefix(path, owner.Home+"/") {
		return os.Lchown(path, int(owner.UID), int(owner.GID))
	}
	return nil
}
