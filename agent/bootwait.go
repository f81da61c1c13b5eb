package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	systemdSocket = "/run/systemd/private"
	openRC        = "/sbin/openrc"
	openRCState   = "/run/openrc"
	maxBootWait   = 3600
	maxFailed     = 64
	askAgain      = time.Second
)

type bootState struct {
	State  string   `json:"state"`
	Detail string   `json:"detail,omitempty"`
	Failed []string `json:"failed,omitempty"`
}

// bootWait returns when the distribution has finished booting, or at the end of the time given.
func (a *agent) bootWait(r *http.Request) (any, error) {
	var body struct {
		TimeoutS float64 `json:"timeout_s"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if !(body.TimeoutS > 0 && body.TimeoutS <= maxBootWait) {
		return nil, badField("timeout_s", "more than 0, at most 3600")
	}
	timeout := time.Duration(body.TimeoutS * float64(time.Second))
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	result := bootState{State: "none"}
	switch {
	case !a.real:
		return result, nil
	case a.initName == "systemd":
		result = bootOfSystemd(ctx, timeout)
	case exists(openRC):
		result = bootOfOpenRC(ctx, timeout)
	}
	if result.State != "timeout" {
		a.afterBoot()
	}
	return result, nil
}

// bootOfSystemd asks again when systemctl could not tell: systemd executes itself anew now and then.
func bootOfSystemd(ctx context.Context, timeout time.Duration) bootState {
	for {
		if awaitSystemd(ctx, timeout) != nil {
			return bootState{State: "timeout", Detail: "systemd has not opened its socket"}
		}
		said, err := output(exec.CommandContext(ctx, "systemctl", "is-system-running", "--wait"))
		state := strings.TrimSpace(string(said))
		switch {
		case ctx.Err() != nil:
			return bootState{State: "timeout", Detail: state}
		case state == "running":
			return bootState{State: state}
		case state == "degraded":
			return bootState{State: state, Failed: failedUnits(ctx)}
		case errors.Is(err, exec.ErrNotFound):
			return bootState{State: "degraded", Detail: err.Error()}
		case state == "maintenance" || state == "stopping":
			return bootState{State: "degraded", Detail: state}
		}
		select {
		case <-ctx.Done():
		case <-time.After(askAgain):
		}
	}
}

func bootOfOpenRC(ctx context.Context, timeout time.Duration) bootState {
	booted := func() bool { return openRCBooted(openRCState) }
	if awaitFile(ctx, timeout, booted, "/run", openRCState) != nil {
		return bootState{State: "timeout", Detail: "OpenRC still starts services"}
	}
	return bootState{State: "running"}
}

// openRCBooted tells whether OpenRC has reached a run level behind the two of its boot, and starts nothing there any more.
func openRCBooted(dir string) bool {
	level, err := readBounded(filepath.Join(dir, "softlevel"), maxSmallFrame)
	name := strings.TrimSpace(string(level))
	return err == nil && name != "" && name != "sysinit" && name != "boot" && !exists(filepath.Join(dir, "rc.starting"))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func failedUnits(ctx context.Context) []string {
	command := exec.CommandContext(ctx, "systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager")
	listed, err := output(command)
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

// awaitSystemd returns when systemd has opened its own socket.
func awaitSystemd(ctx context.Context, timeout time.Duration) error {
	return awaitFile(ctx, timeout, func() bool { return exists(systemdSocket) }, "/run", "/run/systemd")
}

// awaitFile returns when done() is true, which changes in these directories, seen by inotify, may make it.
func awaitFile(ctx context.Context, timeout time.Duration, done func() bool, dirs ...string) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	defer context.AfterFunc(ctx, func() { _ = events.SetReadDeadline(time.Unix(1, 0)) })()
	_ = events.SetReadDeadline(time.Now().Add(timeout))
	buf := make([]byte, 4096)
	for {
		// Watches are set before the look, so what appears after the look wakes the read.
		for _, dir := range dirs {
			_, _ = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_CLOSE_WRITE)
		}
		if done() {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := events.Read(buf); err != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}
