package exec

import (
	"os"

	"gaovm/agent/internal/account"
	"gaovm/agent/internal/process"

	"golang.org/x/sys/unix"
)

// openPTY makes a terminal that belongs to the plan's user. It opens the slave through the master,
// so it does not matter where, or whether, the guest has mounted devpts.
func openPTY(plan *execPlan) (*process.Stdio, error) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	slave, err := openSlave(master)
	if err != nil {
		unix.Close(master)
		return nil, err
	}
	group := int(plan.account.GID)
	if gid, err := account.LookupGroup("tty"); err == nil {
		group = int(gid)
	}
	// Without root, in development mode, the terminal belongs to the user already.
	_ = unix.Fchown(slave, int(plan.account.UID), group)
	_ = unix.Fchmod(slave, 0o620)
	file := os.NewFile(uintptr(master), "pty")
	resizePTY(file, plan.rows, plan.cols)
	end := uintptr(slave)
	return &process.Stdio{In: file, Out: file, Child: []uintptr{end, end, end}, PTY: true}, nil
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
