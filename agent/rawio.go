package main

import (
	"io"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawFile reads and writes a non-blocking descriptor without telling the scheduler of each call. A write of 32 KiB to a
// virtio port takes so long that the scheduler would take the processor away and wake another thread, each time; on
// the server's one processor that is pure loss. Only waiting goes through the poller, as with any file.
type rawFile struct {
	file *os.File
	raw  syscall.RawConn
}

func newRawFile(file *os.File) (*rawFile, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &rawFile{file, raw}, nil
}

func (f *rawFile) Close() error { return f.file.Close() }

func (f *rawFile) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	var errno syscall.Errno
	err := f.raw.Read(func(fd uintptr) bool {
		n, errno = rawTransfer(unix.SYS_READ, fd, p)
		return errno != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (f *rawFile) Write(p []byte) (int, error) {
	done := 0
	var errno syscall.Errno
	err := f.raw.Write(func(fd uintptr) bool {
		for done < len(p) {
			var n int
			if n, errno = rawTransfer(unix.SYS_WRITE, fd, p[done:]); errno != 0 {
				return errno != unix.EAGAIN
			}
			done += n
		}
		return true
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return done, err
}

func rawTransfer(call, fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := unix.RawSyscall(call, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case unix.EINTR:
			continue
		case 0:
			return int(n), 0
		}
		return 0, errno
	}
}

// pause stops the server's processor for a moment that is too short to give to anybody else. A sleep through the poller
// would be woken by each of the small writes that it is meant to let gather.
func pause(d time.Duration) {
	at := unix.NsecToTimespec(d.Nanoseconds())
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&at)), 0, 0)
}
