package sys

import "golang.org/x/sys/unix"

// ForcePower turns the machine off or restarts it, without asking its init.
func ForcePower(reboot bool) {
	unix.Sync()
	command := unix.LINUX_REBOOT_CMD_POWER_OFF
	if reboot {
		command = unix.LINUX_REBOOT_CMD_RESTART
	}
	_ = unix.Reboot(command)
}
