package sys

import (
	"io"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RawFile reads and writes a non-blocking descriptor without telling Go's scheduler of each call. A
// write of 32 KiB to a virtio port takes so long that the scheduler would wake another thread for
// the processor each time; on the server's one processor that is pure loss. Only waiting goes
// through the poller, as with any file.
type RawFile struct {
	file *os.File
	Raw  syscall.RawConn
}

// NewRawFile wraps a file, which must be non-blocking.
func NewRawFile(file *os.File) (*RawFile, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &RawFile{file, raw}, nil
}

// NewRawConn wraps a socket of Go's own, to read and write it; its owner closes it.
func NewRawConn(conn syscall.Conn) (*RawFile, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &RawFile{nil, raw}, nil
}

func (f *RawFile) Close() error { return f.file.Close() }

func (f *RawFile) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	var errno syscall.Errno
	err := f.Raw.Read(func(fd uintptr) bool {
		n, errno = RawTransfer(unix.SYS_READ, fd, p)
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

func (f *RawFile) Write(p []byte) (int, error) {
	done := 0
	var errno syscall.Errno
	err := f.Raw.Write(func(fd uintptr) bool {
		for done < len(p) {
			var n int
			if n, errno = RawTransfer(unix.SYS_WRITE, fd, p[done:]); errno != 0 {
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

// RawTransfer makes one read(2) or write(2) that is not told to the scheduler.
func RawTransfer(call, fd uintptr, p []byte) (int, syscall.Errno) {
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

// Pause stops this thread, and with it the server's only processor, for a moment. During a sleep
// through the poller each of the small writes that are to gather would wake the server.
func Pause(d time.Duration) {
	at := unix.NsecToTimespec(d.Nanoseconds())
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&at)), 0, 0)
}
