package network

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

const routeTable = "/proc/net/route"

// AwaitDefaultRoute returns when the kernel has a default IPv4 route, or an error after timeout.
func AwaitDefaultRoute(timeout time.Duration) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	address := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_IPV4_ROUTE - 1)}
	if err := unix.Bind(fd, address); err != nil {
		return err
	}
	until := time.Now().Add(timeout)
	buf := make([]byte, 8192)
	for {
		// The socket is open before this look, so a route that comes after it ends the read.
		table, err := sys.ReadBounded(routeTable, sys.MaxProcFile)
		if err != nil {
			return err
		}
		if hasDefaultRoute(string(table)) {
			return nil
		}
		left := time.Until(until)
		if left <= 0 {
			return errors.New("no default route after " + timeout.String())
		}
		limit := unix.NsecToTimeval(max(left, time.Millisecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			return err
		}
		_, _, err = unix.Recvfrom(fd, buf, 0)
		// ENOBUFS: events were lost, and the loop looks again in any case.
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
}

// hasDefaultRoute reads the text of /proc/net/route: device, destination, gateway, flags, …, mask.
func hasDefaultRoute(table string) bool {
	const anywhere = "00000000"
	for _, line := range strings.Split(table, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[1] != anywhere || fields[7] != anywhere {
			continue
		}
		if flags, err := strconv.ParseUint(fields[3], 16, 32); err == nil && flags&unix.RTF_UP != 0 {
			return true
		}
	}
	return false
}
