package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// copyJob is what the copying child is told, in its first argument.
type copyJob struct {
	Path   string `json:"path"`
	Name   string `json:"name,omitempty"`
	Mkdirs bool   `json:"mkdirs,omitempty"`
}

// Names under which the agent starts itself, with the user's ids, for the work on files.
const (
	copyInName   = "gaovm-copy-in"
	copyOutName  = "gaovm-copy-out"
	maxPath      = 4096
	maxReport    = 16 << 10
	selfProgram  = "/proc/self/exe"
	reportFD     = 2
	copyExitFail = 1
)

func (a *agent) copyIn(s *stream) error {
	var req struct {
		Path   string `json:"path"`
		User   string `json:"user"`
		Name   string `json:"name"`
		Mkdirs bool   `json:"mkdirs"`
	}
	if err := s.start(&req); err != nil {
		return err
	}
	if !validName(req.Name) {
		return badField("name", "not a file name")
	}
	return a.runCopy(s, copyInName, req.User, copyJob{Path: req.Path, Name: req.Name, Mkdirs: req.Mkdirs})
}

func (a *agent) copyOut(s *stream) error {
	var req struct {
		Path string `json:"path"`
		User string `json:"user"`
	}
	if err := s.start(&req); err != nil {
		return err
	}
	return a.runCopy(s, copyOutName, req.User, copyJob{Path: req.Path})
}

func validName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 && !strings.ContainsAny(name, "/\x00")
}

// expandPath makes an absolute path: "~/" and relative paths start at the home. A final slash is kept: it
// asks for a directory.
func expandPath(path, home string) (string, error) {
	if path == "" || len(path) > maxPath || strings.Contains(path, "\x00") {
		return "", badField("path", "not a path")
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

// runCopy starts the child with the user's ids, so that the kernel checks every access, and joins it to the stream.
func (a *agent) runCopy(s *stream, name, user string, job copyJob) error {
	who, err := a.accountFor(user)
	if err != nil {
		return err
	}
	if job.Path, err = expandPath(job.Path, who.home); err != nil {
		return err
	}
	argument, err := json.Marshal(job)
	if err != nil {
		return err
	}
	files, err := openPipes()
	if err != nil {
		return err
	}
	defer files.close()
	_, _ = unix.FcntlInt(files.child[0], unix.F_SETPIPE_SZ, outputPipeSize)
	place := a.cgroups.take(nil)
	defer place.release()
	argv := []string{name, string(argument)}
	p, err := startProcess(place, selfProgram, argv, copyEnvironment(), "/", who, files.child, false)
	files.closeChild()
	if err != nil {
		return err
	}
	return s.attendCopy(p, files)
}

func copyEnvironment() []string { return []string{"GOGC=100", "GOMAXPROCS=2"} }

// attendCopy carries the tar stream and turns the child's report into the last frame.
func (s *stream) attendCopy(p *process, files *stdio) error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	hung := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { p.hangUp(); close(hung) })
	if err := s.out.sendEmptyObject(frameStarted); err != nil {
		cancel(err)
	}
	go func() {
		if err := s.feed(files.in, files.endInput, nil); err != nil {
			cancel(err)
		}
	}()
	pumped := make(chan error, 1)
	go func() { pumped <- s.pump(frameOut, files.out) }()
	report := readReport(files.err)
	if err := <-pumped; err != nil {
		cancel(err)
	}
	p.awaitExit()
	if !stop() {
		<-hung
	}
	status := p.reap()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if status.ExitStatus() != 0 {
		return copyFailure(report, status)
	}
	return s.out.sendJSON(frameExit, exitOf(status))
}

// readReport reads the child's error report to its end and keeps the head of it.
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
	var wire wireError
	if json.Unmarshal(report, &wire) == nil && wire.Code != "" {
		return &wire
	}
	if status.Signaled() {
		return fail(codeInternal, "the copying child was killed: "+status.Signal().String())
	}
	return fail(codeInternal, "the copying child failed: "+strings.TrimSpace(string(report)))
}

// copyMain is the child. Its exit status is 0, or 1 with a JSON error on descriptor 2.
func copyMain(name, argument string) int {
	var job copyJob
	err := decodeJSON([]byte(argument), &job)
	if err == nil && name == copyInName {
		err = extractTar(os.Stdin, job)
	} else if err == nil {
		err = emitTar(os.Stdout, job.Path)
	}
	if err == nil {
		return 0
	}
	body, _ := json.Marshal(asWireError(err))
	_, _ = os.NewFile(reportFD, "report").Write(body)
	return copyExitFail
}
