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
	"time"

	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

// maxLateDirs bounds the list of directories whose mode and time the extractor sets at the end; it
// sets those of others at once.
const maxLateDirs = 1 << 16

// tarExtractor writes entries below one directory, given as a descriptor, and never leaves it: it
// opens each step of a name without following links, so it never writes through a link of the
// archive or one that was there.
type tarExtractor struct {
	root   int
	dir    int    // descriptor of the directory that it used last
	dirOf  string // its name
	late   []*tar.Header
	asRoot bool
}

// extractTar reads a tar stream and puts its files where cp -a would.
func extractTar(in io.Reader, job job) error {
	unix.Umask(0o022)
	reader := tar.NewReader(bufio.NewReaderSize(in, archiveBuffer))
	first, err := reader.Next()
	if err != nil {
		return badArchive(err)
	}
	isDir := first.Name == "." || first.Name == "./"
	if !isDir && first.Name != "FILE" || isDir && first.Typeflag != tar.TypeDir {
		return wire.Fail(wire.CodeBadRequest, "the first entry is neither . nor FILE")
	}
	target, err := copyTarget(job)
	if err != nil {
		return err
	}
	if !isDir {
		if first.Typeflag == tar.TypeReg {
			if target, err = behindLink(target); err != nil {
				return err
			}
		}
		return placeFile(reader, first, target)
	}
	made := os.Mkdir(target, 0o700)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return made
	}
	root, err := unix.Open(target, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) {
		return wire.Fail(wire.CodeExists, target+": exists and is not a directory")
	}
	if err != nil {
		return err
	}
	e := &tarExtractor{root: root, dir: root, asRoot: os.Geteuid() == 0}
	first.Name = "."
	if made == nil { // a directory that was there keeps its mode and time, as with cp -r
		e.late = append(e.late, first)
	}
	return e.all(reader)
}

// copyTarget decides what the source becomes. It goes into an existing directory, or a path with a
// final slash.
func copyTarget(job job) (string, error) {
	into := strings.HasSuffix(job.Path, "/")
	path := filepath.Clean(job.Path)
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return filepath.Join(path, job.Name), nil
	}
	if err == nil && into {
		return "", wire.Fail(wire.CodeExists, path+": exists and is not a directory")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	target := path
	if into {
		target = filepath.Join(path, job.Name)
	}
	if job.Mkdirs {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return "", err
		}
	}
	if _, err := os.Stat(filepath.Dir(target)); err != nil {
		return "", err
	}
	return target, nil
}

// behindLink returns the file that a copy onto target replaces: as with cp, the file that a link
// leads to. It returns a link that leads nowhere itself, and refuses a device.
func behindLink(target string) (string, error) {
	info, err := os.Stat(target)
	if err != nil {
		return target, nil
	}
	if !info.Mode().IsRegular() {
		return "", wire.Fail(wire.CodeExists, target+": exists and is no regular file")
	}
	return filepath.EvalSymlinks(target)
}

// placeFile extracts the archive of one file or link to the target.
func placeFile(reader *tar.Reader, header *tar.Header, target string) error {
	parent, err := unix.Open(filepath.Dir(target), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: filepath.Dir(target), Err: err}
	}
	e := &tarExtractor{root: parent, dir: parent, asRoot: os.Geteuid() == 0}
	if header.Typeflag != tar.TypeReg && header.Typeflag != tar.TypeSymlink && header.Typeflag != tar.TypeFifo {
		return wire.Fail(wire.CodeBadRequest, "FILE is no file")
	}
	if err := e.place(reader, header, parent, filepath.Base(target)); err != nil {
		return named(target, err)
	}
	if _, err := reader.Next(); err != io.EOF {
		return wire.Fail(wire.CodeBadRequest, "more than one entry after FILE")
	}
	return drainRest(reader)
}

// drainRest reads and drops what follows the last block of the archive.
func drainRest(*tar.Reader) error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func (e *tarExtractor) all(reader *tar.Reader) error {
	for {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return badArchive(err)
		}
		name, err := safeName(header.Name)
		if err != nil {
			return err
		}
		if name == "." {
			continue
		}
		header.Name = name
		if err := e.entry(reader, header); err != nil {
			return named(name, err)
		}
	}
	for i := len(e.late) - 1; i >= 0; i-- {
		if err := e.finishDir(e.late[i]); err != nil {
			return named(e.late[i].Name, err)
		}
	}
	return drainRest(reader)
}

// safeName cleans a name, and refuses one that is absolute or climbs.
func safeName(name string) (string, error) {
	if name == "" || strings.HasPrefix(name, "/") || strings.Contains(name, "\x00") || len(name) > wire.MaxPath {
		return "", wire.Fail(wire.CodeBadRequest, "the archive holds an unsafe name")
	}
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", wire.Fail(wire.CodeBadRequest, "the archive holds a name that climbs")
		}
	}
	return filepath.Clean(name), nil
}

func (e *tarExtractor) entry(reader *tar.Reader, header *tar.Header) error {
	parent, err := e.open(filepath.Dir(header.Name))
	if err != nil {
		return err
	}
	base := filepath.Base(header.Name)
	if header.Typeflag != tar.TypeDir {
		return e.place(reader, header, parent, base)
	}
	err = unix.Mkdirat(parent, base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		var stat unix.Stat_t
		if err = unix.Fstatat(parent, base, &stat, unix.AT_SYMLINK_NOFOLLOW); err == nil && stat.Mode&unix.S_IFMT != unix.S_IFDIR {
			return wire.Fail(wire.CodeExists, "exists and is not a directory")
		}
		return err
	}
	if err != nil {
		return err
	}
	if len(e.late) >= maxLateDirs {
		return e.finishDir(header)
	}
	e.late = append(e.late, header)
	return nil
}

// open walks down to a directory of the archive without following a link, and makes directories
// that the archive does not have.
func (e *tarExtractor) open(name string) (int, error) {
	if name == e.dirOf || name == "." && e.dirOf == "" {
		return e.dir, nil
	}
	at := e.root
	for _, part := range strings.Split(name, "/") {
		if part == "." {
			continue
		}
		if err := unix.Mkdirat(at, part, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			closeBelow(e.root, at)
			return -1, err
		}
		next, err := unix.Openat(at, part, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		closeBelow(e.root, at)
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return -1, wire.Fail(wire.CodeExists, part+": exists and is not a directory")
		}
		if err != nil {
			return -1, err
		}
		at = next
	}
	closeBelow(e.root, e.dir)
	e.dir, e.dirOf = at, name
	return at, nil
}

func closeBelow(root, fd int) {
	if fd != root {
		unix.Close(fd)
	}
}

func badArchive(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
		return wire.Fail(wire.CodeBadRequest, "not a whole tar stream: "+err.Error())
	}
	return err
}

// named puts the name of the entry before an error, and keeps its code.
func named(name string, err error) error {
	told := *wire.AsError(err)
	told.Message = name + ": " + told.Message
	return &told
}

func timeSpec(at time.Time) unix.Timespec { return unix.NsecToTimespec(at.UnixNano()) }
