package exec

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/stream"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

const (
	// sshDir holds what the host gives to sshd; it is gone after a reboot.
	sshDir = "/run/gaovm/ssh"
	// Debian's sshd locks itself into this empty directory, which only its unit makes.
	separationDir = "/run/sshd"
	// NixOS has its programs there.
	sshdPath     = process.RootPath + ":/run/current-system/sw/bin"
	maxHostKey   = 8 << 10
	maxKeys      = 256
	maxPublicKey = 16 << 10
	// A session's sshd can fill the agent's log with this many lines.
	maxSSHLines = 20
	keyHead     = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
)

// sshStart is the START frame of an SSH connection.
type sshStart struct {
	HostKey        string   `json:"host_key"`
	AuthorizedKeys []string `json:"authorized_keys"`
}

// sshFiles makes connections that begin at the same time take turns at the files.
var sshFiles sync.Mutex

// SSH serves one SSH connection by an sshd of its own on two pipes: no port, no network. Frames end
// with STARTED; what follows are the bytes of the connection.
func (r *Runner) SSH(s *stream.Stream) error {
	var req sshStart
	if err := s.Start(&req); err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	found := searchPath("sshd", sshdPath)
	if len(found) == 0 {
		return wire.Fail(wire.CodeNotFound, "the guest has no sshd")
	}
	if !r.accounts.Real {
		return wire.Fail(wire.CodeUnsupported, "no sshd in development mode")
	}
	config, err := r.sshSettings()
	if err != nil {
		return err
	}
	if err := req.write([]string{sshDir, separationDir}, config); err != nil {
		return err
	}
	return r.serveSSH(s, found[0])
}

func (req *sshStart) check() error {
	if len(req.HostKey) > maxHostKey || !strings.HasPrefix(req.HostKey, keyHead) {
		return wire.BadField("host_key", "not a private key in OpenSSH's format")
	}
	if len(req.AuthorizedKeys) > maxKeys {
		return wire.BadField("authorized_keys", "more than 256")
	}
	for _, key := range req.AuthorizedKeys {
		if len(key) > maxPublicKey || strings.ContainsAny(key, "\n\r\x00") {
			return wire.BadField("authorized_keys", "not one line of at most 16 KiB")
		}
	}
	return nil
}

// write makes the directories and puts the files of sshd into the first. It does not write a file
// that has the content already: another sshd may be reading it.
func (req *sshStart) write(dirs []string, config string) error {
	sshFiles.Lock()
	defer sshFiles.Unlock()
	for _, each := range dirs {
		if err := os.MkdirAll(each, 0o755); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		name, body string
		mode       os.FileMode
	}{
		{"host_key", req.HostKey, 0o600},
		// sshd reads it with the user's rights; public keys are no secret.
		{"authorized_keys", strings.Join(req.AuthorizedKeys, "\n") + "\n", 0o644},
		{"sshd_config", config, 0o600},
	} {
		path := filepath.Join(dirs[0], file.name)
		old, err := sys.ReadBounded(path, wire.MaxBody)
		if err == nil && string(old) == file.body {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := sys.ReplaceFile(path, []byte(file.body), file.mode); err != nil {
			return err
		}
	}
	return nil
}

// serveSSH runs sshd until the connection ends. A command that sshd has started may live on, as
// after any SSH connection.
func (r *Runner) serveSSH(s *stream.Stream, sshd string) error {
	files, err := process.OpenPipes()
	if err != nil {
		return err
	}
	defer files.Close()
	place := r.cgroups.Take(func(uint64) { journal.Warn("sshd: the guest is out of memory") })
	defer place.Release()
	argv := []string{sshd, "-i", "-e", "-f", filepath.Join(sshDir, "sshd_config")}
	env := []string{"LANG=C.UTF-8", "PATH=" + sshdPath}
	root := &syscall.Credential{}
	p, err := process.Start(place, sshd, argv, env, "/", root, files.Child, false)
	files.CloseChild()
	if err != nil {
		return wire.Fail(wire.CodeNotExecutable, sshd+": "+err.Error())
	}
	r.live.Add(p, false)
	defer r.live.Remove(p)
	hung := make(chan struct{})
	stop := context.AfterFunc(s.Ctx, func() { p.HangUp(); close(hung) })
	_ = s.Out.SendJSON(wire.FrameStarted, map[string]int{"pid": p.PID})
	sent := make(chan struct{})
	go func() { _ = s.PumpRaw(files.Out); close(sent) }()
	go logLines(files.Err)
	go func() {
		_ = s.FeedRaw(files.In) // the context tells of a host that is gone
		files.In.Close()
	}()
	p.AwaitExit()
	deadline := time.Now().Add(backgroundGrace)
	_ = files.Out.SetReadDeadline(deadline)
	_ = files.Err.SetReadDeadline(deadline)
	<-sent
	if !stop() {
		<-hung
	}
	p.Reap()
	return nil
}

// logLines writes sshd's first lines to the agent's log, and drops the others.
func logLines(from io.Reader) {
	lines := bufio.NewScanner(from)
	for count := 0; count < maxSSHLines && lines.Scan(); count++ {
		journal.Info("sshd: " + strings.ToValidUTF8(lines.Text(), "?"))
	}
	_, _ = io.Copy(io.Discard, from)
}
