package mounts

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBelow(t *testing.T) {
	for name, want := range map[string]bool{"": true, "a": true, "a/b.c": true, "..a": true, "/a": false, "..": false,
		"../a": false, "a/../b": false, "a//b": false, "a/": false, ".": false, "a\x00": false} {
		if below(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestParent(t *testing.T) {
	for name, want := range map[string]string{"a": "", "a/b": "a", "a/b/c": "a/b"} {
		if got := parent(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// here is a root over a plain directory, without a mount of its own.
func here(t *testing.T) *root {
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return &root{fd: fd, kind: "virtiofs", writable: true}
}

func TestOpenFollowsNoLink(t *testing.T) {
	r := here(t)
	for _, name := range []string{"link/passwd", "../x", "/etc/passwd"} {
		if fd, err := r.open(name); err == nil {
			unix.Close(fd)
			t.Errorf("%q was opened", name)
		}
	}
	if fd, err := r.open("sub"); err != nil {
		t.Error(err)
	} else {
		unix.Close(fd)
	}
}

func TestAFileServerThatCarriesNoticesOutIsFound(t *testing.T) {
	r := here(t)
	path := filepath.Join("/proc/self/fd", filepath.Base(through(r.fd)), "file")
	if err := os.WriteFile(path, []byte("text"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := r.tell("file"); err != errNoGuard {
		t.Fatalf("got %v", err)
	}
	if found, _ := os.Stat(path); found.Mode().Perm() != 0o640 || found.Size() != 4 || found.Mode()&os.ModeSetuid != 0 {
		t.Fatalf("left as %v, %d bytes", found.Mode(), found.Size())
	}
}

func TestOwnChangesAreKnownUntilAnotherFollows(t *testing.T) {
	r := here(t)
	o, err := newOwn(r)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	path := filepath.Join(through(r.fd), "sub", "file")
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watch("sub")
	if err := os.WriteFile(path, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.drain()
	if !o.made("sub/file") || o.made("sub/other") {
		t.Fatal("the guest's own change is not known, or another is")
	}
	if err := os.WriteFile(path, []byte("longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if o.made("sub/file") {
		t.Fatal("a later change counts as the guest's own")
	}
}

func TestEventsOfTheAgentsOwnNoticesDoNotCount(t *testing.T) {
	r := here(t)
	o, err := newOwn(r)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watch("sub")
	_ = os.WriteFile(filepath.Join(through(r.fd), "sub", "file"), []byte("one"), 0o644)
	o.told = map[string]bool{"sub/file": true}
	o.drain()
	o.told = nil
	if o.made("sub/file") {
		t.Fatal("what the host did counts as the guest's own change")
	}
}

func TestALongListOfDirectoriesForgetsTheOldest(t *testing.T) {
	r := here(t)
	o, err := newOwn(r)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watch("sub")
	o.watch("sub")
	o.watch("")
	if len(o.order) != 2 || len(o.dirs) != 2 {
		t.Fatalf("%v %v", o.order, o.dirs)
	}
	event := make([]byte, unix.SizeofInotifyEvent)
	binary.NativeEndian.PutUint32(event, uint32(o.order[0]))
	binary.NativeEndian.PutUint32(event[4:], unix.IN_IGNORED)
	o.parse(event, map[string]bool{})
	if o.known["sub"] || len(o.dirs) != 1 {
		t.Fatal("a directory that is gone is still known")
	}
}

func TestHeldDirectoriesAreLetGo(t *testing.T) {
	s := &share{spec: Spec{Type: "9p"}, root: here(t)}
	for _, name := range []string{"sub", "sub", "none", "link"} {
		s.hold(name)
	}
	if len(s.held) != 2 { // a link is held as a link, and leads nowhere
		t.Fatalf("%v", s.held)
	}
	s.letGo("sub")
	if _, ok := s.held["sub"]; ok {
		t.Fatal("it is still held")
	}
	other := &share{spec: Spec{Type: "virtiofs"}, root: s.root}
	if other.hold("sub"); len(other.held) != 0 {
		t.Fatal("virtiofs needs none")
	}
}

func TestWhatTheGuestMakesInNewDirectoriesIsItsOwn(t *testing.T) {
	r := here(t)
	o, err := newOwn(r)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watch("")
	top := through(r.fd)
	if err := os.MkdirAll(filepath.Join(top, "new", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	_ = os.WriteFile(filepath.Join(top, "new", "deep", "file"), []byte("one"), 0o644)
	o.drain()
	for _, name := range []string{"new", "new/deep", "new/deep/file"} {
		if !o.made(name) {
			t.Errorf("%s is not the guest's own", name)
		}
	}
	_ = os.WriteFile(filepath.Join(top, "new", "deep", "later"), []byte("one"), 0o644)
	o.drain()
	if !o.made("new/deep/later") {
		t.Error("the new directory is not watched")
	}
}
