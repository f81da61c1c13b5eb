package sys

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Exists tells whether there is a file at the path.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// AwaitFile returns when done() is true. It asks at once, and again after each change that inotify
// sees in dirs.
func AwaitFile(ctx context.Context, timeout time.Duration, done func() bool, dirs ...string) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	defer context.AfterFunc(ctx, func() { _ = events.SetReadDeadline(time.Unix(1, 0)) })()
	_ = events.SetReadDeadline(time.Now().Add(timeout))
	buf := make([]byte, 4096)
	for {
		// The watches are set before done looks, so a file that appears after the look ends the
		// read.
		for _, dir := range dirs {
			_, _ = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_CLOSE_WRITE)
		}
		if done() {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := events.Read(buf); err != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}
