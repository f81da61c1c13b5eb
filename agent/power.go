package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// glibc's SIGRTMIN, which systemd counts from.
	sigRTMin            = 34
	systemdPowerOff     = syscall.Signal(sigRTMin + 4)
	systemdReboot       = syscall.Signal(sigRTMin + 5)
	powerProgramTimeout = 20 * time.Second
	powerReplyTime      = 100 * time.Millisecond
)

// power begins an orderly end of the guest; the answer leaves before it begins.
func (a *agent) power(r *http.Request) (any, error) {
	var body struct {
		Action string `json:"action"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.Action != "poweroff" && body.Action != "reboot" {
		return nil, badField("action", "poweroff or reboot")
	}
	inform("the host asks for " + body.Action)
	time.AfterFunc(powerReplyTime, func() { a.turnOff(body.Action == "reboot") })
	return map[string]bool{"ok": true}, nil
}

func (a *agent) turnOff(reboot bool) {
	if !a.real { // development mode: the "machine" that ends is this program
		a.endAll()
		os.Exit(0)
	}
	a.watchdog.release()
	// An interactive shell ignores the SIGTERM that the init system sends, and would hold it up for its whole grace.
	for _, p := range a.live.list() {
		if p.tty {
			_ = p.signal(syscall.SIGHUP)
			_ = p.signal(syscall.SIGCONT)
		}
	}
	switch a.initName {
	case "systemd":
		// Before it has set up its handlers, a signal to process 1 is lost.
		_ = awaitSystemd(context.Background(), portTimeout)
		signal := systemdPowerOff
		if reboot {
			signal = systemdReboot
		}
		_ = syscall.Kill(1, signal)
	case "busybox":
		signal := syscall.SIGUSR2
		if reboot {
			signal = syscall.SIGTERM
		}
		_ = syscall.Kill(1, signal)
	default:
		turnOffByProgram(reboot)
	}
}

// turnOffByProgram asks the distribution's own program, and does it by force when there is none.
func turnOffByProgram(reboot bool) {
	name := "poweroff"
	if reboot {
		name = "reboot"
	}
	for _, dir := range []string{"/sbin/", "/usr/sbin/", "/bin/", "/usr/bin/"} {
		if _, err := os.Stat(dir + name); err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), powerProgramTimeout)
		_, err := output(exec.CommandContext(ctx, dir+name))
		cancel()
		if err == nil {
			return
		}
	}
	forcePower(reboot)
}

func forcePower(reboot bool) {
	unix.Sync()
	command := unix.LINUX_REBOOT_CMD_POWER_OFF
	if reboot {
		command = unix.LINUX_REBOOT_CMD_RESTART
	}
	_ = unix.Reboot(command)
}
