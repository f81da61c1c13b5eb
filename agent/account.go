package main

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"time"
)

// account is a user as a process needs it.
type account struct {
	name   string
	uid    uint32
	gid    uint32
	groups []uint32
	home   string
	shell  string
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

// maxDatabase bounds /etc/passwd and its like: the guest's own administrator may write them.
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

// cachedFile keeps a parsed file until the file's inode, size or time changes.
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
	body, err := readBounded(c.path, maxDatabase)
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

// lookupAccount finds a user by name or by "uid" or "uid:gid"; a number needs no entry in /etc/passwd.
func lookupAccount(spec string) (*account, error) {
	name, group, hasGroup := strings.Cut(spec, ":")
	found := account{home: "/", shell: "/bin/sh", name: name}
	number, numErr := strconv.ParseUint(name, 10, 32)
	known := false
	for _, e := range passwdFile.get() {
		if e.name == name || numErr == nil && uint64(e.uid) == number {
			found = account{name: e.name, uid: e.uid, gid: e.gid, home: e.home, shell: e.shell}
			known = true
			break
		}
	}
	if !known {
		if numErr != nil && !(name == "root" && !hasGroup) {
			return nil, fail(codeNoSuchUser, "no user "+strconv.Quote(spec)+" in the guest")
		}
		found.uid, found.gid = uint32(number), uint32(number)
	}
	if found.shell == "" {
		found.shell = "/bin/sh"
	}
	if hasGroup {
		gid, err := lookupGroup(group)
		if err != nil {
			return nil, err
		}
		found.gid = gid
		found.groups = []uint32{gid}
		return &found, nil
	}
	found.groups = supplementary(found.name, found.gid)
	return &found, nil
}

func lookupGroup(spec string) (uint32, error) {
	if number, err := strconv.ParseUint(spec, 10, 32); err == nil {
		return uint32(number), nil
	}
	for _, g := range groupFile.get() {
		if g.name == spec {
			return g.gid, nil
		}
	}
	return 0, fail(codeNoSuchUser, "no group "+strconv.Quote(spec)+" in the guest")
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

// accountFor resolves the user of a stream: the named one, else the configured one, else root. In development
// mode without root it is always the current user.
func (a *agent) accountFor(spec string) (*account, error) {
	if spec == "" {
		a.mu.Lock()
		spec = a.user
		a.mu.Unlock()
	}
	if spec == "" && os.Geteuid() != 0 {
		spec = strconv.Itoa(os.Geteuid())
	}
	if spec == "" {
		spec = "root"
	}
	found, err := lookupAccount(spec)
	if err == nil && !a.real && os.Geteuid() != 0 && int(found.uid) != os.Geteuid() {
		return nil, fail(codeNoSuchUser, "development mode without root runs as its own user only")
	}
	if err == nil && !a.real && found.home == "/" {
		if me, meErr := user.Current(); meErr == nil && me.Uid == strconv.Itoa(int(found.uid)) {
			found.home = me.HomeDir
		}
	}
	return found, err
}

// searchable tells by the permission bits whether the account may enter the directory and all above it.
func (u *account) searchable(path string) bool {
	if u.uid == 0 {
		return true
	}
	for at := path; ; at = parentOf(at) {
		info, err := os.Stat(at)
		if err != nil || !info.IsDir() || !u.allowed(info, 0o1) {
			return false
		}
		if at == "/" {
			return true
		}
	}
}
