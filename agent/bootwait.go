package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	systemdSocket = "/run/systemd/private"
	maxBootWait   = 3600
	maxFailed     = 64
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
	if !a.real || a.initName != "systemd" {
		return bootState{State: "none"}, nil
	}
	timeout := time.Duration(body.TimeoutS * float64(time.Second))
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if err := awaitSystemd(ctx, timeout); err != nil {
		return bootState{State: "timeout", Detail: "systemd has not opened its socket"}, nil
	}
	said, err := output(exec.CommandContext(ctx, "systemctl", "is-system-running", "--wait"))
	state := strings.TrimSpace(string(said))
	switch {
	case ctx.Err() != nil:
		return bootState{State: "timeout", Detail: state}, nil
	case state == "running":
		return bootState{State: state}, nil
	case state == "degraded":
		return bootState{State: state, Failed: failedUnits(ctx)}, nil
	case state == "" && err != nil:
		return nil, err
	}
	return bootState{State: "degraded", Detail: state}, nil
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

// awaitSystemd returns when systemd has opened its own socket, seen by inotify.
func awaitSystemd(ctx context.Context, timeout time.Duration) error {
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
		_, _ = unix.InotifyAddWatch(fd, "/run", unix.IN_CREATE|unix.IN_MOVED_TO)
		_, _ = unix.InotifyAddWatch(fd, "/run/systemd", unix.IN_CREATE|unix.IN_MOVED_TO)
		if _, err := os.Stat(systemdSocket); err == nil {
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
