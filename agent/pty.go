package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// openPTY makes a terminal that belongs to the plan's user. The slave is opened through its master, so it does not
// matter where, or whether, the guest has mounted devpts since.
func openPTY(plan *execPlan) (*stdio, error) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	slave, err := openSlave(master)
	if err != nil {
		unix.Close(master)
		return nil, err
	}
	group := int(plan.account.gid)
	if gid, err := lookupGroup("tty"); err == nil {
		group = int(gid)
	}
	// In development mode without root the terminal is the user's already.
	_ = unix.Fchown(slave, int(plan.account.uid), group)
	_ = unix.Fchmod(slave, 0o620)
	file := os.NewFile(uintptr(master), "pty")
	resizePTY(file, plan.rows, plan.cols)
	end := uintptr(slave)
	return &stdio{in: file, out: file, child: []uintptr{end, end, end}, pty: true}, nil
}

func openSlave(master int) (int, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return -1, err
	}
	flags := unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, uintptr(flags))
	if errno != 0 {
		return -1, errno
	}
	return int(slave), nil
}

// resizePTY sets the window size; 0 by 0 leaves it as it is.
func resizePTY(master *os.File, rows, cols uint16) {
	raw, err := master.SyscallConn()
	if err != nil || rows == 0 && cols == 0 {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
}
