package mounts

import (
	"errors"
	"path"
	"strconv"

	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

// Requests that the host's file server answers without doing anything, so that only this kernel
// reports a change. The host has the same numbers in src/gaovm/builder/notices.py.
const (
	noticeMode       = 0o6000
	noticeSize       = 0x7FFFFFFF_67616F76
	noticeXattrFlags = unix.XATTR_CREATE | unix.XATTR_REPLACE
)

// What user programs put in a share must not lead the agent, which is root, out of it.
const inside = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS

var errNoGuard = errors.New("the host's file server carries notices out: it is too old for them")

// root is the top of one share, through a mount of the agent's own that nobody sees and that is
// writable even when the guest's is not.
type root struct {
	fd       int
	kind     string
	writable bool
	checked  bool // the file server has shown that it leaves files alone
}

// openRoot makes the agent's own mount of a share.
func openRoot(spec Spec) (*root, error) {
	// statfs(2) does not tell: 9p answers with the type of the host's file system.
	table, err := sys.ReadBounded("/proc/self/mountinfo", sys.MaxProcFile)
	if err != nil {
		return nil, err
	}
	if _, kind := topMount(string(table), spec.Path); kind != spec.Type {
		return nil, errors.New("it is not mounted")
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, spec.Path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, err
	}
	r := &root{fd: fd, kind: spec.Type, writable: spec.Writable}
	if !spec.Writable {
		_ = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	}
	return r, nil
}

func (r *root) close() { _ = unix.Close(r.fd) }

// open returns a descriptor that only names the file. An empty name is the root itself.
func (r *root) open(name string) (int, error) {
	if name == "" {
		name = "."
	}
	return unix.Openat2(r.fd, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: inside})
}

// state is what tells one version of a file from the next. The zero value: there is no such file.
type state struct {
	inode        uint64
	size         int64
	mtime, ctime unix.Timespec
}

func stateOf(found *unix.Stat_t) state {
	if found.Mode&unix.S_IFMT == unix.S_IFDIR {
		return state{inode: found.Ino} // its times change with what is in it
	}
	return state{inode: found.Ino, size: found.Size, mtime: found.Mtim, ctime: found.Ctim}
}

// look returns the present state of a name.
func (r *root) look(name string) state {
	fd, err := r.open(name)
	if err != nil {
		return state{}
	}
	defer unix.Close(fd)
	var found unix.Stat_t
	if unix.Fstat(fd, &found) != nil {
		return state{}
	}
	return stateOf(&found)
}

// tell makes the kernel report that the file has changed; for a name that is gone, its directory.
func (r *root) tell(name string) error {
	fd, err := r.open(name)
	for errors.Is(err, unix.ENOENT) && name != "" {
		name = parent(name)
		fd, err = r.open(name)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var found unix.Stat_t
	if err := unix.Fstat(fd, &found); err != nil {
		return err
	}
	switch found.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		// An executable that is open for writing cannot be executed, not even on the host.
		if r.writable && found.Mode&0o111 == 0 && r.write(fd, &found) == nil {
			return nil
		}
		return r.attribute(fd, &found)
	case unix.S_IFDIR:
		return r.attribute(fd, &found)
	}
	return nil // a link, a socket: nobody watches their content
}

// write makes the kernel report what it reports of a program that opens, changes and closes a file.
func (r *root) write(fd int, before *unix.Stat_t) error {
	file, err := unix.Open(through(fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(file)
	if r.kind == "9p" {
		// 9p's client would believe that the file has this size. So IN_MODIFY is missing there.
		return r.attribute(fd, before)
	}
	if !r.checked {
		if err := r.attribute(fd, before); err != nil {
			return err
		}
	}
	return unix.Ftruncate(file, noticeSize)
}

// attribute makes the kernel report a change of the attributes.
func (r *root) attribute(fd int, before *unix.Stat_t) error {
	if r.kind == "9p" {
		return unix.Setxattr(through(fd), "user.gaovm", []byte("1"), noticeXattrFlags)
	}
	if err := unix.Fchmodat(unix.AT_FDCWD, through(fd), noticeMode, 0); err != nil || r.checked {
		return err
	}
	var after unix.Stat_t
	if err := unix.Fstat(fd, &after); err != nil {
		return err
	}
	if after.Mode&0o7777 == noticeMode && before.Mode != after.Mode {
		_ = unix.Fchmodat(unix.AT_FDCWD, through(fd), before.Mode&0o7777, 0)
		return errNoGuard
	}
	r.checked = true
	return nil
}

// through is the path by which calls reach a file that a descriptor only names.
func through(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// parent is the directory of a name below the root, which itself is empty.
func parent(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}
