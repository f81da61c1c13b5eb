package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// place makes one entry that is no directory. What lay there under the name is replaced, but a directory is not.
func (e *tarExtractor) place(reader *tar.Reader, header *tar.Header, parent int, base string) error {
	if err := unix.Unlinkat(parent, base, 0); errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		return fail(codeExists, "exists and is a directory")
	} else if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	var err error
	switch header.Typeflag {
	case tar.TypeReg:
		return e.file(reader, header, parent, base)
	case tar.TypeLink:
		return e.link(header, parent, base)
	case tar.TypeSymlink:
		err = unix.Symlinkat(header.Linkname, parent, base)
	case tar.TypeFifo:
		err = unix.Mkfifoat(parent, base, 0o600)
	case tar.TypeChar, tar.TypeBlock:
		kind := uint32(unix.S_IFCHR)
		if header.Typeflag == tar.TypeBlock {
			kind = unix.S_IFBLK
		}
		device := unix.Mkdev(uint32(header.Devmajor), uint32(header.Devminor))
		err = unix.Mknodat(parent, base, kind|0o600, int(device))
	default:
		return fail(codeBadRequest, "the archive holds an entry of an unknown kind")
	}
	if err != nil {
		return err
	}
	return e.attributes(header, parent, base)
}

func (e *tarExtractor) file(reader *tar.Reader, header *tar.Header, parent int, base string) error {
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(parent, base, flags, 0o600)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), base)
	defer file.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, struct{ io.Reader }{reader}, make([]byte, copyBufferSize))
	if err != nil {
		return badArchive(err)
	}
	return e.openAttributes(header, fd)
}

// link makes a hard link to an earlier entry; the source is found as safely as the target.
func (e *tarExtractor) link(header *tar.Header, parent int, base string) error {
	source, err := safeName(header.Linkname)
	if err != nil {
		return err
	}
	target, err := unix.Dup(parent) // opening the source's directory may close the parent
	if err != nil {
		return err
	}
	defer unix.Close(target)
	from, err := e.open(filepath.Dir(source))
	if err != nil {
		return err
	}
	return unix.Linkat(from, filepath.Base(source), target, base, 0)
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
