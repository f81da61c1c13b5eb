package mounts

import (
	"net/http"
	"os"
	"path/filepath"
	"time"

	"gaovm/agent/internal/process"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const maxAwait = 5 * time.Minute

// Await returns when a program of the guest has mounted a share.
func (m *Mounter) Await(r *http.Request) (any, error) {
	var body struct {
		Path     string `json:"path"`
		Type     string `json:"type"`
		TimeoutS int    `json:"timeout_s"`
		Writable bool   `json:"writable"`
	}
	if err := wire.ReadBody(r, &body); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(body.Path) || len(body.Path) >= wire.MaxPath {
		return nil, wire.BadField("path", "not an absolute path")
	}
	path := filepath.Clean(body.Path)
	limit := min(time.Duration(max(body.TimeoutS, 0))*time.Second, maxAwait)
	if err := awaitMount(r, path, body.Type, limit); err != nil {
		return Result{Path: body.Path, Error: err.Error()}, nil
	}
	process.Relayed.Add(path)
	return Result{Path: body.Path, OK: true}, nil
}

// awaitMount looks at the table of mounts each time the kernel says that it has changed.
func awaitMount(r *http.Request, path, kind string, limit time.Duration) error {
	table, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer table.Close()
	end := time.Now().Add(limit)
	for r.Context().Err() == nil {
		mounted, err := sys.ReadBounded("/proc/self/mountinfo", sys.MaxProcFile)
		if err != nil {
			return err
		}
		if _, found := topMount(string(mounted), path); found == kind {
			return nil
		}
		left := time.Until(end)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		// so that a caller who has gone away is noticed
		left = min(left, time.Second)
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(table.Fd()), Events: unix.POLLPRI}}, int(left.Milliseconds()))
	}
	return r.Context().Err()
}
