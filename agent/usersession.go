package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a login through PAM would give a plain user: a directory for sockets, and a user manager. A session of ours goes
// through no PAM; logind keeps the manager of a user who "lingers", from the guest's boot to its end.
const (
	runtimeDirs   = "/run/user"
	lingerDir     = "/var/lib/systemd/linger"
	nobodyID      = 65534
	runtimeLimits = ",size=10%,nr_inodes=100k" // logind's own
)

// userManagers are the users whose manager was asked for already.
var userManagers sync.Map

func plainUser(uid uint32) bool { return uid >= firstUserID && uid != nobodyID }

func runtimeDir(root string, uid uint32) string {
	return filepath.Join(root, strconv.FormatUint(uint64(uid), 10))
}

// prepareSessions makes the directory, and tells logind, which begins later, to start the user's manager with the guest.
func (a *agent) prepareSessions(uid, gid uint32) {
	if !plainUser(uid) {
		return
	}
	if err := makeRuntimeDir(uid, gid); err != nil {
		warn("the user's runtime directory: " + err.Error())
	}
	if a.initName != "systemd" {
		return
	}
	a.mu.Lock()
	a.lingering = uid
	a.mu.Unlock()
	name := a.userName()
	if err := linger(lingerDir, name); err != nil {
		warn("the user's manager: " + err.Error())
	}
}

func (a *agent) userName() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.user
}

// makeRuntimeDir mounts what logind would mount; logind leaves a mount that is there as it is.
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

// linger is what loginctl enable-linger writes.
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

// sessionEnvironment names the directory and, where there is one, the user's bus. A directory that is not the user's
// own is not named: a program would trust what others have put there.
func sessionEnvironment(root string, u *account) map[string]string {
	path := runtimeDir(root, u.uid)
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return nil
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != u.uid || info.Mode().Perm()&0o077 != 0 {
		return nil
	}
	env := map[string]string{"XDG_RUNTIME_DIR": path}
	bus := filepath.Join(path, "bus")
	if info, err := os.Lstat(bus); err == nil && info.Mode()&fs.ModeSocket != 0 {
		env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=" + bus
	}
	return env
}

// enterSession is what a session of a plain user, the configured or another one, finds made.
func (a *agent) enterSession(u *account) map[string]string {
	if a.real && plainUser(u.uid) && !exists(runtimeDir(runtimeDirs, u.uid)) {
		if err := makeRuntimeDir(u.uid, u.gid); err != nil {
			warn("the user's runtime directory: " + err.Error())
		}
		if a.booted.Load() {
			go startUserManager(u.uid)
		}
	}
	return sessionEnvironment(runtimeDirs, u)
}

// afterBoot starts the configured user's manager where logind has not.
func (a *agent) afterBoot() {
	a.booted.Store(true)
	a.cgroups.recheck()
	a.mu.Lock()
	uid := a.lingering
	a.mu.Unlock()
	if uid != 0 && a.initName == "systemd" {
		go startUserManager(uid)
	}
}

func startUserManager(uid uint32) {
	if exists(filepath.Join(runtimeDir(runtimeDirs, uid), "systemd")) {
		return
	}
	if _, asked := userManagers.LoadOrStore(uid, true); asked {
		return
	}
	unit := "user@" + strconv.FormatUint(uint64(uid), 10) + ".service"
	if _, err := output(exec.Command("systemctl", "start", "--no-block", unit)); err != nil {
		warn(unit + ": " + err.Error())
	}
}
