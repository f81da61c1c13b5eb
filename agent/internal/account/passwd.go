package account

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

// accountFiles are the lines of the account files. It keeps lines that it does not understand.
type accountFiles struct {
	passwd, group, shadow, gshadow []string
	before                         [4]string
}

var accountPaths = [4]string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"}

func readAccounts() (*accountFiles, error) {
	files := &accountFiles{}
	for i, path := range accountPaths {
		body, err := sys.ReadBounded(path, maxDatabase)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		files.before[i] = string(body)
		*files.lines(i) = sys.SplitLines(string(body))
	}
	return files, nil
}

func (f *accountFiles) lines(i int) *[]string {
	return [4]*[]string{&f.passwd, &f.group, &f.shadow, &f.gshadow}[i]
}

// write replaces the files that have changed, /etc/passwd last: an account appears there when its
// other entries exist.
func (f *accountFiles) write() error {
	for _, i := range []int{3, 2, 1, 0} {
		body := strings.Join(*f.lines(i), "\n") + "\n"
		if body == f.before[i] || body == "\n" {
			continue
		}
		mode := os.FileMode(0o644)
		if i >= 2 {
			mode = 0o640
		}
		if err := sys.ReplaceFile(accountPaths[i], []byte(body), mode); err != nil {
			return err
		}
	}
	return nil
}

// apply changes the account that has the wanted name or uid, or adds one. It returns whether it has
// added one.
func (f *accountFiles) apply(want *Spec, now time.Time) (bool, error) {
	byName, byUID := -1, -1
	for i, line := range f.passwd {
		if e := parsePasswd(line); len(e) == 1 && e[0].name == want.Name {
			byName = i
		} else if len(e) == 1 && e[0].uid == want.UID {
			byUID = i
		}
	}
	for _, i := range []int{byName, byUID} {
		if i >= 0 && parsePasswd(f.passwd[i])[0].uid != want.UID && parsePasswd(f.passwd[i])[0].uid < firstUserID ||
			i >= 0 && i == byUID && want.UID < firstUserID {
			return false, wire.Fail(wire.CodeConflict, "a system account of the guest has this name or uid")
		}
	}
	f.applyGroup(want)
	line := strings.Join([]string{want.Name, "x", strconv.FormatUint(uint64(want.UID), 10),
		strconv.FormatUint(uint64(want.GID), 10), want.Comment, want.Home, want.Shell}, ":")
	old := want.Name
	switch {
	case byName >= 0:
		f.passwd[byName] = line
		if byUID >= 0 { // another account has the uid: this one replaces it
			other := parsePasswd(f.passwd[byUID])[0].name
			f.passwd = append(f.passwd[:byUID:byUID], f.passwd[byUID+1:]...)
			f.shadow = removeEntry(f.shadow, other)
		}
	case byUID >= 0:
		old = parsePasswd(f.passwd[byUID])[0].name
		f.passwd[byUID] = line
	default:
		f.passwd = append(f.passwd, line)
	}
	f.shadow = lockShadow(f.shadow, old, want.Name, now)
	if old != want.Name {
		renameMember(f.group, old, want.Name)
		renameMember(f.gshadow, old, want.Name)
	}
	return byName < 0 && byUID < 0, nil
}

// applyGroup makes sure that the gid has a group. It does not change a group that has the gid.
func (f *accountFiles) applyGroup(want *Spec) {
	gid := strconv.FormatUint(uint64(want.GID), 10)
	name := want.Name
	for i, line := range f.group {
		e := parseGroup(line)
		if len(e) != 1 {
			continue
		}
		if e[0].gid == want.GID {
			return
		}
		if e[0].name == want.Name {
			if e[0].gid >= firstUserID && !gidTaken(f.group, want.GID) {
				fields := strings.Split(line, ":")
				fields[2] = gid
				f.group[i] = strings.Join(fields, ":")
				return
			}
			name = "gaovm-" + gid
		}
	}
	f.group = append(f.group, name+":x:"+gid+":")
	if f.gshadow != nil {
		f.gshadow = append(f.gshadow, name+":!::")
	}
}

func gidTaken(lines []string, gid uint32) bool {
	for _, line := range lines {
		if e := parseGroup(line); len(e) == 1 && e[0].gid == gid {
			return true
		}
	}
	return false
}

// lockShadow gives the account an entry without a usable password. An entry that exists keeps its
// password. `*` and `!` both match no password, but sshd takes `!` for an account that is locked
// against keys too.
func lockShadow(lines []string, old, name string, now time.Time) []string {
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, old+":"); ok {
			for _, never := range []string{"!:", "!!:", "!*:"} {
				if dates, ok := strings.CutPrefix(rest, never); ok {
					rest = "*:" + dates
					break
				}
			}
			lines[i] = name + ":" + rest
			return lines
		}
	}
	// Day 0 means "the password must be changed at the next login", and the guest's clock may not
	// be set yet.
	days := max(now.Unix()/86400, 1)
	return append(lines, name+":*:"+strconv.FormatInt(days, 10)+":0:99999:7:::")
}

func removeEntry(lines []string, name string) []string {
	kept := lines[:0:0]
	for _, line := range lines {
		if !strings.HasPrefix(line, name+":") {
			kept = append(kept, line)
		}
	}
	return kept
}

// renameMember renames a user in the list of members, the last field.
func renameMember(lines []string, old, name string) {
	for i, line := range lines {
		at := strings.LastIndexByte(line, ':')
		members := strings.Split(line[at+1:], ",")
		for j, member := range members {
			if member == old {
				members[j] = name
			}
		}
		lines[i] = line[:at+1] + strings.Join(members, ",")
	}
}
