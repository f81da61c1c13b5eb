package main

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// kernelEvents is the multicast group in which the kernel itself, not udev, speaks.
const kernelEvents = 1

// waitUevent returns as soon as found() is true. It looks at once, and then after each event of the kernel's: the socket
// is open before the first look, so nothing falls between the two.
func waitUevent(found func() bool, timeout time.Duration) error {
	if found() {
		return nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelEvents}); err != nil {
		return err
	}
	until := time.Now().Add(timeout)
	buf := make([]byte, 8192)
	for !found() {
		left := time.Until(until)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		limit := unix.NsecToTimeval(left.Nanoseconds())
		if limit.Sec == 0 && limit.Usec == 0 {
			limit.Usec = 1
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			return err
		}
		_, _, err := unix.Recvfrom(fd, buf, 0)
		// ENOBUFS: events were lost, so looking again is all the more right.
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
	return nil
}
