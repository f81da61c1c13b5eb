package main

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
)

func parentOf(path string) string { return filepath.Dir(path) }

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(body)) > limit {
		return nil, fail(codeInternal, path+" is too large")
	}
	return body, err
}

// replaceFile writes a file atomically. An existing file keeps its owner and mode, except that a mode is given for
// a new one. A symbolic link at the path is replaced, not followed.
func replaceFile(path string, body []byte, mode os.FileMode) error {
	uid, gid := 0, 0
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		mode = info.Mode().Perm()
		stat := info.Sys().(*syscall.Stat_t)
		uid, gid = int(stat.Uid), int(stat.Gid)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".gaovm-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails, rightly, after the rename
	defer temp.Close()
	if _, err := temp.Write(body); err != nil {
		return err
	}
	if err := temp.Chmod(mode); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := temp.Chown(uid, gid); err != nil {
			return err
		}
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// allowed checks one permission bit (4, 2, 1) of the account on a file, as the kernel does without ACLs.
func (u *account) allowed(info os.FileInfo, bit os.FileMode) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	mode := info.Mode().Perm()
	if stat.Uid == u.uid {
		return mode&(bit<<6) != 0
	}
	for _, gid := range u.groups {
		if gid == stat.Gid {
			return mode&(bit<<3) != 0
		}
	}
	return mode&bit != 0
}
