package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctlPointer calls an ioctl(2) that takes a pointer to one fixed-size value.
func ioctlPointer[T any](fd int, request uintptr, value *T) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(value))); errno != 0 {
		return errno
	}
	return nil
}
