package main

import (
	"archive/tar"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// temporaryPrefix begins the names under which entries are made before they get their own.
const temporaryPrefix = ".gaovm-cp-"

// place makes one entry that is no directory. What lay there under the name is replaced when the new one is whole, but
// a directory is not.
func (e *tarExtractor) place(reader *tar.Reader, header *tar.Header, parent int, base string) error {
	var stat unix.Stat_t
	err := unix.Fstatat(parent, base, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		return fail(codeExists, "exists and is a directory")
	}
	if header.Typeflag == tar.TypeLink { // finding its source may close the directory that was used last
		if parent, err = unix.Dup(parent); err != nil {
			return err
		}
		defer unix.Close(parent)
	}
	temporary := temporaryPrefix + randomName()
	// Gone already where all went well; a rename onto another name of the same file does nothing.
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
		return fail(codeBadRequest, "the archive holds an entry of an unknown kind")
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

// file makes a file that has no name until it is whole, where the file system can do that (9p and virtiofs cannot): this
// process may be killed at any moment.
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
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, struct{ io.Reader }{reader}, make([]byte, copyBufferSize))
	if err != nil {
		return badArchive(err)
	}
	if err := e.openAttributes(header, fd); err != nil || !nameless {
		return err
	}
	return unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+itoa(fd), parent, name, unix.AT_SYMLINK_FOLLOW)
}

// link makes a hard link to an earlier entry; the source is found as safely as the target.
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

// attributes sets owner (root only), mode and time, in this order: a change of owner clears set-uid bits.
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

// openAttributes does the same for an open file or directory: no name that could be exchanged meanwhile.
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
	return unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+itoa(fd), times, 0)
}

// finishDir sets a directory's attributes once nothing more is written into it. A directory that was there before
// may belong to somebody else: its contents are copied all the same.
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
