// Package initsystem waits for the distribution's init: systemd or OpenRC.
package initsystem

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gaovm/agent/internal/process"
	"gaovm/agent/internal/sys"
)

const (
	systemdSocket = "/run/systemd/private"
	openRC        = "/sbin/openrc"
	openRCState   = "/run/openrc"
	maxFailed     = 64
	maxLevel      = 4096 // bytes of the name of a run level
	askAgain      = time.Second
)

// State is how far the distribution has booted.
type State struct {
	State  string   `json:"state"`
	Detail string   `json:"detail,omitempty"`
	Failed []string `json:"failed,omitempty"`
}

// Wait returns when the distribution has finished booting, or at the end of the context.
func Wait(ctx context.Context, initName string, timeout time.Duration) State {
	switch {
	case initName == "systemd":
		return bootOfSystemd(ctx, timeout)
	case sys.Exists(openRC):
		return bootOfOpenRC(ctx, timeout)
	}
	return State{State: "none"}
}

// WaitManager returns when the service manager takes requests, or at the end of the context.
func WaitManager(ctx context.Context, initName string, timeout time.Duration) State {
	switch {
	case initName != "systemd":
		return State{State: "none"}
	case AwaitSystemd(ctx, timeout) != nil:
		return State{State: "timeout", Detail: "systemd has not opened its socket"}
	}
	return State{State: "running"}
}

// bootOfSystemd asks again when systemctl gives no answer: systemd re-executes itself now and then.
func bootOfSystemd(ctx context.Context, timeout time.Duration) State {
	for {
		if AwaitSystemd(ctx, timeout) != nil {
			return State{State: "timeout", Detail: "systemd has not opened its socket"}
		}
		said, err := process.Output(exec.CommandContext(ctx, "systemctl", "is-system-running", "--wait"))
		state := strings.TrimSpace(string(said))
		switch {
		case ctx.Err() != nil:
			return State{State: "timeout", Detail: state}
		case state == "running":
			return State{State: state}
		case state == "degraded":
			return State{State: state, Failed: failedUnits(ctx)}
		case errors.Is(err, exec.ErrNotFound):
			return State{State: "degraded", Detail: err.Error()}
		case state == "maintenance" || state == "stopping":
			return State{State: "degraded", Detail: state}
		}
		select {
		case <-ctx.Done():
		case <-time.After(askAgain):
		}
	}
}

func bootOfOpenRC(ctx context.Context, timeout time.Duration) State {
	booted := func() bool { return openRCBooted(openRCState) }
	if sys.AwaitFile(ctx, timeout, booted, "/run", openRCState) != nil {
		return State{State: "timeout", Detail: "OpenRC still starts services"}
	}
	return State{State: "running"}
}

// openRCBooted tells whether OpenRC has left the two run levels of its boot and has started all
// services of the next.
func openRCBooted(dir string) bool {
	level, err := sys.ReadBounded(filepath.Join(dir, "softlevel"), maxLevel)
	name := strings.TrimSpace(string(level))
	return err == nil && name != "" && name != "sysinit" && name != "boot" && !sys.Exists(filepath.Join(dir, "rc.starting"))
}

func failedUnits(ctx context.Context) []string {
	command := exec.CommandContext(ctx, "systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager")
	listed, err := process.Output(command)
	if err != nil {
		return nil
	}
	var units []string
	for _, line := range bytes.Split(listed, []byte("\n")) {
		if fields := strings.Fields(string(line)); len(fields) > 0 && len(units) < maxFailed {
			units = append(units, fields[0])
		}
	}
	return units
}

// AwaitSystemd returns when systemd has opened its own socket.
func AwaitSystemd(ctx context.Context, timeout time.Duration) error {
	return sys.AwaitFile(ctx, timeout, func() bool { return sys.Exists(systemdSocket) }, "/run", "/run/systemd")
}
