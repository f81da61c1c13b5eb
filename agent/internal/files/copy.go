// Package files copies files into and out of the guest as tar streams. A child with the user's ids
// does the work, so that the kernel checks every access.
package files

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"gaovm/agent/internal/account"
	"gaovm/agent/internal/cgroups"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/stream"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

// job is the work of the copying child, in its first argument.
type job struct {
	Path   string `json:"path"`
	Name   string `json:"name,omitempty"`
	Mkdirs bool   `json:"mkdirs,omitempty"`
}

// The agent starts itself under these names, with a user's ids, to read or write files.
const (
	InName    = "gaovm-copy-in"
	OutName   = "gaovm-copy-out"
	maxReport = 16 << 10
	reportFD  = 2
	ExitFail  = 1
)

// Copier starts children that read or write files with a user's ids.
type Copier struct {
	accounts *account.Accounts
	cgroups  *cgroups.Groups
}

// NewCopier returns a copier whose children run in cgroups.
func NewCopier(accounts *account.Accounts, cgroups *cgroups.Groups) *Copier {
	return &Copier{accounts: accounts, cgroups: cgroups}
}

// In serves the stream of a copy into the guest.
func (c *Copier) In(s *stream.Stream) error {
	var req struct {
		Path   string `json:"path"`
		User   string `json:"user"`
		Name   string `json:"name"`
		Mkdirs bool   `json:"mkdirs"`
	}
	if err := s.Start(&req); err != nil {
		return err
	}
	if !validName(req.Name) {
		return wire.BadField("name", "not a file name")
	}
	return c.runCopy(s, InName, req.User, job{Path: req.Path, Name: req.Name, Mkdirs: req.Mkdirs})
}

// Out serves the stream of a copy out of the guest.
func (c *Copier) Out(s *stream.Stream) error {
	var req struct {
		Path string `json:"path"`
		User string `json:"user"`
	}
	if err := s.Start(&req); err != nil {
		return err
	}
	return c.runCopy(s, OutName, req.User, job{Path: req.Path})
}

func validName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 && !strings.ContainsAny(name, "/\x00")
}

// expandPath makes an absolute path: "~/" and relative paths start at the home. It keeps a final
// slash, which asks for a directory.
func expandPath(path, home string) (string, error) {
	if path == "" || len(path) > wire.MaxPath || strings.Contains(path, "\x00") {
		return "", wire.BadField("path", "not a path")
	}
	slash := strings.HasSuffix(path, "/")
	switch {
	case path == "~":
		path = home
	case strings.HasPrefix(path, "~/"):
		path = filepath.Join(home, path[2:])
	case !filepath.IsAbs(path):
		path = filepath.Join(home, path)
	}
	path = filepath.Clean(path)
	if slash && path != "/" {
		path += "/"
	}
	return path, nil
}

// runCopy starts the child with the user's ids, so that the kernel checks every access, and
// connects it to the stream.
func (c *Copier) runCopy(s *stream.Stream, name, user string, job job) error {
	who, err := c.accounts.Find(user)
	if err != nil {
		return err
	}
	if job.Path, err = expandPath(job.Path, who.Home); err != nil {
		return err
	}
	argument, err := json.Marshal(job)
	if err != nil {
		return err
	}
	files, err := process.OpenPipes()
	if err != nil {
		return err
	}
	defer files.Close()
	_, _ = unix.FcntlInt(files.Child[0], unix.F_SETPIPE_SZ, process.OutputPipeSize)
	place := c.cgroups.Take(nil)
	defer place.Release()
	argv := []string{name, string(argument)}
	p, err := process.Start(place, process.Self, argv, copyEnvironment(), "/", who.Credential(), files.Child, false)
	files.CloseChild()
	if err != nil {
		return err
	}
	return attendCopy(s, p, files)
}

func copyEnvironment() []string { return []string{"GOGC=100", "GOMAXPROCS=2"} }

// attendCopy carries the tar stream, and makes the child's report the last frame.
func attendCopy(s *stream.Stream, p *process.Process, files *process.Stdio) error {
	ctx, cancel := context.WithCancelCause(s.Ctx)
	defer cancel(nil)
	hung := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { p.HangUp(); close(hung) })
	if err := s.Out.SendEmptyObject(wire.FrameStarted); err != nil {
		cancel(err)
	}
	go func() {
		if err := s.Feed(files.In, files.EndInput, nil); err != nil {
			cancel(err)
		}
	}()
	pumped := make(chan error, 1)
	go func() { pumped <- s.Pump(wire.FrameOut, files.Out) }()
	report := readReport(files.Err)
	if err := <-pumped; err != nil {
		cancel(err)
	}
	p.AwaitExit()
	if !stop() {
		<-hung
	}
	status := p.Reap()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if status.ExitStatus() != 0 {
		return copyFailure(report, status)
	}
	return s.Out.SendJSON(wire.FrameExit, process.ExitOf(status))
}

// readReport reads the child's error report to its end and keeps its beginning.
func readReport(f *os.File) []byte {
	kept := make([]byte, 0, 512)
	buf := make([]byte, 512)
	for {
		n, err := f.Read(buf)
		if len(kept) < maxReport {
			kept = append(kept, buf[:n]...)
		}
		if err != nil {
			return kept
		}
	}
}

func copyFailure(report []byte, status syscall.WaitStatus) error {
	var told wire.Error
	if json.Unmarshal(report, &told) == nil && told.Code != "" {
		return &told
	}
	if status.Signaled() {
		return wire.Fail(wire.CodeInternal, "the copying child was killed: "+status.Signal().String())
	}
	return wire.Fail(wire.CodeInternal, "the copying child failed: "+strings.TrimSpace(string(report)))
}

// Main is the child. It returns its exit status: 0, or 1 with a JSON error on descriptor 2.
func Main(name, argument string) int {
	var job job
	err := wire.DecodeJSON([]byte(argument), &job)
	if err == nil && name == InName {
		err = extractTar(os.Stdin, job)
	} else if err == nil {
		err = emitTar(os.Stdout, job.Path)
	}
	if err == nil {
		return 0
	}
	body, _ := json.Marshal(wire.AsError(err))
	_, _ = os.NewFile(reportFD, "report").Write(body)
	return ExitFail
}
