// Package account finds the guest's users, and makes the one that the host configures.
package account

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

// Account is what a process needs to know of its user.
type Account struct {
	Name   string
	UID    uint32
	GID    uint32
	groups []uint32
	Home   string
	Shell  string
}

// passwdEntry is one line of /etc/passwd.
type passwdEntry struct {
	name, comment, home, shell string
	uid, gid                   uint32
}

// groupEntry is one line of /etc/group.
type groupEntry struct {
	name    string
	gid     uint32
	members []string
}

// maxDatabase bounds /etc/passwd and the like, which the guest's administrator writes.
const maxDatabase = 4 << 20

func parsePasswd(body string) []passwdEntry {
	var entries []passwdEntry
	for _, line := range strings.Split(body, "\n") {
		f := strings.Split(line, ":")
		if len(f) != 7 {
			continue
		}
		uid, gid, ok := parseIDs(f[2], f[3])
		if ok {
			entries = append(entries, passwdEntry{name: f[0], uid: uid, gid: gid, comment: f[4], home: f[5], shell: f[6]})
		}
	}
	return entries
}

func parseGroup(body string) []groupEntry {
	var entries []groupEntry
	for _, line := range strings.Split(body, "\n") {
		f := strings.Split(line, ":")
		if len(f) != 4 {
			continue
		}
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err == nil {
			entries = append(entries, groupEntry{name: f[0], gid: uint32(gid), members: strings.Split(f[3], ",")})
		}
	}
	return entries
}

func parseIDs(uid, gid string) (uint32, uint32, bool) {
	u, errU := strconv.ParseUint(uid, 10, 32)
	g, errG := strconv.ParseUint(gid, 10, 32)
	return uint32(u), uint32(g), errU == nil && errG == nil
}

// cachedFile keeps a parsed file until the file's inode, size or modification time changes.
type cachedFile[T any] struct {
	mu    sync.Mutex
	path  string
	parse func(string) []T
	info  os.FileInfo
	value []T
}

func (c *cachedFile[T]) get() []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.path)
	if err != nil {
		return nil
	}
	if c.info != nil && os.SameFile(info, c.info) && info.Size() == c.info.Size() &&
		info.ModTime().Equal(c.info.ModTime()) && time.Since(info.ModTime()) > time.Second {
		return c.value
	}
	body, err := sys.ReadBounded(c.path, maxDatabase)
	if err != nil {
		return nil
	}
	c.info, c.value = info, c.parse(string(body))
	return c.value
}

var (
	passwdFile = &cachedFile[passwdEntry]{path: "/etc/passwd", parse: parsePasswd}
	groupFile  = &cachedFile[groupEntry]{path: "/etc/group", parse: parseGroup}
)

// Lookup finds a user by name, by "uid" or by "uid:gid". A number needs no entry in /etc/passwd.
func Lookup(spec string) (*Account, error) {
	name, group, hasGroup := strings.Cut(spec, ":")
	found := Account{Home: "/", Shell: "/bin/sh", Name: name}
	number, numErr := strconv.ParseUint(name, 10, 32)
	known := false
	for _, e := range passwdFile.get() {
		if e.name == name || numErr == nil && uint64(e.uid) == number {
			found = Account{Name: e.name, UID: e.uid, GID: e.gid, Home: e.home, Shell: e.shell}
			known = true
			break
		}
	}
	if !known {
		if numErr != nil && !(name == "root" && !hasGroup) {
			return nil, wire.Fail(wire.CodeNoSuchUser, "no user "+strconv.Quote(spec)+" in the guest")
		}
		found.UID, found.GID = uint32(number), uint32(number)
	}
	if found.Shell == "" {
		found.Shell = "/bin/sh"
	}
	if hasGroup {
		gid, err := LookupGroup(group)
		if err != nil {
			return nil, err
		}
		found.GID = gid
		found.groups = []uint32{gid}
		return &found, nil
	}
	found.groups = supplementary(found.Name, found.GID)
	return &found, nil
}

// LookupGroup finds a group by name or number. A number needs no entry in /etc/group.
func LookupGroup(spec string) (uint32, error) {
	if number, err := strconv.ParseUint(spec, 10, 32); err == nil {
		return uint32(number), nil
	}
	for _, g := range groupFile.get() {
		if g.name == spec {
			return g.gid, nil
		}
	}
	return 0, wire.Fail(wire.CodeNoSuchUser, "no group "+strconv.Quote(spec)+" in the guest")
}

func supplementary(name string, gid uint32) []uint32 {
	groups := []uint32{gid}
	for _, g := range groupFile.get() {
		for _, member := range g.members {
			if member == name && g.gid != gid {
				groups = append(groups, g.gid)
			}
		}
	}
	return groups
}

// Accounts resolves the users of streams and remembers the user that the host has configured.
type Accounts struct {
	Real     bool   // false: development mode, which changes nothing of the machine
	initName string // base name of the distribution's init program
	booted   atomic.Bool

	mu        sync.Mutex
	user      string // the configured user; guarded by mu
	lingering uint32 // the user whose user manager runs from the guest's boot on; guarded by mu
}

// New returns accounts without a configured user.
func New(real bool, initName string) *Accounts {
	return &Accounts{Real: real, initName: initName}
}

// Find resolves the user of a stream: the named one, else the configured one, else root. In
// development mode without root it finds the current user only.
func (a *Accounts) Find(spec string) (*Account, error) {
	if spec == "" {
		spec = a.userName()
	}
	if spec == "" && os.Geteuid() != 0 {
		spec = strconv.Itoa(os.Geteuid())
	}
	if spec == "" {
		spec = "root"
	}
	found, err := Lookup(spec)
	if err == nil && !a.Real && os.Geteuid() != 0 && int(found.UID) != os.Geteuid() {
		return nil, wire.Fail(wire.CodeNoSuchUser, "the agent runs without root, so it can only run programs as its own user")
	}
	if err == nil && !a.Real && found.Home == "/" {
		if me, meErr := user.Current(); meErr == nil && me.Uid == strconv.Itoa(int(found.UID)) {
			found.Home = me.HomeDir
		}
	}
	return found, err
}

// Searchable tells, by the permission bits, whether the account may enter the directory and all
// directories above it.
func (u *Account) Searchable(path string) bool {
	if u.UID == 0 {
		return true
	}
	for at := path; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil || !info.IsDir() || !u.allowed(info, 0o1) {
			return false
		}
		if at == "/" {
			return true
		}
	}
}

// allowed checks one permission bit (4, 2 or 1) of the account on a file, as the kernel does
// without ACLs.
func (u *Account) allowed(info os.FileInfo, bit os.FileMode) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	mode := info.Mode().Perm()
	if stat.Uid == u.UID {
		return mode&(bit<<6) != 0
	}
	for _, gid := range u.groups {
		if gid == stat.Gid {
			return mode&(bit<<3) != 0
		}
	}
	return mode&bit != 0
}

// Credential returns the ids with which a process of the account runs.
func (u *Account) Credential() *syscall.Credential {
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.groups}
}
