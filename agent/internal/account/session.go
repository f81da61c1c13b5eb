package account

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

// A login through PAM gives a plain user a directory for sockets, and a user manager. The agent's
// sessions use no PAM, so it makes the directory itself, and lets the user "linger": logind runs
// the manager of such a user as long as the guest.
const (
	runtimeDirs   = "/run/user"
	lingerDir     = "/var/lib/systemd/linger"
	nobodyID      = 65534
	runtimeLimits = ",size=10%,nr_inodes=100k" // logind's own
)

// userManagers are the users whose manager the agent has started already.
var userManagers sync.Map

func plainUser(uid uint32) bool { return uid >= firstUserID && uid != nobodyID }

func runtimeDir(root string, uid uint32) string {
	return filepath.Join(root, strconv.FormatUint(uint64(uid), 10))
}

// prepareSessions makes the directory, and tells logind, which starts later, to run the user's
// manager.
func (a *Accounts) prepareSessions(uid, gid uint32) {
	if !plainUser(uid) {
		return
	}
	if err := makeRuntimeDir(uid, gid); err != nil {
		journal.Warn("the user's runtime directory: " + err.Error())
	}
	if a.initName != "systemd" {
		return
	}
	a.mu.Lock()
	a.lingering = uid
	a.mu.Unlock()
	name := a.userName()
	if err := linger(lingerDir, name); err != nil {
		journal.Warn("the user's manager: " + err.Error())
	}
}

func (a *Accounts) userName() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.user
}

// makeRuntimeDir mounts the directory as logind would; logind keeps a directory that is mounted
// already.
func makeRuntimeDir(uid, gid uint32) error {
	path := runtimeDir(runtimeDirs, uid)
	if err := os.MkdirAll(runtimeDirs, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	user, group := strconv.FormatUint(uint64(uid), 10), strconv.FormatUint(uint64(gid), 10)
	options := "mode=0700,uid=" + user + ",gid=" + group + runtimeLimits
	return unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options)
}

// linger does what loginctl enable-linger does.
func linger(dir, name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// sessionEnvironment names the directory and, where there is one, the user's bus. It does not name
// a directory that others can write to: a program would trust what they have put there.
func sessionEnvironment(root string, u *Account) map[string]string {
	path := runtimeDir(root, u.UID)
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return nil
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != u.UID || info.Mode().Perm()&0o077 != 0 {
		return nil
	}
	env := map[string]string{"XDG_RUNTIME_DIR": path}
	bus := filepath.Join(path, "bus")
	if info, err := os.Lstat(bus); err == nil && info.Mode()&fs.ModeSocket != 0 {
		env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=" + bus
	}
	return env
}

// EnterSession makes the runtime directory of a user who has none yet, and returns the session's
// variables.
func (a *Accounts) EnterSession(u *Account) map[string]string {
	if a.Real && plainUser(u.UID) && !sys.Exists(runtimeDir(runtimeDirs, u.UID)) {
		if err := makeRuntimeDir(u.UID, u.GID); err != nil {
			journal.Warn("the user's runtime directory: " + err.Error())
		}
		if a.booted.Load() {
			go startUserManager(u.UID)
		}
	}
	return sessionEnvironment(runtimeDirs, u)
}

// AfterBoot starts the configured user's manager if logind has not.
func (a *Accounts) AfterBoot() {
	a.booted.Store(true)
	a.mu.Lock()
	uid := a.lingering
	a.mu.Unlock()
	if uid != 0 && a.initName == "systemd" {
		go startUserManager(uid)
	}
}

func startUserManager(uid uint32) {
	if sys.Exists(filepath.Join(runtimeDir(runtimeDirs, uid), "systemd")) {
		return
	}
	if _, asked := userManagers.LoadOrStore(uid, true); asked {
		return
	}
	unit := "user@" + strconv.FormatUint(uint64(uid), 10) + ".service"
	if _, err := process.Output(exec.Command("systemctl", "start", "--no-block", unit)); err != nil {
		journal.Warn(unit + ": " + err.Error())
	}
}
