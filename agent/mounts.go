package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mountTimeout = 30 * time.Second
	lateTimeout  = 30 * time.Second
	// The largest request that one transfer takes without needing contiguous memory that a busy guest lacks.
	default9pOptions = "trans=virtio,version=9p2000.L,msize=131072,cache=mmap"
)

type mountSpec struct {
	Tag      string `json:"tag"`
	Type     string `json:"type"`
	Path     string `json:"path"`
	Writable bool   `json:"writable"`
	Options  string `json:"options"`
}

type mountResult struct {
	Path  string `json:"path"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func (m *mountSpec) check(field string) error {
	switch {
	case m.Type != "9p" && m.Type != "virtiofs":
		return badField(field+".type", "9p or virtiofs")
	case m.Tag == "" || len(m.Tag) > 255 || strings.ContainsAny(m.Tag, "\x00\n"):
		return badField(field+".tag", "not a mount tag")
	case !filepath.IsAbs(m.Path) || len(m.Path) >= maxPath || strings.Contains(m.Path, "\x00"):
		return badField(field+".path", "not an absolute path")
	case len(m.Options) > 1024 || strings.Contains(m.Options, "\x00"):
		return badField(field+".options", "not mount options")
	}
	m.Path = filepath.Clean(m.Path)
	if m.Path == "/" {
		return badField(field+".path", "the root directory")
	}
	return nil
}

// mountAll mounts in the given order, so that one may lie inside another, and reports each.
func (a *agent) mountAll(specs []mountSpec) []mountResult {
	a.awaitReady(lateTimeout)
	results := make([]mountResult, 0, len(specs))
	for _, spec := range specs {
		result := mountResult{Path: spec.Path, OK: true}
		if err := a.mountOne(spec); err != nil {
			result.OK, result.Error = false, err.Error()
			own.add(levelWarn, "mounting "+spec.Path+": "+result.Error)
		}
		results = append(results, result)
	}
	return results
}

// awaitReady waits for the file systems' modules, which are loaded behind the first answer.
func (a *agent) awaitReady(timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-a.ready:
	case <-timer.C:
	}
}

// mountOne gives up on a server that does not answer; the thread that waits for it stays behind.
func (a *agent) mountOne(spec mountSpec) error {
	if !a.real {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- a.mount(spec) }()
	timer := time.NewTimer(mountTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errors.New("the file server does not answer")
	}
}

func (a *agent) mount(spec mountSpec) error {
	mounted, err := readBounded("/proc/self/mountinfo", maxProcFile)
	if err != nil {
		return err
	}
	if source, kind := topMount(string(mounted), spec.Path); source == spec.Tag && kind == spec.Type {
		return nil
	}
	owner, err := a.accountFor("")
	if err != nil {
		return err
	}
	if err := makeMountPoint(spec.Path, owner); err != nil {
		return err
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if !spec.Writable {
		flags |= unix.MS_RDONLY
	}
	options := spec.Options
	if options == "" && spec.Type == "9p" {
		options = default9pOptions
	}
	if err := unix.Mount(spec.Tag, spec.Path, spec.Type, flags, options); err != nil {
		return &os.PathError{Op: "mount " + spec.Type + " " + spec.Tag, Path: spec.Path, Err: err}
	}
	return nil
}

// topMount finds the newest mount on exactly this path in a mountinfo table.
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

// makeMountPoint makes the missing directories. The last belongs to the user, and so do all inside the user's home.
func makeMountPoint(path string, owner *account) error {
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
	return os.Lchown(path, int(owner.uid), int(owner.gid))
}

func makeParents(path string, owner *account) error {
	if _, err := os.Stat(path); err == nil || path == "/" {
		return err
	}
	if err := makeParents(filepath.Dir(path), owner); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	if owner.home != "/" && strings.HasPrefix(path, owner.home+"/") {
		return os.Lchown(path, int(owner.uid), int(owner.gid))
	}
	return nil
}
