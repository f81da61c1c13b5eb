package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// IoctlPointer calls an ioctl(2) that takes a pointer to one fixed-size value.
func IoctlPointer[T any](fd int, request uintptr, value *T) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(value))); errno != 0 {
		return errno
	}
	return nil
}

// CloseAll closes descriptors; it skips negative ones.
func CloseAll(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
