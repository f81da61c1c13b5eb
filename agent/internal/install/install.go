// Package install makes the agent a service of a distribution that knows nothing of it, and brings
// it up to date from the host's disk.
package install

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"gaovm/agent/internal/process"
	"gaovm/agent/internal/seed"
	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

const (
	// ServiceArgument is the argument with which the service starts the program.
	ServiceArgument = "service"
	// runningMark tells the seed's user data that the agent runs, so that it need not mount the
	// seed.
	runningMark = "/run/gaovm-agent"
	digestSize  = 2 * sha256.Size
)

// places are where the program may go, best first: with SELinux a service may execute what lies in
// a directory of programs; the second is for a read-only /usr.
var places = []string{"/usr/local/bin/gaovm-agent", "/var/lib/gaovm/gaovm-agent"}

// Main installs this program as a service and starts it. It returns the exit status.
func Main() int {
	if err := run(); err != nil {
		_, _ = os.Stderr.WriteString("gaovm-agent: install: " + err.Error() + "\n")
		return 1
	}
	return 0
}

func run() error {
	program, err := place()
	if err != nil {
		return err
	}
	for _, manager := range managers {
		if manager.present("/") {
			return manager.install("/", program)
		}
	}
	// Another init: the seed's user data starts the agent at each boot.
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	files := []uintptr{null.Fd(), null.Fd(), null.Fd()}
	_, err = syscall.ForkExec(program, []string{program, ServiceArgument}, &syscall.ProcAttr{
		Dir: "/", Env: []string{"PATH=" + process.RootPath}, Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	return err
}

// place copies this program to the first place that can be written.
func place() (string, error) {
	var failed error
	for _, path := range places {
		err := copyProgram(process.Self, path)
		if err == nil {
			return path, nil
		}
		failed = errors.Join(failed, err)
	}
	return "", failed
}

// copyProgram replaces the program at path in one step, with its digest beside it.
func copyProgram(source, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	temp, err := os.CreateTemp(filepath.Dir(path), ".gaovm-agent-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // after the rename there is nothing to remove
	defer temp.Close()
	digest := sha256.New()
	if _, err := io.Copy(io.MultiWriter(temp, digest), in); err != nil {
		return err
	}
	if err := errors.Join(temp.Chmod(0o755), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	label(path)
	return sys.ReplaceFile(digestOf(path), []byte(hex.EncodeToString(digest.Sum(nil))+"\n"), 0o644)
}

// digestOf names the file with the digest of an installed program.
func digestOf(program string) string {
	return filepath.Join(filepath.Dir(program), "."+filepath.Base(program)+".sha256")
}

// Refresh replaces this program with the one on the host's disk when they differ, and executes it
// then. It returns when this program is the right one, or could not be replaced.
func Refresh(disk *seed.Disk) error {
	own, err := os.Readlink(process.Self)
	if err != nil {
		return err
	}
	wanted := disk.Settings.Digest
	installed, err := sys.ReadBounded(digestOf(own), sys.MaxProcFile)
	if err != nil {
		return nil // it runs from the disk itself
	}
	if len(wanted) != digestSize || strings.TrimSpace(string(installed)) == wanted {
		return nil
	}
	if err := copyProgram(filepath.Join(disk.Directory, seed.Program), own); err != nil {
		return err
	}
	now, err := sys.ReadBounded(digestOf(own), sys.MaxProcFile)
	if err != nil || strings.TrimSpace(string(now)) != wanted {
		return errors.New("the program on the disk has another digest than the settings name")
	}
	disk.Close()
	return syscall.Exec(own, os.Args, os.Environ())
}

// MarkRunning notes that the agent runs.
func MarkRunning() { _ = os.WriteFile(runningMark, nil, 0o644) }

// label gives a new file the SELinux context of its place.
func label(path string) {
	if program, err := exec.LookPath("restorecon"); err == nil {
		_ = exec.Command(program, path).Run()
	}
}

func writable(directory string) bool {
	return os.MkdirAll(directory, 0o755) == nil && unix.Access(directory, unix.W_OK) == nil
}
