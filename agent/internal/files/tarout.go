package files

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const (
	maxDepth      = 512
	maxHardlinks  = 100_000 // it copies further hard links as files
	readDirBatch  = 256
	archiveBuffer = 256 << 10
)

// tarEmitter writes one file or tree as a tar stream.
type tarEmitter struct {
	w     *tar.Writer
	links map[[2]uint64]string // device and inode of files with several names -> first name
	buf   []byte
}

// emitTar writes path: a directory under the name ".", anything else under the name "FILE".
func emitTar(out io.Writer, path string) error {
	buffered := bufio.NewWriterSize(out, archiveBuffer)
	e := &tarEmitter{w: tar.NewWriter(buffered), links: make(map[[2]uint64]string), buf: make([]byte, archiveBuffer)}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() && strings.HasSuffix(path, "/") {
		return wire.Fail(wire.CodeNotFound, path+": not a directory")
	}
	if info.IsDir() {
		err = e.tree(filepath.Clean(path), ".", info, 0)
	} else {
		err = e.single(path, info)
	}
	if err != nil {
		return err
	}
	if err := e.w.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

// single writes a source that is not a directory. It fails for what cannot be copied, which a tree
// leaves out.
func (e *tarEmitter) single(path string, info fs.FileInfo) error {
	if info.Mode()&(fs.ModeSocket|fs.ModeDevice) != 0 {
		return wire.Fail(wire.CodeBadRequest, path+": a socket or a device, which cannot be copied")
	}
	return e.entry(path, "FILE", info)
}

func (e *tarEmitter) tree(path, name string, info fs.FileInfo, depth int) error {
	if depth > maxDepth {
		return wire.Fail(wire.CodeBadRequest, path+": nested too deeply")
	}
	if err := e.entry(path, name, info); err != nil {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		children, err := dir.ReadDir(readDirBatch)
		for _, child := range children {
			if err := e.child(path, name, child, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (e *tarEmitter) child(path, name string, child fs.DirEntry, depth int) error {
	info, err := child.Info()
	if errors.Is(err, fs.ErrNotExist) { // somebody has removed it since
		return nil
	}
	if err != nil {
		return err
	}
	childPath, childName := filepath.Join(path, child.Name()), child.Name()
	if name != "." {
		childName = name + "/" + child.Name()
	}
	if info.IsDir() {
		return e.tree(childPath, childName, info, depth+1)
	}
	return e.entry(childPath, childName, info)
}

func (e *tarEmitter) entry(path, name string, info fs.FileInfo) error {
	if info.Mode()&fs.ModeSocket != 0 { // a socket means nothing elsewhere
		return nil
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name, header.Format = name, tar.FormatPAX
	header.Uname, header.Gname = "", ""
	header.AccessTime, header.ChangeTime = time.Time{}, time.Time{}
	if info.Mode().IsRegular() && e.isLink(header, info, name) {
		return e.w.WriteHeader(header)
	}
	if !info.Mode().IsRegular() {
		return e.w.WriteHeader(header)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if header.Size > int64(len(e.buf)) {
		if err := e.w.WriteHeader(header); err != nil {
			return err
		}
		return e.content(file, path, header.Size)
	}
	return e.small(file, path, header)
}

// small writes a file that fits the buffer with its real length, which the kernel does not tell for
// files of /proc and /sys that it makes up as they are read.
func (e *tarEmitter) small(file *os.File, path string, header *tar.Header) error {
	n, err := io.ReadFull(file, e.buf)
	switch {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		header.Size = int64(n)
	case err != nil:
		return err
	case header.Size == 0:
		return wire.Fail(wire.CodeBadRequest, path+": its length is not known")
	}
	if err := e.w.WriteHeader(header); err != nil {
		return err
	}
	_, err = e.w.Write(e.buf[:header.Size])
	return err
}

// isLink makes the header a hard link if the file was sent already under another name.
func (e *tarEmitter) isLink(header *tar.Header, info fs.FileInfo, name string) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Nlink < 2 {
		return false
	}
	key := [2]uint64{uint64(stat.Dev), stat.Ino}
	if first, seen := e.links[key]; seen {
		header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
		return true
	}
	if len(e.links) < maxHardlinks {
		e.links[key] = name
	}
	return false
}

// content writes exactly the size that the header has promised; it leaves out what a growing file
// has gained since.
func (e *tarEmitter) content(file *os.File, path string, size int64) error {
	for size > 0 {
		n, err := file.Read(e.buf[:min(int64(len(e.buf)), size)])
		if n == 0 && (err == nil || err == io.EOF) {
			return wire.Fail(wire.CodeBadRequest, path+": became shorter while it was copied")
		}
		if err != nil && err != io.EOF {
			return err
		}
		if _, err := e.w.Write(e.buf[:n]); err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}
