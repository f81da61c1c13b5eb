// Package power ends the guest in an orderly way, and feeds the watchdog that fires when the guest
// hangs.
package power

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"gaovm/agent/internal/initsystem"
	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

const (
	// systemd counts its signals from glibc's SIGRTMIN.
	sigRTMin            = 34
	systemdPowerOff     = syscall.Signal(sigRTMin + 4)
	systemdReboot       = syscall.Signal(sigRTMin + 5)
	powerProgramTimeout = 20 * time.Second
	systemdTimeout      = 30 * time.Second
	powerReplyTime      = 100 * time.Millisecond
)

// Switch turns the machine off or restarts it.
type Switch struct {
	Real     bool // false: development mode, in which only this program ends
	InitName string
	Watchdog *Watchdog
	Live     *process.Table
}

// Call begins an orderly end of the guest, after the answer has left.
func (p *Switch) Call(r *http.Request) (any, error) {
	var body struct {
		Action string `json:"action"`
	}
	if err := wire.ReadBody(r, &body); err != nil {
		return nil, err
	}
	if body.Action != "poweroff" && body.Action != "reboot" {
		return nil, wire.BadField("action", "poweroff or reboot")
	}
	journal.Info("the host asks for " + body.Action)
	time.AfterFunc(powerReplyTime, func() { p.turnOff(body.Action == "reboot") })
	return map[string]bool{"ok": true}, nil
}

func (p *Switch) turnOff(reboot bool) {
	if !p.Real {
		p.Live.KillAll()
		os.Exit(0)
	}
	p.Watchdog.release()
	// An interactive shell ignores the init system's SIGTERM, and the init system would wait for it
	// to the end of its grace.
	for _, shell := range p.Live.List() {
		if shell.TTY {
			_ = shell.Signal(syscall.SIGHUP)
			_ = shell.Signal(syscall.SIGCONT)
		}
	}
	switch p.InitName {
	case "systemd":
		// Process 1 loses a signal that comes before it has set up its handlers.
		_ = initsystem.AwaitSystemd(context.Background(), systemdTimeout)
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

// turnOffByProgram runs the distribution's own program, and turns the machine off by force when
// that fails.
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
		_, err := process.Output(exec.CommandContext(ctx, dir+name))
		cancel()
		if err == nil {
			return
		}
	}
	sys.ForcePower(reboot)
}
