package files

import (
	"archive/tar"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

// temporaryPrefix begins the names that entries have until they are whole.
const temporaryPrefix = ".gaovm-cp-"

// place makes one entry that is not a directory. It replaces what has the name when the new entry
// is whole, but refuses to replace a directory.
func (e *tarExtractor) place(reader *tar.Reader, header *tar.Header, parent int, base string) error {
	var stat unix.Stat_t
	err := unix.Fstatat(parent, base, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		return wire.Fail(wire.CodeExists, "exists and is a directory")
	}
	if header.Typeflag == tar.TypeLink { // finding its source may close the directory that was used last, which parent is
		if parent, err = unix.Dup(parent); err != nil {
			return err
		}
		defer unix.Close(parent)
	}
	temporary := temporaryPrefix + randomName()
	// After a rename there is nothing to remove, except that a rename onto another name of the same
	// file does nothing.
	defer unix.Unlinkat(parent, temporary, 0)
	if err := e.make(reader, header, parent, temporary); err != nil {
		return err
	}
	return unix.Renameat(parent, temporary, parent, base)
}

func (e *tarExtractor) make(reader *tar.Reader, header *tar.Header, parent int, name string) error {
	var err error
	switch header.Typeflag {
	case tar.TypeReg:
		return e.file(reader, header, parent, name)
	case tar.TypeLink:
		return e.link(header, parent, name)
	case tar.TypeSymlink:
		err = unix.Symlinkat(header.Linkname, parent, name)
	case tar.TypeFifo:
		err = unix.Mkfifoat(parent, name, 0o600)
	case tar.TypeChar, tar.TypeBlock:
		kind := uint32(unix.S_IFCHR)
		if header.Typeflag == tar.TypeBlock {
			kind = unix.S_IFBLK
		}
		device := unix.Mkdev(uint32(header.Devmajor), uint32(header.Devminor))
		err = unix.Mknodat(parent, name, kind|0o600, int(device))
	default:
		return wire.Fail(wire.CodeBadRequest, "the archive holds an entry of an unknown kind")
	}
	if err != nil {
		return err
	}
	return e.attributes(header, parent, name)
}

func randomName() string {
	var random [8]byte
	_, _ = rand.Read(random[:])
	return hex.EncodeToString(random[:])
}

// file makes a file that has no name until it is whole, because this process may be killed at any
// moment. On a file system that cannot do that (9p, virtiofs) the file has the temporary name.
func (e *tarExtractor) file(reader *tar.Reader, header *tar.Header, parent int, name string) error {
	fd, err := unix.Openat(parent, ".", unix.O_WRONLY|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	nameless := err == nil
	if !nameless {
		flags := unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if fd, err = unix.Openat(parent, name, flags, 0o600); err != nil {
			return err
		}
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, struct{ io.Reader }{reader}, make([]byte, wire.CopyBufferSize))
	if err != nil {
		return badArchive(err)
	}
	if err := e.openAttributes(header, fd); err != nil || !nameless {
		return err
	}
	return unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), parent, name, unix.AT_SYMLINK_FOLLOW)
}

// link makes a hard link to an earlier entry, whose directory it opens as safely as that of the
// target.
func (e *tarExtractor) link(header *tar.Header, parent int, name string) error {
	source, err := safeName(header.Linkname)
	if err != nil {
		return err
	}
	from, err := e.open(filepath.Dir(source))
	if err != nil {
		return err
	}
	return unix.Linkat(from, filepath.Base(source), parent, name, 0)
}

// attributes sets owner (only as root), mode and time, in this order: a change of owner clears
// set-uid bits.
func (e *tarExtractor) attributes(header *tar.Header, parent int, base string) error {
	if e.asRoot {
		if err := unix.Fchownat(parent, base, header.Uid, header.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	if header.Typeflag != tar.TypeSymlink {
		if err := unix.Fchmodat(parent, base, uint32(header.Mode)&0o7777, 0); err != nil {
			return err
		}
	}
	if header.ModTime.IsZero() || header.ModTime.Equal(time.Unix(0, 0)) {
		return nil
	}
	times := []unix.Timespec{timeSpec(header.ModTime), timeSpec(header.ModTime)}
	return unix.UtimesNanoAt(parent, base, times, unix.AT_SYMLINK_NOFOLLOW)
}

// openAttributes does the same for an open file or directory, so nobody can exchange the name
// meanwhile.
func (e *tarExtractor) openAttributes(header *tar.Header, fd int) error {
	if e.asRoot {
		if err := unix.Fchown(fd, header.Uid, header.Gid); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(fd, uint32(header.Mode)&0o7777); err != nil {
		return err
	}
	if header.ModTime.IsZero() || header.ModTime.Equal(time.Unix(0, 0)) {
		return nil
	}
	times := []unix.Timespec{timeSpec(header.ModTime), timeSpec(header.ModTime)}
	return unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), times, 0)
}

// finishDir sets a directory's attributes when all its entries are written. A directory may belong
// to somebody else; then finishDir leaves its attributes alone.
func (e *tarExtractor) finishDir(header *tar.Header) error {
	fd, err := e.open(header.Name)
	if err != nil {
		return err
	}
	if err := e.openAttributes(header, fd); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	return nil
}
