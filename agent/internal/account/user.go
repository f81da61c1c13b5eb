package account

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const (
	sudoersFile = "/etc/sudoers.d/90-gaovm"
	skeleton    = "/etc/skel"
	// An account with a smaller uid belongs to the system; the agent does not change it.
	firstUserID = 1000
	lockTimeout = 5 * time.Second
	maxRule     = 4096
)

// Spec is the account that the host wants.
type Spec struct {
	Name    string `json:"name"`
	UID     uint32 `json:"uid"`
	GID     uint32 `json:"gid"`
	Home    string `json:"home"`
	Shell   string `json:"shell"`
	Comment string `json:"comment"`
	Sudo    bool   `json:"sudo"`
}

// Result is the account that the guest has now.
type Result struct {
	Created bool   `json:"created"`
	Name    string `json:"name"`
	UID     uint32 `json:"uid"`
	GID     uint32 `json:"gid"`
	Home    string `json:"home"`
	Shell   string `json:"shell"`
}

// Check refuses an account that the account files cannot hold.
func (u *Spec) Check() error {
	switch {
	case !wire.ValidUserName(u.Name):
		return wire.BadField("user.name", "not a user name")
	case u.UID == ^uint32(0) || u.GID == ^uint32(0):
		return wire.BadField("user.uid", "not an id")
	case (u.UID == 0) != (u.Name == "root"):
		return wire.BadField("user.uid", "0 and root belong together")
	case u.Name != "root" && !filepath.IsAbs(u.Home) || len(u.Home) >= wire.MaxPath:
		return wire.BadField("user.home", "not an absolute path")
	case strings.ContainsAny(u.Home+u.Shell+u.Comment, ":\n\x00"):
		return wire.BadField("user", "a value that /etc/passwd cannot hold")
	case u.Shell != "" && !filepath.IsAbs(u.Shell):
		return wire.BadField("user.shell", "not an absolute path")
	}
	return nil
}

// Set creates or changes the account, and makes it the default of later streams. It does not change
// root.
func (a *Accounts) Set(want *Spec) (*Result, error) {
	if a.Real && want.UID != 0 {
		// This comes before anything that may fail: nobody becomes root because the account could
		// not be made.
		a.setDefaultUser(want.Name)
		created, err := makeUser(want)
		if err != nil {
			return nil, err
		}
		if err := setSudo(want); err != nil {
			return nil, err
		}
		if err := makeHome(want); err != nil {
			return nil, err
		}
		a.prepareSessions(want.UID, want.GID)
		return &Result{created, want.Name, want.UID, want.GID, want.Home, want.Shell}, nil
	}
	known, err := Lookup(want.Name)
	if err != nil { // development mode, on a machine without this user
		return &Result{false, want.Name, want.UID, want.GID, want.Home, want.Shell}, nil
	}
	a.setDefaultUser(want.Name)
	return &Result{false, known.Name, known.UID, known.GID, known.Home, known.Shell}, nil
}

func (a *Accounts) setDefaultUser(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.user = name
}

// makeUser edits the account files under the lock that the distribution's tools take. It returns
// whether the account is new.
func makeUser(want *Spec) (bool, error) {
	if _, err := os.Stat(want.Shell); err != nil {
		want.Shell = "/bin/sh"
	}
	lock, err := lockAccounts()
	if err != nil {
		return false, err
	}
	defer lock.Close()
	files, err := readAccounts()
	if err != nil {
		return false, err
	}
	created, err := files.apply(want, time.Now())
	if err != nil {
		return false, err
	}
	return created, files.write()
}

// lockAccounts takes the lock of lckpwdf(3). No call waits for it with a limit, so lockAccounts
// tries again and again.
func lockAccounts() (*os.File, error) {
	lock, err := os.OpenFile("/etc/.pwd.lock", os.O_WRONLY|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	for until := time.Now().Add(lockTimeout); ; time.Sleep(20 * time.Millisecond) {
		err = unix.FcntlFlock(lock.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		if err == nil {
			return lock, nil
		}
		if time.Now().After(until) {
			lock.Close()
			return nil, wire.Fail(wire.CodeConflict, "another program holds the lock of the account files")
		}
	}
}

// setSudo writes a rule with the uid, as a name might need quoting.
func setSudo(want *Spec) error {
	if !want.Sudo {
		err := os.Remove(sudoersFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := os.MkdirAll(filepath.Dir(sudoersFile), 0o750); err != nil {
		return err
	}
	rule := "#" + strconv.FormatUint(uint64(want.UID), 10) + " ALL=(ALL:ALL) NOPASSWD:ALL\n"
	if old, err := sys.ReadBounded(sudoersFile, maxRule); err == nil && string(old) == rule {
		return nil
	}
	if err := sys.ReplaceFile(sudoersFile, []byte(rule), 0o440); err != nil {
		return err
	}
	return os.Chmod(sudoersFile, 0o440)
}

// makeHome copies the skeleton into a new home. If the home exists, it changes only
// the owner of the directory itself.
func makeHome(want *Spec) error {
	if err := os.MkdirAll(filepath.Dir(want.Home), 0o755); err != nil {
		return err
	}
	uid, gid := int(want.UID), int(want.GID)
	err := os.Mkdir(want.Home, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return os.Lchown(want.Home, uid, gid)
	}
	if err != nil {
		return err
	}
	if err := copySkeleton(want.Home, uid, gid); err != nil {
		return err
	}
	return os.Lchown(want.Home, uid, gid)
}

func copySkeleton(home string, uid, gid int) error {
	return filepath.WalkDir(skeleton, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || path == skeleton {
			return err
		}
		target := home + strings.TrimPrefix(path, skeleton)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			err = os.Mkdir(target, info.Mode().Perm())
		case info.Mode()&fs.ModeSymlink != 0:
			var link string
			if link, err = os.Readlink(path); err == nil {
				err = os.Symlink(link, target)
			}
		case info.Mode().IsRegular():
			err = copyFile(path, target, info.Mode().Perm())
		default:
			return nil
		}
		if err != nil {
			return err
		}
		return os.Lchown(target, uid, gid)
	})
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}
