// Package sys wraps system calls and files: bounded reads, atomic writes, waits for events, the
// boot clock. It knows nothing of the agent.
package sys

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// ReadBounded reads a file of at most limit bytes.
func ReadBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(body)) > limit {
		return nil, errors.New(path + " is too large")
	}
	return body, err
}

// ReplaceFile writes a file atomically. An existing file keeps its owner and mode; a new one gets
// the given mode. It replaces a symbolic link at the path and does not follow it.
func ReplaceFile(path string, body []byte, mode os.FileMode) error {
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
	defer os.Remove(temp.Name()) // after the rename there is nothing to remove
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
