package sys

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// kernelEvents is the multicast group of the kernel's own events; udev has another.
const kernelEvents = 1

// WaitUevent returns as soon as found() is true, or with ETIMEDOUT. It asks at once, and again
// after each event of the kernel. The socket is open before the second look, so no event is missed.
func WaitUevent(found func() bool, timeout time.Duration) error {
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
		// ENOBUFS: events were lost, and the loop looks again in any case.
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
	return nil
}
